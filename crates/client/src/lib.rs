//! The typed gRPC client of the gateway, for the command line and for other programs.
//!
//! ```no_run
//! use openclaw_client::{Client, Identity, Options, Target};
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let target: Target = "unix:/home/me/.openclaw/gateway.sock".parse()?;
//! let client = Client::connect(&target, Identity::Local, &Options::default()).await?;
//! let status = client.gateway().status(openclaw_client::v1::StatusRequest {}).await?.into_inner();
//! assert!(!status.version.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! Over the network a device proves its key, and a connection is made only to the gateway whose
//! certificate has the key that is trusted:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use openclaw_client::{Client, Identity, Options, Trust, device_key};
//!
//! # async fn ask(state: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
//! let fingerprint = "9f2c…".parse()?; // as `openclaw gateway fingerprint` shows it
//! let options = Options { trust: Some(Trust::Fingerprint(fingerprint)), ..Options::default() };
//! let key = device_key(&state.join("device.key"))?;
//! let identity = Identity::Device(Arc::new(key));
//! let client = Client::connect(&"https://home:18789".parse()?, identity, &options).await?;
//! # Ok(())
//! # }
//! ```
//!
//! `examples/pair.rs` pairs with an invitation, runs a turn and asks for a scope that is missing.
//!
//! **Invariant:** this crate keeps no global state, starts no thread and decides no permission: over
//! the socket a caller is whoever runs it, and what a device wishes the gateway narrows.
//!
//! **Invariant:** nothing is sent to a server whose user is neither the caller nor root, and over the
//! network nothing to one whose key is not the one that is trusted.

mod admission;
mod call;
mod connect;
mod device_key;
mod error;
mod identity;
mod key;
mod remote;
mod socket;
mod target;
mod transport;
mod trust;
mod wire;

pub use admission::Admission;
pub use call::{CallError, Origin};
pub use connect::Client;
pub use device_key::{DeviceKeyError, device_key};
pub use error::ConnectError;
pub use identity::{ApiToken, Identity, Options};
pub use key::{KeyError, fresh_key};
pub use openclaw_pairing::{
    Address, Asks, DeviceKey, Fingerprint, InvitationCode, InvitationSecret, Link, PROPOSED, Pin,
    PublicKey, RequestRef,
};
pub use openclaw_proto::v1;
pub use target::{ParseTargetError, Target};
pub use tonic::Code;
pub use tonic_health::pb as health;
pub use transport::{Answer, Transport};
pub use trust::Trust;
