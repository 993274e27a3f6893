//! `channels`: the chat platforms that the gateway speaks on, and its webhooks.

use openclaw_client::fresh_key;
use openclaw_client::v1::{
    AddChannelRequest, ChannelLogLine, ChannelLogsRequest, ChannelStatus, ChannelsStatusRequest,
    StartChannelRequest, StopChannelRequest,
};

use crate::cli::{ChannelsVerb, DmPolicyName, PlatformName};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::table;

/// How the channels are shown.
type Rows = fn(&[ChannelStatus]) -> String;

pub(super) async fn run(
    verb: ChannelsVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        ChannelsVerb::Add { channel, token_env, token, dm_policy } => {
            add(channel, token_env, token, dm_policy, place, output).await?;
        }
        ChannelsVerb::List => show(listed, place, output).await?,
        ChannelsVerb::Logs { channel, limit } => {
            let client = place.connect_for(&["channels.logs"]).await?;
            let request = ChannelLogsRequest { channel, limit };
            let logs = client.channels().logs(request).await?.into_inner();
            match output.format() {
                Format::Human => output.block(&lines(&logs.lines))?,
                Format::Json => output.message(&logs)?,
            }
        }
        ChannelsVerb::Start { channel } => {
            let client = place.connect_for(&["channels.start"]).await?;
            let request = StartChannelRequest { channel };
            let status = client.channels().start(request).await?.into_inner();
            match output.format() {
                Format::Human => output.line(&is(&status))?,
                Format::Json => output.message(&status)?,
            }
        }
        ChannelsVerb::Status => show(rows, place, output).await?,
        ChannelsVerb::Stop { channel } => {
            let client = place.connect_for(&["channels.stop"]).await?;
            let request = StopChannelRequest { channel };
            let status = client.channels().stop(request).await?.into_inner();
            match output.format() {
                Format::Human => {
                    output.line(&is(&status))?;
                    let start = place.command(&format!("channels start {}", status.channel));
                    output.note(&format!(
                        "What is to be sent waits until `{start}`, or the next start of the gateway."
                    ))?;
                }
                Format::Json => output.message(&status)?,
            }
        }
    }
    Ok(Exit::Ok)
}

async fn show(rows: Rows, place: &Place, output: &mut Output) -> Result<(), Failure> {
    let client = place.connect_for(&["channels.status"]).await?;
    let status = client.channels().status(ChannelsStatusRequest {}).await?.into_inner();
    match output.format() {
        Format::Human if status.channels.is_empty() => output.note("no channels")?,
        Format::Human => output.block(&rows(&status.channels))?,
        Format::Json => output.message(&status)?,
    }
    Ok(())
}

async fn add(
    channel: PlatformName,
    token_env: Option<String>,
    token: Option<String>,
    dm_policy: Option<DmPolicyName>,
    place: &Place,
    output: &mut Output,
) -> Result<(), Failure> {
    let (Some(token_env), None) = (token_env, token) else {
        // It is not repeated, and goes nowhere.
        let cause = "a token may not stand on a command line, where others read it: take a new one at the \
                     platform, put it into an environment variable of the gateway, and name that";
        let next = place.command(&format!("channels add {} --token-env VAR", channel.name()));
        return Err(Failure::advised(Exit::Usage, cause, next));
    };
    let client = place.connect_for(&["channels.add"]).await?;
    let request = AddChannelRequest {
        idempotency_key: fresh_key()?.to_string(),
        channel: channel.name().to_owned(),
        token_env,
        dm_policy: dm_policy.map(DmPolicyName::name).unwrap_or_default().to_owned(),
    };
    let status = client.channels().add(request).await?.into_inner();
    match output.format() {
        Format::Human => {
            output.line(&format!("added {}; it is {}", status.channel, status.state))?;
            if status.state == "failed" {
                output.note(&format!(
                    "It cannot be used yet: {}. Set it for the gateway, and restart the gateway.",
                    status.error
                ))?;
            }
        }
        Format::Json => output.message(&status)?,
    }
    Ok(())
}

fn is(status: &ChannelStatus) -> String {
    format!("{} is {}", status.channel, status.state)
}

fn listed(channels: &[ChannelStatus]) -> String {
    let rows = channels.iter().map(|channel| {
        vec![
            channel.channel.clone(),
            channel.platform.clone(),
            if channel.enabled { "yes".to_owned() } else { "no".to_owned() },
            channel.account_id.clone(),
            channel.state.clone(),
        ]
    });
    table::columns(&["CHANNEL", "PLATFORM", "ENABLED", "ACCOUNT", "STATE"], rows)
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

fn lines(lines: &[ChannelLogLine]) -> String {
    let now = jiff::Timestamp::now();
    let rows = lines.iter().map(|line| {
        vec![
            table::ago(line.at.as_ref(), now),
            line.event.clone(),
            line.id.clone(),
            line.error.clone(),
        ]
    });
    table::columns(&["AT", "EVENT", "ID", "ERROR"], rows)
}
