//! API tokens: issued once, kept as keyed hashes, always expiring, never more than their issuer.

use std::time::Duration;

use openclaw_pairing::Hashed;
use openclaw_scopes::method;
use openclaw_scopes::target::{Authority, Whole};
use openclaw_scopes::{
    Authorized, Grant, GrantHolder, IdempotencyKey, ScopeSet, Timestamp, TokenId,
};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::act::{ActError, Applied, Ask, Failure, Query, Transaction};
use crate::error::{Fault, StoreError, damaged};
use crate::grants::{self, End, Ended, scopes, stored};
use crate::handle::Store;
use crate::idempotency::{self, Recorded};

/// How often the last use of a token is written at most.
const USE_NOTED: Duration = Duration::from_secs(60);

/// An API token as it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiToken {
    /// Its id.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// What it carries, if its issuer still holds it.
    pub scopes: ScopeSet,
    /// The holder of the grant that it was issued from.
    pub issuer: GrantHolder,
    /// When it was issued.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// When it was last used, to the minute.
    pub last_used_at: Option<Timestamp>,
    /// When it was withdrawn.
    pub revoked_at: Option<Timestamp>,
}

const SELECT: &str =
    "SELECT id, name, scopes, issuer, created_at, expires_at, last_used_at, revoked_at
    FROM tokens";

impl ApiToken {
    fn from_row(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |column: usize| row.get::<_, String>(column);
        let time = |column: usize| {
            row.get::<_, Option<i64>>(column).map(|at| at.map(Timestamp::from_millis))
        };
        Ok(Self {
            id: text(0)?.parse().map_err(|error| damaged(0, error))?,
            name: text(1)?,
            scopes: scopes(2, &text(2)?)?,
            issuer: text(3)?.parse().map_err(|error| damaged(3, error))?,
            created_at: Timestamp::from_millis(row.get(4)?),
            expires_at: Timestamp::from_millis(row.get(5)?),
            last_used_at: time(6)?,
            revoked_at: time(7)?,
        })
    }

    /// Returns whose grant is its.
    pub fn holder(&self) -> GrantHolder {
        GrantHolder::Token(self.id.clone())
    }
}

/// Finds a token by its id, or by its name: the one that has it now before those that had it.
pub(crate) fn find(connection: &Connection, name: &str) -> rusqlite::Result<Option<ApiToken>> {
    let sql = format!(
        "{SELECT} WHERE id = ?1 OR name = ?1
         ORDER BY id <> ?1, revoked_at IS NOT NULL, created_at DESC LIMIT 1"
    );
    connection.prepare_cached(&sql)?.query_row([name], ApiToken::from_row).optional()
}

/// Why an operation on a token was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// The idempotency key was used for another request.
    #[error("the idempotency key was used for another request")]
    IdempotencyConflict,
    /// The request was made before, and the secret was told then.
    #[error("the token was issued for this request before; its secret is not told again")]
    Issued,
    /// Another token has the name.
    #[error("another token is called `{0}`")]
    NameTaken(String),
    /// There is no such token.
    #[error("no token `{0}`")]
    Unknown(String),
}

impl Failure for TokenError {
    fn reason(&self) -> &'static str {
        match self {
            Self::IdempotencyConflict => "idempotency-conflict",
            Self::Issued => "issued-before",
            Self::NameTaken(_) => "name-taken",
            Self::Unknown(_) => "unknown-token",
        }
    }
}

/// Issues a token.
#[derive(Clone, Debug)]
pub struct CreateToken {
    /// Names the request.
    pub idempotency_key: IdempotencyKey,
    /// SHA-256 of what was asked, so that another request under the same name is told apart.
    pub request_digest: [u8; 32],
    /// Its id.
    pub id: TokenId,
    /// What people call it.
    pub name: String,
    /// The keyed hash of its secret.
    pub hash: Hashed,
    /// What it carries.
    pub scopes: ScopeSet,
    /// When it lapses.
    pub expires_at: Timestamp,
}

impl Ask for CreateToken {
    type Method = method::CreateToken;
    type Output = ApiToken;
    type Error = TokenError;

    fn target(&self, _: &Transaction<'_>) -> Result<Authority, Fault<TokenError>> {
        Ok(Authority::named(format!("token {}", self.name)).granting(self.scopes))
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Self::Method>,
        now: Timestamp,
    ) -> Result<Applied<ApiToken>, Fault<TokenError>> {
        let (caller, _) = authorized.into_parts();
        let issuer = caller.on_behalf_of().clone();
        let request = idempotency::Request {
            holder: &issuer,
            method: "tokens.create",
            key: &self.idempotency_key,
            digest: &self.request_digest,
        };
        match idempotency::find(tx, &request)? {
            Recorded::Another => return Err(Fault::Domain(TokenError::IdempotencyConflict)),
            Recorded::Same(_) => return Err(Fault::Domain(TokenError::Issued)),
            Recorded::None => {}
        }
        if find(tx, &self.name)?.is_some_and(|token| token.revoked_at.is_none()) {
            return Err(Fault::Domain(TokenError::NameTaken(self.name.clone())));
        }
        idempotency::record(tx, &request, self.id.as_str(), now)?;
        let token = ApiToken {
            id: self.id.clone(),
            name: self.name.clone(),
            scopes: self.scopes,
            issuer,
            created_at: now,
            expires_at: self.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        grants::begin(tx, &token.holder())?;
        let sql =
            "INSERT INTO tokens (id, holder, name, hash, scopes, issuer, created_at, expires_at)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        tx.prepare_cached(sql)?.execute(params![
            token.id.as_str(),
            token.holder().to_string(),
            token.name,
            self.hash.0,
            stored(token.scopes),
            token.issuer.to_string(),
            now.as_millis(),
            token.expires_at.as_millis(),
        ])?;
        Ok(Applied::Changed(token))
    }
}

/// Asks for the tokens, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ListTokens;

impl Query for ListTokens {
    type Method = method::ListTokens;
    type Output = Vec<ApiToken>;
    type Error = TokenError;

    fn target(&self, _: &Connection) -> Result<Whole, Fault<TokenError>> {
        Ok(Whole)
    }

    fn read(
        &self,
        connection: &Connection,
        authorized: Authorized<Self::Method>,
    ) -> Result<Vec<ApiToken>, Fault<TokenError>> {
        let (_, Whole) = authorized.into_parts();
        Ok(all(connection)?)
    }
}

/// Returns every token, the newest first.
pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<ApiToken>> {
    let sql = format!("{SELECT} ORDER BY created_at DESC, id");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_map([], ApiToken::from_row)?.collect()
}

/// Withdraws a token.
#[derive(Clone, Debug)]
pub struct RevokeToken(pub String);

impl Ask for RevokeToken {
    type Method = method::RevokeToken;
    type Output = ApiToken;
    type Error = TokenError;

    fn target(&self, tx: &Transaction<'_>) -> Result<Authority, Fault<TokenError>> {
        Ok(match find(tx, &self.0)? {
            Some(token) => Authority::of(token.holder()).holding(token.scopes),
            None => Authority::named(format!("token {}", self.0)),
        })
    }

    fn apply(
        &self,
        tx: &Transaction<'_>,
        authorized: Authorized<Self::Method>,
        now: Timestamp,
    ) -> Result<Applied<ApiToken>, Fault<TokenError>> {
        let (_, _) = authorized.into_parts();
        let unknown = || Fault::Domain(TokenError::Unknown(self.0.clone()));
        let token = find(tx, &self.0)?.ok_or_else(unknown)?;
        if token.revoked_at.is_some() {
            return Ok(Applied::Unchanged(token));
        }
        revoke(tx, &token.holder(), now)?;
        Ok(Applied::Changed(ApiToken { revoked_at: Some(now), ..token }))
    }
}

fn revoke(tx: &Transaction<'_>, holder: &GrantHolder, now: Timestamp) -> rusqlite::Result<()> {
    let sql = "UPDATE tokens SET revoked_at = ?2 WHERE holder = ?1 AND revoked_at IS NULL";
    tx.prepare_cached(sql)?.execute(params![holder.to_string(), now.as_millis()])?;
    grants::end(tx, holder, End::Withdrawn, now)
}

/// Withdraws the tokens of an issuer, or all.
pub(crate) fn withdraw(
    tx: &Transaction<'_>,
    issuer: Option<&GrantHolder>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let holders = issued(tx, issuer)?;
    holders.iter().try_for_each(|holder| revoke(tx, holder, now))
}

/// Voids what was told to whoever showed a token of an issuer that has less now: the token stands for
/// less from now on, and so must a call that is under way.
//= docs/threat-model.md#T32
pub(crate) fn replace(
    tx: &Transaction<'_>,
    issuer: &GrantHolder,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let holders = issued(tx, Some(issuer))?;
    holders.iter().try_for_each(|holder| grants::end(tx, holder, End::Replaced, now))
}

/// Returns whose grants are tokens of an issuer, or of anybody, that were not withdrawn.
fn issued(
    connection: &Connection,
    issuer: Option<&GrantHolder>,
) -> rusqlite::Result<Vec<GrantHolder>> {
    let sql = "SELECT holder FROM tokens WHERE revoked_at IS NULL AND (?1 IS NULL OR issuer = ?1)";
    let issuer = issuer.map(ToString::to_string);
    let parse = |text: String| text.parse().map_err(|error| damaged(0, error));
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map([issuer], |row| row.get(0).and_then(parse))?.collect()
}

/// What a bearer that was shown stands for.
#[derive(Clone, Debug)]
pub struct TokenGrant {
    /// The token.
    pub id: TokenId,
    /// What it carries now.
    pub grant: Grant,
    /// Until when.
    pub expires_at: Timestamp,
    /// Whether its use is to be noted: that was not done lately.
    pub note: Note,
}

/// Whether a use is to be written down.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Note {
    /// It was, a moment ago.
    Done,
    /// It was not.
    Due,
}

impl Store {
    /// Returns what an API token stands for, found by the keyed hash of its secret; `None` when there is
    /// none, or it was withdrawn. Whether it has expired is for the caller to see, who knows the time.
    ///
    /// # Errors
    /// When the storage fails.
    pub fn token(&self, hash: &Hashed, now: Timestamp) -> Result<Option<TokenGrant>, StoreError> {
        self.snapshot(|connection| {
            let sql = format!("{SELECT} WHERE hash = ?1");
            let found = connection
                .prepare_cached(&sql)?
                .query_row([hash.0], ApiToken::from_row)
                .optional()?;
            let Some(token) = found else { return Ok(None) };
            let holder = token.holder();
            let Some((epoch, scopes)) = grants::live(connection, &holder)? else {
                return Ok(None);
            };
            let is_noted = token.last_used_at.is_some_and(|used| now.since(used) < USE_NOTED);
            Ok(Some(TokenGrant {
                id: token.id,
                grant: Grant::recorded(holder, epoch, scopes, scopes),
                expires_at: token.expires_at,
                note: if is_noted { Note::Done } else { Note::Due },
            }))
        })
    }

    /// Ends the grants of tokens whose time is up: returns whose those were, and when the next one's is.
    /// Time passes without anybody's decision, so nothing of it is in the log.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn lapse_tokens(
        &self,
        now: Timestamp,
    ) -> Result<(Vec<Ended>, Option<Timestamp>), ActError<TokenError>> {
        self.step(move |connection| {
            let sql = "UPDATE grants SET epoch = epoch + 1, ended_at = ?1 WHERE ended_at IS NULL
                       AND holder IN (SELECT holder FROM tokens WHERE expires_at <= ?1)
                       RETURNING holder";
            let parse = |text: String| text.parse().map_err(|error| damaged(0, error));
            let holders = connection
                .prepare_cached(sql)?
                .query_map([now.as_millis()], |row| row.get(0).and_then(parse))?
                .collect::<rusqlite::Result<Vec<GrantHolder>>>()?;
            let sql = "SELECT min(t.expires_at) FROM tokens t JOIN grants g ON g.holder = t.holder
                       WHERE g.ended_at IS NULL";
            let next: Option<i64> =
                connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
            let ended = holders.into_iter().map(|holder| Ended { holder, how: End::Withdrawn });
            Ok((ended.collect(), next.map(Timestamp::from_millis)))
        })
        .await
    }

    /// Notes that a token was used. It is no decision, so nothing of it is in the log.
    ///
    /// # Errors
    /// When the storage fails.
    pub async fn token_used(
        &self,
        id: TokenId,
        now: Timestamp,
    ) -> Result<(), ActError<TokenError>> {
        self.step(move |connection| {
            let sql = "UPDATE tokens SET last_used_at = ?2 WHERE id = ?1
                       AND (last_used_at IS NULL OR last_used_at < ?2)";
            connection.prepare_cached(sql)?.execute(params![id.as_str(), now.as_millis()])?;
            Ok(())
        })
        .await
    }
}
