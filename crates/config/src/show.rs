//! The effective configuration as text, for people and for `config show`.

mod channels;
mod hooks;
mod provider;
mod session;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::{
    Agent, AgentDefaults, Budget, Config, Heartbeat, HeartbeatTarget, Identity, ListenSettings,
    ModelRoute, Spending, TlsFiles, ToolPolicy, format_duration,
};

/// Writes the configuration with all its defaults, always in the same order.
///
/// [`crate::parse`] makes the same configuration of it. Secrets are only ever references, so
/// there is no value to leak.
pub fn to_toml_redacted(config: &Config) -> String {
    Shown(config).to_string()
}

struct Shown<'a>(&'a Config);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_config(f, self.0)
    }
}

fn write_config(out: &mut fmt::Formatter<'_>, config: &Config) -> fmt::Result {
    writeln!(out, "[gateway]")?;
    writeln!(out, "drainSeconds = {}", config.gateway().drain.as_secs())?;
    writeln!(out, "maxMessageBytes = {}", config.gateway().max_message_bytes)?;

    writeln!(out, "\n[listen]")?;
    write_listen(out, config.listen())?;

    writeln!(out, "\n[audit]")?;
    match config.audit().retention {
        Some(retention) => writeln!(out, "retention = {}", quoted(&format_duration(retention)))?,
        None => writeln!(out, "# retention: for ever")?,
    }

    writeln!(out, "\n[events]")?;
    writeln!(out, "retention = {}", quoted(&format_duration(config.events().retention)))?;

    for (id, provider) in config.providers() {
        writeln!(out, "\n[models.providers.{id}]")?;
        provider::write(out, provider)?;
    }

    for (model, price) in config.prices() {
        writeln!(out, "\n[models.prices.{}]", quoted(&model.to_string()))?;
        writeln!(out, "input = {}", price.input)?;
        writeln!(out, "output = {}", price.output)?;
        writeln!(out, "cacheRead = {}", price.cache_read)?;
    }

    writeln!(out, "\n[agents.defaults]")?;
    write_defaults(out, config.agent_defaults())?;
    for agent in config.agents() {
        writeln!(out, "\n[agents.entries.{}]", agent.id)?;
        write_agent(out, agent)?;
    }

    writeln!(out, "\n[session]")?;
    session::write_session(out, config.session())?;
    for binding in config.bindings() {
        writeln!(out, "\n[[bindings]]")?;
        session::write_binding(out, binding)?;
    }

    writeln!(out, "\n[messages.inbound]")?;
    session::write_inbound(out, config.inbound())?;

    writeln!(out, "\n[messages.queue]")?;
    session::write_queue(out, config.queue())?;

    writeln!(out, "\n[cron]")?;
    writeln!(out, "enabled = {}", config.cron().enabled)?;
    writeln!(out, "maxConcurrentRuns = {}", config.cron().max_concurrent)?;

    channels::write(out, config.channels())?;
    hooks::write(out, config.hooks())?;

    let exec = config.exec();
    writeln!(out, "\n[tools.exec]")?;
    writeln!(out, "sandbox = {}", quoted(exec.sandbox.name()))?;
    writeln!(out, "timeoutSeconds = {}", exec.timeout.as_secs())?;
    writeln!(out, "envAllow = {}", list(&exec.env_allow))?;
    writeln!(out, "ask = {}", quoted(exec.ask.name()))?;
    let allow: Vec<_> = exec.allow.iter().map(|command| list(command)).collect();
    writeln!(out, "allow = [{}]", allow.join(", "))?;
    writeln!(out, "unattended = {}", quoted(exec.unattended.name()))?;
    writeln!(out, "notifyOnExit = {}", exec.notify_on_exit)?;

    let of_subagents = config.tools_of_subagents();
    writeln!(out, "\n[tools.subagents.tools]")?;
    writeln!(out, "allow = {}", list(&of_subagents.allow))?;
    writeln!(out, "deny = {}", list(&of_subagents.deny))?;
    writeln!(out, "\n[tools.webFetch]")?;
    writeln!(out, "allowAddresses = {}", list(&config.web_fetch().allow_addresses))
}

fn write_listen(out: &mut fmt::Formatter<'_>, listen: Option<&ListenSettings>) -> fmt::Result {
    let Some(ListenSettings { tcp, advertise, tls }) = listen else {
        return writeln!(out, "# tcp: nothing listens on the network");
    };
    writeln!(out, "tcp = {}", quoted(&tcp.to_string()))?;
    if advertise.is_empty() {
        writeln!(out, "# advertise: the addresses of the listener")?;
    } else {
        writeln!(out, "advertise = {}", list(advertise))?;
    }
    match tls {
        Some(TlsFiles { cert, key }) => {
            let (cert, key) = (quoted_path(cert), quoted_path(key));
            writeln!(out, "tls = {{ certPath = {cert}, keyPath = {key} }}")
        }
        None => writeln!(out, "# tls: the gateway's own, in `tls` in the state directory"),
    }
}

fn write_budget(out: &mut fmt::Formatter<'_>, budget: &Budget) -> fmt::Result {
    for (part, Spending { tokens, cost, seconds }) in budget.parts() {
        let (tokens, cost) = (tokens.unwrap_or(0), cost.unwrap_or_default());
        let seconds = seconds.unwrap_or(0);
        writeln!(
            out,
            "budget.{part} = {{ tokens = {tokens}, cost = {cost}, seconds = {seconds} }}"
        )?;
    }
    Ok(())
}

fn write_defaults(out: &mut fmt::Formatter<'_>, defaults: &AgentDefaults) -> fmt::Result {
    write_shared(out, &defaults.model, &defaults.identity, &defaults.tools, defaults.timeout)?;
    match defaults.max_concurrent {
        Some(runs) => writeln!(out, "maxConcurrent = {runs}"),
        None => writeln!(out, "# maxConcurrent: four for each processor, at least 8"),
    }?;
    let limits = defaults.subagents;
    writeln!(out, "contextTokens = {}", defaults.context_tokens)?;
    write_budget(out, &defaults.budget)?;
    writeln!(out, "subagents.allowAgents = {}", list(&defaults.allow_agents))?;
    writeln!(out, "compaction.enabled = {}", defaults.compaction)?;
    writeln!(out, "subagents.maxSpawnDepth = {}", limits.max_spawn_depth)?;
    writeln!(out, "subagents.maxChildrenPerAgent = {}", limits.max_children_per_agent)?;
    writeln!(out, "subagents.maxConcurrent = {}", limits.max_concurrent)?;
    write_heartbeat(out, defaults.heartbeat.as_ref())
}

fn write_heartbeat(out: &mut fmt::Formatter<'_>, heartbeat: Option<&Heartbeat>) -> fmt::Result {
    let Some(heartbeat) = heartbeat else {
        return writeln!(out, "heartbeat.every = \"0m\"");
    };
    writeln!(out, "heartbeat.every = {}", quoted(&format_duration(heartbeat.every)))?;
    writeln!(out, "heartbeat.prompt = {}", quoted(&heartbeat.prompt))?;
    if let Some(model) = &heartbeat.model {
        writeln!(out, "heartbeat.model = {}", quoted(&model.to_string()))?;
    }
    let (target, to) = match &heartbeat.target {
        HeartbeatTarget::Chat { channel, to } => (channel.as_str(), Some(to)),
        HeartbeatTarget::None => ("none", None),
        HeartbeatTarget::Owner => ("owner", None),
    };
    writeln!(out, "heartbeat.target = {}", quoted(target))?;
    if let Some(to) = to {
        writeln!(out, "heartbeat.to = {}", quoted(to))?;
    }
    if let Some(hours) = &heartbeat.active {
        let (start, end, zone) = (hours.start(), hours.end(), hours.zone().name());
        let (start, end, zone) = (quoted(&start), quoted(&end), quoted(zone));
        writeln!(
            out,
            "heartbeat.activeHours = {{ start = {start}, end = {end}, timezone = {zone} }}"
        )?;
    }
    writeln!(out, "heartbeat.isolatedSession = {}", heartbeat.isolated_session)?;
    writeln!(out, "heartbeat.lightContext = {}", heartbeat.light_context)?;
    if let Some(timeout) = heartbeat.timeout {
        writeln!(out, "heartbeat.timeoutSeconds = {}", timeout.as_secs())?;
    }
    writeln!(out, "heartbeat.budget = {}", heartbeat.budget.unwrap_or(0))?;
    let tools: Vec<_> = heartbeat.tools.iter().map(ToString::to_string).collect();
    writeln!(out, "heartbeat.tools = {}", list(&tools))
}

fn write_agent(out: &mut fmt::Formatter<'_>, agent: &Agent) -> fmt::Result {
    match &agent.workspace {
        Some(workspace) => writeln!(out, "workspace = {}", quoted_path(workspace))?,
        None => writeln!(out, "# workspace: agents/{}/workspace in the state directory", agent.id)?,
    }
    write_shared(out, &agent.model, &agent.identity, &agent.tools, agent.timeout)?;
    writeln!(out, "contextTokens = {}", agent.context_tokens)?;
    write_budget(out, &agent.budget)?;
    writeln!(out, "subagents.allowAgents = {}", list(&agent.allow_agents))?;
    write_heartbeat(out, agent.heartbeat.as_ref())
}

fn write_shared(
    out: &mut fmt::Formatter<'_>,
    model: &ModelRoute,
    identity: &Identity,
    tools: &ToolPolicy,
    timeout: Option<Duration>,
) -> fmt::Result {
    let primary = quoted(&model.primary.to_string());
    let fallbacks = list(&model.fallbacks);
    writeln!(out, "model = {{ primary = {primary}, fallbacks = {fallbacks} }}")?;
    if let Some(name) = &identity.name {
        writeln!(out, "identity = {{ name = {} }}", quoted(name))?;
    }
    let (allow, deny) = (list(&tools.allow), list(&tools.deny));
    writeln!(out, "tools = {{ allow = {allow}, deny = {deny} }}")?;
    writeln!(out, "timeoutSeconds = {}", timeout.map_or(0, |timeout| timeout.as_secs()))
}

/// Writes a text so that TOML reads the same text.
fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// Writes a path, which came from a text.
fn quoted_path(path: &Path) -> String {
    quoted(&path.to_string_lossy())
}

fn list(texts: &[impl ToString]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(&text.to_string())).collect();
    format!("[{}]", texts.join(", "))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn the_defaults_are_spelled_out() {
        expect![[r#"
            [gateway]
            drainSeconds = 25
            maxMessageBytes = 4194304

            [listen]
            # tcp: nothing listens on the network

            [audit]
            # retention: for ever

            [events]
            retention = "1d"

            [models.providers.offline]
            api = "offline"

            [agents.defaults]
            model = { primary = "offline/offline", fallbacks = [] }
            tools = { allow = ["*"], deny = [] }
            timeoutSeconds = 172800
            # maxConcurrent: four for each processor, at least 8
            contextTokens = 128000
            budget.run = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.tree = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.day = { tokens = 0, cost = 0.000000, seconds = 0 }
            subagents.allowAgents = []
            compaction.enabled = true
            subagents.maxSpawnDepth = 5
            subagents.maxChildrenPerAgent = 5
            subagents.maxConcurrent = 8
            heartbeat.every = "0m"

            [agents.entries.main]
            # workspace: agents/main/workspace in the state directory
            model = { primary = "offline/offline", fallbacks = [] }
            tools = { allow = ["*"], deny = [] }
            timeoutSeconds = 172800
            contextTokens = 128000
            budget.run = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.tree = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.day = { tokens = 0, cost = 0.000000, seconds = 0 }
            subagents.allowAgents = []
            heartbeat.every = "0m"

            [session]
            dmScope = "main"
            groupScope = "per-group"
            identityLinks = {}
            reset = { mode = "none" }
            maintenance.pruneAfter = "30d"
            maintenance.maxDiskBytes = 10737418240
            sendPolicy.default = "allow"
            sendPolicy.rules = []

            [messages.inbound]
            debounceMs = 300
            byChannel = {}
            maxMediaBytes = 268435456

            [messages.queue]
            mode = "steer"
            byChannel = {}
            debounceMs = 500
            cap = 20
            drop = "new"

            [cron]
            enabled = true
            maxConcurrentRuns = 8

            [commands]
            ownerAllowFrom = []

            [channels.webhook]
            # secret: webhooks are not signed
            allowAddresses = []

            [hooks]
            enabled = false
            listen = "127.0.0.1:18790"

            [tools.exec]
            sandbox = "workspace"
            timeoutSeconds = 1800
            envAllow = []
            ask = "unlisted"
            allow = []
            unattended = "deny"
            notifyOnExit = true

            [tools.subagents.tools]
            allow = ["*"]
            deny = []

            [tools.webFetch]
            allowAddresses = []
        "#]]
        .assert_eq(&to_toml_redacted(&Config::default()));
    }

    #[test]
    fn the_examples_are_shown_as_they_are_meant() {
        for example in crate::EXAMPLES {
            let config = crate::parse(example.text).unwrap();
            let shown = to_toml_redacted(&config);
            assert_eq!(crate::parse(&shown), Ok(config), "{shown}");
        }
        let text = crate::EXAMPLES.last().unwrap().text;
        expect![[r#"
            [gateway]
            drainSeconds = 60
            maxMessageBytes = 4194304

            [listen]
            # tcp: nothing listens on the network

            [audit]
            retention = "400d"

            [events]
            retention = "1d"

            [models.providers.anthropic]
            api = "anthropic-messages"
            baseUrl = "https://api.anthropic.com"
            apiKey = { env = "ANTHROPIC_API_KEY" }
            timeoutSeconds = 120

            [models.providers.offline]
            api = "offline"

            [models.providers.ollama]
            api = "openai-completions"
            baseUrl = "http://127.0.0.1:11434/v1"
            timeoutSeconds = 600

            [agents.defaults]
            model = { primary = "anthropic/claude-sonnet-4-5", fallbacks = ["ollama/qwen3:8b"] }
            tools = { allow = ["*"], deny = [] }
            timeoutSeconds = 3600
            maxConcurrent = 16
            contextTokens = 128000
            budget.run = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.tree = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.day = { tokens = 0, cost = 0.000000, seconds = 0 }
            subagents.allowAgents = []
            compaction.enabled = true
            subagents.maxSpawnDepth = 5
            subagents.maxChildrenPerAgent = 5
            subagents.maxConcurrent = 8
            heartbeat.every = "0m"

            [agents.entries.builder]
            workspace = "/srv/builder"
            model = { primary = "anthropic/claude-sonnet-4-5", fallbacks = ["ollama/qwen3:8b"] }
            tools = { allow = ["*"], deny = ["web_fetch"] }
            timeoutSeconds = 3600
            contextTokens = 128000
            budget.run = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.tree = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.day = { tokens = 0, cost = 0.000000, seconds = 0 }
            subagents.allowAgents = []
            heartbeat.every = "0m"

            [agents.entries.librarian]
            workspace = "~/library"
            model = { primary = "ollama/qwen3:8b", fallbacks = [] }
            tools = { allow = ["read_file", "list_dir"], deny = [] }
            timeoutSeconds = 3600
            contextTokens = 128000
            budget.run = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.tree = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.day = { tokens = 0, cost = 0.000000, seconds = 0 }
            subagents.allowAgents = []
            heartbeat.every = "0m"

            [agents.entries.main]
            # workspace: agents/main/workspace in the state directory
            model = { primary = "anthropic/claude-sonnet-4-5", fallbacks = ["ollama/qwen3:8b"] }
            identity = { name = "Ada" }
            tools = { allow = ["*"], deny = [] }
            timeoutSeconds = 3600
            contextTokens = 128000
            budget.run = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.tree = { tokens = 0, cost = 0.000000, seconds = 0 }
            budget.day = { tokens = 0, cost = 0.000000, seconds = 0 }
            subagents.allowAgents = []
            heartbeat.every = "0m"

            [session]
            dmScope = "per-channel-peer"
            groupScope = "per-group"
            identityLinks = { ada = ["telegram:1234", "discord:5678"] }
            reset = { mode = "none" }
            maintenance.pruneAfter = "30d"
            maintenance.maxDiskBytes = 10737418240
            sendPolicy.default = "allow"
            sendPolicy.rules = []

            [[bindings]]
            agentId = "librarian"
            match = { channel = "discord", accountId = "default", peer = { kind = "channel", id = "9012" } }
            # session: as in `session`

            [messages.inbound]
            debounceMs = 300
            byChannel = {}
            maxMediaBytes = 268435456

            [messages.queue]
            mode = "steer"
            byChannel = {}
            debounceMs = 500
            cap = 20
            drop = "new"

            [cron]
            enabled = true
            maxConcurrentRuns = 8

            [commands]
            ownerAllowFrom = []

            [channels.webhook]
            # secret: webhooks are not signed
            allowAddresses = []

            [hooks]
            enabled = false
            listen = "127.0.0.1:18790"

            [tools.exec]
            sandbox = "workspace"
            timeoutSeconds = 600
            envAllow = ["CARGO_HOME", "RUSTUP_HOME"]
            ask = "unlisted"
            allow = []
            unattended = "deny"
            notifyOnExit = true

            [tools.subagents.tools]
            allow = ["*"]
            deny = []

            [tools.webFetch]
            allowAddresses = ["192.168.1.20:8080"]
        "#]]
        .assert_eq(&to_toml_redacted(&crate::parse(text).unwrap()));
    }
}
