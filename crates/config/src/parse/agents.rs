//! Reads `[agents]`: the defaults, and each entry over them.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use openclaw_scopes::AgentId;
use toml::de::DeValue;

use crate::agent::MAIN;
use crate::key::nearest;
use crate::read::{Faults, Field, Section};
use crate::{
    Agent, AgentDefaults, Budget, Dollars, Identity, ModelName, ModelRoute, Price, Problem,
    Spending, SubagentLimits, TOOL_NAMES, ToolPattern, ToolPolicy,
};

use super::heartbeat;
use super::models::{self, Models};
use super::settings::path;

/// What `[agents]` says.
pub(super) struct Agents {
    pub(super) defaults: AgentDefaults,
    pub(super) entries: BTreeMap<AgentId, Agent>,
}

/// Reads the defaults and the entries; `main` is always among them.
pub(super) fn read(root: &Section<'_>, models: &Models, faults: &mut Faults<'_>) -> Agents {
    let section = root.section("agents", faults);
    let defaults = section.section("defaults", faults);
    let said = Said::read(&defaults, &models.declared, faults);
    if defaults.section("model", faults).field("primary").is_none()
        && let Some((at, provider)) = &models.needs_primary
    {
        faults.report(*at, Problem::NoPrimary { provider: provider.clone() });
    }
    let max_concurrent = defaults
        .field("maxConcurrent")
        .and_then(|field| field.number(1, 10_000, faults))
        .and_then(|number| usize::try_from(number).ok())
        .and_then(NonZeroUsize::new);
    let subagents = subagents(&defaults.section("subagents", faults), faults);
    let compaction = defaults.section("compaction", faults);
    let compaction = compaction.field("enabled").and_then(|field| field.flag(faults));
    let heartbeat = heartbeat::read(&defaults, None, &models.declared, faults);
    let defaults = AgentDefaults {
        heartbeat,
        ..said.over_nothing(max_concurrent, subagents, compaction.unwrap_or(true))
    };

    let mut entries = BTreeMap::new();
    let mut has_own = false;
    for field in section.section("entries", faults).fields() {
        let id = AgentId::parse(field.name)
            .map_err(|problem| faults.report(field.key_at, Problem::Id { problem }));
        let Some(entry) = field.section(faults) else { continue };
        let workspace = entry.field("workspace").and_then(|field| path(&field, faults));
        let said = Said::read(&entry, &models.declared, faults);
        let own = heartbeat::read(&entry, defaults.heartbeat.as_ref(), &models.declared, faults);
        has_own |= entry.field("heartbeat").is_some();
        if let Ok(id) = id {
            let agent = Agent { heartbeat: own, ..said.over(&defaults, id.clone(), workspace) };
            entries.insert(id, agent);
        }
    }
    if let Ok(id) = AgentId::parse(MAIN) {
        let main = || Said::default().over(&defaults, id.clone(), None);
        entries.entry(id.clone()).or_insert_with(main);
    }
    // If one of them has its own words for it, only those look around that have (`runtime.md` §5.1 of the
    // reference).
    if !has_own {
        for agent in entries.values_mut() {
            agent.heartbeat.clone_from(&defaults.heartbeat);
        }
    }
    Agents { defaults, entries }
}

/// Reports each agent whose work may cost so much, and may be done by a model of unknown price: such a limit
/// would never be reached.
pub(super) fn check_prices(
    root: &Section<'_>,
    agents: &Agents,
    prices: &BTreeMap<ModelName, Price>,
    faults: &mut Faults<'_>,
) {
    let section = root.section("agents", faults);
    let (defaults, entries) =
        (section.section("defaults", faults), section.section("entries", faults));
    for agent in agents.entries.values().filter(|agent| agent.budget.has_cost()) {
        let mut models = std::iter::once(&agent.model.primary).chain(&agent.model.fallbacks);
        let Some(model) = models.find(|model| !prices.contains_key(model)) else { continue };
        let entry = entries.section(agent.id.as_str(), faults);
        let of = if entry.field("budget").is_some() { entry } else { defaults.clone() };
        let at = of.field("budget").map_or(of.at, |field| field.key_at);
        let (agent, model) = (agent.id.to_string(), model.to_string());
        faults.report(at, Problem::NoPrice { agent, model });
    }
}

/// Reads the id of an agent, or `*` for every one.
fn agent_name(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| match text {
        "*" => Ok(text.to_owned()),
        id => {
            AgentId::parse(id).map(|id| id.to_string()).map_err(|problem| Problem::Id { problem })
        }
    })
}

/// Reports each agent that is named for delegation and does not exist.
pub(super) fn check_delegation(root: &Section<'_>, agents: &Agents, faults: &mut Faults<'_>) {
    let section = root.section("agents", faults);
    let entries = section.section("entries", faults);
    let mut tables = vec![section.section("defaults", faults)];
    tables.extend(agents.entries.keys().map(|id| entries.section(id.as_str(), faults)));
    for table in tables {
        let Some(field) = table.section("subagents", faults).field("allowAgents") else { continue };
        for element in field.elements() {
            let DeValue::String(name) = element.value else { continue };
            let is_there = |name: &str| agents.entries.keys().any(|id| id.as_str() == name);
            if name != "*" && !is_there(name) {
                let known = agents.entries.keys().map(AgentId::as_str);
                let suggestion = nearest(name, known).map(str::to_owned);
                let (key, agent) = (element.path.clone(), name.to_string());
                faults.report(element.at, Problem::UnknownAgent { key, agent, suggestion });
            }
        }
    }
}

fn subagents(section: &Section<'_>, faults: &mut Faults<'_>) -> SubagentLimits {
    let mut number = |name: &str, least: u64, most: u64| {
        section
            .field(name)
            .and_then(|field| field.number(least, most, faults))
            .and_then(|number| u32::try_from(number).ok())
    };
    let defaults = SubagentLimits::default();
    let depth = number("maxSpawnDepth", 0, 5);
    let children = number("maxChildrenPerAgent", 1, 20);
    let concurrent = number("maxConcurrent", 1, 1_000);
    SubagentLimits {
        max_spawn_depth: depth.unwrap_or(defaults.max_spawn_depth),
        max_children_per_agent: children.unwrap_or(defaults.max_children_per_agent),
        max_concurrent: concurrent
            .and_then(|number| usize::try_from(number).ok())
            .and_then(NonZeroUsize::new)
            .unwrap_or(defaults.max_concurrent),
    }
}

/// What one table says, before anything is filled in.
#[derive(Debug, Default)]
struct Said {
    primary: Option<ModelName>,
    fallbacks: Option<Vec<ModelName>>,
    name: Option<String>,
    allow: Option<Vec<ToolPattern>>,
    deny: Option<Vec<ToolPattern>>,
    /// Zero is without limit.
    timeout_seconds: Option<u64>,
    context_tokens: Option<u64>,
    allow_agents: Option<Vec<String>>,
    /// Of run, tree and day; zero is without limit.
    budget: [(Option<u64>, Option<Dollars>, Option<u64>); 3],
}

impl Said {
    fn read(section: &Section<'_>, declared: &BTreeSet<String>, faults: &mut Faults<'_>) -> Self {
        let model = section.section("model", faults);
        let identity = section.section("identity", faults);
        let tools = section.section("tools", faults);
        let budget = section.section("budget", faults);
        let name = |field: &Field<'_>, faults: &mut Faults<'_>| model_name(field, declared, faults);
        Self {
            primary: model.field("primary").and_then(|field| name(&field, faults)),
            fallbacks: model.field("fallbacks").and_then(|field| field.list(faults, name)),
            name: identity.field("name").and_then(|field| display_name(&field, faults)),
            allow: tools.field("allow").and_then(|field| field.list(faults, tool_pattern)),
            deny: tools.field("deny").and_then(|field| field.list(faults, tool_pattern)),
            timeout_seconds: section
                .field("timeoutSeconds")
                .and_then(|field| field.number(0, 31_536_000, faults)),
            context_tokens: section
                .field("contextTokens")
                .and_then(|field| field.number(8_192, 10_000_000, faults)),
            allow_agents: section
                .section("subagents", faults)
                .field("allowAgents")
                .and_then(|field| field.list(faults, agent_name)),
            budget: Budget::PARTS.map(|part| {
                let part = budget.section(part, faults);
                let tokens = part.field("tokens");
                let tokens = tokens.and_then(|field| field.number(0, 1_000_000_000_000, faults));
                let cost = part.field("cost");
                let cost = cost.and_then(|field| models::dollars(&field, faults));
                let seconds = part.field("seconds");
                (tokens, cost, seconds.and_then(|field| field.number(0, 31_536_000, faults)))
            }),
        }
    }

    fn over_nothing(
        self,
        max_concurrent: Option<NonZeroUsize>,
        subagents: SubagentLimits,
        compaction: bool,
    ) -> AgentDefaults {
        let budget = self.budget_over(Budget::default());
        AgentDefaults {
            model: ModelRoute {
                primary: self.primary.unwrap_or_else(ModelName::offline),
                fallbacks: self.fallbacks.unwrap_or_default(),
            },
            identity: Identity { name: self.name },
            tools: ToolPolicy {
                allow: self.allow.unwrap_or_else(|| vec![ToolPattern::every()]),
                deny: self.deny.unwrap_or_default(),
            },
            timeout: limit(self.timeout_seconds.unwrap_or(172_800)),
            context_tokens: self.context_tokens.unwrap_or(128_000),
            budget,
            allow_agents: self.allow_agents.unwrap_or_default(),
            heartbeat: None,
            compaction,
            max_concurrent,
            subagents,
        }
    }

    fn budget_over(&self, inherited: Budget) -> Budget {
        let number = |inherited, said: Option<u64>| {
            said.map_or(inherited, |said| (said > 0).then_some(said))
        };
        let over =
            |inherited: Spending, (tokens, cost, seconds): (_, Option<Dollars>, _)| Spending {
                tokens: number(inherited.tokens, tokens),
                cost: cost.map_or(inherited.cost, |cost| (cost > Dollars(0)).then_some(cost)),
                seconds: number(inherited.seconds, seconds),
            };
        let [run, tree, day] = self.budget;
        Budget {
            run: over(inherited.run, run),
            tree: over(inherited.tree, tree),
            day: over(inherited.day, day),
        }
    }

    /// An entry with its own primary does not fall back to models that were chosen for another.
    fn over(self, defaults: &AgentDefaults, id: AgentId, workspace: Option<PathBuf>) -> Agent {
        let inherited = match self.primary {
            Some(_) => Vec::new(),
            None => defaults.model.fallbacks.clone(),
        };
        let budget = self.budget_over(defaults.budget);
        let mut deny = defaults.tools.deny.clone();
        let own = self.deny.unwrap_or_default();
        deny.extend(own.into_iter().filter(|pattern| !defaults.tools.deny.contains(pattern)));
        Agent {
            id,
            workspace,
            model: ModelRoute {
                primary: self.primary.unwrap_or_else(|| defaults.model.primary.clone()),
                fallbacks: self.fallbacks.unwrap_or(inherited),
            },
            identity: Identity { name: self.name.or_else(|| defaults.identity.name.clone()) },
            tools: ToolPolicy {
                allow: self.allow.unwrap_or_else(|| defaults.tools.allow.clone()),
                deny,
            },
            timeout: self.timeout_seconds.map_or(defaults.timeout, limit),
            context_tokens: self.context_tokens.unwrap_or(defaults.context_tokens),
            budget,
            allow_agents: self.allow_agents.unwrap_or_else(|| defaults.allow_agents.clone()),
            heartbeat: None,
        }
    }
}

fn limit(seconds: u64) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn model_name(
    field: &Field<'_>,
    declared: &BTreeSet<String>,
    faults: &mut Faults<'_>,
) -> Option<ModelName> {
    field.parsed(faults, |text| models::known(text, &field.path, declared))
}

fn display_name(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<String> {
    field.parsed(faults, |text| {
        let is_name = (1..=64).contains(&text.chars().count())
            && text.trim() == text
            && !text.contains(char::is_control);
        is_name.then(|| text.to_owned()).ok_or_else(|| Problem::Text {
            key: field.path.clone(),
            expected: "1 to 64 characters on one line, without spaces around",
        })
    })
}

pub(super) fn tool_pattern(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<ToolPattern> {
    field.parsed(faults, |text| {
        ToolPattern::parse(text).map_err(|error| Problem::UnknownTool {
            key: field.path.clone(),
            suggestion: nearest(text, TOOL_NAMES).map(str::to_owned),
            pattern: error.pattern,
        })
    })
}

#[cfg(test)]
mod tests;
