//! Messages of the wire as JSON: one conversion over their descriptors for all of them.
//!
//! camelCase names in the order of the definition; enum values as the words after their prefix in
//! camelCase; 64-bit integers as numbers; times in RFC 3339; lengths of time as `"1.5s"`. Fields
//! with their default value are there too, absent messages are null, and of a `oneof` only the
//! member that is set.

use openclaw_proto::v1;
use prost::{DecodeError, Message};
use prost_reflect::{
    DescriptorError, DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey,
    ReflectMessage as _, Value,
};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

/// A message whose full name is known.
pub(crate) trait Named: Message {
    /// The full name, as in the definition.
    const NAME: &'static str;
}

macro_rules! named {
    ($($message:ident)*) => {
        $(impl Named for v1::$message {
            const NAME: &'static str = concat!("openclaw.v1.", stringify!($message));
        })*
    };
}

named! {
    AddJobResponse Agent ApplyJobsResponse Approval AuditRecord ChannelLogsResponse ChannelStatus ChannelsStatusResponse CreateTokenResponse CronStatusResponse DeleteAgentResponse DeleteSessionResponse Delivery Device Event
    ExplainResponse
    GetConfigResponse Invitation Job ListAgentsResponse CompactSessionResponse ListApprovalsResponse ListStandingResponse ListAuditResponse ListDeliveriesResponse ListDevicesResponse
    ListInvitationsResponse ListJobsResponse ListModelsResponse ListOccurrencesResponse ListPeopleResponse ListRunsResponse ListSessionsResponse
    ListSubagentsResponse ListTokensResponse Occurrence PairingRequest Person
    PreviewResponse ProbeModelResponse ResetSessionResponse RevokeAllResponse Run RunEvent SecurityAuditResponse Session
    SessionHistoryResponse CleanupResponse ShowAccessResponse SpawnResponse StandingApproval StatusResponse Subagent SystemEvent Token UsageResponse VerifyAuditResponse WakeResponse
}

/// Why a message cannot be shown as JSON: the program and its descriptors do not fit.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RenderError {
    /// The descriptors do not know the message.
    #[error("message `{name}` is not in the definitions")]
    Absent {
        /// Its full name.
        name: &'static str,
    },
    /// The descriptors could not be read.
    #[error("the definitions of messages cannot be read")]
    Definitions(#[source] DescriptorError),
    /// The message could not be read by its definition.
    #[error("message `{name}` does not fit its definition")]
    Mismatch {
        /// Its full name.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
}

/// The definitions, by which messages are converted.
#[derive(Debug)]
pub(crate) struct Definitions(DescriptorPool);

impl Definitions {
    /// Reads the definitions that the program carries.
    pub(crate) fn load() -> Result<Self, RenderError> {
        let pool = DescriptorPool::decode(openclaw_proto::DESCRIPTORS);
        pool.map(Self).map_err(RenderError::Definitions)
    }

    /// Returns a message in a form that serde writes as documented above.
    pub(crate) fn describe<M: Named>(&self, message: &M) -> Result<Described, RenderError> {
        let name = M::NAME;
        let descriptor = self.0.get_message_by_name(name).ok_or(RenderError::Absent { name })?;
        let bytes = message.encode_to_vec();
        DynamicMessage::decode(descriptor, bytes.as_slice())
            .map(Described)
            .map_err(|source| RenderError::Mismatch { name, source })
    }
}

/// A message with its description.
#[derive(Debug)]
pub(crate) struct Described(DynamicMessage);

impl Serialize for Described {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Shown::Message(&self.0).serialize(serializer)
    }
}

/// A part of a message.
enum Shown<'a> {
    Field(&'a FieldDescriptor, &'a Value),
    Message(&'a DynamicMessage),
    Null,
    One(&'a Kind, &'a Value),
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Field(field, value) => field_value(field, value, serializer),
            Self::Message(message) => whole(message, serializer),
            Self::Null => serializer.serialize_none(),
            Self::One(kind, value) => single(kind, value, serializer),
        }
    }
}

fn whole<S: Serializer>(message: &DynamicMessage, serializer: S) -> Result<S::Ok, S::Error> {
    match message.descriptor().full_name() {
        "google.protobuf.Timestamp" => return moment(message, serializer),
        "google.protobuf.Duration" => return length(message, serializer),
        _ => {}
    }
    let descriptor = message.descriptor();
    // In the order of their numbers, which is the order of the definition.
    let mut map = serializer.serialize_map(None)?;
    for field in descriptor.fields() {
        let in_choice = field.containing_oneof().is_some_and(|oneof| !oneof.is_synthetic());
        let is_set = message.has_field(&field);
        if in_choice && !is_set {
            continue;
        }
        if field.supports_presence() && !is_set {
            map.serialize_entry(field.json_name(), &Shown::Null)?;
            continue;
        }
        let value = message.get_field(&field);
        map.serialize_entry(field.json_name(), &Shown::Field(&field, &value))?;
    }
    map.end()
}

fn field_value<S: Serializer>(
    field: &FieldDescriptor,
    value: &Value,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Value::List(items) => {
            let mut list = serializer.serialize_seq(Some(items.len()))?;
            for item in items {
                list.serialize_element(&Shown::One(&field.kind(), item))?;
            }
            list.end()
        }
        Value::Map(entries) => {
            let kind = match field.kind() {
                Kind::Message(entry) => entry.map_entry_value_field().kind(),
                other => other,
            };
            let mut sorted: Vec<_> = entries.iter().map(|(key, v)| (key_text(key), v)).collect();
            sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            let mut map = serializer.serialize_map(Some(sorted.len()))?;
            for (key, value) in sorted {
                map.serialize_entry(&key, &Shown::One(&kind, value))?;
            }
            map.end()
        }
        single_value => single(&field.kind(), single_value, serializer),
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

fn single<S: Serializer>(kind: &Kind, value: &Value, serializer: S) -> Result<S::Ok, S::Error> {
    match value {
        Value::Bool(value) => serializer.serialize_bool(*value),
        Value::I32(value) => serializer.serialize_i32(*value),
        Value::I64(value) => serializer.serialize_i64(*value),
        Value::U32(value) => serializer.serialize_u32(*value),
        Value::U64(value) => serializer.serialize_u64(*value),
        Value::F32(value) => serializer.serialize_f32(*value),
        Value::F64(value) => serializer.serialize_f64(*value),
        Value::String(value) => serializer.serialize_str(value),
        Value::Bytes(value) => serializer.collect_str(&Hex(value)),
        Value::EnumNumber(number) => match kind.as_enum().and_then(|kind| word_of(kind, *number)) {
            Some(word) => serializer.serialize_str(&word),
            None => serializer.serialize_i32(*number),
        },
        Value::Message(message) => whole(message, serializer),
        // Neither stands inside a list or a map.
        Value::List(_) | Value::Map(_) => serializer.serialize_none(),
    }
}

struct Hex<'a>(&'a [u8]);

impl std::fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn word_of(descriptor: &EnumDescriptor, number: i32) -> Option<String> {
    let value = descriptor.get_value(number)?;
    let mut prefix = String::new();
    for c in descriptor.name().chars() {
        if c.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(c.to_ascii_uppercase());
    }
    prefix.push('_');
    Some(word(value.name(), &prefix))
}

/// Returns the word for an enum's value: `KIND_TOOL_RESULT` without `KIND_` is `toolResult`.
pub(crate) fn word(name: &str, prefix: &str) -> String {
    let mut word = String::new();
    for part in name.strip_prefix(prefix).unwrap_or(name).split('_') {
        let mut rest = part.chars();
        match rest.next() {
            Some(first) if !word.is_empty() => word.push(first.to_ascii_uppercase()),
            Some(first) => word.push(first.to_ascii_lowercase()),
            None => {}
        }
        word.extend(rest.map(|c| c.to_ascii_lowercase()));
    }
    word
}

fn number(message: &DynamicMessage, name: &str) -> i64 {
    let value = message.get_field_by_name(name);
    value.and_then(|v| v.as_i64().or_else(|| v.as_i32().map(i64::from))).unwrap_or(0)
}

fn moment<S: Serializer>(message: &DynamicMessage, serializer: S) -> Result<S::Ok, S::Error> {
    let nanos = i32::try_from(number(message, "nanos")).unwrap_or(0);
    match jiff::Timestamp::new(number(message, "seconds"), nanos) {
        Ok(at) => serializer.collect_str(&at),
        Err(_) => serializer.serialize_none(),
    }
}

fn length<S: Serializer>(message: &DynamicMessage, serializer: S) -> Result<S::Ok, S::Error> {
    let (seconds, nanos) = (number(message, "seconds"), number(message, "nanos"));
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let fraction = format!("{:09}", nanos.unsigned_abs());
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    serializer.collect_str(&format_args!("{sign}{}{point}{fraction}s", seconds.unsigned_abs()))
}

#[cfg(test)]
mod tests;
