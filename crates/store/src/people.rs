//! People in chats: who asked to be let in, who was, and by whom.

mod sharing;

use std::time::Duration;

use openclaw_scopes::method::{
    ApprovePerson as ApproveMethod, FilePerson as FileMethod, ListPeople as ListMethod,
    RemovePerson as RemoveMethod,
};
use openclaw_scopes::target::{Authority, PersonTarget, Whole};
use openclaw_scopes::{Authorized, ChatPerson, GrantHolder, Scope, ScopeSet, Standing, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::act::{ActError, Applied, Ask, Failure, Query, Transaction};
use crate::error::{Fault, StoreError, damaged};
use crate::grants::{self, End};
use crate::handle::Store;

pub use sharing::{MainOf, Sharing};

/// What turns of people in chats rest on: they ask, and reach nothing else.
pub(crate) const MEANS: ScopeSet = ScopeSet::of(&[Scope::Write]);
/// How long a code is valid, and how many requests may wait on one channel (`runtime.md` §7.3 of the reference).
const VALID: Duration = Duration::from_secs(60 * 60);
const MAX_WAITING: u32 = 3;

/// Somebody who was let in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Person {
    /// Who.
    pub who: ChatPerson,
    /// What they call themselves.
    pub name: String,
    /// The holder of the grant that theirs rests on.
    pub approved_by: GrantHolder,
    /// When.
    pub approved_at: Timestamp,
}

/// Somebody who asked.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PersonRequest {
    /// Who.
    pub who: ChatPerson,
    /// What they call themselves.
    pub name: String,
    /// The code that they were given.
    pub code: String,
    /// When they asked.
    pub requested_at: Timestamp,
    /// When the code lapses.
    pub expires_at: Timestamp,
}

/// Why an operation on people in chats was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PersonError {
    /// Another person would share the agent's main conversation with them.
    #[error(
        "{0} may write already, and under session.dmScope `main` all direct messages are one conversation"
    )]
    SharesMain(String),
    /// There is no such request or person.
    #[error("nobody on {channel} has the code or id `{named}`")]
    Unknown {
        /// The channel.
        channel: String,
        /// What was named, shortened.
        named: String,
    },
}

impl Failure for PersonError {
    fn reason(&self) -> &'static str {
        match self {
            Self::SharesMain(_) => "shares-main",
            Self::Unknown { .. } => "unknown-person",
        }
    }
}

fn read_who(row: &Row<'_>) -> rusqlite::Result<ChatPerson> {
    let text = |column: usize| row.get::<_, String>(column);
    ChatPerson::new(&text(0)?, &text(1)?, &text(2)?).map_err(|error| damaged(2, error))
}

fn read_person(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        who: read_who(row)?,
        name: row.get(3)?,
        approved_by: row.get::<_, String>(4)?.parse().map_err(|error| damaged(4, error))?,
        approved_at: Timestamp::from_millis(row.get(5)?),
    })
}

fn approved(connection: &Connection, channel: Option<&str>) -> rusqlite::Result<Vec<ChatPerson>> {
    let sql = format!("{PERSON} WHERE (?1 IS NULL OR channel = ?1) AND via = 'approval'");
    let mut statement = connection.prepare_cached(&sql)?;
    let people = statement.query_map([channel], read_person)?;
    people.map(|person| Ok(person?.who)).collect()
}

/// Ends requests that nobody decided in time.
pub(crate) fn expire(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "DELETE FROM chat_requests WHERE expires_at <= ?1";
    connection.prepare_cached(sql)?.execute([now.as_millis()]).map(|_| ())
}

fn read_request(row: &Row<'_>) -> rusqlite::Result<PersonRequest> {
    Ok(PersonRequest {
        who: read_who(row)?,
        name: row.get(3)?,
        code: row.get(4)?,
        requested_at: Timestamp::from_millis(row.get(5)?),
        expires_at: Timestamp::from_millis(row.get(6)?),
    })
}

/// Returns the holder of the grant on which that of a person rests; `None` for one who was not let in.
pub(crate) fn approved_by(
    connection: &Connection,
    who: &ChatPerson,
) -> rusqlite::Result<Option<GrantHolder>> {
    let sql = "SELECT approved_by FROM chat_people
               WHERE channel = ?1 AND account = ?2 AND sender = ?3";
    let by: Option<String> = connection
        .prepare_cached(sql)?
        .query_row(params![who.channel(), who.account(), who.id().as_str()], |row| row.get(0))
        .optional()?;
    by.map(|by| by.parse().map_err(|error| damaged(0, error))).transpose()
}

fn let_in(
    connection: &Connection,
    who: &ChatPerson,
    name: &str,
    by: (&GrantHolder, &str),
    now: Timestamp,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO chat_people VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
               ON CONFLICT (channel, account, sender) DO UPDATE SET name = excluded.name,
                   approved_by = excluded.approved_by, via = excluded.via,
                   approved_at = excluded.approved_at
                   WHERE via = 'configuration' AND excluded.via = 'approval'";
    connection.prepare_cached(sql)?.execute(params![
        who.channel(),
        who.account(),
        who.id().as_str(),
        name,
        by.0.to_string(),
        by.1,
        now.as_millis(),
    ])?;
    grants::begin(connection, &GrantHolder::Sender(who.clone()))
}

/// Files what somebody asks for who is not let in, so that somebody can approve it.
#[derive(Clone, Debug)]
pub struct FilePerson {
    /// Who asks.
    pub who: ChatPerson,
    /// What they call themselves.
    pub name: String,
    /// The code that a new request is given.
    pub code: String,
}

/// What came of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FiledPerson {
    /// They asked before, and were or are to be told the code of then.
    Again(PersonRequest),
    /// Too many wait: they may ask later.
    Full,
    /// They are to be told this code.
    New(PersonRequest),
}

impl Ask for FilePerson {
    type Method = FileMethod;
    type Output = FiledPerson;
    type Error = PersonError;

    fn target(&self, _: &Transaction<'_>) -> Result<Authority, Fault<PersonError>> {
        Ok(Authority::named(format!("sender {}", self.who)).granting(MEANS))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<FileMethod>,
        now: Timestamp,
    ) -> Result<Applied<FiledPerson>, Fault<PersonError>> {
        drop(authorized.into_parts());
        expire(tx, now)?;
        let (channel, account) = (self.who.channel(), self.who.account());
        let sql = format!("{REQUEST} WHERE channel = ?1 AND account = ?2 AND sender = ?3");
        let values = params![channel, account, self.who.id().as_str()];
        let waits = tx.prepare_cached(&sql)?.query_row(values, read_request).optional()?;
        if let Some(request) = waits {
            return Ok(Applied::Unchanged(FiledPerson::Again(request)));
        }
        let sql = "SELECT count(*) FROM chat_requests WHERE channel = ?1 AND account = ?2";
        let count: u32 = tx.prepare_cached(sql)?.query_row([channel, account], |row| row.get(0))?;
        if count >= MAX_WAITING {
            return Ok(Applied::Unchanged(FiledPerson::Full));
        }
        let request = PersonRequest {
            who: self.who.clone(),
            name: self.name.clone(),
            code: self.code.clone(),
            requested_at: now,
            expires_at: now.saturating_add(VALID),
        };
        let sql = "INSERT INTO chat_requests (channel, account, sender, name, code, requested_at,
                       expires_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        tx.prepare_cached(sql)?.execute(params![
            channel,
            account,
            request.who.id().as_str(),
            request.name,
            request.code,
            request.requested_at.as_millis(),
            request.expires_at.as_millis(),
        ])?;
        Ok(Applied::Changed(FiledPerson::New(request)))
    }
}

/// Lets somebody in who asked: their turns rest on a grant of their own, which is never more than that of whoever
/// lets them in.
#[derive(Clone, Debug)]
pub struct ApprovePerson {
    /// The channel.
    pub channel: String,
    /// Their code; as an owner also the id of somebody who was let in before.
    pub code: String,
    /// With whom they would share a main conversation, if that matters; `None` when they may.
    pub sharing: Option<Sharing>,
    /// As what: who is an owner, the configuration says, and whoever asks this writes it there.
    pub standing: Standing,
}

impl Ask for ApprovePerson {
    type Method = ApproveMethod;
    type Output = Person;
    type Error = PersonError;

    fn target(&self, tx: &Transaction<'_>) -> Result<PersonTarget, Fault<PersonError>> {
        let found = request(tx, &self.channel, &self.code)?.map(|found| found.who);
        let found = match found {
            Some(who) => Some(who),
            None => self.let_in_before(tx)?.map(|person| person.who),
        };
        let name = found.map_or_else(|| self.channel.clone(), |who| who.to_string());
        let authority = Authority::named(format!("sender {name}")).granting(MEANS);
        Ok(PersonTarget { authority, standing: self.standing })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<ApproveMethod>,
        now: Timestamp,
    ) -> Result<Applied<Person>, Fault<PersonError>> {
        let (caller, _) = authorized.into_parts();
        let found = request(tx, &self.channel, &self.code)?.filter(|it| it.expires_at > now);
        if found.is_none()
            && let Some(person) = self.let_in_before(tx)?
        {
            return Ok(Applied::Unchanged(person));
        }
        let found = found.ok_or_else(|| unknown(&self.channel, &self.code))?;
        if let Some(sharing) = &self.sharing {
            sharing.check(tx, &found.who)?;
        }
        let by = caller.on_behalf_of();
        let_in(tx, &found.who, &found.name, (by, "approval"), now)?;
        settle_request(tx, &found.who, "approved", now)?;
        let person =
            Person { who: found.who, name: found.name, approved_by: by.clone(), approved_at: now };
        Ok(Applied::Changed(person))
    }
}

impl ApprovePerson {
    /// Returns who is to become an owner and was let in before.
    fn let_in_before(&self, tx: &Transaction<'_>) -> rusqlite::Result<Option<Person>> {
        match self.standing {
            Standing::Guest => Ok(None),
            Standing::Owner => person(tx, &self.channel, &self.code),
        }
    }
}

/// Takes an approval back, or turns a request down.
#[derive(Clone, Debug)]
pub struct RemovePerson {
    /// The channel.
    pub channel: String,
    /// Who: by the platform's id, or by the code of a request.
    pub named: String,
}

/// Who was removed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RemovedPerson {
    /// Somebody who was let in.
    Approved(Person),
    /// Somebody who asked.
    Asked(PersonRequest),
}

impl Ask for RemovePerson {
    type Method = RemoveMethod;
    type Output = RemovedPerson;
    type Error = PersonError;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<PersonError>> {
        let held = person(tx, &self.channel, &self.named)?.map_or(ScopeSet::EMPTY, |_| MEANS);
        let named: String = self.named.chars().take(64).collect();
        Ok(Authority::named(format!("sender {}:{named}", self.channel)).holding(held))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<RemoveMethod>,
        now: Timestamp,
    ) -> Result<Applied<RemovedPerson>, Fault<PersonError>> {
        drop(authorized.into_parts());
        if let Some(person) = person(tx, &self.channel, &self.named)? {
            let sql = "DELETE FROM chat_people WHERE channel = ?1 AND account = ?2 AND sender = ?3";
            let who = &person.who;
            tx.prepare_cached(sql)?.execute(params![
                who.channel(),
                who.account(),
                who.id().as_str()
            ])?;
            grants::end(tx, &GrantHolder::Sender(who.clone()), End::Withdrawn, now)?;
            return Ok(Applied::Changed(RemovedPerson::Approved(person)));
        }
        let found = match request(tx, &self.channel, &self.named)? {
            Some(found) => Some(found),
            None => {
                let sql = format!("{REQUEST} WHERE channel = ?1 AND sender = ?2");
                let values = params![self.channel, self.named];
                tx.prepare_cached(&sql)?.query_row(values, read_request).optional()?
            }
        };
        let found = found.ok_or_else(|| unknown(&self.channel, &self.named))?;
        settle_request(tx, &found.who, "rejected", now)?;
        Ok(Applied::Changed(RemovedPerson::Asked(found)))
    }
}

const REQUEST: &str =
    "SELECT channel, account, sender, name, code, requested_at, expires_at FROM chat_requests";
const PERSON: &str =
    "SELECT channel, account, sender, name, approved_by, approved_at FROM chat_people";

fn unknown(channel: &str, named: &str) -> Fault<PersonError> {
    let named: String = named.chars().take(64).flat_map(char::escape_debug).collect();
    Fault::Domain(PersonError::Unknown { channel: channel.chars().take(64).collect(), named })
}

fn request(
    connection: &Connection,
    channel: &str,
    code: &str,
) -> rusqlite::Result<Option<PersonRequest>> {
    let sql = format!("{REQUEST} WHERE channel = ?1 AND code = upper(?2)");
    connection.prepare_cached(&sql)?.query_row(params![channel, code], read_request).optional()
}

fn person(connection: &Connection, channel: &str, id: &str) -> rusqlite::Result<Option<Person>> {
    let sql = format!("{PERSON} WHERE channel = ?1 AND sender = ?2 AND via = 'approval'");
    connection.prepare_cached(&sql)?.query_row(params![channel, id], read_person).optional()
}

/// Forgets a request that was decided.
fn settle_request(
    connection: &Connection,
    who: &ChatPerson,
    decision: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let (channel, account, sender) = (who.channel(), who.account(), who.id().as_str());
    let sql = "UPDATE chat_requests SET decision = ?4, decided_at = ?5
               WHERE channel = ?1 AND account = ?2 AND sender = ?3";
    let values = params![channel, account, sender, decision, now.as_millis()];
    connection.prepare_cached(sql)?.execute(values)?;
    let sql = "DELETE FROM chat_requests WHERE channel = ?1 AND account = ?2 AND sender = ?3";
    connection.prepare_cached(sql)?.execute(params![channel, account, sender]).map(|_| ())
}

/// Asks who wants to write, and who was approved.
#[derive(Clone, Debug, Default)]
pub struct ListPeople {
    /// Only those of this channel; empty for all.
    pub channel: String,
    /// Now: what has lapsed is not shown.
    pub now: Timestamp,
}

/// Who does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct People {
    /// Those who asked.
    pub requests: Vec<PersonRequest>,
    /// Those who were approved.
    pub approved: Vec<Person>,
}

impl Query for ListPeople {
    type Method = ListMethod;
    type Output = People;
    type Error = std::convert::Infallible;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<Self::Error>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<ListMethod>,
    ) -> Result<People, Fault<Self::Error>> {
        let (_, Whole) = authorized.into_parts();
        let sql = format!(
            "{REQUEST} WHERE (?1 = '' OR channel = ?1) AND expires_at > ?2 ORDER BY requested_at"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let values = params![self.channel, self.now.as_millis()];
        let requests =
            statement.query_map(values, read_request)?.collect::<rusqlite::Result<_>>()?;
        let sql = format!(
            "{PERSON} WHERE (?1 = '' OR channel = ?1) AND via = 'approval' ORDER BY approved_at"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let approved =
            statement.query_map([&self.channel], read_person)?.collect::<rusqlite::Result<_>>()?;
        Ok(People { requests, approved })
    }
}

impl Store {
    /// Returns the ids of those who were approved on a channel, or on all of them if none is named.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn approved_people(&self, channel: Option<&str>) -> Result<Vec<ChatPerson>, StoreError> {
        self.snapshot(|connection| Ok(approved(connection, channel)?))
    }

    /// Gives somebody a grant whom the configuration lets in: it rests on the owner's.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn admit_listed(
        &self,
        who: ChatPerson,
        name: String,
        now: Timestamp,
    ) -> Result<(), ActError<PersonError>> {
        let known = self.snapshot(|connection| Ok(approved_by(connection, &who)?.is_some()))?;
        if known {
            return Ok(());
        }
        self.step(move |connection| {
            let_in(connection, &who, &name, (&GrantHolder::Owner, "configuration"), now)?;
            Ok(())
        })
        .await
    }
}
