//! One channel: who carries, how it is doing, and what has happened on it lately.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_channels::{Channel, ConnectionStatus, StatusSink, WebhookSender};
use openclaw_config::Secret;
use openclaw_scopes::Timestamp;
use openclaw_sessions::DEFAULT_ACCOUNT;
use tokio::sync::watch;

use crate::clock;

/// Lines of what has happened that are kept. Reason: a bad hour fits, and a busy channel costs 100 KiB at most.
const MAX_LINES: usize = 200;
/// Characters of an id or an error in a line.
const MAX_WORDS: usize = 300;
/// How long a stop is waited for: a little longer than what is at work may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// One channel.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) name: String,
    pub(crate) account: String,
    pub(super) carrier: Carrier,
    state: Mutex<LaneState>,
    lines: Mutex<VecDeque<LaneLine>>,
    /// The round that it is to be in.
    wanted: watch::Sender<Round>,
    /// The round that it is in.
    reached: watch::Sender<Round>,
}

/// Who carries.
#[derive(Debug)]
pub(super) enum Carrier {
    /// A chat platform.
    Chat(Arc<dyn Channel>),
    /// Nobody: the channel is switched off, or cannot be used.
    None,
    /// Posts to URLs.
    Webhook { sender: WebhookSender, secret: Option<Secret> },
}

/// A time for which a channel works, or does not.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Round {
    number: u64,
    pub(super) work: Work,
}

/// Whether a channel works.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Work {
    /// It hears and sends.
    On,
    /// It does neither: what is to be sent waits.
    Off,
}

/// Whether what is as it is to be begins again all the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Anew {
    No,
    Yes,
}

/// How a channel is doing.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LaneState {
    pub(crate) word: &'static str,
    pub(crate) error: String,
    pub(crate) since: Timestamp,
}

/// Something that has happened on a channel: never what was said, and no secret.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct LaneLine {
    pub(crate) at: Timestamp,
    pub(crate) event: &'static str,
    pub(crate) id: String,
    pub(crate) error: String,
}

/// What has happened with a message or a delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Happened {
    /// A delivery did not arrive, and is not tried again.
    Dead,
    /// A message was taken in.
    Heard,
    /// Somebody wrote who is not let in.
    Refused,
    /// A delivery arrived.
    Sent,
    /// Whether a delivery arrived cannot be told.
    Unknown,
    /// A delivery did not arrive, and is tried again.
    Waiting,
}

impl Happened {
    const fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Heard => "heard",
            Self::Refused => "refused",
            Self::Sent => "sent",
            Self::Unknown => "unknown",
            Self::Waiting => "waiting",
        }
    }
}

impl Lane {
    pub(super) fn new(
        name: &str,
        carrier: Carrier,
        word: &'static str,
        error: String,
    ) -> Arc<Self> {
        let state = LaneState { word, error, since: clock::now() };
        let first = LaneLine {
            at: state.since,
            event: word,
            id: String::new(),
            error: state.error.clone(),
        };
        let first_round = Round { number: 0, work: Work::On };
        Arc::new(Self {
            name: name.to_owned(),
            account: DEFAULT_ACCOUNT.to_owned(),
            carrier,
            state: Mutex::new(state),
            lines: Mutex::new([first].into()),
            wanted: watch::Sender::new(first_round),
            reached: watch::Sender::new(first_round),
        })
    }

    pub(crate) fn state(&self) -> LaneState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn becomes(&self, word: &'static str, error: String) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.word == word && state.error == error {
                return;
            }
            *state = LaneState { word, error: error.clone(), since: clock::now() };
        }
        self.note(word, String::new(), error);
    }

    /// Notes what has happened with a message or a delivery.
    pub(super) fn happened(&self, what: Happened, id: &str) {
        self.note(what.name(), id.to_owned(), String::new());
    }

    fn note(&self, event: &'static str, id: String, error: String) {
        let short = |text: String| text.chars().take(MAX_WORDS).collect();
        let line = LaneLine { at: clock::now(), event, id: short(id), error: short(error) };
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() >= MAX_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Returns what has happened last, the newest last.
    pub(crate) fn lines(&self, limit: usize) -> Vec<LaneLine> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().skip(lines.len().saturating_sub(limit)).cloned().collect()
    }

    /// Whether it can work at all, as it is configured.
    pub(crate) const fn is_usable(&self) -> bool {
        !matches!(self.carrier, Carrier::None)
    }

    /// Whether what is written for it now is likely to leave: it has neither failed nor been stopped.
    pub(crate) fn can_send(&self) -> bool {
        self.is_usable() && self.is_on() && self.state().word != "failed"
    }

    /// Has it work, if it does not, and waits until it has begun: what has failed begins anew.
    pub(crate) async fn start(&self) {
        let anew = if self.state().word == "failed" { Anew::Yes } else { Anew::No };
        self.turn(Work::On, anew);
        self.until_reached().await;
    }

    /// Has it hear and send nothing, and waits until that is so.
    pub(crate) async fn stop(&self) {
        // Before whoever works hears of it: the word that it has stopped is the later one.
        if self.is_on() && self.is_usable() {
            self.becomes("stopping", String::new());
        }
        self.turn(Work::Off, Anew::No);
        self.until_reached().await;
    }

    /// Has it be on or off.
    fn turn(&self, work: Work, anew: Anew) {
        self.wanted.send_if_modified(|wanted| {
            let is_new = wanted.work != work || anew == Anew::Yes;
            if is_new {
                *wanted = Round { number: wanted.number.saturating_add(1), work };
            }
            is_new
        });
    }

    async fn until_reached(&self) {
        let number = self.wanted.borrow().number;
        let mut reached = self.reached.subscribe();
        let is_reached = reached.wait_for(|reached| reached.number >= number);
        if self.is_usable() {
            // Whoever gives up waiting is told how it is by then.
            drop(tokio::time::timeout(PATIENCE, is_reached).await);
        }
    }

    /// Whether it is to hear and send.
    pub(super) fn is_on(&self) -> bool {
        self.wanted.borrow().work == Work::On
    }

    pub(super) fn wanted(&self) -> watch::Receiver<Round> {
        self.wanted.subscribe()
    }

    /// Notes in which round it is from now on.
    pub(super) fn reaches(&self, round: Round) {
        let word = match (round.work, &self.carrier) {
            (Work::Off, _) => "stopped",
            (Work::On, Carrier::Chat(_)) => "connecting",
            (Work::On, Carrier::None | Carrier::Webhook { .. }) => "ready",
        };
        self.becomes(word, String::new());
        self.reached.send_replace(round);
    }
}

impl StatusSink for Lane {
    fn status(&self, status: ConnectionStatus) {
        match status {
            ConnectionStatus::Connected => self.becomes("connected", String::new()),
            ConnectionStatus::Connecting => self.becomes("connecting", String::new()),
            ConnectionStatus::Reconnecting { error } => self.becomes("reconnecting", error),
            // Whoever listens tells why.
            ConnectionStatus::Stopped => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_each_is_short() {
        let lane = Lane::new("chat", Carrier::None, "connecting", String::new());
        lane.status(ConnectionStatus::Connected);
        lane.status(ConnectionStatus::Connected);
        lane.status(ConnectionStatus::Reconnecting { error: "e".repeat(1_000) });
        lane.happened(Happened::Heard, "7");
        let told: Vec<_> =
            lane.lines(3).into_iter().map(|it| (it.event, it.id, it.error.len())).collect();
        let expected = [("connected", 0), ("reconnecting", MAX_WORDS)];
        let expected = expected.map(|(event, length)| (event, String::new(), length));
        assert_eq!(told[..2], expected, "what stays the same is told once");
        assert_eq!(told[2], ("heard", "7".to_owned(), 0));
        for number in 0..MAX_LINES {
            lane.happened(Happened::Sent, &number.to_string());
        }
        let lines = lane.lines(usize::MAX);
        assert_eq!((lines.len(), lines[0].id.as_str()), (MAX_LINES, "0"));
        assert_eq!(lane.lines(0), []);
    }
}
