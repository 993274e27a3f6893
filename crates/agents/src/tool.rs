//! What a run can do besides speaking: the tool port, its errors, and the set a run is given.

mod arguments;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use openclaw_scopes::method::InvokeTool;
use openclaw_scopes::{Authorized, Capability, ParseIdError, ToolName, ToolTarget};

pub(crate) use arguments::Arguments;

/// A thing that a model may ask for by name.
pub trait Tool: Send + Sync + fmt::Debug {
    /// Returns what the model is told about the tool.
    fn spec(&self) -> &ToolSpec;

    /// Returns the capability that a run must hold to call it.
    fn capability(&self) -> Capability;

    /// Does the work. The answer is text for the model; `cancel` ends it early.
    fn call<'a>(
        &'a self,
        arguments: Value,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, ToolError>>;
}

/// What a model is told about one tool.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ToolSpec {
    /// The name by which the model calls it.
    pub name: String,
    /// What it does and when to use it.
    pub description: String,
    /// The JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// The tools of one run, in the order in which the model is shown them.
#[derive(Clone, Debug, Default)]
pub struct Toolbox {
    /// Tools that stand in for those of the same name in `tools`.
    own: Vec<Arc<dyn Tool>>,
    specs: Arc<[ToolSpec]>,
    tools: Arc<[(ToolName, Arc<dyn Tool>)]>,
}

impl Toolbox {
    /// Collects the tools of a run.
    ///
    /// # Errors
    /// When two tools have one name, or a name is not a tool name.
    pub fn new(tools: Vec<Arc<dyn Tool>>) -> Result<Self, BuildToolboxError> {
        let mut named: Vec<(ToolName, Arc<dyn Tool>)> = Vec::with_capacity(tools.len());
        for tool in tools {
            let name = ToolName::parse(&tool.spec().name)?;
            if named.iter().any(|(taken, _)| *taken == name) {
                return Err(BuildToolboxError::Duplicate { tool: name });
            }
            named.push((name, tool));
        }
        let specs = named.iter().map(|(_, tool)| tool.spec().clone()).collect();
        Ok(Self { own: Vec::new(), specs, tools: named.into() })
    }

    /// The same tools, of which some are a run's own: each stands in for the one of its name, with
    /// the same capability. Cheap, as every run needs it.
    #[must_use]
    pub fn with_own(&self, own: Vec<Arc<dyn Tool>>) -> Self {
        Self { own, specs: Arc::clone(&self.specs), tools: Arc::clone(&self.tools) }
    }

    /// The same tools without those whose name `keeps` does not know.
    #[must_use]
    pub fn only(&self, keeps: impl Fn(&str) -> bool) -> Self {
        let tools: Vec<_> =
            self.tools.iter().filter(|(name, _)| keeps(name.as_str())).cloned().collect();
        let specs = tools.iter().map(|(_, tool)| tool.spec().clone()).collect();
        Self { own: self.own.clone(), specs, tools: tools.into() }
    }

    fn find(&self, name: &str) -> Option<(&ToolName, &Arc<dyn Tool>)> {
        let (name, common) = self.tools.iter().find(|(tool, _)| tool.as_str() == name)?;
        let own = self.own.iter().find(|own| {
            own.spec().name == name.as_str() && own.capability() == common.capability()
        });
        Some((name, own.unwrap_or(common)))
    }

    /// Returns what the model is told, in order.
    pub fn specs(&self) -> Arc<[ToolSpec]> {
        Arc::clone(&self.specs)
    }

    /// Returns what must be authorized before the tool of this name is invoked, if there is one.
    pub fn target(&self, name: &str) -> Option<ToolTarget> {
        let (tool, implementation) = self.find(name)?;
        Some(ToolTarget { capability: implementation.capability(), tool: tool.clone() })
    }

    /// Invokes exactly the tool that the witness names, and spends the witness.
    ///
    /// # Errors
    /// When the tool of the witness is not in this set or needs another capability than the one
    /// that was checked, when the arguments are no JSON object, and when the tool fails.
    pub async fn invoke(
        &self,
        authorized: Authorized<InvokeTool>,
        arguments: &str,
        cancel: &CancellationToken,
    ) -> Result<String, ToolError> {
        let (_caller, target) = authorized.into_parts();
        let tool = self.find(target.tool.as_str()).map(|(_, tool)| tool);
        let Some(tool) = tool.filter(|tool| tool.capability() == target.capability) else {
            return Err(ToolError::NoSuchTool { tool: target.tool.to_string() });
        };
        let arguments = arguments::parse(arguments)?;
        if cancel.is_cancelled() {
            return Err(ToolError::Canceled);
        }
        tool.call(arguments, cancel).await
    }
}

/// Why tools cannot form a set.
#[derive(Debug, thiserror::Error)]
pub enum BuildToolboxError {
    /// Two tools share a name, so a call would be ambiguous.
    #[error("there are two tools named `{tool}`")]
    Duplicate {
        /// The shared name.
        tool: ToolName,
    },
    /// A tool has a name that no model could be told.
    #[error("a tool has no valid name")]
    Name(#[from] ParseIdError),
}

/// Why a tool call has no result. The text goes to the model, so it says what to do instead.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The arguments do not fit the tool.
    #[error("argument `{field}` {problem}")]
    BadArguments {
        /// The argument at fault, `arguments` for the whole object.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The run was canceled while the tool worked.
    #[error("the call was canceled")]
    Canceled,
    /// The operating system failed.
    #[error("cannot {action} `{subject}`: {}", .source.kind())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what it was tried.
        subject: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Nothing is there.
    #[error("there is no `{path}` in the workspace; `list_dir` shows what there is")]
    NotFound {
        /// The path as asked for.
        path: String,
    },
    /// The run has no tool of this name, or not under the capability that was checked.
    #[error("there is no tool `{tool}` in this run")]
    NoSuchTool {
        /// The name as asked for.
        tool: String,
    },
    /// The path leads out of the workspace.
    #[error(
        "`{path}` lies outside the workspace or passes a link that leaves it; \
         use a path relative to the workspace"
    )]
    OutsideWorkspace {
        /// The path as asked for.
        path: String,
    },
    /// The world answered with a failure of its own.
    #[error("{subject} failed: {problem}")]
    Remote {
        /// Who answered.
        subject: String,
        /// What it said.
        problem: String,
    },
    /// A rule of this gateway forbids it.
    #[error("refused: {reason}")]
    Refused {
        /// The rule, and what to do instead.
        reason: String,
    },
    /// Commands must run in a sandbox, and this system has none.
    #[error(
        "commands need a sandbox and this kernel offers none ({problem}); the operator can set \
         `tools.exec.sandbox = \"off\"` for runs on behalf of the owner"
    )]
    SandboxMissing {
        /// What is missing.
        problem: String,
    },
    /// It took too long.
    #[error("{subject} did not finish within {} seconds", .after.as_secs())]
    TimedOut {
        /// The time that was allowed.
        after: Duration,
        /// What took so long.
        subject: String,
    },
    /// It is bigger than a tool may handle.
    #[error("{subject} is larger than the limit of {max} bytes; {advice}")]
    TooLarge {
        /// How to get at it in parts.
        advice: &'static str,
        /// The most bytes allowed.
        max: u64,
        /// What is too large.
        subject: String,
    },
}

impl ToolError {
    pub(crate) fn argument(field: &str, problem: impl Into<String>) -> Self {
        Self::BadArguments { field: field.to_owned(), problem: problem.into() }
    }
}

#[cfg(test)]
mod tests;
