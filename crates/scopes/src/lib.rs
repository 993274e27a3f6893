//! The rules of authority: who may do what, on whose behalf, to what. Pure, without I/O.

pub mod id;
mod time;

pub use id::{
    AgentId, DeviceId, IdempotencyKey, ParseIdError, PluginId, RunId, SenderId, SessionKey, TokenId,
};
pub use time::Timestamp;
