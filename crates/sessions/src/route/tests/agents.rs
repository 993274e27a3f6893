//! Which agent answers: the precedence of bindings, and what happens when none matches.

use std::fmt::Write as _;

use expect_test::expect;

use super::*;
use crate::route::{AccountPattern, Binding, Match, MatchedBy, PeerPattern, RouteError, Routed};

/// A binding whose agent is named after what it matches.
pub(super) fn binding(name: &str, matches: Match) -> Binding {
    let matches = Match { channel: "discord".to_owned(), ..matches };
    Binding { agent: agent(name), dm_scope: None, group_scope: None, matches }
}

fn exact(kind: ChatType, id: &str) -> Option<(ChatType, PeerPattern)> {
    Some((kind, PeerPattern::Exact(id.to_owned())))
}

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// One binding of each kind, the least telling first.
fn bindings() -> Vec<Binding> {
    let any = Match { account: AccountPattern::Any, ..Match::default() };
    vec![
        binding("channel", any.clone()),
        binding("default-account", Match::default()),
        binding("account", Match { account: AccountPattern::Exact("Work".into()), ..any.clone() }),
        binding("team", Match { team: text("t1"), ..any.clone() }),
        binding("guild", Match { guild: text("g1"), ..any.clone() }),
        binding(
            "roles",
            Match { guild: text("g1"), roles: vec!["r1".into(), "r2".into()], ..any.clone() },
        ),
        binding("wildcard", Match { peer: Some((Group, PeerPattern::Any)), ..any.clone() }),
        binding("parent", Match { peer: exact(Channel, "P1"), ..any.clone() }),
        binding("peer", Match { peer: exact(Group, "C1"), ..any.clone() }),
        binding("late", Match { peer: exact(Group, "C1"), ..any.clone() }),
        binding("both", Match { peer: exact(Direct, "7"), guild: text("g2"), ..any }),
    ]
}

fn all(bindings: Vec<Binding>, fallback: Option<&str>) -> Routes {
    let agents = bindings.iter().map(|binding| binding.agent.clone());
    let agents = agents.chain([agent("ops")]).collect();
    Routes { agents, bindings, fallback: fallback.map(agent), ..Routes::default() }
}

fn chosen(origin: Origin<'_>, routes: &Routes) -> Result<Routed, RouteError> {
    route(&Event::Message(origin), routes)
}

/// Spec 1.3: exact peer, parent, wildcard, guild and roles, guild, team, account, channel, fallback.
#[test]
fn the_most_telling_binding_wins() {
    let routes = all(bindings(), Some("ops"));
    let base = Origin { channel: "Discord", account: Some("other"), ..Origin::default() };
    let guild = Origin { guild: Some("g1"), ..base };
    let work = Some("WORK");
    let (r2, r9): (&[&str], &[&str]) = (&["r9", "r2"], &["r9"]);
    let mut table = String::new();
    for (label, origin) in [
        ("channel c1", Origin { peer: peer(Channel, "c1"), account: work, roles: r2, ..guild }),
        ("group c1", Origin { peer: peer(Group, "C1"), ..base }),
        ("direct c1", Origin { peer: peer(Direct, "C1"), ..base }),
        ("c2 below p1", Origin { peer: peer(Group, "c2"), parent: peer(Group, "p1"), ..guild }),
        ("c1 below p1", Origin { peer: peer(Group, "c1"), parent: peer(Group, "p1"), ..base }),
        ("channel c2", Origin { peer: peer(Channel, "c2"), roles: r2, ..guild }),
        ("c2 below p2", Origin { peer: peer(Group, "c2"), parent: peer(Group, "p2"), ..base }),
        ("guild, roles", Origin { roles: r2, team: Some("t1"), account: work, ..guild }),
        ("guild, other role", Origin { roles: r9, team: Some("t1"), ..guild }),
        ("guild, direct", Origin { peer: peer(Direct, "1"), ..guild }),
        ("team", Origin { team: Some("t1"), account: work, ..base }),
        ("team, other guild", Origin { team: Some("t1"), guild: Some("g9"), ..base }),
        ("account", Origin { account: work, ..base }),
        ("no account", Origin { account: None, ..base }),
        ("account default", Origin { account: Some("Default"), ..base }),
        ("other account", base),
        ("7, its guild", Origin { peer: peer(Direct, "7"), guild: Some("g2"), ..base }),
        ("7, other guild", Origin { peer: peer(Direct, "7"), ..guild }),
        ("other channel", Origin { channel: "irc", ..guild }),
    ] {
        let routed = chosen(origin, &routes).unwrap();
        writeln!(table, "{label:<18} {:<16} {}", routed.agent, routed.matched_by.name()).unwrap();
        assert_eq!(routed.main.as_str(), format!("agent:{}:main", routed.agent));
    }
    expect![[r#"
        channel c1         peer binding.peer
        group c1           peer binding.peer
        direct c1          channel binding.channel
        c2 below p1        parent binding.peer.parent
        c1 below p1        peer binding.peer
        channel c2         wildcard binding.peer.wildcard
        c2 below p2        wildcard binding.peer.wildcard
        guild, roles       roles binding.guild+roles
        guild, other role  guild binding.guild
        guild, direct      guild binding.guild
        team               team binding.team
        team, other guild  team binding.team
        account            account binding.account
        no account         default-account binding.account
        account default    default-account binding.account
        other account      channel binding.channel
        7, its guild       both binding.peer
        7, other guild     guild binding.guild
        other channel      ops default
    "#]]
    .assert_eq(&table);
}

/// The order in the configuration decides only between bindings that match as well.
#[test]
fn the_order_of_unequal_bindings_does_not_matter() {
    let (forth, mut back) = (all(bindings(), None), all(bindings(), None));
    back.bindings.reverse();
    let origin = Origin { guild: Some("g1"), roles: &["r1"], ..from("discord", Channel, "c9") };
    assert_eq!(chosen(origin, &forth), chosen(origin, &back));
    let twice = from("discord", Group, "c1");
    assert_eq!(chosen(twice, &forth).unwrap().agent, agent("peer"));
    assert_eq!(chosen(twice, &back).unwrap().agent, agent("late"));
}

/// Ids that are opaque in keys are so in bindings (spec 1.1), others are compared without case.
#[test]
fn ids_are_compared_as_keys_compare_them() {
    for (channel, kind, bound, id, matches) in [
        ("telegram", Direct, "Alice", "alice", true),
        ("telegram", Group, "ABC", "abc", true),
        ("signal", Group, "AbC=", "AbC=", true),
        ("signal", Group, "AbC=", "abc=", false),
        ("signal", Direct, "AbC", "abc", true),
        ("matrix", Channel, "!A:x", "!a:x", false),
    ] {
        let matches_peer = Match { peer: exact(kind, bound), ..Match::default() };
        let mut binding = binding("work", matches_peer);
        channel.clone_into(&mut binding.matches.channel);
        let routed = chosen(from(channel, kind, id), &all(vec![binding], Some("ops"))).unwrap();
        let expected = if matches { MatchedBy::BindingPeer } else { MatchedBy::Default };
        assert_eq!(routed.matched_by, expected, "{channel} {bound} {id}");
    }
}

#[test]
fn a_binding_decides_how_its_conversations_are_kept_apart() {
    let mut work = binding("ops", Match::default());
    (work.dm_scope, work.group_scope) = (Some(DmScope::PerChannelPeer), Some(GroupScope::Main));
    let routes = Routes { bindings: vec![work], ..ops() };
    for (origin, key) in [
        (from("discord", Direct, "1"), "discord:direct:1"),
        (from("discord", Group, "1"), "main"),
        (from("telegram", Direct, "1"), "main"),
        (from("telegram", Group, "1"), "telegram:group:1"),
    ] {
        assert_eq!(session(origin, &routes), key);
    }
}

/// Spec 1.3: several agents without an owner or a binding are an error, never the first in a list.
#[test]
fn no_agent_is_assumed_among_several() {
    let origin = from("telegram", Direct, "1");
    let required = Err(RouteError::AgentRequired);
    let unknown = |id| Err(RouteError::UnknownAgent { agent: agent(id) });
    let by =
        |routes: &Routes| chosen(origin, routes).map(|routed| (routed.agent, routed.matched_by));
    let many = all(bindings(), None);
    assert_eq!(by(&many), required);
    assert_eq!(by(&Routes::default()), required);
    assert_eq!(by(&ops()), Ok((agent("ops"), MatchedBy::Default)));
    assert_eq!(by(&all(bindings(), Some("team"))), Ok((agent("team"), MatchedBy::Default)));
    assert_eq!(by(&Routes { fallback: Some(agent("gone")), ..ops() }), unknown("gone"));
    let mut bound = binding("gone", Match::default());
    "telegram".clone_into(&mut bound.matches.channel);
    assert_eq!(by(&Routes { bindings: vec![bound], ..ops() }), unknown("gone"));
}
