//! Files that a platform keeps for whoever may fetch them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::Answer;
use crate::server::Reply;

/// The files of a platform, by the paths under which it serves them.
#[derive(Debug, Default)]
pub(crate) struct Files(Mutex<BTreeMap<String, Vec<u8>>>);

impl Files {
    pub(crate) fn keep(&self, path: &str, content: &[u8]) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(path.to_owned(), content.to_vec());
    }

    /// Answers a question for a file.
    pub(crate) fn serve(&self, path: &str, answer: Answer) -> Reply {
        let files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let say = |status, body| Reply::Say { body, headers: Vec::new(), status };
        match answer {
            Answer::AcceptThenClose => Reply::Close,
            Answer::Big(bytes) => say(200, vec![b'x'; bytes]),
            Answer::HangAfterAccept => Reply::Hang,
            Answer::Malformed => say(200, b"<html>\0".to_vec()),
            Answer::Normal => match files.get(path) {
                Some(content) => say(200, content.clone()),
                None => say(404, Vec::new()),
            },
            Answer::RateLimited { .. } => say(429, Vec::new()),
            Answer::Redirect { to } => {
                Reply::Say { body: Vec::new(), headers: vec![("location", to)], status: 302 }
            }
            Answer::Refused { status, text } => say(status, text.into_bytes()),
            Answer::Status(status) => say(status, Vec::new()),
        }
    }
}
