//! Reaching the gateway that is meant: as whom, by which key, and for what.

use std::sync::Arc;

use openclaw_client::{
    ApiToken, Client, Fingerprint, Identity, Options, Target, Trust, device_key,
};
use openclaw_scopes::ScopeSet;

use crate::contexts::Contexts;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::place::Place;
use crate::wish;

/// Where the gateway that is meant is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reached {
    /// On the socket of the state directory: it is this state's own gateway.
    Here(Target),
    /// Where the user says: at the first of these.
    There {
        /// The places, in the order in which they are tried.
        targets: Vec<Target>,
        /// The fingerprint that the context remembers.
        fingerprint: Option<Fingerprint>,
        /// The context's name, if it was one.
        context: Option<String>,
        /// What this device calls itself there.
        device_name: Option<String>,
    },
}

impl Reached {
    /// Returns the places to try, in their order.
    pub(crate) fn targets(&self) -> &[Target] {
        match self {
            Self::Here(target) => std::slice::from_ref(target),
            Self::There { targets, .. } => targets,
        }
    }
}

impl Place {
    /// Decides where the gateway is reached: by flag, environment, current context, or here.
    pub(crate) fn reached(&self) -> Result<Reached, Failure> {
        let contexts = || Contexts::read(self.state_dir());
        let name = match self.gateway() {
            Some(text) if text.contains(':') => {
                let targets = vec![text.parse().map_err(unusable)?];
                let (fingerprint, context, device_name) = (None, None, None);
                return Ok(Reached::There { targets, fingerprint, context, device_name });
            }
            Some(name) => Some(name.to_owned()),
            None => contexts()?.current,
        };
        let Some(name) = name else {
            return Ok(Reached::Here(Target::in_state_dir(self.state_dir())));
        };
        let context = contexts()?.context(&name)?.clone();
        let mut targets = vec![context.gateway.parse().map_err(unusable)?];
        for address in &context.addresses {
            let target = format!("https://{address}").parse().map_err(unusable)?;
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        let fingerprint = context.fingerprint()?;
        let device_name = context.device_name;
        Ok(Reached::There { targets, fingerprint, context: Some(name), device_name })
    }

    /// Connects to the gateway, with no more authority than `wish` over the network.
    pub(crate) async fn connect(&self, wish: ScopeSet) -> Result<Client, Failure> {
        let reached = self.reached()?;
        let targets = reached.targets();
        let trust = match &reached {
            Reached::Here(_) => None,
            Reached::There { fingerprint, .. } => self.trust(*fingerprint)?,
        };
        let token = self.token()?;
        let identity = match (token, targets.first()) {
            (Some(token), _) => Identity::Token(token),
            (None, Some(Target::Https(_))) if trust.is_some() => self.device()?,
            (None, Some(Target::Https(address))) => return Err(no_trust(&address.to_string())),
            (None, _) => Identity::Local,
        };
        let device_name = match &reached {
            Reached::Here(_) => None,
            Reached::There { device_name, .. } => device_name.clone(),
        };
        let defaults = Options::default();
        let options = Options {
            name: device_name.unwrap_or(defaults.name),
            trust: trust.map(Trust::Fingerprint),
            wish: wish::told(wish),
            request_access: self.requests_access(),
            ..Options::default()
        };
        let connected = Client::connect_first(targets, &identity, &options);
        Ok(Box::pin(connected).await?.0)
    }

    /// Connects for calls of these methods.
    pub(crate) async fn connect_for(&self, methods: &[&str]) -> Result<Client, Failure> {
        self.connect(wish::of(methods)).await
    }

    /// Returns the key of this machine's device, which is made on first use.
    pub(crate) fn device(&self) -> Result<Identity, Failure> {
        let key = device_key(&self.state_dir().join("device.key"))?;
        Ok(Identity::Device(Arc::new(key)))
    }

    /// Returns the fingerprint that the gateway must have: by flag, context or environment.
    pub(crate) fn trust(
        &self,
        of_context: Option<Fingerprint>,
    ) -> Result<Option<Fingerprint>, Failure> {
        let variable = || {
            let text = self.environment().fingerprint.as_deref();
            text.map(str::parse).transpose().map_err(|error| {
                let cause = format!("OPENCLAW_GATEWAY_FINGERPRINT: {error}");
                Failure::told(Exit::Configuration, cause)
            })
        };
        match self.fingerprint().or(of_context) {
            Some(fingerprint) => Ok(Some(fingerprint)),
            None => variable(),
        }
    }

    /// Returns the API token in the environment, if there is one.
    fn token(&self) -> Result<Option<ApiToken>, Failure> {
        let text = self.environment().token.as_deref();
        text.map(str::parse).transpose().map_err(|_not_a_token| {
            let cause = "OPENCLAW_GATEWAY_TOKEN does not hold an API token";
            let next = "openclaw tokens create --name NAME --scopes SCOPES --ttl TIME";
            Failure::advised(Exit::Configuration, cause, next)
        })
    }
}

pub(crate) fn unusable(error: impl std::fmt::Display) -> Failure {
    Failure::advised(Exit::Configuration, error.to_string(), "openclaw context list")
}

/// What to say when nobody said which gateway is meant.
pub(crate) fn no_trust(address: &str) -> Failure {
    let cause = format!("no fingerprint is known of the gateway at `{address}`");
    let next = "openclaw connect LINK, or --fingerprint with what `openclaw gateway fingerprint` \
                prints on its machine";
    Failure::advised(Exit::Configuration, cause, next)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cli::Global;
    use crate::place::Environment;

    fn place(state_dir: &Path, flag: Option<&str>, variable: Option<&str>) -> Place {
        let global = Global {
            state_dir: Some(state_dir.into()),
            gateway: flag.map(str::to_owned),
            ..Global::default()
        };
        let gateway = variable.map(str::to_owned);
        Place::find(&global, Environment { gateway, ..Environment::default() }).unwrap()
    }

    #[test]
    #[rustfmt::skip]
    fn the_flag_wins_over_the_variable_over_the_context_over_the_socket() {
        let directory = tempfile::tempdir().unwrap();
        let socket = format!("unix:{}/gateway.sock", directory.path().display());
        let here = Some((true, socket.as_str()));
        let there = |text| Some((false, text));
        let contexts = "[contexts.home]\ngateway = \"unix:/c\"\n[contexts.far]\ngateway = \"https://far:1\"";
        let current = format!("current = \"home\"\n{contexts}");
        let lost = format!("current = \"lost\"\n{contexts}");
        for (flag, variable, file, expected) in [
            (Some("unix:/a"),   Some("unix:/b"), current.as_str(), there("unix:/a")),
            (Some("far"),       Some("unix:/b"), &current,         there("https://far:1")),
            (None,              Some("unix:/b"), &current,         there("unix:/b")),
            (Some(""),          Some("unix:/b"), &current,         there("unix:/b")),
            (None,              Some("far"),     &current,         there("https://far:1")),
            (None,              None,            &current,         there("unix:/c")),
            (None,              None,            contexts,         here),
            (None,              None,            "",               here),
            (Some("nowhere"),   None,            &current,         None),
            (None,              None,            &lost,            None),
            (Some("http://a"),  None,            &current,         None),
            (None,              None,            "[",              None),
            (Some("unix:/a"),   None,            "[",              there("unix:/a")),
        ] {
            std::fs::write(directory.path().join("contexts.toml"), file).unwrap();
            let place = place(directory.path(), flag, variable);
            let told = place.reached();
            let told = told.map(|reached| {
                (matches!(reached, Reached::Here(_)), reached.targets()[0].to_string())
            });
            match (told, expected) {
                (Ok((is_here, target)), Some(expected)) => {
                    assert_eq!((is_here, target.as_str()), expected);
                }
                (Err(failure), None) => assert_eq!(failure.exit(), Exit::Configuration),
                (told, expected) => panic!("{flag:?} {variable:?}: {told:?}, not {expected:?}"),
            }
        }
    }

    #[test]
    fn a_context_remembers_addresses_and_fingerprint() {
        let directory = tempfile::tempdir().unwrap();
        let hex = "ab".repeat(32);
        let text = format!(
            "[contexts.far]\ngateway = \"https://far:1\"\naddresses = [\"far:1\", \"far:2\"]\n\
             fingerprint = \"{hex}\""
        );
        std::fs::write(directory.path().join("contexts.toml"), text).unwrap();
        let far = place(directory.path(), Some("far"), None);
        let reached = far.reached().unwrap();
        let targets: Vec<_> = reached.targets().iter().map(ToString::to_string).collect();
        assert_eq!(targets, ["https://far:1", "https://far:2"]);
        let Reached::There { fingerprint, .. } = reached else { panic!("not there") };
        assert_eq!(fingerprint.map(|it| it.to_string()), Some(hex));
    }

    #[test]
    fn the_flag_wins_over_the_context_over_the_variable() {
        let directory = tempfile::tempdir().unwrap();
        let of = |byte: u8| Fingerprint([byte; 32]);
        for (flag, context, variable, expected) in [
            (Some(of(1)), Some(of(2)), Some(of(3)), Some(of(1))),
            (None, Some(of(2)), Some(of(3)), Some(of(2))),
            (None, None, Some(of(3)), Some(of(3))),
            (None, None, None, None),
        ] {
            let state_dir = Some(directory.path().into());
            let global = Global { state_dir, fingerprint: flag, ..Global::default() };
            let fingerprint = variable.map(|it: Fingerprint| it.to_string());
            let environment = Environment { fingerprint, ..Environment::default() };
            let place = Place::find(&global, environment).unwrap();
            assert_eq!(place.trust(context).unwrap(), expected);
        }
    }
}
