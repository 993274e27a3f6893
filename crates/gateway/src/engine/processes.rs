//! Commands in the background: who has which, what they say, and what their conversations are told.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use openclaw_agents::exec::Said;
use openclaw_agents::tools::{Background, BackgroundEnd, Processes};
use openclaw_scopes::{GrantHolder, RunId, SessionKey, Timestamp};
use openclaw_sessions::RunStatus;
use openclaw_store::{NewProcess, ProcessEnd};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::task::Tasks;
use crate::{clock, secrets};

/// Commands in the background at once, of one conversation and of all: each is a tree of processes.
const MAX_OF_SESSION: usize = 10;
const MAX_OF_ALL: usize = 64;
/// How long, and how many, are kept that have ended (`runtime.md` §5.7 of the reference).
const KEPT: Duration = Duration::from_mins(30);
const MAX_ENDED: usize = 50;
/// Bytes that one look shows at most, as they stand in JSON: less than any result of a tool may have.
const MAX_NEWS: usize = 32 * 1024;
/// Bytes of its last words that a conversation is told with a command's end.
const TAIL: usize = 2_000;
/// How long whoever ends a command waits for that: longer than its helper may take.
const PATIENCE: Duration = Duration::from_secs(25);

/// All commands in the background.
#[derive(Debug, Default)]
pub(super) struct Registry {
    entries: Mutex<BTreeMap<String, Arc<Entry>>>,
    /// Set by a stop: what ends from now on is told after the next start.
    is_left: CancellationToken,
    tasks: Tasks,
}

#[derive(Debug)]
struct Entry {
    id: String,
    command: String,
    session: SessionKey,
    run: RunId,
    holder: GrantHolder,
    said: Arc<Said>,
    started: Timestamp,
    stop: CancellationToken,
    /// Whether somebody ended it: then nobody is told.
    is_quiet: CancellationToken,
    ended: watch::Sender<Option<(BackgroundEnd, Timestamp)>>,
    /// Up to where it was looked at.
    seen: Mutex<u64>,
}

impl Entry {
    fn end(&self) -> Option<(BackgroundEnd, Timestamp)> {
        self.ended.borrow().clone()
    }

    fn row(&self) -> Value {
        let end = self.end();
        json!({
            "id": self.id,
            "command": self.command,
            "status": if end.is_some() { "ended" } else { "running" },
            "end": end.map(|(end, _)| end.how),
            "startedAt": clock::rfc3339(self.started),
        })
    }

    /// Returns what it said since somebody last looked.
    fn news(&self) -> Value {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let (text, missed, place) = self.said.after(*seen);
        *seen = place;
        // What is older is missed, and said to be: a result that is cut elsewhere would not say it.
        let shown = newest(&text, MAX_NEWS);
        let cut = u64::try_from(text.len().saturating_sub(shown.len())).unwrap_or(u64::MAX);
        let missed = missed.saturating_add(cut);
        let mut row = self.row();
        if let Some(row) = row.as_object_mut() {
            row.insert("output".to_owned(), shown.into());
            if missed > 0 {
                row.insert("bytesMissed".to_owned(), missed.into());
            }
        }
        row
    }

    async fn until_ended(&self, limit: Duration) {
        let mut ended = self.ended.subscribe();
        drop(tokio::time::timeout(limit, ended.wait_for(Option::is_some)).await);
    }
}

/// Returns the end of a text that has at most so many bytes in JSON.
fn newest(text: &str, max: usize) -> &str {
    let in_json = |c: char| match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => 2,
        '\0'..='\x1f' => 6,
        c => c.len_utf8(),
    };
    let mut room = max;
    for (at, c) in text.char_indices().rev() {
        let Some(left) = room.checked_sub(in_json(c)) else {
            return text.get(at.saturating_add(c.len_utf8())..).unwrap_or_default();
        };
        room = left;
    }
    text
}

impl Registry {
    fn all(&self, which: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.values().filter(|entry| which(entry)).map(Arc::clone).collect()
    }

    fn room(&self, session: &SessionKey) -> Result<(), String> {
        let running = self.all(|entry| entry.end().is_none());
        let own = running.iter().filter(|entry| entry.session == *session).count();
        if own >= MAX_OF_SESSION || running.len() >= MAX_OF_ALL {
            let (count, whose) = match own {
                MAX_OF_SESSION.. => (own, "of this conversation "),
                _ => (running.len(), ""),
            };
            return Err(format!("{count} commands {whose}run in the background already; end one"));
        }
        Ok(())
    }

    fn insert(&self, entry: Arc<Entry>, now: Timestamp) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let old = now.saturating_sub(KEPT);
        entries.retain(|_, entry| entry.end().is_none_or(|(_, at)| at > old));
        let mut ended: Vec<_> = entries
            .values()
            .filter_map(|entry| entry.end().map(|(_, at)| (at, entry.id.clone())))
            .collect();
        ended.sort_unstable();
        for (_, id) in ended.iter().rev().skip(MAX_ENDED) {
            entries.remove(id);
        }
        entries.insert(entry.id.clone(), entry);
    }

    /// Ends those of which nobody is to be told any more.
    fn end(&self, which: impl Fn(&Entry) -> bool) -> Vec<Arc<Entry>> {
        let ended = self.all(|entry| entry.end().is_none() && which(entry));
        for entry in &ended {
            entry.is_quiet.cancel();
            entry.stop.cancel();
        }
        ended
    }

    fn forget(&self, session: &SessionKey) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|_, entry| entry.session != *session);
    }

    /// Ends all of them, because the gateway stops: their conversations are told after the next start.
    pub(super) async fn leave(&self) {
        self.is_left.cancel();
        self.all(|_| true).iter().for_each(|entry| entry.stop.cancel());
        drop(tokio::time::timeout(Duration::from_secs(5), self.tasks.settled()).await);
    }
}

impl Engine {
    /// Ends the commands of a conversation, and waits for that.
    pub(crate) async fn end_commands(&self, session: &SessionKey) {
        for entry in self.0.processes.end(|entry| entry.session == *session) {
            entry.until_ended(PATIENCE).await;
        }
        // Whoever opens a conversation under the same key finds nothing of this one.
        self.0.processes.forget(session);
    }

    /// Ends the commands that a run left behind, and waits for that.
    pub(super) async fn end_commands_of(&self, run: &RunId) {
        for entry in self.0.processes.end(|entry| entry.run == *run) {
            entry.until_ended(PATIENCE).await;
        }
    }

    /// Ends the commands that rest on a grant.
    pub(super) fn end_commands_for(&self, holder: &GrantHolder) {
        self.0.processes.end(|entry| entry.holder == *holder);
    }

    /// Waits for a command's end, and has its conversation told.
    async fn follow(self, entry: Arc<Entry>, mut process: Background, notify: bool) {
        let end = process.ended().await;
        let now = clock::now();
        if self.0.processes.is_left.is_cancelled() && !entry.is_quiet.is_cancelled() {
            // It stays noted as running: the next start tells that it is lost.
            entry.ended.send_replace(Some((end, now)));
            return;
        }
        let (text, ..) = entry.said.after(0);
        let is_told = notify
            && !entry.is_quiet.is_cancelled()
            && (!end.is_success || !text.trim().is_empty());
        let tail = text.get(text.ceil_char_boundary(text.len().saturating_sub(TAIL))..);
        let told = is_told.then(|| ProcessEnd {
            status: if end.is_success { RunStatus::Ok } else { RunStatus::Error },
            text: exec_words(&entry.id, &end, tail.unwrap_or_default()),
        });
        let ended = self.0.store.process_ended(entry.id.clone(), told, now).await;
        entry.ended.send_replace(Some((end, now)));
        match ended {
            Ok(Some(session)) => self.announce(&session).await,
            Ok(None) => {}
            Err(error) => tracing::error!(process = entry.id, ?error, "an end could not be noted"),
        }
    }
}

/// Says how a command ended (`runtime.md` §5.7 of the reference), and what it said last.
fn exec_words(id: &str, end: &BackgroundEnd, tail: &str) -> String {
    let id: String = id.trim_start_matches("exec-").chars().take(8).collect();
    let how = end.how.strip_prefix("exit ").unwrap_or(&end.how);
    let word = if end.is_success { "completed" } else { "failed" };
    let tail = tail.trim();
    let gap = if tail.is_empty() { "" } else { " :: " };
    format!("Exec {word} ({id}, {how}){gap}{tail}")
}

/// Commands in the background, for one run.
#[derive(Debug)]
pub(super) struct RunProcesses {
    pub(super) engine: Engine,
    pub(super) run: RunId,
    pub(super) session: SessionKey,
    pub(super) holder: GrantHolder,
    pub(super) notify: bool,
}

impl RunProcesses {
    fn find(&self, id: Option<&str>) -> Result<Arc<Entry>, Value> {
        let is_meant = |it: &Entry| id.is_none_or(|id| it.id == id);
        let own = self.engine.0.processes.all(|it| it.session == self.session && is_meant(it));
        own.into_iter().max_by_key(|it| it.started).ok_or_else(|| {
            let id: String = id.unwrap_or_default().chars().take(64).collect();
            json!({ "status": "error", "error": format!("this conversation has no command `{id}`") })
        })
    }

    /// What was told of its end is withdrawn: whoever looks has seen it.
    async fn look(&self, entry: &Entry) -> Value {
        if entry.end().is_some() {
            let seen = self.engine.0.store.process_seen(entry.id.clone(), clock::now()).await;
            if let Err(error) = seen {
                tracing::warn!(process = entry.id, ?error, "a notice could not be withdrawn");
            }
        }
        entry.news()
    }
}

impl Processes for RunProcesses {
    fn room(&self) -> Result<(), String> {
        self.engine.0.processes.room(&self.session)
    }

    fn adopt(&self, process: Background) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            self.room()?;
            let id = secrets::hex::<8>().map_err(|_told| "internal error".to_owned())?;
            let id = format!("exec-{id}");
            let (said, now) = (process.said(), clock::now());
            let new = NewProcess {
                id: id.clone(),
                command: process.command().to_owned(),
                told: self.engine.told_in(&self.session),
                notify: self.notify,
            };
            let began = self.engine.0.store.process_began(self.run.clone(), new, now).await;
            began.map_err(|_fenced| "the run does not work any more".to_owned())?;
            let entry = Arc::new(Entry {
                id: id.clone(),
                command: process.command().chars().take(200).collect(),
                session: self.session.clone(),
                run: self.run.clone(),
                holder: self.holder.clone(),
                started: now,
                stop: process.stopper(),
                is_quiet: CancellationToken::new(),
                ended: watch::Sender::new(None),
                seen: Mutex::new(process.seen()),
                said,
            });
            let registry = &self.engine.0.processes;
            registry.insert(Arc::clone(&entry), now);
            // What it belongs to may have ended while this was noted.
            if self.engine.find(&self.run).is_none_or(|live| live.stopped().is_some()) {
                entry.is_quiet.cancel();
                entry.stop.cancel();
            }
            registry.tasks.spawn(self.engine.clone().follow(entry, process, self.notify));
            Ok(id)
        })
    }

    fn list(&self) -> Value {
        let own = self.engine.0.processes.all(|entry| entry.session == self.session);
        json!({ "processes": own.iter().map(|entry| entry.row()).collect::<Vec<_>>() })
    }

    fn poll(&self, id: Option<String>, limit: Duration) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            match self.find(id.as_deref()) {
                Ok(entry) => {
                    entry.until_ended(limit).await;
                    self.look(&entry).await
                }
                Err(refusal) => refusal,
            }
        })
    }

    fn kill(&self, id: Option<String>) -> BoxFuture<'_, Value> {
        Box::pin(async move {
            match self.find(id.as_deref()) {
                Ok(entry) => {
                    self.engine.0.processes.end(|other| other.id == entry.id);
                    entry.until_ended(PATIENCE).await;
                    self.look(&entry).await
                }
                Err(refusal) => refusal,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::newest;

    #[test]
    fn the_newest_is_shown_and_counted_as_json() {
        for text in ["", "plain", "\u{1b}[2J\n\t\"x\"", "größer\u{8}\u{c}\r\0"] {
            let json = serde_json::to_string(text).unwrap().len() - 2;
            assert_eq!(newest(text, json), text);
            assert!(text.is_empty() || newest(text, json - 1).len() < text.len(), "{text:?}");
        }
        assert_eq!(newest("abc\u{1b}\u{1b}", 12), "\u{1b}\u{1b}");
        assert_eq!(newest("abc\u{1b}\u{1b}", 11), "\u{1b}");
        assert_eq!(newest("ßß", 3), "ß");
    }
}
