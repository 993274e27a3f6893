//! `models`: the models that agents use.

use openclaw_client::v1::{ListModelsRequest, Model, ProbeModelRequest};

use super::text;
use crate::cli::ModelsVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{json, length, table};

pub(super) async fn run(
    verb: ModelsVerb,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let methods: &[&str] = match &verb {
        ModelsVerb::List => &["models.list"],
        ModelsVerb::Test { .. } => &["models.probe"],
    };
    let mut models = place.connect_for(methods).await?.models();
    match verb {
        ModelsVerb::List => {
            let list = models.list(ListModelsRequest {}).await?.into_inner();
            match output.format() {
                Format::Human if list.models.is_empty() => output.note("no models")?,
                Format::Human => output.block(&rows(&list.models))?,
                Format::Json => output.message(&list)?,
            }
            Ok(Exit::Ok)
        }
        ModelsVerb::Test { name } => {
            let probe = models.probe(ProbeModelRequest { name: text(name) }).await?.into_inner();
            let elapsed = probe.elapsed.as_ref().and_then(openclaw_proto::from_duration);
            let elapsed = length::show(elapsed.unwrap_or_default());
            match (output.format(), probe.ok) {
                (Format::Json, _) => output.message(&probe)?,
                (Format::Human, true) => {
                    output
                        .line(&format!("{} answered in {elapsed}: {}", probe.name, probe.text))?;
                }
                (Format::Human, false) => {}
            }
            if probe.ok {
                return Ok(Exit::Ok);
            }
            let cause = format!("{} did not answer: {}", probe.name, probe.error);
            Err(Failure::advised(Exit::Failed, cause, place.command("models list")))
        }
    }
}

fn rows(models: &[Model]) -> String {
    let rows = models.iter().map(|model| {
        vec![
            model.name.clone(),
            model.api.clone(),
            model.base_url.clone(),
            json::word(model.credential().as_str_name(), "CREDENTIAL_"),
            model.primary_for.join(" "),
            model.fallback_for.join(" "),
        ]
    });
    table::columns(&["NAME", "API", "URL", "KEY", "FIRST FOR", "FALLBACK FOR"], rows)
}
