//! How conversations are kept apart, and who answers them, as text.

use std::fmt;

use toml_edit::Key;

use crate::{
    Binding, BindingMatch, BoundPeer, InboundSettings, Maintenance, PeerKind, QueueSettings,
    ResetPolicy, SendRule, SendSettings, SessionSettings, format_duration,
};

use super::{list, quoted};

pub(super) fn write_session(
    out: &mut fmt::Formatter<'_>,
    session: &SessionSettings,
) -> fmt::Result {
    writeln!(out, "dmScope = {}", quoted(session.dm_scope.name()))?;
    writeln!(out, "groupScope = {}", quoted(session.group_scope.name()))?;
    let links = session.identity_links.iter();
    let links = links.map(|(name, linked)| format!("{} = {}", Key::new(name), list(linked)));
    writeln!(out, "identityLinks = {}", table(links))?;
    let ResetPolicy { at_hour, idle } = session.reset;
    let minutes = idle.map_or(0, |idle| idle.as_secs() / 60);
    match (at_hour, minutes) {
        (Some(hour), 0) => writeln!(out, "reset = {{ mode = \"daily\", atHour = {hour} }}")?,
        (Some(hour), minutes) => writeln!(
            out,
            "reset = {{ mode = \"daily\", atHour = {hour}, idleMinutes = {minutes} }}"
        )?,
        (None, 0) => writeln!(out, "reset = {{ mode = \"none\" }}")?,
        (None, minutes) => {
            writeln!(out, "reset = {{ mode = \"idle\", idleMinutes = {minutes} }}")?;
        }
    }
    let Maintenance { prune_after, max_disk_bytes } = session.maintenance;
    let after = prune_after.map_or_else(|| "never".to_owned(), format_duration);
    writeln!(out, "maintenance.pruneAfter = {}", quoted(&after))?;
    writeln!(out, "maintenance.maxDiskBytes = {}", max_disk_bytes.unwrap_or(0))?;
    let SendSettings { default, rules } = &session.send_policy;
    writeln!(out, "sendPolicy.default = {}", quoted(default.name()))?;
    let rules: Vec<_> = rules.iter().map(send_rule).collect();
    writeln!(out, "sendPolicy.rules = [{}]", rules.join(", "))
}

fn send_rule(rule: &SendRule) -> String {
    let SendRule { action, channel, chat_type, key_prefix, raw_key_prefix } = rule;
    let texts = [
        ("channel", channel.as_deref()),
        ("chatType", chat_type.map(PeerKind::name)),
        ("keyPrefix", key_prefix.as_deref()),
        ("rawKeyPrefix", raw_key_prefix.as_deref()),
    ];
    let of = texts.into_iter().filter_map(|(key, text)| Some(format!("{key} = {}", quoted(text?))));
    let action = format!("action = {}", quoted(action.name()));
    table([action, format!("match = {}", table(of))])
}

pub(super) fn write_inbound(
    out: &mut fmt::Formatter<'_>,
    inbound: &InboundSettings,
) -> fmt::Result {
    writeln!(out, "debounceMs = {}", inbound.debounce.as_millis())?;
    let channels = inbound.by_channel.iter();
    let channels =
        channels.map(|(name, wait)| format!("{} = {}", Key::new(name), wait.as_millis()));
    writeln!(out, "byChannel = {}", table(channels))?;
    writeln!(out, "maxMediaBytes = {}", inbound.max_media_bytes)
}

pub(super) fn write_queue(out: &mut fmt::Formatter<'_>, queue: &QueueSettings) -> fmt::Result {
    writeln!(out, "mode = {}", quoted(queue.mode.name()))?;
    let channels = queue.by_channel.iter();
    let channels =
        channels.map(|(name, mode)| format!("{} = {}", Key::new(name), quoted(mode.name())));
    writeln!(out, "byChannel = {}", table(channels))?;
    writeln!(out, "debounceMs = {}", queue.debounce.as_millis())?;
    writeln!(out, "cap = {}", queue.cap)?;
    writeln!(out, "drop = {}", quoted(queue.drop.name()))
}

pub(super) fn write_binding(out: &mut fmt::Formatter<'_>, binding: &Binding) -> fmt::Result {
    let Binding { agent, dm_scope, group_scope, matches } = binding;
    writeln!(out, "agentId = {}", quoted(agent.as_str()))?;
    writeln!(out, "match = {}", matched(matches))?;
    let scopes = [
        dm_scope.map(|scope| format!("dmScope = {}", quoted(scope.name()))),
        group_scope.map(|scope| format!("groupScope = {}", quoted(scope.name()))),
    ];
    match scopes {
        [None, None] => writeln!(out, "# session: as in `session`"),
        scopes => writeln!(out, "session = {}", table(scopes.into_iter().flatten())),
    }
}

fn matched(matches: &BindingMatch) -> String {
    let BindingMatch { account, channel, guild, peer, roles, team } = matches;
    let text = |key: &str, text: &str| format!("{key} = {}", quoted(text));
    let peer = peer.as_ref().map(|BoundPeer { id, kind }| {
        format!("peer = {}", table([text("kind", kind.name()), text("id", id)]))
    });
    let roles = (!roles.is_empty()).then(|| format!("roles = {}", list(roles)));
    let always = [text("channel", channel), text("accountId", account)];
    let others = [
        peer,
        guild.as_deref().map(|guild| text("guildId", guild)),
        roles,
        team.as_deref().map(|team| text("teamId", team)),
    ];
    table(always.into_iter().chain(others.into_iter().flatten()))
}

/// Writes a table on one line.
fn table(settings: impl IntoIterator<Item = String>) -> String {
    let settings: Vec<_> = settings.into_iter().collect();
    if settings.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", settings.join(", ")) }
}
