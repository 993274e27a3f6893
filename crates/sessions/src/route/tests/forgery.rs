//! Ids that try to make the key of another conversation, and those that only look like it.

use std::fmt::Write as _;

use expect_test::expect;

use super::*;

/// A key must not be forged by whoever chooses an id (spec 1.1: a malformed key is refused).
#[test]
fn an_id_makes_no_key_that_means_something_else() {
    let thread = |origin, thread| Origin { thread: Some(thread), ..origin };
    let account = |origin, account| Origin { account: Some(account), ..origin };
    let mut table = String::new();
    for origin in [
        from("telegram", Direct, "1:thread:2"),
        from("telegram", Direct, "x:direct:y"),
        from("telegram", Direct, "1:heartbeat"),
        from("telegram", Direct, "1:topic:2"),
        from("telegram", Direct, "1\n2"),
        from("telegram", Direct, " 1"),
        from("telegram", Group, ""),
        from("telegram", Group, "-1:topic:"),
        from("telegram", Group, "-1:topic:2:thread:3"),
        from("telegram", Group, "-1:Topic:2"),
        from("matrix", Channel, "!a:b:thread:$c"),
        from("matrix", Channel, "!a:b:THREAD:$c"),
        from("matrix", Channel, "!a:b:heartbeat"),
        from("matrix", Channel, "!a:b:Heartbeat"),
        from("matrix", Direct, "@a:b:thread:c"),
        thread(from("matrix", Channel, "!a:b"), "$c:heartbeat"),
        thread(from("matrix", Channel, "!a:b"), "$c:thread:$d"),
        thread(from("telegram", Direct, "1"), "2:heartbeat"),
        thread(from("telegram", Direct, "1"), " 2"),
        thread(from("irc", Direct, "thread"), "2"),
        account(from("telegram", Direct, "1"), "a:b"),
        account(from("telegram", Direct, "1"), "direct"),
        from("", Direct, "1"),
        from("cron", Direct, "1"),
        from("direct", Direct, "1"),
        from("a:b", Direct, "1"),
        from("telegram", Direct, "heartbeat"),
        from("telegram", Direct, "main"),
        thread(from("telegram", Direct, "1"), "heartbeat"),
    ] {
        let Peer { id, .. } = origin.peer.unwrap();
        let (account, thread) = (origin.account.unwrap_or("-"), origin.thread.unwrap_or("-"));
        writeln!(table, "{} {account} {id:?} {thread}", origin.channel).unwrap();
        let [one, other] = [DmScope::PerPeer, DmScope::PerAccountChannelPeer]
            .map(|dm_scope| session(origin, &Routes { dm_scope, ..ops() }));
        writeln!(table, "    {one}").unwrap();
        if one != other {
            writeln!(table, "    {other}").unwrap();
        }
    }
    expect![[r#"
        telegram - "1:thread:2" -
            refused: peer `1:thread:2` must be text without `:`, control characters or spaces around it
        telegram - "x:direct:y" -
            refused: peer `x:direct:y` must be text without `:`, control characters or spaces around it
        telegram - "1:heartbeat" -
            refused: peer `1:heartbeat` must be text without `:`, control characters or spaces around it
        telegram - "1:topic:2" -
            refused: peer `1:topic:2` must be text without `:`, control characters or spaces around it
        telegram - "1\n2" -
            refused: peer `1\n2` must be text without `:`, control characters or spaces around it
        telegram - " 1" -
            refused: peer ` 1` must be text without `:`, control characters or spaces around it
        telegram - "" -
            refused: peer `` must be text without `:`, control characters or spaces around it
        telegram - "-1:topic:" -
            refused: peer `-1:topic:` must be text without `:`, control characters or spaces around it
        telegram - "-1:topic:2:thread:3" -
            refused: peer `-1:topic:2:thread:3` must be text without `:`, control characters or spaces around it
        telegram - "-1:Topic:2" -
            refused: peer `-1:Topic:2` must be text without `:`, control characters or spaces around it
        matrix - "!a:b:thread:$c" -
            refused: session key `agent:ops:matrix:channel:!a:b:thread:$c` would mean another conversation than the one it was made of
        matrix - "!a:b:THREAD:$c" -
            refused: session key `agent:ops:matrix:channel:!a:b:THREAD:$c` would mean another conversation than the one it was made of
        matrix - "!a:b:heartbeat" -
            refused: session key `agent:ops:matrix:channel:!a:b:heartbeat` would mean another conversation than the one it was made of
        matrix - "!a:b:Heartbeat" -
            matrix:channel:!a:b:Heartbeat
        matrix - "@a:b:thread:c" -
            refused: session key `agent:ops:direct:@a:b:thread:c` would mean another conversation than the one it was made of
            refused: session key `agent:ops:matrix:default:direct:@a:b:thread:c` would mean another conversation than the one it was made of
        matrix - "!a:b" $c:heartbeat
            refused: session key `agent:ops:matrix:channel:!a:b:thread:$c:heartbeat` would mean another conversation than the one it was made of
        matrix - "!a:b" $c:thread:$d
            refused: session key `agent:ops:matrix:channel:!a:b:thread:$c:thread:$d` would mean another conversation than the one it was made of
        telegram - "1" 2:heartbeat
            refused: thread `2:heartbeat` must be text without `:`, control characters or spaces around it
        telegram - "1"  2
            refused: thread ` 2` must be text without `:`, control characters or spaces around it
        irc - "thread" 2
            refused: session key `agent:ops:direct:thread:thread:2` would mean another conversation than the one it was made of
            refused: session key `agent:ops:irc:default:direct:thread:thread:2` would mean another conversation than the one it was made of
        telegram a:b "1" -
            refused: account `a:b` must be text without `:`, control characters or spaces around it
        telegram direct "1" -
            direct:1
            refused: session key `agent:ops:telegram:direct:direct:1` would mean another conversation than the one it was made of
         - "1" -
            refused: channel `` must be text without `:`, control characters or spaces around it
        cron - "1" -
            direct:1
            refused: session key `agent:ops:cron:default:direct:1` would mean another conversation than the one it was made of
        direct - "1" -
            direct:1
            refused: session key `agent:ops:direct:default:direct:1` would mean another conversation than the one it was made of
        a:b - "1" -
            refused: channel `a:b` must be text without `:`, control characters or spaces around it
        telegram - "heartbeat" -
            direct:heartbeat
            telegram:default:direct:heartbeat
        telegram - "main" -
            direct:main
            telegram:default:direct:main
        telegram - "1" heartbeat
            direct:1:thread:heartbeat
            telegram:default:direct:1:thread:heartbeat
    "#]].assert_eq(&table);
    let long = "x".repeat(600);
    let per_peer = Routes { dm_scope: DmScope::PerPeer, ..ops() };
    assert!(session(from("telegram", Direct, &long), &per_peer).starts_with("refused"));
}
