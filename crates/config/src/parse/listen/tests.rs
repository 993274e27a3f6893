//! What `[listen]` accepts, and what it says about everything else.

use std::path::Path;

use expect_test::{Expect, expect};

use super::*;
use crate::parse;

#[test]
fn nothing_listens_unless_it_is_said() {
    assert_eq!(parse("").unwrap().listen(), None);
    assert_eq!(parse("[listen]").unwrap().listen(), None);
}

#[test]
fn a_listener_with_and_without_the_rest() {
    let config = parse("[listen]\ntcp = '[::]:0'").unwrap();
    let tcp = "[::]:0".parse().unwrap();
    let bare = ListenSettings { tcp, advertise: Vec::new(), tls: None };
    assert_eq!(config.listen(), Some(&bare));

    let text = "\
[listen]
tcp = '0.0.0.0:18789'
advertise = ['gateway.example:443', '10.0.0.7:18789', 'gateway.example:443', '[2001:db8::1]:1']
tls = { certPath = '~/cert.pem', keyPath = '/etc/key.pem' }
";
    let config = parse(text).unwrap();
    let listen = config.listen().unwrap();
    assert_eq!(listen.tcp.port(), 18789);
    assert_eq!(listen.advertise, ["gateway.example:443", "10.0.0.7:18789", "[2001:db8::1]:1"]);
    let tls = listen.tls.as_ref().unwrap();
    assert_eq!((&*tls.cert, &*tls.key), (Path::new("~/cert.pem"), Path::new("/etc/key.pem")));
}

#[test]
#[rustfmt::skip]
fn what_others_can_reach() {
    for (text, reachable) in [
        ("gateway.example:18789", true),
        ("gate-way_1:1",          true),
        ("192.0.2.7:65535",       true),
        ("127.0.0.1:18789",       true),
        ("[::1]:80",              true),
        ("gateway.example",       false),
        ("gateway.example:",      false),
        ("gateway.example:0",     false),
        ("gateway.example:65536", false),
        ("gateway.example:+1",    false),
        (":18789",                false),
        ("::1:80",                false),
        ("[::1]",                 false),
        ("[gateway]:80",          false),
        ("[::]:80",               false),
        ("0.0.0.0:80",            false),
        ("a b:80",                false),
        ("a/b:80",                false),
        ("a,b:80",                false),
        ("user@host:80",          false),
        ("",                      false),
    ] {
        assert_eq!(is_reachable(text), reachable, "{text}");
    }
}

#[track_caller]
fn refused(text: &str, expected: &Expect) {
    let errors = parse(text).unwrap_err();
    expected.assert_eq(&format!("{errors}\n"));
}

#[test]
fn mistakes_are_located() {
    let nine: Vec<_> = (1..10).map(|port| format!("'a:{port}'")).collect();
    let nine = nine.join(", ");
    refused(
        "[listen]\nadvertise = ['a:1']",
        &expect![[r#"
        line 1, column 2: `listen` needs `tcp`, for example `tcp = "0.0.0.0:18789"`
    "#]],
    );
    refused(
        "[listen.tls]\nkeyPath = '/k'",
        &expect![[r#"
        line 1, column 2: `listen` needs `tcp`, for example `tcp = "0.0.0.0:18789"`
        line 1, column 9: `listen.tls` needs `certPath`, for example `certPath = "/etc/openclaw/cert.pem"`
    "#]],
    );
    refused(
        "[listen]\ntcp = 18789\ntls = 'auto'\nport = 1",
        &expect![[r#"
        line 2, column 7: `listen.tcp` must be a text in quotes, not a number
        line 3, column 7: `listen.tls` must be a table, not a text
        line 4, column 1: unknown key `port` in `listen`; known here: `tcp`, `advertise`, `tls`
    "#]],
    );
    refused(
        "[listen]\ntcp = 'localhost:18789'\nadvertise = ['a', 7, '0.0.0.0:1']",
        &expect![[r#"
            line 2, column 7: `listen.tcp` must be an IP address and a port, such as `0.0.0.0:18789` or `[::]:18789`
            line 3, column 14: `listen.advertise[0]` must be a host that others can reach and a port, such as `gateway.example:18789` or `[2001:db8::1]:18789`
            line 3, column 19: `listen.advertise[1]` must be a text in quotes, not a number
            line 3, column 22: `listen.advertise[2]` must be a host that others can reach and a port, such as `gateway.example:18789` or `[2001:db8::1]:18789`
        "#]],
    );
    refused(
        "[listen]\ntcp = '[::]:1'\ntls = { cert_path = 'c.pem', keyPath = 'k.pem' }",
        &expect![[r#"
            line 3, column 1: `listen.tls` needs `certPath`, for example `certPath = "/etc/openclaw/cert.pem"`
            line 3, column 9: unknown key `cert_path` in `listen.tls`; did you mean `certPath`?
            line 3, column 40: `listen.tls.keyPath` must be an absolute path, or one that begins with `~/`
        "#]],
    );
    refused(
        &format!("[listen]\ntcp = '[::]:1'\nadvertise = [{nine}]"),
        &expect![[r#"
        line 3, column 13: `listen.advertise` has more than 8 elements
    "#]],
    );
    refused(
        "listen = true",
        &expect![[r#"
        line 1, column 10: `listen` must be a table, not true or false
    "#]],
    );
}
