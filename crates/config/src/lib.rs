//! TOML text to typed configuration: every key known, every mistake located. Pure, without I/O.
//!
//! - **Invariant:** no disk, environment, clock or network: the text and the number of processors
//!   are arguments, and a secret is only ever the name of the variable that holds it.
//! - **Invariant:** a [`Config`] is consistent: each model's provider and each binding's agent exist,
//!   and so does `main`.
//! - **Invariant:** one table of keys is what the parser accepts and what the reference documents.

mod agent;
mod base_url;
mod budget;
mod channel;
mod config;
mod cron;
mod duration;
mod edit;
mod error;
mod heartbeat;
mod home;
mod hook;
mod key;
#[cfg(test)]
mod laws;
mod listen;
mod model;
mod parse;
mod position;
mod price;
mod provider;
mod queue;
mod read;
mod reference;
mod secret;
mod session;
mod show;
mod template;
mod tools;

pub use agent::{Agent, AgentDefaults, Identity, SubagentLimits};
pub use base_url::{BaseUrl, ParseBaseUrlError};
pub use budget::{Budget, Spending};
pub use channel::{
    ChannelSettings, ChatChannel, DmPolicy, GroupPolicy, Mention, Platform, WebhookSettings,
};
pub use config::{AuditSettings, Config, EventSettings, GatewaySettings};
pub use cron::CronSettings;
pub use duration::{ParseDurationError, format_duration, parse_duration};
pub use edit::{EditError, NewAgent, NewChannel, add_agent, add_channel, add_owner, remove_agent};
pub use error::{ConfigError, ConfigErrors, Problem};
pub use heartbeat::{HEARTBEAT_PROMPT, HEARTBEAT_TOOLS, Heartbeat, HeartbeatTarget};
pub use home::expand_home;
pub use hook::{Hook, HookAction, HookProof, HookSettings, SignatureScheme};
pub use key::KeyDoc;
pub use listen::{ListenSettings, TlsFiles};
pub use model::{ModelName, ModelRoute, ParseModelNameError, ProviderId};
pub use parse::parse;
pub use position::Position;
pub use price::{Dollars, Price};
pub use provider::{Api, Endpoint, Provider};
pub use queue::{InboundSettings, QueueDrop, QueueMode, QueueSettings};
pub use reference::{EXAMPLES, Example, reference, render_reference};
pub use secret::{ParseSecretRefError, Secret, SecretRef};
pub use session::{
    Binding, BindingMatch, BoundPeer, DmScope, GroupScope, Maintenance, PeerKind, ResetPolicy,
    SendAction, SendRule, SendSettings, SessionSettings,
};
pub use show::to_toml_redacted;
pub use template::{Template, TemplateError};
pub use tools::{
    ExecAsk, ExecSettings, Sandbox, TOOL_NAMES, ToolPattern, ToolPolicy, Unattended,
    UnknownToolError, WebFetchSettings,
};
