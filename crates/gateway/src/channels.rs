//! The chat platforms that the gateway speaks on, and its webhooks: who carries what leaves, and how each is doing.

mod carry;
mod commands;
mod destination;
mod ingress;
mod media;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_agents::tools::refusal;
use openclaw_channels::{
    Channel, ConnectionStatus, Discord, DiscordOptions, ListenEnd, StatusSink, Telegram,
    TelegramOptions, WebhookOptions, WebhookSender,
};
use openclaw_config::{ChatChannel, Config, Platform, Secret};
use openclaw_scopes::Timestamp;
use openclaw_sessions::DEFAULT_ACCOUNT;
use openclaw_store::{Store, WEBHOOK};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::engine::Engine;
use crate::settings::Environment;
use crate::task::Tasks;

pub(crate) use destination::{destination, reply_of};

/// How long a platform may take for one request.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the gateway calls itself where it posts.
const USER_AGENT: &str = concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION"));

/// Everything that carries what leaves.
#[derive(Debug)]
pub(crate) struct Hub {
    lanes: BTreeMap<String, Arc<Lane>>,
}

/// One channel.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) account: String,
    carrier: Carrier,
    state: Mutex<LaneState>,
}

/// Who carries.
#[derive(Debug)]
enum Carrier {
    /// A chat platform.
    Chat(Arc<dyn Channel>),
    /// Nobody: the channel is switched off, or cannot be used.
    None,
    /// Posts to URLs.
    Webhook { sender: WebhookSender, secret: Option<Secret> },
}

/// How a channel is doing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LaneState {
    pub(crate) word: &'static str,
    pub(crate) error: String,
    pub(crate) since: Timestamp,
}

impl Lane {
    fn new(name: &str, carrier: Carrier, word: &'static str, error: String) -> Arc<Self> {
        let state = LaneState { word, error, since: clock::now() };
        Arc::new(Self {
            name: name.to_owned(),
            account: DEFAULT_ACCOUNT.to_owned(),
            carrier,
            state: Mutex::new(state),
        })
    }

    pub(crate) fn state(&self) -> LaneState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn becomes(&self, word: &'static str, error: String) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.word != word || state.error != error {
            *state = LaneState { word, error, since: clock::now() };
        }
    }
}

impl StatusSink for Lane {
    fn status(&self, status: ConnectionStatus) {
        match status {
            ConnectionStatus::Connected => self.becomes("connected", String::new()),
            ConnectionStatus::Connecting => self.becomes("connecting", String::new()),
            ConnectionStatus::Reconnecting { error } => self.becomes("reconnecting", error),
            ConnectionStatus::Stopped => self.becomes("stopped", String::new()),
        }
    }
}

impl Hub {
    /// Makes every configured channel ready. One that cannot be used says so, and holds up no other.
    pub(crate) fn new(config: &Config, environment: &Environment) -> Self {
        let mut lanes = BTreeMap::new();
        for (name, chat) in &config.channels().chats {
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
            lanes.insert(name.clone(), lane);
        }
        let settings = &config.channels().webhook;
        let options = WebhookOptions {
            allow: settings.allow_addresses.iter().copied().collect(),
            ..WebhookOptions::new(refusal, USER_AGENT)
        };
        let key = settings.secret.as_ref().map(|key| (key, environment.get(&key.env)));
        let lane = match key {
            // What is to be signed does not leave without.
            Some((key, None)) => {
                let problem = format!("the environment variable `{}` is not set", key.env);
                tracing::error!(channel = WEBHOOK, problem, "a channel cannot be used");
                Lane::new(WEBHOOK, Carrier::None, "failed", problem)
            }
            Some((_, Some(secret))) => {
                let (sender, secret) =
                    (WebhookSender::new(options), Some(Secret::new(secret.to_owned())));
                Lane::new(WEBHOOK, Carrier::Webhook { sender, secret }, "ready", String::new())
            }
            None => {
                let carrier =
                    Carrier::Webhook { sender: WebhookSender::new(options), secret: None };
                Lane::new(WEBHOOK, carrier, "ready", String::new())
            }
        };
        lanes.insert(WEBHOOK.to_owned(), lane);
        Self { lanes }
    }

    /// Iterates over the channels.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = &Arc<Lane>> {
        self.lanes.values()
    }

    /// Carries what leaves and takes in what comes, until the gateway stops: each channel by itself.
    pub(crate) fn open(
        &self,
        tasks: &Tasks,
        engine: &Engine,
        store: &Store,
        stop: &CancellationToken,
    ) {
        for lane in self.lanes() {
            tasks.spawn(carry::carry(
                Arc::clone(lane),
                engine.clone(),
                store.clone(),
                stop.clone(),
            ));
            let Carrier::Chat(chat) = &lane.carrier else { continue };
            let door = ingress::Door {
                allowance: media::Allowance::default(),
                lane: Arc::clone(lane),
                chat: Arc::clone(chat),
                engine: engine.clone(),
                store: store.clone(),
                tasks: tasks.clone(),
            };
            tasks.spawn(listen(door, stop.clone()));
        }
    }
}

/// Takes in what comes on a channel until the gateway stops.
async fn listen(door: ingress::Door, stop: CancellationToken) {
    let end = door.chat.listen(&door, &*door.lane, &stop).await;
    match end {
        ListenEnd::Cancelled => door.lane.becomes("stopped", String::new()),
        ListenEnd::Fatal { error } => {
            tracing::error!(channel = door.lane.name, error, "a channel has failed");
            door.lane.becomes("failed", error);
        }
    }
}

/// Makes a chat platform ready.
fn platform(chat: &ChatChannel, environment: &Environment) -> Result<Arc<dyn Channel>, String> {
    let token = environment.get(&chat.token.env);
    let token =
        token.ok_or_else(|| format!("the environment variable `{}` is not set", chat.token.env))?;
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
