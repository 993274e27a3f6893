//! `access`: questions about authority.

use openclaw_client::v1::{ExplainRequest, ExplainResponse};

use super::text;
use crate::cli::AccessVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::table;

pub(super) async fn run(
    verb: AccessVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let AccessVerb::Explain { method, principal, target } = verb;
    let client = place.connect().await?;
    let request = ExplainRequest { method, principal: text(principal), target: text(target) };
    let explanation = client.access().explain(request).await?.into_inner();
    match output.format() {
        Format::Human => output.block(&show(&explanation))?,
        Format::Json => output.message(&explanation)?,
    }
    Ok(Exit::Ok)
}

fn show(explanation: &ExplainResponse) -> String {
    let facts = table::facts(&[
        ("method", explanation.method.clone()),
        ("path", explanation.path.clone()),
        ("does", explanation.summary.clone()),
        ("principal", explanation.principal.clone()),
        ("on behalf of", explanation.on_behalf_of.clone()),
        ("scopes", explanation.held_scopes.join(" ")),
        ("capabilities", explanation.held_capabilities.join(" ")),
    ]);
    let rows = explanation.verdicts.iter().map(|verdict| {
        let answer = if verdict.allowed { "allowed" } else { "denied" };
        vec![
            if verdict.when.is_empty() { "always".to_owned() } else { verdict.when.clone() },
            verdict.requires.clone(),
            verdict.internal.clone(),
            answer.to_owned(),
            verdict.denial.clone(),
            verdict.smallest_grant.join(" "),
        ]
    });
    let header = ["WHEN", "REQUIRES", "INTERNAL", "ANSWER", "WHY", "SMALLEST GRANT"];
    format!("{facts}\n{}", table::columns(&header, rows))
}
