//! The verbs: each asks the gateway once or a few times and shows the answer.

mod access;
mod agents;
mod approvals;
mod ask;
mod audit;
mod channels;
mod config;
mod connect;
mod context;
mod cron;
mod delivery;
mod devices;
mod events;
mod gateway;
mod message;
mod models;
mod pairing;
mod runs;
mod security;
mod sessions;
mod subagents;
mod system;
mod tokens;

use clap::CommandFactory as _;
use openclaw_scopes::{Scope, ScopeSet};

use crate::cli::{AuditVerb, Cli, ConfigVerb, DevicesVerb, GatewayVerb, Removal, Verb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;
use crate::place::Place;
use crate::{block_on, offline};

/// Does what the command line says.
pub(crate) fn run(verb: Verb, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    if let Verb::Completion { shell } = verb {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "openclaw", &mut script);
        output.bytes(&script)?;
        return Ok(Exit::Ok);
    }
    place.refuse_foreign()?;
    let look = look(&verb);
    of_group(verb, place, output).map_err(|failure| failure.or_look(|| place.command(look)))
}

/// Returns the verb that shows what became of the others of a group.
fn look(verb: &Verb) -> &'static str {
    match verb {
        Verb::Agents(_) => "agents list",
        Verb::Channels(_) => "channels status",
        Verb::Cron(_) | Verb::Heartbeat(_) => "cron list --all",
        Verb::Delivery(_) | Verb::Message(_) => "delivery list",
        Verb::Devices(DevicesVerb::Upgrade { .. }) => "devices list --own",
        Verb::Devices(_) => "devices list",
        Verb::Pairing(_) => "pairing list",
        Verb::Runs(_) => "runs list",
        Verb::Sessions(_) => "sessions list",
        Verb::Approvals(_) => "approvals list",
        Verb::Subagents(_) => "subagents list",
        Verb::Tokens(_) => "tokens list",
        _ => "status",
    }
}

fn of_group(verb: Verb, place: &Place, output: &mut Output) -> Result<Exit, Failure> {
    match verb {
        Verb::Access(verb) => block_on(access::run(verb, place, output)),
        Verb::Agent(args) => block_on(ask::agent(args, place, output)),
        Verb::Agents(verb) => block_on(agents::run(verb, place, output)),
        Verb::Audit(AuditVerb::Verify { head }) => audit::verify(head, place, output),
        Verb::Audit(verb) => block_on(audit::run(verb, place, output)),
        Verb::Channels(verb) => block_on(channels::run(verb, place, output)),
        Verb::Chat(args) => block_on(ask::chat(args, place, output)),
        Verb::Completion { .. } => Ok(Exit::Ok),
        Verb::Config(ConfigVerb::Check { config }) => config::check(config, place, output),
        Verb::Config(verb) => block_on(config::run(verb, place, output)),
        Verb::Connect(args) => block_on(connect::run(args, place, output)),
        Verb::Context(verb) => context::run(verb, place, output),
        Verb::Cron(verb) => block_on(cron::run(verb, place, output)),
        Verb::Delivery(verb) => block_on(delivery::run(verb, place, output)),
        Verb::Devices(verb) => devices::run(verb, place, output),
        Verb::Events(args) => block_on(events::run(args, place, output)),
        Verb::Gateway(GatewayVerb::Fingerprint) => gateway::fingerprint(place, output),
        Verb::Gateway(GatewayVerb::Run { args }) => match offline::become_daemon(place, args)? {},
        Verb::Gateway(GatewayVerb::Status) | Verb::Status => {
            block_on(gateway::status(place, output))
        }
        Verb::Heartbeat(verb) => block_on(cron::run(verb.into(), place, output)),
        Verb::Health(args) => block_on(gateway::health(&args, place, output)),
        Verb::Message(verb) => block_on(message::run(verb, place, output)),
        Verb::Models(verb) => block_on(models::run(verb, place, output)),
        Verb::Pairing(verb) => block_on(pairing::run(verb, place, output)),
        Verb::Runs(verb) => block_on(runs::run(verb, place, output)),
        Verb::Security(verb) => block_on(security::run(verb, place, output)),
        Verb::Sessions(verb) => block_on(sessions::run(verb, place, output)),
        Verb::Approvals(verb) => block_on(approvals::run(verb, place, output)),
        Verb::Subagents(verb) => block_on(subagents::run(verb, place, output)),
        Verb::System(verb) => block_on(system::run(verb, place, output)),
        Verb::Tokens(verb) => block_on(tokens::run(verb, place, output)),
        Verb::Usage(args) => block_on(gateway::usage(&args, place, output)),
    }
}

/// What to do about something that is to be removed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Remove,
    Show,
}

/// Asks for a clear word before something is removed.
fn confirmed(removal: &Removal, what: &str, command: &str) -> Result<Step, Failure> {
    match (removal.dry_run, removal.yes) {
        (true, _) => Ok(Step::Show),
        (false, true) => Ok(Step::Remove),
        (false, false) => {
            let cause = format!("{what} would be removed; say --yes, or look first with --dry-run");
            Err(Failure::advised(Exit::Usage, cause, format!("{command} --yes")))
        }
    }
}

/// Returns the text of an argument that was not given as the wire wants it.
fn text(argument: Option<impl ToString>) -> String {
    argument.map(|value| value.to_string()).unwrap_or_default()
}

/// Returns the names of scopes, exactly those.
fn names(scopes: ScopeSet) -> Vec<String> {
    scopes.iter().map(|scope| scope.name().to_owned()).collect()
}

/// Returns the scopes of these names that this version knows.
fn named(names: &[String]) -> ScopeSet {
    let known = names.iter().filter_map(|name| Scope::parse(name).ok());
    known.fold(ScopeSet::EMPTY, ScopeSet::with)
}
