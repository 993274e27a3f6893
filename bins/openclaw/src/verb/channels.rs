//! `channels`: the chat platforms that the gateway speaks on, and its webhooks.

use openclaw_client::v1::{ChannelStatus, ChannelsStatusRequest};

use crate::cli::ChannelsVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::table;

pub(super) async fn run(
    verb: ChannelsVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        ChannelsVerb::Status => {
            let client = place.connect_for(&["channels.status"]).await?;
            let status = client.channels().status(ChannelsStatusRequest {}).await?.into_inner();
            match output.format() {
                Format::Human if status.channels.is_empty() => output.note("no channels")?,
                Format::Human => output.block(&rows(&status.channels))?,
                Format::Json => output.message(&status)?,
            }
            Ok(Exit::Ok)
        }
    }
}

fn rows(channels: &[ChannelStatus]) -> String {
    let now = jiff::Timestamp::now();
    let rows = channels.iter().map(|channel| {
        vec![
            channel.channel.clone(),
            channel.state.clone(),
            table::ago(channel.since.as_ref(), now),
            channel.waiting.to_string(),
            channel.failed.to_string(),
            channel.error.clone(),
        ]
    });
    table::columns(&["CHANNEL", "STATE", "SINCE", "WAITING", "FAILED", "ERROR"], rows)
}
