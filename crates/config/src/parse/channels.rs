//! Reads `[channels]` and `[commands]`.

use std::collections::{BTreeMap, BTreeSet};

use crate::read::{Faults, Field, Section};
use crate::{
    ChannelSettings, ChatChannel, DmPolicy, GroupPolicy, Mention, Platform, Problem, SecretRef,
    WebhookSettings,
};

use super::models::{base_url, missing, secret_ref};
use super::settings::address;

/// What is no chat platform among the channels.
const WEBHOOK: &str = "webhook";
const IDS: &str = "the immutable id of somebody, or `*`: 1 to 128 characters without spaces";
const OWNER: &str = "`channel:id`, for example `telegram:123`";

/// Reads the channels; the variables that hold their secrets are added to `secrets`.
pub(super) fn read(
    root: &Section<'_>,
    secrets: &mut BTreeSet<String>,
    faults: &mut Faults<'_>,
) -> ChannelSettings {
    let section = root.section("channels", faults);
    let mut chats = BTreeMap::new();
    for field in section.fields().filter(|field| field.name != WEBHOOK) {
        let names = || Platform::ALL.into_iter().map(Platform::name);
        let platform = Platform::parse(field.name);
        let Some(platform) = platform else {
            let problem = Problem::Choice {
                key: field.path.clone(),
                allowed: names().chain([WEBHOOK]).collect(),
                suggestion: crate::key::nearest(field.name, names()).map(str::to_owned),
            };
            faults.report(field.key_at, problem);
            continue;
        };
        let Some(section) = field.section(faults) else { continue };
        if let Some(chat) = chat(platform, &section, faults) {
            secrets.insert(chat.token.env.clone());
            chats.insert(platform.name().to_owned(), chat);
        }
    }
    let webhook = webhook(&section.section(WEBHOOK, faults), faults);
    secrets.extend(webhook.secret.iter().map(|key| key.env.clone()));
    let commands = root.section("commands", faults);
    let owners = commands
        .field("ownerAllowFrom")
        .and_then(|field| field.list(faults, owner))
        .unwrap_or_default();
    ChannelSettings { chats, webhook, owners }
}

fn chat(platform: Platform, section: &Section<'_>, faults: &mut Faults<'_>) -> Option<ChatChannel> {
    let flag =
        |name, faults: &mut Faults<'_>| section.field(name).and_then(|field| field.flag(faults));
    let enabled = flag("enabled", faults).unwrap_or(true);
    let token = section.field("token").and_then(|field| secret_ref(&field, faults));
    if section.field("token").is_none() {
        missing(section, "token", "{ env = \"BOT_TOKEN\" }", faults);
    }
    let api_url = section.field("apiUrl").and_then(|field| base_url(&field, faults));
    let gateway_url = section.field("gatewayUrl").and_then(|field| gateway_url(&field, faults));
    let dm_policy = section
        .field("dmPolicy")
        .and_then(|field| field.choice(&DmPolicy::ALL, DmPolicy::name, faults))
        .unwrap_or_default();
    let ids = |name, faults: &mut Faults<'_>| -> Vec<String> {
        let list = section.field(name).and_then(|field| field.list(faults, id));
        list.unwrap_or_default()
    };
    let (allow_from, group_allow_from) = (ids("allowFrom", faults), ids("groupAllowFrom", faults));
    if dm_policy == DmPolicy::Open && allow_from.is_empty() {
        missing(section, "allowFrom", "[\"*\"]", faults);
    }
    let group_policy = section
        .field("groupPolicy")
        .and_then(|field| field.choice(&GroupPolicy::ALL, GroupPolicy::name, faults))
        .unwrap_or_default();
    let mut groups = BTreeMap::new();
    for field in section.section("groups", faults).fields() {
        let Some(group) = field.section(faults) else { continue };
        let required = group.field("requireMention").and_then(|field| field.flag(faults));
        let mention = if required == Some(false) { Mention::Optional } else { Mention::Required };
        groups.insert(field.name.to_owned(), mention);
    }
    let tools = section
        .section("tools", faults)
        .field("allow")
        .and_then(|field| field.list(faults, super::agents::tool_pattern))
        .unwrap_or_default();
    Some(ChatChannel {
        platform,
        enabled,
        token: token?,
        api_url,
        gateway_url,
        dm_policy,
        allow_from,
        group_policy,
        group_allow_from,
        groups,
        tools,
    })
}

fn webhook(section: &Section<'_>, faults: &mut Faults<'_>) -> WebhookSettings {
    let secret: Option<SecretRef> =
        section.field("secret").and_then(|field| secret_ref(&field, faults));
    let allow_addresses = section
        .field("allowAddresses")
        .and_then(|field| field.list(faults, address))
        .unwrap_or_default();
    WebhookSettings { secret, allow_addresses }
}

fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.chars().count())
        && !text.contains(|c: char| c.is_control() || c.is_whitespace())
}

fn id(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| {
        let (key, expected) = (field.path.clone(), IDS);
        is_id(text).then(|| text.to_owned()).ok_or(Problem::Text { key, expected })
    })
}

fn owner(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| {
        let is_owner = text.split_once(':').is_some_and(|(channel, id)| {
            Platform::ALL.into_iter().any(|it| it.name() == channel) && is_id(id) && id != "*"
        });
        let (key, expected) = (field.path.clone(), OWNER);
        is_owner.then(|| text.to_owned()).ok_or(Problem::Text { key, expected })
    })
}

fn gateway_url(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| {
        let is_well = ["ws://", "wss://"]
            .iter()
            .any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
            && text.len() <= 1_024
            && !text.contains(|c: char| c.is_control() || c.is_whitespace());
        let (key, expected) = (field.path.clone(), "a URL that begins with `wss://` or `ws://`");
        is_well.then(|| text.to_owned()).ok_or(Problem::Text { key, expected })
    })
}
