//! Whether what is said in a session may leave the gateway (`runtime.md` §1.4 of the reference).

use openclaw_scopes::SessionKey;

use crate::key::{ChatType, ParsedKey};

/// Whether what is said in a session may leave.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum SendPolicy {
    /// It may.
    #[default]
    Allow,
    /// It stays in the session.
    Deny,
}

impl SendPolicy {
    /// Every policy.
    pub const ALL: [Self; 2] = [Self::Allow, Self::Deny];

    /// Returns its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    /// Returns the policy of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.name() == name)
    }
}

/// Where something would leave from, and where it would go.
#[derive(Clone, Copy, Debug)]
pub struct SendPlace<'a> {
    /// The channel that it goes to.
    pub channel: &'a str,
    /// With how many the conversation there is; absent when that cannot be told.
    pub chat_type: Option<ChatType>,
    /// The session that it is said in; absent when it is said in none.
    pub session: Option<&'a SessionKey>,
}

/// What the configuration says about some of what leaves: all that is said of it must be so.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SendRule {
    /// What it decides.
    pub action: SendPolicy,
    /// The channel.
    pub channel: Option<String>,
    /// With how many the conversation there is.
    pub chat_type: Option<ChatType>,
    /// How the session's key begins, with or without its agent.
    pub key_prefix: Option<String>,
    /// How the session's whole key begins.
    pub raw_key_prefix: Option<String>,
}

/// What the configuration says about what leaves. Without any, all does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SendRules {
    /// What holds where no rule matches.
    pub default: SendPolicy,
    /// The rules. Their order does not matter: one that denies goes before all that allow.
    pub rules: Vec<SendRule>,
}

impl SendRules {
    /// Decides about something that no session has a policy of its own for.
    pub fn decide(&self, place: &SendPlace<'_>) -> SendPolicy {
        if *self == Self::default() {
            return SendPolicy::Allow;
        }
        // What cannot be told might be what a rule denies.
        if place.chat_type.is_none() {
            return SendPolicy::Deny;
        }
        let mut decided = self.default;
        for rule in self.rules.iter().filter(|rule| rule.matches(place)) {
            match rule.action {
                SendPolicy::Allow => decided = SendPolicy::Allow,
                SendPolicy::Deny => return SendPolicy::Deny,
            }
        }
        decided
    }
}

impl SendRule {
    fn matches(&self, place: &SendPlace<'_>) -> bool {
        let Self { action: _, channel, chat_type, key_prefix, raw_key_prefix } = self;
        let begins = |prefix: &str, with_rest: bool| {
            place.session.is_some_and(|session| {
                let prefix = prefix.to_lowercase();
                let rest = ParsedKey::of(session).ok().filter(|_| with_rest);
                session.as_str().to_lowercase().starts_with(&prefix)
                    || rest.is_some_and(|key| key.rest().to_lowercase().starts_with(&prefix))
            })
        };
        channel.as_ref().is_none_or(|channel| channel.eq_ignore_ascii_case(place.channel))
            && chat_type.is_none_or(|kind| place.chat_type == Some(kind))
            && key_prefix.as_ref().is_none_or(|prefix| begins(prefix, true))
            && raw_key_prefix.as_ref().is_none_or(|prefix| begins(prefix, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(action: SendPolicy, set: impl FnOnce(&mut SendRule)) -> SendRule {
        let mut rule = SendRule { action, ..SendRule::default() };
        set(&mut rule);
        rule
    }

    #[track_caller]
    fn check(
        rules: &[SendRule],
        default: SendPolicy,
        place: (&str, &str, &str),
        policy: SendPolicy,
    ) {
        let (channel, kind, key) = place;
        let session = (!key.is_empty()).then(|| key.parse().unwrap());
        let chat_type = ChatType::parse(kind);
        let place = SendPlace { channel, chat_type, session: session.as_ref() };
        let rules = SendRules { default, rules: rules.to_vec() };
        assert_eq!(rules.decide(&place), policy, "{place:?} {rules:?}");
    }

    #[test]
    fn a_rule_is_for_what_has_all_of_it() {
        use SendPolicy::{Allow, Deny};
        let direct = ("telegram", "direct", "agent:main:main");
        let group = ("discord", "group", "agent:main:discord:group:5");
        check(&[], Allow, direct, Allow);
        check(&[], Deny, direct, Deny);
        let of_groups = [rule(Deny, |rule| {
            rule.channel = Some("Discord".into());
            rule.chat_type = Some(ChatType::Group);
        })];
        check(&of_groups, Allow, group, Deny);
        check(&of_groups, Allow, direct, Allow);
        check(&of_groups, Allow, ("telegram", "group", "agent:main:main"), Allow);
        check(&of_groups, Allow, ("discord", "channel", "agent:main:main"), Allow);
        for (prefix, raw, expected) in [
            ("discord:", "", Deny),
            ("DISCORD:group:5", "", Deny),
            ("agent:main:discord:", "", Deny),
            ("", "agent:main:discord:", Deny),
            // The whole key begins otherwise.
            ("", "discord:", Allow),
            ("cron:", "", Allow),
            ("discord:", "agent:other:", Allow),
        ] {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let one = rule(Deny, |rule| {
                (rule.key_prefix, rule.raw_key_prefix) = (text(prefix), text(raw));
            });
            check(&[one], Allow, group, expected);
        }
        // What is said in no session has no key.
        check(
            &[rule(Deny, |rule| rule.key_prefix = Some("a".into()))],
            Allow,
            ("telegram", "dm", ""),
            Allow,
        );
    }

    #[test]
    fn denying_goes_before_allowing_in_any_order() {
        use SendPolicy::{Allow, Deny};
        let place = ("telegram", "direct", "agent:main:main");
        let (all, telegram) =
            (rule(Allow, |_| {}), rule(Deny, |rule| rule.channel = Some("telegram".into())));
        check(&[all.clone(), telegram.clone()], Allow, place, Deny);
        check(&[telegram.clone(), all.clone()], Allow, place, Deny);
        check(&[all.clone(), telegram], Deny, ("discord", "direct", "agent:main:main"), Allow);
        check(&[rule(Allow, |rule| rule.channel = Some("discord".into()))], Deny, place, Deny);
        // Where the kind cannot be told, nothing leaves, unless nothing is configured.
        check(&[all], Allow, ("telegram", "crowd", "agent:main:main"), Deny);
        check(&[], Allow, ("telegram", "crowd", "agent:main:main"), Allow);
    }
}
