//! Keys that callers name, sub-agents, and which session is told of what has ended.

use std::fmt::Write as _;

use expect_test::expect;
use openclaw_scopes::SessionKey;

use super::agents::binding;
use super::*;
use crate::resolve_key;
use crate::route::{AccountPattern, Match, Owners, PeerPattern};

fn two() -> Routes {
    Routes { agents: [agent("ops"), agent("work")].into(), ..Routes::default() }
}

fn told(event: &Event<'_>, routes: &Routes) -> String {
    match route(event, routes) {
        Ok(routed) => {
            assert_eq!(routed.reply, None);
            format!("{} {}", routed.session, routed.matched_by.name())
        }
        Err(error) => format!("refused: {error}"),
    }
}

#[test]
fn a_named_key_is_resolved() {
    let (ops_id, gone) = (agent("ops"), agent("gone"));
    let chosen = Routes { fallback: Some(agent("work")), ..two() };
    let mut table = String::new();
    for (key, agent, routes) in [
        ("main", Some(&ops_id), &two()),
        (" MAIN ", None, &ops()),
        ("main", None, &two()),
        ("main", None, &chosen),
        ("agent:work:Cron:Nightly", None, &two()),
        ("agent:work:x", Some(&ops_id), &two()),
        ("agent:gone:x", None, &two()),
        ("x", Some(&gone), &two()),
        ("agent:ops", None, &two()),
        ("", None, &two()),
    ] {
        let named = told(&Event::Named { agent, key }, routes);
        writeln!(table, "{key:?} {agent:?}: {named}").unwrap();
    }
    expect![[r#"
        "main" Some(AgentId("ops")): agent:ops:main caller
        " MAIN " None: agent:ops:main default
        "main" None: refused: agent selection required: nothing says which of the agents answers
        "main" None: agent:work:main default
        "agent:work:Cron:Nightly" None: agent:work:cron:nightly caller
        "agent:work:x" Some(AgentId("ops")): agent:work:x caller
        "agent:gone:x" None: refused: there is no agent `gone`
        "x" Some(AgentId("gone")): refused: there is no agent `gone`
        "agent:ops" None: refused: session key `agent:ops` names an agent but no session: write `agent:<id>:<name>`
        "" None: refused: session key is empty
    "#]].assert_eq(&table);
}

#[test]
fn a_sub_agent_has_a_session_of_its_own() {
    let ops_id = agent("ops");
    let mut table = String::new();
    for id in ["8F3A-1", "heartbeat", "main", "", "a:b", "a:heartbeat", "incognito-1", "a\nb"] {
        let child = told(&Event::Child { agent: &ops_id, id }, &ops());
        writeln!(table, "{id:?}: {child}").unwrap();
    }
    expect![[r#"
        "8F3A-1": agent:ops:subagent:8f3a-1 caller
        "heartbeat": agent:ops:subagent:heartbeat caller
        "main": agent:ops:subagent:main caller
        "": refused: sub-agent `` must be text without `:`, control characters or spaces around it
        "a:b": refused: sub-agent `a:b` must be text without `:`, control characters or spaces around it
        "a:heartbeat": refused: sub-agent `a:heartbeat` must be text without `:`, control characters or spaces around it
        "incognito-1": refused: session key `agent:ops:subagent:incognito-1` would mean another conversation than the one it was made of
        "a\nb": refused: sub-agent `a\nb` must be text without `:`, control characters or spaces around it
    "#]].assert_eq(&table);
}

/// Spec 5.5 and the report 71581: what is told and what is woken is a session that somebody reads.
#[test]
fn events_of_an_unread_direct_conversation_go_to_main() {
    let (one, many, none) = (Owners::One("Al"), Owners::Many, Owners::None);
    let mut table = String::new();
    for (key, owners) in [
        ("telegram:direct:al", one),
        ("telegram:direct:al", many),
        ("telegram:direct:al", none),
        ("telegram:direct:bo", one),
        ("telegram:bot2:direct:al", one),
        ("direct:al", one),
        ("dm:al", one),
        ("telegram:direct:al:thread:7", one),
        ("telegram:direct:al:heartbeat", one),
        ("telegram:group:al", one),
        ("telegram:channel:al", one),
        ("main", one),
        ("main:thread:7", one),
        ("cron:nightly", one),
        ("cron:nightly:run:1", none),
        ("subagent:al", one),
        ("explicit:direct:al", one),
    ] {
        let session = resolve_key(key, Some(&agent("work"))).unwrap();
        let (completion, wake) = (
            Event::Completion { session: &session, owners },
            Event::Wake { session: &session, owners },
        );
        write!(table, "{key:<30} {:<10}", format!("{owners:?}")).unwrap();
        for dm_scope in [DmScope::Main, DmScope::PerChannelPeer] {
            let routes = Routes { dm_scope, ..two() };
            let found = route(&completion, &routes).unwrap();
            assert_eq!(Ok(found.clone()), route(&wake, &routes));
            write!(table, " {:<28}", found.session.as_str().strip_prefix("agent:work:").unwrap())
                .unwrap();
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    expect![[r#"
        telegram:direct:al             One("Al")  main                         telegram:direct:al
        telegram:direct:al             Many       telegram:direct:al           telegram:direct:al
        telegram:direct:al             None       telegram:direct:al           telegram:direct:al
        telegram:direct:bo             One("Al")  telegram:direct:bo           telegram:direct:bo
        telegram:bot2:direct:al        One("Al")  main                         telegram:bot2:direct:al
        direct:al                      One("Al")  main                         direct:al
        dm:al                          One("Al")  main                         dm:al
        telegram:direct:al:thread:7    One("Al")  main                         telegram:direct:al:thread:7
        telegram:direct:al:heartbeat   One("Al")  telegram:direct:al:heartbeat telegram:direct:al:heartbeat
        telegram:group:al              One("Al")  telegram:group:al            telegram:group:al
        telegram:channel:al            One("Al")  telegram:channel:al          telegram:channel:al
        main                           One("Al")  main                         main
        main:thread:7                  One("Al")  main:thread:7                main:thread:7
        cron:nightly                   One("Al")  cron:nightly                 cron:nightly
        cron:nightly:run:1             None       main                         main
        subagent:al                    One("Al")  subagent:al                  subagent:al
        explicit:direct:al             One("Al")  explicit:direct:al           explicit:direct:al
    "#]].assert_eq(&table);
    for text in ["main", "agent:gone:main"] {
        let session = SessionKey::parse(text).unwrap();
        assert!(route(&Event::Wake { session: &session, owners: one }, &two()).is_err(), "{text}");
    }
}

/// Spec 5.5: a binding that keeps a direct conversation apart keeps its events there, too.
#[test]
fn a_binding_keeps_the_events_of_its_conversations() {
    let keys = ["direct:al", "telegram:direct:al", "telegram:bot2:direct:al"];
    let direct = |pattern| Some((Direct, pattern));
    let mut table = String::new();
    for (label, id, dm_scope, matches) in [
        ("no scope", "ops", None, Match::default()),
        ("main", "ops", Some(DmScope::Main), Match::default()),
        ("per-peer", "ops", Some(DmScope::PerPeer), Match::default()),
        ("per-channel-peer", "ops", Some(DmScope::PerChannelPeer), Match::default()),
        ("per-account", "ops", Some(DmScope::PerAccountChannelPeer), Match::default()),
        (
            "per-account, any account",
            "ops",
            Some(DmScope::PerAccountChannelPeer),
            Match { account: AccountPattern::Any, ..Match::default() },
        ),
        ("of another agent", "work", Some(DmScope::PerChannelPeer), Match::default()),
        (
            "of that peer",
            "ops",
            Some(DmScope::PerChannelPeer),
            Match { peer: direct(PeerPattern::Exact("AL".into())), ..Match::default() },
        ),
        (
            "of another peer",
            "ops",
            Some(DmScope::PerChannelPeer),
            Match { peer: direct(PeerPattern::Exact("bo".into())), ..Match::default() },
        ),
        (
            "of all groups",
            "ops",
            Some(DmScope::PerChannelPeer),
            Match { peer: Some((Group, PeerPattern::Any)), ..Match::default() },
        ),
    ] {
        let mut binding = binding(id, matches);
        "Telegram".clone_into(&mut binding.matches.channel);
        binding.dm_scope = dm_scope;
        let routes = Routes { bindings: vec![binding], ..two() };
        let kept: Vec<_> = keys
            .into_iter()
            .filter(|key| {
                let session = resolve_key(key, Some(&agent("ops"))).unwrap();
                let owners = Owners::One("al");
                let routed = route(&Event::Completion { session: &session, owners }, &routes);
                routed.unwrap().session == session
            })
            .collect();
        writeln!(table, "{label:<25} keeps {kept:?}").unwrap();
    }
    expect![[r#"
        no scope                  keeps []
        main                      keeps []
        per-peer                  keeps ["direct:al"]
        per-channel-peer          keeps ["telegram:direct:al"]
        per-account               keeps []
        per-account, any account  keeps ["telegram:bot2:direct:al"]
        of another agent          keeps []
        of that peer              keeps ["telegram:direct:al"]
        of another peer           keeps []
        of all groups             keeps []
    "#]]
    .assert_eq(&table);
}
