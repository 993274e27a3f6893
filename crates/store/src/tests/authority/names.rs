//! Names of scopes and what they mean, without the code that is judged.

use std::collections::BTreeSet;

/// Names of scopes. Wherever they are kept, all that they imply is among them.
pub(super) type Scopes = BTreeSet<&'static str>;

pub(super) const ADMIN: &str = "operator.admin";
pub(super) const PAIRING: &str = "operator.pairing";
pub(super) const READ: &str = "operator.read";
pub(super) const WRITE: &str = "operator.write";
const SESSIONS: &str = "operator.sessions.read";
const OWN_SESSIONS: &str = "operator.sessions.write";
const TALK: &str = "operator.talk";

/// Each scope but the first, which implies them all, and what else its holder may do.
const IMPLIED: [(&str, &[&str]); 10] = [
    (ADMIN, &[]),
    ("operator.approvals", &[]),
    (PAIRING, &[]),
    ("operator.questions", &[]),
    (READ, &[SESSIONS]),
    (SESSIONS, &[]),
    (OWN_SESSIONS, &[SESSIONS]),
    (TALK, &[]),
    ("operator.talk.secrets", &[]),
    (WRITE, &[READ, SESSIONS, OWN_SESSIONS, TALK]),
];

/// Returns the name of a scope by its place among the ten.
pub(super) fn scope(place: u64) -> &'static str {
    IMPLIED[usize::try_from(place).unwrap()].0
}

/// Returns the names, and all that they imply.
pub(super) fn meaning(names: &Scopes) -> Scopes {
    let is_meant = |name| names.contains(name) || names.contains(ADMIN);
    let meant = IMPLIED.iter().filter(|(name, _)| is_meant(*name));
    meant.flat_map(|(name, implied)| implied.iter().chain([name]).copied()).collect()
}

/// Returns the names as a trace shows them.
pub(super) fn told(names: &Scopes) -> String {
    let short = |name: &&'static str| name.trim_start_matches("operator.");
    format!("[{}]", names.iter().map(short).collect::<Vec<_>>().join(" "))
}
