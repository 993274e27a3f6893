//! The configured agents, ready to work: models, workspaces, prompts and tools.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use openclaw_agents::exec::{HelperPath, HelperRegistry, Limits, SandboxMode, TcpMode};
use openclaw_agents::tool::{Tool, ToolSpec, Toolbox};
use openclaw_agents::tools::{
    AskMode, CronTool, Delegation, DelegationTool, EditFile, ExecOptions, ExecPorts, ExecTool,
    Jobs, ListDir, ProcessTool, ReadFile, RunStatus, SessionStatus, StatusSource, WebFetch,
    WebFetchOptions, Workspace, WriteFile, YieldFlag,
};
use openclaw_agents::{
    ConnectError, Fingerprint, Health, Model, PromptInputs, Providers, RetryPolicy, SeededJitter,
    build_prompt, fingerprint, has_empty_heartbeat, read_workspace,
};
use openclaw_config::{
    Agent, Config, ExecAsk, ModelName, ModelRoute, ProviderId, ResetPolicy, Sandbox, Secret,
    ToolPolicy, expand_home,
};
use openclaw_scopes::{AgentId, Capability, CapabilitySet, RunId, Timestamp};
use openclaw_sessions::{KeyError, Routes, SendRules, estimate_tokens, resolve_key};

use crate::route;
use crate::settings::Environment;

/// Why an agent cannot work as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// A provider cannot be used.
    #[error("{}", chain(.0))]
    Provider(#[from] ConnectError),
    /// A model's provider is not there. The configuration was checked, so this is our mistake.
    #[error("model `{0}` has no provider")]
    NoProvider(ModelName),
    /// The tools of an agent cannot be put together.
    #[error("tools of agent `{agent}`: {problem}")]
    Tools {
        /// The agent.
        agent: AgentId,
        /// What is wrong.
        problem: String,
    },
    /// A workspace cannot be used.
    #[error("workspace of agent `{agent}`: {problem}")]
    Workspace {
        /// The agent.
        agent: AgentId,
        /// What is wrong.
        problem: String,
    },
}

fn chain(error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// What does not change while a gateway lives.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) environment: Environment,
    /// How models did lately. It outlives a configuration, for what stays in the next one.
    pub(crate) health: Arc<Health>,
    pub(crate) helper: HelperPath,
    pub(crate) helpers: Arc<HelperRegistry>,
    pub(crate) state_dir: PathBuf,
}

/// All agents of one configuration.
#[derive(Debug)]
pub(crate) struct Roster {
    agents: BTreeMap<AgentId, Arc<Worker>>,
    pub(crate) config: Config,
    health: Arc<Health>,
    providers: Providers,
    /// Where messages and other work go.
    pub(crate) routes: Routes,
    /// What leaves of what is said in conversations.
    pub(crate) send_rules: SendRules,
}

impl Roster {
    /// Makes every configured agent ready; workspaces that are not there are made.
    pub(crate) fn new(config: Config, around: &Arc<Surroundings>) -> Result<Self, RosterError> {
        let environment = &around.environment;
        let secret = |key: &openclaw_config::SecretRef| {
            environment.get(&key.env).map(|value| Secret::new(value.to_owned()))
        };
        let read = |path: &Path| std::fs::read_to_string(expand_home(path, &environment.home()));
        let providers = Providers::connect(config.providers(), secret, read)?;
        let mut agents = BTreeMap::new();
        for agent in config.agents() {
            let worker = Worker::new(agent.clone(), &config, &providers, around)?;
            agents.insert(agent.id.clone(), Arc::new(worker));
        }
        let (routes, send_rules) = (route::routes(&config), route::send_rules(&config));
        let health = Arc::clone(&around.health);
        Ok(Self { agents, config, health, providers, routes, send_rules })
    }

    /// Returns a model whose provider is configured.
    pub(crate) fn model(&self, name: &ModelName) -> Option<Arc<dyn Model>> {
        self.providers.model(name)
    }

    /// Returns a model that somebody chose, if its provider is configured: it answers, and no other in its
    /// place (`runtime.md` §2.8 of the reference).
    pub(crate) fn chosen(&self, name: &ModelName) -> Option<Arc<dyn Model>> {
        let route = ModelRoute { primary: name.clone(), fallbacks: Vec::new() };
        let jitter = Arc::new(SeededJitter::new(u64::from(std::process::id())));
        let health = Arc::clone(&self.health);
        let chain = self.providers.chain(&route, RetryPolicy::default(), jitter, health)?;
        Some(Arc::new(chain))
    }

    /// Returns since when somebody has to have asked something for a conversation to go on.
    pub(crate) fn fresh_since(&self, now: Timestamp) -> Option<Timestamp> {
        let policy = self.config.session().reset;
        if policy == ResetPolicy::default() {
            return None;
        }
        // The time zone is the machine's, which may change while the gateway runs.
        crate::freshness::since(policy, now, &jiff::tz::TimeZone::system())
    }

    /// Forgets how those providers did that are not what they were under `before`.
    pub(crate) fn succeed(&self, before: &Self) {
        self.health.retain(|id| {
            ProviderId::parse(id)
                .is_ok_and(|id| self.config.provider(&id) == before.config.provider(&id))
        });
    }

    pub(crate) fn agent(&self, id: &AgentId) -> Option<&Arc<Worker>> {
        self.agents.get(id)
    }

    pub(crate) fn agents(&self) -> impl Iterator<Item = &Arc<Worker>> {
        self.agents.values()
    }
}

/// One agent, ready to work.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) agent: Agent,
    pub(crate) model: Arc<dyn Model>,
    capabilities: CapabilitySet,
    cron: Option<CronTool>,
    delegation: Vec<DelegationTool>,
    exec: Option<ExecTool>,
    process: Option<ProcessTool>,
    prompt: Mutex<Option<(Fingerprint, Arc<str>)>>,
    status: Option<SessionStatus>,
    /// How long the text is in which a model is told of the tools.
    tool_bytes: usize,
    /// The tools, of which a run gets its own `exec` and `session_status`.
    tools: Toolbox,
    workspace: Arc<Workspace>,
}

impl Worker {
    fn new(
        agent: Agent,
        config: &Config,
        providers: &Providers,
        around: &Arc<Surroundings>,
    ) -> Result<Self, RosterError> {
        let workspace = open_workspace(&agent, around)?;
        let jitter = Arc::new(SeededJitter::new(u64::from(std::process::id())));
        let model = providers
            .chain(&agent.model, RetryPolicy::default(), jitter, Arc::clone(&around.health))
            .map(Arc::new)
            .ok_or_else(|| RosterError::NoProvider(agent.model.primary.clone()))?;
        let unusable = |problem: String| RosterError::Tools { agent: agent.id.clone(), problem };
        let sample =
            sample(&agent.id, model.name()).map_err(|error| unusable(error.to_string()))?;
        let exec = agent
            .tools
            .allows("exec")
            .then(|| ExecTool::new(exec_options(config, around, &workspace), sample.run.clone()));
        let status = agent
            .tools
            .allows("session_status")
            .then(|| SessionStatus::new(Arc::new(sample.clone())));
        let is_allowed = |tool: &DelegationTool| agent.tools.allows(&tool.spec().name);
        let delegation: Vec<_> = DelegationTool::all().into_iter().filter(is_allowed).collect();
        let process = exec.as_ref().filter(|_| agent.tools.allows("process"));
        let process = process.map(|exec| ProcessTool::new(exec.capability()));
        let cron = agent.tools.allows("cron").then(CronTool::default);
        let mut tools = common_tools(&agent, config, &workspace);
        if let Some(exec) = &exec {
            tools.push(Arc::new(exec.for_run(sample.run.clone(), ExecPorts::default())));
        }
        if let Some(process) = &process {
            tools.push(Arc::new(process.clone()));
        }
        if let Some(cron) = &cron {
            tools.push(Arc::new(cron.clone()));
        }
        if let Some(status) = &status {
            tools.push(Arc::new(status.for_run(Arc::new(sample))));
        }
        for tool in DelegationTool::all().into_iter().filter(|tool| is_allowed(tool)) {
            tools.push(Arc::new(tool));
        }
        let tools = Toolbox::new(tools).map_err(|error| unusable(error.to_string()))?;
        let capabilities = tools
            .specs()
            .iter()
            .filter_map(|spec| tools.target(&spec.name))
            .fold(CapabilitySet::EMPTY, |set, target| set.with(target.capability));
        let tool_bytes = tools.specs().iter().fold(0_usize, |bytes, spec| {
            let said = spec.name.len().saturating_add(spec.description.len());
            bytes.saturating_add(said).saturating_add(spec.parameters.to_string().len())
        });
        let prompt = Mutex::new(None);
        Ok(Self {
            agent,
            model,
            capabilities,
            cron,
            delegation,
            exec,
            process,
            prompt,
            status,
            tool_bytes,
            tools,
            workspace,
        })
    }

    /// Returns what a model is told of the tools.
    pub(crate) fn specs(&self) -> Arc<[ToolSpec]> {
        self.tools.specs()
    }

    /// Whether there is nothing for its heartbeat to look at.
    pub(crate) fn has_empty_heartbeat(&self) -> bool {
        has_empty_heartbeat(&self.workspace)
    }

    /// Returns the workspace, in which the files are kept that come with messages.
    pub(crate) fn files(&self) -> &Arc<Workspace> {
        &self.workspace
    }

    pub(crate) fn workspace(&self) -> &Path {
        self.workspace.root()
    }

    /// Returns the tools of one run.
    pub(crate) fn toolbox(&self, ports: &OwnPorts) -> Toolbox {
        let mut own: Vec<Arc<dyn Tool>> = Vec::new();
        if let Some(exec) = &self.exec {
            own.push(Arc::new(exec.for_run(ports.run.clone(), ports.exec.clone())));
        }
        if let (Some(process), Some(port)) = (&self.process, &ports.exec.processes) {
            own.push(Arc::new(process.for_run(Arc::clone(port))));
        }
        if let Some(cron) = &self.cron {
            own.push(Arc::new(cron.for_run(Arc::clone(&ports.jobs))));
        }
        if let Some(status) = &self.status {
            own.push(Arc::new(status.for_run(Arc::clone(&ports.status))));
        }
        for tool in &self.delegation {
            own.push(Arc::new(tool.for_run(Arc::clone(&ports.delegation), ports.yields.clone())));
        }
        self.tools.with_own(own)
    }

    /// Returns the tools of a sub-agent, and what it is capable of: of what its agent has, what a sub-agent
    /// may have, what was asked for, and what whoever delegates has itself and is capable of.
    ///
    /// # Errors
    /// With the name of a tool that was asked for and cannot be had.
    pub(crate) fn child_tools(
        &self,
        wanted: Option<&[String]>,
        ceiling: CapabilitySet,
        held: &[String],
        policy: &ToolPolicy,
        is_leaf: bool,
    ) -> Result<(Vec<String>, CapabilitySet), String> {
        let ceiling = ceiling.delegated(self.capabilities);
        let could: Vec<_> = self
            .tools
            .specs()
            .iter()
            .filter_map(|spec| self.tools.target(&spec.name))
            .filter(|target| ceiling.contains(target.capability))
            .filter(|target| {
                let name = target.tool.as_str();
                let is_lost = is_leaf && NOT_OF_LEAVES.contains(&name);
                let is_held = held.iter().any(|tool| tool == name);
                is_held && !is_lost && policy.allows(name) && !NEVER_DELEGATED.contains(&name)
            })
            .collect();
        if let Some(wanted) = wanted
            && let Some(absent) =
                wanted.iter().find(|name| !could.iter().any(|it| it.tool.as_str() == *name))
        {
            return Err(absent.chars().take(64).collect());
        }
        let is_wanted =
            |name: &str| wanted.is_none_or(|wanted| wanted.iter().any(|tool| tool == name));
        let given: Vec<_> =
            could.into_iter().filter(|target| is_wanted(target.tool.as_str())).collect();
        let capabilities =
            given.iter().fold(CapabilitySet::EMPTY, |set, target| set.with(target.capability));
        Ok((given.iter().map(|target| target.tool.to_string()).collect(), capabilities))
    }

    /// Returns the system prompt of turns that have other tools; of a sub-agent with [`SUBAGENT`].
    pub(crate) fn prompt_for(&self, tools: &[ToolSpec], identity: &str) -> Arc<str> {
        let name = self.agent.identity.name.as_deref().unwrap_or(self.agent.id.as_str());
        build_prompt(&PromptInputs {
            name,
            identity,
            workspace: &self.workspace.root().to_string_lossy(),
            tools,
            files: &read_workspace(&self.workspace),
        })
        .into()
    }

    /// Returns how many tokens a model is told before the history, roughly.
    pub(crate) fn overhead(&self) -> u64 {
        let cached = self.prompt.lock().unwrap_or_else(PoisonError::into_inner);
        let known = cached.as_ref().map(|(_, prompt)| prompt.len());
        drop(cached);
        // Of an estimate it is no matter whether a file of the workspace was changed just now.
        let prompt = known.unwrap_or_else(|| self.prompt().len());
        estimate_tokens(prompt.saturating_add(self.tool_bytes))
    }

    /// Whether its runs can leave commands in the background: the tool that looks after them is theirs.
    pub(crate) const fn looks_after_commands(&self) -> bool {
        self.process.is_some()
    }

    /// Returns what runs its commands; `None` when it has none.
    pub(crate) const fn exec(&self) -> Option<&ExecTool> {
        self.exec.as_ref()
    }

    /// Returns under which capability its commands run; `None` when it has none.
    pub(crate) fn exec_capability(&self) -> Option<Capability> {
        self.exec.as_ref().map(|exec| exec.capability())
    }

    /// Returns what a run of this agent is capable of: what its tools need, and nothing else.
    pub(crate) const fn capabilities(&self) -> CapabilitySet {
        self.capabilities
    }

    /// Returns the system prompt, built anew when a file of the workspace has changed.
    pub(crate) fn prompt(&self) -> Arc<str> {
        let mark = fingerprint(&self.workspace);
        let mut cached = self.prompt.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, prompt)) = &*cached
            && *known == mark
        {
            return Arc::clone(prompt);
        }
        let name = self.agent.identity.name.as_deref().unwrap_or(self.agent.id.as_str());
        let prompt: Arc<str> = build_prompt(&PromptInputs {
            name,
            identity: "",
            workspace: &self.workspace.root().to_string_lossy(),
            tools: &self.tools.specs(),
            files: &read_workspace(&self.workspace),
        })
        .into();
        *cached = Some((mark, Arc::clone(&prompt)));
        prompt
    }
}

/// What a sub-agent is told that it is.
pub(crate) const SUBAGENT: &str = "You are a sub-agent: nobody reads what you do but whoever gave you the task, \
    and your last message is all that they are told. Do the task, and say what came of it.";

/// What the tools of one run need from the world.
pub(crate) struct OwnPorts {
    pub(crate) run: RunId,
    pub(crate) status: Arc<dyn StatusSource>,
    pub(crate) delegation: Arc<dyn Delegation>,
    pub(crate) yields: YieldFlag,
    /// Where its jobs are.
    pub(crate) jobs: Arc<dyn Jobs>,
    /// Who is asked about commands, and takes over those that go to the background.
    pub(crate) exec: ExecPorts,
}

/// Tools that no sub-agent has, and those that one has not that may delegate nothing
/// (`runtime.md` §3.2 of the reference).
const NEVER_DELEGATED: [&str; 3] = ["cron", "process", "session_status"];
const NOT_OF_LEAVES: [&str; 6] = [
    "sessions_history",
    "sessions_list",
    "sessions_send",
    "sessions_spawn",
    "sessions_yield",
    "subagents",
];

/// The tools that are the same for every run.
fn common_tools(agent: &Agent, config: &Config, workspace: &Arc<Workspace>) -> Vec<Arc<dyn Tool>> {
    let allow_addresses = config.web_fetch().allow_addresses.iter().copied().collect();
    let user_agent = concat!("openclaw-gateway/", env!("CARGO_PKG_VERSION")).into();
    let all: [Arc<dyn Tool>; 5] = [
        Arc::new(ReadFile::new(Arc::clone(workspace))),
        Arc::new(WriteFile::new(Arc::clone(workspace))),
        Arc::new(EditFile::new(Arc::clone(workspace))),
        Arc::new(ListDir::new(Arc::clone(workspace))),
        Arc::new(WebFetch::new(WebFetchOptions { allow_addresses, user_agent })),
    ];
    all.into_iter().filter(|tool| agent.tools.allows(&tool.spec().name)).collect()
}

fn exec_options(config: &Config, around: &Surroundings, workspace: &Arc<Workspace>) -> ExecOptions {
    let settings = config.exec();
    ExecOptions {
        env_allow: settings.env_allow.clone(),
        allow: settings.allow.clone(),
        ask: match settings.ask {
            ExecAsk::Always => AskMode::Always,
            ExecAsk::Off => AskMode::Off,
            ExecAsk::Unlisted => AskMode::Unlisted,
        },
        environment: around.environment.all(),
        helper: around.helper.clone(),
        limits: Limits::default(),
        max_time: settings.timeout,
        registry: Arc::clone(&around.helpers),
        sandbox: match settings.sandbox {
            Sandbox::Off => SandboxMode::Off,
            Sandbox::Workspace => SandboxMode::Workspace,
        },
        tcp: TcpMode::Open,
        temp_root: std::env::temp_dir(),
        time: settings.timeout,
        workspace: Arc::clone(workspace),
    }
}

/// The status of no run in particular: what a model is told of the tools does not depend on it.
fn sample(agent: &AgentId, model: &str) -> Result<RunStatus, KeyError> {
    Ok(RunStatus {
        agent: agent.clone(),
        input_tokens: 0,
        model: model.to_owned(),
        output_tokens: 0,
        run: RunId::parse("sample").map_err(KeyError::Text)?,
        session: resolve_key("main", Some(agent))?,
        started: Timestamp::default(),
    })
}

fn open_workspace(agent: &Agent, around: &Surroundings) -> Result<Arc<Workspace>, RosterError> {
    let path = match &agent.workspace {
        Some(path) => expand_home(path, &around.environment.home()),
        None => around.state_dir.join("agents").join(agent.id.as_str()).join("workspace"),
    };
    let failed = |problem: String| RosterError::Workspace { agent: agent.id.clone(), problem };
    std::fs::create_dir_all(&path)
        .map_err(|error| failed(format!("`{}`: {error}", path.display())))?;
    let protected = [around.state_dir.clone()];
    Workspace::open(&path, &protected).map(Arc::new).map_err(|error| failed(error.to_string()))
}
