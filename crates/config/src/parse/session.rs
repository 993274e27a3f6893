//! Reads `[session]` and `[[bindings]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openclaw_scopes::AgentId;

use crate::key::nearest;
use crate::read::{Faults, Field, Section};
use crate::{
    Agent, Binding, BindingMatch, BoundPeer, DmScope, GroupScope, InboundSettings, Maintenance,
    PeerKind, Problem, QueueDrop, QueueMode, QueueSettings, ResetPolicy, SessionSettings,
    parse_duration,
};

use super::models::missing;
use super::shortened;

/// The least that `session.maintenance.pruneAfter` may be: what was used just now is in use.
const MIN_UNUSED: Duration = Duration::from_secs(3_600);

/// How long it has to be quiet in a chat before what somebody wrote is answered (`runtime.md` §7.4 of the reference).
const DEBOUNCE: Duration = Duration::from_millis(300);

/// What files that came with messages may take for each agent.
const MAX_MEDIA_BYTES: u64 = 256 * 1024 * 1024;

/// The most characters that an id of a channel may have.
const MAX_ID: usize = 128;

pub(super) fn session(root: &Section<'_>, faults: &mut Faults<'_>) -> SessionSettings {
    let section = root.section("session", faults);
    SessionSettings {
        dm_scope: dm_scope(&section, faults).unwrap_or_default(),
        group_scope: group_scope(&section, faults).unwrap_or_default(),
        identity_links: identity_links(&section.section("identityLinks", faults), faults),
        maintenance: maintenance(&section.section("maintenance", faults), faults),
        reset: reset(&section.section("reset", faults), faults),
        send_policy: send::settings(&section.section("sendPolicy", faults), faults),
    }
}

/// Reads when conversations begin anew by themselves. What a mode does not look at may not be set: nobody
/// means it.
fn reset(section: &Section<'_>, faults: &mut Faults<'_>) -> ResetPolicy {
    const MODES: [&str; 3] = ["none", "daily", "idle"];
    let mode = section.field("mode").and_then(|field| field.choice(&MODES, |mode| mode, faults));
    let hour = section.field("atHour");
    let at_hour = hour.as_ref().and_then(|field| field.number(0, 23, faults));
    let idle = section.field("idleMinutes");
    let minutes = idle.as_ref().and_then(|field| field.number(1, 525_600, faults));
    let mut unread = |field: Option<Field<'_>>, needs| {
        if let Some(field) = field {
            let key = field.path.clone();
            faults.report(field.key_at, Problem::Text { key, expected: needs });
        }
    };
    let mode = mode.unwrap_or("none");
    match mode {
        "daily" => {}
        "idle" => unread(hour, "absent unless `session.reset.mode` is `daily`"),
        _ => {
            unread(hour, "absent unless `session.reset.mode` is `daily`");
            unread(idle, "absent unless `session.reset.mode` is `idle` or `daily`");
        }
    }
    let of = |minutes: u64| Duration::from_secs(minutes.saturating_mul(60));
    match mode {
        "daily" => ResetPolicy {
            at_hour: Some(at_hour.and_then(|hour| i8::try_from(hour).ok()).unwrap_or(4)),
            idle: minutes.map(of),
        },
        "idle" => ResetPolicy { at_hour: None, idle: Some(of(minutes.unwrap_or(1_440))) },
        _ => ResetPolicy::default(),
    }
}

fn maintenance(section: &Section<'_>, faults: &mut Faults<'_>) -> Maintenance {
    let defaults = Maintenance::default();
    let prune_after = section.field("pruneAfter").and_then(|field| {
        field.parsed(faults, |text| {
            let key = || field.path.clone();
            if text == "never" {
                return Ok(None);
            }
            let after = parse_duration(text)
                .map_err(|problem| Problem::Duration { key: key(), problem })?;
            if after < MIN_UNUSED {
                return Err(Problem::Text { key: key(), expected: "at least `1h`, or `never`" });
            }
            Ok(Some(after))
        })
    });
    let bytes = section.field("maxDiskBytes");
    let bytes = bytes.and_then(|field| field.number(0, 1 << 50, faults));
    Maintenance {
        prune_after: prune_after.unwrap_or(defaults.prune_after),
        max_disk_bytes: bytes.map_or(defaults.max_disk_bytes, |bytes| (bytes > 0).then_some(bytes)),
    }
}

fn dm_scope(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<DmScope> {
    section.field("dmScope")?.choice(&DmScope::ALL, DmScope::name, faults)
}

fn group_scope(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<GroupScope> {
    section.field("groupScope")?.choice(&GroupScope::ALL, GroupScope::name, faults)
}

/// Reads what becomes of messages that come in while their conversation is busy.
pub(super) fn queue(root: &Section<'_>, faults: &mut Faults<'_>) -> QueueSettings {
    let section = root.section("messages", faults).section("queue", faults);
    let mode = |field: &Field<'_>, faults: &mut Faults<'_>| {
        field.choice(&QueueMode::ALL, QueueMode::name, faults)
    };
    let by_channel = by_channel(&section, faults, mode);
    let debounce = section.field("debounceMs").and_then(|field| field.number(0, 60_000, faults));
    let cap = section.field("cap").and_then(|field| field.number(1, 1_000, faults));
    QueueSettings {
        mode: section.field("mode").and_then(|field| mode(&field, faults)).unwrap_or_default(),
        by_channel,
        debounce: Duration::from_millis(debounce.unwrap_or(500)),
        cap: cap.and_then(|cap| usize::try_from(cap).ok()).unwrap_or(20),
        drop: section
            .field("drop")
            .and_then(|field| field.choice(&QueueDrop::ALL, QueueDrop::name, faults))
            .unwrap_or_default(),
    }
}

/// Reads what becomes of what comes in from chats.
pub(super) fn inbound(root: &Section<'_>, faults: &mut Faults<'_>) -> InboundSettings {
    let section = root.section("messages", faults).section("inbound", faults);
    let millis = |field: &Field<'_>, faults: &mut Faults<'_>| {
        field.number(0, 10_000, faults).map(Duration::from_millis)
    };
    let by_channel = by_channel(&section, faults, millis);
    let debounce = section.field("debounceMs").and_then(|field| millis(&field, faults));
    let bytes = section.field("maxMediaBytes").and_then(|field| field.number(0, 1 << 40, faults));
    InboundSettings {
        debounce: debounce.unwrap_or(DEBOUNCE),
        by_channel,
        max_media_bytes: bytes.unwrap_or(MAX_MEDIA_BYTES),
    }
}

/// Reads what a section sets for single channels.
fn by_channel<T: Default>(
    section: &Section<'_>,
    faults: &mut Faults<'_>,
    read: impl Fn(&Field<'_>, &mut Faults<'_>) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut by_channel = BTreeMap::new();
    let channels = section.section("byChannel", faults);
    for field in channels.fields() {
        let name = field.name.to_lowercase();
        if !is_id(&name, Colons::Refuse) {
            let key = format!("{}.{}", channels.path, shortened(field.name));
            faults.report(field.key_at, Problem::Text { key, expected: NAME });
            continue;
        }
        if by_channel.insert(name, read(&field, faults).unwrap_or_default()).is_some() {
            faults.report(field.key_at, Problem::DuplicateKey { key: field.name.to_owned() });
        }
    }
    by_channel
}

/// Reads who is one person. Nobody is two: that would leave it to chance whose session it is.
fn identity_links(section: &Section<'_>, faults: &mut Faults<'_>) -> BTreeMap<String, Vec<String>> {
    let (mut links, mut linked) = (BTreeMap::new(), BTreeSet::new());
    let mut fields: Vec<_> = section.fields().collect();
    fields.sort_by_key(|field| field.key_at);
    for field in fields {
        let name = field.name.to_lowercase();
        if !is_id(&name, Colons::Refuse) {
            let key = format!("{}.{}", section.path, shortened(field.name));
            faults.report(field.key_at, Problem::Text { key, expected: NAME });
            continue;
        }
        let list = field.list(faults, |field, faults| id(field, Colons::Allow, faults));
        for identity in list.iter().flatten() {
            if !linked.insert(identity.to_lowercase()) {
                let (key, identity) = (field.path.clone(), identity.clone());
                faults.report(field.at, Problem::LinkedTwice { key, identity });
            }
        }
        if links.insert(name, list.unwrap_or_default()).is_some() {
            faults.report(field.key_at, Problem::DuplicateKey { key: field.name.to_owned() });
        }
    }
    links
}

pub(super) fn bindings(
    root: &Section<'_>,
    agents: &BTreeMap<AgentId, Agent>,
    faults: &mut Faults<'_>,
) -> Vec<Binding> {
    let read = |field: &Field<'_>, faults: &mut Faults<'_>| {
        field.section(faults).and_then(|section| binding(&section, agents, faults))
    };
    root.field("bindings").and_then(|field| field.list(faults, read)).unwrap_or_default()
}

/// Reads one binding, and all of it even when a part is at fault.
fn binding(
    section: &Section<'_>,
    agents: &BTreeMap<AgentId, Agent>,
    faults: &mut Faults<'_>,
) -> Option<Binding> {
    let agent = required(section, "agentId", "\"main\"", faults)
        .and_then(|field| agent(&field, agents, faults));
    let matches = required(section, "match", "{ channel = \"telegram\" }", faults)
        .and_then(|field| field.section(faults))
        .and_then(|section| matches(&section, faults));
    let session = section.section("session", faults);
    let (dm_scope, group_scope) = (dm_scope(&session, faults), group_scope(&session, faults));
    Some(Binding { agent: agent?, dm_scope, group_scope, matches: matches? })
}

pub(super) fn agent(
    field: &Field<'_>,
    agents: &BTreeMap<AgentId, Agent>,
    faults: &mut Faults<'_>,
) -> Option<AgentId> {
    field.parsed(faults, |text| {
        let known = agents.keys().find(|id| id.as_str() == text);
        known.cloned().ok_or_else(|| Problem::UnknownAgent {
            key: field.path.clone(),
            agent: shortened(text),
            suggestion: nearest(text, agents.keys().map(AgentId::as_str)).map(str::to_owned),
        })
    })
}

fn matches(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<BindingMatch> {
    let channel = required(section, "channel", "\"telegram\"", faults)
        .and_then(|field| channel(&field, faults));
    let mut one = |name, colons| section.field(name).and_then(|field| id(&field, colons, faults));
    let account = one("accountId", Colons::Refuse).unwrap_or_else(|| "default".to_owned());
    let (guild, team) = (one("guildId", Colons::Allow), one("teamId", Colons::Allow));
    let peer = section.field("peer").and_then(|field| peer(&field, faults));
    let roles = section
        .field("roles")
        .and_then(|field| field.list(faults, |field, faults| id(field, Colons::Allow, faults)));
    let roles = roles.unwrap_or_default();
    if !roles.is_empty() && section.field("guildId").is_none() {
        missing(section, "guildId", "\"1234\"", faults);
    }
    Some(BindingMatch { account, channel: channel?, guild, peer, roles, team })
}

fn peer(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<BoundPeer> {
    let section = field.section(faults)?;
    let kind = required(&section, "kind", "\"group\"", faults)
        .and_then(|field| field.choice(&PeerKind::ALL, PeerKind::name, faults));
    let id = required(&section, "id", "\"*\"", faults)
        .and_then(|field| id(&field, Colons::Allow, faults));
    Some(BoundPeer { id: id?, kind: kind? })
}

/// Returns a key that must be there.
fn required<'t>(
    section: &Section<'t>,
    key: &'static str,
    example: &'static str,
    faults: &mut Faults<'_>,
) -> Option<Field<'t>> {
    let field = section.field(key);
    if field.is_none() {
        missing(section, key, example, faults);
    }
    field
}

fn channel(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| {
        let is_name = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_');
        let fits = (1..=64).contains(&text.len()) && text.chars().all(is_name);
        let (key, expected) = (field.path.clone(), CHANNEL);
        fits.then(|| text.to_owned()).ok_or(Problem::Text { key, expected })
    })
}

/// Whether an id may hold colons: that of an account becomes one part of a key.
#[derive(Clone, Copy, Debug)]
enum Colons {
    Allow,
    Refuse,
}

const CHANNEL: &str = "the name of a channel: 1 to 64 of the characters a-z, 0-9, `-` and `_`";
const NAME: &str = "1 to 128 characters on one line, without `:` or spaces around";
const TEXT: &str = "1 to 128 characters on one line, without spaces around";

fn id(field: &Field<'_>, colons: Colons, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| {
        let expected = match colons {
            Colons::Allow => TEXT,
            Colons::Refuse => NAME,
        };
        let key = field.path.clone();
        is_id(text, colons).then(|| text.to_owned()).ok_or(Problem::Text { key, expected })
    })
}

fn is_id(text: &str, colons: Colons) -> bool {
    (1..=MAX_ID).contains(&text.chars().count())
        && text.trim() == text
        && !text.contains(char::is_control)
        && (matches!(colons, Colons::Allow) || !text.contains(':'))
}

mod send;

#[cfg(test)]
mod tests;
