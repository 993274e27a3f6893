//! The adapters against local servers that behave like the platforms.

#![expect(clippy::unwrap_used, reason = "test code")]

mod discord;
mod ears;
mod telegram;
mod webhook;
