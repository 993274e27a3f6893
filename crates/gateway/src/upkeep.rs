//! What is not needed any more: conversations of jobs, hooks and plugins that nobody uses, and files of deleted
//! conversations when the disk budget is used up. Conversations of people are never among it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use openclaw_config::Maintenance;
use openclaw_scopes::{Caller, SessionKey, Timestamp};
use openclaw_store::{ActError, Archive, DeleteSession, SessionError, Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::engine::Engine;
use crate::task::Tasks;

/// How often is looked (`runtime.md` §1.11 of the reference).
const EVERY: Duration = Duration::from_secs(30 * 60);

/// Down to which part of the budget files are removed, in percent: so that the next one does not begin it
/// again.
const LOW_WATER: u64 = 80;

/// What is not needed any more.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Unneeded {
    /// Conversations.
    pub(crate) sessions: Vec<SessionKey>,
    /// Since when those were not used.
    pub(crate) since: Option<Timestamp>,
    /// Files of deleted conversations, the oldest first, with their sizes.
    pub(crate) files: Vec<(PathBuf, u64)>,
    /// What the database and the files take now, in bytes.
    pub(crate) bytes: u64,
}

impl Unneeded {
    /// Returns what the files take, in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, (_, size)| sum.saturating_add(*size))
    }
}

/// Looks for what is not needed any more.
pub(crate) fn look(
    store: &Store,
    state_dir: &Path,
    settings: &Maintenance,
) -> Result<Unneeded, StoreError> {
    let since = settings.prune_after.map(|after| clock::now().saturating_sub(after));
    let sessions = since.map_or_else(|| Ok(Vec::new()), |since| store.unused_passing(since))?;
    let mut files = archives(state_dir);
    files.sort_unstable();
    let bytes = files.iter().fold(store.size(), |sum, (_, size, _)| sum.saturating_add(*size));
    let mut left = bytes;
    let low = settings.max_disk_bytes.map(|most| (most, most / 100 * LOW_WATER));
    let is_needed = |left: u64| low.is_none_or(|(most, low)| bytes <= most || left <= low);
    let mut gone = Vec::new();
    for (_, size, path) in files {
        if is_needed(left) {
            break;
        }
        left = left.saturating_sub(size);
        gone.push((path, size));
    }
    Ok(Unneeded { sessions, since, files: gone, bytes })
}

/// Returns the files of deleted conversations: when each was written, its size and where it is.
fn archives(state_dir: &Path) -> Vec<(SystemTime, u64, PathBuf)> {
    let entries = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let agents = entries(&state_dir.join("agents"));
    let files = agents.flat_map(|agent| entries(&agent.path().join("archive")).collect::<Vec<_>>());
    let ours = files.filter(|file| file.file_name().to_string_lossy().ends_with(".jsonl.gz"));
    ours.filter_map(|file| {
        let about = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((about.modified().ok()?, about.len(), file.path()))
    })
    .collect()
}

/// Removes what is not needed any more; returns what of it is gone.
pub(crate) async fn remove(
    engine: &Engine,
    caller: &Caller,
    unneeded: Unneeded,
) -> Result<Unneeded, ActError<SessionError>> {
    let mut gone = Unneeded { bytes: unneeded.bytes, ..Unneeded::default() };
    for key in unneeded.sessions {
        let ask = DeleteSession {
            key: key.clone(),
            archive: Archive::Drop,
            unused_since: unneeded.since,
        };
        match engine.delete_session(caller, ask).await {
            Ok(()) => gone.sessions.push(key),
            // It was used, or deleted, meanwhile.
            Err(ActError::Failed(error)) => {
                tracing::debug!(session = %key, %error, "a session stays");
            }
            Err(error) => return Err(error),
        }
    }
    if !gone.sessions.is_empty() {
        // Those of their sub-agents.
        engine.reap().await;
    }
    for (path, size) in unneeded.files {
        match std::fs::remove_file(&path) {
            Ok(()) => {
                tracing::info!(path = %path.display(), "a file of a deleted session was removed");
                gone.files.push((path, size));
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a file could not be removed");
            }
        }
    }
    Ok(gone)
}

/// Starts looking, now and then again.
pub(crate) fn keep(
    tasks: &Tasks,
    engine: &Engine,
    store: &Store,
    state_dir: &Path,
    stop: &CancellationToken,
) {
    let (engine, store, stop) = (engine.clone(), store.clone(), stop.clone());
    let state_dir = state_dir.to_owned();
    tasks.spawn(async move {
        loop {
            once(&engine, &store, &state_dir).await;
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return,
            }
            // What found no place when it was to be told, and nothing has happened there since.
            engine.announce_all().await;
        }
    });
}

/// Removes what of the ledger of jobs is older than it is kept.
async fn sweep(store: &Store) {
    loop {
        match store.sweep_ledger(clock::now()).await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => return,
            Err(error) => return tracing::error!(?error, "the ledger of jobs could not be swept"),
        }
    }
}

/// Removes deliveries that settled longer ago than they are kept.
async fn sweep_deliveries(store: &Store) {
    loop {
        match store.sweep_deliveries(clock::now()).await {
            Ok(true) => tokio::task::yield_now().await,
            Ok(false) => return,
            Err(error) => return tracing::error!(?error, "deliveries could not be swept"),
        }
    }
}

/// Removes files that came with messages, where they are more than is kept.
fn sweep_media(engine: &Engine) {
    let roster = engine.roster();
    let budget = roster.config.inbound().max_media_bytes;
    for worker in roster.agents() {
        match worker.files().sweep_inbound(budget) {
            Ok(0) => {}
            Ok(files) => {
                tracing::info!(agent = %worker.agent.id, files, "files of messages were removed");
            }
            Err(error) => {
                tracing::warn!(agent = %worker.agent.id, %error, "files of messages stay");
            }
        }
    }
}

async fn once(engine: &Engine, store: &Store, state_dir: &Path) {
    sweep_media(engine);
    sweep(store).await;
    sweep_deliveries(store).await;
    let settings = engine.roster().config.session().maintenance;
    let unneeded = match look(store, state_dir, &settings) {
        Ok(unneeded) => unneeded,
        Err(error) => return tracing::error!(%error, "what is not needed any more is unknown"),
    };
    let freed = unneeded.file_bytes();
    if settings.max_disk_bytes.is_some_and(|most| unneeded.bytes.saturating_sub(freed) > most) {
        let bytes = unneeded.bytes;
        tracing::warn!(
            bytes,
            "the state directory is over its disk budget, and conversations stay"
        );
    }
    let Some(caller) = engine.reaper() else { return };
    match remove(engine, &caller, unneeded).await {
        Ok(Unneeded { sessions, files, .. }) if sessions.is_empty() && files.is_empty() => {}
        Ok(Unneeded { sessions, files, .. }) => {
            let (sessions, files) = (sessions.len(), files.len());
            tracing::info!(sessions, files, "what was not needed any more was removed");
        }
        Err(error) => tracing::error!(?error, "what is not needed any more could not be removed"),
    }
}
