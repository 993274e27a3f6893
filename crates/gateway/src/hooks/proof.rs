//! Credentials of hooks: tokens that are sent, and signatures over what is posted.

use std::time::Duration;

use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use hyper::header::{AUTHORIZATION, HeaderMap};
use openclaw_channels::signing_key;
use openclaw_config::{Secret, SignatureScheme};
use openclaw_scopes::Timestamp;
use ring::{digest, hmac};

use crate::secrets;

/// How far the time of a signature may be off (Standard Webhooks: five minutes).
const TOLERANCE: Duration = Duration::from_secs(300);
/// Bytes of a name for a post at most.
const MAX_ID: usize = 256;

/// A credential was not shown, or is wrong: nobody is told which.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wrong;

/// What a post is called, so that the same one again is the same one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum PostId {
    /// Nothing: each is a new one.
    Unnamed,
    /// This.
    Named(String),
}

/// Checks the token of a request.
//= docs/threat-model.md#T30
pub(super) fn token(headers: &HeaderMap, expected: &Secret) -> Result<(), Wrong> {
    let bearer = one(headers, AUTHORIZATION.as_str())?;
    let bearer = bearer.and_then(|text| text.strip_prefix("Bearer "));
    let own = one(headers, "x-openclaw-token")?;
    let ((Some(shown), None) | (None, Some(shown))) = (bearer, own) else { return Err(Wrong) };
    // Compared under a key that nobody knows, so that how long it takes tells nothing.
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secrets::random::<32>().map_err(|_told| Wrong)?);
    let tag = hmac::sign(&key, shown.as_bytes());
    hmac::verify(&key, expected.expose().as_bytes(), tag.as_ref()).map_err(|_unequal| Wrong)
}

/// Returns how the sender of a request with a token calls it.
pub(super) fn chosen_id(headers: &HeaderMap) -> Result<PostId, Wrong> {
    let id = match one(headers, "idempotency-key")? {
        None => one(headers, "webhook-id")?,
        id @ Some(_) => id,
    };
    match id {
        None => Ok(PostId::Unnamed),
        Some(id) if is_id(id) => Ok(PostId::Named(id.to_owned())),
        Some(_) => Err(Wrong),
    }
}

/// Checks the signature over a body; returns what the post is called, which is signed as well.
pub(super) fn signature(
    scheme: SignatureScheme,
    headers: &HeaderMap,
    body: &[u8],
    secret: &Secret,
    now: Timestamp,
) -> Result<PostId, Wrong> {
    match scheme {
        SignatureScheme::Github => github(headers, body, secret),
        SignatureScheme::StandardWebhooks => standard(headers, body, secret, now),
    }
}

/// The id of a delivery is not signed, so a post is called after all that is: its body.
//= docs/threat-model.md#T18
fn github(headers: &HeaderMap, body: &[u8], secret: &Secret) -> Result<PostId, Wrong> {
    let shown = one(headers, "x-hub-signature-256")?.ok_or(Wrong)?;
    let tag = shown.strip_prefix("sha256=").ok_or(Wrong)?;
    let tag = HEXLOWER_PERMISSIVE.decode(tag.as_bytes()).map_err(|_bad| Wrong)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
    hmac::verify(&key, body, &tag).map_err(|_wrong| Wrong)?;
    let digest = digest::digest(&digest::SHA256, body);
    Ok(PostId::Named(data_encoding::HEXLOWER.encode(digest.as_ref())))
}

//= docs/threat-model.md#T18
fn standard(
    headers: &HeaderMap,
    body: &[u8],
    secret: &Secret,
    now: Timestamp,
) -> Result<PostId, Wrong> {
    let id = one(headers, "webhook-id")?.filter(|id| is_id(id)).ok_or(Wrong)?;
    let time = one(headers, "webhook-timestamp")?.ok_or(Wrong)?;
    let shown = one(headers, "webhook-signature")?.ok_or(Wrong)?;
    let seconds: i64 = time.parse().map_err(|_bad| Wrong)?;
    let at = Timestamp::from_millis(seconds.checked_mul(1000).ok_or(Wrong)?);
    if now.since(at) > TOLERANCE || at.since(now) > TOLERANCE {
        return Err(Wrong);
    }
    let bytes = signing_key(secret.expose()).ok_or(Wrong)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
    let signed = [id.as_bytes(), b".", time.as_bytes(), b".", body].concat();
    // While a key is exchanged for another one, a post has a signature by each.
    let is_right = |shown: &str| {
        let tag = shown.strip_prefix("v1,").and_then(|tag| BASE64.decode(tag.as_bytes()).ok());
        tag.is_some_and(|tag| hmac::verify(&key, &signed, &tag).is_ok())
    };
    if shown.split(' ').any(is_right) { Ok(PostId::Named(id.to_owned())) } else { Err(Wrong) }
}

fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Returns the value of a header. Two of them are none: which one counts must not be a matter of order.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, Wrong> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_bad| Wrong),
        (Some(_), Some(_)) => Err(Wrong),
    }
}

#[cfg(test)]
mod tests;
