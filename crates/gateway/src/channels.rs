//! The chat platforms that the gateway speaks on, and its webhooks: who carries what leaves, and how each is doing.

mod carry;
mod commands;
mod destination;
mod ingress;
mod keep;
mod lane;
mod media;
mod part;
mod question;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_agents::tools::refusal;
use openclaw_channels::{
    Channel, Discord, DiscordOptions, Telegram, TelegramOptions, WebhookOptions, WebhookSender,
};
use openclaw_config::{ChatChannel, Config, Platform, Secret, WebhookSettings};
use openclaw_sessions::DEFAULT_ACCOUNT;
use openclaw_store::WEBHOOK;

use self::lane::Carrier;
use crate::settings::Environment;

pub(crate) use destination::{DestinationError, destination, reply_of};
pub(crate) use keep::Ground;
pub(crate) use lane::{Lane, LaneLine};
pub(crate) use question::{AskedAt, Asker, asked_at, buttons, elsewhere, question};

/// How long a platform may take for one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the gateway calls itself where it posts.
const USER_AGENT: &str = concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION"));

/// Everything that carries what leaves.
#[derive(Debug)]
pub(crate) struct Hub {
    ground: Ground,
    lanes: Mutex<BTreeMap<String, Arc<Lane>>>,
}

impl Hub {
    /// Has every configured channel work until the gateway stops: each by itself. One that cannot be used says so,
    /// and holds up no other.
    pub(crate) fn open(config: &Config, environment: &Environment, ground: Ground) -> Self {
        let hub = Self { ground, lanes: Mutex::default() };
        for (name, chat) in &config.channels().chats {
            hub.add(name, chat, environment);
        }
        let webhook = webhook(&config.channels().webhook, environment);
        hub.begin(webhook, &mut hub.lanes.lock().unwrap_or_else(PoisonError::into_inner));
        hub
    }

    /// Has one more chat platform work. What is there stays as it is.
    pub(crate) fn add(&self, name: &str, chat: &ChatChannel, environment: &Environment) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.contains_key(name) {
            return;
        }
        let lane = if chat.enabled {
            match platform(chat, environment) {
                Ok(platform) => {
                    Lane::new(name, Carrier::Chat(platform), "connecting", String::new())
                }
                Err(problem) => {
                    tracing::error!(channel = name, problem, "a channel cannot be used");
                    Lane::new(name, Carrier::None, "failed", problem)
                }
            }
        } else {
            Lane::new(name, Carrier::None, "disabled", String::new())
        };
        self.begin(lane, &mut lanes);
    }

    fn begin(&self, lane: Arc<Lane>, lanes: &mut BTreeMap<String, Arc<Lane>>) {
        if lane.is_usable() {
            self.ground.tasks.spawn(keep::keep(Arc::clone(&lane), self.ground.clone()));
        }
        lanes.insert(lane.name.clone(), lane);
    }

    /// Returns the channel of a name.
    pub(crate) fn lane(&self, name: &str) -> Option<Arc<Lane>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).get(name).map(Arc::clone)
    }

    /// Returns the channels.
    pub(crate) fn lanes(&self) -> Vec<Arc<Lane>> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.values().map(Arc::clone).collect()
    }
}

/// Makes what posts to URLs ready.
fn webhook(settings: &WebhookSettings, environment: &Environment) -> Arc<Lane> {
    let options = WebhookOptions {
        allow: settings.allow_addresses.iter().copied().collect(),
        ..WebhookOptions::new(refusal, USER_AGENT)
    };
    let secret = match &settings.secret {
        None => None,
        Some(key) => match environment.required(&key.env) {
            // What is to be signed does not leave without.
            Err(problem) => {
                tracing::error!(channel = WEBHOOK, problem, "a channel cannot be used");
                return Lane::new(WEBHOOK, Carrier::None, "failed", problem);
            }
            Ok(secret) => Some(Secret::new(secret.to_owned())),
        },
    };
    let carrier = Carrier::Webhook { sender: WebhookSender::new(options), secret };
    Lane::new(WEBHOOK, carrier, "ready", String::new())
}

/// Makes a chat platform ready.
fn platform(chat: &ChatChannel, environment: &Environment) -> Result<Arc<dyn Channel>, String> {
    let token = environment.required(&chat.token.env)?;
    let token = Secret::new(token.to_owned());
    let api_url = chat.api_url.as_ref().map(|url| url.as_str().to_owned());
    match chat.platform {
        Platform::Discord => {
            let options = DiscordOptions {
                api_url,
                gateway_url: chat.gateway_url.clone(),
                refuse: refusal,
                timeout: PATIENCE,
                ..DiscordOptions::new(DEFAULT_ACCOUNT, token)
            };
            let discord = Discord::new(options).map_err(|error| error.to_string())?;
            Ok(Arc::new(discord))
        }
        Platform::Telegram => {
            let options = TelegramOptions {
                api_url,
                timeout: PATIENCE,
                ..TelegramOptions::new(DEFAULT_ACCOUNT, token)
            };
            let telegram = Telegram::new(options).map_err(|error| error.to_string())?;
            Ok(Arc::new(telegram))
        }
    }
}
