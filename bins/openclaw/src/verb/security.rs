//! `security`: what weakens the gateway.

use openclaw_client::v1::security_finding::Severity;
use openclaw_client::v1::{SecurityAuditRequest, SecurityAuditResponse, SecurityFinding};

use crate::cli::SecurityVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{json, table};

pub(super) async fn run(
    verb: SecurityVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let SecurityVerb::Audit = verb;
    let client = place.connect_for(&["security.audit"]).await?;
    let audit = client.security().audit(SecurityAuditRequest {}).await?.into_inner();
    match output.format() {
        Format::Human => output.block(&findings(&audit))?,
        Format::Json => output.message(&audit)?,
    }
    Ok(verdict(&audit.findings))
}

/// Decides whether something should be mended. What this version does not know might be grave.
fn verdict(findings: &[SecurityFinding]) -> Exit {
    let is_harmless = |finding: &SecurityFinding| finding.severity() == Severity::Info;
    if findings.iter().all(is_harmless) { Exit::Ok } else { Exit::Failed }
}

fn findings(audit: &SecurityAuditResponse) -> String {
    let checks = format!("{} checks, {} findings\n", audit.checks, audit.findings.len());
    if audit.findings.is_empty() {
        return checks;
    }
    let rows = audit.findings.iter().map(|finding| {
        vec![
            json::word(finding.severity().as_str_name(), "SEVERITY_"),
            finding.id.clone(),
            finding.subject.clone(),
            finding.message.clone(),
            finding.fix.clone(),
        ]
    });
    let header = ["SEVERITY", "CHECK", "ABOUT", "FOUND", "MENDED BY"];
    format!("{checks}\n{}", table::columns(&header, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_should_be_mended_fails() {
        use Severity::{Critical, Info, Unspecified, Warn};
        for (severities, exit) in [
            (&[][..], Exit::Ok),
            (&[Info, Info], Exit::Ok),
            (&[Info, Warn], Exit::Failed),
            (&[Critical], Exit::Failed),
            (&[Unspecified], Exit::Failed),
        ] {
            let of =
                |it: &Severity| SecurityFinding { severity: (*it).into(), ..Default::default() };
            let findings: Vec<_> = severities.iter().map(of).collect();
            assert_eq!(verdict(&findings), exit, "{severities:?}");
        }
    }
}
