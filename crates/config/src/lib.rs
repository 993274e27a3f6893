//! TOML text to typed configuration: every key known, every mistake located. Pure, without I/O.
//!
//! - **Invariant:** no disk, environment, clock or network: the text and the number of processors
//!   are arguments, and a secret is only ever the name of the variable that holds it.
//! - **Invariant:** a [`Config`] is consistent: each model's provider exists, and so does `main`.
//! - **Invariant:** one table of keys is what the parser accepts and what the reference documents.

mod address;
mod agent;
mod config;
mod duration;
mod error;
mod key;
mod model;
mod parse;
mod position;
mod provider;
mod read;
mod secret;
mod show;
mod tools;

pub use address::{Address, ParseAddressError};
pub use agent::{Agent, AgentDefaults, Identity};
pub use config::{AuditSettings, Config, GatewaySettings};
pub use duration::{ParseDurationError, format_duration, parse_duration};
pub use error::{ConfigError, ConfigErrors, Problem};
pub use key::KeyDoc;
pub use model::{ModelName, ModelRoute, ParseModelNameError, ProviderId};
pub use parse::parse;
pub use position::Position;
pub use provider::{Api, BaseUrl, Endpoint, ParseBaseUrlError, Provider};
pub use secret::{ParseSecretRefError, Secret, SecretRef};
pub use show::to_toml_redacted;
pub use tools::{
    ExecSettings, Sandbox, TOOL_NAMES, ToolPattern, ToolPolicy, UnknownToolError, WebFetchSettings,
};
