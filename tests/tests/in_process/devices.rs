//! Devices over the network: real TLS, real proofs, and what they may do.

mod invitations;
mod life;
mod manage;
mod matrix;
mod negatives;
mod proofs;
mod tokens;
