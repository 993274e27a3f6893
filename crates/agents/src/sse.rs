//! A bounded decoder of server-sent events: bytes in pieces of any size in, whole events out.

use std::mem;

use crate::model::ModelError;

/// The most bytes of one event.
///
/// Reason: providers send events of some hundred bytes; a tool call's arguments in one piece may be
/// larger, but not beyond what they may be as a whole.
//= docs/threat-model.md#T12
pub(crate) const MAX_EVENT_BYTES: usize = 1024 * 1024;

/// One server-sent event.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct SseEvent {
    /// The event's name, empty if it has none.
    pub name: String,
    /// The event's data, its lines joined by line feeds.
    pub data: String,
}

/// The state of the decoder between two pieces of the stream.
#[derive(Debug, Default)]
pub(crate) struct SseDecoder {
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    after_return: bool,
    after_start: bool,
}

impl SseDecoder {
    /// Takes the next piece of the stream and hands every event that is now whole to `on_event`.
    ///
    /// # Errors
    /// When an event is too large or not UTF-8, or when `on_event` fails.
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        mut on_event: impl FnMut(SseEvent) -> Result<(), ModelError>,
    ) -> Result<(), ModelError> {
        let mut rest = piece;
        while let Some((&first, after_first)) = rest.split_first() {
            if mem::take(&mut self.after_return) && first == b'\n' {
                rest = after_first;
                continue;
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
            if self.line.len() + line.len() + self.event.data.len() > MAX_EVENT_BYTES {
                return Err(ModelError::protocol("an event of the stream is larger than 1 MiB"));
            }
            self.line.extend_from_slice(line);
            rest = after;
            if let Some((&terminator, after)) = after.split_first() {
                self.after_return = terminator == b'\r';
                rest = after;
                if let Some(event) = self.end_line()? {
                    on_event(event)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the current line; an empty one ends the event.
    fn end_line(&mut self) -> Result<Option<SseEvent>, ModelError> {
        let mut bytes = mem::take(&mut self.line);
        let mut line: &[u8] = &bytes;
        if !mem::replace(&mut self.after_start, true) {
            line = line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line);
        }
        if line.is_empty() {
            let event = mem::take(&mut self.event);
            return Ok(mem::take(&mut self.has_data).then_some(event));
        }
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(ModelError::protocol("the stream is not valid UTF-8"));
        };
        let (field, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => value.clone_into(&mut self.event.name),
            // Comments (an empty name), `id`, `retry` and what the format may add later.
            _ => {}
        }
        bytes.clear();
        self.line = bytes;
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Result<Vec<(String, String)>, ModelError> {
        let mut decoder = SseDecoder::default();
        let mut events = Vec::new();
        for piece in pieces {
            decoder.push(piece, |event| {
                events.push((event.name, event.data));
                Ok(())
            })?;
        }
        Ok(events)
    }

    fn pair(name: &str, data: &str) -> (String, String) {
        (name.into(), data.into())
    }

    #[test]
    fn events_are_decoded() {
        #[rustfmt::skip]
        let table: &[(&str, &[(&str, &str)])] = &[
            ("data: a\n\n",                        &[("", "a")]),
            ("data:a\r\n\r\n",                     &[("", "a")]),
            ("data:  a\r\r",                       &[("", " a")]),
            ("\u{feff}data: a\n\n",                &[("", "a")]),
            ("event: x\ndata: a\ndata: b\n\n",     &[("x", "a\nb")]),
            ("event: x\n\ndata: b\n\n",            &[("", "b")]),
            (": ping\n\nid: 1\nretry: 2\nfoo\n\n", &[]),
            ("data\n\n",                           &[("", "")]),
            ("data: a",                            &[]),
            ("data: a\n",                          &[]),
            ("data: ä€🦞\n\ndata: z\n\n",          &[("", "ä€🦞"), ("", "z")]),
        ];
        for (text, expected) in table {
            let expected: Vec<_> = expected.iter().map(|(name, data)| pair(name, data)).collect();
            assert_eq!(decode(&[text.as_bytes()]).as_ref(), Ok(&expected), "{text:?}");
            for at in 0..=text.len() {
                let (head, tail) = text.as_bytes().split_at(at);
                assert_eq!(decode(&[head, tail]).as_ref(), Ok(&expected), "{text:?} cut at {at}");
            }
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(decode(&bytes).as_ref(), Ok(&expected), "{text:?} byte by byte");
        }
    }

    #[test]
    fn events_are_bounded() {
        let line = [b"data: ".as_slice(), &vec![b'x'; MAX_EVENT_BYTES]].concat();
        assert!(decode(&[&line]).is_err(), "one long line without an end");
        let short = [b"data: ".as_slice(), &[b'x'; 1000], b"\n"].concat();
        assert!(decode(&vec![short.as_slice(); 1100]).is_err(), "many lines without an end");
        let event = [short.as_slice(), b"\n"].concat();
        assert_eq!(decode(&vec![event.as_slice(); 1100]).map(|all| all.len()), Ok(1100));
    }

    #[test]
    fn bytes_that_are_not_text_are_refused() {
        assert!(matches!(decode(&[b"data: \xff\n\n"]), Err(ModelError::Protocol { .. })));
    }
}
