//! What comes with messages: fetched for whoever is let in, kept in the agent's workspace, and named in the text.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openclaw_channels::{Channel, FetchError, Inbound, Media, MediaKind};
use openclaw_scopes::{ChatPerson, Timestamp};
use openclaw_sessions::{kept_line, missed_line, said};
use tokio::time::Instant;

use super::ingress::MAX_TEXT;
use crate::clock;
use crate::roster::Worker;

/// Files of one message that are fetched. Reason: an album has ten, and a model is shown no more than eight.
const MAX_FILES: usize = 8;
/// Files of one message that are named.
const MAX_NAMED: usize = 32;
/// Bytes of a picture, and of any other file. Reason: what providers and platforms take.
pub(crate) const MAX_PICTURE: usize = 5 * 1024 * 1024;
const MAX_FILE: usize = 20 * 1024 * 1024;
/// How long all files of a message may take: meanwhile nothing else is heard on its channel.
const PATIENCE: Duration = Duration::from_secs(15);
/// Bytes that are fetched in a day for one person who is no owner.
const PER_DAY: usize = 50 * 1024 * 1024;
/// People of whom that is known. Reason: in an open group there may be any number.
const MAX_PEOPLE: usize = 10_000;
/// Characters that are told of why a file is not there.
const MAX_WHY: usize = 160;

/// How much was fetched today, and for whom.
#[derive(Debug, Default)]
pub(super) struct Allowance(Mutex<Today>);

#[derive(Debug, Default)]
struct Today {
    day: i64,
    used: BTreeMap<ChatPerson, usize>,
}

impl Allowance {
    /// Sets aside what somebody may have fetched of so many bytes.
    fn reserve(&self, who: &ChatPerson, wanted: usize, now: Timestamp) -> usize {
        let mut today = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let day = now.as_millis().div_euclid(86_400_000);
        if today.day != day {
            *today = Today { day, used: BTreeMap::new() };
        }
        if today.used.len() >= MAX_PEOPLE && !today.used.contains_key(who) {
            return 0;
        }
        let used = today.used.entry(who.clone()).or_default();
        let reserved = wanted.min(PER_DAY.saturating_sub(*used));
        *used = used.saturating_add(reserved);
        reserved
    }

    /// Gives back what was set aside and not used.
    fn give_back(&self, who: &ChatPerson, unused: usize) {
        let mut today = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(used) = today.used.get_mut(who) {
            *used = used.saturating_sub(unused);
        }
    }
}

/// What was set aside for one file: what of it is not used is given back, also when the file comes too late.
struct Reserved<'a> {
    allowance: &'a Allowance,
    who: &'a ChatPerson,
    bytes: usize,
}

impl Reserved<'_> {
    /// So much of it is used.
    const fn spend(&mut self, used: usize) {
        self.bytes = self.bytes.saturating_sub(used);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.allowance.give_back(self.who, self.bytes);
    }
}

/// Who takes in what comes with a message.
pub(super) struct Intake<'a> {
    pub(super) allowance: &'a Allowance,
    /// Bytes that are kept for the agent; nothing is fetched when it is zero.
    pub(super) budget: u64,
    pub(super) chat: &'a dyn Channel,
    /// Who sent it, unless an owner did.
    pub(super) guest: Option<&'a ChatPerson>,
    pub(super) worker: Option<&'a Arc<Worker>>,
}

/// Returns what somebody wrote.
pub(super) fn text_of(message: &Inbound) -> String {
    let text = message.text.as_str().trim();
    said(text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or_default())
}

impl Intake<'_> {
    /// Fetches what came with a message, and returns its text with a line for each file.
    //= docs/threat-model.md#T26
    pub(super) async fn words(&self, mut text: String, message: &Inbound) -> String {
        let until = Instant::now().checked_add(PATIENCE);
        for (number, media) in message.media.iter().take(MAX_NAMED).enumerate() {
            let taken = if number < MAX_FILES {
                let fetched = self.take(media);
                match until {
                    Some(until) => tokio::time::timeout_at(until, fetched).await,
                    None => Ok(fetched.await),
                }
            } else {
                Ok(Err(format!("a message may bring {MAX_FILES} files")))
            };
            let line = match taken {
                Ok(Ok(line)) => line,
                Ok(Err(why)) => missed(media, &why),
                Err(_late) => missed(media, "it did not come in time"),
            };
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&line);
        }
        text
    }

    /// Fetches one file and keeps it; returns the line that names it, or why there is none.
    async fn take(&self, media: &Media) -> Result<String, String> {
        let worker = self.worker.ok_or("its agent is not configured")?;
        if self.budget == 0 {
            return Err("this gateway keeps no files".to_owned());
        }
        let most = if media.kind == MediaKind::Image { MAX_PICTURE } else { MAX_FILE };
        let too_large = || format!("it has more than {} MiB", most / (1024 * 1024));
        if media.size.is_some_and(|size| usize::try_from(size).map_or(true, |size| size > most)) {
            return Err(too_large());
        }
        let mut reserved = self.guest.map(|who| {
            let bytes = self.allowance.reserve(who, most, clock::now());
            Reserved { allowance: self.allowance, who, bytes }
        });
        let limit = reserved.as_ref().map_or(most, |reserved| reserved.bytes);
        if limit == 0 {
            return Err("its sender has sent as much as may be fetched in a day".to_owned());
        }
        let fetched = self.chat.fetch(media, limit).await;
        let used = match &fetched {
            Ok(content) => content.len(),
            Err(FetchError::TooLarge { .. }) => limit,
            Err(FetchError::Failed(_) | FetchError::Refused(_)) => 0,
        };
        if let Some(reserved) = &mut reserved {
            reserved.spend(used);
        }
        drop(reserved);
        let content = fetched.map_err(|error| match error {
            FetchError::TooLarge { limit } if limit >= most => too_large(),
            FetchError::TooLarge { .. } => {
                "its sender has sent as much as may be fetched in a day".to_owned()
            }
            FetchError::Failed(why) | FetchError::Refused(why) => why,
        })?;
        let (worker, budget, bytes) = (Arc::clone(worker), self.budget, content.len());
        let kept =
            tokio::task::spawn_blocking(move || worker.files().keep_inbound(&content, budget));
        match kept.await {
            Ok(Ok(kept)) => Ok(kept_line(media.name.as_deref(), kept.kind, bytes, &kept.name)),
            Ok(Err(error)) => {
                tracing::error!(%error, "a file that came with a message could not be kept");
                Err("it could not be kept".to_owned())
            }
            Err(_panicked) => Err("it could not be kept".to_owned()),
        }
    }
}

/// Returns the line that names a file that is not kept.
fn missed(media: &Media, why: &str) -> String {
    let class = match media.kind {
        MediaKind::Audio => "audio",
        MediaKind::File => "file",
        MediaKind::Image => "image",
        MediaKind::Video => "video",
    };
    let why: String = why.chars().filter(|c| !c.is_control()).take(MAX_WHY).collect();
    missed_line(media.name.as_deref(), class, media.mime.as_deref(), &said(&why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_so_much_for_each() {
        let allowance = Allowance::default();
        let person = |id| ChatPerson::new("telegram", "default", id).unwrap();
        let at = |days: i64| Timestamp::from_millis(days * 86_400_000);
        let (ada, bob) = (person("1"), person("2"));
        assert_eq!(allowance.reserve(&ada, PER_DAY - 10, at(1)), PER_DAY - 10);
        assert_eq!(allowance.reserve(&ada, 100, at(1)), 10);
        assert_eq!(allowance.reserve(&ada, 100, at(1)), 0);
        assert_eq!(allowance.reserve(&bob, 100, at(1)), 100);
        allowance.give_back(&ada, 7);
        assert_eq!(allowance.reserve(&ada, 100, at(1)), 7);
        assert_eq!(allowance.reserve(&ada, 100, at(2)), 100);
    }
}
