//! From the configuration to the one resolver, which decides where work goes.

use openclaw_config as config;
use openclaw_proto::v1;
use openclaw_scopes::{AgentId, SessionKey};
use openclaw_sessions::{
    AccountPattern, Binding, ChatType, DEFAULT_ACCOUNT, DmScope, Event, GroupScope, Match, Origin,
    Owners, Peer, PeerPattern, QueueMode, ReplyTarget, RouteError, Routed, Routes, SendPolicy,
    SendRule, SendRules, route,
};
use openclaw_store::ReplyTo;
use serde_json::{Value, json};

use crate::convert;
use crate::respond::Reply;

const fn dm_scope(scope: config::DmScope) -> DmScope {
    match scope {
        config::DmScope::Main => DmScope::Main,
        config::DmScope::PerAccountChannelPeer => DmScope::PerAccountChannelPeer,
        config::DmScope::PerChannelPeer => DmScope::PerChannelPeer,
        config::DmScope::PerPeer => DmScope::PerPeer,
    }
}

pub(crate) const fn queue_mode(mode: config::QueueMode) -> QueueMode {
    match mode {
        config::QueueMode::Collect => QueueMode::Collect,
        config::QueueMode::Followup => QueueMode::Followup,
        config::QueueMode::Interrupt => QueueMode::Interrupt,
        config::QueueMode::Steer => QueueMode::Steer,
    }
}

const fn group_scope(scope: config::GroupScope) -> GroupScope {
    match scope {
        config::GroupScope::Main => GroupScope::Main,
        config::GroupScope::PerGroup => GroupScope::PerGroup,
    }
}

const fn chat_type(kind: config::PeerKind) -> ChatType {
    match kind {
        config::PeerKind::Channel => ChatType::Channel,
        config::PeerKind::Direct => ChatType::Direct,
        config::PeerKind::Group => ChatType::Group,
    }
}

fn binding(binding: &config::Binding) -> Binding {
    let of = &binding.matches;
    Binding {
        agent: binding.agent.clone(),
        dm_scope: binding.dm_scope.map(dm_scope),
        group_scope: binding.group_scope.map(group_scope),
        matches: Match {
            account: match of.account.as_str() {
                "*" => AccountPattern::Any,
                DEFAULT_ACCOUNT => AccountPattern::Default,
                id => AccountPattern::Exact(id.to_owned()),
            },
            channel: of.channel.clone(),
            guild: of.guild.clone(),
            peer: of.peer.as_ref().map(|peer| {
                let pattern = match peer.id.as_str() {
                    "*" => PeerPattern::Any,
                    id => PeerPattern::Exact(id.to_owned()),
                };
                (chat_type(peer.kind), pattern)
            }),
            roles: of.roles.clone(),
            team: of.team.clone(),
        },
    }
}

/// Returns what a configuration says about routing. What no binding matches is for `main`, which is always
/// there.
pub(crate) fn routes(config: &config::Config) -> Routes {
    let session = config.session();
    Routes {
        agents: config.agents().map(|agent| agent.id.clone()).collect(),
        bindings: config.bindings().iter().map(binding).collect(),
        dm_scope: dm_scope(session.dm_scope),
        fallback: AgentId::parse("main").ok(),
        group_scope: group_scope(session.group_scope),
        identity_links: session.identity_links.clone(),
    }
}

//= docs/threat-model.md#T36
/// Decides where a message goes that a bridge to a channel hands over.
pub(crate) fn message(origin: &v1::MessageOrigin, routes: &Routes) -> Result<Routed, Reply> {
    let given = |text: &'_ str| (!text.is_empty()).then(|| text.to_owned());
    let kind = match origin.peer_kind.as_str() {
        "" => ChatType::Direct,
        word => [ChatType::Channel, ChatType::Direct, ChatType::Group]
            .into_iter()
            .find(|kind| kind.name() == word)
            .ok_or_else(|| {
                Reply::invalid("peer_kind is `direct`, `group` or `channel`")
                    .next("openclaw agent --help")
            })?,
    };
    if origin.channel.is_empty() || origin.peer_id.is_empty() {
        return Err(Reply::invalid("a message comes from a channel, and from somebody there")
            .next("openclaw agent --channel NAME --to ID"));
    }
    let (account, thread) = (given(&origin.account_id), given(&origin.thread_id));
    let (guild, team) = (given(&origin.guild_id), given(&origin.team_id));
    let roles: Vec<_> = origin.roles.iter().map(String::as_str).collect();
    let parent = given(&origin.parent_peer_id);
    let origin = Origin {
        account: account.as_deref(),
        channel: &origin.channel,
        guild: guild.as_deref(),
        parent: parent.as_deref().map(|id| Peer { id, kind: ChatType::Channel }),
        peer: Some(Peer { id: &origin.peer_id, kind }),
        roles: &roles,
        team: team.as_deref(),
        thread: thread.as_deref(),
    };
    route(&Event::Message(origin), routes).map_err(|error| refused(&error))
}

/// Returns the main conversation in which goes on what somebody writes to the gateway directly; `None` when it goes
/// on in another. Everybody, `*`, is anybody.
pub(crate) fn main_of_person(
    channel: &str,
    account: &str,
    id: &str,
    routes: &Routes,
) -> Option<SessionKey> {
    let id = if id == "*" { "0" } else { id };
    let origin = Origin {
        account: Some(account),
        channel,
        guild: None,
        parent: None,
        peer: Some(Peer { id, kind: ChatType::Direct }),
        roles: &[],
        team: None,
        thread: None,
    };
    let routed = route(&Event::Message(origin), routes).ok()?;
    (routed.session == routed.main).then_some(routed.main)
}

/// Returns what a configuration says about what leaves.
pub(crate) fn send_rules(config: &config::Config) -> SendRules {
    const fn policy(action: config::SendAction) -> SendPolicy {
        match action {
            config::SendAction::Allow => SendPolicy::Allow,
            config::SendAction::Deny => SendPolicy::Deny,
        }
    }
    let config::SendSettings { default, rules } = &config.session().send_policy;
    let rules = rules.iter().map(|rule| SendRule {
        action: policy(rule.action),
        channel: rule.channel.clone(),
        chat_type: rule.chat_type.map(chat_type),
        key_prefix: rule.key_prefix.clone(),
        raw_key_prefix: rule.raw_key_prefix.clone(),
    });
    SendRules { default: policy(*default), rules: rules.collect() }
}

/// Returns the conversation in which is answered what comes from a place on a chat platform, as far as the place
/// alone decides it.
pub(crate) fn answers_at(to: &ReplyTo, routes: &Routes) -> Option<SessionKey> {
    let origin = Origin {
        account: None,
        channel: &to.channel,
        guild: None,
        parent: None,
        peer: Some(Peer { id: &to.peer, kind: ChatType::parse(&to.kind)? }),
        roles: &[],
        team: None,
        thread: (!to.thread.is_empty()).then_some(&to.thread),
    };
    route(&Event::Message(origin), routes).ok().map(|routed| routed.session)
}

/// Decides where work goes of which the caller names the conversation.
pub(crate) fn named(
    key: &str,
    agent: &str,
    routes: &Routes,
) -> Result<(SessionKey, AgentId), Reply> {
    let chosen = convert::agent_id(agent)?;
    let text = if key.is_empty() { "main" } else { key };
    match route(&Event::Named { agent: Some(&chosen), key: text }, routes) {
        Ok(routed) if agent.is_empty() || routed.agent == chosen => {
            Ok((routed.session, routed.agent))
        }
        // Whether there is such an agent is decided, and told, with everything else about the call.
        Ok(_) | Err(RouteError::UnknownAgent { .. }) => convert::session_key(key, agent),
        Err(error) => Err(refused(&error)),
    }
}

/// Returns the conversation of a new sub-agent.
pub(crate) fn child(agent: &AgentId, id: &str, routes: &Routes) -> Result<SessionKey, Reply> {
    let routed = route(&Event::Child { agent, id }, routes);
    routed.map(|routed| routed.session).map_err(|error| refused(&error))
}

/// Returns the conversation of one run of a job.
pub(crate) fn job_run(
    agent: &AgentId,
    job: &str,
    run: &str,
    routes: &Routes,
) -> Result<SessionKey, RouteError> {
    route(&Event::JobRun { agent, job, run }, routes).map(|routed| routed.session)
}

/// Returns the main conversation of an agent.
pub(crate) fn main_of(agent: &AgentId, routes: &Routes) -> Result<SessionKey, RouteError> {
    route(&Event::Named { agent: Some(agent), key: "main" }, routes).map(|routed| routed.session)
}

/// Returns the conversation that is told what came of something that one began, or of an event that names it.
/// `people` are the ids of those whom its channel lets in; `*` stands for everybody.
pub(crate) fn completion(session: &SessionKey, people: &[String], routes: &Routes) -> SessionKey {
    let owners = match people {
        [one] if one != "*" => Owners::One(one),
        [] => Owners::None,
        _ => Owners::Many,
    };
    let event = Event::Completion { session, owners };
    route(&event, routes).map_or_else(|_| session.clone(), |routed| routed.session)
}

fn refused(error: &RouteError) -> Reply {
    match error {
        RouteError::Key(error) => Reply::malformed_key(error),
        RouteError::UnknownAgent { agent } => Reply::unknown_agent(agent),
        RouteError::AgentRequired
        | RouteError::Ambiguous { .. }
        | RouteError::NameTaken { .. }
        | RouteError::Part { .. } => {
            Reply::new(tonic::Code::InvalidArgument, "MALFORMED_KEY", error.to_string())
                .next("docs/concepts/sessions.md tells how messages are routed")
        }
    }
}

/// Returns where an answer goes, as it is stored.
pub(crate) fn stored(target: &ReplyTarget) -> String {
    json!({
        "channel": target.channel,
        "account": target.account,
        "kind": target.kind.name(),
        "peer": target.peer,
        "thread": target.thread,
    })
    .to_string()
}

/// Returns where an answer goes, as the wire writes it; `None` when nobody delivers it.
pub(crate) fn told(stored: &str) -> Option<v1::ReplyTarget> {
    let value: Value = serde_json::from_str(stored).ok()?;
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(v1::ReplyTarget {
        channel: text("channel"),
        account_id: text("account"),
        peer_kind: text("kind"),
        peer_id: text("peer"),
        thread_id: text("thread"),
    })
}
