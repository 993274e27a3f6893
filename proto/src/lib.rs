//! The wire of the gateway: messages, services and their descriptors.
//!
//! **Invariant:** nothing here decides; what a message means is said in the crate that owns it.

mod convert;

pub use convert::{from_duration, from_timestamp, scope_names, to_duration, to_timestamp};

/// Version 1 of the API.
#[expect(
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::restriction,
    clippy::nursery,
    reason = "generated; the definitions carry the words"
)]
pub mod v1 {
    tonic::include_proto!("openclaw.v1");
}

/// The descriptors of all services and messages, with their comments, as an encoded
/// `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openclaw.bin"));
