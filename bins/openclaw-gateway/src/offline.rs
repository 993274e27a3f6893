//! The verbs that work without a running gateway.

use std::io::Write as _;
use std::process::ExitCode;

use openclaw_gateway::offline::{self, OfflineError};
use openclaw_gateway::{AuditHead, Environment, Settings, Verification};
use serde::Serialize;
use serde_json::json;

use crate::devices;
use crate::flags::{AuditVerb, ConfigVerb, Flags, OfflineVerb};
use crate::serve::{CONFIGURATION, fail, state_dir};

/// Performs one verb.
pub(crate) fn run(flags: &Flags, verb: &OfflineVerb) -> ExitCode {
    let state_dir = match state_dir(flags) {
        Ok(state_dir) => state_dir,
        Err(message) => return fail(CONFIGURATION, message),
    };
    match verb {
        OfflineVerb::Audit(AuditVerb::Verify { head, json }) => {
            let known = match head.as_deref().map(str::parse::<AuditHead>).transpose() {
                Ok(known) => known,
                Err(error) => return fail(2, &error.to_string()),
            };
            block_on(async {
                match offline::verify_audit(&state_dir, known).await {
                    Ok(verification) => verified(&verification, *json),
                    Err(error) => refused(&error, *json),
                }
            })
        }
        OfflineVerb::Devices(verb) => block_on(devices::run(verb, &state_dir)),
        OfflineVerb::Fingerprint { json } => {
            let environment = Environment::of_process();
            match offline::fingerprint(&state_dir, flags.config.as_deref(), &environment) {
                Ok(fingerprint) if *json => {
                    print(&json!({ "fingerprint": fingerprint.to_string() }).to_string())
                }
                Ok(fingerprint) => print(&fingerprint.to_string()),
                Err(error) => refused(&error, *json),
            }
        }
        OfflineVerb::Config(verb) => {
            match offline::check_config(&state_dir, flags.config.as_deref()) {
                Ok(settings) => config(verb, &settings),
                Err(error) => {
                    let (ConfigVerb::Check { json } | ConfigVerb::Show { json }) = verb;
                    refused(&error, *json)
                }
            }
        }
    }
}

fn block_on(verb: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_current_thread().build() {
        Ok(runtime) => runtime.block_on(verb),
        Err(error) => fail(1, &error.to_string()),
    }
}

fn config(verb: &ConfigVerb, settings: &Settings) -> ExitCode {
    let path = settings.path.to_string_lossy();
    match verb {
        ConfigVerb::Check { json: true } => print(&json!({ "ok": true, "path": path }).to_string()),
        ConfigVerb::Check { json: false } => print(&format!("{path}: ok")),
        ConfigVerb::Show { json: true } => {
            print(&json!({ "toml": settings.show(), "path": path }).to_string())
        }
        ConfigVerb::Show { json: false } => print(settings.show().trim_end()),
    }
}

fn verified(verification: &Verification, is_json: bool) -> ExitCode {
    let is_ok = verification.findings.is_empty();
    let text = if is_json {
        let findings: Vec<_> = verification
            .findings
            .iter()
            .map(|found| {
                json!({ "sequence": found.seq, "kind": found.kind.name(), "detail": found.detail })
            })
            .collect();
        json!({
            "ok": is_ok,
            "checked": verification.checked,
            "sealed": verification.sealed,
            "head": head(&verification.head),
            "findings": findings,
            "unchecked": verification.unchecked.iter().map(head).collect::<Vec<_>>(),
        })
        .to_string()
    } else {
        let mut lines: Vec<_> = verification
            .findings
            .iter()
            .map(|found| format!("{}: row {}: {}", found.kind.name(), found.seq, found.detail))
            .collect();
        lines.extend(verification.unchecked.iter().map(|head| {
            format!("not checked: {head} stands in a sealed segment, whose rows are gone")
        }));
        lines.push(format!(
            "{}: {} rows checked, {} sealed, head {}",
            if is_ok { "ok" } else { "NOT OK" },
            verification.checked,
            verification.sealed,
            verification.head,
        ));
        lines.join("\n")
    };
    let printed = print(&text);
    if is_ok { printed } else { ExitCode::FAILURE }
}

fn head(head: &AuditHead) -> serde_json::Value {
    json!({ "sequence": head.seq, "digest": head.digest.to_string() })
}

/// Says why, with what to do next: as lines, or as the document that `openclaw --json` shows.
pub(crate) fn refused(error: &OfflineError, is_json: bool) -> ExitCode {
    let (code, name) = match error {
        OfflineError::Certificate(_)
        | OfflineError::NoStore(_)
        | OfflineError::NotListening
        | OfflineError::Settings(_)
        | OfflineError::StateDir(_)
        | OfflineError::Open(_) => (CONFIGURATION, "CONFIGURATION"),
        OfflineError::Denied { .. } => (77, "PERMISSION_DENIED"),
        OfflineError::Request(_) => (2, "USAGE"),
        OfflineError::Device(_) | OfflineError::Store(_) => (1, "FAILED"),
    };
    let next = error.next();
    if !is_json {
        let next = next.map(|next| format!("\nnext: {next}")).unwrap_or_default();
        return fail(code, &format!("{error}{next}"));
    }
    let report = Report {
        error: Body {
            code: name,
            reason: error.reason(),
            message: error.to_string(),
            missing_scopes: [],
            request_id: "",
            grant: "",
            next: next.unwrap_or_default(),
        },
    };
    let text = serde_json::to_string(&report).unwrap_or_default();
    // Standard error may be gone; the exit code tells all the same.
    drop(writeln!(std::io::stderr(), "{text}"));
    ExitCode::from(code)
}

/// A refusal, as `openclaw --json` shows it.
#[derive(Serialize)]
struct Report {
    error: Body,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    code: &'static str,
    reason: &'static str,
    message: String,
    missing_scopes: [&'static str; 0],
    request_id: &'static str,
    grant: &'static str,
    next: String,
}

pub(crate) fn print(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
