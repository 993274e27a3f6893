//! The laws of routing, over random messages and configurations.

use proptest::option;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, prop_assume, prop_oneof,
    proptest,
};

use super::*;
use crate::key::{ParsedKey, agent_of, fold, resolve_key};
use crate::route::{AccountPattern, Binding, Match, Owners, PeerPattern, Routed};

/// A message, with texts of its own.
#[derive(Clone, Debug)]
struct Message {
    account: Option<String>,
    channel: String,
    kind: ChatType,
    parent: Option<String>,
    peer: String,
    thread: Option<String>,
}

impl Message {
    fn origin(&self) -> Origin<'_> {
        let parent = self.parent.as_deref().filter(|_| self.kind != Direct);
        Origin {
            account: self.account.as_deref(),
            parent: parent.and_then(|id| peer(self.kind, id)),
            thread: self.thread.as_deref(),
            ..from(&self.channel, self.kind, &self.peer)
        }
    }

    fn route(&self, routes: &Routes) -> Option<Routed> {
        route(&Event::Message(self.origin()), routes).ok()
    }
}

/// Ids of the words on which the grammar of keys turns, among them many that are refused.
fn id() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "1",
        "2",
        "A",
        "a",
        "direct",
        "thread",
        "topic",
        "heartbeat",
        "main",
        "group",
        "İ",
        "ΑΣ",
        "!r",
        "Ex.org",
        "al",
        " ",
        "",
    ]);
    let one = prop::sample::select(vec!["1", "2", "A", "a", "al", "Bo", "heartbeat", "thread"]);
    prop_oneof![
        3 => one.prop_map(str::to_owned),
        1 => prop::collection::vec(word, 0..5).prop_map(|words| words.join(":")),
    ]
}

fn kind() -> impl Strategy<Value = ChatType> {
    prop::sample::select(vec![Channel, Direct, Direct, Group])
}

fn channel() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["telegram", "Telegram", "signal", "matrix", "irc", "direct", "cron"])
        .prop_map(str::to_owned)
}

fn message() -> impl Strategy<Value = Message> {
    let account = prop::sample::select(vec!["default", "bot2", "Bot2", "direct", "1"]);
    let account = option::of(account.prop_map(str::to_owned));
    (account, channel(), kind(), option::of(id()), id(), option::of(id())).prop_map(
        |(account, channel, kind, parent, peer, thread)| Message {
            account,
            channel,
            kind,
            parent,
            peer,
            thread,
        },
    )
}

fn dm_scope() -> impl Strategy<Value = DmScope> {
    prop::sample::select(DmScope::ALL.to_vec())
}

fn group_scope() -> impl Strategy<Value = GroupScope> {
    prop::sample::select(GroupScope::ALL.to_vec())
}

fn one_binding() -> impl Strategy<Value = Binding> {
    let account = prop_oneof![
        Just(AccountPattern::Any),
        Just(AccountPattern::Default),
        Just(AccountPattern::Exact("bot2".to_owned())),
    ];
    let pattern = prop_oneof![Just(PeerPattern::Any), id().prop_map(PeerPattern::Exact)];
    let agents = prop::sample::select(vec!["ops", "work", "gone"]);
    let scopes = (option::of(dm_scope()), option::of(group_scope()));
    (agents, account, channel(), option::of((kind(), pattern)), scopes).prop_map(
        |(id, account, channel, peer, (dm_scope, group_scope))| Binding {
            agent: agent(id),
            dm_scope,
            group_scope,
            matches: Match { account, channel, peer, ..Match::default() },
        },
    )
}

fn routes() -> impl Strategy<Value = Routes> {
    let fallback = option::of(prop::sample::select(vec!["ops", "spare"]));
    (prop::collection::vec(one_binding(), 0..5), dm_scope(), group_scope(), fallback).prop_map(
        |(bindings, dm_scope, group_scope, fallback)| Routes {
            agents: ["ops", "work", "spare"].map(agent).into(),
            bindings,
            dm_scope,
            fallback: fallback.map(agent),
            group_scope,
            ..Routes::default()
        },
    )
}

/// What tells conversations apart, in the form that keys have for it.
fn identity(message: &Message, scope: DmScope) -> [String; 3] {
    let Message { account, channel, kind, parent: _, peer, thread } = message;
    let thread = thread.as_deref().filter(|id| !id.is_empty());
    let is_opaque = channel == "matrix" && *kind != Direct;
    let thread = thread.map(|id| if is_opaque { id.to_owned() } else { fold(id) });
    let thread = thread.unwrap_or_default();
    let account = account.as_deref().unwrap_or("default").to_lowercase();
    let long = fold(&format!("{channel}:{}:{peer}", kind.name()));
    let bare = long.split_once(':').unwrap().1.to_owned();
    let none = String::new;
    match (kind, scope) {
        (Direct, _) if peer.is_empty() => [none(), none(), thread],
        (Direct, DmScope::Main) => [none(), none(), thread],
        (Direct, DmScope::PerPeer) => [none(), bare, thread],
        (Direct, DmScope::PerAccountChannelPeer) => [account, long, thread],
        (Channel | Direct | Group, _) => [none(), long, thread],
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_routed_key_resolves_to_itself(message in message(), routes in routes()) {
        if let Some(routed) = message.route(&routes) {
            for key in [&routed.session, &routed.main] {
                prop_assert_eq!(resolve_key(key.as_str(), None), Ok(key.clone()));
                prop_assert_eq!(agent_of(key), Ok(routed.agent.clone()));
            }
        }
    }

    /// Two conversations have one key exactly where they are one for the scope.
    #[test]
    fn two_conversations_share_no_key(one in message(), other in message(), routes in routes()) {
        let apart = Routes {
            bindings: Vec::new(),
            fallback: Some(agent("ops")),
            group_scope: GroupScope::PerGroup,
            ..routes
        };
        if let (Some(left), Some(right)) = (one.route(&apart), other.route(&apart)) {
            let is_same = identity(&one, apart.dm_scope) == identity(&other, apart.dm_scope);
            prop_assert_eq!(left.session == right.session, is_same, "{} {}", left.session, right.session);
        }
    }

    /// Scopes of bindings differ, and still a key says from whom its messages are.
    #[test]
    fn a_key_of_any_scope_reads_as_its_peer(message in message(), routes in routes()) {
        if let Some(routed) = message.route(&routes) {
            let key = ParsedKey::of(&routed.session).unwrap();
            let (base, thread) = key.split_thread();
            prop_assert_eq!(thread.is_some(), message.thread.as_deref().is_some_and(|id| !id.is_empty()));
            if base != "main" {
                prop_assert_eq!(key.chat_type(), Some(message.kind));
                let tail = fold(&format!("{}:{}:{}", message.channel, message.kind.name(), message.peer));
                let peer = tail.split_once(':').unwrap().1;
                prop_assert!(base.ends_with(peer), "{} {}", base, peer);
                prop_assert!(key.route().is_none_or(|route| route.channel == message.channel.to_lowercase()));
            }
        }
    }

    #[test]
    fn only_a_named_agent_answers(message in message(), routes in routes()) {
        if let Some(routed) = message.route(&routes) {
            let is_bound = routes.bindings.iter().any(|binding| binding.agent == routed.agent);
            prop_assert!(is_bound || routes.fallback.as_ref() == Some(&routed.agent));
            prop_assert!(routes.agents.contains(&routed.agent));
        }
    }

    /// What was begun in a conversation is told where its messages are read, and nowhere else.
    #[test]
    fn what_is_told_is_what_is_woken(message in message(), routes in routes(), owner in id()) {
        let Some(routed) = message.route(&routes) else { return Ok(()) };
        let session = &routed.session;
        for owners in [Owners::None, Owners::Many, Owners::One(&owner), Owners::One(&message.peer)] {
            let told = route(&Event::Completion { session, owners }, &routes).unwrap();
            prop_assert_eq!(&told, &route(&Event::Wake { session, owners }, &routes).unwrap());
            prop_assert_eq!(&told.session, session);
            prop_assert_eq!(&told.agent, &routed.agent);
        }
    }

    #[test]
    fn telling_settles(key in "(telegram:)?(bot2:)?(direct|dm|group|cron):[ab12]{1,2}(:run:1)?(:thread:1)?", routes in routes()) {
        let session = resolve_key(&key, Some(&agent("ops"))).unwrap();
        let owners = Owners::One("a");
        let told = route(&Event::Completion { session: &session, owners }, &routes).unwrap();
        let again = route(&Event::Wake { session: &told.session, owners }, &routes).unwrap();
        prop_assert_eq!(&told.session, &again.session);
        prop_assert!(told.session == session || told.session == told.main);
    }

    /// Whoever is linked shares the session of that person, and nobody else does.
    #[test]
    fn links_join_those_they_name(one in message(), other in message(), scope in dm_scope()) {
        prop_assume!(scope != DmScope::Main);
        let [one, other] = [one, other].map(|message| Message { kind: Direct, ..message });
        let name = |message: &Message| format!("{}:{}", message.channel, message.peer);
        let linked = vec![name(&one)];
        let identity_links = [("al".to_owned(), linked)].into();
        let routes = Routes { dm_scope: scope, identity_links, ..ops() };
        if let (Some(left), Some(right)) = (one.route(&routes), other.route(&routes)) {
            let is_other = fold(&name(&one)) != fold(&name(&other));
            let missing = one.peer.is_empty() || other.peer.is_empty();
            prop_assert!(missing || !is_other || left.session != right.session, "{}", left.session);
        }
    }
}
