//! Devices over the network: real TLS, real proofs, and what they may do.

mod life;
