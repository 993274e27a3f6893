//! The work of an agent: the turn loop, its tools, its prompt and the models that answer.
//!
//! **Invariant:** no SQL, no gRPC and no socket to the gateway: the journal, the decision about each
//! tool call and the watchers are ports ([`Journal`], [`ToolGate`], [`TurnSink`]).

mod anthropic;
mod assembly;
mod chain;
mod endpoint;
mod exchange;
pub mod exec;
mod health;
mod model;
mod offline;
mod openai;
mod pictures;
mod prompt;
mod providers;
mod sse;
pub mod tool;
pub mod tools;
mod turn;
mod wire;

pub use anthropic::{AnthropicModel, DEFAULT_MAX_TOKENS};
pub use chain::{Jitter, ModelChain, RetryPolicy, SeededJitter};
pub use endpoint::{
    CONNECT_TIMEOUT, Endpoint, IDLE_TIMEOUT, IDLE_TIMEOUT_SELF_HOSTED, ParseEndpointError,
    TOTAL_TIMEOUT,
};
pub use health::Health;
pub use model::{Detail, Model, ModelError, ModelEvent, ModelRequest, Retry};
pub use offline::{OFFLINE_MODEL, OfflineModel, OfflineScript, ParseScriptError};
pub use openai::OpenAiModel;
pub use pictures::{Album, Input, Picture, Pictures};
pub use prompt::{
    FileNote, Fingerprint, MAX_FILE_CHARS, MAX_FILES_CHARS, PromptInputs, Skill, TEMPLATE,
    WorkspaceFile, WorkspaceFiles, build_prompt, fingerprint, has_empty_heartbeat, read_workspace,
};
pub use providers::{ConnectError, Providers};
pub use turn::{
    Journal, JournalError, Ports, Refusal, ToolGate, Turn, TurnEvent, TurnLimits, TurnOutcome,
    TurnSink, run_turn,
};
