//! `approvals`: commands of agents that somebody has to approve.

use openclaw_client::v1::approval::State;
use openclaw_client::v1::{
    Approval, ApproveCallRequest, DenyCallRequest, ListApprovalsRequest, ListStandingRequest,
    Operation, RevokeStandingRequest, StandingApproval,
};

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

/// The arguments as one text in which each can be told from the next.
fn words(operation: Option<&Operation>) -> String {
    let Some(operation) = operation else { return String::new() };
    let word = |word: &String| {
        let is_plain = !word.is_empty()
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c));
        if is_plain { word.clone() } else { format!("'{}'", quoted(word)) }
    };
    operation.argv.iter().map(word).collect::<Vec<_>>().join(" ")
}

/// What stands between quotes: nothing in it ends them, breaks the line or acts on a terminal.
fn quoted(word: &str) -> String {
    let shown = word.chars().map(|c| match c {
        '\'' => "'\\''".to_owned(),
        c if c.is_control() => c.escape_default().to_string(),
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => c.escape_unicode().to_string(),
        c => c.to_string(),
    });
    shown.collect()
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
            words(Some(&operation)),
        ]
    });
    let header = ["ID", "STATE", "ASKED", "LAPSES", "SESSION", "FOR", "SANDBOX", "IN", "COMMAND"];
    table::columns(&header, rows)
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
            words(Some(&operation)),
        ]
    });
    let header = ["ID", "AGENT", "FOR", "USES", "APPROVED", "BY", "SANDBOX", "IN", "COMMAND"];
    table::columns(&header, rows)
}
