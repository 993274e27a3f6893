//! API tokens over the wire.

use std::time::Duration;

use openclaw_pairing::{Bearer, BearerKind};
use openclaw_proto::v1::tokens_server::Tokens;
use openclaw_proto::{from_duration, scope_names, to_timestamp, v1};
use openclaw_scopes::method::{self, Method as _};
use openclaw_scopes::{Timestamp, TokenId};
use openclaw_store::{ApiToken, CreateToken, ListTokens, RevokeToken};
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::respond::{self, Reply};
use crate::{clock, convert, digest, gate, secrets};

/// How long a token may be good at most: every token expires.
const MAX_TIME: Duration = Duration::from_hours(24 * 366);

#[tonic::async_trait]
impl Tokens for Core {
    async fn create(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let now = clock::now();
        let name = TokenId::parse(&message.name).map_err(|_slug| {
            Reply::invalid("a token's name has 1 to 64 of a-z, 0-9, `-` and `_`")
                .next("choose another with --name")
        })?;
        let scopes = convert::some_scopes(&message.scopes)?;
        let ttl = message.ttl.as_ref().and_then(from_duration);
        let ttl = ttl.filter(|ttl| ttl.as_millis() > 0 && *ttl <= MAX_TIME).ok_or_else(|| {
            Reply::invalid("a token is good for 366 days at most, and always expires")
                .next("name a time with --ttl, for example 30d")
        })?;
        let bearer = Bearer::new(BearerKind::Api, secrets::random()?);
        let seconds = ttl.as_secs().to_string();
        let ask = CreateToken {
            idempotency_key: convert::idempotency_key(&message.idempotency_key)?,
            request_digest: digest::of(&[name.as_str(), &scopes.to_string(), &seconds]),
            id: secrets::id("tok_", TokenId::parse)?,
            name: name.to_string(),
            hash: bearer.hash(self.store.hash_key(), b""),
            scopes,
            expires_at: now.saturating_add(ttl),
        };
        let created = self.perform(&caller, ask, now, respond::token).await?;
        // It may be the next one to lapse.
        self.registry.changed();
        let (token, secret) = (Some(token(created, now)), bearer.reveal());
        Ok(Response::new(v1::CreateTokenResponse { token, secret }))
    }

    async fn list(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let (caller, v1::ListTokensRequest {}) = gate::admit(request)?;
        let now = clock::now();
        let listed = self.store.scan(&caller, ListTokens, now).await;
        let listed =
            listed.map_err(|error| respond::act(error, method::ListTokens::ROW, respond::token))?;
        let tokens = listed.into_iter().map(|found| token(found, now)).collect();
        Ok(Response::new(v1::ListTokensResponse { tokens }))
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::Token>, Status> {
        let (caller, message) = gate::admit(request)?;
        let name = message.token.strip_prefix("token:").unwrap_or(&message.token);
        TokenId::parse(name).map_err(|error| Reply::invalid(error.to_string()))?;
        let (ask, now) = (RevokeToken(name.to_owned()), clock::now());
        let revoked = self.perform(&caller, ask, now, respond::token).await?;
        Ok(Response::new(token(revoked, now)))
    }
}

fn token(token: ApiToken, now: Timestamp) -> v1::Token {
    let status = match token.revoked_at {
        Some(_) => v1::token::Status::Revoked,
        None if now >= token.expires_at => v1::token::Status::Expired,
        None => v1::token::Status::Active,
    };
    v1::Token {
        id: token.id.to_string(),
        name: token.name,
        scopes: scope_names(token.scopes),
        issuer: token.issuer.to_string(),
        created_at: Some(to_timestamp(token.created_at)),
        expires_at: Some(to_timestamp(token.expires_at)),
        last_used_at: token.last_used_at.map(to_timestamp),
        status: status.into(),
    }
}
