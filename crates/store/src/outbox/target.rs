//! Where an answer goes, as it stands beside a run from its acceptance on.

use openclaw_sessions::ChatType;
use serde::{Deserialize, Serialize};

use super::BODY;

/// Where something goes, fixed when it was asked for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ReplyTo {
    /// The channel.
    pub channel: String,
    /// The account of the gateway there; a bridge's default one has no name.
    #[serde(deserialize_with = "text", default)]
    pub account: String,
    /// With how many the conversation is: `direct`, `group` or `channel`; of a webhook `direct`, or `body` where
    /// what is said is all that is posted.
    pub kind: String,
    /// Who or what it is with, as the platform names it.
    #[serde(deserialize_with = "text", default)]
    pub peer: String,
    /// The thread; empty for none.
    #[serde(deserialize_with = "text", default)]
    pub thread: String,
    /// The message on the platform that is answered; empty for none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub answers: String,
    /// Who delivers it.
    #[serde(skip_serializing_if = "Carrier::is_caller")]
    pub by: Carrier,
}

/// Who delivers an answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Carrier {
    /// Whoever handed the message over.
    #[default]
    Caller,
    /// The gateway.
    Gateway,
}

impl Carrier {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls it with")]
    const fn is_caller(&self) -> bool {
        matches!(self, Self::Caller)
    }
}

/// What is absent was written as `null` before, and is by a bridge.
fn text<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Option::<String>::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl ReplyTo {
    /// Reads where an answer goes that the gateway delivers; `None` when it delivers none.
    pub fn delivered(stored: &str) -> Option<Self> {
        Self::read(stored).filter(|target| target.by == Carrier::Gateway)
    }

    /// Reads where an answer goes, whoever delivers it; `None` when nobody does.
    pub(crate) fn read(stored: &str) -> Option<Self> {
        serde_json::from_str(stored).ok()
    }

    /// Returns with how many the conversation there is; `None` when that cannot be told.
    pub(crate) fn chat_type(&self) -> Option<ChatType> {
        if self.kind == BODY { Some(ChatType::Direct) } else { ChatType::parse(&self.kind) }
    }

    /// The same as it is stored, for the gateway to deliver.
    pub fn by_gateway(mut self) -> String {
        self.by = Carrier::Gateway;
        serde_json::to_string(&self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_so_is_delivered() {
        let target = ReplyTo {
            channel: "discord".into(),
            account: "default".into(),
            kind: "channel".into(),
            peer: "1".into(),
            ..ReplyTo::default()
        };
        let stored = target.clone().by_gateway();
        let read = ReplyTo::delivered(&stored).unwrap();
        assert_eq!(ReplyTo { by: Carrier::Caller, ..read }, target);
        for stored in [
            "",
            "{}",
            r#"{"channel":"irc","account":"default","kind":"direct","peer":"ada","thread":null}"#,
        ] {
            assert_eq!(ReplyTo::delivered(stored), None, "{stored}");
        }
    }
}
