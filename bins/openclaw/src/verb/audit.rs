//! `audit`: the decision log.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;

use openclaw_client::ConnectError;
use openclaw_client::v1::audit_record::Decision;
use openclaw_client::v1::{
    AuditHead, AuditRecord, ExportAuditRequest, ListAuditRequest, VerifyAuditRequest,
    VerifyAuditResponse,
};

use super::access::principal_name;
use super::text;
use crate::cli::{AuditVerb, Head};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::reach::Reached;
use crate::{block_on, json, offline, pages, table, wish};

pub(super) async fn run(
    verb: AuditVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let wish = match &verb {
        AuditVerb::List { own: true, .. } => wish::when("audit.list", "own rows"),
        AuditVerb::List { .. } => wish::of(&["audit.list"]),
        AuditVerb::Export { .. } | AuditVerb::Verify { .. } => wish::of(&["audit.export"]),
    };
    let mut audit = place.connect(wish).await?.audit();
    match verb {
        AuditVerb::List { own, all: _, method, principal, denied, rows } => {
            let decision = if denied { Decision::Denied } else { Decision::Unspecified };
            let request = ListAuditRequest {
                all: !own,
                method: text(method),
                principal: text(principal.as_deref().map(principal_name)),
                decision: decision.into(),
                ..ListAuditRequest::default()
            };
            let list = pages::collect(&rows, async |page_size, page_token| {
                let request = ListAuditRequest { page_size, page_token, ..request.clone() };
                Ok(audit.list(request).await?.into_inner())
            });
            let list = list.await?;
            match output.format() {
                Format::Human if list.records.is_empty() => output.note("no decisions")?,
                Format::Human => output.block(&decisions(&list.records))?,
                Format::Json => output.message(&list)?,
            }
        }
        AuditVerb::Export { output: file } => {
            let records = audit.export(ExportAuditRequest { from_sequence: 0 }).await?;
            export(records.into_inner(), file.as_deref(), output).await?;
        }
        // Handled by `verify`, which needs no gateway.
        AuditVerb::Verify { .. } => {}
    }
    Ok(Exit::Ok)
}

/// Writes the log; a file appears only when it is complete.
async fn export(
    mut records: tonic::Streaming<AuditRecord>,
    file: Option<&Path>,
    output: &mut Output,
) -> Result<(), Failure> {
    let unwritten = |path: &Path, error: io::Error| {
        Failure::told(Exit::Failed, format!("cannot write `{}`: {error}", path.display()))
    };
    let mut target = match file {
        Some(path) => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let made = tempfile::NamedTempFile::new_in(parent.unwrap_or_else(|| Path::new(".")));
            let new = made.map_err(|error| unwritten(path, error))?;
            Some((path, io::BufWriter::new(new)))
        }
        None => None,
    };
    let mut head = AuditHead::default();
    while let Some(record) = records.message().await? {
        let line = output.json_line(&record)?;
        match &mut target {
            Some((path, new)) => {
                new.write_all(line.as_bytes()).map_err(|error| unwritten(path, error))?;
            }
            None => output.bytes(line.as_bytes())?,
        }
        head = AuditHead { sequence: record.sequence, digest: record.digest };
    }
    if let Some((path, new)) = target {
        let kept = new.into_inner().map_err(io::IntoInnerError::into_error).and_then(|new| {
            new.as_file().sync_all()?;
            new.persist(path)?;
            Ok(())
        });
        kept.map_err(|error| unwritten(path, error))?;
    }
    if output.format() == Format::Human {
        output.note(&format!("head {}:{}", head.sequence, head.digest))?;
    }
    Ok(())
}

/// Recomputes the chain: the gateway does, or, when none runs here, the daemon's program.
pub(super) fn verify(
    head: Option<Head>,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let written = head.as_ref().map(|head| format!("{}:{}", head.sequence, head.digest));
    match block_on(ask(head, place)) {
        Ok(answer) => {
            match output.format() {
                Format::Human => output.block(&findings(&answer))?,
                Format::Json => output.message(&answer)?,
            }
            Ok(if answer.ok { Exit::Ok } else { Exit::Failed })
        }
        Err(Failure::Connect(ConnectError::NotRunning { .. }))
            if matches!(place.reached()?, Reached::Here(_)) =>
        {
            let mut verb: Vec<OsString> = ["audit", "verify"].map(Into::into).into();
            if let Some(written) = written {
                verb.extend(["--head".into(), written.into()]);
            }
            match offline::hand_over(place, verb, output)? {}
        }
        Err(failure) => Err(failure),
    }
}

async fn ask(head: Option<Head>, place: &Place) -> Result<VerifyAuditResponse, Failure> {
    let head = head.map(|Head { sequence, digest }| AuditHead { sequence, digest });
    let mut audit = place.connect_for(&["audit.verify"]).await?.audit();
    Ok(audit.verify(VerifyAuditRequest { head }).await?.into_inner())
}

fn findings(answer: &VerifyAuditResponse) -> String {
    let head = answer.head.clone().unwrap_or_default();
    let sealed = match answer.sealed {
        0 => String::new(),
        sealed => format!(", {sealed} in sealed segments"),
    };
    let checked =
        format!("{} rows{sealed}, head {}:{}\n", answer.checked, head.sequence, head.digest);
    let unchecked: String = answer
        .unchecked
        .iter()
        .map(|AuditHead { sequence, digest }| {
            format!(
                "not checked: {sequence}:{digest} stands in a sealed segment, whose rows are gone\n"
            )
        })
        .collect();
    let checked = format!("{checked}{unchecked}");
    if answer.ok {
        return format!("the chain holds: {checked}");
    }
    let rows = answer.findings.iter().map(|finding| {
        vec![finding.sequence.to_string(), finding.kind.clone(), finding.detail.clone()]
    });
    let table = table::columns(&["SEQUENCE", "FOUND", "DETAIL"], rows);
    format!("the chain does not hold: {checked}\n{table}")
}

fn decisions(records: &[AuditRecord]) -> String {
    let now = jiff::Timestamp::now();
    let rows = records.iter().map(|record| {
        vec![
            record.sequence.to_string(),
            table::ago(record.at.as_ref(), now),
            json::word(record.decision().as_str_name(), "DECISION_"),
            record.method.clone(),
            record.target.clone(),
            record.principal.clone(),
            record.on_behalf_of.clone(),
            match record.count {
                0 | 1 => record.reason.clone(),
                count => format!("{} ×{count}", record.reason),
            },
        ]
    });
    let header =
        ["SEQUENCE", "WHEN", "DECISION", "METHOD", "TARGET", "PRINCIPAL", "ON BEHALF OF", "REASON"];
    table::columns(&header, rows)
}
