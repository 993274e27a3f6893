//! What people say and do on a platform, as the platform tells of it.

use openclaw_scopes::Timestamp;
use openclaw_sessions::ChatType;

/// A message as a platform told of it. Everything in it but ids is the words of strangers.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Inbound {
    /// The account of the gateway that heard it.
    pub account: String,
    /// When the platform says that it was sent.
    pub at: Timestamp,
    /// The channel, such as `telegram`.
    pub channel: String,
    /// The guild, where the platform has them.
    pub guild: Option<String>,
    /// Whether its sender is a program.
    pub is_bot: bool,
    /// Whether the gateway's account is addressed by name.
    pub is_mention: bool,
    /// With how many the conversation is.
    pub kind: ChatType,
    /// What came with the text.
    pub media: Vec<Media>,
    /// The platform's id of the message.
    pub message_id: String,
    /// The room above the peer, when the peer is a thread with an id of its own.
    pub parent: Option<String>,
    /// The person, group or room.
    pub peer: String,
    /// The id of the message that it answers.
    pub reply_to: Option<String>,
    /// Whether it answers a message of the gateway's account.
    pub reply_to_bot: bool,
    /// The roles of the sender in the guild.
    pub roles: Vec<String>,
    /// The immutable id of the sender.
    pub sender_id: String,
    /// What the sender calls itself. It proves nothing.
    pub sender_name: String,
    /// The text, without the name of the gateway's account where it begins with that.
    pub text: String,
    /// The thread below the peer.
    pub thread: Option<String>,
}

/// A picture, sound or file that came with a message. Nothing of it has been fetched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Media {
    /// Where the platform keeps it: a URL, or an id that the platform turns into one.
    pub id: String,
    /// What it is.
    pub kind: MediaKind,
    /// Its media type, as the sender says.
    pub mime: Option<String>,
    /// Its file name, as the sender says.
    pub name: Option<String>,
    /// How many bytes it has, as the platform says.
    pub size: Option<u64>,
}

/// What kind of media something is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MediaKind {
    /// Sound, spoken words included.
    Audio,
    /// Any other file.
    File,
    /// A picture.
    Image,
    /// Moving pictures.
    Video,
}

impl MediaKind {
    /// Returns the kind that a media type belongs to.
    pub fn of(mime: Option<&str>) -> Self {
        match mime.and_then(|mime| mime.split('/').next()) {
            Some("audio") => Self::Audio,
            Some("image") => Self::Image,
            Some("video") => Self::Video,
            Some(_) | None => Self::File,
        }
    }
}

/// The press of a button below a message of the gateway.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ButtonPress {
    /// The account of the gateway that heard it.
    pub account: String,
    /// The channel, such as `telegram`.
    pub channel: String,
    /// What the button was made with.
    pub data: String,
    /// With how many the conversation is.
    pub kind: ChatType,
    /// The platform's id of the message that holds the button, if it still tells.
    pub message_id: Option<String>,
    /// The room above the peer, when the peer is a thread with an id of its own.
    pub parent: Option<String>,
    /// The person, group or room.
    pub peer: String,
    /// The platform's id of the press: the same press has the same id.
    pub press_id: String,
    /// The immutable id of who pressed it.
    pub sender_id: String,
    /// What that person calls itself. It proves nothing.
    pub sender_name: String,
    /// The thread below the peer.
    pub thread: Option<String>,
}
