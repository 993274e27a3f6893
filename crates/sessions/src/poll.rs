//! Polls: a question and options that people vote for, only such as their platform takes.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The fewest options of a poll: with one there is nothing to choose.
const MIN_OPTIONS: usize = 2;

/// Whether it is seen who voted for what.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Ballot {
    /// Nobody sees it.
    Anonymous,
    /// Everybody does.
    Public,
}

/// How many options one person may choose.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Choice {
    /// As many as one likes.
    Any,
    /// One.
    One,
}

/// What a platform takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PollLimits {
    /// What people call it.
    pub platform: &'static str,
    /// The most UTF-16 units of a question.
    pub question: usize,
    /// The most options.
    pub options: usize,
    /// The most UTF-16 units of an option.
    pub option: usize,
    /// The shortest and the longest time for which a poll is open.
    pub open: (Duration, Duration),
    /// What that time is a multiple of.
    pub unit: Duration,
    /// The same in words.
    pub open_words: &'static str,
    /// What it does where nothing else is asked for, and the other way if it has one.
    pub ballots: (Ballot, Option<Ballot>),
}

/// The limits of none: what is stored was measured with those of its platform, and may be as large as any takes.
const STORED: PollLimits = PollLimits {
    platform: "no platform",
    question: 300,
    options: 12,
    option: 100,
    open: (Duration::from_secs(1), Duration::from_hours(32 * 24)),
    unit: Duration::from_secs(1),
    open_words: "1 second to 32 days",
    ballots: (Ballot::Anonymous, Some(Ballot::Public)),
};

/// What somebody wants to ask, as they wrote it.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PollDraft {
    /// The question.
    pub question: String,
    /// What can be chosen.
    pub options: Vec<String>,
    /// How many options one person may choose; `None` for one.
    pub max_selections: Option<u32>,
    /// For how long it is open; `None` for as long as the platform does.
    pub open: Option<Duration>,
    /// Whether it is seen who voted for what; `None` for what the platform does.
    pub ballot: Option<Ballot>,
    /// Whether it makes no noise.
    pub silent: bool,
}

/// A poll that its platform takes.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", try_from = "PollDraft")]
pub struct Poll {
    question: String,
    options: Vec<String>,
    /// One, or as many as there are options.
    max_selections: u32,
    open: Option<Duration>,
    ballot: Ballot,
    silent: bool,
}

/// Why something is no poll.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PollError {
    /// The platform has no such votes.
    #[error("polls on {platform} show who voted for what")]
    Ballot {
        /// The platform.
        platform: &'static str,
    },
    /// A text has a new line, or other characters that are not shown.
    #[error("the question and each option of a poll are one line of text")]
    Line,
    /// It asks nothing.
    #[error("the question of the poll is empty")]
    NoQuestion,
    /// It would be open for too short or too long.
    #[error("a poll on {platform} is open for {words}")]
    Open {
        /// The platform.
        platform: &'static str,
        /// What it takes.
        words: &'static str,
    },
    /// An option says nothing.
    #[error("option {number} of the poll is empty")]
    OptionEmpty {
        /// Which one, from 1.
        number: usize,
    },
    /// An option is too long.
    #[error(
        "an option on {platform} has {most} characters at most, and option {number} has {found}"
    )]
    OptionLong {
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
        /// Which one, from 1.
        number: usize,
        /// The platform.
        platform: &'static str,
    },
    /// Two options are the same.
    #[error("option {number} of the poll is the same as option {first}")]
    OptionTwice {
        /// The one before, from 1.
        first: usize,
        /// Which one, from 1.
        number: usize,
    },
    /// There are too few or too many options.
    #[error("a poll on {platform} has {MIN_OPTIONS} to {most} options, and this one has {found}")]
    Options {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
        /// The platform.
        platform: &'static str,
    },
    /// The question is too long.
    #[error(
        "the question of a poll on {platform} has {most} characters at most, and this one has {found}"
    )]
    QuestionLong {
        /// How many it has.
        found: usize,
        /// How many it may have.
        most: usize,
        /// The platform.
        platform: &'static str,
    },
    /// One person may choose neither one nor any number of options.
    #[error(
        "on {platform} one may choose 1 option or any of the {options}, and not at most {found}"
    )]
    Selections {
        /// How many were asked for.
        found: u32,
        /// How many options there are.
        options: usize,
        /// The platform.
        platform: &'static str,
    },
}

impl Poll {
    /// Reads what somebody wants to ask on a platform with these limits.
    ///
    /// # Errors
    /// When the platform would not take it, or would take something else.
    pub fn parse(draft: &PollDraft, limits: &PollLimits) -> Result<Self, PollError> {
        let PollLimits { platform, .. } = *limits;
        let question = one_line(&draft.question)?;
        if question.is_empty() {
            return Err(PollError::NoQuestion);
        }
        let (found, most) = (units(&question), limits.question);
        if found > most {
            return Err(PollError::QuestionLong { found, most, platform });
        }
        let (found, most) = (draft.options.len(), limits.options);
        if !(MIN_OPTIONS..=most).contains(&found) {
            return Err(PollError::Options { found, most, platform });
        }
        let mut options: Vec<String> = Vec::with_capacity(found);
        for (number, option) in (1..).zip(&draft.options) {
            let option = one_line(option)?;
            let (found, most) = (units(&option), limits.option);
            if option.is_empty() {
                return Err(PollError::OptionEmpty { number });
            }
            if found > most {
                return Err(PollError::OptionLong { found, most, number, platform });
            }
            if let Some(first) = options.iter().position(|before| *before == option) {
                return Err(PollError::OptionTwice { first: first.saturating_add(1), number });
            }
            options.push(option);
        }
        let all = u32::try_from(options.len()).unwrap_or(u32::MAX);
        let max_selections = draft.max_selections.unwrap_or(1);
        // No platform bounds it otherwise, so that people would choose more than was asked for.
        if max_selections != 1 && max_selections != all {
            let (found, options) = (max_selections, options.len());
            return Err(PollError::Selections { found, options, platform });
        }
        let (least, most) = limits.open;
        let is_fit = |open: Duration| {
            (least..=most).contains(&open)
                && open.as_nanos().checked_rem(limits.unit.as_nanos()) == Some(0)
        };
        if draft.open.is_some_and(|open| !is_fit(open)) {
            return Err(PollError::Open { platform, words: limits.open_words });
        }
        let (usual, other) = limits.ballots;
        let ballot = draft.ballot.unwrap_or(usual);
        if ballot != usual && Some(ballot) != other {
            return Err(PollError::Ballot { platform });
        }
        let PollDraft { open, silent, .. } = *draft;
        Ok(Self { question, options, max_selections, open, ballot, silent })
    }

    /// Returns what is asked.
    pub fn question(&self) -> &str {
        &self.question
    }

    /// Returns what can be chosen.
    pub fn options(&self) -> &[String] {
        &self.options
    }

    /// Returns how many options one person may choose at most.
    pub const fn max_selections(&self) -> u32 {
        self.max_selections
    }

    /// Returns how many options one person may choose.
    pub const fn choice(&self) -> Choice {
        if self.max_selections == 1 { Choice::One } else { Choice::Any }
    }

    /// Returns for how long it is open; `None` for as long as the platform does.
    pub const fn open(&self) -> Option<Duration> {
        self.open
    }

    /// Returns whether it is seen who voted for what.
    pub const fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// Whether it makes no noise.
    pub const fn is_silent(&self) -> bool {
        self.silent
    }

    /// Returns the question and the options in words.
    pub fn words(&self) -> String {
        format!("{} ({})", self.question, self.options.join(" / "))
    }
}

impl TryFrom<PollDraft> for Poll {
    type Error = PollError;

    fn try_from(stored: PollDraft) -> Result<Self, PollError> {
        Self::parse(&stored, &STORED)
    }
}

fn one_line(text: &str) -> Result<String, PollError> {
    let text = text.trim();
    if text.chars().any(char::is_control) { Err(PollError::Line) } else { Ok(text.to_owned()) }
}

/// How long a text is: platforms count characters in their own ways, and none counts more.
fn units(text: &str) -> usize {
    text.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A platform that takes little.
    const SMALL: PollLimits = PollLimits {
        platform: "Small",
        question: 10,
        options: 3,
        option: 5,
        open: (Duration::from_hours(1), Duration::from_hours(24)),
        unit: Duration::from_hours(1),
        open_words: "1 to 24 hours",
        ballots: (Ballot::Public, None),
    };

    fn draft(question: &str, options: &[&str]) -> PollDraft {
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        PollDraft { question: question.to_owned(), options, ..PollDraft::default() }
    }

    #[test]
    #[rustfmt::skip]
    fn only_what_a_platform_takes_is_a_poll() {
        let open = |open| PollDraft { open: Some(open), ..draft("Q?", &["a", "b"]) };
        let most = |most| PollDraft { max_selections: Some(most), ..draft("Q?", &["a", "b", "c"]) };
        let ballot = |it| PollDraft { ballot: Some(it), ..draft("Q?", &["a", "b"]) };
        let hours = Duration::from_hours;
        for (draft, expected) in [
            (draft("Q?", &["a", "b"]),             "Q? (a / b)"),
            (draft(" Q? ", &[" a", "b "]),         "Q? (a / b)"),
            (draft("1234567890", &["12345", "b"]), "1234567890 (12345 / b)"),
            (draft(" ", &["a", "b"]),              "the question of the poll is empty"),
            (draft("12345678901", &["a", "b"]),    "the question of a poll on Small has 10 characters at most, and this one has 11"),
            (draft("a\nb", &["a", "b"]),           "the question and each option of a poll are one line of text"),
            (draft("Q?", &["a", "b\u{1b}c"]),      "the question and each option of a poll are one line of text"),
            (draft("Q?", &[]),                     "a poll on Small has 2 to 3 options, and this one has 0"),
            (draft("Q?", &["a"]),                  "a poll on Small has 2 to 3 options, and this one has 1"),
            (draft("Q?", &["a", "b", "c", "d"]),   "a poll on Small has 2 to 3 options, and this one has 4"),
            (draft("Q?", &["a", "\t"]),            "option 2 of the poll is empty"),
            (draft("Q?", &["a", "123456"]),        "an option on Small has 5 characters at most, and option 2 has 6"),
            (draft("Q?", &["a", "🦀🦀🦀"]),        "an option on Small has 5 characters at most, and option 2 has 6"),
            (draft("Q?", &["a", "b", "a "]),       "option 3 of the poll is the same as option 1"),
            (most(1),                              "Q? (a / b / c)"),
            (most(3),                              "Q? (a / b / c)"),
            (most(0),                              "on Small one may choose 1 option or any of the 3, and not at most 0"),
            (most(2),                              "on Small one may choose 1 option or any of the 3, and not at most 2"),
            (most(4),                              "on Small one may choose 1 option or any of the 3, and not at most 4"),
            (open(hours(1)),                       "Q? (a / b)"),
            (open(hours(24)),                      "Q? (a / b)"),
            (open(Duration::ZERO),                 "a poll on Small is open for 1 to 24 hours"),
            (open(hours(25)),                      "a poll on Small is open for 1 to 24 hours"),
            (open(Duration::from_secs(5_400)),     "a poll on Small is open for 1 to 24 hours"),
            (ballot(Ballot::Public),               "Q? (a / b)"),
            (ballot(Ballot::Anonymous),            "polls on Small show who voted for what"),
        ] {
            let told = match Poll::parse(&draft, &SMALL) {
                Ok(poll) => poll.words(),
                Err(error) => error.to_string(),
            };
            assert_eq!(told, expected, "{draft:?}");
        }
    }

    #[test]
    fn what_is_stored_reads_back_and_nothing_else_does() {
        let options = Some(Duration::from_hours(2));
        let draft = PollDraft {
            max_selections: Some(2),
            open: options,
            silent: true,
            ..draft("Q?", &["a", "b"])
        };
        let poll = Poll::parse(&draft, &SMALL).unwrap();
        assert_eq!((poll.choice(), poll.ballot()), (Choice::Any, Ballot::Public));
        let stored = serde_json::to_string(&poll).unwrap();
        assert_eq!(serde_json::from_str::<Poll>(&stored).unwrap(), poll);
        for (before, after) in [("\"b\"", "\"a\""), (":2,", ":3,"), ("\"Q?\"", "\"\"")] {
            let damaged = stored.replace(before, after);
            assert_ne!(damaged, stored);
            assert!(serde_json::from_str::<Poll>(&damaged).is_err(), "{damaged}");
        }
    }
}
