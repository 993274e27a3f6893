//! Listening at Discord's gateway: one session, resumed for as long as Discord lets it.
//!
//! ```text
//!            +------------------------------------------- wait <-----------------+
//!            v                                                                    |
//!  connect --+-- no session --> identify --> READY ---+                           |
//!            |                                        +--> connected -- lost -----+
//!            +-- a session ---> resume ---> RESUMED --+        |                  |
//!                                  |                           +-- closed for good --> Fatal
//!                                  +-- invalid session (forgotten) --------------+
//! ```
//!
//! Discord numbers its events and repeats those after the last one heard; it wants no other
//! confirmation. While the ingress refuses a message, nothing more is read: the connection may be
//! lost over it, and what was missed is repeated.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use twilight_gateway::error::ReceiveMessageErrorType;
use twilight_gateway::{Message, Shard, ShardState};
use twilight_http::routing::Route;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, GuildMarker, UserMarker};

use crate::backoff::{Waited, wait};
use crate::port::{ConnectionStatus, Ingress, IngressError, ListenEnd, StatusSink};

use super::event::{self, Event, Place};
use super::places::Places;
use super::shard::{self, Immediate, Memory};
use super::{Discord, NAME};

/// How long a connection must last to count as a good one.
const GOOD: Duration = Duration::from_secs(30);

/// The answer to a press: it was heard, and the message stays as it is.
const DEFERRED: u8 = 6;

/// Listens until it is cancelled or closed for good.
pub(super) async fn listen(
    discord: &Discord,
    ingress: &dyn Ingress,
    status: &dyn StatusSink,
    cancel: &CancellationToken,
) -> ListenEnd {
    let mut listener = Listener {
        cancel,
        connected: None,
        discord,
        ingress,
        me: None,
        places: Places::default(),
        status,
    };
    let end = listener.run().await;
    status.status(ConnectionStatus::Stopped);
    end
}

struct Listener<'a> {
    cancel: &'a CancellationToken,
    /// Since when it is connected.
    connected: Option<Instant>,
    discord: &'a Discord,
    ingress: &'a dyn Ingress,
    me: Option<Id<UserMarker>>,
    places: Places,
    status: &'a dyn StatusSink,
}

/// How one connection ended.
enum End {
    Lost(String),
    Over(ListenEnd),
}

impl Listener<'_> {
    async fn run(&mut self) -> ListenEnd {
        let mut memory = None;
        let (mut failures, mut introductions) = (0_u32, 0_u32);
        loop {
            self.status.status(ConnectionStatus::Connecting);
            self.connected = None;
            let url = self.discord.gateway_url.as_deref();
            let mut shard = shard::shard(&self.discord.token, url, memory.take());
            let error = match self.attend(&mut shard).await {
                End::Lost(error) => error,
                End::Over(end) => return end,
            };
            memory = Memory::of(&shard);
            drop(shard);
            if self.connected.is_some_and(|since| since.elapsed() >= GOOD) {
                (failures, introductions) = (0, 0);
            }
            let mut time = self.discord.backoff.after(failures);
            failures = failures.saturating_add(1);
            if memory.is_none() {
                time = time.max(self.discord.introductions.after(introductions));
                introductions = introductions.saturating_add(1);
            }
            warn!(
                channel.name = NAME,
                channel.account = self.discord.account,
                error,
                "the connection was lost"
            );
            self.status.status(ConnectionStatus::Reconnecting { error });
            if wait(time, self.cancel).await == Waited::Cancelled {
                return ListenEnd::Cancelled;
            }
        }
    }

    /// Hears what one connection says, until it is lost.
    async fn attend(&mut self, shard: &mut Shard<Immediate>) -> End {
        loop {
            let item = tokio::select! {
                () = self.cancel.cancelled() => return End::Over(ListenEnd::Cancelled),
                item = shard.next() => item,
            };
            match item {
                None => return End::Lost("the connection ended".to_owned()),
                Some(Err(error)) => match error.kind() {
                    ReceiveMessageErrorType::Reconnect => {
                        return End::Lost(crate::http::innermost(&error));
                    }
                    _ => self.skipped(&crate::http::innermost(&error)),
                },
                Some(Ok(Message::Close(frame))) => {
                    let error = frame.map_or_else(
                        || "closed without a reason".to_owned(),
                        |frame| format!("closed with code {}: {}", frame.code, frame.reason),
                    );
                    if shard.state() == ShardState::FatallyClosed {
                        return End::Over(ListenEnd::Fatal { error });
                    }
                    return End::Lost(error);
                }
                Some(Ok(Message::Text(json))) => {
                    if self.hear(&json).await == Waited::Cancelled {
                        return End::Over(ListenEnd::Cancelled);
                    }
                    // The shard would connect again by itself, but at once and without end.
                    if matches!(shard.state(), ShardState::Disconnected { .. }) {
                        return End::Lost("the platform asked for a new connection".to_owned());
                    }
                }
            }
        }
    }

    async fn hear(&mut self, json: &str) -> Waited {
        let event = match Event::parse(json) {
            Ok(event) => event,
            Err(error) => {
                self.skipped(&error.to_string());
                return Waited::Over;
            }
        };
        match event {
            Event::Message(message) => self.message(&message).await,
            Event::Other => Waited::Over,
            Event::Places(places) => {
                for place in places {
                    self.places.learn(&place);
                }
                Waited::Over
            }
            Event::Press(press) => self.press(&press).await,
            Event::Ready(me) => {
                self.me = Some(me.id);
                self.is_connected()
            }
            Event::Resumed => self.is_connected(),
        }
    }

    fn is_connected(&mut self) -> Waited {
        self.connected = Some(Instant::now());
        self.status.status(ConnectionStatus::Connected);
        Waited::Over
    }

    async fn message(&mut self, message: &event::Message) -> Waited {
        if !message.is_said_by_others(self.me) {
            return Waited::Over;
        }
        if let Some(user) = message.direct() {
            self.discord.learn_direct(user, message.channel_id);
        }
        let parent = self.parent(message.guild_id, message.channel_id).await;
        let inbound = message.inbound(&self.discord.account, self.me, parent);
        self.offer(|| self.ingress.accept(inbound.clone())).await
    }

    async fn press(&mut self, press: &event::Press) -> Waited {
        let parent = match press.channel_id {
            Some(channel) => self.parent(press.guild_id, channel).await,
            None => None,
        };
        let Some(pressed) = press.press(&self.discord.account, parent) else {
            return Waited::Over;
        };
        if self.offer(|| self.ingress.pressed(pressed.clone())).await == Waited::Cancelled {
            return Waited::Cancelled;
        }
        let route = Route::InteractionCallback {
            interaction_id: press.id.get(),
            interaction_token: &press.token,
            with_response: false,
        };
        if let Err(outcome) =
            self.discord.api.call(&route, Some(&json!({ "type": DEFERRED }))).await
        {
            // The person sees that something went wrong, and may press again.
            debug!(channel.account = self.discord.account, ?outcome, "a press was not answered");
        }
        Waited::Over
    }

    /// Offers something to the ingress until it is taken.
    async fn offer<'f>(
        &self,
        offer: impl Fn() -> BoxFuture<'f, Result<(), IngressError>>,
    ) -> Waited {
        let mut refusals = 0_u32;
        loop {
            let taken = tokio::select! {
                () = self.cancel.cancelled() => return Waited::Cancelled,
                taken = offer() => taken,
            };
            let Err(error) = taken else { return Waited::Over };
            warn!(channel.account = self.discord.account, %error, "a message was not taken");
            if wait(self.discord.backoff.after(refusals), self.cancel).await == Waited::Cancelled {
                return Waited::Cancelled;
            }
            refusals = refusals.saturating_add(1);
        }
    }

    /// Returns the channel above a thread; what the gateway did not tell of is asked for.
    async fn parent(
        &mut self,
        guild: Option<Id<GuildMarker>>,
        channel: Id<ChannelMarker>,
    ) -> Option<Id<ChannelMarker>> {
        guild?;
        if self.places.knows(channel) {
            return self.places.parent(channel);
        }
        let route = Route::GetChannel { channel_id: channel.get() };
        let answer = self.discord.api.call(&route, None).await.ok()?;
        let place: Place = serde_json::from_slice(&answer).ok()?;
        self.places.learn(&place)
    }

    fn skipped(&self, error: &str) {
        warn!(
            channel.name = NAME,
            channel.account = self.discord.account,
            error,
            "an event cannot be read and was skipped"
        );
    }
}
