//! `subagents`: what conversations delegated.

use std::io::Read as _;

use openclaw_client::fresh_key;
use openclaw_client::v1::subagent::Delivery;
use openclaw_client::v1::{
    CancelSubagentRequest, DiscardSubagentRequest, GetSubagentRequest, ListSubagentsRequest,
    RetrySubagentRequest, RunStatus, SpawnRequest, Subagent, WaitRunRequest,
};
use openclaw_proto::to_duration;

use super::{Step, confirmed, text};
use crate::cli::{CleanupName, SubagentsVerb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{json, pages, screen, table};

pub(super) async fn run(
    verb: SubagentsVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        SubagentsVerb::List { session, agent, open, rows } => {
            let request = ListSubagentsRequest {
                session_key: text(session),
                agent_id: text(agent),
                open_only: open,
                ..ListSubagentsRequest::default()
            };
            let mut subagents = place.connect_for(&["subagents.list"]).await?.subagents();
            let list = pages::collect(&rows, async |page_size, page_token| {
                let request = ListSubagentsRequest { page_size, page_token, ..request.clone() };
                Ok(subagents.list(request).await?.into_inner())
            });
            let list = list.await?;
            match output.format() {
                Format::Human if list.subagents.is_empty() => output.note("no sub-agents")?,
                Format::Human => output.block(&rows_of(&list.subagents))?,
                Format::Json => output.message(&list)?,
            }
            Ok(Exit::Ok)
        }
        SubagentsVerb::Show { run } => {
            let client = place.connect_for(&["subagents.get"]).await?;
            let request = GetSubagentRequest { run_id: run };
            show(&client.subagents().get(request).await?.into_inner(), output)
        }
        SubagentsVerb::Cancel { run } => {
            let client = place.connect_for(&["subagents.cancel"]).await?;
            let request = CancelSubagentRequest { run_id: run };
            show(&client.subagents().cancel(request).await?.into_inner(), output)
        }
        SubagentsVerb::Retry { run } => {
            let client = place.connect_for(&["subagents.retry"]).await?;
            let request = RetrySubagentRequest { run_id: run };
            show(&client.subagents().retry(request).await?.into_inner(), output)
        }
        SubagentsVerb::Discard { run, removal } => {
            let command = place.command(&format!("subagents discard {run}"));
            let what = format!("what sub-agent `{run}` had to say");
            if confirmed(&removal, &what, &command)? == Step::Show {
                let client = place.connect_for(&["subagents.get"]).await?;
                let request = GetSubagentRequest { run_id: run };
                return show(&client.subagents().get(request).await?.into_inner(), output);
            }
            let client = place.connect_for(&["subagents.discard"]).await?;
            let request = DiscardSubagentRequest { run_id: run };
            show(&client.subagents().discard(request).await?.into_inner(), output)
        }
        SubagentsVerb::Spawn {
            session,
            agent,
            task,
            label,
            model,
            timeout,
            tools,
            cleanup,
            budget,
            idempotency_key,
            wait,
        } => {
            let task = if task == "-" {
                let mut task = String::new();
                std::io::stdin().lock().read_to_string(&mut task)?;
                task
            } else {
                task
            };
            let key = match idempotency_key {
                Some(key) => key,
                None => fresh_key()?,
            };
            let request = SpawnRequest {
                idempotency_key: key.to_string(),
                session_key: session,
                agent_id: text(agent),
                task,
                label: text(label),
                target_agent_id: String::new(),
                model: text(model),
                timeout: timeout.map(to_duration),
                cleanup: match cleanup {
                    CleanupName::Delete => "delete".into(),
                    CleanupName::Keep => "keep".into(),
                },
                tools,
                budget: budget.unwrap_or_default(),
            };
            spawn(request, wait, place, output).await
        }
    }
}

async fn spawn(
    request: SpawnRequest,
    wait: bool,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let client = place.connect_for(&["sessions.spawn", "agent.wait"]).await?;
    let accepted = client.subagents().spawn(request).await?.into_inner();
    if !wait {
        match output.format() {
            Format::Human => {
                let (run, key) = (&accepted.run_id, &accepted.child_session_key);
                output.line(&format!("accepted {run} in {key}"))?;
            }
            Format::Json => output.message(&accepted)?,
        }
        return Ok(Exit::Ok);
    }
    let ended = loop {
        let request = WaitRunRequest { run_id: accepted.run_id.clone(), timeout: None };
        let run = client.runs().wait(request).await?.into_inner();
        if !matches!(run.status(), RunStatus::Queued | RunStatus::Running) {
            break run;
        }
    };
    match output.format() {
        Format::Human if ended.status() == RunStatus::Ok => output.block(&ended.text)?,
        Format::Human => {}
        Format::Json => output.message(&ended)?,
    }
    if ended.status() == RunStatus::Ok {
        return Ok(Exit::Ok);
    }
    let status = json::word(ended.status().as_str_name(), "RUN_STATUS_");
    let cause = format!("sub-agent `{}` ended: {status}: {}", ended.run_id, ended.error);
    let next = place.command(&format!("subagents show {}", ended.run_id));
    Err(Failure::advised(Exit::Failed, cause, next))
}

fn show(child: &Subagent, output: &mut Output) -> Result<Exit, Failure> {
    match output.format() {
        Format::Human => output.block(&facts(child))?,
        Format::Json => output.message(child)?,
    }
    Ok(Exit::Ok)
}

fn delivery(child: &Subagent) -> String {
    match child.delivery() {
        Delivery::Unspecified => String::new(),
        other => json::word(other.as_str_name(), "DELIVERY_"),
    }
}

fn rows_of(children: &[Subagent]) -> String {
    let now = jiff::Timestamp::now();
    let rows = children.iter().map(|child| {
        let run = child.run.clone().unwrap_or_default();
        let name = if child.label.is_empty() { &child.task } else { &child.label };
        vec![
            run.run_id.clone(),
            screen::shortened(name, 40),
            json::word(run.status().as_str_name(), "RUN_STATUS_"),
            delivery(child),
            child.parent_session_key.clone(),
            table::ago(run.accepted_at.as_ref(), now),
        ]
    });
    table::columns(&["RUN", "TASK", "STATUS", "PARENT WAS", "PARENT", "ASKED"], rows)
}

fn facts(child: &Subagent) -> String {
    let now = jiff::Timestamp::now();
    let run = child.run.clone().unwrap_or_default();
    let told = match delivery(child).as_str() {
        "" => String::new(),
        word => format!("{word} {}", child.delivery_reason).trim_end().to_owned(),
    };
    table::facts(&[
        ("run", run.run_id.clone()),
        ("session", run.session_key.clone()),
        ("label", child.label.clone()),
        ("task", screen::shortened(&child.task, 200)),
        ("status", json::word(run.status().as_str_name(), "RUN_STATUS_")),
        ("error", run.error.clone()),
        ("said", run.text.clone()),
        ("parent", child.parent_session_key.clone()),
        ("parent was", told),
        ("told in run", child.told_in_run_id.clone()),
        ("on behalf of", run.on_behalf_of.clone()),
        ("tools", child.tools.join(" ")),
        ("model", child.model.clone()),
        ("cleanup", child.cleanup.clone()),
        ("depth", child.depth.to_string()),
        ("asked", table::ago(run.accepted_at.as_ref(), now)),
        ("ended", table::ago(run.ended_at.as_ref(), now)),
    ])
}
