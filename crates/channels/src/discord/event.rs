//! What Discord's gateway says, as far as it matters here.
//!
//! Only the fields that are needed are read: a message with a part that nobody knows yet is still
//! a message.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use twilight_model::gateway::event::GatewayEventDeserializer;
use twilight_model::id::Id;
use twilight_model::id::marker::{
    ChannelMarker, GuildMarker, InteractionMarker, MessageMarker, RoleMarker, UserMarker,
};
use twilight_model::util::Timestamp as DiscordTimestamp;

use openclaw_scopes::Timestamp;
use openclaw_sessions::ChatType;

use crate::inbound::{ButtonPress, Inbound, Media, MediaKind};

use super::NAME;

/// A message that somebody wrote.
const REGULAR: u8 = 0;
/// A message that answers another.
const REPLY: u8 = 19;
/// The press of a button.
const COMPONENT: u8 = 3;

/// What the gateway says.
#[derive(Debug)]
pub(super) enum Event {
    Message(Box<Message>),
    Other,
    Places(Vec<Place>),
    Press(Box<Press>),
    Ready(Person),
    Resumed,
}

impl Event {
    /// Reads an event.
    pub(super) fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let Some(head) = GatewayEventDeserializer::from_json(json) else { return Ok(Self::Other) };
        let (_, _, name) = head.into_parts();
        Ok(match name.as_deref() {
            Some("CHANNEL_CREATE" | "THREAD_CREATE") => Self::Places(vec![data(json)?]),
            Some("GUILD_CREATE" | "THREAD_LIST_SYNC") => {
                let Guild { mut channels, threads } = data(json)?;
                channels.extend(threads);
                Self::Places(channels)
            }
            Some("INTERACTION_CREATE") => Self::Press(data(json)?),
            Some("MESSAGE_CREATE") => Self::Message(data(json)?),
            Some("READY") => Self::Ready(data::<Ready>(json)?.user),
            Some("RESUMED") => Self::Resumed,
            Some(_) | None => Self::Other,
        })
    }
}

fn data<T: DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    #[derive(Deserialize)]
    struct Dispatch<T> {
        d: T,
    }
    serde_json::from_str::<Dispatch<T>>(json).map(|dispatch| dispatch.d)
}

#[derive(Debug, Deserialize)]
struct Ready {
    user: Person,
}

#[derive(Debug, Deserialize)]
struct Guild {
    #[serde(default)]
    channels: Vec<Place>,
    #[serde(default)]
    threads: Vec<Place>,
}

/// A channel or thread.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    pub(super) id: Id<ChannelMarker>,
    #[serde(rename = "type")]
    pub(super) kind: u8,
    pub(super) parent_id: Option<Id<ChannelMarker>>,
}

/// A person or bot.
#[derive(Debug, Deserialize)]
pub(super) struct Person {
    #[serde(default)]
    bot: bool,
    global_name: Option<String>,
    pub(super) id: Id<UserMarker>,
    #[serde(default)]
    pub(super) username: String,
}

impl Person {
    fn name(&self) -> &str {
        self.global_name.as_deref().unwrap_or(&self.username)
    }
}

#[derive(Debug, Deserialize)]
struct Member {
    nick: Option<String>,
    #[serde(default)]
    roles: Vec<Id<RoleMarker>>,
    user: Option<Person>,
}

#[derive(Debug, Deserialize)]
struct File {
    content_type: Option<String>,
    filename: Option<String>,
    size: Option<u64>,
    url: String,
}

#[derive(Debug, Deserialize)]
struct Reference {
    message_id: Option<Id<MessageMarker>>,
}

#[derive(Debug, Deserialize)]
struct Referenced {
    author: Option<Person>,
}

/// A message.
#[derive(Debug, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    attachments: Vec<File>,
    author: Person,
    pub(super) channel_id: Id<ChannelMarker>,
    #[serde(default)]
    content: String,
    pub(super) guild_id: Option<Id<GuildMarker>>,
    id: Id<MessageMarker>,
    #[serde(rename = "type")]
    kind: u8,
    member: Option<Member>,
    #[serde(default)]
    mentions: Vec<Person>,
    message_reference: Option<Reference>,
    referenced_message: Option<Referenced>,
    timestamp: DiscordTimestamp,
}

impl Message {
    /// Returns who wrote it directly to the bot, if it is no message of a guild.
    pub(super) fn direct(&self) -> Option<Id<UserMarker>> {
        self.guild_id.is_none().then_some(self.author.id)
    }

    /// Whether it says something, and somebody else than the bot says it.
    pub(super) fn is_said_by_others(&self, me: Option<Id<UserMarker>>) -> bool {
        let says = !self.content.is_empty() || !self.attachments.is_empty();
        matches!(self.kind, REGULAR | REPLY) && says && Some(self.author.id) != me
    }

    /// Returns the message as every platform tells of one.
    pub(super) fn inbound(
        &self,
        account: &str,
        me: Option<Id<UserMarker>>,
        parent: Option<Id<ChannelMarker>>,
    ) -> Inbound {
        let is_me = |person: &Person| Some(person.id) == me;
        let reply = self.message_reference.as_ref().filter(|_| self.kind == REPLY);
        let nick = self.member.as_ref().and_then(|member| member.nick.as_deref());
        let roles = self.member.as_ref().map(|member| member.roles.as_slice());
        let replied = self.referenced_message.as_ref().and_then(|message| message.author.as_ref());
        Inbound {
            account: account.to_owned(),
            at: Timestamp::from_millis(self.timestamp.as_micros().div_euclid(1000)),
            channel: NAME.to_owned(),
            guild: self.guild_id.map(|id| id.to_string()),
            is_bot: self.author.bot,
            is_mention: self.mentions.iter().any(is_me),
            kind: kind(self.guild_id),
            media: self.attachments.iter().map(File::media).collect(),
            message_id: self.id.to_string(),
            parent: parent.map(|id| id.to_string()),
            peer: peer(self.guild_id, self.channel_id, self.author.id),
            reply_to: reply.and_then(|reply| reply.message_id).map(|id| id.to_string()),
            reply_to_bot: reply.is_some() && replied.is_some_and(is_me),
            roles: roles.unwrap_or_default().iter().map(ToString::to_string).collect(),
            sender_id: self.author.id.to_string(),
            sender_name: nick.unwrap_or_else(|| self.author.name()).to_owned(),
            text: addressed(&self.content, me).to_owned(),
            thread: None,
        }
    }
}

/// Returns what a text says to the bot that it mentions at its beginning, so that a command can follow the mention.
fn addressed(text: &str, me: Option<Id<UserMarker>>) -> &str {
    let Some(me) = me else { return text };
    let mentions = [format!("<@{me}>"), format!("<@!{me}>")];
    let said = mentions.iter().find_map(|mention| text.trim_start().strip_prefix(mention));
    said.map_or(text, str::trim_start)
}

impl File {
    fn media(&self) -> Media {
        Media {
            id: self.url.clone(),
            kind: MediaKind::of(self.content_type.as_deref()),
            mime: self.content_type.clone(),
            name: self.filename.clone(),
            size: self.size,
        }
    }
}

#[derive(Debug, Deserialize)]
struct Pressed {
    custom_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Below {
    id: Id<MessageMarker>,
}

/// The press of a button.
#[derive(Debug, Deserialize)]
pub(super) struct Press {
    pub(super) channel_id: Option<Id<ChannelMarker>>,
    data: Option<Pressed>,
    pub(super) guild_id: Option<Id<GuildMarker>>,
    pub(super) id: Id<InteractionMarker>,
    #[serde(rename = "type")]
    kind: u8,
    member: Option<Member>,
    message: Option<Below>,
    pub(super) token: String,
    user: Option<Person>,
}

impl Press {
    /// Returns the press as every platform tells of one, if it is one.
    pub(super) fn press(
        &self,
        account: &str,
        parent: Option<Id<ChannelMarker>>,
    ) -> Option<ButtonPress> {
        let user = self.user.as_ref();
        let user = user.or_else(|| self.member.as_ref().and_then(|member| member.user.as_ref()))?;
        let data = self.data.as_ref().and_then(|data| data.custom_id.clone())?;
        let channel = self.channel_id?;
        (self.kind == COMPONENT).then(|| ButtonPress {
            account: account.to_owned(),
            channel: NAME.to_owned(),
            data,
            kind: kind(self.guild_id),
            message_id: self.message.as_ref().map(|message| message.id.to_string()),
            parent: parent.map(|id| id.to_string()),
            peer: peer(self.guild_id, channel, user.id),
            press_id: self.id.to_string(),
            sender_id: user.id.to_string(),
            sender_name: user.name().to_owned(),
            thread: None,
        })
    }
}

fn kind(guild: Option<Id<GuildMarker>>) -> ChatType {
    if guild.is_some() { ChatType::Channel } else { ChatType::Direct }
}

/// Returns the peer: a channel, or the person with whom the bot speaks alone.
fn peer(
    guild: Option<Id<GuildMarker>>,
    channel: Id<ChannelMarker>,
    user: Id<UserMarker>,
) -> String {
    if guild.is_some() { channel.to_string() } else { user.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_at_the_beginning_is_no_part_of_what_is_said() {
        let me = Some(Id::new(100));
        for (text, said) in [
            ("<@100> /status", "/status"),
            (" <@!100>\nhello", "hello"),
            ("<@100>", ""),
            ("<3 <@100> you > me", "<3 <@100> you > me"),
            ("<@999> <@100> hello", "<@999> <@100> hello"),
            ("<@&100> hello", "<@&100> hello"),
            ("<https://a.example> <@100>", "<https://a.example> <@100>"),
        ] {
            assert_eq!(addressed(text, me), said, "{text}");
            assert_eq!(addressed(text, None), text);
        }
    }
}
