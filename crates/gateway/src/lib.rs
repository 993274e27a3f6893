//! The gateway: who asks, what may happen, and what makes it happen; put together for embedders.
//!
//! **Invariant:** the gateway never connects to itself. Its own work calls the same operations as
//! clients do, in process and as a typed principal; no path leads from it to a socket.
//!
//! **Invariant:** only `identity` asserts who somebody is, and every route asks for it.
//!
//! **Invariant:** no wire type passes `convert`, and only `clock` reads the clock.

mod accept;
mod alarm;
mod certificate;
mod channels;
mod clock;
mod compose;
mod convert;
mod core;
mod cron;
mod digest;
mod door;
mod durable;
mod engine;
mod freshness;
mod gate;
mod hooks;
mod identity;
mod lapse;
mod limiter;
mod network;
pub mod offline;
mod orphans;
mod peer;
mod posture;
mod preauth;
mod presence;
mod purge;
mod registry;
mod respond;
mod retention;
mod roster;
mod route;
mod rpc;
mod running;
mod secrets;
mod session;
mod settings;
mod state_dir;
mod task;
mod upgrade;
mod upkeep;
mod usage;
mod watchers;
mod when;

pub use accept::BindError;
pub use certificate::CertificateError;
pub use clock::advance as advance_clock;
pub use compose::{Builder, StartError};
pub use network::ListenError;
pub use openclaw_pairing::{Fingerprint, State as RequestState};
pub use openclaw_store::{
    AuditHead, Device, DeviceList, FindingKind, PairingView, Revoked, Verification,
};
pub use roster::RosterError;
pub use running::{Drained, Gateway};
pub use settings::{Environment, Presence, Settings, SettingsError};
pub use state_dir::{StateDir, StateDirError};
