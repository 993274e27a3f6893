//! `access`: questions about authority.

use openclaw_client::v1::{ExplainRequest, ExplainResponse, ShowAccessRequest, ShowAccessResponse};

use super::text;
use crate::cli::AccessVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{table, wish};

/// The fewest characters by which a device can be named, as the gateway takes them.
const PREFIX: usize = 6;

pub(super) async fn run(
    verb: AccessVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let wish = |method, about: Option<&String>| match about {
        None => wish::when(method, "own access"),
        Some(_) => wish::of(&[method]),
    };
    match verb {
        AccessVerb::Explain { method, principal, target } => {
            let client = place.connect(wish("access.explain", principal.as_ref())).await?;
            let principal = text(principal.as_deref().map(principal_name));
            let request = ExplainRequest { method, principal, target: text(target) };
            let explanation = client.access().explain(request).await?.into_inner();
            match output.format() {
                Format::Human => output.block(&explained(&explanation))?,
                Format::Json => output.message(&explanation)?,
            }
        }
        AccessVerb::Show { principal } => {
            let client = place.connect(wish("access.show", principal.as_ref())).await?;
            let principal = text(principal.as_deref().map(principal_name));
            let shown = client.access().show(ShowAccessRequest { principal }).await?.into_inner();
            match output.format() {
                Format::Human => output.block(&shown_access(&shown))?,
                Format::Json => output.message(&shown)?,
            }
        }
    }
    Ok(Exit::Ok)
}

/// A principal as the gateway names it: what can only be a device's id is one.
pub(super) fn principal_name(text: &str) -> String {
    let is_hex = |c: char| c.is_ascii_digit() || matches!(c, 'a'..='f');
    if text.len() >= PREFIX && text.chars().all(is_hex) {
        format!("device:{text}")
    } else {
        text.to_owned()
    }
}

fn explained(explanation: &ExplainResponse) -> String {
    let facts = table::facts(&[
        ("method", explanation.method.clone()),
        ("path", explanation.path.clone()),
        ("does", explanation.summary.clone()),
        ("principal", explanation.principal.clone()),
        ("on behalf of", explanation.on_behalf_of.clone()),
        ("scopes", explanation.held_scopes.join(" ")),
        ("capabilities", explanation.held_capabilities.join(" ")),
        ("never delegated", explanation.never_delegated.join(" ")),
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
    let lines = table::columns(&header, rows);
    let mut remedies: Vec<_> = explanation.verdicts.iter().map(|it| it.next.as_str()).collect();
    remedies.sort_unstable();
    remedies.dedup();
    let remedies = remedies.iter().filter(|next| !next.is_empty());
    let remedies: String = remedies.map(|next| format!("next: {next}\n")).collect();
    format!("{facts}\n{lines}{remedies}")
}

fn shown_access(shown: &ShowAccessResponse) -> String {
    let now = jiff::Timestamp::now();
    let facts = table::facts(&[
        ("principal", shown.principal.clone()),
        ("on behalf of", shown.on_behalf_of.clone()),
        ("may do", or_nothing(&shown.effective_scopes)),
        ("epoch", shown.epoch.to_string()),
        ("may call", shown.methods.join(" ")),
    ]);
    let rows = shown.parts.iter().map(|part| {
        vec![
            part.kind.clone(),
            or_nothing(&part.scopes),
            part.origin.clone(),
            table::ago(part.since.as_ref(), now),
            table::ago(part.until.as_ref(), now),
        ]
    });
    let header = ["PART", "ALLOWS", "FROM", "SINCE", "UNTIL"];
    format!("{facts}\n{}", table::columns(&header, rows))
}

/// Returns scopes as one text, also when there is none.
pub(super) fn or_nothing(scopes: &[String]) -> String {
    if scopes.is_empty() { "nothing".to_owned() } else { scopes.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_devices_are_devices() {
        for (text, expected) in [
            ("21fe31dfa154", "device:21fe31dfa154"),
            ("21fe3", "21fe3"),
            ("device:21fe31", "device:21fe31"),
            ("owner", "owner"),
            ("run:abcdef", "run:abcdef"),
        ] {
            assert_eq!(principal_name(text), expected);
        }
    }
}
