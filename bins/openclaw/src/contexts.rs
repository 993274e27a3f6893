//! The gateways that the user gave names to, in `contexts.toml` of the state directory.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use openclaw_client::{Address, Fingerprint, Target};
use serde::{Deserialize, Serialize};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::reach::unusable;

/// The named gateways, and which of them is used when none is named.
#[derive(Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    /// All of them, by name.
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// A gateway with a name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// Where it is reached: `unix:PATH` or `https://HOST:PORT`.
    pub(crate) gateway: String,
    /// More addresses of it, as HOST:PORT, to be tried in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) addresses: Vec<String>,
    /// The fingerprint that it must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fingerprint: Option<String>,
    /// What this device calls itself there; else the name of this machine.
    #[serde(default, rename = "deviceName", skip_serializing_if = "Option::is_none")]
    pub(crate) device_name: Option<String>,
}

impl Context {
    /// Returns the fingerprint that the gateway must have, if one is known.
    pub(crate) fn fingerprint(&self) -> Result<Option<Fingerprint>, Failure> {
        self.fingerprint.as_deref().map(str::parse).transpose().map_err(unusable)
    }
}

fn file(state_dir: &Path) -> PathBuf {
    state_dir.join("contexts.toml")
}

impl Contexts {
    /// Reads the file; nothing is named when there is none.
    pub(crate) fn read(state_dir: &Path) -> Result<Self, Failure> {
        let path = file(state_dir);
        let broken = |cause: String| {
            let cause = format!("cannot use `{}`: {cause}", path.display());
            Failure::advised(Exit::Configuration, cause, "correct the file, or remove it")
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| broken(error.message().to_owned())),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Ok(Self::default()),
                _ => Err(broken(error.to_string())),
            },
        }
    }

    /// Replaces the file as a whole; only its owner may read it.
    pub(crate) fn write(&self, state_dir: &Path) -> Result<(), Failure> {
        let path = file(state_dir);
        self.try_write(state_dir, &path).map_err(|error| {
            Failure::told(Exit::Failed, format!("cannot write `{}`: {error}", path.display()))
        })
    }

    fn try_write(&self, state_dir: &Path, path: &Path) -> io::Result<()> {
        let text = toml::to_string(self).map_err(io::Error::other)?;
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
        // Such files are made with mode 0600.
        let mut new = tempfile::NamedTempFile::new_in(state_dir)?;
        new.write_all(text.as_bytes())?;
        new.as_file().sync_all()?;
        new.persist(path)?;
        Ok(())
    }

    /// Returns a name for a gateway at `host` that stands for no other one: it is `host` itself, or that with
    /// a number.
    pub(crate) fn name_for(&self, host: &str, is_same: impl Fn(&Fingerprint) -> bool) -> String {
        // A colon would make a target of the name.
        let host = host.replace(':', "-");
        let stands_for_another = |name: &String| {
            let known = self.contexts.get(name);
            let fingerprint = known.map(|context| context.fingerprint().ok().flatten());
            fingerprint.is_some_and(|fingerprint| !fingerprint.is_some_and(|it| is_same(&it)))
        };
        let numbered = (2..).map(|number: u32| format!("{host}-{number}"));
        let mut names = std::iter::once(host.clone()).chain(numbered);
        names.find(|name| !stands_for_another(name)).unwrap_or(host)
    }

    /// Returns the gateway that is reached at `address`, with its name: the one in use before others.
    pub(crate) fn of(&self, address: &Address) -> Option<(&String, &Context)> {
        let target = Target::Https(address.clone()).to_string();
        let is_there = |context: &Context| {
            context.gateway == target || context.addresses.contains(&address.to_string())
        };
        let current = self.current.as_ref().and_then(|name| self.contexts.get_key_value(name));
        let mut all = current.into_iter().chain(&self.contexts);
        all.find(|(_, context)| is_there(context))
    }

    /// Returns the gateway called `name`.
    pub(crate) fn context(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let cause = format!("no context is called `{name}`");
            Failure::advised(Exit::Configuration, cause, "openclaw context list")
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn sample() -> Contexts {
        let home = Context {
            gateway: "unix:/run/home.sock".into(),
            addresses: vec![],
            fingerprint: None,
            device_name: None,
        };
        let away = Context {
            gateway: "https://away:1".into(),
            addresses: vec!["away:1".into(), "192.0.2.7:1".into()],
            fingerprint: Some("ab".repeat(32)),
            device_name: Some("phone".into()),
        };
        let contexts = [("home".to_owned(), home), ("away".to_owned(), away)];
        Contexts { current: Some("home".into()), contexts: BTreeMap::from(contexts) }
    }

    #[test]
    fn written_and_read_again_by_the_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Contexts::read(directory.path()).unwrap(), Contexts::default());
        sample().write(directory.path()).unwrap();
        sample().write(directory.path()).unwrap();
        assert_eq!(Contexts::read(directory.path()).unwrap(), sample());
        let metadata = std::fs::metadata(file(directory.path())).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        let names = std::fs::read_dir(directory.path()).unwrap();
        assert_eq!(names.count(), 1, "no other file stays");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for text in ["current = 3", "[contexts.home]\ngate = \"x\"", "colour = 1", "[", "\u{0}"] {
            std::fs::write(file(directory.path()), text).unwrap();
            let failure = Contexts::read(directory.path()).unwrap_err();
            assert_eq!(failure.exit(), Exit::Configuration, "{text}");
            assert_eq!(failure.to_string().lines().count(), 1, "{failure}");
        }
    }

    #[test]
    fn a_gateway_gets_a_name_of_its_own() {
        let (known, other) = (Fingerprint([0xab; 32]), Fingerprint([7; 32]));
        let name = |host, gateway| sample().name_for(host, |fingerprint| *fingerprint == gateway);
        assert_eq!(name("away", known), "away", "the same one");
        assert_eq!(name("away", other), "away-2", "another one at the same address");
        assert_eq!(name("home", known), "home-2", "a socket is not it");
        assert_eq!(name("fresh:1", known), "fresh-1");
    }

    #[test]
    fn names() {
        assert_eq!(sample().context("home").unwrap().gateway, "unix:/run/home.sock");
        assert_eq!(sample().context("absent").unwrap_err().exit(), Exit::Configuration);
    }
}
