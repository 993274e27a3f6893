//! What a run writes into the journal of its session.

use serde::{Deserialize, Serialize};

/// One entry of a session's journal, in the order in which it happened.
///
/// A run is `UserMessage (AssistantMessage ToolResult*)* Final`; see [`crate::project`] for what a
/// model is shown of it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    tag = "type",
    deny_unknown_fields
)]
pub enum Record {
    /// What the model said, and the tools it wants called.
    AssistantMessage(AssistantMessage),
    /// The end of the run. Nothing follows it.
    Final {
        /// How the run ended.
        status: crate::RunStatus,
        /// What went wrong, for people; absent after success.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// What came of one tool call.
    ToolResult(ToolResult),
    /// What the run was asked.
    UserMessage {
        /// The text as given.
        text: String,
    },
}

/// One answer of a model.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AssistantMessage {
    /// What it said; may be empty when it only calls tools.
    pub text: String,
    /// The calls it asks for, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// What the answer cost.
    #[serde(default)]
    pub usage: Usage,
    /// Which model answered, as `provider/model`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
}

/// A model's wish to have a tool called.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolCall {
    /// The provider's id of this call; unique within its message.
    pub id: String,
    /// The tool's name.
    pub name: String,
    /// The arguments as the JSON text that the model wrote; perhaps not valid JSON.
    pub arguments: String,
}

/// What came of one tool call.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ToolResult {
    /// The [`ToolCall::id`] it answers.
    pub call_id: String,
    /// The tool's name.
    pub name: String,
    /// Whether the tool did what was asked.
    pub outcome: ToolOutcome,
    /// The tool's output, or why there is none.
    pub content: String,
}

/// Whether a tool did what was asked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ToolOutcome {
    /// The call failed, or was refused.
    Error,
    /// The run ended before the outcome was known; the call may or may not have taken effect.
    Interrupted,
    /// The call succeeded.
    Ok,
}

/// Tokens that a model counted. Zero where the provider did not say.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    /// Tokens read, the cached ones included.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// Tokens of the input that came from the provider's cache.
    #[serde(default)]
    pub cached_tokens: u64,
}

impl Usage {
    /// Returns the sum of both, at most the largest number.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
        }
    }
}
