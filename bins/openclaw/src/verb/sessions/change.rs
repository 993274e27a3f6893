//! What changes a conversation: how it is kept, where it begins anew, and its end.

use openclaw_client::Client;
use openclaw_client::v1::{
    CleanupRequest, CompactSessionRequest, DeleteSessionRequest, DeleteSessionResponse,
    GetSessionRequest, PatchSessionRequest, ResetSessionRequest, ResetSessionResponse, Session,
    UndoResetRequest,
};

use super::{facts, show, text};
use crate::cli::{Removal, SessionArg, SessionsVerb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::verb::{Step, confirmed};
use crate::wish;

pub(super) async fn run(
    verb: SessionsVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let blank = PatchSessionRequest::default;
    let (session, patch) = match verb {
        SessionsVerb::Delete { session, no_archive, removal } => {
            return delete(&session, no_archive, &removal, place, output).await;
        }
        SessionsVerb::Reset { session, reason, dry_run } => {
            // It can be taken back, so it needs no clear word.
            let step = if dry_run { Step::Show } else { Step::Remove };
            return reset(&session, text(reason), step, place, output).await;
        }
        SessionsVerb::Cleanup { removal } => return cleanup(&removal, place, output).await,
        SessionsVerb::Compact { session, dry_run } => {
            return compact(&session, dry_run, place, output).await;
        }
        SessionsVerb::UndoReset { session } => return undo_reset(&session, place, output).await,
        SessionsVerb::Archive { session } => {
            (session, PatchSessionRequest { archived: Some(true), ..blank() })
        }
        SessionsVerb::Unarchive { session } => {
            (session, PatchSessionRequest { archived: Some(false), ..blank() })
        }
        SessionsVerb::Pin { session } => {
            (session, PatchSessionRequest { pinned: Some(true), ..blank() })
        }
        SessionsVerb::Unpin { session } => {
            (session, PatchSessionRequest { pinned: Some(false), ..blank() })
        }
        SessionsVerb::Rename { session, label } => {
            (session, PatchSessionRequest { label: Some(label), ..blank() })
        }
        SessionsVerb::Categorize { session, category } => {
            (session, PatchSessionRequest { category: Some(category), ..blank() })
        }
        SessionsVerb::Model { session, model } => {
            (session, PatchSessionRequest { model: Some(model), ..blank() })
        }
        SessionsVerb::SendPolicy { session, policy } => {
            let send_policy = Some(policy.wire().to_owned());
            (session, PatchSessionRequest { send_policy, ..blank() })
        }
        // The caller shows these.
        SessionsVerb::History { .. }
        | SessionsVerb::List { .. }
        | SessionsVerb::New { .. }
        | SessionsVerb::Show { .. } => return Ok(Exit::Ok),
    };
    let SessionArg { key, agent } = session;
    let request = PatchSessionRequest { key, agent_id: text(agent), ..patch };
    let when = match request.send_policy {
        Some(_) => "runtime policy",
        None => "organization and model",
    };
    let client = place.connect(wish::when("sessions.patch", when)).await?;
    show(&client.sessions().patch(request).await?.into_inner(), output)?;
    Ok(Exit::Ok)
}

/// Connects to change a conversation, as its owner if this device is, else as an administrator.
async fn connect_to_change(
    method: &str,
    session: &SessionArg,
    place: &Place,
) -> Result<(Client, Session), Failure> {
    let client = place.connect_for(&["sessions.get"]).await?;
    let request =
        GetSessionRequest { key: session.key.clone(), agent_id: text(session.agent.as_ref()) };
    let found = client.sessions().get(request).await?.into_inner();
    let Some(admission) = client.admission() else { return Ok((client, found)) };
    let is_own = found.owner == format!("device:{}", admission.device);
    let when = if is_own { "own session" } else { "session of others" };
    Ok((place.connect(wish::when(method, when)).await?, found))
}

async fn delete(
    session: &SessionArg,
    no_archive: bool,
    removal: &Removal,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let command = place.command(&format!("sessions delete {}", session.key));
    let step = confirmed(removal, &format!("session `{}`", session.key), &command)?;
    let (client, found) = connect_to_change("sessions.delete", session, place).await?;
    if step == Step::Show {
        if is_main(&found) {
            let text = format!("session `{}` is its agent's main one, which stays", found.key);
            let next = place.command(&format!("sessions reset {}", found.key));
            return Err(Failure::advised(Exit::Failed, text, next));
        }
        return would("delete", &found, output);
    }
    let request = DeleteSessionRequest { key: found.key, agent_id: String::new(), no_archive };
    let deleted = client.sessions().delete(request).await?.into_inner();
    match output.format() {
        Format::Human => output.line(&gone(&deleted))?,
        Format::Json => output.message(&deleted)?,
    }
    Ok(Exit::Ok)
}

async fn cleanup(removal: &Removal, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let what = "what is not needed any more";
    let step = confirmed(removal, what, &place.command("sessions cleanup"))?;
    let client = place.connect_for(&["sessions.cleanup"]).await?;
    let request = CleanupRequest { dry_run: step == Step::Show };
    let told = client.sessions().cleanup(request).await?.into_inner();
    match output.format() {
        Format::Human => {
            let (sessions, files) = (told.keys.len(), told.files.len());
            let how = if told.done { "removed" } else { "would remove" };
            let line = format!(
                "{how} {sessions} sessions, and {files} files of {} bytes",
                told.file_bytes
            );
            output.line(&line)?;
            for gone in told.keys.iter().chain(&told.files) {
                output.line(&format!("  {gone}"))?;
            }
        }
        Format::Json => output.message(&told)?,
    }
    Ok(Exit::Ok)
}

fn is_main(session: &Session) -> bool {
    session.key == format!("agent:{}:main", session.agent_id)
}

fn gone(deleted: &DeleteSessionResponse) -> String {
    let DeleteSessionResponse { key, entries, ended_run_ids, archive_path, purged } = deleted;
    let ended = ended_run_ids.len();
    let kept = match archive_path.as_str() {
        "" => String::new(),
        path => format!("; kept as {path}"),
    };
    let rest = if *purged { "" } else { "; its rows go in the background" };
    format!("deleted {key}: {entries} entries, {ended} runs ended{kept}{rest}")
}

fn would(verb: &str, found: &Session, output: &mut Output) -> Result<Exit, Failure> {
    match output.format() {
        Format::Human => {
            output.line(&format!("would {verb} {}", found.key))?;
            output.block(&facts(found))?;
        }
        Format::Json => output.message(found)?,
    }
    Ok(Exit::Ok)
}

async fn reset(
    session: &SessionArg,
    reason: String,
    step: Step,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (client, found) = connect_to_change("sessions.reset", session, place).await?;
    if step == Step::Show {
        return would("reset", &found, output);
    }
    let request = ResetSessionRequest { key: found.key, agent_id: String::new(), reason };
    let reset = client.sessions().reset(request).await?.into_inner();
    tell(&reset, "begins anew with", output)
}

async fn compact(
    session: &SessionArg,
    dry_run: bool,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (client, found) = connect_to_change("sessions.compact", session, place).await?;
    let request = CompactSessionRequest { key: found.key, agent_id: String::new(), dry_run };
    let told = client.sessions().compact(request).await?.into_inner();
    match output.format() {
        Format::Human => {
            let (key, folded) = (&told.key, told.tokens_folded);
            let how = if told.done { "stands" } else { "would stand" };
            output.line(&format!(
                "{key}: a summary {how} for {folded} of {} tokens, everything before entry {}",
                told.tokens_before, told.first_kept
            ))?;
        }
        Format::Json => output.message(&told)?,
    }
    Ok(Exit::Ok)
}

async fn undo_reset(
    session: &SessionArg,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (client, found) = connect_to_change("sessions.undoReset", session, place).await?;
    let request = UndoResetRequest { key: found.key, agent_id: String::new() };
    let reset = client.sessions().undo_reset(request).await?.into_inner();
    tell(&reset, "is shown again from", output)
}

fn tell(reset: &ResetSessionResponse, how: &str, output: &mut Output) -> Result<Exit, Failure> {
    match output.format() {
        Format::Human => {
            let key = reset.session.as_ref().map(|session| session.key.as_str());
            let ended = match reset.ended_run_ids.len() {
                0 => String::new(),
                1 => "; a sub-agent was ended".to_owned(),
                ended => format!("; {ended} sub-agents were ended"),
            };
            let key = key.unwrap_or_default();
            output.line(&format!("{key} {how} entry {}{ended}", reset.context_from))?;
        }
        Format::Json => output.message(reset)?,
    }
    Ok(Exit::Ok)
}
