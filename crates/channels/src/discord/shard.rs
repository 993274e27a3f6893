//! One connection to Discord's gateway: what it asks to hear, and which session it goes on with.

use tokio::sync::oneshot;
use twilight_gateway::queue::Queue;
use twilight_gateway::{ConfigBuilder, Intents, Session, Shard, ShardId};
use twilight_model::gateway::payload::outgoing::identify::IdentifyProperties;

use openclaw_config::Secret;

/// A session to go on with, and where.
#[derive(Debug)]
pub(super) struct Memory {
    resume_url: Option<String>,
    session: Session,
}

impl Memory {
    /// Returns the session that a connection had, if it can be gone on with.
    pub(super) fn of(shard: &Shard<Immediate>) -> Option<Self> {
        let resume_url = shard.resume_url().map(str::to_owned);
        shard.session().map(|session| Self { resume_url, session: session.clone() })
    }
}

/// Prepares a connection; it is made when it is first asked for a message.
pub(super) fn shard(token: &Secret, url: Option<&str>, memory: Option<Memory>) -> Shard<Immediate> {
    let intents = Intents::GUILDS
        | Intents::GUILD_MESSAGES
        | Intents::DIRECT_MESSAGES
        | Intents::MESSAGE_CONTENT;
    let properties = IdentifyProperties::new("openclaw", "openclaw", std::env::consts::OS);
    let mut config = ConfigBuilder::new(token.expose().to_owned(), intents)
        .queue(Immediate)
        .identify_properties(properties);
    if let Some(url) = url {
        config = config.proxy_url(url.trim_end_matches('/').to_owned());
    }
    if let Some(Memory { resume_url, session }) = memory {
        config = config.session(session);
        if let Some(url) = resume_url {
            config = config.resume_url(url);
        }
    }
    Shard::with_config(ShardId::ONE, config.build())
}

/// Lets the one shard identify at once: the waits between connections are ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Immediate;

impl Queue for Immediate {
    fn enqueue(&self, _shard: u32) -> oneshot::Receiver<()> {
        let (now, receiver) = oneshot::channel();
        let sent = now.send(());
        debug_assert!(sent.is_ok(), "the receiver is right here");
        receiver
    }
}
