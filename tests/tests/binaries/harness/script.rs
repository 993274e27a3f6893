//! Scripts for the offline model.

use std::fmt::Write as _;

use serde_json::Value;

/// A script of the offline model; the first reply that fits is given.
#[derive(Clone, Debug, Default)]
pub(in crate::binaries) struct Script(String);

impl Script {
    /// Answers messages that contain `part` with a text.
    #[must_use]
    pub(in crate::binaries) fn answer(self, part: &str, text: &str) -> Self {
        self.reply(&[("match", quoted(part)), ("text", quoted(text))])
    }

    /// Answers messages that contain `part` in as many pieces as it has seconds, one a second.
    #[must_use]
    pub(in crate::binaries) fn slowly(self, part: &str, seconds: usize) -> Self {
        let text = "slow ".repeat(seconds);
        let chunks = seconds.to_string();
        let lines = [
            ("match", quoted(part)),
            ("text", quoted(&text)),
            ("chunks", chunks),
            ("delayMs", "1000".to_owned()),
        ];
        self.reply(&lines)
    }

    /// Answers messages that contain `part` with a command, and then with what came of it.
    #[must_use]
    pub(in crate::binaries) fn command(self, part: &str, command: &str) -> Self {
        let call =
            format!("[{{ name = \"exec\", arguments = {{ command = {} }} }}]", quoted(command));
        self.reply(&[("match", quoted(part)), ("toolCalls", call)])
    }

    /// Tells what came of a tool.
    #[must_use]
    pub(in crate::binaries) fn tell_results(self) -> Self {
        self.reply(&[("afterTool", quoted("*")), ("text", quoted("{result}"))])
    }

    /// Adds a reply from keys and values in TOML.
    #[must_use]
    pub(in crate::binaries) fn reply(mut self, lines: &[(&str, String)]) -> Self {
        self.0.push_str("[[reply]]\n");
        for (key, value) in lines {
            writeln!(self.0, "{key} = {value}").unwrap();
        }
        self
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

/// A text as TOML writes it: the same as JSON.
pub(in crate::binaries) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
