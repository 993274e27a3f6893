//! What becomes of messages that come in one after the other, and of those that find their conversation busy.

use std::collections::BTreeMap;
use std::time::Duration;

/// What becomes of what comes in from chats.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct InboundSettings {
    /// How long it has to be quiet before what somebody wrote is answered; zero for at once.
    pub debounce: Duration,
    /// The same for single channels, by their names in lower case.
    pub by_channel: BTreeMap<String, Duration>,
    /// What the files that came with messages may take for each agent, in bytes; zero when none are kept.
    pub max_media_bytes: u64,
}

impl InboundSettings {
    /// Returns how long it has to be quiet on a channel.
    pub fn of_channel(&self, channel: &str) -> Duration {
        self.by_channel.get(&channel.to_lowercase()).copied().unwrap_or(self.debounce)
    }
}

/// What becomes of messages that come in while their conversation is busy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QueueSettings {
    /// How they are taken.
    pub mode: QueueMode,
    /// The same for single channels, by their names in lower case.
    pub by_channel: BTreeMap<String, QueueMode>,
    /// How long it has to be quiet before messages that were collected are answered.
    pub debounce: Duration,
    /// How many may wait in one conversation.
    pub cap: usize,
    /// What gives way when more come.
    pub drop: QueueDrop,
}

impl QueueSettings {
    /// Returns how messages of a channel are taken.
    pub fn of_channel(&self, channel: &str) -> QueueMode {
        self.by_channel.get(&channel.to_lowercase()).copied().unwrap_or(self.mode)
    }
}

/// How a message is taken that comes in while its conversation is busy.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum QueueMode {
    /// All that wait are answered in one turn.
    Collect,
    /// Each has a turn of its own, one after the other.
    Followup,
    /// The turn at work is ended, and the newest message has the next one.
    Interrupt,
    /// The turn at work takes it in before its next step.
    #[default]
    Steer,
}

impl QueueMode {
    pub(crate) const ALL: [Self; 4] = [Self::Steer, Self::Followup, Self::Collect, Self::Interrupt];

    /// Returns the value of `messages.queue.mode`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Followup => "followup",
            Self::Interrupt => "interrupt",
            Self::Steer => "steer",
        }
    }
}

/// What gives way when more messages wait in a conversation than may.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum QueueDrop {
    /// The one that comes: whoever sends it is told.
    #[default]
    New,
    /// The oldest one of whoever sends it.
    Old,
    /// The same, and the beginning of what it said is told with the one that comes.
    Summarize,
}

impl QueueDrop {
    pub(crate) const ALL: [Self; 3] = [Self::New, Self::Old, Self::Summarize];

    /// Returns the value of `messages.queue.drop`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Old => "old",
            Self::Summarize => "summarize",
        }
    }
}
