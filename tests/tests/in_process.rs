//! A gateway inside the test's process: everything that needs no second program.

mod access;
mod agents;
mod audit;
mod calls;
mod delegation;
mod denied;
mod devices;
mod drain;
mod fuzz;
mod guarded;
mod input;
mod lanes;
mod policy;
mod providers;
mod routing;
mod runs;
mod seed_21655;
mod seed_59555;
mod seed_77807;
mod sessions;
mod sockets;
mod stage;
mod storage;
mod tools;
mod turns;
mod world;
