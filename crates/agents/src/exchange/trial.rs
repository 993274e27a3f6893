//! For tests: plays transcripts through a dialect, cut in every way.

use super::{Dialect, Progress, Transcript, cut_off};
use crate::model::{ModelError, ModelEvent};

/// What came of a transcript: the events, and how it ended.
type Played = (Vec<ModelEvent>, Result<Progress, ModelError>);

/// Plays the pieces; an end without the final marker is the error that the exchange makes of it.
pub(crate) fn play<D: Dialect>(mut transcript: Transcript<D>, pieces: &[&[u8]]) -> Played {
    let mut end = Ok(Progress::More);
    for piece in pieces {
        end = transcript.push(piece);
        if end != Ok(Progress::More) {
            break;
        }
    }
    if end == Ok(Progress::More) {
        end = Err(cut_off());
    }
    (transcript.assembly.events.into(), end)
}

/// Checks that the text gives the same events however it is cut: in two at every byte, and into
/// single bytes; and that every true beginning of a good one is an error, never a shorter answer.
#[track_caller]
pub(crate) fn check_every_cut<D: Dialect>(transcript: impl Fn() -> Transcript<D>, text: &str) {
    let bytes = text.as_bytes();
    let whole = play(transcript(), &[bytes]);
    for at in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(at);
        assert_eq!(play(transcript(), &[head, tail]), whole, "cut at {at}");
        let (events, end) = play(transcript(), &[head]);
        let is_whole = end == Ok(Progress::Done);
        assert!(!is_whole || events == whole.0, "ended at {at}");
    }
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(play(transcript(), &single), whole, "byte by byte");
}
