//! A gateway inside the test's process: everything that needs no second program.

mod access;
mod agents;
mod audit;
mod calls;
mod denied;
mod devices;
mod drain;
mod fuzz;
mod guarded;
mod input;
mod lanes;
mod providers;
mod runs;
mod sessions;
mod sockets;
mod storage;
mod tools;
mod turns;
