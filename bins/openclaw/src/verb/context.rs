//! `context`: gateways with a name.

use serde::Serialize;

use super::{Step, confirmed};
use crate::cli::ContextVerb;
use crate::contexts::{Context, Contexts};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::table;

/// The names, as `context … --json` shows them.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    current: &'a str,
    contexts: Vec<Row<'a>>,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    gateway: &'a str,
    addresses: &'a [String],
    fingerprint: &'a str,
}

pub(super) fn run(verb: ContextVerb, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    let mut contexts = Contexts::read(place.state_dir())?;
    let said = match verb {
        ContextVerb::List => String::new(),
        ContextVerb::Use { name } => {
            contexts.context(&name)?;
            let said = format!("using {name}");
            contexts.current = Some(name);
            contexts.write(place.state_dir())?;
            said
        }
        ContextVerb::Rm { name, removal } => {
            contexts.context(&name)?;
            let command = place.command(&format!("context rm {name}"));
            match confirmed(&removal, &format!("context `{name}`"), &command)? {
                Step::Show => format!("would remove context {name}"),
                Step::Remove => {
                    contexts.contexts.remove(&name);
                    contexts.current = contexts.current.filter(|current| *current != name);
                    contexts.write(place.state_dir())?;
                    format!("removed context {name}")
                }
            }
        }
    };
    match output.format() {
        Format::Json => output.document(&listed(&contexts))?,
        Format::Human if !said.is_empty() => output.line(&said)?,
        Format::Human if contexts.contexts.is_empty() => output.note("no contexts")?,
        Format::Human => output.block(&rows(&contexts))?,
    }
    Ok(Exit::Ok)
}

fn listed(contexts: &Contexts) -> Listed<'_> {
    let rows = contexts.contexts.iter();
    Listed {
        current: contexts.current.as_deref().unwrap_or_default(),
        contexts: rows.map(|(name, context)| row(name, context)).collect(),
    }
}

fn row<'a>(name: &'a str, context: &'a Context) -> Row<'a> {
    let fingerprint = context.fingerprint.as_deref().unwrap_or_default();
    Row { name, gateway: &context.gateway, addresses: &context.addresses, fingerprint }
}

fn rows(contexts: &Contexts) -> String {
    let rows = contexts.contexts.iter().map(|(name, context)| {
        let is_current = contexts.current.as_ref() == Some(name);
        let mark = if is_current { "*" } else { " " };
        vec![mark.to_owned(), name.clone(), context.gateway.clone()]
    });
    table::columns(&["", "NAME", "GATEWAY"], rows)
}
