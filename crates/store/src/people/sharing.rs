//! With whom somebody who is let in would share a conversation.

use std::fmt;
use std::sync::Arc;

use openclaw_scopes::{ChatPerson, SessionKey};
use rusqlite::Connection;

use super::{PersonError, approved};
use crate::error::Fault;

/// Returns the main conversation in which what somebody writes goes on; `None` when it goes on in one of their own.
pub type MainOf = Arc<dyn Fn(&ChatPerson) -> Option<SessionKey> + Send + Sync>;

/// With whom somebody who is let in would share a conversation.
#[derive(Clone)]
pub struct Sharing {
    /// Who may write already by the configuration, and in which main conversation that goes on.
    pub listed: Vec<(String, SessionKey)>,
    /// The same of those who were let in.
    pub main_of: MainOf,
}

impl fmt::Debug for Sharing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Sharing").field("listed", &self.listed).finish_non_exhaustive()
    }
}

impl Sharing {
    /// Refuses somebody whose messages would go on in the main conversation in which another's do.
    pub(super) fn check(
        &self,
        connection: &Connection,
        who: &ChatPerson,
    ) -> Result<(), Fault<PersonError>> {
        let Some(main) = (self.main_of)(who) else { return Ok(()) };
        let approved = approved(connection, None)?.into_iter();
        let approved = approved.map(|other| ((self.main_of)(&other), other.to_string()));
        let listed = self.listed.iter().cloned().map(|(other, main)| (Some(main), other));
        let who = who.to_string();
        let is_another = |(theirs, other): &(Option<SessionKey>, String)| {
            theirs.as_ref() == Some(&main) && *other != who
        };
        match listed.chain(approved).find(is_another) {
            Some((_, other)) => Err(Fault::Domain(PersonError::SharesMain(other))),
            None => Ok(()),
        }
    }
}
