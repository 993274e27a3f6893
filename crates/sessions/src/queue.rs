//! What becomes of a message that comes in while its conversation is busy.

use std::fmt;

/// How many of the messages that gave way are told of.
const MAX_LINES: usize = 20;

/// How many characters are told of each.
const MAX_LINE: usize = 140;

/// How a message is taken that comes in while a run is at work (`runtime.md` §2.5 of the reference).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum QueueMode {
    /// All that wait are answered by one run.
    Collect,
    /// Each is a run of its own, in its turn.
    #[default]
    Followup,
    /// The run at work is ended, and so are older ones that wait to interrupt; this one has the next turn.
    Interrupt,
    /// The run at work takes it in before its next step; when there is none, it is a run of its own.
    Steer,
}

impl QueueMode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Collect, Self::Followup, Self::Interrupt, Self::Steer];

    /// Returns its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Collect => "collect",
            Self::Followup => "followup",
            Self::Interrupt => "interrupt",
            Self::Steer => "steer",
        }
    }

    /// Returns the mode of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.name() == name)
    }
}

impl fmt::Display for QueueMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// What is left of messages that gave way to newer ones: the beginning of each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dropped(Vec<String>);

impl Dropped {
    /// Reads what [`Self::to_lines`] made.
    pub fn from_lines(lines: &str) -> Self {
        Self(lines.lines().map(str::to_owned).collect())
    }

    /// Returns a line for each, as it is stored.
    pub fn to_lines(&self) -> String {
        self.0.join("\n")
    }

    /// Adds a message that gives way, after those that gave way to it. Only the newest are kept.
    #[must_use]
    pub fn with(self, message: &str) -> Self {
        let words = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut line: String = words.chars().take(MAX_LINE).collect();
        if line.len() < words.len() {
            line.push('…');
        }
        self.and(Self(vec![line]))
    }

    /// Adds others, after these. Only the newest are kept.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        let excess = self.0.len().saturating_sub(MAX_LINES);
        self.0.drain(..excess);
        self
    }

    /// Returns what a model is told of them with the message that they gave way to.
    pub fn tell(&self, message: String) -> String {
        if self.0.is_empty() {
            return message;
        }
        let mut text =
            "[More messages came in than may wait. These were not answered; of each there is the \
                        beginning:]"
                .to_owned();
        for line in &self.0 {
            text.push_str("\n- ");
            text.push_str(line);
        }
        text.push_str("\n\n");
        text.push_str(&message);
        text
    }
}

/// Returns messages that are answered by one run as its question.
pub fn collected(messages: &[String]) -> String {
    messages.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_again() {
        for mode in QueueMode::ALL {
            assert_eq!(QueueMode::parse(mode.name()), Some(mode));
        }
        assert_eq!(QueueMode::parse("Steer"), None);
    }

    #[test]
    fn what_gave_way_is_told_in_lines() {
        assert_eq!(Dropped::default().tell("Hello.".into()), "Hello.");
        let dropped = Dropped::default().with("one\n\n  two\u{2028}three").with(&"x".repeat(200));
        assert_eq!(Dropped::from_lines(&dropped.to_lines()), dropped);
        let told = dropped.tell("Hello.".into());
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[1], "- one two three");
        assert_eq!(lines[2].chars().count(), 2 + 140 + 1);
        assert_eq!(lines[3..], ["", "Hello."]);
        let many = (0..30).fold(Dropped::default(), |all, it| all.with(&it.to_string()));
        assert_eq!(many.to_lines().lines().next(), Some("10"));
        assert_eq!(many.to_lines().lines().count(), 20);
    }
}
