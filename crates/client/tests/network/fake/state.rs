//! What happened to the gateway of a test, and what shall happen.

use std::collections::BTreeSet;
use std::time::Duration;

use openclaw_pairing::Nonce;
use openclaw_scopes::ScopeSet;

/// What happened, and what shall happen.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Connections whose handshake was completed.
    pub(crate) connections: u32,
    /// Calls that asked for a nonce.
    pub(crate) challenges: u32,
    /// Calls that were let through.
    pub(crate) calls: u32,
    /// The invitations that came with each proof.
    pub(crate) invitations: Vec<Vec<u8>>,
    /// What each call wished for its missing scopes.
    pub(crate) asked_for_access: Vec<bool>,
    /// The access tokens that are good.
    pub(crate) tokens: BTreeSet<String>,
    /// Why the next proofs are refused, if they are.
    pub(crate) refusal: Option<&'static str>,
    /// How long tokens are good.
    pub(crate) life: Duration,
    /// What was approved.
    pub(crate) approved: ScopeSet,
    pub(super) nonce: Option<Nonce>,
    pub(super) issued: u32,
}
