//! The real programs, started as processes: what only a process can show.

mod approvals;
mod background;
mod crash;
mod exits;
mod harness;
mod inside;
mod network;
mod programs;
mod starting;
mod stopping;
mod surroundings;
mod verbs;
