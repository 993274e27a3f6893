//! What a device signs, in one encoding, and the proof that it did.

use std::fmt;
use std::time::Duration;

use openclaw_scopes::{DeviceId, DeviceRole, Scope, ScopeSet, Timestamp};

use crate::{Fingerprint, PublicKey};

/// How far the clocks of device and gateway may be apart (`access.md` §3.1: 2 min both ways).
pub const SKEW: Duration = Duration::from_secs(120);

/// What the first field of every claim says, so that no signature means two things.
const KIND: &[u8] = b"openclaw device claim v1";
/// Bytes of a claim at most.
const MAX: usize = 1024;

/// A gateway's challenge: 32 random bytes, good once, on one connection.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Nonce(pub [u8; 32]);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce")
    }
}

/// Whether a device asks to have more approved than it has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asks {
    /// No: it takes what it is given.
    Nothing,
    /// Yes: what is missing of its wish is to be filed as a request.
    Upgrade,
}

/// What a device says of itself, and to whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claim {
    /// The challenge that it answers.
    pub nonce: Nonce,
    /// The gateway that it means: the key of the certificate it was shown.
    pub gateway: Fingerprint,
    /// Its id.
    pub device: DeviceId,
    /// What it wants to connect as.
    pub role: DeviceRole,
    /// What it would like to be allowed on this connection. A wish, never a grant.
    pub wish: ScopeSet,
    /// Whether it asks to have more approved.
    pub asks: Asks,
    /// Its time.
    pub at: Timestamp,
}

impl Claim {
    /// Returns the bytes to sign: every field is preceded by its length.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(384);
        let mut put = |field: &[u8]| {
            bytes.extend(u32::try_from(field.len()).unwrap_or(u32::MAX).to_be_bytes());
            bytes.extend(field);
        };
        put(KIND);
        put(&self.nonce.0);
        put(&self.gateway.0);
        put(self.device.as_str().as_bytes());
        put(self.role.name().as_bytes());
        put(self.wish.to_string().as_bytes());
        put(match self.asks {
            Asks::Nothing => b"nothing",
            Asks::Upgrade => b"upgrade",
        });
        put(&self.at.as_millis().to_be_bytes());
        bytes
    }

    /// Parses what a device sent. There is one encoding of a claim: what parses, encodes to the same
    /// bytes.
    ///
    /// # Errors
    /// When a field is missing, too many, out of order, or not what belongs there.
    pub fn parse(bytes: &[u8]) -> Result<Self, ClaimError> {
        if bytes.len() > MAX {
            return Err(ClaimError::TooLong);
        }
        let mut fields = Fields(bytes);
        if fields.next()? != KIND {
            return Err(ClaimError::Kind);
        }
        let claim = Self {
            nonce: Nonce(fields.fixed("nonce")?),
            gateway: Fingerprint(fields.fixed("gateway")?),
            device: DeviceId::parse(fields.text("device")?)
                .map_err(|_error| ClaimError::Field("device"))?,
            role: DeviceRole::parse(fields.text("role")?).ok_or(ClaimError::Role)?,
            wish: wish(fields.text("wish")?)?,
            asks: match fields.next()? {
                b"nothing" => Asks::Nothing,
                b"upgrade" => Asks::Upgrade,
                _ => return Err(ClaimError::Field("asks")),
            },
            at: Timestamp::from_millis(i64::from_be_bytes(fields.fixed("time")?)),
        };
        if fields.0.is_empty() { Ok(claim) } else { Err(ClaimError::Trailing) }
    }
}

/// Parses a wish: the names of scopes in their order, each once, at least one.
fn wish(text: &str) -> Result<ScopeSet, ClaimError> {
    if text.is_empty() {
        return Err(ClaimError::EmptyWish);
    }
    let mut scopes = ScopeSet::EMPTY;
    for name in text.split(' ') {
        let scope = Scope::parse(name).map_err(|unknown| ClaimError::UnknownScope(unknown.0))?;
        if scopes.contains(scope) {
            return Err(ClaimError::DuplicateScope(scope));
        }
        scopes = scopes.with(scope);
    }
    if scopes.to_string() == text { Ok(scopes) } else { Err(ClaimError::Field("wish")) }
}

/// The fields of a claim that are still to be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<&'a [u8], ClaimError> {
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or(ClaimError::Truncated)?;
        let length =
            usize::try_from(u32::from_be_bytes(*length)).map_err(|_size| ClaimError::Truncated)?;
        let (field, rest) = rest.split_at_checked(length).ok_or(ClaimError::Truncated)?;
        self.0 = rest;
        Ok(field)
    }

    fn fixed<const N: usize>(&mut self, name: &'static str) -> Result<[u8; N], ClaimError> {
        self.next()?.try_into().map_err(|_length| ClaimError::Field(name))
    }

    fn text(&mut self, name: &'static str) -> Result<&'a str, ClaimError> {
        std::str::from_utf8(self.next()?).map_err(|_not_text| ClaimError::Field(name))
    }
}

/// Why bytes are no claim.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ClaimError {
    /// A scope stands twice in the wish.
    #[error("the wish names `{0}` twice")]
    DuplicateScope(Scope),
    /// The wish names nothing.
    #[error("the wish names no scope")]
    EmptyWish,
    /// A field is not what belongs there.
    #[error("the claim's {0} cannot be read")]
    Field(&'static str),
    /// It begins otherwise.
    #[error("this is no claim of a device")]
    Kind,
    /// There is no such role.
    #[error("a role is `operator` or `node`")]
    Role,
    /// It is longer than a claim can be.
    #[error("a claim has at most {MAX} bytes")]
    TooLong,
    /// Something follows the last field.
    #[error("something follows the claim")]
    Trailing,
    /// It ends before its last field.
    #[error("the claim is cut off")]
    Truncated,
    /// The wish names something that is no scope.
    #[error("unknown scope `{0}`")]
    UnknownScope(String),
}

/// What a claim has to agree with.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The challenge that was given on this connection, if there is one that was not used.
    pub nonce: Option<Nonce>,
    /// The key of the gateway's own certificate.
    pub gateway: Fingerprint,
    /// The gateway's time.
    pub now: Timestamp,
}

/// Proof that a device holds the key of its id, now, on this connection to this gateway.
///
/// ```compile_fail,E0451
/// # use openclaw_pairing::{Claim, Proven, PublicKey};
/// # fn f(claim: Claim, public_key: PublicKey) {
/// let forged = Proven { claim, public_key };
/// # }
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proven {
    claim: Claim,
    public_key: PublicKey,
}

impl Proven {
    /// Returns what was claimed.
    pub const fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Returns the key.
    pub const fn public_key(&self) -> PublicKey {
        self.public_key
    }
}

/// Why a proof does not hold.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProofError {
    /// The claim cannot be read.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// The device's clock is too far from the gateway's.
    #[error("the device's clock is {} s away from the gateway's, at most {} s are allowed", .0.as_secs(), SKEW.as_secs())]
    ClockSkew(Duration),
    /// It was signed for another gateway.
    #[error("the claim was signed for another gateway")]
    Gateway,
    /// The id is not that of the key.
    #[error("the device id does not belong to the public key")]
    Id,
    /// The challenge was never given here, or was used.
    #[error("the challenge is unknown or was used before")]
    Nonce,
    /// The key has another length.
    #[error("a public key has 32 bytes")]
    PublicKey,
    /// The signature is not the key's.
    #[error("the signature does not hold")]
    Signature,
}

/// Checks a device's claim against the connection it came on. `expected.nonce` is spent whatever the
/// answer is: the caller forgets it.
///
/// # Errors
/// When anything about it does not hold.
//= docs/threat-model.md#T28
pub fn verify(
    claim: &[u8],
    signature: &[u8],
    public_key: &[u8],
    expected: &Expected,
) -> Result<Proven, ProofError> {
    let public_key = PublicKey::parse(public_key).map_err(|_length| ProofError::PublicKey)?;
    let parsed = Claim::parse(claim)?;
    if public_key.device_id().as_ref() != Ok(&parsed.device) {
        return Err(ProofError::Id);
    }
    if expected.nonce != Some(parsed.nonce) {
        return Err(ProofError::Nonce);
    }
    if parsed.gateway != expected.gateway {
        return Err(ProofError::Gateway);
    }
    if !public_key.signed(claim, signature) {
        return Err(ProofError::Signature);
    }
    // Last: only a device that proved its key is told how far its clock is off.
    let apart = parsed.at.since(expected.now).max(expected.now.since(parsed.at));
    if apart > SKEW {
        return Err(ProofError::ClockSkew(apart));
    }
    Ok(Proven { claim: parsed, public_key })
}

#[cfg(test)]
mod tests;
