//! `approvals`: commands of agents that somebody has to approve.

use openclaw_client::v1::approval::State;
use openclaw_client::v1::{
    Approval, ApproveCallRequest, DenyCallRequest, ListApprovalsRequest, ListStandingRequest,
    Operation, RevokeStandingRequest, StandingApproval,
};

use openclaw_scopes::command_words;

use super::{Step, confirmed};
use crate::cli::ApprovalsVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{json, table};

pub(super) async fn run(
    verb: ApprovalsVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    match verb {
        ApprovalsVerb::List { all } => {
            let client = place.connect_for(&["approvals.list"]).await?;
            let list = client.approvals().list(ListApprovalsRequest { all }).await?.into_inner();
            match output.format() {
                Format::Human if list.approvals.is_empty() => output.note("nothing waits")?,
                Format::Human => output.block(&rows(&list.approvals))?,
                Format::Json => output.message(&list)?,
            }
        }
        ApprovalsVerb::Show { id } => {
            let client = place.connect_for(&["approvals.list"]).await?;
            let list = client.approvals().list(ListApprovalsRequest { all: true }).await?;
            let mut approvals = list.into_inner().approvals.into_iter();
            let Some(found) = approvals.find(|approval| approval.id == id) else {
                let next = place.command("approvals list --all");
                return Err(Failure::advised(Exit::Failed, format!("no approval `{id}`"), next));
            };
            match output.format() {
                Format::Human => output.block(&facts(&found))?,
                Format::Json => output.message(&found)?,
            }
        }
        ApprovalsVerb::Approve { id, always } => {
            let client = place.connect_for(&["approvals.approve"]).await?;
            let request = ApproveCallRequest { id, always };
            let approval = client.approvals().approve(request).await?.into_inner();
            told("approved", &approval, output)?;
        }
        ApprovalsVerb::Deny { id, reason } => {
            let client = place.connect_for(&["approvals.deny"]).await?;
            let request = DenyCallRequest { id, reason };
            let approval = client.approvals().deny(request).await?.into_inner();
            told("denied", &approval, output)?;
        }
        ApprovalsVerb::Standing => {
            let client = place.connect_for(&["approvals.standing"]).await?;
            let list = client.approvals().list_standing(ListStandingRequest {}).await?.into_inner();
            match output.format() {
                Format::Human if list.standing.is_empty() => {
                    output.note("nothing is approved for good")?;
                }
                Format::Human => output.block(&standing_rows(&list.standing))?,
                Format::Json => output.message(&list)?,
            }
        }
        ApprovalsVerb::Revoke { id, removal } => {
            let command = place.command(&format!("approvals revoke {id}"));
            let step = confirmed(&removal, &format!("approval for good `{id}`"), &command)?;
            revoke(id, step, place, output).await?;
        }
    }
    Ok(Exit::Ok)
}

async fn revoke(id: String, step: Step, place: &Place, output: &mut Output) -> Result<(), Failure> {
    if step == Step::Show {
        let client = place.connect_for(&["approvals.standing"]).await?;
        let list = client.approvals().list_standing(ListStandingRequest {}).await?.into_inner();
        let Some(found) = list.standing.into_iter().find(|it| it.id == id) else {
            let next = place.command("approvals standing");
            return Err(Failure::advised(Exit::Failed, format!("no approval `{id}`"), next));
        };
        return match output.format() {
            Format::Human => {
                Ok(output.line(&format!("would revoke {}", words(found.operation.as_ref())))?)
            }
            Format::Json => output.message(&found),
        };
    }
    let client = place.connect_for(&["approvals.revoke"]).await?;
    let gone = client.approvals().revoke_standing(RevokeStandingRequest { id }).await?.into_inner();
    match output.format() {
        Format::Human => Ok(output.line(&format!("revoked {}", words(gone.operation.as_ref())))?),
        Format::Json => output.message(&gone),
    }
}

fn told(what: &str, approval: &Approval, output: &mut Output) -> Result<(), Failure> {
    match output.format() {
        Format::Human => {
            let command = words(approval.operation.as_ref());
            Ok(output.line(&format!("{what} {}: {command}", approval.id))?)
        }
        Format::Json => output.message(approval),
    }
}

fn words(operation: Option<&Operation>) -> String {
    operation.map(|operation| command_words(&operation.argv)).unwrap_or_default()
}

fn rows(approvals: &[Approval]) -> String {
    let now = jiff::Timestamp::now();
    let rows = approvals.iter().map(|approval| {
        let operation = approval.operation.clone().unwrap_or_default();
        vec![
            approval.id.clone(),
            json::word(approval.state().as_str_name(), "STATE_"),
            table::ago(approval.requested_at.as_ref(), now),
            match approval.state() {
                State::Approved | State::Pending => table::ago(approval.expires_at.as_ref(), now),
                State::Denied | State::Expired | State::Unspecified | State::Used => String::new(),
            },
            approval.session_key.clone(),
            approval.on_behalf_of.clone(),
            operation.sandbox.clone(),
            operation.cwd.clone(),
            operation.binary.clone(),
            words(Some(&operation)),
        ]
    });
    let header =
        ["ID", "STATE", "ASKED", "LAPSES", "SESSION", "FOR", "SANDBOX", "IN", "PROGRAM", "COMMAND"];
    table::columns(&header, rows)
}

fn facts(approval: &Approval) -> String {
    let now = jiff::Timestamp::now();
    let operation = approval.operation.clone().unwrap_or_default();
    table::facts(&[
        ("command", words(Some(&operation))),
        ("program", operation.binary),
        ("program sha256", operation.binary_digest),
        ("in", operation.cwd),
        ("environment sha256", operation.environment_digest),
        ("sandbox", operation.sandbox),
        ("state", json::word(approval.state().as_str_name(), "STATE_")),
        ("asked", table::ago(approval.requested_at.as_ref(), now)),
        ("lapses", table::ago(approval.expires_at.as_ref(), now)),
        ("session", approval.session_key.clone()),
        ("run", approval.run_id.clone()),
        ("for", approval.on_behalf_of.clone()),
        ("answered by", approval.decided_by.clone()),
        ("reason", approval.reason.clone()),
        ("used by", approval.used_by_run_id.clone()),
    ])
}

fn standing_rows(standing: &[StandingApproval]) -> String {
    let now = jiff::Timestamp::now();
    let rows = standing.iter().map(|standing| {
        let operation = standing.operation.clone().unwrap_or_default();
        vec![
            standing.id.clone(),
            standing.agent_id.clone(),
            standing.on_behalf_of.clone(),
            standing.uses.to_string(),
            table::ago(standing.created_at.as_ref(), now),
            standing.created_by.clone(),
            operation.sandbox.clone(),
            operation.cwd.clone(),
            operation.binary.clone(),
            words(Some(&operation)),
        ]
    });
    let header =
        ["ID", "AGENT", "FOR", "USES", "APPROVED", "BY", "SANDBOX", "IN", "PROGRAM", "COMMAND"];
    table::columns(&header, rows)
}
