//! The configuration file: read, kept, and edited in one step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openclaw_config::{Config, ConfigErrors};

use crate::durable;

/// The environment of the process, as it was when it started.
#[derive(Clone, Default)]
pub struct Environment(Arc<BTreeMap<String, String>>);

impl Environment {
    /// Takes the environment of this process; variables that are not text are left out.
    pub fn of_process() -> Self {
        let texts = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self(Arc::new(texts.collect()))
    }

    /// The environment of these variables.
    pub fn of(variables: BTreeMap<String, String>) -> Self {
        Self(Arc::new(variables))
    }

    /// Returns the value of a variable; an empty one counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the value of a variable, or says that it is not set.
    pub(crate) fn required(&self, name: &str) -> Result<&str, String> {
        self.get(name).ok_or_else(|| format!("the environment variable `{name}` is not set"))
    }

    pub(crate) fn all(&self) -> Arc<BTreeMap<String, String>> {
        Arc::clone(&self.0)
    }

    /// Returns the home directory, the root directory when there is none.
    pub(crate) fn home(&self) -> PathBuf {
        self.get("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from)
    }
}

impl std::fmt::Debug for Environment {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Why a configuration could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// What it says is not right.
    #[error("{}:\n{source}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The mistakes, one a line.
        #[source]
        source: ConfigErrors,
    },
    /// It could not be read or written.
    #[error("`{}` cannot be used: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The largest configuration that is read, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A configuration, and the file that it stands in.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The configuration.
    pub config: Config,
    /// Where it stands, or would stand.
    pub path: PathBuf,
    /// The text; empty when there is no file.
    pub text: String,
}

impl Settings {
    /// Reads the file; without one the embedded defaults are in force, unless it `must` be there.
    ///
    /// # Errors
    /// When it cannot be read, or something in it is not right.
    pub fn read(path: &Path, presence: Presence) -> Result<Self, SettingsError> {
        let failed = |source| SettingsError::Io { path: path.to_owned(), source };
        let text = match std::fs::metadata(path) {
            Ok(file) if file.len() > MAX_FILE => {
                return Err(failed(std::io::Error::other("it is larger than 1 MiB")));
            }
            Ok(_) => std::fs::read_to_string(path).map_err(failed)?,
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound
                    && presence == Presence::Optional =>
            {
                String::new()
            }
            Err(error) => return Err(failed(error)),
        };
        let config = openclaw_config::parse(&text)
            .map_err(|source| SettingsError::Invalid { path: path.to_owned(), source })?;
        Ok(Self { config, path: path.to_owned(), text })
    }

    /// Returns the effective configuration as TOML, secrets as references only.
    pub fn show(&self) -> String {
        openclaw_config::to_toml_redacted(&self.config)
    }

    /// Replaces the file in one step, whole or not at all.
    pub(crate) fn write(path: &Path, text: &str) -> Result<(), SettingsError> {
        let failed = |source| SettingsError::Io { path: path.to_owned(), source };
        durable::replace(path, text).map_err(failed)
    }
}

/// Whether a configuration file must be there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Presence {
    /// Without one the embedded defaults are in force.
    Optional,
    /// It was named, so it must be there.
    Required,
}
