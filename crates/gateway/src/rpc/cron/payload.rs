//! What a job does, as callers give it; and what goes with that.

use openclaw_proto::v1;
use openclaw_proto::v1::job_payload::What;
use openclaw_scopes::AgentId;
use openclaw_store::{JobDelivery, Payload};
use serde::de::IgnoredAny;

use super::read::Reading;
use crate::convert;
use crate::respond::Reply;

/// Bytes of a message at most, and of a body that is posted.
const MAX_MESSAGE: usize = 256 * 1024;
const MAX_BODY: usize = 64 * 1024;
/// Arguments of a command at most, and their bytes together: what the kernel takes as one.
const MAX_ARGUMENTS: usize = 1_000;
const MAX_COMMAND: usize = 128 * 1024;

/// Reads what a job does; `None` when nothing is said of it.
pub(super) fn read(what: Option<What>) -> Result<Option<Payload>, Reply> {
    Ok(match what {
        None => None,
        Some(What::AgentTurn(message)) => Some(Payload::AgentTurn { message: text(message)? }),
        Some(What::Command(v1::JobCommand { argv })) => {
            Some(Payload::Command { argv: command(argv)? })
        }
        Some(What::Heartbeat(_)) => {
            let text = "heartbeats are what the configuration says, and are not added";
            return Err(
                Reply::invalid(text).next("openclaw config file, agents.defaults.heartbeat")
            );
        }
        Some(What::SystemEvent(event)) => Some(Payload::SystemEvent { text: text(event)? }),
        Some(What::Webhook(body)) => Some(Payload::Webhook { body: json(body)? }),
    })
}

fn text(text: String) -> Result<String, Reply> {
    if text.trim().is_empty() {
        return Err(Reply::invalid("the job says nothing").next("--message or --system-event"));
    }
    if text.len() > MAX_MESSAGE {
        let text = format!("a message has {MAX_MESSAGE} bytes at most");
        return Err(Reply::invalid(text).next("write what it needs into a file of the workspace"));
    }
    Ok(text)
}

fn command(argv: Vec<String>) -> Result<Vec<String>, Reply> {
    let program = argv.first().is_some_and(|program| !program.trim().is_empty());
    if !program || argv.iter().any(|word| word.contains('\0')) {
        let text = "a command is a program and its arguments";
        return Err(Reply::invalid(text).next("--command 'PROGRAM ARGUMENTS'"));
    }
    let bytes = argv.iter().map(String::len).fold(0_usize, usize::saturating_add);
    if argv.len() > MAX_ARGUMENTS || bytes >= MAX_COMMAND {
        let text =
            format!("a command has {MAX_ARGUMENTS} arguments and {MAX_COMMAND} bytes at most");
        return Err(Reply::invalid(text).next("write a script into the workspace, and run that"));
    }
    Ok(argv)
}

fn json(body: String) -> Result<String, Reply> {
    if body.len() > MAX_BODY {
        let text = format!("what is posted has {MAX_BODY} bytes at most");
        return Err(Reply::invalid(text).next("post where the rest can be had"));
    }
    match serde_json::from_str::<IgnoredAny>(&body) {
        Ok(IgnoredAny) => Ok(body),
        Err(error) => {
            let text = format!("what is posted is not JSON: {error}");
            Err(Reply::invalid(text).next("--webhook-payload '{\"text\": \"Hello.\"}'"))
        }
    }
}

impl Reading<'_> {
    /// Whether what is said of a job goes with what it does.
    pub(super) fn fits(
        &self,
        does: &Payload,
        given: &v1::JobSpec,
        agent: &AgentId,
    ) -> Result<(), Reply> {
        let what = match does {
            Payload::AgentTurn { .. } | Payload::Heartbeat { .. } | Payload::SystemEvent { .. } => {
                return Ok(());
            }
            Payload::Command { .. } => "a command",
            Payload::Webhook { .. } => "a post",
        };
        let names = given.tools.as_ref().is_some_and(|tools| !tools.all);
        let limit = convert::duration(given.timeout.as_ref(), "timeout")?.unwrap_or_default();
        for (is_said, has, flag) in [
            (
                given.session.as_deref().is_some_and(|it| !it.is_empty()),
                "conversation",
                "--session",
            ),
            (given.model.as_deref().is_some_and(|it| !it.is_empty()), "model", "--model"),
            (names, "tools", "--tools"),
            (given.budget.is_some_and(|tokens| tokens > 0), "budget", "--budget"),
            (
                !limit.is_zero() && matches!(does, Payload::Webhook { .. }),
                "time limit",
                "--timeout",
            ),
        ] {
            if is_said {
                let text = format!("{what} has no {has}: no agent has a turn for it");
                return Err(Reply::invalid(text).next(format!("leave {flag} out")));
            }
        }
        if let Payload::Command { .. } = does {
            let roster = self.core.engine.roster();
            let exec = roster.agent(agent).and_then(|worker| worker.exec());
            let Some(exec) = exec else {
                let text = format!("agent `{agent}` runs no commands: it has not the tool `exec`");
                return Err(Reply::invalid(text).next(format!("openclaw agents show {agent}")));
            };
            let longest = exec.longest();
            if limit > longest {
                let longest = openclaw_config::format_duration(longest);
                let text =
                    format!("a command may take {longest} at most, as tools.exec.timeout says");
                return Err(Reply::invalid(text).next("a shorter --timeout, or none"));
            }
        }
        Ok(())
    }

    /// Returns where what a job says goes, that has to be a URL when it posts.
    pub(super) fn posted(
        &self,
        does: &Payload,
        delivery: Option<JobDelivery>,
    ) -> Result<JobDelivery, Reply> {
        let delivery = delivery.unwrap_or_default();
        match (does, &delivery) {
            (
                Payload::Webhook { .. },
                JobDelivery::Announce(_) | JobDelivery::Conversation | JobDelivery::None,
            ) => Err(Reply::invalid("what is posted needs a URL to go to").next("--webhook URL")),
            (
                Payload::AgentTurn { .. }
                | Payload::Command { .. }
                | Payload::Heartbeat { .. }
                | Payload::SystemEvent { .. }
                | Payload::Webhook { .. },
                _,
            ) => Ok(delivery),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_posted_is_json_of_some_size() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let long = format!("\"{}\"", "x".repeat(MAX_BODY));
        for (body, says) in [
            ("", "not JSON"),
            ("{", "not JSON"),
            ("{} {}", "not JSON"),
            ("{'a': 1}", "not JSON"),
            ("NaN", "not JSON"),
            (&long, "bytes at most"),
        ] {
            let refusal = json(body.to_owned()).unwrap_err();
            assert!(refusal.message().contains(says), "{refusal:?}");
        }
        let longest = format!("\"{}\"", "x".repeat(MAX_BODY - 2));
        for body in
            ["{}", "[1, \"ß\"]", "null", " {\"a\": {\"b\": []}}\n", "1e999", &deep, &longest]
        {
            assert_eq!(json(body.to_owned()).unwrap(), body);
        }
    }

    #[test]
    fn a_command_is_a_program_and_its_arguments() {
        let words =
            |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for argv in [
            words(&[]),
            words(&["", "x"]),
            words(&[" "]),
            words(&["a\0b"]),
            words(&["sh", "-c", "a\0b"]),
            words(&["x"; MAX_ARGUMENTS + 1]),
            vec!["sh".to_owned(), "x".repeat(MAX_COMMAND)],
        ] {
            command(argv).unwrap_err();
        }
        assert_eq!(command(words(&["git", ""])).unwrap(), ["git", ""]);
    }
}
