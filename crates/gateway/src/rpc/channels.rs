//! Channels, and the people on them, over the wire.

use openclaw_config::{DmPolicy, EditError, NewChannel, Platform, SecretRef, add_channel};
use openclaw_proto::v1::channels_server::Channels;
use openclaw_proto::{to_timestamp, v1};
use openclaw_scopes::Caller;
use openclaw_scopes::method::{self, Method};
use openclaw_scopes::target::{ChannelTarget, Whole};
use openclaw_store::{Note, WEBHOOK};
use tonic::{Code, Request, Response, Status};

use super::edit::{Once, edit_error};
use crate::channels::{Lane, LaneLine};
use crate::core::Core;
use crate::respond::Reply;
use crate::{clock, convert, digest, gate, respond};

/// What shows how the channels are.
const STATUS: &str = "openclaw channels status";
/// Lines of what has happened on a channel: when nothing is said, and at most.
const LINES: u32 = 50;
const MAX_LINES: u32 = 200;

#[tonic::async_trait]
impl Channels for Core {
    async fn status(
        &self,
        request: Request<v1::ChannelsStatusRequest>,
    ) -> Result<Response<v1::ChannelsStatusResponse>, Status> {
        let (caller, _) = gate::admit(request)?;
        drop(self.peek::<method::ReadChannels>(&caller, Whole).await?);
        let lanes = self.hub.lanes();
        let channels = lanes.iter().map(|lane| self.channel(lane)).collect::<Result<_, _>>()?;
        Ok(Response::new(v1::ChannelsStatusResponse { channels }))
    }

    async fn logs(
        &self,
        request: Request<v1::ChannelLogsRequest>,
    ) -> Result<Response<v1::ChannelLogsResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        drop(self.peek::<method::ReadChannelLog>(&caller, target(&message.channel)).await?);
        let lane = self.hub.lane(&message.channel).ok_or_else(|| unknown(&message.channel))?;
        let limit = match message.limit {
            0 => LINES,
            limit if limit <= MAX_LINES => limit,
            _ => {
                let text = format!("limit is {MAX_LINES} at most: so many lines are kept");
                return Err(Reply::invalid(text).into());
            }
        };
        let lines = lane.lines(usize::try_from(limit).unwrap_or_default());
        let lines = lines.into_iter().map(shown).collect();
        Ok(Response::new(v1::ChannelLogsResponse { lines }))
    }

    async fn add(
        &self,
        request: Request<v1::AddChannelRequest>,
    ) -> Result<Response<v1::ChannelStatus>, Status> {
        let (caller, message) = gate::admit(request)?;
        let key = convert::idempotency_key(&message.idempotency_key)?;
        let platform = Platform::parse(&message.channel).ok_or_else(|| {
            Reply::invalid("a channel to add is `discord` or `telegram`")
                .next("openclaw channels add --help")
        })?;
        // What stands there may be the secret itself, and is not repeated.
        let token = SecretRef::parse(&message.token_env).map_err(|error| {
            Reply::invalid(error.to_string()).next(
                "put the token into an environment variable of the gateway, and name that with --token-env",
            )
        })?;
        let dm_policy = match message.dm_policy.as_str() {
            "" => DmPolicy::default(),
            name => DmPolicy::parse(name).ok_or_else(|| {
                Reply::invalid("dm_policy is `pairing`, `allowlist`, `open` or `disabled`")
            })?,
        };
        let told = [platform.name(), &token.env, dm_policy.name()];
        let once = Once { key, digest: digest::of(&told), result: String::new() };
        let decided = self.decide::<method::AddChannel>(&caller, target(platform.name()), once);
        let decided = decided.await?;
        let settings = NewChannel { token, dm_policy };
        let edited = self.edit(|text| match add_channel(text, platform, &settings) {
            // A retry finds what it wrote before, and nothing else.
            Err(EditError::ChannelExists { .. })
                if decided.before.is_some() && is_there(text, platform, &settings) =>
            {
                Ok(None)
            }
            Err(error) => Err(edit_error(&error, STATUS)),
            Ok(text) => Ok(Some(text)),
        });
        let edited = edited.await;
        self.recorded::<method::AddChannel, _>(&caller, &decided.target, edited).await?;
        let roster = self.engine.roster();
        if let Some(chat) = roster.config.channels().chats.get(platform.name()) {
            self.hub.add(platform.name(), chat, &self.around.environment);
        }
        let lane = self.hub.lane(platform.name()).ok_or_else(|| unknown(platform.name()))?;
        Ok(Response::new(self.channel(&lane)?))
    }

    async fn start(
        &self,
        request: Request<v1::StartChannelRequest>,
    ) -> Result<Response<v1::ChannelStatus>, Status> {
        let (caller, message) = gate::admit(request)?;
        let lane = self.turned::<method::StartChannel>(&caller, &message.channel).await?;
        if !lane.is_usable() {
            let state = lane.state();
            let why = if state.word == "disabled" {
                format!("`channels.{}.enabled` is `false`", lane.name)
            } else {
                state.error
            };
            let unusable = Reply::new(
                Code::FailedPrecondition,
                "",
                format!("channel `{}` cannot be used: {why}", lane.name),
            );
            let unusable = Err(unusable.next("correct that, and restart the gateway"));
            let target = target(&lane.name);
            self.recorded::<method::StartChannel, ()>(&caller, &target, unusable).await?;
        }
        lane.start().await;
        Ok(Response::new(self.channel(&lane)?))
    }

    async fn stop(
        &self,
        request: Request<v1::StopChannelRequest>,
    ) -> Result<Response<v1::ChannelStatus>, Status> {
        let (caller, message) = gate::admit(request)?;
        let lane = self.turned::<method::StopChannel>(&caller, &message.channel).await?;
        lane.stop().await;
        Ok(Response::new(self.channel(&lane)?))
    }

    async fn list_people(
        &self,
        request: Request<v1::ListPeopleRequest>,
    ) -> Result<Response<v1::ListPeopleResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        Ok(Response::new(self.people(&caller, message).await?))
    }

    async fn approve_person(
        &self,
        request: Request<v1::ApprovePersonRequest>,
    ) -> Result<Response<v1::Person>, Status> {
        let (caller, message) = gate::admit(request)?;
        Ok(Response::new(self.let_in(&caller, message).await?))
    }

    async fn remove_person(
        &self,
        request: Request<v1::RemovePersonRequest>,
    ) -> Result<Response<v1::Person>, Status> {
        let (caller, message) = gate::admit(request)?;
        Ok(Response::new(self.take_back(&caller, message).await?))
    }
}

impl Core {
    /// Decides about starting or stopping a channel; returns it.
    async fn turned<M: Method<Target = ChannelTarget>>(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<std::sync::Arc<Lane>, Reply> {
        if self.engine.is_draining() {
            return Err(Reply::draining());
        }
        let note = Note::<M>(target(name));
        drop(self.perform(caller, note, clock::now(), |never| match *never {}).await?);
        let lane = self.hub.lane(name).ok_or_else(|| unknown(name));
        self.recorded::<M, _>(caller, &target(name), lane).await
    }

    /// Tells how a channel is doing.
    fn channel(&self, lane: &Lane) -> Result<v1::ChannelStatus, Reply> {
        let counts = self.store.delivery_counts(&lane.name);
        let (waiting, failed) = counts.map_err(|error| respond::store(&error))?;
        let state = lane.state();
        let roster = self.engine.roster();
        let chat = roster.config.channels().chats.get(&lane.name);
        Ok(v1::ChannelStatus {
            channel: lane.name.clone(),
            account_id: lane.account.clone(),
            state: state.word.to_owned(),
            error: state.error,
            since: Some(to_timestamp(state.since)),
            waiting,
            failed,
            platform: chat.map_or(WEBHOOK, |chat| chat.platform.name()).to_owned(),
            enabled: chat.is_none_or(|chat| chat.enabled),
        })
    }
}

/// Whether a channel stands in the file as it is to be added.
fn is_there(text: &str, platform: Platform, wanted: &NewChannel) -> bool {
    let Ok(config) = openclaw_config::parse(text) else { return false };
    let found = config.channels().chats.get(platform.name());
    found.is_some_and(|it| it.token == wanted.token && it.dm_policy == wanted.dm_policy)
}

fn shortened(name: &str) -> String {
    name.chars().take(64).flat_map(char::escape_debug).collect()
}

fn target(name: &str) -> ChannelTarget {
    ChannelTarget(shortened(name).into())
}

fn unknown(name: &str) -> Reply {
    let message = format!("no channel `{}` is configured", shortened(name));
    Reply::new(Code::NotFound, "", message).next("openclaw channels list")
}

fn shown(line: LaneLine) -> v1::ChannelLogLine {
    let LaneLine { at, event, id, error } = line;
    v1::ChannelLogLine { at: Some(to_timestamp(at)), event: event.to_owned(), id, error }
}
