//! Verbs about channels, and about who is let in there.

use serde_json::Value;

use crate::online::beside;
use crate::process::run;

type Row<'a> = (&'a str, i32, &'a str, &'a str);

async fn all(rows: &[Row<'_>]) {
    beside(async |state, _| {
        for (line, code, out, err) in rows {
            let (told, stdout, stderr) = run(&state, line).await;
            let stderr = stderr.replace(&state.display().to_string(), "STATE");
            assert_eq!((told, stdout.as_str(), stderr.as_str()), (*code, *out, *err), "{line}");
        }
    })
    .await;
}

#[tokio::test]
#[rustfmt::skip]
async fn channels() {
    let list = "CHANNEL   PLATFORM  ENABLED  ACCOUNT  STATE\n\
                discord   discord   yes      default  reconnecting\n\
                telegram  telegram  no       default  disabled\n\
                webhook   webhook   yes      default  ready\n";
    let status = "CHANNEL   STATE         SINCE  WAITING  FAILED  ERROR\n\
                  discord   reconnecting  -      2        1       closed with code 4000: \\u{1b}[2J\n\
                  telegram  disabled      -      0        0       -\n\
                  webhook   ready         -      0        0       -\n";
    let lines = "AT  EVENT         ID  ERROR\n\
                 -   reconnecting  -   closed: \\u{1b}[2J\n\
                 -   connected     -   -\n\
                 -   refused       7   -\n";
    let last = "AT  EVENT    ID  ERROR\n\
                -   refused  7   -\n";
    let absent = "error: no channel `absent` is configured\nnext: openclaw access explain agent\n";
    let waits = "What is to be sent waits until `openclaw --state-dir STATE channels start telegram`, or the next start of the gateway.\n";
    let unset = "It cannot be used yet: the environment variable `UNSET` is not set. Set it for the gateway, and restart the gateway.\n";
    let there = "error: the channel `discord` is already configured\n";
    all(&[
        ("channels list",                                  0, list, ""),
        ("channels ls",                                    0, list, ""),
        ("channels status",                                0, status, ""),
        ("channels logs discord",                          0, lines, ""),
        ("channels logs discord --limit 1",                0, last, ""),
        ("channels logs absent",                           1, "", absent),
        ("channels start telegram",                        0, "telegram is connecting\n", ""),
        ("channels start absent",                          1, "", absent),
        ("channels stop telegram",                         0, "telegram is stopped\n", waits),
        ("channels stop absent",                           1, "", absent),
        ("channels add telegram --token-env T",            0, "added telegram; it is connecting\n", ""),
        ("channels add discord --token-env D --dm-policy allowlist", 0, "added discord; it is connecting\n", ""),
        ("channels add telegram --token-env UNSET",        0, "added telegram; it is failed\n", unset),
        ("channels add discord --token-env THERE",         1, "", there),
    ]).await;
}

/// A token on a command line is refused, and repeated nowhere.
#[tokio::test]
//= docs/threat-model.md#T14
async fn a_token_is_not_taken() {
    let told = "error: a token may not stand on a command line, where others read it: take a new one at \
                the platform, put it into an environment variable of the gateway, and name that\n\
                next: openclaw --state-dir STATE channels add telegram --token-env VAR\n";
    all(&[("channels add telegram --token 123:SECRET", 2, "", told)]).await;
    beside(async |state, _| {
        for line in ["channels add telegram --token 123:SECRET --json", "channels add telegram"] {
            let (code, out, err) = run(&state, line).await;
            assert_eq!((code, out.as_str()), (2, ""), "{line}");
            assert!(!err.contains("SECRET"), "{err}");
        }
    })
    .await;
}

#[tokio::test]
#[rustfmt::skip]
async fn people() {
    let list = "CHANNEL   ID   NAME          CODE      ASKED  LAPSES  APPROVED  BY     OWNER\n\
                telegram  123  Ada\\u{1b}[2J  7K2Q9XBD  -      -       -         -      no\n\
                telegram  42   Bob           -         -      -       -         owner  yes\n";
    let approved = "approved telegram:123 (Ada\\u{1b}[2J)\n";
    let owner = "approved telegram:123 (Ada\\u{1b}[2J), an owner\n";
    let offer = "They are no owner. To make them one: openclaw --state-dir STATE pairing approve telegram 123 --owner\n";
    let wrong = "error: nobody on telegram has the code or id `WRONG`\nnext: openclaw access explain agent\n";
    let narrow = "error: missing scope: operator.admin\nnext: openclaw access explain agent\n";
    let unsure = "error: `123` on telegram would be removed; say --yes, or look first with --dry-run\nnext: openclaw --state-dir STATE pairing remove telegram 123 --yes\n";
    let nobody = "error: nobody on telegram has the code or id `7`\nnext: openclaw --state-dir STATE pairing list telegram\n";
    let still = "They are an owner still: take them out of commands.ownerAllowFrom in openclaw.toml, and restart the gateway.\n";
    all(&[
        ("pairing list",                             0, list, ""),
        ("pairing ls telegram",                      0, list, ""),
        ("pairing list discord",                     0, "", "nobody\n"),
        ("pairing approve telegram 7K2Q9XBD",        0, approved, offer),
        ("pairing approve telegram 7K2Q9XBD --owner", 0, owner, ""),
        ("pairing approve telegram 7K2Q9XBD --no-owner", 0, approved, ""),
        ("pairing approve telegram NARROW --owner",  77, "", narrow),
        ("pairing approve telegram OWNER",           0, owner, ""),
        ("pairing approve telegram WRONG",           1, "", wrong),
        ("pairing approve telegram SHARED",          1, "", "error: telegram:default:42 may write already\n"),
        ("pairing approve telegram SHARED --share-main", 0, approved, offer),
        ("pairing remove telegram 123",              2, "", unsure),
        ("pairing remove telegram 123 --dry-run",    0, "would remove telegram:123 (Ada\\u{1b}[2J)\n", ""),
        ("pairing rm telegram 7k2q9xbd --dry-run",   0, "would remove telegram:123 (Ada\\u{1b}[2J)\n", ""),
        ("pairing delete telegram 7 --dry-run",      1, "", nobody),
        ("pairing reject telegram 123 --yes",        0, "removed telegram:123\n", ""),
        ("pairing remove telegram 1 --yes",          0, "removed telegram:1\n", still),
    ]).await;
}

#[tokio::test]
async fn documents() {
    beside(async |state, _| {
        for (line, pointer, expected) in [
            ("channels list", "/channels/1/enabled", "false"),
            ("channels list", "/channels/0/platform", "\"discord\""),
            ("channels status", "/channels/0/waiting", "2"),
            ("channels logs discord --limit 2", "/lines/0/event", "\"connected\""),
            ("channels start telegram", "/state", "\"connecting\""),
            ("channels stop telegram", "/state", "\"stopped\""),
            ("channels add telegram --token-env UNSET", "/state", "\"failed\""),
            ("pairing list", "/people/1/owner", "true"),
            ("pairing list", "/people/0/approvedAt", "null"),
            ("pairing list", "/hasOwner", "true"),
            ("pairing approve telegram 7K2Q9XBD", "/approvedBy", "\"owner\""),
            ("pairing approve telegram 7K2Q9XBD --owner", "/owner", "true"),
            ("pairing remove telegram 42 --dry-run", "/name", "\"Bob\""),
            ("pairing remove telegram 42 --yes", "/senderId", "\"42\""),
        ] {
            let (code, out, err) = run(&state, &format!("{line} --json")).await;
            assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 1), "{line}");
            let document: Value = serde_json::from_str(&out).unwrap();
            assert_eq!(document.pointer(pointer).unwrap().to_string(), expected, "{line}");
        }
    })
    .await;
}
