//! A gateway inside the test's process: everything that needs no second program.

mod calls;
mod denied;
mod drain;
mod guarded;
mod lanes;
mod runs;
mod sessions;
mod sockets;
mod turns;
