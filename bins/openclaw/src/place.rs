//! Where the state is and where the gateway is reached.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use openclaw_client::{Client, Options, Target};

use crate::contexts::Contexts;
use crate::exit::Exit;
use crate::failure::Failure;

/// The environment variables that say where to work.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    /// `HOME`.
    pub(crate) home: Option<OsString>,
    /// `OPENCLAW_STATE_DIR`.
    pub(crate) state_dir: Option<OsString>,
    /// `OPENCLAW_GATEWAY`.
    pub(crate) gateway: Option<String>,
}

impl Environment {
    /// Reads the process's environment; a variable that is set to nothing is not set.
    pub(crate) fn read() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let gateway = set("OPENCLAW_GATEWAY").map(|value| value.to_string_lossy().into_owned());
        Self { home: set("HOME"), state_dir: set("OPENCLAW_STATE_DIR"), gateway }
    }
}

/// Where the gateway that is meant is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Reached {
    /// On the socket of the state directory: it is this state's own gateway.
    Here(Target),
    /// Where the user says.
    There(Target),
}

impl Reached {
    fn target(&self) -> &Target {
        match self {
            Self::Here(target) | Self::There(target) => target,
        }
    }
}

/// Where to work.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    state_dir: PathBuf,
    /// What to write before a command so that it works in the same place.
    prefix: String,
    gateway: Option<String>,
}

impl Place {
    /// Decides by flags and environment.
    pub(crate) fn find(
        state_dir: Option<&Path>,
        gateway: Option<&str>,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let prefix = match state_dir {
            Some(path) => format!("openclaw --state-dir {}", path.display()),
            None => "openclaw".to_owned(),
        };
        let state_dir = match (state_dir, &environment.state_dir, &environment.home) {
            (Some(path), _, _) => path.to_owned(),
            (None, Some(path), _) => path.into(),
            (None, None, Some(home)) => Path::new(home).join(".openclaw"),
            (None, None, None) => {
                let cause = "HOME is not set, so there is no default state directory";
                return Err(Failure::advised(
                    Exit::Configuration,
                    cause,
                    "name one with --state-dir",
                ));
            }
        };
        let gateway = gateway.filter(|gateway| !gateway.is_empty()).map(str::to_owned);
        let gateway = gateway.or_else(|| environment.gateway.clone());
        Ok(Self { state_dir, prefix, gateway })
    }

    /// Returns the state directory.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Returns a command of this program that works in the same place.
    pub(crate) fn command(&self, arguments: &str) -> String {
        format!("{} {arguments}", self.prefix)
    }

    /// Refuses to work in a state directory of the original.
    pub(crate) fn refuse_foreign(&self) -> Result<(), Failure> {
        let has = |name: &str| self.state_dir.join(name).exists();
        if (has("openclaw.json") || has("state/openclaw.sqlite")) && !has("gateway.db") {
            let cause = format!(
                "`{}` holds an installation of the original, which this release cannot import",
                self.state_dir.display()
            );
            let next = "choose another directory with --state-dir or OPENCLAW_STATE_DIR";
            return Err(Failure::advised(Exit::Configuration, cause, next));
        }
        Ok(())
    }

    /// Decides where the gateway is reached: by flag, environment, current context, or here.
    pub(crate) fn reached(&self) -> Result<Reached, Failure> {
        let named = match &self.gateway {
            Some(text) if text.contains(':') => text.clone(),
            Some(name) => Contexts::read(&self.state_dir)?.gateway(name)?.to_owned(),
            None => {
                let contexts = Contexts::read(&self.state_dir)?;
                match &contexts.current {
                    Some(name) => contexts.gateway(name)?.to_owned(),
                    None => return Ok(Reached::Here(Target::in_state_dir(&self.state_dir))),
                }
            }
        };
        match named.parse() {
            Ok(target) => Ok(Reached::There(target)),
            Err(error) => Err(Failure::advised(
                Exit::Configuration,
                error.to_string(),
                "openclaw context list",
            )),
        }
    }

    /// Connects to the gateway.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let reached = self.reached()?;
        Ok(Client::connect(reached.target(), &Options::default()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(gateway: Option<&str>) -> Environment {
        Environment {
            home: Some("/home/me".into()),
            state_dir: None,
            gateway: gateway.map(str::to_owned),
        }
    }

    #[test]
    #[rustfmt::skip]
    fn state_directories() {
        for (flag, variable, home, expected) in [
            (Some("/a"), Some("/b"), Some("/home/me"), Some("/a")),
            (None,       Some("/b"), Some("/home/me"), Some("/b")),
            (None,       None,       Some("/home/me"), Some("/home/me/.openclaw")),
            (None,       None,       None,             None),
        ] {
            let environment = Environment {
                home: home.map(Into::into), state_dir: variable.map(Into::into), gateway: None,
            };
            let place = Place::find(flag.map(Path::new), None, &environment);
            assert_eq!(place.ok().map(|place| place.state_dir), expected.map(PathBuf::from));
        }
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
            let place = Place::find(Some(directory.path()), flag, &environment(variable)).unwrap();
            let told = place.reached();
            let told = told.map(|reached| {
                (matches!(reached, Reached::Here(_)), reached.target().to_string())
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
    #[rustfmt::skip]
    fn a_directory_of_the_original_is_left_alone() {
        for (files, is_foreign) in [
            (&[][..],                                 false),
            (&["openclaw.json"],                      true),
            (&["state/openclaw.sqlite"],              true),
            (&["openclaw.json", "gateway.db"],        false),
            (&["openclaw.toml"],                      false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            std::fs::create_dir(directory.path().join("state")).unwrap();
            for file in files {
                std::fs::write(directory.path().join(file), "").unwrap();
            }
            let place = Place::find(Some(directory.path()), None, &environment(None)).unwrap();
            assert_eq!(place.refuse_foreign().is_err(), is_foreign, "{files:?}");
        }
    }
}
