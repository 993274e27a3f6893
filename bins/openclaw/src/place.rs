//! Where the state is and where the gateway is reached.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use openclaw_client::Fingerprint;

use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;

/// The environment variables that say where to work.
#[derive(Clone, Default)]
pub(crate) struct Environment {
    /// `HOME`.
    pub(crate) home: Option<OsString>,
    /// `OPENCLAW_STATE_DIR`.
    pub(crate) state_dir: Option<OsString>,
    /// `OPENCLAW_GATEWAY`.
    pub(crate) gateway: Option<String>,
    /// `OPENCLAW_GATEWAY_FINGERPRINT`.
    pub(crate) fingerprint: Option<String>,
    /// `OPENCLAW_GATEWAY_TOKEN`: a secret.
    pub(crate) token: Option<String>,
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("gateway", &self.gateway).finish_non_exhaustive()
    }
}

impl Environment {
    /// Reads the process's environment; a variable that is set to nothing is not set.
    pub(crate) fn read() -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| set(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            home: set("HOME"),
            state_dir: set("OPENCLAW_STATE_DIR"),
            gateway: text("OPENCLAW_GATEWAY"),
            fingerprint: text("OPENCLAW_GATEWAY_FINGERPRINT"),
            token: text("OPENCLAW_GATEWAY_TOKEN"),
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
    fingerprint: Option<Fingerprint>,
    requests_access: bool,
    environment: Environment,
}

impl Place {
    /// Decides by flags and environment.
    pub(crate) fn find(global: &Global, environment: Environment) -> Result<Self, Failure> {
        let (state_dir, gateway) = (global.state_dir.as_deref(), global.gateway.as_deref());
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
        Ok(Self {
            state_dir,
            prefix,
            gateway,
            fingerprint: global.fingerprint,
            requests_access: global.request_access,
            environment,
        })
    }

    /// Returns the state directory.
    pub(crate) fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// Returns the gateway that was named, by a context or otherwise.
    pub(crate) fn gateway(&self) -> Option<&str> {
        self.gateway.as_deref()
    }

    /// Returns the fingerprint that was named.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.fingerprint
    }

    /// Returns whether a missing scope is to be asked for.
    pub(crate) fn requests_access(&self) -> bool {
        self.requests_access
    }

    /// Returns the environment.
    pub(crate) fn environment(&self) -> &Environment {
        &self.environment
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
                home: home.map(Into::into), state_dir: variable.map(Into::into), ..Environment::default()
            };
            let global = Global { state_dir: flag.map(PathBuf::from), ..Global::default() };
            let place = Place::find(&global, environment);
            assert_eq!(place.ok().map(|place| place.state_dir), expected.map(PathBuf::from));
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
            let global = Global { state_dir: Some(directory.path().into()), ..Global::default() };
            let place = Place::find(&global, Environment::default()).unwrap();
            assert_eq!(place.refuse_foreign().is_err(), is_foreign, "{files:?}");
        }
    }
}
