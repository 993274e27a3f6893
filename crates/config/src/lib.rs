//! TOML text to typed configuration: every key known, every mistake located. Pure, without I/O.

mod secret;

pub use secret::{ParseSecretRefError, Secret, SecretRef};
