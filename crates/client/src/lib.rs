//! The typed gRPC client of the gateway, for the command line and for other programs.
//!
//! ```no_run
//! use openclaw_client::{Client, Options, Target};
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let target: Target = "unix:/home/me/.openclaw/gateway.sock".parse()?;
//! let client = Client::connect(&target, &Options::default()).await?;
//! let status = client.gateway().status(openclaw_client::v1::StatusRequest {}).await?.into_inner();
//! assert!(!status.version.is_empty());
//! # Ok(())
//! # }
//! ```
//!
//! **Invariant:** this crate keeps no global state, starts no thread and decides no permission: over
//! the socket a caller is whoever runs it.
//!
//! **Invariant:** nothing is sent to a server whose user is neither the caller nor root.

mod call;
mod connect;
mod key;
mod target;

pub use call::{CallError, Origin};
pub use connect::{Client, ConnectError, Options};
pub use key::{KeyError, fresh_key};
pub use openclaw_proto::v1;
pub use target::{ParseTargetError, Target};
pub use tonic::Code;
pub use tonic::transport::Channel;
pub use tonic_health::pb as health;
