//! Trusting a device: its key and what it claims, requests and their approval, invitations, bearers.
//!
//! **Invariant:** this crate performs no I/O, reads no clock and draws no randomness: time and random
//! bytes are arguments.
//!
//! **Invariant:** only [`verify`] makes a [`Proven`], and what a device asks for is a wish: nothing here
//! turns a wish into a grant but [`Pending::approve`], which spends a witness.

mod baseline;
mod bearer;
mod claim;
mod fingerprint;
mod invitation;
mod key;
mod name;
mod request;

pub use baseline::{Baseline, PROPOSED, RotateError};
pub use bearer::{Bearer, BearerKind, HashKey, Hashed, ParseBearerError};
pub use claim::{Asks, Claim, ClaimError, Expected, Nonce, ProofError, Proven, SKEW, verify};
pub use fingerprint::{Fingerprint, ParseFingerprintError, Pin};
pub use invitation::{
    Address, InvitationCode, InvitationSecret, Link, ParseAddressError, ParseCodeError,
    ParseLinkError,
};
pub use key::{DeviceKey, ParseKeyError, PublicKey};
pub use name::clean_name;
pub use request::{
    ApproveError, Approved, Asked, Kind, ParseRequestError, Pending, Rejected, RequestRef, State,
    Wish,
};
