//! Reads `[session.sendPolicy]`.

use crate::read::{Faults, Field, Section};
use crate::{PeerKind, Problem, SendAction, SendRule, SendSettings};

use super::{Colons, channel, is_id, required};

const ACTION: &str = "\"deny\"";
const PREFIX: &str = "how a key begins: 1 to 128 characters on one line, without spaces around";

pub(super) fn settings(section: &Section<'_>, faults: &mut Faults<'_>) -> SendSettings {
    let default = section.field("default").and_then(|field| action(&field, faults));
    let read = |field: &Field<'_>, faults: &mut Faults<'_>| {
        field.section(faults).and_then(|section| rule(&section, faults))
    };
    let rules = section.field("rules").and_then(|field| field.list(faults, read));
    SendSettings { default: default.unwrap_or_default(), rules: rules.unwrap_or_default() }
}

fn action(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<SendAction> {
    field.choice(&SendAction::ALL, SendAction::name, faults)
}

/// Reads one rule, and all of it even when a part is at fault.
fn rule(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<SendRule> {
    let decided =
        required(section, "action", ACTION, faults).and_then(|field| action(&field, faults));
    let matches = section.section("match", faults);
    let of = matches.field("channel").and_then(|field| channel(&field, faults));
    let chat_type = matches.field("chatType").and_then(|field| chat_type(&field, faults));
    let mut prefix = |name| matches.field(name).and_then(|field| prefix(&field, faults));
    let (key_prefix, raw_key_prefix) = (prefix("keyPrefix"), prefix("rawKeyPrefix"));
    Some(SendRule { action: decided?, channel: of, chat_type, key_prefix, raw_key_prefix })
}

/// Kinds of conversations as they may be written.
const KINDS: [(&str, PeerKind); 4] = [
    ("direct", PeerKind::Direct),
    ("dm", PeerKind::Direct),
    ("group", PeerKind::Group),
    ("channel", PeerKind::Channel),
];

fn chat_type(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<PeerKind> {
    field.choice(&KINDS, |(word, _)| word, faults).map(|(_, kind)| kind)
}

fn prefix(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| {
        let (key, expected) = (field.path.clone(), PREFIX);
        is_id(text, Colons::Allow).then(|| text.to_owned()).ok_or(Problem::Text { key, expected })
    })
}
