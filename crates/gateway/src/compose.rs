//! The composition root: puts a gateway together and starts it.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openclaw_agents::exec::{HelperPath, HelperRegistry};
use openclaw_scopes::GrantHolder;
use openclaw_sessions::LaneLimits;
use openclaw_store::{ActError, OpenError, Options, Store};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use crate::accept::{self, BindError, Connection, Doorman};
use crate::certificate::{Certificate, CertificateError};
use crate::channels::{Ground, Hub};
use crate::core::{Core, Parts};
use crate::engine::Engine;
use crate::hooks::{self, Door};
use crate::identity::IdentityLayer;
use crate::network::{self, ListenError};
use crate::registry::Registry;
use crate::roster::{Roster, RosterError, Surroundings};
use crate::running::Gateway;
use crate::settings::{Environment, Presence, Settings, SettingsError};
use crate::state_dir::{StateDir, StateDirError};
use crate::task::Tasks;
use crate::watchers::Watchers;
use crate::{clock, cron, lapse, orphans, presence, purge, retention, rpc, upkeep};

/// Streams of one connection that may be open at once.
const MAX_STREAMS: u32 = 256;
/// How long a silent peer is believed to be there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// Why a gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The socket could not be made.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The key or certificate for the network cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The listener for the network could not be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The store could not be opened.
    #[error("the store cannot be opened: {0}")]
    Open(#[from] OpenError),
    /// The system does not let this process adopt orphans.
    #[error("orphans cannot be adopted: {0}")]
    Orphans(#[source] std::io::Error),
    /// What an earlier process left could not be put in order.
    #[error("the runs of the last start cannot be recovered: {0}")]
    Recover(String),
    /// An agent cannot work as configured.
    #[error(transparent)]
    Roster(#[from] RosterError),
    /// The configuration is not right.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The state directory cannot be used.
    #[error(transparent)]
    StateDir(#[from] StateDirError),
}

/// Whether the gateway can be reached from outside its process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    InProcess,
    Socket,
}

/// Who reaps processes that a command left behind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Orphans {
    Adopted,
    Left,
}

/// How a gateway is to be put together.
#[derive(Debug)]
pub struct Builder {
    config: Option<PathBuf>,
    environment: Environment,
    helper: HelperPath,
    max_pages: Option<u32>,
    orphans: Orphans,
    reach: Reach,
    state_dir: PathBuf,
}

impl Builder {
    pub(crate) fn new(state_dir: PathBuf) -> Self {
        Self {
            config: None,
            environment: Environment::default(),
            helper: HelperPath::this_program("exec-helper"),
            max_pages: None,
            orphans: Orphans::Left,
            reach: Reach::Socket,
            state_dir,
        }
    }

    /// Makes this process the parent of all orphans below it, and reaps them: for a program that
    /// is the gateway and nothing else.
    #[must_use]
    pub const fn adopt_orphans(mut self) -> Self {
        self.orphans = Orphans::Adopted;
        self
    }

    /// Names the configuration file, which then must exist; without it, `openclaw.toml` in the
    /// state directory is read if it is there.
    #[must_use]
    pub fn config(mut self, path: impl Into<PathBuf>) -> Self {
        self.config = Some(path.into());
        self
    }

    /// Gives the environment in which secrets are looked up and of which commands see a part; by
    /// default it is empty.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = environment;
        self
    }

    /// Names the program that runs [`openclaw_agents::exec::helper_main`] for the `exec` tool; by
    /// default this program with the argument `exec-helper`.
    #[must_use]
    pub fn exec_helper(mut self, helper: HelperPath) -> Self {
        self.helper = helper;
        self
    }

    /// Bounds the database to so many pages of 4 KiB; what does not fit is refused.
    #[must_use]
    pub const fn max_pages(mut self, pages: u32) -> Self {
        self.max_pages = Some(pages);
        self
    }

    /// Makes no socket: the gateway is reached through [`Gateway::connect`] only.
    #[must_use]
    pub const fn in_process(mut self) -> Self {
        self.reach = Reach::InProcess;
        self
    }

    /// Starts the gateway on the running tokio runtime.
    ///
    /// # Errors
    /// When the state directory, the configuration, the store or the socket cannot be used.
    pub async fn start(self) -> Result<Gateway, StartError> {
        let state_dir = StateDir::open(&self.state_dir)?;
        let (path, presence) = match self.config {
            Some(path) => (path, Presence::Required),
            None => (state_dir.path().join("openclaw.toml"), Presence::Optional),
        };
        let settings = Settings::read(&path, presence)?;
        let helpers = HelperRegistry::new();
        let around = Arc::new(Surroundings {
            environment: self.environment,
            health: Arc::default(),
            helper: self.helper,
            helpers: Arc::clone(&helpers),
            state_dir: state_dir.path().to_owned(),
        });
        let roster = Roster::new(settings.config.clone(), &around)?;
        let registry = Arc::new(Registry::new());
        let listener_of_ends = Arc::clone(&registry);
        let options = Options {
            max_pages: self.max_pages,
            on_ended: Some(Arc::new(move |ended| listener_of_ends.on_ended(ended))),
            ..Options::new(Arc::new(clock::now))
        };
        let store = Store::open(state_dir.path(), &options)?;
        // From here on every outcome leaves the store closed in order: its handle does so itself.
        let stop = CancellationToken::new();
        let drain = CancellationToken::new();
        let limits = LaneLimits {
            background: settings.config.cron().max_concurrent,
            subagents: settings.config.agent_defaults().subagents.max_concurrent,
            waiting_per_session: settings.config.queue().cap,
            ..LaneLimits::with_concurrency(settings.config.max_concurrent(cpus()))
        };
        let engine = Engine::new(store.clone(), roster, limits, helpers, drain);
        registry.set_engine(engine.clone());
        let tasks = Tasks::default();
        let doorman = Doorman {
            directory_uid: state_dir.owner(),
            helpers: Arc::clone(&around.helpers),
            store: store.clone(),
        };
        if self.orphans == Orphans::Adopted {
            orphans::adopt(&tasks, &around.helpers, &stop).map_err(StartError::Orphans)?;
        }
        let (connections, accepted) = accept::queue();
        let listener = match self.reach {
            Reach::InProcess => None,
            Reach::Socket => Some(accept::bind(&state_dir.socket())?),
        };
        let (bound, network, certificate_expires_at) = match settings
            .config
            .listen()
            .filter(|_| self.reach == Reach::Socket)
        {
            None => (None, None, None),
            Some(listen) => {
                let home = around.environment.home();
                let certificate =
                    Certificate::open(state_dir.path(), listen.tls.as_ref(), clock::now(), &home)?;
                let advertise = listen.advertise.iter().filter_map(|text| text.parse().ok());
                let (bound, network) = network::bind(
                    listen.tcp,
                    advertise.collect(),
                    &certificate,
                    Arc::clone(&registry),
                )
                .await?;
                (Some(bound), Some(network), certificate.expires_at())
            }
        };
        let hooks = settings.config.hooks();
        let door = match Some(hooks).filter(|it| it.enabled && self.reach == Reach::Socket) {
            None => None,
            Some(hooks) => Some(hooks::bind(hooks.listen).await?),
        };
        let hooks_listen_on = door.as_ref().map(|bound| bound.local);
        // Last of what may fail: it sets to work what waited, and a start that fails after it would
        // interrupt that.
        lapse::lapse(&store, &registry).await;
        presence::end(&store).await;
        // What a hook began that is not there any more does not go on.
        hooks::keep(&engine, &store).await;
        recover(&engine, &store).await?;
        if let Some(listener) = listener {
            tasks.spawn(accept::serve(
                listener,
                doorman.clone(),
                connections.clone(),
                tasks.clone(),
                stop.clone(),
            ));
        }
        if let Some(bound) = bound {
            tasks.spawn(network::serve(bound, connections.clone(), tasks.clone(), stop.clone()));
        }
        retention::keep(&tasks, &store, settings.config.audit().retention, &stop);
        retention::keep_events(&tasks, &store, settings.config.events().retention, &stop);
        presence::keep(&tasks, &store, registry.attendance(), &stop);
        upkeep::keep(&tasks, &engine, &store, state_dir.path(), &stop);
        lapse::watch(&tasks, &store, &registry, &stop);
        let skip = around.environment.get("OPENCLAW_SKIP_CRON");
        let mode = cron::mode(settings.config.cron().enabled, skip);
        let ground = Ground {
            tasks: tasks.clone(),
            engine: engine.clone(),
            store: store.clone(),
            stop: stop.clone(),
        };
        let hub = Arc::new(Hub::open(&settings.config, &around.environment, ground));
        engine.speaks_by(&hub);
        let core = Core::new(Parts {
            around,
            certificate_expires_at,
            config_path: path,
            config_writer: tokio::sync::Mutex::new(()),
            cron: mode,
            engine: engine.clone(),
            hooks_listen_on,
            hub,
            network: network.clone(),
            registry: Arc::clone(&registry),
            started_at: clock::now(),
            stop: stop.clone(),
            store: store.clone(),
            watchers: Watchers::default(),
        });
        purge::resume(&tasks, &store, state_dir.path());
        let telling = engine.clone();
        tasks.spawn(async move { telling.announce_all().await });
        let health = serve(&tasks, &core, &settings, accepted, stop.clone());
        engine.keep_heartbeats().await;
        if let Some(bound) = door {
            hooks::tell(settings.config.hooks().entries.iter(), &core.around.environment);
            let door = Door::new(engine.clone(), core.around.environment.clone(), store.clone());
            tasks.spawn(hooks::serve(bound, Arc::new(door), tasks.clone(), stop.clone()));
        }
        cron::keep(&tasks, &engine, &store, mode, health.clone(), &stop);
        let drain_limit = settings.config.gateway().drain;
        Ok(Gateway {
            connections,
            doorman,
            drain_limit,
            engine,
            health,
            hooks_listen_on,
            network,
            state_dir,
            stop,
            store,
            tasks,
        })
    }
}

async fn recover(engine: &Engine, store: &Store) -> Result<(), StartError> {
    let failed = |problem: String| StartError::Recover(problem);
    let epoch = store
        .epoch(&GrantHolder::Gateway)
        .map_err(|error| failed(error.to_string()))?
        .ok_or_else(|| failed("the gateway's own grant is missing".into()))?;
    let (interrupted, resumed) = engine.recover(epoch).await.map_err(|error| {
        failed(match error {
            ActError::Denied(denial) => denial.to_string(),
            ActError::Failed(error) => error.to_string(),
            ActError::Store(error) => error.to_string(),
        })
    })?;
    if resumed > 0 {
        tracing::warn!(runs = resumed, "runs that were at work at the last stop go on");
    }
    if interrupted > 0 {
        tracing::warn!(
            runs = interrupted,
            "runs that were at work at the last stop are interrupted"
        );
    }
    Ok(())
}

pub(crate) type Health = tonic_health::server::HealthReporter;

/// Starts the server behind the identity layer.
fn serve(
    tasks: &Tasks,
    core: &Core,
    settings: &Settings,
    accepted: mpsc::Receiver<std::io::Result<Connection>>,
    stop: CancellationToken,
) -> Health {
    let (health, health_service) = tonic_health::server::health_reporter();
    let mut routes = rpc::routes(core, settings.config.gateway().max_message_bytes).prepare();
    routes = routes.add_service(health_service);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(openclaw_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1();
    match reflection {
        Ok(reflection) => routes = routes.add_service(reflection),
        Err(error) => tracing::error!(%error, "reflection is not served"),
    }
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .max_concurrent_streams(MAX_STREAMS)
        .layer(IdentityLayer {
            network: core.network.clone(),
            registry: Arc::clone(&core.registry),
            store: core.store.clone(),
        })
        .add_routes(routes)
        .serve_with_incoming_shutdown(ReceiverStream::new(accepted), async move {
            stop.cancelled().await;
        });
    tasks.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the server ended");
        }
    });
    health
}

/// Processors that the system gives this process.
fn cpus() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
