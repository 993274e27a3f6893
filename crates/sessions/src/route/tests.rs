//! Routing, as tables: the rules of sections 1.1 to 1.3 and 5.5 of the reference's runtime.

mod agents;
mod events;
mod forgery;
mod laws;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use expect_test::{Expect, expect};
use openclaw_scopes::AgentId;

use super::{DmScope, Event, GroupScope, Origin, Peer, Routes, route};
use crate::ChatType::{self, Channel, Direct, Group};

fn agent(id: &str) -> AgentId {
    AgentId::parse(id).unwrap()
}

/// One agent, `ops`, and nothing configured.
fn ops() -> Routes {
    Routes { agents: [agent("ops")].into(), ..Routes::default() }
}

fn peer(kind: ChatType, id: &str) -> Option<Peer<'_>> {
    Some(Peer { id, kind })
}

fn from<'a>(channel: &'a str, kind: ChatType, id: &'a str) -> Origin<'a> {
    Origin { channel, peer: peer(kind, id), ..Origin::default() }
}

/// The key without its agent, or why there is none.
fn session(origin: Origin<'_>, routes: &Routes) -> String {
    match route(&Event::Message(origin), routes) {
        Ok(routed) => routed.session.as_str().strip_prefix("agent:ops:").unwrap().to_owned(),
        Err(error) => format!("refused: {error}"),
    }
}

/// One line for each scope of direct messages, with and without account and thread.
#[track_caller]
fn scopes(group_scope: GroupScope, origins: &[Origin<'_>], expected: &Expect) {
    let mut table = String::new();
    for origin in origins {
        let Peer { id, kind } = origin.peer.unwrap_or(Peer { id: "-", kind: Direct });
        writeln!(table, "{} {kind:?} {id:?}", origin.channel).unwrap();
        for dm_scope in DmScope::ALL {
            let routes = Routes { dm_scope, group_scope, ..ops() };
            let plain = session(*origin, &routes);
            let below =
                session(Origin { account: Some("Bot2"), thread: Some("T9"), ..*origin }, &routes);
            writeln!(table, "  {:<24} {plain:<34} {below}", dm_scope.name()).unwrap();
        }
    }
    expected.assert_eq(&table);
}

#[test]
fn direct_messages_by_scope() {
    let nobody = Origin { channel: "telegram", ..Origin::default() };
    scopes(
        GroupScope::PerGroup,
        &[
            from("Telegram", Direct, "Alice"),
            from("signal", Direct, "AbC+/="),
            from("matrix", Direct, "@Al:Ex.org"),
            from("telegram", Direct, ""),
            nobody,
        ],
        &expect![[r#"
            Telegram Direct "Alice"
              main                     main                               main:thread:t9
              per-peer                 direct:alice                       direct:alice:thread:t9
              per-channel-peer         telegram:direct:alice              telegram:direct:alice:thread:t9
              per-account-channel-peer telegram:default:direct:alice      telegram:bot2:direct:alice:thread:t9
            signal Direct "AbC+/="
              main                     main                               main:thread:t9
              per-peer                 direct:abc+/=                      direct:abc+/=:thread:t9
              per-channel-peer         signal:direct:abc+/=               signal:direct:abc+/=:thread:t9
              per-account-channel-peer signal:default:direct:abc+/=       signal:bot2:direct:abc+/=:thread:t9
            matrix Direct "@Al:Ex.org"
              main                     main                               main:thread:t9
              per-peer                 direct:@al:ex.org                  direct:@al:ex.org:thread:t9
              per-channel-peer         matrix:direct:@al:ex.org           matrix:direct:@al:ex.org:thread:t9
              per-account-channel-peer matrix:default:direct:@al:ex.org   matrix:bot2:direct:@al:ex.org:thread:t9
            telegram Direct ""
              main                     main                               main:thread:t9
              per-peer                 main                               main:thread:t9
              per-channel-peer         main                               main:thread:t9
              per-account-channel-peer main                               main:thread:t9
            telegram Direct "-"
              main                     main                               main:thread:t9
              per-peer                 main                               main:thread:t9
              per-channel-peer         main                               main:thread:t9
              per-account-channel-peer main                               main:thread:t9
        "#]],
    );
}

#[test]
fn groups_and_channels_by_scope() {
    let origins = [
        from("Telegram", Group, "-100"),
        from("telegram", Group, "-100:topic:7"),
        from("discord", Channel, "C1"),
        from("signal", Group, "AbC+/="),
        from("matrix", Channel, "!RoOm:Ex.org"),
    ];
    scopes(
        GroupScope::PerGroup,
        &origins,
        &expect![[r#"
        Telegram Group "-100"
          main                     telegram:group:-100                telegram:group:-100:thread:t9
          per-peer                 telegram:group:-100                telegram:group:-100:thread:t9
          per-channel-peer         telegram:group:-100                telegram:group:-100:thread:t9
          per-account-channel-peer telegram:group:-100                telegram:group:-100:thread:t9
        telegram Group "-100:topic:7"
          main                     telegram:group:-100:topic:7        telegram:group:-100:topic:7:thread:t9
          per-peer                 telegram:group:-100:topic:7        telegram:group:-100:topic:7:thread:t9
          per-channel-peer         telegram:group:-100:topic:7        telegram:group:-100:topic:7:thread:t9
          per-account-channel-peer telegram:group:-100:topic:7        telegram:group:-100:topic:7:thread:t9
        discord Channel "C1"
          main                     discord:channel:c1                 discord:channel:c1:thread:t9
          per-peer                 discord:channel:c1                 discord:channel:c1:thread:t9
          per-channel-peer         discord:channel:c1                 discord:channel:c1:thread:t9
          per-account-channel-peer discord:channel:c1                 discord:channel:c1:thread:t9
        signal Group "AbC+/="
          main                     signal:group:AbC+/=                signal:group:AbC+/=:thread:t9
          per-peer                 signal:group:AbC+/=                signal:group:AbC+/=:thread:t9
          per-channel-peer         signal:group:AbC+/=                signal:group:AbC+/=:thread:t9
          per-account-channel-peer signal:group:AbC+/=                signal:group:AbC+/=:thread:t9
        matrix Channel "!RoOm:Ex.org"
          main                     matrix:channel:!RoOm:Ex.org        matrix:channel:!RoOm:Ex.org:thread:T9
          per-peer                 matrix:channel:!RoOm:Ex.org        matrix:channel:!RoOm:Ex.org:thread:T9
          per-channel-peer         matrix:channel:!RoOm:Ex.org        matrix:channel:!RoOm:Ex.org:thread:T9
          per-account-channel-peer matrix:channel:!RoOm:Ex.org        matrix:channel:!RoOm:Ex.org:thread:T9
    "#]],
    );
    scopes(
        GroupScope::Main,
        &origins[..2],
        &expect![[r#"
        Telegram Group "-100"
          main                     main                               main:thread:t9
          per-peer                 main                               main:thread:t9
          per-channel-peer         main                               main:thread:t9
          per-account-channel-peer main                               main:thread:t9
        telegram Group "-100:topic:7"
          main                     main                               main:thread:t9
          per-peer                 main                               main:thread:t9
          per-channel-peer         main                               main:thread:t9
          per-account-channel-peer main                               main:thread:t9
    "#]],
    );
}

/// Spec 1.2: the bare id and `channel:peer` are looked for, and only when direct messages are apart.
#[test]
fn linked_identities_are_one_person() {
    let links = |links: &[(&str, &[&str])]| {
        let owned = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
        links.iter().map(|(name, list)| ((*name).to_owned(), owned(list))).collect()
    };
    let identity_links: BTreeMap<_, Vec<String>> = links(&[
        ("Alice", &["Telegram:42", "discord:Al", "matrix:@al:ex.org", "alice@example.com"]),
        ("bob", &["42"]),
        ("carol:x", &["irc:carol"]),
    ]);
    let mut table = String::new();
    for origin in [
        from("telegram", Direct, "42"),
        from("DISCORD", Direct, "AL"),
        from("matrix", Direct, "@Al:ex.org"),
        from("signal", Direct, "42"),
        from("email", Direct, "Alice@example.com"),
        from("telegram", Direct, "43"),
        from("irc", Direct, "ALICE"),
        from("irc", Direct, "carol"),
        from("matrix", Direct, "telegram:42"),
        from("telegram", Group, "42"),
    ] {
        let Peer { id, .. } = origin.peer.unwrap();
        writeln!(table, "{} {id}", origin.channel).unwrap();
        for dm_scope in [DmScope::Main, DmScope::PerPeer, DmScope::PerChannelPeer] {
            let routes = Routes { dm_scope, identity_links: identity_links.clone(), ..ops() };
            writeln!(table, "    {}", session(origin, &routes)).unwrap();
        }
    }
    expect![[r#"
        telegram 42
            main
            direct:alice
            telegram:direct:alice
        DISCORD AL
            main
            direct:alice
            discord:direct:alice
        matrix @Al:ex.org
            main
            direct:alice
            matrix:direct:alice
        signal 42
            main
            direct:bob
            signal:direct:bob
        email Alice@example.com
            main
            direct:alice
            email:direct:alice
        telegram 43
            main
            direct:43
            telegram:direct:43
        irc ALICE
            main
            refused: peer `ALICE` bears the name of a linked identity that does not list it
            refused: peer `ALICE` bears the name of a linked identity that does not list it
        irc carol
            main
            refused: peer `carol:x` must be text without `:`, control characters or spaces around it
            refused: peer `carol:x` must be text without `:`, control characters or spaces around it
        matrix telegram:42
            main
            direct:telegram:42
            matrix:direct:telegram:42
        telegram 42
            telegram:group:42
            telegram:group:42
            telegram:group:42
    "#]]
    .assert_eq(&table);
}

#[test]
fn an_answer_goes_where_the_message_came_from() {
    let origin = Origin {
        account: Some("Bot2"),
        thread: Some("T9"),
        ..from("Telegram", Group, "-100:topic:7")
    };
    for group_scope in GroupScope::ALL {
        let routes = Routes { group_scope, ..ops() };
        let routed = route(&Event::Message(origin), &routes).unwrap();
        let reply = routed.reply.unwrap();
        assert_eq!((reply.channel.as_str(), reply.account.as_deref()), ("Telegram", Some("Bot2")));
        assert_eq!((reply.kind, reply.peer.as_str()), (Group, "-100:topic:7"));
        assert_eq!(reply.thread.as_deref(), Some("T9"));
        assert_eq!(routed.main.as_str(), "agent:ops:main");
    }
    let nobody = Event::Message(from("telegram", Direct, ""));
    assert_eq!(route(&nobody, &ops()).unwrap().reply, None);
}

#[test]
fn scopes_have_the_names_of_the_configuration() {
    for scope in DmScope::ALL {
        assert_eq!(DmScope::parse(scope.name()), Some(scope));
    }
    for scope in GroupScope::ALL {
        assert_eq!(GroupScope::parse(scope.name()), Some(scope));
    }
    assert_eq!(DmScope::default().name(), "main");
    assert_eq!(GroupScope::default().name(), "per-group");
    assert_eq!(DmScope::parse("Main"), None);
    assert_eq!(GroupScope::parse("per-peer"), None);
}
