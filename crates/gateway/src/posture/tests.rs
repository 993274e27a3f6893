//! Each check finds what it is for, and nothing at its edge.

mod looked;

use openclaw_scopes::ScopeSet;
use openclaw_store::{AuditHead, Finding as ChainFinding, FindingKind};

use self::looked::{
    DAY, HOUR, Looked, NOW, approved, asked_at, at, granted, invitation, set_mode, token,
};
use super::*;

/// What makes a gateway weaker in one way.
type Change = fn(&mut Looked);

fn with_device(looked: &mut Looked, device: Device) {
    looked.facts.devices.push(device);
}

fn with_token(looked: &mut Looked, token: ApiToken) {
    looked.facts.tokens.push(token);
}

fn listening(looked: &mut Looked, expires_at: i64) {
    looked.around.listen = Some("192.168.1.2:18789".parse().unwrap());
    looked.around.certificate_expires_at = Some(at(expires_at));
}

/// A gateway with one hook.
fn hooked(keys: &str, problem: Option<&str>) -> Hooks {
    let text = format!("[hooks.entries.ci]\ntoken = {{ env = \"CI\" }}\n{keys}");
    let config = openclaw_config::parse(&text).unwrap();
    let (name, hook) = config.hooks().entries.first_key_value().unwrap();
    let all = vec![(name.clone(), hook.clone(), problem.map(str::to_owned))];
    Hooks { listen: Some("127.0.0.1:18790".parse().unwrap()), all }
}

/// Check, severity, whom it is about, what it finds, and what is just not that.
const CASES: [(&str, Severity, &str, Change, Change); 22] = [
    (
        "audit.chain",
        Severity::Critical,
        "audit",
        |it| {
            let (kind, detail) = (FindingKind::Edited, "row 1 is not what was written".into());
            it.chain.as_mut().unwrap().findings.push(ChainFinding { seq: 1, kind, detail });
        },
        |it| it.chain.as_mut().unwrap().unchecked.push(AuditHead::START),
    ),
    (
        "channels.dm.scope_main_multiuser",
        Severity::Critical,
        "config:session.dmScope",
        |it| it.around.in_main = ["owner", "telegram:7"].map(str::to_owned).into(),
        |it| it.around.in_main = ["owner".to_owned()].into(),
    ),
    (
        "devices.admin_scope",
        Severity::Warn,
        "device:",
        |it| with_device(it, granted(&[Scope::Admin])),
        |it| with_device(it, granted(&[Scope::Approvals, Scope::TalkSecrets, Scope::Write])),
    ),
    (
        "devices.never_used",
        Severity::Warn,
        "device:",
        // What it did before it was approved anew does not count.
        |it| with_device(it, approved(NOW - 7 * DAY, Some(NOW - 8 * DAY))),
        |it| with_device(it, approved(NOW - 7 * DAY + 1, None)),
    ),
    (
        "devices.pairing_scope",
        Severity::Info,
        "device:",
        |it| with_device(it, granted(&[Scope::Pairing])),
        |it| with_device(it, granted(&[Scope::Write])),
    ),
    (
        "devices.stale",
        Severity::Warn,
        "device:",
        |it| with_device(it, approved(0, Some(NOW - 90 * DAY))),
        |it| with_device(it, approved(0, Some(NOW - 90 * DAY + 1))),
    ),
    (
        "exec.allows_runner",
        Severity::Warn,
        "config:tools.exec.allow",
        |it| it.around.exec.allow = vec![vec!["/usr/bin/git".into(), "status".into()]],
        |it| it.around.exec.allow = vec![vec!["df".into()], vec!["gits".into()]],
    ),
    (
        "exec.unapproved",
        Severity::Critical,
        "config:tools.exec.ask",
        |it| (it.around.exec.sandbox, it.around.exec.ask) = (Sandbox::Off, ExecAsk::Off),
        |it| it.around.exec.ask = ExecAsk::Off,
    ),
    (
        "exec.unsandboxed",
        Severity::Warn,
        "config:tools.exec.sandbox",
        |it| it.around.exec.sandbox = Sandbox::Off,
        |it| it.around.exec.sandbox = Sandbox::Workspace,
    ),
    (
        "fs.key_mode",
        Severity::Critical,
        "file:",
        |it| it.file("token.key", 0o640),
        |it| it.file("token.key", 0o600),
    ),
    (
        "fs.settings_mode",
        Severity::Info,
        "file:",
        |it| it.file("openclaw.toml", 0o664),
        |it| it.file("openclaw.toml", 0o644),
    ),
    (
        "fs.state_dir.mode",
        Severity::Critical,
        "file:",
        |it| set_mode(&it.around.state_dir, 0o710),
        |it| set_mode(&it.around.state_dir, 0o700),
    ),
    (
        "hooks.listen_plain",
        Severity::Critical,
        "config:hooks.listen",
        |it| it.around.hooks.listen = Some("0.0.0.0:18790".parse().unwrap()),
        |it| it.around.hooks.listen = Some("127.0.0.1:18790".parse().unwrap()),
    ),
    (
        "hooks.tools_broad",
        Severity::Warn,
        "config:hooks.entries.ci",
        |it| it.around.hooks = hooked("tools.allow = [\"ex*\"]", None),
        |it| it.around.hooks = hooked("tools.allow = [\"read_file\"]", None),
    ),
    (
        "hooks.unusable",
        Severity::Warn,
        "config:hooks.entries.ci",
        |it| it.around.hooks = hooked("", Some("it is not set")),
        |it| it.around.hooks = hooked("", None),
    ),
    (
        "invitations.open",
        Severity::Info,
        "invitation:inv_1",
        |it| it.facts.invitations.push(invitation()),
        |it| it.facts.invitations.clear(),
    ),
    (
        "listen.certificate_expiring",
        Severity::Warn,
        "tls",
        |it| listening(it, NOW + 21 * DAY - 1),
        |it| listening(it, NOW + 21 * DAY),
    ),
    (
        "listen.exposed",
        Severity::Info,
        "config:listen.tcp",
        |it| it.around.listen = Some("0.0.0.0:18789".parse().unwrap()),
        |it| it.around.listen = Some("127.0.0.1:18789".parse().unwrap()),
    ),
    (
        "pairing.long_pending",
        Severity::Info,
        "request:pr_1",
        |it| it.facts.pending.push(asked_at(NOW - HOUR / 4)),
        |it| it.facts.pending.push(asked_at(NOW - HOUR / 4 + 1)),
    ),
    (
        "tokens.admin_scope",
        Severity::Warn,
        "token:tok_1",
        |it| with_token(it, ApiToken { scopes: Scope::Admin.into(), ..token() }),
        |it| {
            let scopes = ScopeSet::of(&[Scope::Pairing, Scope::TalkSecrets, Scope::Write]);
            with_token(it, ApiToken { scopes, ..token() });
        },
    ),
    (
        "tokens.expires_late",
        Severity::Info,
        "token:tok_1",
        |it| with_token(it, ApiToken { expires_at: at(NOW + 180 * DAY + 1), ..token() }),
        |it| with_token(it, ApiToken { expires_at: at(NOW + 180 * DAY), ..token() }),
    ),
    (
        "tokens.never_used",
        Severity::Warn,
        "token:tok_1",
        |it| {
            let (created_at, last_used_at) = (at(NOW - 7 * DAY), None);
            with_token(it, ApiToken { created_at, last_used_at, ..token() });
        },
        |it| {
            let (created_at, last_used_at) = (at(NOW - 7 * DAY + 1), None);
            with_token(it, ApiToken { created_at, last_used_at, ..token() });
        },
    ),
];

fn ids(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().map(|finding| finding.id).collect()
}

#[test]
fn each_check_finds_what_it_is_for_and_stops_at_its_edge() {
    assert_eq!(Looked::new().look(), (Vec::new(), CHECKS));
    for (id, severity, subject, weak, edge) in CASES {
        let mut looked = Looked::new();
        weak(&mut looked);
        let (findings, checks) = looked.look();
        assert_eq!((ids(&findings).as_slice(), checks), ([id].as_slice(), CHECKS), "{findings:?}");
        assert_eq!(findings[0].severity, severity, "{id}");
        assert!(findings[0].subject.starts_with(subject), "{findings:?}");
        let mut looked = Looked::new();
        edge(&mut looked);
        assert_eq!(looked.look().0, [], "{id} at its edge");
    }
    let cases: BTreeSet<_> = CASES.iter().map(|case| case.0).collect();
    assert_eq!(u32::try_from(cases.len()), Ok(CHECKS), "every check has its case");
}

#[test]
fn the_gravest_come_first() {
    let mut looked = Looked::new();
    for (id, _, _, weak, _) in CASES {
        // Another device and another listener each time would be the same check twice.
        if id != "listen.certificate_expiring" {
            weak(&mut looked);
        }
    }
    looked.file("audit.key", 0o604);
    let findings = looked.look().0;
    let order: Vec<_> = findings.iter().map(|it| (it.severity, it.id, &it.subject)).collect();
    assert!(order.is_sorted(), "{order:?}");
    let chats = "channels.dm.scope_main_multiuser";
    let first = ["audit.chain", chats, "exec.unapproved", "fs.key_mode", "fs.key_mode"];
    let then = ["fs.settings_mode", "fs.state_dir.mode", "devices.admin_scope"];
    assert_eq!(ids(&findings)[..8], [first.as_slice(), &then].concat());
    assert_eq!(findings.last().unwrap().severity, Severity::Info);
}

/// What was withdrawn, or has lapsed, weakens nothing.
#[test]
fn what_is_over_is_not_found() {
    let mut looked = Looked::new();
    let old = Device { baseline: granted(&[Scope::Admin]).baseline, ..approved(0, None) };
    with_device(&mut looked, Device { revoked_at: Some(at(NOW)), ..old });
    let old =
        ApiToken { scopes: Scope::Admin.into(), last_used_at: None, created_at: at(0), ..token() };
    with_token(&mut looked, ApiToken { revoked_at: Some(at(NOW)), ..old.clone() });
    with_token(&mut looked, ApiToken { expires_at: at(NOW), ..old.clone() });
    assert_eq!(looked.look().0, []);
    with_token(&mut looked, ApiToken { expires_at: at(NOW + 1), ..old });
    assert_eq!(ids(&looked.look().0), ["tokens.admin_scope", "tokens.never_used"]);
}

#[test]
fn every_private_file_is_looked_at() {
    for name in PRIVATE {
        let looked = Looked::new();
        for mode in [0o400, 0o600, 0o700] {
            looked.file(name, mode);
            assert_eq!(looked.look().0, [], "{name} {mode:o}");
        }
        for mode in [0o601, 0o604, 0o620, 0o644, 0o666] {
            looked.file(name, mode);
            let findings = looked.look().0;
            let path = looked.around.state_dir.join(name).display().to_string();
            assert_eq!(ids(&findings), ["fs.key_mode"], "{name} {mode:o}");
            assert_eq!(findings[0].fix, format!("chmod 600 {path}"));
            assert!(findings[0].message.contains(&format!("mode {mode:o}")), "{findings:?}");
        }
    }
}

#[test]
fn a_listener_is_exposed_where_strangers_are() {
    for (listen, is_exposed) in [
        ("127.0.0.1:1", false),
        ("10.0.0.1:1", false),
        ("172.16.0.1:1", false),
        ("172.32.0.1:1", true),
        ("192.168.0.1:1", false),
        ("169.254.0.1:1", false),
        ("0.0.0.0:1", true),
        ("203.0.113.1:1", true),
        ("100.64.0.1:1", true),
        ("[::1]:1", false),
        ("[fd00::1]:1", false),
        ("[fe80::1]:1", false),
        ("[::]:1", true),
        ("[2001:db8::1]:1", true),
        ("[::ffff:127.0.0.1]:1", false),
        ("[::ffff:203.0.113.1]:1", true),
    ] {
        let mut looked = Looked::new();
        looked.around.listen = Some(listen.parse().unwrap());
        let found = ids(&looked.look().0) == ["listen.exposed"];
        assert_eq!(found, is_exposed, "{listen}");
    }
    // Without a listener its certificate is nobody's concern.
    let mut looked = Looked::new();
    looked.around.certificate_expires_at = Some(at(0));
    assert_eq!(looked.look().0, []);
}

#[test]
fn a_log_that_cannot_be_read_is_a_finding() {
    let mut looked = Looked::new();
    looked.chain = Err(StoreError::Corrupt("page 7".into()));
    let findings = looked.look().0;
    assert_eq!((ids(&findings), findings[0].severity), (vec!["audit.chain"], Severity::Critical));
    assert!(findings[0].message.contains("page 7"), "{findings:?}");
}
