//! Commands that somebody has to approve.

use std::fmt;

use futures_util::future::BoxFuture;

use super::operation::{ExecOperation, Program};
use crate::exec::SandboxMode;

/// When commands are approved one by one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum AskMode {
    /// Each one.
    Always,
    /// None.
    Off,
    /// Those that run with the rights of the gateway's user, unless they are listed.
    #[default]
    Unlisted,
}

impl AskMode {
    /// Whether a command is to be approved.
    pub(super) fn asks(
        self,
        program: &Program,
        sandbox: SandboxMode,
        is_listed: impl FnOnce(&Program) -> bool,
    ) -> bool {
        match (self, sandbox) {
            (Self::Always, _) => true,
            (Self::Off, _) | (Self::Unlisted, SandboxMode::Workspace) => false,
            (Self::Unlisted, SandboxMode::Off) => !is_listed(program),
        }
    }
}

/// What came of asking.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Clearance {
    /// This approval is good for one use.
    Once(String),
    /// It is not to be done, for this reason.
    Refused(String),
    /// The operation is approved for good.
    Standing,
}

/// What commands that are to be approved need from the world: a port, which the gateway implements for one run.
pub trait Approvals: Send + Sync + fmt::Debug {
    /// Asks that an operation be approved, and waits for the answer.
    fn ask<'a>(&'a self, operation: &'a ExecOperation) -> BoxFuture<'a, Clearance>;
    /// Uses up an approval, right before the operation is done.
    ///
    /// The error says why it is not good for it.
    fn redeem<'a>(
        &'a self,
        approval: &'a str,
        operation: &'a ExecOperation,
    ) -> BoxFuture<'a, Result<(), String>>;
}
