//! The pictures that messages name, as models are shown them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64;
use openclaw_sessions::{FileType, INBOUND, Message, pictures};

use crate::tools::Workspace;

/// The messages of people whose pictures are shown, counted from the newest (`runtime.md` §2.9 of the reference: the
/// three before the question).
const MESSAGES: usize = 4;
/// Pictures that are shown with one request, and their bytes. Reason: what every provider takes.
const MAX_PICTURES: usize = 8;
const MAX_BYTES: usize = 15 * 1024 * 1024;
/// Bytes of one picture. Reason: what every provider takes.
const MAX_PICTURE: usize = 5 * 1024 * 1024;

/// What a picture costs of a model's context.
const TOKENS: u64 = 1_600;

/// A picture that a message names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Picture {
    /// It is not kept any more, or is not what it was.
    Gone {
        /// The name under which it was kept.
        name: String,
    },
    /// It is there.
    Kept {
        /// Its media type.
        mime: &'static str,
        /// Its content, in base 64.
        data: Arc<str>,
    },
}

impl Picture {
    /// Returns what is said in place of a picture that cannot be shown.
    pub(crate) fn gone(name: &str) -> String {
        format!("[{INBOUND}/{name} is not kept any more, and is not shown.]")
    }
}

/// The pictures of a request, by the places of the messages that name them.
#[derive(Clone, Debug, Default)]
pub struct Pictures(Arc<BTreeMap<usize, Vec<Picture>>>);

impl Pictures {
    /// Returns the tokens that they probably cost. Providers count about so many for a large one.
    pub fn tokens(&self) -> u64 {
        let kept = |picture: &&Picture| matches!(picture, Picture::Kept { .. });
        let count = self.0.values().flatten().filter(kept).count();
        u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(TOKENS)
    }

    /// Returns the pictures of the message at this place.
    pub(crate) fn at(&self, place: usize) -> &[Picture] {
        self.0.get(&place).map_or(&[], Vec::as_slice)
    }
}

impl FromIterator<(usize, Vec<Picture>)> for Pictures {
    fn from_iter<T: IntoIterator<Item = (usize, Vec<Picture>)>>(pictures: T) -> Self {
        Self(Arc::new(pictures.into_iter().collect()))
    }
}

/// Where the pictures are found that the messages of one run name.
#[derive(Debug)]
pub struct Album {
    /// What was read already: a run asks for the same ones with each step.
    read: Mutex<BTreeMap<String, Picture>>,
    workspace: Arc<Workspace>,
}

impl Album {
    /// Pictures are those that are kept in a workspace.
    pub fn new(workspace: Arc<Workspace>) -> Self {
        Self { read: Mutex::default(), workspace }
    }

    /// Returns the pictures that the newest messages name, as far as they may be shown.
    pub(crate) async fn of(self: &Arc<Self>, messages: &[Arc<Message>]) -> Pictures {
        let named: Vec<(usize, Vec<String>)> = messages
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(place, message)| match &**message {
                Message::User { text } => {
                    Some((place, pictures(text).map(str::to_owned).collect()))
                }
                Message::Assistant { .. } | Message::Tool { .. } => None,
            })
            .take(MESSAGES)
            .filter(|(_, names): &(usize, Vec<String>)| !names.is_empty())
            .collect();
        if named.is_empty() {
            return Pictures::default();
        }
        let album = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || album.find(named)).await;
        found.unwrap_or_default()
    }

    fn find(&self, named: Vec<(usize, Vec<String>)>) -> Pictures {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut count, mut bytes) = (0_usize, 0_usize);
        let mut all = BTreeMap::new();
        for (place, names) in named {
            let mut shown = Vec::new();
            for name in names {
                if count >= MAX_PICTURES || bytes >= MAX_BYTES {
                    break;
                }
                let picture = read.entry(name).or_insert_with_key(|name| self.open(name)).clone();
                if let Picture::Kept { data, .. } = &picture {
                    let size = data.len() / 4 * 3;
                    if bytes.saturating_add(size) > MAX_BYTES {
                        continue;
                    }
                    (count, bytes) = (count.saturating_add(1), bytes.saturating_add(size));
                }
                shown.push(picture);
            }
            all.insert(place, shown);
        }
        all.into_iter().collect()
    }

    fn open(&self, name: &str) -> Picture {
        let content = self.workspace.read_inbound(name, MAX_PICTURE);
        match (FileType::of_picture(name), content) {
            // What it is its first bytes say, and its name says the same.
            (Some(kind), Some(content)) if FileType::of(&content) == kind => {
                Picture::Kept { mime: kind.mime, data: BASE64.encode(&content).into() }
            }
            (_, _) => Picture::Gone { name: name.to_owned() },
        }
    }
}

/// What a model takes beside text.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Input {
    /// Pictures.
    Pictures,
    /// Nothing.
    #[default]
    TextOnly,
}

#[cfg(test)]
mod tests {
    use openclaw_sessions::kept_line;

    use super::*;

    fn said(text: &str) -> Arc<Message> {
        Arc::new(Message::User { text: text.to_owned() })
    }

    #[tokio::test]
    //= docs/threat-model.md#T9
    async fn the_newest_messages_show_what_they_name() {
        let dir = tempfile::tempdir().unwrap();
        let workspace = Arc::new(Workspace::open(dir.path(), &[]).unwrap());
        let keep = |content: &[u8]| {
            let kept = workspace.keep_inbound(content, 1 << 40).unwrap();
            (kept_line(Some("x"), kept.kind, content.len(), &kept.name), kept.name)
        };
        let png = |more: &[u8]| [b"\x89PNG\r\n\x1a\n", more].concat();
        let (one, _) = keep(&png(b"one"));
        let (two, name) = keep(&png(b"two"));
        let (text, _) = keep(b"<html>");
        let (large, _) = keep(&png(&vec![0; MAX_PICTURE]));
        let album = Arc::new(Album::new(Arc::clone(&workspace)));
        let messages: Vec<_> = [&one, "a", &two, &text, &large].map(said).into();
        let found = album.of(&messages).await;
        assert_eq!(found.at(0), [], "it is an old message");
        assert!(matches!(found.at(2), [Picture::Kept { mime: "image/png", .. }]));
        assert_eq!(found.at(3), []);
        assert!(matches!(found.at(4), [Picture::Gone { .. }]), "no provider takes it");
        // Only what people say names pictures, and only so many are shown.
        let tool = Message::Assistant { text: one.clone(), tool_calls: Vec::new() };
        assert_eq!(album.of(&[Arc::new(tool)]).await.at(0), []);
        let many = said(&format!("{two}\n").repeat(20));
        assert_eq!(album.of(&[many]).await.at(0).len(), MAX_PICTURES);
        // What the agent has changed is not what was sent.
        std::fs::write(dir.path().join(INBOUND).join(&name), png(b"other")).unwrap();
        let album = Arc::new(Album::new(workspace));
        assert!(matches!(album.of(&messages).await.at(2), [Picture::Gone { .. }]));
    }
}
