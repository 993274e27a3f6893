//! Gateways inside the test's process, each in a directory of its own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use openclaw_gateway::{Drained, Environment, Gateway, StartError};
use openclaw_scopes::{Scope, ScopeSet};
use tempfile::TempDir;

use crate::{Api, Client, Provider, connect};

/// What a gateway is started with.
#[derive(Debug, Default)]
pub struct Setup {
    config: String,
    environment: BTreeMap<String, String>,
    max_pages: Option<u32>,
    reach: Reach,
    script: Option<String>,
}

/// How a gateway can be reached.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Reach {
    #[default]
    InProcess,
    Socket,
}

impl Setup {
    /// The embedded defaults: no configuration, the offline model.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text to `openclaw.toml`.
    #[must_use]
    pub fn config(mut self, text: &str) -> Self {
        writeln!(self.config, "{text}").unwrap();
        self
    }

    /// Lets the offline model of all agents answer from this script.
    #[must_use]
    pub fn script(mut self, script: &str) -> Self {
        self.script = Some(script.to_owned());
        self
    }

    /// Lets a provider that the test holds answer for all agents, as `fake/model`.
    #[must_use]
    pub fn provider(self, provider: &Provider) -> Self {
        let api = match provider.api() {
            Api::Anthropic => "anthropic-messages",
            Api::OpenAi => "openai-completions",
        };
        let url = provider.url();
        self.config(&format!(
            "models.providers.fake.api = \"{api}\"\n\
             models.providers.fake.baseUrl = \"{url}\"\n\
             agents.defaults.model.primary = \"fake/model\""
        ))
    }

    /// Sets a variable of the gateway's environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Bounds the database to so many pages.
    #[must_use]
    pub const fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Lets the gateway listen on its socket, too.
    #[must_use]
    pub const fn socket(mut self) -> Self {
        self.reach = Reach::Socket;
        self
    }

    /// Lets the gateway listen on the network, too: on a port of the system's choice.
    #[must_use]
    pub fn network(self) -> Self {
        self.socket().config("listen.tcp = \"127.0.0.1:0\"")
    }

    /// Lets the gateway listen for hooks, too: on a port of the system's choice.
    #[must_use]
    pub fn hooks(self) -> Self {
        self.socket().config("hooks.enabled = true\nhooks.listen = \"127.0.0.1:0\"")
    }

    /// Starts the gateway in a new directory.
    pub async fn start(self) -> TestGateway {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("state");
        DirBuilder::new().mode(0o700).create(&state).unwrap();
        let mut config = String::new();
        if let Some(script) = &self.script {
            let path = dir.path().join("script.toml");
            std::fs::write(&path, script).unwrap();
            writeln!(
                config,
                "models.providers.offline.api = \"offline\"\n\
                 models.providers.offline.script = \"{}\"\n\
                 agents.defaults.model.primary = \"offline/offline\"",
                path.display()
            )
            .unwrap();
        }
        config.push_str(&self.config);
        if !config.is_empty() {
            std::fs::write(state.join("openclaw.toml"), config).unwrap();
        }
        let gateway = self.open(&state).await.unwrap();
        TestGateway { dir, gateway, setup: self }
    }

    async fn open(&self, state: &Path) -> Result<Gateway, StartError> {
        let mut builder =
            Gateway::builder(state).environment(Environment::of(self.environment.clone()));
        if self.reach == Reach::InProcess {
            builder = builder.in_process();
        }
        if let Some(pages) = self.max_pages {
            builder = builder.max_pages(pages);
        }
        builder.start().await
    }
}

/// A gateway that runs, and its directory.
#[derive(Debug)]
pub struct TestGateway {
    dir: TempDir,
    gateway: Gateway,
    setup: Setup,
}

impl TestGateway {
    /// Starts a gateway on its embedded defaults.
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    /// Connects as the owner.
    pub async fn owner(&self) -> Client {
        connect(self.gateway.connect().await.unwrap()).await
    }

    /// Connects as the owner with no more than these scopes.
    pub async fn narrowed(&self, scopes: &[Scope]) -> Client {
        self.within(ScopeSet::of(scopes)).await
    }

    /// Connects as the owner with no more than this set of scopes.
    pub async fn within(&self, scopes: ScopeSet) -> Client {
        connect(self.gateway.connect_narrowed(scopes).await.unwrap()).await
    }

    /// Returns where the gateway listens for hooks.
    pub fn hooks(&self) -> std::net::SocketAddr {
        self.gateway.hooks_listen_on().expect("the gateway listens for no hooks")
    }

    /// Returns the gateway itself.
    pub const fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// Returns the directory that holds the state directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Returns the text of `openclaw.toml`, empty when there is none.
    pub fn config_text(&self) -> String {
        std::fs::read_to_string(self.state().join("openclaw.toml")).unwrap_or_default()
    }

    /// Returns the workspace of an agent that has the default one.
    pub fn workspace(&self, agent: &str) -> PathBuf {
        self.state().join("agents").join(agent).join("workspace")
    }

    /// Stops the gateway and returns what is left of it.
    pub async fn stop(self) -> Stopped {
        let drained = self.gateway.drain().await;
        Stopped { dir: self.dir, drained, setup: self.setup }
    }

    /// Stops the gateway and starts another on the same directory.
    pub async fn restart(self) -> Self {
        self.stop().await.start().await
    }
}

/// A gateway that was stopped.
#[derive(Debug)]
pub struct Stopped {
    dir: TempDir,
    drained: Drained,
    setup: Setup,
}

impl Stopped {
    /// Returns how it stopped.
    pub const fn drained(&self) -> Drained {
        self.drained
    }

    /// Returns the state directory.
    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// Lets the next gateway start with another bound of its database, or without one.
    #[must_use]
    pub const fn with_max_pages(mut self, pages: Option<u32>) -> Self {
        self.setup.max_pages = pages;
        self
    }

    /// Starts a gateway on the same directory.
    pub async fn start(self) -> TestGateway {
        let gateway = self.setup.open(&self.state()).await.unwrap();
        TestGateway { dir: self.dir, gateway, setup: self.setup }
    }
}
