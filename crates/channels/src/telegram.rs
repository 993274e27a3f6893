//! Telegram: messages over its bot interface, and what people say by long polling.

mod api;
mod compose;
mod listen;
mod update;

use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info};

use openclaw_config::Secret;

use crate::backoff::Backoff;
use crate::fetch::FetchError;
use crate::inbound::Media;
use crate::port::{
    Channel, ConnectError, Destination, Identity, Ingress, ListenEnd, Part, SendOutcome, StatusSink,
};
use crate::text::{Dialect, units};

use api::{Api, Refusal};
use compose::{Chat, Form};

/// The name of the channel.
const NAME: &str = "telegram";

/// The least UTF-16 units of a text that may be a part of a longer one: the platform cuts at 4096, and before a
/// space where there is one.
const LONG: usize = 4000;

/// How an account on Telegram is reached.
#[derive(Debug)]
pub struct TelegramOptions {
    /// The account, as the gateway calls it.
    pub account: String,
    /// Where the bot interface is; absent, at Telegram.
    pub api_url: Option<String>,
    /// The wait before a new attempt to listen.
    pub backoff: Backoff,
    /// How long one question for news is held open: whole seconds.
    pub poll: Duration,
    /// How long one request may take once it is connected.
    pub timeout: Duration,
    /// The token of the bot.
    pub token: Secret,
}

impl TelegramOptions {
    /// An account at Telegram itself.
    pub fn new(account: &str, token: Secret) -> Self {
        Self {
            account: account.to_owned(),
            api_url: None,
            backoff: Backoff::default(),
            poll: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            token,
        }
    }
}

/// An account on Telegram.
#[derive(Debug)]
pub struct Telegram {
    account: String,
    api: Api,
    backoff: Backoff,
}

impl Telegram {
    /// Prepares an account; nothing is sent yet.
    ///
    /// # Errors
    /// When the address is none, the token cannot be sent, or TLS cannot be set up.
    pub fn new(options: TelegramOptions) -> Result<Self, ConnectError> {
        let api = Api::new(&options)?;
        Ok(Self { account: options.account, api, backoff: options.backoff })
    }

    /// Sends a part: as it is, or, where that is refused, in the plainest form that says the same.
    ///
    /// A refusal means that nothing was sent, so that another form cannot be a second message.
    async fn try_send(&self, to: &Destination, part: &Part) -> Result<String, SendOutcome> {
        let mut chat = Chat::parse(to)?;
        let mut form = match part.media {
            None => Form::Text,
            Some(_) if units(&part.text) > Dialect::TelegramHtml.caption_limit() => Form::Link,
            Some(_) => Form::Media,
        };
        // Each turn answers one refusal: the group has moved, the media is not taken, the markup
        // is not.
        for _ in 0..3 {
            let (method, body) = compose::message(&chat, part, form)?;
            match self.api.send(method, body).await {
                Ok(receipt) => return Ok(receipt),
                Err(Refusal::Media(error)) if form == Form::Media => {
                    info!(channel.account = self.account, error, "media was not taken");
                    form = Form::Link;
                }
                Err(Refusal::Markup(error)) if form != Form::Plain => {
                    info!(channel.account = self.account, error, "markup was not taken");
                    form = Form::Plain;
                }
                Err(Refusal::Moved(id)) => {
                    info!(channel.account = self.account, "the group has a new id");
                    chat = chat.moved(id);
                }
                Err(refusal) => return Err(refusal.into()),
            }
        }
        let (method, body) = compose::message(&chat, part, form)?;
        Ok(self.api.send(method, body).await?)
    }
}

impl Channel for Telegram {
    fn name(&self) -> &str {
        NAME
    }

    fn account(&self) -> &str {
        &self.account
    }

    fn dialect(&self) -> Dialect {
        Dialect::TelegramHtml
    }

    fn replay_window(&self) -> Option<Duration> {
        None
    }

    fn may_go_on(&self, text: &str) -> bool {
        units(text) >= LONG
    }

    fn send<'a>(
        &'a self,
        to: &'a Destination,
        part: &'a Part,
        _key: &'a str,
    ) -> BoxFuture<'a, SendOutcome> {
        Box::pin(async {
            match self.try_send(to, part).await {
                Ok(receipt) => SendOutcome::Sent { receipt },
                Err(outcome) => outcome,
            }
        })
    }

    fn typing<'a>(&'a self, to: &'a Destination) -> BoxFuture<'a, ()> {
        Box::pin(async {
            let Ok(chat) = Chat::parse(to) else { return };
            if let Err(refusal) = self.api.typing(compose::typing(&chat)).await {
                debug!(channel.account = self.account, ?refusal, "typing was not shown");
            }
        })
    }

    fn fetch<'a>(
        &'a self,
        media: &'a Media,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<u8>, FetchError>> {
        Box::pin(self.api.file(&media.id, limit))
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
            let me = self.api.me().await?;
            Ok(Identity { id: me.id.to_string(), name: me.username.unwrap_or(me.first_name) })
        })
    }
}
