//! Removes what is left of deleted conversations, piece by piece, after what was said is in its file.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use openclaw_store::{Archive, Purged, Store, StoreError, Tombstone};

use crate::convert;
use crate::task::Tasks;

/// Entries that are read at once for the file.
const PAGE: u32 = 500;

/// Why a deleted conversation is still on the disk. It is tried again at the next start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PurgeError {
    /// The file could not be written.
    #[error("what was said could not be kept: {0}")]
    Archive(#[from] io::Error),
    /// The storage failed.
    #[error("{0}")]
    Store(String),
}

impl From<StoreError> for PurgeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// Returns where what was said in a deleted conversation is kept.
pub(crate) fn archive_path(state_dir: &Path, tombstone: &Tombstone) -> PathBuf {
    let agent = openclaw_sessions::agent_of(&tombstone.key);
    let agent = agent.map_or_else(|_| "main".to_owned(), |agent| agent.to_string());
    // A key may hold anything that a channel calls a room; a file name may not.
    let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    let name: String = tombstone.key.as_str().chars().take(120).map(safe).collect();
    let at = tombstone.deleted_at.as_millis();
    let file = format!("{name}.deleted.{at}.jsonl.gz");
    state_dir.join("agents").join(agent).join("archive").join(file)
}

/// Keeps what was said, if it is to be kept, and removes the rows; returns the file.
pub(crate) async fn purge(
    store: &Store,
    state_dir: &Path,
    tombstone: &Tombstone,
) -> Result<Option<PathBuf>, PurgeError> {
    let failed = |error: &dyn std::fmt::Debug| PurgeError::Store(format!("{error:?}"));
    let path = match tombstone.archive {
        Archive::Drop => None,
        Archive::Keep => {
            let path = archive_path(state_dir, tombstone);
            let (store, target, tombstone) = (store.clone(), path.clone(), tombstone.clone());
            let written =
                tokio::task::spawn_blocking(move || write(&store, &target, &tombstone)).await;
            written.map_err(|error| failed(&error))??;
            Some(path)
        }
    };
    if path.is_some() {
        store.archived(tombstone).await.map_err(|error| failed(&error))?;
    }
    while store.purge(tombstone).await.map_err(|error| failed(&error))? == Purged::InPart {}
    Ok(path)
}

/// Writes one line of JSON for each entry; the file appears only when it is complete and on the disk.
fn write(store: &Store, path: &Path, tombstone: &Tombstone) -> Result<(), PurgeError> {
    let directory = path.parent().unwrap_or(path);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let unfinished = path.with_extension("gz.new");
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    let mut encoder = GzEncoder::new(io::BufWriter::new(file), Compression::default());
    let mut next = 1;
    loop {
        let entries = store.buried(tombstone, next, PAGE)?;
        let Some(last) = entries.last() else { break };
        next = last.entry.saturating_add(1);
        for entry in entries {
            serde_json::to_writer(&mut encoder, &convert::archived(&entry))
                .map_err(io::Error::from)?;
            encoder.write_all(b"\n")?;
        }
    }
    let file = encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, path)?;
    std::fs::File::open(directory)?.sync_all()?;
    Ok(())
}

/// Removes what a stop left of deleted conversations.
pub(crate) fn resume(tasks: &Tasks, store: &Store, state_dir: &Path) {
    let left = match store.tombstones() {
        Ok(left) if left.is_empty() => return,
        Ok(left) => left,
        Err(error) => return tracing::error!(%error, "deleted sessions could not be listed"),
    };
    let (store, state_dir) = (store.clone(), state_dir.to_owned());
    tasks.spawn(async move {
        for tombstone in left {
            log(&tombstone, purge(&store, &state_dir, &tombstone).await);
        }
    });
}

/// Removes what is left of one of which nothing is kept, in the background.
pub(crate) fn later(tasks: &Tasks, store: Store, tombstone: Tombstone) {
    debug_assert!(tombstone.archive == Archive::Drop, "nothing of it is kept");
    tasks.spawn(async move {
        log(&tombstone, purge(&store, Path::new(""), &tombstone).await);
    });
}

pub(crate) fn log(tombstone: &Tombstone, purged: Result<Option<PathBuf>, PurgeError>) {
    match purged {
        Ok(_) => tracing::debug!(session = %tombstone.key, "a deleted session is gone"),
        Err(error) => {
            tracing::error!(session = %tombstone.key, %error, "a deleted session is still here");
        }
    }
}
