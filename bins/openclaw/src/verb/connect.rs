//! `connect`: from this machine to a gateway on another one, once and for later.

use std::time::Duration;

use openclaw_client::{
    Address, Asks, CallError, Client, ConnectError, Fingerprint, Identity, Link, Options, PROPOSED,
    Target, Trust,
};
use openclaw_proto::scope_names;
use openclaw_scopes::ScopeSet;
use serde::Serialize;
use tokio::time::Instant;

use super::access::or_nothing;
use super::devices::{approval, reference, short};
use crate::cli::ConnectArgs;
use crate::contexts::{Context, Contexts};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::length;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::reach::{Reached, no_trust};
use crate::table;

/// The pause between two questions whether the device was approved.
const POLL: Duration = Duration::from_secs(2);

/// By what to connect.
#[derive(Debug)]
enum Way {
    /// An invitation, with the addresses of its gateway.
    Invited(Link),
    /// The gateway is known, perhaps by a context of this name; whether the device is, will be seen.
    Known(Vec<Address>, Fingerprint, Option<String>),
}

pub(super) async fn run(
    args: ConnectArgs,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if args.name.as_ref().is_some_and(|name| name.is_empty() || name.contains(':')) {
        let next = "choose another with --name";
        return Err(Failure::advised(Exit::Usage, "a name has no colon, and is not empty", next));
    }
    if place.environment().token.is_some() {
        let cause = "OPENCLAW_GATEWAY_TOKEN is set: commands use the token, and not this device";
        let next = "unset OPENCLAW_GATEWAY_TOKEN, or do without `connect`";
        return Err(Failure::advised(Exit::Usage, cause, next));
    }
    let way = way(&args, place)?;
    if matches!(way, Way::Invited(_)) && args.scopes.chosen().is_some() {
        let cause = "an invitation says itself what it grants";
        let next = "leave --scopes out, and ask for more with `openclaw devices upgrade`";
        return Err(Failure::advised(Exit::Usage, cause, next));
    }
    let contexts = Contexts::read(place.state_dir())?;
    // Before an invitation is spent, or a request is filed.
    if let Some(name) = &args.name
        && let Some(former) = contexts.contexts.get(name)
        && !former.fingerprint()?.is_some_and(|known| way.is_of(&known))
    {
        let cause = format!("context `{name}` is another gateway");
        let next = place.command(&format!("context rm {name}"));
        return Err(Failure::advised(Exit::Usage, cause, next));
    }
    let identity = place.device()?;
    let mut options = Options::default();
    if let Some(name) = args.device_name.clone() {
        options.name = name;
    }
    if let Some(scopes) = args.scopes.chosen() {
        options.wish = scopes;
    }
    let named = |host: &str, context: Option<String>, gateway: &Fingerprint| {
        let name = args.name.clone().or(context);
        name.unwrap_or_else(|| contexts.name_for(host, |known| known == gateway))
    };
    let mut kept = Kept { addresses: Vec::new(), device_name: args.device_name.clone(), place };
    let (client, name, first) = match way {
        Way::Invited(link) => {
            let (client, first) = Box::pin(Client::redeem(&link, &identity, &options)).await?;
            kept.addresses = link.addresses;
            let gateway = client.fingerprint().unwrap_or(Fingerprint([0; 32]));
            let name = named(first.host(), None, &gateway);
            kept.keep(&name, &first, gateway)?;
            (client, name, first)
        }
        Way::Known(addresses, gateway, context) => {
            options.trust = Some(Trust::Fingerprint(gateway));
            let wish = args.scopes.chosen().unwrap_or(PROPOSED);
            let first = addresses.first().ok_or_else(nowhere)?;
            let name = named(first.host(), context.clone(), &gateway);
            kept.addresses.clone_from(&addresses);
            if let Some(known) = context.and_then(|context| contexts.contexts.get(&context)) {
                let more = known.addresses.iter().filter_map(|text| text.parse().ok());
                let more: Vec<_> = more.filter(|it| !addresses.contains(it)).collect();
                kept.addresses.extend(more);
            }
            let waiting = Waiting {
                addresses: &addresses,
                identity: &identity,
                limit: args.wait,
                // Whoever waits in vain finds the gateway again without being told its key anew.
                found: &|| kept.keep(&name, first, gateway),
            };
            let (client, index) = Box::pin(waiting.admitted(options, wish, output)).await?;
            let first = addresses.get(index).cloned().ok_or_else(nowhere)?;
            kept.keep(&name, &first, gateway)?;
            (client, name, first)
        }
    };
    tell(&client, &name, &first, output)
}

impl Way {
    /// Tells whether it leads to the gateway with this fingerprint.
    fn is_of(&self, known: &Fingerprint) -> bool {
        match self {
            Self::Invited(link) => link.code.is_of(known),
            Self::Known(_, gateway, _) => gateway == known,
        }
    }
}

/// What is remembered of a gateway.
struct Kept<'a> {
    addresses: Vec<Address>,
    device_name: Option<String>,
    place: &'a Place,
}

impl Kept<'_> {
    /// Remembers the gateway as a context, and uses it from now on.
    fn keep(&self, name: &str, first: &Address, gateway: Fingerprint) -> Result<(), Failure> {
        let mut contexts = Contexts::read(self.place.state_dir())?;
        let before = contexts.contexts.get(name).and_then(|known| known.device_name.clone());
        let context = Context {
            gateway: Target::Https(first.clone()).to_string(),
            addresses: self.addresses.iter().map(ToString::to_string).collect(),
            fingerprint: Some(gateway.to_string()),
            device_name: self.device_name.clone().or(before),
        };
        contexts.contexts.insert(name.to_owned(), context);
        contexts.current = Some(name.to_owned());
        contexts.write(self.place.state_dir())
    }
}

fn nowhere() -> Failure {
    Failure::advised(Exit::Usage, "no address is named", "openclaw connect LINK")
}

/// Decides by what to connect.
fn way(args: &ConnectArgs, place: &Place) -> Result<Way, Failure> {
    let usage = |cause: String| Failure::advised(Exit::Usage, cause, "openclaw connect LINK");
    let instead = |addresses: Vec<Address>| {
        if args.addresses.is_empty() { addresses } else { args.addresses.clone() }
    };
    let place_text = args.place.as_deref().unwrap_or_default().trim();
    if place_text.starts_with("openclaw:") {
        let link: Link = place_text.parse().map_err(|error| usage(format!("{error}")))?;
        let code = args.code.clone().unwrap_or(link.code);
        return Ok(Way::Invited(Link { code, addresses: instead(link.addresses) }));
    }
    let addresses = match (place_text, args.addresses.as_slice()) {
        ("", []) if args.code.is_none() => return again(place),
        ("", []) => return Err(nowhere()),
        ("", _) => args.addresses.clone(),
        (text, _) => match text.parse() {
            Ok(Target::Https(address)) => instead(vec![address]),
            Ok(Target::Unix(_)) => {
                return Err(usage("a socket needs no `connect`: name it with --gateway".into()));
            }
            Err(error) => return Err(usage(format!("{error}"))),
        },
    };
    if let Some(code) = &args.code {
        return Ok(Way::Invited(Link { code: code.clone(), addresses }));
    }
    let contexts = Contexts::read(place.state_dir())?;
    let known = addresses.first().and_then(|address| contexts.of(address));
    let fingerprint = known.map(|(_, context)| context.fingerprint()).transpose()?.flatten();
    match place.trust(fingerprint)? {
        Some(trusted) => {
            // Another key at a known address is another gateway.
            let known = known.filter(|_| fingerprint == Some(trusted));
            Ok(Way::Known(addresses, trusted, known.map(|(name, _)| name.clone())))
        }
        None => {
            let address = addresses.first().map(ToString::to_string).unwrap_or_default();
            Err(no_trust(&address))
        }
    }
}

/// To the gateway that is used anyway: a device that was revoked asks there to be approved anew.
fn again(place: &Place) -> Result<Way, Failure> {
    let reached = place.reached()?;
    let Reached::There { targets, fingerprint, context, device_name: _ } = reached else {
        return Err(nowhere());
    };
    let addresses = targets.into_iter().map(|target| match target {
        Target::Https(address) => Ok(address),
        Target::Unix(path) => {
            let cause = format!("the socket `{}` needs no `connect`", path.display());
            Err(Failure::advised(Exit::Usage, cause, place.command("status")))
        }
    });
    let addresses = addresses.collect::<Result<Vec<_>, _>>()?;
    let address = addresses.first().map(ToString::to_string).unwrap_or_default();
    let trust = place.trust(fingerprint)?.ok_or_else(|| no_trust(&address))?;
    Ok(Way::Known(addresses, trust, context))
}

/// A device that waits to be approved.
struct Waiting<'a> {
    addresses: &'a [Address],
    identity: &'a Identity,
    limit: Duration,
    /// Is told once that the gateway was reached, and has the device wait.
    found: &'a dyn Fn() -> Result<(), Failure>,
}

impl Waiting<'_> {
    /// Connects as soon as the device may: at once when it is paired, else when somebody approved it.
    async fn admitted(
        &self,
        options: Options,
        wish: ScopeSet,
        output: &mut Output,
    ) -> Result<(Client, usize), Failure> {
        let targets: Vec<_> = self.addresses.iter().cloned().map(Target::Https).collect();
        let connect = async |options: &Options| {
            Box::pin(Client::connect_first(&targets, self.identity, options)).await
        };
        let started = Instant::now();
        match connect(&options).await {
            Err(ConnectError::Refused(error)) if may_ask(&error) => {}
            connected => return Ok(connected?),
        }
        (self.found)()?;
        // Whoever approves compares it: the name is only what the device says of itself.
        if let Identity::Device(key) = self.identity
            && let Ok(id) = key.public().device_id()
        {
            output.note(&format!("this device is {id}"))?;
        }
        // Asking is an act of its own: only who is not paired asks, and only for what is named.
        let asking = Options { wish, asks: Asks::Upgrade, ..options.clone() };
        let mut told = String::new();
        let mut attempt = connect(&asking).await;
        loop {
            let (refused, pause) = match attempt {
                Ok(connected) => return Ok(connected),
                Err(ConnectError::Refused(error)) if error.reason() == Some("RATE_LIMITED") => {
                    let pause = error.retry_after().unwrap_or(POLL);
                    (None, pause)
                }
                Err(ConnectError::Refused(error)) if is_waiting(&error) => (Some(error), POLL),
                Err(error @ (ConnectError::Refused(_) | ConnectError::Untrusted { .. })) => {
                    return Err(error.into());
                }
                // The gateway may be restarting; the request waits there.
                Err(_) => (None, POLL),
            };
            if let Some(command) = refused.as_ref().and_then(command)
                && command != told
            {
                output.note(&format!("on the gateway's machine: {command}"))?;
                told = command;
            }
            if started.elapsed().saturating_add(pause) > self.limit {
                let cause =
                    format!("nobody approved this device within {}", length::show(self.limit));
                let next = match told.as_str() {
                    "" => "openclaw connect".to_owned(),
                    told => format!("{told} there, then openclaw connect here"),
                };
                return Err(Failure::advised(Exit::Retry, cause, next));
            }
            tokio::time::sleep(pause).await;
            // What was approved may be a part of what was asked for: that is an answer, not a reason to
            // ask for the rest.
            attempt = match connect(&options).await {
                Err(ConnectError::Refused(error)) if may_ask(&error) => connect(&asking).await,
                attempt => attempt,
            };
        }
    }
}

/// Tells whether asking may help: the device is not paired, or not any more.
fn may_ask(error: &CallError) -> bool {
    is_waiting(error) || error.reason() == Some("DEVICE_REVOKED")
}

fn is_waiting(error: &CallError) -> bool {
    error.reason() == Some("PAIRING_REQUIRED")
}

/// Returns the command that approves what a refusal filed.
fn command(refused: &CallError) -> Option<String> {
    let own = || refused.request_id().map(|id| format!("openclaw devices approve {id}"));
    let said = refused.next().filter(|next| next.contains("devices approve"));
    said.map(str::to_owned).or_else(own)
}

/// The connection, as `connect --json` shows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Connected<'a> {
    context: &'a str,
    gateway: String,
    fingerprint: String,
    device_id: String,
    scopes: Vec<String>,
    approved_scopes: Vec<String>,
    pending_request: String,
}

/// Returns what the device may do now, where that is not all that was approved: a rotation took the rest.
fn less(connected: &Connected<'_>) -> String {
    if connected.scopes == connected.approved_scopes {
        return String::new();
    }
    let rest = "openclaw devices rotate, on the gateway's machine, gives the rest back";
    format!("{}; {rest}", or_nothing(&connected.scopes))
}

fn tell(
    client: &Client,
    context: &str,
    first: &Address,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let admission = client.admission();
    let admission = admission.as_deref();
    let pending = admission.and_then(|it| it.pending.as_ref());
    let connected = Connected {
        context,
        gateway: Target::Https(first.clone()).to_string(),
        fingerprint: client.fingerprint().map(|it| it.to_string()).unwrap_or_default(),
        device_id: admission.map(|it| it.device.to_string()).unwrap_or_default(),
        scopes: admission.map(|it| scope_names(it.scopes)).unwrap_or_default(),
        approved_scopes: admission.map(|it| scope_names(it.approved_scopes)).unwrap_or_default(),
        pending_request: pending.map(reference).unwrap_or_default(),
    };
    match output.format() {
        Format::Human => {
            let may = less(&connected);
            output.block(&table::facts(&[
                ("connected to", connected.gateway),
                ("fingerprint", connected.fingerprint),
                ("as device", short(&connected.device_id)),
                ("approved for", or_nothing(&connected.approved_scopes)),
                ("may do", may),
                ("context", format!("{context}, in use from now on")),
            ]))?;
            if let Some(pending) = pending {
                output.note(&format!("more waits for: {}", approval(pending)))?;
            }
        }
        Format::Json => output.document(&connected)?,
    }
    Ok(Exit::Ok)
}

#[cfg(test)]
mod tests;
