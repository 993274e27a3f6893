//! Channels as `config show` writes them.

use std::fmt;

use super::{list, quoted};
use crate::{ChannelSettings, ChatChannel, Mention, WebhookSettings};

pub(super) fn write(out: &mut fmt::Formatter<'_>, channels: &ChannelSettings) -> fmt::Result {
    let ChannelSettings { chats, webhook, owners } = channels;
    writeln!(out, "\n[commands]")?;
    writeln!(out, "ownerAllowFrom = {}", list(owners))?;
    for (name, chat) in chats {
        writeln!(out, "\n[channels.{name}]")?;
        write_chat(out, chat)?;
    }
    writeln!(out, "\n[channels.webhook]")?;
    let WebhookSettings { secret, allow_addresses } = webhook;
    match secret {
        Some(secret) => writeln!(out, "secret = {{ env = {} }}", quoted(&secret.env))?,
        None => writeln!(out, "# secret: webhooks are not signed")?,
    }
    writeln!(out, "allowAddresses = {}", list(allow_addresses))
}

fn write_chat(out: &mut fmt::Formatter<'_>, chat: &ChatChannel) -> fmt::Result {
    writeln!(out, "enabled = {}", chat.enabled)?;
    writeln!(out, "token = {{ env = {} }}", quoted(&chat.token.env))?;
    if let Some(url) = &chat.api_url {
        writeln!(out, "apiUrl = {}", quoted(url.as_str()))?;
    }
    if let Some(url) = &chat.gateway_url {
        writeln!(out, "gatewayUrl = {}", quoted(url))?;
    }
    writeln!(out, "dmPolicy = {}", quoted(chat.dm_policy.name()))?;
    writeln!(out, "allowFrom = {}", list(&chat.allow_from))?;
    writeln!(out, "groupPolicy = {}", quoted(chat.group_policy.name()))?;
    writeln!(out, "groupAllowFrom = {}", list(&chat.group_allow_from))?;
    for (group, mention) in &chat.groups {
        let required = *mention == Mention::Required;
        writeln!(out, "groups.{}.requireMention = {required}", quoted(group))?;
    }
    writeln!(out, "tools.allow = {}", list(&chat.tools))
}
