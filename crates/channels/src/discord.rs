//! Discord: messages over its HTTP interface, and what people say over its gateway.

mod api;
mod compose;
mod event;
mod files;
mod listen;
mod places;
mod shard;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use twilight_http::routing::Route;
use twilight_model::id::Id;
use twilight_model::id::marker::{ChannelMarker, UserMarker};

use openclaw_config::Secret;
use openclaw_sessions::ChatType;

use crate::backoff::Backoff;
use crate::fetch::FetchError;
use crate::inbound::Media;
use crate::port::{
    Channel, ConnectError, Destination, Identity, Ingress, ListenEnd, Part, PermanentKind,
    SendOutcome, StatusSink,
};
use crate::text::Dialect;

use api::Api;
use files::Files;

/// The name of the channel.
const NAME: &str = "discord";

/// Conversations with persons that are remembered. Reason: one that is not is asked for again.
const MAX_DIRECT: usize = 10_000;

/// How long Discord certainly knows a nonce again. Its documentation says: for a few minutes.
const REPLAY_WINDOW: Duration = Duration::from_secs(60);

/// How an account on Discord is reached.
#[derive(Debug)]
pub struct DiscordOptions {
    /// The account, as the gateway calls it.
    pub account: String,
    /// Where the HTTP interface is, without a path; absent, at Discord.
    pub api_url: Option<String>,
    /// The wait before a new connection.
    pub backoff: Backoff,
    /// Where the gateway is; absent, at Discord.
    pub gateway_url: Option<String>,
    /// The wait before a new session: Discord counts them.
    pub introductions: Backoff,
    /// Why an address must not be connected to for a file that came with a message, if it must not.
    pub refuse: fn(IpAddr) -> Option<&'static str>,
    /// How long one request may take once it is connected.
    pub timeout: Duration,
    /// The token of the bot.
    pub token: Secret,
}

impl DiscordOptions {
    /// An account at Discord itself, as patient as Discord wants it.
    pub fn new(account: &str, token: Secret) -> Self {
        Self {
            account: account.to_owned(),
            api_url: None,
            backoff: Backoff::default(),
            gateway_url: None,
            // Reason: one session in 5 s and 1000 in a day are allowed.
            introductions: Backoff {
                first: Duration::from_secs(5),
                most: Duration::from_secs(120),
            },
            refuse: |_address| Some("is not to be connected to"),
            timeout: Duration::from_secs(10),
            token,
        }
    }
}

/// An account on Discord.
#[derive(Debug)]
pub struct Discord {
    account: String,
    api: Api,
    backoff: Backoff,
    /// The channel of each person's conversation with the bot.
    direct: Mutex<BTreeMap<Id<UserMarker>, Id<ChannelMarker>>>,
    files: Files,
    gateway_url: Option<String>,
    introductions: Backoff,
    token: Secret,
}

impl Discord {
    /// Prepares an account; nothing is sent yet.
    ///
    /// # Errors
    /// When an address is none, the token cannot be sent, or TLS cannot be set up.
    pub fn new(options: DiscordOptions) -> Result<Self, ConnectError> {
        let token = options.token.expose().trim();
        let token = token.strip_prefix("Bot ").unwrap_or(token).to_owned();
        let (for_api, for_gateway) = (Secret::new(token.clone()), Secret::new(token));
        let files = Files::new(options.api_url.as_deref(), options.refuse, options.timeout);
        Ok(Self {
            files,
            account: options.account,
            api: Api::new(options.api_url.as_deref(), for_api, options.timeout)?,
            backoff: options.backoff,
            direct: Mutex::default(),
            gateway_url: options.gateway_url,
            introductions: options.introductions,
            token: for_gateway,
        })
    }

    async fn try_send(
        &self,
        to: &Destination,
        part: &Part,
        key: &str,
    ) -> Result<String, SendOutcome> {
        let body = compose::message(part, key)?;
        let channel = self.channel(to).await?;
        let route = Route::CreateMessage { channel_id: channel.get() };
        let answer = self.api.call(&route, Some(&body)).await?;
        let created: Created = serde_json::from_slice(&answer).map_err(|error| {
            SendOutcome::Unknown { error: format!("the answer cannot be read: {error}") }
        })?;
        Ok(created.id.to_string())
    }

    /// Returns the channel that a destination is.
    async fn channel(&self, to: &Destination) -> Result<Id<ChannelMarker>, SendOutcome> {
        let text = to.thread.as_deref().unwrap_or(&to.peer);
        let is_person = to.thread.is_none() && to.kind == ChatType::Direct;
        if let Some(id) = text.strip_prefix("user:") {
            return self.direct(parse(id)?).await;
        }
        if let Some(id) = text.strip_prefix("channel:") {
            return Ok(parse(id)?.cast());
        }
        if is_person { self.direct(parse(text)?).await } else { Ok(parse(text)?.cast()) }
    }

    /// Returns the channel of a person's conversation with the bot.
    async fn direct(&self, user: Id<UserMarker>) -> Result<Id<ChannelMarker>, SendOutcome> {
        let known = self.direct.lock().unwrap_or_else(PoisonError::into_inner).get(&user).copied();
        if let Some(channel) = known {
            return Ok(channel);
        }
        let body = json!({ "recipient_id": user });
        let answer = self.api.call(&Route::CreatePrivateChannel, Some(&body)).await;
        // Whatever became of it, no message was sent, and asking again creates nothing twice.
        let answer = answer.map_err(|outcome| match outcome {
            SendOutcome::Unknown { error } => SendOutcome::Retry { after: None, error },
            other => other,
        })?;
        let created: Created<ChannelMarker> = serde_json::from_slice(&answer).map_err(|error| {
            let error = format!("the answer cannot be read: {error}");
            SendOutcome::Retry { after: None, error }
        })?;
        self.learn_direct(user, created.id);
        Ok(created.id)
    }

    fn learn_direct(&self, user: Id<UserMarker>, channel: Id<ChannelMarker>) {
        let mut direct = self.direct.lock().unwrap_or_else(PoisonError::into_inner);
        if direct.len() >= MAX_DIRECT {
            direct.clear();
        }
        direct.insert(user, channel);
    }
}

/// What was created.
#[derive(Debug, Deserialize)]
#[serde(bound = "")]
struct Created<T = twilight_model::id::marker::MessageMarker> {
    id: Id<T>,
}

fn parse(id: &str) -> Result<Id<UserMarker>, SendOutcome> {
    id.parse().map_err(|_bad| SendOutcome::Permanent {
        error: "the destination is not the id of anything on Discord".to_owned(),
        kind: PermanentKind::Invalid,
    })
}

impl Channel for Discord {
    fn name(&self) -> &str {
        NAME
    }

    fn account(&self) -> &str {
        &self.account
    }

    fn dialect(&self) -> Dialect {
        Dialect::Discord
    }

    fn replay_window(&self) -> Option<Duration> {
        Some(REPLAY_WINDOW)
    }

    fn send<'a>(
        &'a self,
        to: &'a Destination,
        part: &'a Part,
        key: &'a str,
    ) -> BoxFuture<'a, SendOutcome> {
        let sent = self.try_send(to, part, key);
        sent.map(|sent| match sent {
            Ok(receipt) => SendOutcome::Sent { receipt },
            Err(outcome) => outcome,
        })
        .boxed()
    }

    fn typing<'a>(&'a self, to: &'a Destination) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let Ok(channel) = self.channel(to).await else { return };
            let route = Route::CreateTypingTrigger { channel_id: channel.get() };
            if let Err(outcome) = self.api.call(&route, None).await {
                debug!(channel.account = self.account, ?outcome, "typing was not shown");
            }
        })
    }

    fn fetch<'a>(
        &'a self,
        media: &'a Media,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        Box::pin(self.files.fetch(&media.id, limit))
    }

    fn listen<'a>(
        &'a self,
        ingress: &'a dyn Ingress,
        status: &'a dyn StatusSink,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, ListenEnd> {
        Box::pin(listen::listen(self, ingress, status, cancel))
    }

    fn check(&self) -> BoxFuture<'_, Result<Identity, SendOutcome>> {
        Box::pin(async {
            let answer = self.api.call(&Route::GetCurrentUser, None).await?;
            let me: event::Person = serde_json::from_slice(&answer).map_err(|error| {
                let error = format!("the answer cannot be read: {error}");
                SendOutcome::Retry { after: None, error }
            })?;
            Ok(Identity { id: me.id.to_string(), name: me.username })
        })
    }
}
