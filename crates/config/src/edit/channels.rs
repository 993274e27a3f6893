//! Adding channels and owners to the text of a configuration.

use toml_edit::{Array, InlineTable, Item, Table, Value};

use super::{EditError, close, header, keep_comments, open};
use crate::{DmPolicy, Platform, SecretRef};

/// What the entry of a new channel says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NewChannel {
    /// Where the bot's token is found.
    pub token: SecretRef,
    /// Who may write direct messages.
    pub dm_policy: DmPolicy,
}

/// Returns the text with an entry for one more chat platform.
///
/// # Errors
/// When the text is not a valid configuration, the platform is configured, or a setting is not valid.
pub fn add_channel(
    text: &str,
    platform: Platform,
    settings: &NewChannel,
) -> Result<String, EditError> {
    let (config, mut document) = open(text)?;
    if config.channels().chats.contains_key(platform.name()) {
        return Err(EditError::ChannelExists { platform });
    }
    let mut entry = Table::new();
    let mut token = InlineTable::new();
    token.insert("env", settings.token.env.as_str().into());
    entry.insert("token", Item::Value(token.into()));
    entry.insert("dmPolicy", Item::Value(settings.dm_policy.name().into()));
    keep_comments(&mut document, &mut entry);
    match document.entry("channels").or_insert_with(header) {
        Item::Table(channels) => channels.insert(platform.name(), Item::Table(entry)),
        Item::Value(Value::InlineTable(channels)) => {
            let entry = Item::Value(entry.into_inline_table().into());
            toml_edit::TableLike::insert(channels, platform.name(), entry)
        }
        Item::ArrayOfTables(_) | Item::None | Item::Value(_) => return Err(EditError::Unsupported),
    };
    close(&document)
}

/// Returns the text with one more owner; as it is, when they are one.
///
/// # Errors
/// When the text is not a valid configuration, or `sender` cannot be an id of a chat platform named `channel`.
pub fn add_owner(text: &str, channel: &str, sender: &str) -> Result<String, EditError> {
    let (config, mut document) = open(text)?;
    if config.channels().is_owner(channel, sender) {
        return Ok(text.to_owned());
    }
    let owner = format!("{channel}:{sender}");
    if !document.contains_key("commands") {
        let mut entry = Table::new();
        entry.insert("ownerAllowFrom", Item::Value(Array::new().into()));
        keep_comments(&mut document, &mut entry);
        document.insert("commands", Item::Table(entry));
    }
    let commands = document.get_mut("commands").and_then(Item::as_table_like_mut);
    let owners = commands
        .ok_or(EditError::Unsupported)?
        .entry("ownerAllowFrom")
        .or_insert_with(|| Item::Value(Array::new().into()));
    owners.as_array_mut().ok_or(EditError::Unsupported)?.push(owner);
    close(&document)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::parse;

    fn settings() -> NewChannel {
        let token = SecretRef::parse("BOT_TOKEN").unwrap();
        NewChannel { token, dm_policy: DmPolicy::Allowlist }
    }

    #[track_caller]
    fn adds(text: &str, expected: &Expect) {
        let with = add_channel(text, Platform::Telegram, &settings()).unwrap();
        expected.assert_eq(&with);
        let config = parse(&with).unwrap();
        let chat = &config.channels().chats["telegram"];
        assert_eq!((chat.token.env.as_str(), chat.enabled), ("BOT_TOKEN", true));
        assert_eq!(chat.dm_policy, DmPolicy::Allowlist);
        let again = add_channel(&with, Platform::Telegram, &settings());
        assert_eq!(again, Err(EditError::ChannelExists { platform: Platform::Telegram }));
    }

    #[test]
    fn a_channel_is_added_however_the_others_are_written() {
        adds(
            "",
            &expect![[r#"
            [channels.telegram]
            token = { env = "BOT_TOKEN" }
            dmPolicy = "allowlist"
        "#]],
        );
        adds(
            "# only a comment",
            &expect![[r##"
            # only a comment

            [channels.telegram]
            token = { env = "BOT_TOKEN" }
            dmPolicy = "allowlist"
        "##]],
        );
        adds(
            "# top\n[channels.discord] # one\ntoken.env = 'D'\n# end\n",
            &expect![[r##"
            # top
            [channels.discord] # one
            token.env = 'D'

            [channels.telegram]
            token = { env = "BOT_TOKEN" }
            dmPolicy = "allowlist"
            # end
        "##]],
        );
        adds(
            "channels.discord.token.env = 'D' # one\n[cron]\nenabled = true\n",
            &expect![[r#"
            channels.discord.token.env = 'D' # one

            [channels.telegram]
            token = { env = "BOT_TOKEN" }
            dmPolicy = "allowlist"
            [cron]
            enabled = true
        "#]],
        );
        adds(
            "channels = { discord = { token = { env = 'D' } } }\n",
            &expect![[r#"
            channels = { discord = { token = { env = 'D' } } , telegram = { token = { env = "BOT_TOKEN" }, dmPolicy = "allowlist" } }
        "#]],
        );
    }

    #[test]
    fn what_would_not_be_valid_is_not_written() {
        let open = NewChannel { dm_policy: DmPolicy::Open, ..settings() };
        let refused = add_channel("", Platform::Discord, &open);
        assert!(matches!(refused, Err(EditError::Refused { .. })), "{refused:?}");
        let invalid = add_channel("channels = 1", Platform::Discord, &settings());
        assert!(matches!(invalid, Err(EditError::Invalid { .. })), "{invalid:?}");
        // Commands may not be given the variable that holds a token.
        let given = "tools.exec.envAllow = ['BOT_TOKEN']";
        let refused = add_channel(given, Platform::Discord, &settings());
        assert!(matches!(refused, Err(EditError::Refused { .. })), "{refused:?}");
    }

    #[track_caller]
    fn owns(text: &str, expected: &Expect) {
        let with = add_owner(text, "telegram", "123").unwrap();
        expected.assert_eq(&with);
        assert!(parse(&with).unwrap().channels().is_owner("telegram", "123"));
        assert_eq!(add_owner(&with, "telegram", "123").unwrap(), with);
    }

    #[test]
    fn an_owner_is_added_however_the_others_are_written() {
        owns(
            "",
            &expect![[r#"
            [commands]
            ownerAllowFrom = ["telegram:123"]
        "#]],
        );
        owns(
            "# only a comment\n",
            &expect![[r##"
            # only a comment

            [commands]
            ownerAllowFrom = ["telegram:123"]
        "##]],
        );
        owns(
            "# top\n[cron]\nenabled = true # yes\n",
            &expect![[r##"
            # top
            [cron]
            enabled = true # yes

            [commands]
            ownerAllowFrom = ["telegram:123"]
        "##]],
        );
        owns(
            "[commands] # who\n[cron]\nenabled = true\n",
            &expect![[r#"
            [commands] # who
            ownerAllowFrom = ["telegram:123"]
            [cron]
            enabled = true
        "#]],
        );
        owns(
            "commands.ownerAllowFrom = ['telegram:1'] # me\n",
            &expect![[r#"
            commands.ownerAllowFrom = ['telegram:1', "telegram:123"] # me
        "#]],
        );
        owns(
            "[commands]\nownerAllowFrom = [\n  'telegram:1', # me\n]\n",
            &expect![[r#"
            [commands]
            ownerAllowFrom = [
              'telegram:1', "telegram:123", # me
            ]
        "#]],
        );
    }

    #[test]
    fn nobody_else_becomes_an_owner() {
        for (channel, sender) in [
            ("telegram", "*"),
            ("telegram", ""),
            ("telegram", "1 2"),
            ("irc", "1"),
            ("telegram", "1\n2"),
        ] {
            let refused = add_owner("", channel, sender);
            assert!(matches!(refused, Err(EditError::Refused { .. })), "{channel} {sender:?}");
        }
        let id = "1\"]\nagents = [\"";
        let refused = add_owner("", "telegram", id);
        assert!(matches!(refused, Err(EditError::Refused { .. })), "{refused:?}");
    }
}
