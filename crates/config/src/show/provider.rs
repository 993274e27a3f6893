//! Providers as `config show` writes them.

use std::fmt;

use super::{quoted, quoted_path};
use crate::{Endpoint, Provider};

pub(super) fn write(out: &mut fmt::Formatter<'_>, provider: &Provider) -> fmt::Result {
    writeln!(out, "api = {}", quoted(provider.api().name()))?;
    match provider {
        Provider::AnthropicMessages(endpoint) | Provider::OpenAiCompletions(endpoint) => {
            write_endpoint(out, endpoint)
        }
        Provider::Offline { script: Some(script) } => {
            writeln!(out, "script = {}", quoted_path(script))
        }
        Provider::Offline { script: None } => Ok(()),
    }
}

fn write_endpoint(out: &mut fmt::Formatter<'_>, endpoint: &Endpoint) -> fmt::Result {
    writeln!(out, "baseUrl = {}", quoted(endpoint.base_url.as_str()))?;
    let keys = endpoint.api_keys.iter().map(|key| format!("{{ env = {} }}", quoted(&key.env)));
    match keys.collect::<Vec<_>>().as_slice() {
        [] => {}
        [key] => writeln!(out, "apiKey = {key}")?,
        keys => writeln!(out, "apiKeys = [{}]", keys.join(", "))?,
    }
    let models = endpoint.pictures.iter();
    let models = models
        .map(|id| format!("{{ id = {}, input = [\"text\", \"image\"] }}", quoted(id)))
        .collect::<Vec<_>>();
    if !models.is_empty() {
        writeln!(out, "models = [{}]", models.join(", "))?;
    }
    writeln!(out, "timeoutSeconds = {}", endpoint.timeout.as_secs())
}
