//! From text to configuration: syntax, then keys, then values, then what must fit together.

mod agents;
mod channels;
mod heartbeat;
mod hooks;
mod keys;
mod listen;
mod models;
mod session;
mod settings;

use toml::de::DeTable;

use crate::read::{Faults, Section};
use crate::{Config, ConfigErrors, Problem};

/// The most bytes that a configuration may have.
const MAX_TEXT: usize = 1_048_576;

/// Parses the text of a configuration, and reports all its mistakes at once.
///
/// After a mistake in the syntax only the names of keys before it are checked.
///
/// # Errors
/// When the text is not TOML or larger than 1 MiB, a key is unknown or given twice, a value is of
/// the wrong type or out of range, a secret stands in the text, or what a
/// key names does not exist: a model's provider, a binding's agent.
pub fn parse(text: &str) -> Result<Config, ConfigErrors> {
    let mut faults = Faults::new(text);
    if text.len() > MAX_TEXT {
        faults.report(0, Problem::TooLarge { max: MAX_TEXT });
        return faults.or(embedded_defaults());
    }
    let (root, syntax) = DeTable::parse_recoverable(text);
    let intact = report_syntax(&syntax, &mut faults);
    let root = Section::root(Some(root.get_ref()));
    keys::check(&root, "", intact.unwrap_or(text.len()), &mut faults);
    if intact.is_some() {
        return faults.or(embedded_defaults());
    }
    let config = build(&root, &mut faults);
    faults.or(config)
}

/// Reports what the parser of TOML says, and returns where the text stops making sense, if it does.
fn report_syntax(errors: &[toml::de::Error], faults: &mut Faults<'_>) -> Option<usize> {
    let mut intact = None;
    for error in errors {
        let span = error.span().unwrap_or(faults.text.len()..faults.text.len());
        let at = span.start;
        let problem = if error.message() == "duplicate key" {
            let key = faults.text.get(span).unwrap_or_default();
            Problem::DuplicateKey { key: shortened(key) }
        } else {
            intact = Some(intact.map_or(at, |before: usize| before.min(at)));
            Problem::Syntax { message: error.message().replace(char::is_control, " ") }
        };
        faults.report(at, problem);
    }
    intact
}

/// Returns the beginning of a key, fit for a message.
fn shortened(key: &str) -> String {
    key.chars().take(64).flat_map(char::escape_debug).collect()
}

/// The configuration of a gateway whose text says nothing.
pub(crate) fn embedded_defaults() -> Config {
    build(&Section::root(None), &mut Faults::new(""))
}

/// Reads what the text says over the defaults; what is faulty is reported and left at its default.
fn build(root: &Section<'_>, faults: &mut Faults<'_>) -> Config {
    let mut models = models::read(root, faults);
    let channels = channels::read(root, &mut models.secrets, faults);
    let agents = agents::read(root, &models, faults);
    let prices = models::prices(root, &models.declared, faults);
    agents::check_delegation(root, &agents, faults);
    agents::check_prices(root, &agents, &prices, faults);
    let hooks = hooks::read(root, &agents.entries, &mut models.secrets, faults);
    let bindings = session::bindings(root, &agents.entries, faults);
    Config {
        agents: agents.entries,
        audit: settings::audit(root, faults),
        bindings,
        channels,
        cron: settings::cron(root, faults),
        defaults: agents.defaults,
        events: settings::events(root, faults),
        exec: settings::exec(root, &models.secrets, faults),
        gateway: settings::gateway(root, faults),
        hooks,
        listen: listen::listen(root, faults),
        prices,
        providers: models.providers,
        inbound: session::inbound(root, faults),
        queue: session::queue(root, faults),
        session: session::session(root, faults),
        tools_of_subagents: settings::tools_of_subagents(root, faults),
        web_fetch: settings::web_fetch(root, faults),
    }
}

#[cfg(test)]
mod tests;
