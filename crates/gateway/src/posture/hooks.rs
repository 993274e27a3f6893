//! What weakens a gateway that programs elsewhere post to.

use std::net::SocketAddr;

use openclaw_config::Hook;
use openclaw_scopes::HookName;

use super::{Finding, Severity};

/// Hooks, as far as they are looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hooks {
    /// Where the gateway listens for them, if it does.
    pub(crate) listen: Option<SocketAddr>,
    /// Each of them, and why it cannot be used, if it cannot.
    pub(crate) all: Vec<(HookName, Hook, Option<String>)>,
}

/// Tools with which a hook's words change something, or tell somebody elsewhere.
const CHANGING: [&str; 8] = [
    "cron",
    "edit_file",
    "exec",
    "process",
    "sessions_send",
    "sessions_spawn",
    "web_fetch",
    "write_file",
];

pub(super) fn about(hooks: &Hooks, findings: &mut Vec<Finding>) {
    let Some(listen) = hooks.listen else { return };
    if !listen.ip().to_canonical().is_loopback() {
        findings.push(Finding {
            id: "hooks.listen_plain",
            severity: Severity::Critical,
            message: format!("what is posted to hooks crosses a network without TLS, to {listen}"),
            fix: "set hooks.listen to an address of this machine in openclaw.toml, and put a proxy with TLS before it"
                .into(),
            subject: "config:hooks.listen".into(),
        });
    }
    for (name, hook, problem) in &hooks.all {
        let mut found = |id, message: String, fix: String| {
            let subject = format!("config:hooks.entries.{name}");
            findings.push(Finding { id, severity: Severity::Warn, message, fix, subject });
        };
        if let Some(problem) = problem {
            let fix = format!("set `{}` in the gateway's environment", hook.proof.secret().env);
            found("hooks.unusable", format!("the hook refuses everybody: {problem}"), fix);
        }
        let changing = CHANGING.iter().find(|tool| hook.tools.iter().any(|it| it.matches(tool)));
        if let Some(tool) = changing {
            let message = format!("what a program elsewhere posts may lead to `{tool}`");
            let fix = format!("take it out of hooks.entries.{name}.tools.allow in openclaw.toml");
            found("hooks.tools_broad", message, fix);
        }
    }
}
