//! Where messages go: fixed from what callers write, and from the keys of conversations.

use openclaw_channels::Destination;
use openclaw_config::{ChannelSettings, ChatChannel, Platform};
use openclaw_scopes::SessionKey;
use openclaw_sessions::{ChatType, DEFAULT_ACCOUNT, ParsedKey};
use openclaw_store::{ReplyTo, WEBHOOK};

/// The surface of turns that come over the gateway's own connections; never a channel (`runtime.md` §7.3 of the
/// reference).
const WEBCHAT: &str = "webchat";
/// Characters of what a caller writes at most.
const MAX_TO: usize = 2_000;

/// Why a text is no place to send to.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum DestinationError {
    /// Nothing says which channel.
    #[error("several channels are configured, or none: name one of {0}")]
    ChannelRequired(String),
    /// What is named is not configured.
    #[error("channel `{0}` is not configured, or switched off")]
    NotConfigured(String),
    /// The text names nobody there.
    #[error("`{to}` names nobody on {channel}: {expected}")]
    To {
        /// The channel.
        channel: String,
        /// What is expected.
        expected: &'static str,
        /// The text, shortened.
        to: String,
    },
    /// It names another channel than the one that was named.
    #[error("`{to}` is on another channel than `{channel}`")]
    OtherChannel {
        /// The channel.
        channel: String,
        /// The text, shortened.
        to: String,
    },
    /// It is where turns come from that are asked for over the gateway's own connections.
    #[error(
        "`webchat` is nowhere to send to: it is whoever asks over a connection of their own, as `openclaw chat` \
         does, and is answered there"
    )]
    Webchat,
    /// There is no such account.
    #[error("channel `{0}` has only the account `default`")]
    Account(String),
}

fn shortened(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

/// Returns where a message goes that somebody wants sent.
pub(crate) fn destination(
    channels: &ChannelSettings,
    channel: &str,
    to: &str,
    account: &str,
    thread: &str,
) -> Result<ReplyTo, DestinationError> {
    let enabled = || channels.chats.iter().filter(|(_, chat)| chat.enabled);
    let prefix = to
        .split_once(':')
        .map(|(prefix, _)| prefix)
        .filter(|prefix| *prefix == "tg" || channels.chats.contains_key(*prefix));
    let prefix = prefix.map(|prefix| if prefix == "tg" { "telegram" } else { prefix });
    let name = match (channel, prefix) {
        ("", Some(prefix)) => prefix.to_owned(),
        ("", None) => {
            let mut all = enabled().map(|(name, _)| name.clone());
            match (all.next(), all.next()) {
                (Some(only), None) => only,
                _ => {
                    let names: Vec<_> =
                        enabled().map(|(name, _)| name.as_str()).chain([WEBHOOK]).collect();
                    return Err(DestinationError::ChannelRequired(names.join(", ")));
                }
            }
        }
        // An explicit channel and the target's own have to agree.
        (name, Some(prefix)) if name != prefix && name != WEBHOOK => {
            let (channel, to) = (name.to_owned(), shortened(to));
            return Err(DestinationError::OtherChannel { channel, to });
        }
        (name, _) => name.to_owned(),
    };
    if !["", DEFAULT_ACCOUNT].contains(&account) {
        return Err(DestinationError::Account(shortened(&name)));
    }
    let wrong =
        |expected| DestinationError::To { channel: name.clone(), expected, to: shortened(to) };
    if to.chars().count() > MAX_TO || to.chars().any(char::is_control) {
        return Err(wrong("it is too long, or has control characters"));
    }
    if name == WEBHOOK {
        let is_url = ["https://", "http://"].iter().any(|scheme| to.starts_with(scheme));
        if !is_url {
            return Err(wrong("a URL that begins with `https://`"));
        }
        return Ok(ReplyTo {
            channel: name,
            account: DEFAULT_ACCOUNT.into(),
            kind: ChatType::Direct.name().into(),
            peer: to.to_owned(),
            ..ReplyTo::default()
        });
    }
    if name == WEBCHAT {
        return Err(DestinationError::Webchat);
    }
    let chat = channels.chats.get(&name).filter(|chat| chat.enabled);
    let chat = chat.ok_or_else(|| DestinationError::NotConfigured(shortened(&name)))?;
    let bare = match prefix {
        Some(_) => to.split_once(':').map_or(to, |(_, rest)| rest),
        None => to,
    };
    let (kind, peer, own_thread) = match chat.platform {
        Platform::Discord => discord(bare).ok_or_else(|| wrong("use `channel:ID` or `user:ID`"))?,
        Platform::Telegram => telegram(bare)
            .ok_or_else(|| wrong("use the id of a chat, with `:topic:ID` for a topic"))?,
    };
    let thread = if thread.is_empty() { own_thread } else { thread };
    if !thread.is_empty() && !is_number(thread) {
        return Err(wrong("a thread is named by its id, a number"));
    }
    Ok(ReplyTo {
        channel: name,
        account: DEFAULT_ACCOUNT.into(),
        kind: kind.name().into(),
        peer: peer.to_owned(),
        thread: thread.to_owned(),
        ..ReplyTo::default()
    })
}

fn is_number(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit())
}

fn discord(to: &str) -> Option<(ChatType, &str, &str)> {
    let (kind, id) = match to.split_once(':') {
        Some(("user", id)) => (ChatType::Direct, id),
        Some(("channel", id)) => (ChatType::Channel, id),
        Some(_) => return None,
        None => (ChatType::Channel, to),
    };
    is_number(id).then_some((kind, id, ""))
}

fn telegram(to: &str) -> Option<(ChatType, &str, &str)> {
    let (chat, topic) = to.split_once(":topic:").unwrap_or((to, ""));
    let number = chat.strip_prefix('-');
    let is_chat = is_number(number.unwrap_or(chat)) && (topic.is_empty() || is_number(topic));
    let kind = if number.is_some() { ChatType::Group } else { ChatType::Direct };
    is_chat.then_some((kind, chat, topic))
}

/// Returns where answers of a conversation go whose key leads to a channel on which the gateway speaks itself.
pub(crate) fn reply_of(session: &SessionKey, channels: &ChannelSettings) -> Option<ReplyTo> {
    let key = ParsedKey::of(session).ok()?;
    let route = key.route()?;
    let _speaks: &ChatChannel = channels.chats.get(route.channel).filter(|chat| chat.enabled)?;
    // A topic of Telegram stands in the id of its group.
    let (peer, topic) = route.peer.split_once(":topic:").unwrap_or((route.peer, ""));
    Some(ReplyTo {
        channel: route.channel.to_owned(),
        account: DEFAULT_ACCOUNT.into(),
        kind: route.kind.name().into(),
        peer: peer.to_owned(),
        thread: route.thread.unwrap_or(topic).to_owned(),
        ..ReplyTo::default()
    })
}

/// Returns a place as adapters know it; `None` when it cannot be read.
pub(super) fn to_platform(to: &ReplyTo) -> Option<Destination> {
    let kinds = [ChatType::Channel, ChatType::Direct, ChatType::Group];
    Some(Destination {
        channel: to.channel.clone(),
        account: to.account.clone(),
        peer: to.peer.clone(),
        kind: kinds.into_iter().find(|kind| kind.name() == to.kind)?,
        thread: (!to.thread.is_empty()).then(|| to.thread.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "channels.discord.token.env = 'D'\nchannels.telegram.token.env = 'T'";

    #[test]
    fn places_are_read_as_they_are_meant() {
        let both = openclaw_config::parse(CONFIG).unwrap();
        let one = openclaw_config::parse("channels.telegram.token.env = 'T'").unwrap();
        let show = |config: &openclaw_config::Config, channel: &str, to: &str| match destination(
            config.channels(),
            channel,
            to,
            "",
            "",
        ) {
            Ok(to) => format!("{} {} {} {}", to.channel, to.kind, to.peer, to.thread),
            Err(error) => error.to_string(),
        };
        for (config, channel, to, expected) in [
            (&both, "discord", "channel:123", "discord channel 123 "),
            (&both, "discord", "123", "discord channel 123 "),
            (&both, "discord", "user:9", "discord direct 9 "),
            (
                &both,
                "discord",
                "role:9",
                "`role:9` names nobody on discord: use `channel:ID` or `user:ID`",
            ),
            (&both, "telegram", "-100123", "telegram group -100123 "),
            (&both, "telegram", "42:topic:7", "telegram direct 42 7"),
            (&both, "", "telegram:42", "telegram direct 42 "),
            (&both, "", "tg:42", "telegram direct 42 "),
            (&both, "discord", "telegram:42", "`telegram:42` is on another channel than `discord`"),
            (
                &both,
                "",
                "42",
                "several channels are configured, or none: name one of discord, telegram, webhook",
            ),
            (&one, "", "42", "telegram direct 42 "),
            (
                &one,
                "webchat",
                "main",
                "`webchat` is nowhere to send to: it is whoever asks over a connection of their own, as `openclaw chat` does, and is answered there",
            ),
            (&one, "discord", "channel:1", "channel `discord` is not configured, or switched off"),
            (
                &one,
                "telegram",
                "@name",
                "`@name` names nobody on telegram: use the id of a chat, with `:topic:ID` for a topic",
            ),
            (&one, "webhook", "https://a.example/x", "webhook direct https://a.example/x "),
            (
                &one,
                "webhook",
                "ftp://a",
                "`ftp://a` names nobody on webhook: a URL that begins with `https://`",
            ),
        ] {
            assert_eq!(show(config, channel, to), expected, "{channel} {to}");
        }
    }

    #[test]
    fn the_key_of_a_conversation_leads_to_its_channel() {
        let config = openclaw_config::parse(CONFIG).unwrap();
        let reply = |key: &str| {
            let to = reply_of(&key.parse().unwrap(), config.channels())?;
            Some(format!("{} {} {} {}", to.channel, to.kind, to.peer, to.thread))
        };
        assert_eq!(
            reply("agent:main:discord:channel:1469556013123502103").unwrap(),
            "discord channel 1469556013123502103 "
        );
        assert_eq!(reply("agent:main:telegram:direct:42").unwrap(), "telegram direct 42 ");
        for key in ["agent:main:main", "agent:main:irc:channel:x", "agent:main:cron:j:run:r"] {
            assert_eq!(reply(key), None, "{key}");
        }
    }
}
