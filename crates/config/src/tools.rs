//! Which tools an agent may use, and the limits of the tools themselves.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// The tools that exist, in the order in which they are documented.
pub const TOOL_NAMES: [&str; 15] = [
    "read_file",
    "write_file",
    "list_dir",
    "edit_file",
    "web_fetch",
    "session_status",
    "exec",
    "process",
    "sessions_spawn",
    "sessions_send",
    "subagents",
    "sessions_list",
    "sessions_history",
    "sessions_yield",
    "cron",
];

/// A tool's name, or a glob in which `*` stands for any characters.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ToolPattern(Box<str>);

impl ToolPattern {
    /// The pattern that every tool matches.
    pub(crate) fn every() -> Self {
        Self("*".into())
    }

    /// Parses a pattern, which must match at least one of the tools that exist.
    ///
    /// # Errors
    /// When no tool matches.
    pub fn parse(text: &str) -> Result<Self, UnknownToolError> {
        let pattern = Self(text.into());
        if text.len() <= 64 && TOOL_NAMES.iter().any(|tool| pattern.matches(tool)) {
            return Ok(pattern);
        }
        Err(UnknownToolError { pattern: text.chars().take(64).collect() })
    }

    /// Whether a tool of this name matches.
    pub fn matches(&self, tool: &str) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| tool.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        for part in parts {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for ToolPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// No tool matches a pattern.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{pattern}` matches no tool")]
pub struct UnknownToolError {
    /// The pattern, shortened to 64 characters.
    pub pattern: String,
}

/// Which tools an agent may use. What is not allowed is denied, and denial wins.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolPolicy {
    pub(crate) allow: Vec<ToolPattern>,
    pub(crate) deny: Vec<ToolPattern>,
}

impl ToolPolicy {
    /// Decides whether the tool may be used.
    #[must_use]
    pub fn allows(&self, tool: &str) -> bool {
        let any = |patterns: &[ToolPattern]| patterns.iter().any(|pattern| pattern.matches(tool));
        any(&self.allow) && !any(&self.deny)
    }
}

/// How commands of the tool `exec` are confined.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Sandbox {
    /// Not at all.
    Off,
    /// To the agent's workspace; refused where the kernel cannot do it.
    #[default]
    Workspace,
}

impl Sandbox {
    pub(crate) const ALL: [Self; 2] = [Self::Workspace, Self::Off];

    /// Returns the value of `tools.exec.sandbox`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Workspace => "workspace",
        }
    }
}

/// When commands are approved one by one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum ExecAsk {
    /// Each one.
    Always,
    /// None.
    Off,
    /// Those without a sandbox, unless they are listed.
    #[default]
    Unlisted,
}

impl ExecAsk {
    pub(crate) const ALL: [Self; 3] = [Self::Off, Self::Unlisted, Self::Always];

    /// Returns the value of `tools.exec.ask`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Off => "off",
            Self::Unlisted => "unlisted",
        }
    }
}

/// What becomes of a command that needs an approval when nobody is there to give it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Unattended {
    /// It is refused, unless it is approved for good.
    #[default]
    Deny,
    /// It waits as any other.
    Wait,
}

impl Unattended {
    pub(crate) const ALL: [Self; 2] = [Self::Deny, Self::Wait];

    /// Returns the value of `tools.exec.unattended`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Wait => "wait",
        }
    }
}

/// The settings of the tool `exec`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ExecSettings {
    /// How commands are confined.
    pub sandbox: Sandbox,
    /// How long a command may take.
    pub timeout: Duration,
    /// The environment variables that a command is given beside the basic ones.
    pub env_allow: Vec<String>,
    /// When commands are approved one by one.
    pub ask: ExecAsk,
    /// Commands that need no approval, by their first arguments.
    pub allow: Vec<Vec<String>>,
    /// What becomes of a command that needs an approval when nobody is there to give it.
    pub unattended: Unattended,
    /// Whether a conversation is told, and goes on, when a command that it left in the background has ended.
    pub notify_on_exit: bool,
}

/// The settings of the tool `web_fetch`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct WebFetchSettings {
    /// The addresses that may be fetched although they are not public.
    pub allow_addresses: Vec<SocketAddr>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, tool, matches) in [
            ("exec", "exec", true),
            ("exec", "execute", false),
            ("*", "exec", true),
            ("*", "", true),
            ("*_file", "read_file", true),
            ("*_file", "_file_", false),
            ("read*", "read_file", true),
            ("r*d*e", "read_file", true),
            ("read_file*file", "read_file", false),
            ("*e*e*", "exec", true),
            ("*e*e*e*", "exec", false),
            ("**", "exec", true),
            ("", "exec", false),
        ] {
            assert_eq!(ToolPattern(pattern.into()).matches(tool), matches, "{pattern} {tool}");
        }
    }

    #[test]
    fn a_pattern_without_a_tool_is_refused() {
        assert!(ToolPattern::parse("*_dir").is_ok());
        assert_eq!(ToolPattern::parse("bash").unwrap_err().to_string(), "`bash` matches no tool");
        assert!(ToolPattern::parse(&"*".repeat(65)).is_err());
    }

    #[test]
    fn denial_wins_and_absence_is_denial() {
        let patterns =
            |texts: &[&str]| texts.iter().map(|text| ToolPattern((*text).into())).collect();
        let allowed = |allow: &[&str], deny: &[&str]| {
            let policy = ToolPolicy { allow: patterns(allow), deny: patterns(deny) };
            TOOL_NAMES.into_iter().filter(|tool| policy.allows(tool)).collect::<Vec<_>>()
        };
        assert_eq!(allowed(&["*"], &[]), TOOL_NAMES);
        assert!(allowed(&[], &[]).is_empty());
        assert!(allowed(&["exec"], &["*"]).is_empty());
        assert_eq!(allowed(&["*_file", "exec"], &["exec", "write_*"]), ["read_file", "edit_file"]);
    }
}
