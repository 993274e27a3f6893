//! The kinds of events, and which row of the policy each is judged by.

/// What has happened.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum EventKind {
    /// A tool call waits for an approval.
    ApprovalRequested,
    /// It was approved or turned down, or nobody answered in time.
    ApprovalResolved,
    /// Somebody in chats asks to be let in.
    ChatPairingRequested,
    /// It was decided, or nobody did in time.
    ChatPairingResolved,
    /// A job was added.
    CronAdded,
    /// A job was changed.
    CronChanged,
    /// A job is due no more.
    CronDisabled,
    /// What was due has ended, or was missed or left out.
    CronEnded,
    /// A job was removed.
    CronRemoved,
    /// What was due has begun.
    CronStarted,
    /// Something is to leave the gateway.
    DeliveryQueued,
    /// It has left, or will not.
    DeliverySettled,
    /// A request of a device asks for something else now.
    PairingChanged,
    /// A device asks to be paired, or for more than was approved.
    PairingRequested,
    /// It was decided, or nobody did in time.
    PairingResolved,
    /// A device has gone.
    PresenceOffline,
    /// A device has come.
    PresenceOnline,
    /// A run was accepted.
    RunAccepted,
    /// A run has ended.
    RunEnded,
    /// A run has begun.
    RunStarted,
    /// A run that was at work waits for the next start of the gateway.
    RunSuspended,
    /// A conversation was changed.
    SessionChanged,
    /// A conversation was opened.
    SessionCreated,
    /// A conversation was deleted.
    SessionDeleted,
    /// A conversation began anew, or that was taken back.
    SessionReset,
}

/// Kinds that one row of the policy judges.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// `events.approvals`.
    Approvals,
    /// `events.cron`.
    Cron,
    /// `events.delivery`.
    Delivery,
    /// `events.pairing`.
    Pairing,
    /// `events.presence`.
    Presence,
    /// `events.runs`.
    Runs,
    /// `events.sessions`.
    Sessions,
}

/// No kind of event is called so, and none begins so.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("no kind of event is `{0}`; there are {all}", all = EventKind::ALL.map(EventKind::name).join(", "))]
pub struct UnknownKind(pub String);

impl EventKind {
    /// All of them, by their names.
    pub const ALL: [Self; 25] = [
        Self::ApprovalRequested,
        Self::ApprovalResolved,
        Self::ChatPairingRequested,
        Self::ChatPairingResolved,
        Self::CronAdded,
        Self::CronChanged,
        Self::CronDisabled,
        Self::CronEnded,
        Self::CronRemoved,
        Self::CronStarted,
        Self::DeliveryQueued,
        Self::DeliverySettled,
        Self::PairingChanged,
        Self::PairingRequested,
        Self::PairingResolved,
        Self::PresenceOffline,
        Self::PresenceOnline,
        Self::RunAccepted,
        Self::RunEnded,
        Self::RunStarted,
        Self::RunSuspended,
        Self::SessionChanged,
        Self::SessionCreated,
        Self::SessionDeleted,
        Self::SessionReset,
    ];

    /// Returns its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ApprovalRequested => "approval.requested",
            Self::ApprovalResolved => "approval.resolved",
            Self::ChatPairingRequested => "channels.pairing.requested",
            Self::ChatPairingResolved => "channels.pairing.resolved",
            Self::CronAdded => "cron.added",
            Self::CronChanged => "cron.changed",
            Self::CronDisabled => "cron.disabled",
            Self::CronEnded => "cron.ended",
            Self::CronRemoved => "cron.removed",
            Self::CronStarted => "cron.started",
            Self::DeliveryQueued => "delivery.queued",
            Self::DeliverySettled => "delivery.settled",
            Self::PairingChanged => "pairing.changed",
            Self::PairingRequested => "pairing.requested",
            Self::PairingResolved => "pairing.resolved",
            Self::PresenceOffline => "presence.offline",
            Self::PresenceOnline => "presence.online",
            Self::RunAccepted => "run.accepted",
            Self::RunEnded => "run.ended",
            Self::RunStarted => "run.started",
            Self::RunSuspended => "run.suspended",
            Self::SessionChanged => "session.changed",
            Self::SessionCreated => "session.created",
            Self::SessionDeleted => "session.deleted",
            Self::SessionReset => "session.reset",
        }
    }

    /// Returns the row of the policy that judges it.
    pub const fn family(self) -> Family {
        match self {
            Self::ApprovalRequested | Self::ApprovalResolved => Family::Approvals,
            Self::ChatPairingRequested
            | Self::ChatPairingResolved
            | Self::PairingChanged
            | Self::PairingRequested
            | Self::PairingResolved => Family::Pairing,
            Self::CronAdded
            | Self::CronChanged
            | Self::CronDisabled
            | Self::CronEnded
            | Self::CronRemoved
            | Self::CronStarted => Family::Cron,
            Self::DeliveryQueued | Self::DeliverySettled => Family::Delivery,
            Self::PresenceOffline | Self::PresenceOnline => Family::Presence,
            Self::RunAccepted | Self::RunEnded | Self::RunStarted | Self::RunSuspended => {
                Family::Runs
            }
            Self::SessionChanged
            | Self::SessionCreated
            | Self::SessionDeleted
            | Self::SessionReset => Family::Sessions,
        }
    }

    /// Parses the name of a kind.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == text)
    }

    /// Returns the kinds that are called so, or begin with this word or these words: `run`, `run.ended`.
    ///
    /// # Errors
    /// When there is none.
    pub fn matching(text: &str) -> Result<Vec<Self>, UnknownKind> {
        let is_meant = |kind: &Self| {
            let rest = kind.name().strip_prefix(text);
            !text.is_empty() && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let found: Vec<_> = Self::ALL.into_iter().filter(is_meant).collect();
        if found.is_empty() {
            let shown = text.chars().take(64).flat_map(char::escape_debug).collect();
            return Err(UnknownKind(shown));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_in_order() {
        assert!(EventKind::ALL.is_sorted_by_key(|kind| kind.name()));
        assert!(EventKind::ALL.into_iter().all(|kind| EventKind::parse(kind.name()) == Some(kind)));
    }

    #[test]
    #[rustfmt::skip]
    fn kinds_are_named_whole_or_by_their_first_words() {
        for (text, found) in [
            ("run",              4),
            ("run.ended",        1),
            ("cron",             6),
            ("channels",         2),
            ("channels.pairing", 2),
            ("pairing",          3),
            ("",                 0),
            ("r",                0),
            ("run.",             0),
            ("run.end",          0),
            ("Run",              0),
            ("presence.online.", 0),
        ] {
            let kinds = EventKind::matching(text);
            assert_eq!(kinds.as_ref().map_or(0, Vec::len), found, "{text:?} {kinds:?}");
        }
        let error = EventKind::matching("nope\u{1b}").unwrap_err().to_string();
        assert!(error.contains("`nope\\u{1b}`") && error.contains("run.accepted"), "{error}");
    }
}
