//! Hooks as `config show` writes them.

use std::fmt;

use super::{list, quoted};
use crate::{Hook, HookProof, HookSettings};

pub(super) fn write(out: &mut fmt::Formatter<'_>, hooks: &HookSettings) -> fmt::Result {
    let HookSettings { enabled, listen, entries } = hooks;
    writeln!(out, "\n[hooks]")?;
    writeln!(out, "enabled = {enabled}")?;
    writeln!(out, "listen = {}", quoted(&listen.to_string()))?;
    for (name, hook) in entries {
        writeln!(out, "\n[hooks.entries.{name}]")?;
        write_hook(out, hook)?;
    }
    Ok(())
}

fn write_hook(out: &mut fmt::Formatter<'_>, hook: &Hook) -> fmt::Result {
    let Hook { action, proof, agent, session, template, timeout, answers, tools } = hook;
    writeln!(out, "action = {}", quoted(action.name()))?;
    match proof {
        HookProof::Signature { secret, scheme } => {
            writeln!(out, "secret = {{ env = {} }}", quoted(&secret.env))?;
            writeln!(out, "signature = {}", quoted(scheme.name()))?;
        }
        HookProof::Token(token) => writeln!(out, "token = {{ env = {} }}", quoted(&token.env))?,
    }
    writeln!(out, "agentId = {}", quoted(agent.as_str()))?;
    if let Some(session) = session {
        writeln!(out, "sessionKey = {}", quoted(session))?;
    }
    if let Some(template) = template {
        writeln!(out, "messageTemplate = {}", quoted(template.as_str()))?;
    }
    if let Some(timeout) = timeout {
        writeln!(out, "timeoutSeconds = {}", timeout.as_secs())?;
    }
    if let Some((channel, to)) = answers {
        writeln!(out, "channel = {}", quoted(channel))?;
        writeln!(out, "to = {}", quoted(to))?;
    }
    writeln!(out, "tools.allow = {}", list(tools))
}
