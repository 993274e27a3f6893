//! The configuration of a gateway, complete and consistent.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use openclaw_scopes::AgentId;

use crate::{
    Agent, AgentDefaults, Binding, ChannelSettings, CronSettings, ExecSettings, HookSettings,
    InboundSettings, ListenSettings, ModelName, Price, Provider, ProviderId, QueueSettings,
    SessionSettings, ToolPolicy, WebFetchSettings,
};

/// The effective configuration: what the text says, and the embedded defaults where it is silent.
///
/// Only [`crate::parse`] and `default` make one, so the provider of each model exists, and so do
/// the agent `main` and that of each binding.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    pub(crate) agents: BTreeMap<AgentId, Agent>,
    pub(crate) audit: AuditSettings,
    pub(crate) bindings: Vec<Binding>,
    pub(crate) defaults: AgentDefaults,
    pub(crate) events: EventSettings,
    pub(crate) exec: ExecSettings,
    pub(crate) gateway: GatewaySettings,
    pub(crate) hooks: HookSettings,
    pub(crate) listen: Option<ListenSettings>,
    pub(crate) prices: BTreeMap<ModelName, Price>,
    pub(crate) providers: BTreeMap<ProviderId, Provider>,
    pub(crate) channels: ChannelSettings,
    pub(crate) cron: CronSettings,
    pub(crate) inbound: InboundSettings,
    pub(crate) queue: QueueSettings,
    pub(crate) session: SessionSettings,
    pub(crate) tools_of_subagents: ToolPolicy,
    pub(crate) web_fetch: WebFetchSettings,
}

impl Config {
    /// Returns the agent of this id, if there is one.
    pub fn agent(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.get(id)
    }

    /// Iterates over the agents in the order of their ids; `main` is always among them.
    pub fn agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.values()
    }

    /// Returns how the audit log is kept.
    pub fn audit(&self) -> &AuditSettings {
        &self.audit
    }

    /// Returns which agents answer whom, in the order of the text.
    pub fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Returns what agents have when their entries say nothing else.
    pub fn agent_defaults(&self) -> &AgentDefaults {
        &self.defaults
    }

    /// Returns how events are kept.
    pub const fn events(&self) -> EventSettings {
        self.events
    }

    /// Returns the settings of the tool `exec`.
    pub fn exec(&self) -> &ExecSettings {
        &self.exec
    }

    /// Returns the settings of the gateway itself.
    pub fn gateway(&self) -> &GatewaySettings {
        &self.gateway
    }

    /// Returns what programs elsewhere may post to.
    pub const fn hooks(&self) -> &HookSettings {
        &self.hooks
    }

    /// Returns the listener for other machines, if there is to be one.
    pub fn listen(&self) -> Option<&ListenSettings> {
        self.listen.as_ref()
    }

    /// Returns what a model costs, if that is configured.
    pub fn price(&self, model: &ModelName) -> Option<&Price> {
        self.prices.get(model)
    }

    /// Iterates over what models cost, in the order of their names.
    pub fn prices(&self) -> impl Iterator<Item = (&ModelName, &Price)> {
        self.prices.iter()
    }

    /// Returns the settings of channels.
    pub const fn channels(&self) -> &ChannelSettings {
        &self.channels
    }

    /// Returns the settings of the scheduler.
    pub const fn cron(&self) -> CronSettings {
        self.cron
    }

    /// Returns what becomes of what comes in from chats.
    pub fn inbound(&self) -> &InboundSettings {
        &self.inbound
    }

    /// Returns what becomes of messages that come in while their conversation is busy.
    pub fn queue(&self) -> &QueueSettings {
        &self.queue
    }

    /// Returns how many runs may go on at once on a machine with so many processors.
    pub fn max_concurrent(&self, cpus: NonZeroUsize) -> NonZeroUsize {
        let least = NonZeroUsize::MIN.saturating_add(7);
        let four = NonZeroUsize::MIN.saturating_add(3);
        self.defaults.max_concurrent.unwrap_or_else(|| cpus.saturating_mul(four).max(least))
    }

    /// Returns the provider of this id, if there is one.
    pub fn provider(&self, id: &ProviderId) -> Option<&Provider> {
        self.providers.get(id)
    }

    /// Iterates over the providers in the order of their ids.
    pub fn providers(&self) -> impl Iterator<Item = (&ProviderId, &Provider)> {
        self.providers.iter()
    }

    /// Returns how conversations are kept apart.
    pub fn session(&self) -> &SessionSettings {
        &self.session
    }

    /// Returns which tools sub-agents may have, of those that they could have.
    pub fn tools_of_subagents(&self) -> &ToolPolicy {
        &self.tools_of_subagents
    }

    /// Returns the settings of the tool `web_fetch`.
    pub fn web_fetch(&self) -> &WebFetchSettings {
        &self.web_fetch
    }
}

impl Default for Config {
    /// Returns the embedded defaults: the agent `main` with the offline model.
    fn default() -> Self {
        crate::parse::embedded_defaults()
    }
}

/// How the audit log is kept.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AuditSettings {
    /// How long records are kept; absent, for ever.
    pub retention: Option<Duration>,
}

/// How events are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct EventSettings {
    /// How long they can be read again.
    pub retention: Duration,
}

/// The settings of the gateway itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct GatewaySettings {
    /// How long running turns may go on once the gateway was told to stop.
    pub drain: Duration,
    /// The most bytes that one RPC message may have.
    pub max_message_bytes: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_follows_the_processors_unless_it_is_set() {
        let set = "[agents.defaults]\nmaxConcurrent = 3";
        for (text, cpus, runs) in [("", 1, 8), ("", 2, 8), ("", 3, 12), ("", 64, 256), (set, 64, 3)]
        {
            let config = crate::parse(text).unwrap();
            let cpus = NonZeroUsize::new(cpus).unwrap();
            assert_eq!(config.max_concurrent(cpus).get(), runs, "{text:?} {cpus}");
        }
    }

    #[test]
    fn without_a_text_there_is_main_and_the_offline_model() {
        let config = Config::default();
        assert_eq!(crate::parse("").as_ref(), Ok(&config));
        let main = config.agent(&AgentId::parse("main").unwrap()).unwrap();
        assert_eq!(main.model.primary.to_string(), "offline/offline");
        let provider = config.provider(main.model.primary.provider());
        assert_eq!(provider, Some(&Provider::Offline { script: None }));
        assert_eq!(main.timeout, Some(Duration::from_secs(172_800)));
        assert!(main.tools.allows("exec"));
        assert_eq!(main.workspace, None);
        assert_eq!(config.agents().count(), 1);
    }
}
