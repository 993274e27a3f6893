//! What weakens a gateway: checks with ids, each with the command that mends it.

mod hooks;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openclaw_config::{ExecAsk, ExecSettings, Sandbox};
use openclaw_scopes::{Scope, Timestamp, command_words};
use openclaw_store::{AccessFacts, ApiToken, Device, StoreError, Verification};

use crate::upgrade;

pub(crate) use hooks::Hooks;

/// How grave a finding is, the gravest first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Severity {
    Critical,
    Warn,
    Info,
}

/// Something that weakens the gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Finding {
    pub(crate) id: &'static str,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) fix: String,
    pub(crate) subject: String,
}

/// What is looked at beside what was handed out.
#[derive(Clone, Debug)]
pub(crate) struct Around {
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) certificate_expires_at: Option<Timestamp>,
    pub(crate) exec: ExecSettings,
    pub(crate) hooks: Hooks,
    /// Who writes in one conversation, an agent's main one: those whom channels let in, if nothing keeps them apart.
    pub(crate) in_main: BTreeSet<String>,
    pub(crate) state_dir: PathBuf,
    /// The operator's own key, if the gateway does not make its own.
    pub(crate) tls_key: Option<PathBuf>,
}

const DAY: Duration = Duration::from_hours(24);
/// A device that has not connected for so long is probably not used any more.
const STALE: Duration = DAY.saturating_mul(90);
/// A device or token that has not been used so long after it was approved was probably not needed.
const NEVER_USED: Duration = DAY.saturating_mul(7);
/// A request that waits so long has been overlooked.
const LONG_PENDING: Duration = Duration::from_secs(15 * 60);
/// A token that is good for longer outlives what it was made for.
const LATE: Duration = DAY.saturating_mul(180);
/// A certificate that lapses so soon was not renewed by a restart.
const SOON: Duration = DAY.saturating_mul(21);

/// How many checks are made.
const CHECKS: u32 = 22;

/// Looks at everything; returns the findings, the gravest first, and how many checks were made.
pub(crate) fn look(
    facts: &AccessFacts,
    around: &Around,
    chain: Result<&Verification, &StoreError>,
    now: Timestamp,
) -> (Vec<Finding>, u32) {
    let mut findings = Vec::new();
    let live = facts.devices.iter().filter(|device| device.revoked_at.is_none());
    live.for_each(|device| about_device(device, now, &mut findings));
    let live = facts.tokens.iter().filter(|token| token.revoked_at.is_none());
    live.filter(|token| now < token.expires_at)
        .for_each(|token| about_token(token, now, &mut findings));
    for view in &facts.pending {
        if now.since(view.pending.created_at) >= LONG_PENDING {
            findings.push(Finding {
                id: "pairing.long_pending",
                severity: Severity::Info,
                message: "a pairing request has been waiting for a quarter of an hour".into(),
                fix: format!("openclaw devices reject {}", view.pending.id),
                subject: format!("request:{}", view.pending.id),
            });
        }
    }
    for invitation in &facts.invitations {
        findings.push(Finding {
            id: "invitations.open",
            severity: Severity::Info,
            message: format!("an invitation with {} is still good", invitation.scopes.reduced()),
            fix: format!("openclaw devices uninvite {} --yes", invitation.id),
            subject: format!("invitation:{}", invitation.id),
        });
    }
    about_network(around, now, &mut findings);
    about_files(around, &mut findings);
    about_commands(&around.exec, &mut findings);
    about_chats(&around.in_main, &mut findings);
    hooks::about(&around.hooks, &mut findings);
    let broken = match chain {
        Ok(verification) if verification.findings.is_empty() => None,
        Ok(verification) => Some(format!(
            "the decision log does not hold: {} findings",
            verification.findings.len()
        )),
        Err(error) => Some(format!("the decision log cannot be read: {error}")),
    };
    findings.extend(broken.map(|message| Finding {
        id: "audit.chain",
        severity: Severity::Critical,
        message,
        fix: "openclaw audit verify".into(),
        subject: "audit".into(),
    }));
    findings.sort_by(|a, b| (a.severity, a.id, &a.subject).cmp(&(b.severity, b.id, &b.subject)));
    (findings, CHECKS)
}

/// Programs that run others, or take code as an argument or from a file: to list one is to list everything.
/// Those that are known; nobody can know all.
const RUNNERS: &str = "ash awk bash busybox bun cargo cmake curl dash deno docker doas ed emacs env expect fd find \
    fish gawk gdb git go gradle java just ksh less lua make man mawk mvn nice ninja node nohup npm \
    npx parallel perl php pip pipx pnpm podman pytest python python2 python3 rsync ruby scp sed \
    setsid sh ssh strace su sudo systemd-run tar tclsh tee time timeout tox uv vi vim watch wget \
    xargs yarn zip zsh";

fn about_commands(exec: &ExecSettings, findings: &mut Vec<Finding>) {
    let mut found = |id, severity, message: String, fix: &str, subject: &str| {
        let (fix, subject) = (fix.to_owned(), format!("config:{subject}"));
        findings.push(Finding { id, severity, message, fix, subject });
    };
    match (exec.sandbox, exec.ask) {
        (Sandbox::Workspace, _) => {}
        (Sandbox::Off, ExecAsk::Off) => {
            let message =
                "agents run commands with the rights of the owner's account, and nobody is asked";
            let fix = "set tools.exec.ask = \"unlisted\" in openclaw.toml";
            found("exec.unapproved", Severity::Critical, message.into(), fix, "tools.exec.ask");
        }
        (Sandbox::Off, ExecAsk::Always | ExecAsk::Unlisted) => {
            let message = "commands of agents run with the rights of the owner's account";
            let fix = "set tools.exec.sandbox = \"workspace\" in openclaw.toml";
            found("exec.unsandboxed", Severity::Warn, message.into(), fix, "tools.exec.sandbox");
        }
    }
    // Otherwise the list does not count.
    let listed = if exec.ask == ExecAsk::Unlisted { exec.allow.as_slice() } else { &[] };
    for entry in listed {
        let program = entry.first().map(String::as_str).unwrap_or_default();
        let name = program.rsplit('/').next().unwrap_or_default();
        if RUNNERS.split(' ').any(|runner| runner == name) {
            let words = command_words(entry);
            let message =
                format!("`{words} …` needs no approval, and `{name}` runs other programs");
            let fix = "take it out of tools.exec.allow in openclaw.toml";
            found("exec.allows_runner", Severity::Warn, message, fix, "tools.exec.allow");
        }
    }
}

fn about_chats(in_main: &BTreeSet<String>, findings: &mut Vec<Finding>) {
    if in_main.len() < 2 && !in_main.contains("*") {
        return;
    }
    let who = match in_main.contains("*") {
        true => "everybody".to_owned(),
        false => format!("{} people", in_main.len()),
    };
    findings.push(Finding {
        id: "channels.dm.scope_main_multiuser",
        severity: Severity::Critical,
        message: format!(
            "{who} may write in one conversation, and each reads what the others said"
        ),
        fix: "set session.dmScope = \"per-channel-peer\" in openclaw.toml".into(),
        subject: "config:session.dmScope".into(),
    });
}

fn about_device(device: &Device, now: Timestamp, findings: &mut Vec<Finding>) {
    let id = upgrade::short(&device.id);
    let mut found = |check, severity, message: &str, fix: String| {
        let (message, subject) = (message.to_owned(), format!("device:{}", device.id));
        findings.push(Finding { id: check, severity, message, fix, subject });
    };
    let revoke = || format!("openclaw devices revoke {id} --yes");
    // What was before it was approved anew says nothing.
    let approved_at = device.provenance.approved_at;
    match device.last_used_at.filter(|used| *used >= approved_at) {
        None if now.since(approved_at) >= NEVER_USED => {
            let message = "the device was approved a week ago and has not connected since";
            found("devices.never_used", Severity::Warn, message, revoke());
        }
        Some(used) if now.since(used) >= STALE => {
            let message = "the device has not connected for three months";
            found("devices.stale", Severity::Warn, message, revoke());
        }
        None | Some(_) => {}
    }
    let granted = device.baseline.granted();
    if granted.satisfies(Scope::Admin) {
        let message = "the device may do everything that the owner may";
        let fix = format!("openclaw devices rotate {id} --scopes operator.read,operator.write");
        found("devices.admin_scope", Severity::Warn, message, fix);
    } else if granted.satisfies(Scope::Pairing) {
        let message = "the device may let other devices in";
        let rest = granted.without(Scope::Pairing.into()).reduced();
        let rest = match rest.is_empty() {
            true => "--no-scopes".to_owned(),
            false => format!("--scopes {}", rest.to_string().replace(' ', ",")),
        };
        let fix = format!("openclaw devices rotate {id} {rest}");
        found("devices.pairing_scope", Severity::Info, message, fix);
    }
}

fn about_token(token: &ApiToken, now: Timestamp, findings: &mut Vec<Finding>) {
    let mut found = |check, severity, message: &str| {
        findings.push(Finding {
            id: check,
            severity,
            message: message.into(),
            fix: format!("openclaw tokens revoke {} --yes", token.name),
            subject: format!("token:{}", token.id),
        });
    };
    if token.scopes.satisfies(Scope::Admin) {
        found("tokens.admin_scope", Severity::Warn, "the token may do nearly everything");
    }
    if token.last_used_at.is_none() && now.since(token.created_at) >= NEVER_USED {
        found("tokens.never_used", Severity::Warn, "the token is a week old and was never used");
    }
    if token.expires_at.since(now) > LATE {
        found("tokens.expires_late", Severity::Info, "the token is good for more than half a year");
    }
}

fn about_network(around: &Around, now: Timestamp, findings: &mut Vec<Finding>) {
    let Some(listen) = around.listen else { return };
    if is_public(listen) {
        findings.push(Finding {
            id: "listen.exposed",
            severity: Severity::Info,
            message: format!("the gateway listens on {listen}, which others may reach"),
            fix: "set listen.tcp to the address of one network in openclaw.toml".into(),
            subject: "config:listen.tcp".into(),
        });
    }
    if let Some(expires_at) = around.certificate_expires_at
        && expires_at.since(now) < SOON
    {
        findings.push(Finding {
            id: "listen.certificate_expiring",
            severity: Severity::Warn,
            message: "the certificate lapses within three weeks".into(),
            fix: "restart the gateway, or renew the operator's own certificate".into(),
            subject: "tls".into(),
        });
    }
}

/// Tells whether an address is reachable from more than one private network.
const fn is_public(listen: SocketAddr) -> bool {
    match listen.ip().to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_unspecified() || !(ip.is_loopback() || ip.is_private() || ip.is_link_local())
        }
        IpAddr::V6(ip) => {
            let is_near = ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local();
            ip.is_unspecified() || !is_near
        }
    }
}

/// What only the owner may read.
const PRIVATE: [&str; 5] = ["audit.key", "device.key", "gateway.db", "tls/key.pem", "token.key"];
/// What holds no secret and may be read, but which only the owner should change. The directory keeps
/// others out, so this is a second lock.
const SETTINGS: [&str; 2] = ["contexts.toml", "openclaw.toml"];

fn about_files(around: &Around, findings: &mut Vec<Finding>) {
    let mut open = |id, severity, path: &Path, refused: u32, wanted: &str| {
        let file = std::fs::metadata(path).ok();
        let mode = file.map(|file| file.permissions().mode() & 0o777);
        if let Some(mode) = mode.filter(|mode| mode & refused != 0) {
            let path = path.display();
            findings.push(Finding {
                id,
                severity,
                message: format!("`{path}` is open to others (mode {mode:o})"),
                fix: format!("chmod {wanted} {path}"),
                subject: format!("file:{path}"),
            });
        }
    };
    let dir = around.state_dir.as_path();
    open("fs.state_dir.mode", Severity::Critical, dir, 0o077, "700");
    for name in PRIVATE {
        open("fs.key_mode", Severity::Critical, &dir.join(name), 0o077, "600");
    }
    if let Some(key) = &around.tls_key {
        // A group may be how the operator lets the gateway read it.
        open("fs.key_mode", Severity::Critical, key, 0o007, "o-rwx");
    }
    // Whoever writes them in a directory that lets others in decides what the gateway runs.
    let lets_in = std::fs::metadata(dir).is_ok_and(|dir| dir.permissions().mode() & 0o011 != 0);
    let severity = if lets_in { Severity::Critical } else { Severity::Info };
    for name in SETTINGS {
        open("fs.settings_mode", severity, &dir.join(name), 0o022, "go-w");
    }
}

#[cfg(test)]
mod tests;
