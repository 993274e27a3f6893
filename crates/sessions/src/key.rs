//! Session keys: from what people and programs write to the one canonical form.

mod class;

#[cfg(test)]
mod tests;

use openclaw_scopes::{AgentId, ParseIdError, SessionKey};

pub use class::{ChatType, KeyClass, ParsedKey, Route, agent_of, classify, is_main, is_passing};

/// What a key of an agent begins with, in any case.
pub(crate) const HEAD: &str = "agent:";

/// What separates a key from the id of a thread below it, in any case.
pub(crate) const THREAD: &str = ":thread:";

/// What ends the key of an isolated heartbeat session.
const HEARTBEAT: &str = ":heartbeat";

/// Why a text names no session.
///
/// A malformed key is refused: it is never read as some other, well-formed one.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// The key names no agent, and nobody chose one.
    #[error("agent selection required: session key `{key}` names no agent")]
    AgentRequired {
        /// The key as given, shortened to 64 characters.
        key: String,
    },
    /// What stands after `agent:` is not the id of an agent.
    #[error("session key `{key}` names no valid agent")]
    MalformedAgent {
        /// The key as given, shortened to 64 characters.
        key: String,
        /// What is wrong with the id.
        source: ParseIdError,
    },
    /// Nothing stands after the agent.
    #[error("session key `{key}` names an agent but no session: write `agent:<id>:<name>`")]
    NoSession {
        /// The key as given, shortened to 64 characters.
        key: String,
    },
    /// What stands after the agent begins with a colon or a space.
    #[error("the session in key `{key}` may not begin with a colon or a space")]
    SessionStart {
        /// The key as given, shortened to 64 characters.
        key: String,
    },
    /// The text is empty, too long, or holds a control character.
    #[error(transparent)]
    Text(#[from] ParseIdError),
}

/// Resolves what a caller wrote to the canonical key of a session.
///
/// A key that names its agent keeps it, whatever `agent` says: `agent` scopes only a key that
/// names none (`main`, `global`, `cron:nightly`, any name). Whoever asked for one agent and a key
/// of another compares with [`agent_of`].
///
/// ```text
/// text ── trim ──▶ agent:<id>:<rest> ── fold case, except opaque ids ──▶ canonical
///                         ▲
///        <rest> ── agent ─┘
/// ```
///
/// The ids of Signal groups, Matrix rooms and Matrix threads keep their case, because two that
/// differ in case are two conversations.
///
/// # Errors
/// When the text is no key, or names no agent and `agent` is absent.
pub fn resolve_key(text: &str, agent: Option<&AgentId>) -> Result<SessionKey, KeyError> {
    let text = text.trim();
    SessionKey::parse(text)?;
    let (agent, rest) = match strip_head(text) {
        Some(scoped) => split_agent(text, scoped)?,
        None => match agent {
            Some(agent) => (agent.clone(), text),
            None => return Err(KeyError::AgentRequired { key: shortened(text) }),
        },
    };
    if rest.starts_with(|c: char| c == ':' || c.is_whitespace()) {
        return Err(KeyError::SessionStart { key: shortened(text) });
    }
    let rest = fold(rest);
    Ok(SessionKey::parse(&format!("{HEAD}{agent}:{}", collapse_heartbeats(&rest)))?)
}

/// Returns what stands after the head `agent:`, if the text has it.
fn strip_head(text: &str) -> Option<&str> {
    let (head, scoped) = text.split_at_checked(HEAD.len())?;
    head.eq_ignore_ascii_case(HEAD).then_some(scoped)
}

/// Splits `<id>:<rest>`, the part of `key` after its head.
fn split_agent<'a>(key: &str, scoped: &'a str) -> Result<(AgentId, &'a str), KeyError> {
    let (agent, rest) = scoped.split_once(':').unwrap_or((scoped, ""));
    let agent = AgentId::parse(&agent.to_ascii_lowercase())
        .map_err(|source| KeyError::MalformedAgent { key: shortened(key), source })?;
    if rest.is_empty() {
        return Err(KeyError::NoSession { key: shortened(key) });
    }
    Ok((agent, rest))
}

/// Lower-cases all but the opaque ids.
pub(crate) fn fold(rest: &str) -> String {
    let mut folded = String::with_capacity(rest.len());
    let mut segments = rest.split(':');
    let (mut before, mut last) = (String::new(), String::new());
    while let Some(segment) = segments.next() {
        let lower = segment.to_lowercase();
        match (before.as_str(), last.as_str()) {
            ("matrix", "channel" | "group") => {
                let tail = std::iter::once(segment).chain(segments).collect::<Vec<_>>().join(":");
                folded.push_str(&fold_thread_marker(&tail));
                return folded;
            }
            ("signal", "group") => folded.push_str(segment),
            _ => folded.push_str(&lower),
        }
        folded.push(':');
        before = std::mem::replace(&mut last, lower);
    }
    folded.pop();
    folded
}

/// Lower-cases the marker before the id of a thread, and neither of its neighbors.
fn fold_thread_marker(tail: &str) -> String {
    // ASCII folding keeps every byte offset, so an offset found in the folded text holds in `tail`.
    let marker = tail.to_ascii_lowercase().rfind(THREAD);
    let parts = marker.and_then(|at| {
        let (base, rest) = tail.split_at_checked(at)?;
        Some((base, rest.split_at_checked(THREAD.len())?.1))
    });
    match parts {
        Some((base, id)) => format!("{base}{THREAD}{id}"),
        None => tail.to_owned(),
    }
}

/// Returns the key whose isolated heartbeat session this is.
fn heartbeat_base(rest: &str) -> Option<&str> {
    rest.strip_suffix(HEARTBEAT).filter(|base| !class::ends_open(base))
}

/// Removes all but one of the suffixes of a heartbeat session.
fn collapse_heartbeats(mut rest: &str) -> &str {
    while let Some(base) = heartbeat_base(rest).filter(|base| heartbeat_base(base).is_some()) {
        rest = base;
    }
    rest
}

pub(crate) fn shortened(key: &str) -> String {
    key.chars().take(64).flat_map(char::escape_debug).collect()
}
