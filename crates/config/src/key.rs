//! The table of keys: what the parser accepts and what the reference documents, in one place.

/// One key of the configuration.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KeyDoc {
    /// Its path; `<id>` stands for a name that the reader chooses, and `[]` for each of a list.
    pub path: &'static str,
    /// What may stand there.
    pub value: &'static str,
    /// What holds when it is absent.
    pub default: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

const fn key(
    path: &'static str,
    value: &'static str,
    default: &'static str,
    meaning: &'static str,
) -> KeyDoc {
    KeyDoc { path, value, default, meaning }
}

const TOOLS: &str = "list of names or globs (`*`) of tools";
const INHERITED: &str = "as in `agents.defaults`";
const AS_SESSION: &str = "as in `session`";
const DM_SCOPES: &str =
    "`\"main\"`, `\"per-peer\"`, `\"per-channel-peer\"` or `\"per-account-channel-peer\"`";
const GROUP_SCOPES: &str = "`\"per-group\"` or `\"main\"`";

const DOLLARS: &str = "dollars, with six decimals at most";
const PRICE: &str = "dollars for a million tokens, with six decimals at most";
const QUEUE_MODES: &str = "`\"steer\"`, `\"followup\"`, `\"collect\"` or `\"interrupt\"`";

/// Every key there is, in the order of the reference. A key that is not here is refused.
#[rustfmt::skip]
pub(crate) const KEYS: &[KeyDoc] = &[
    key("gateway.drainSeconds", "0 to 3600", "`25`",
        "How long running turns may go on after the gateway was told to stop. What is left then is interrupted, and goes on after the next start."),
    key("gateway.maxMessageBytes", "65536 to 67108864", "`4194304`",
        "The most bytes that one RPC message may have."),
    key("listen.tcp", "`\"IP:port\"`", "nothing listens on the network",
        "Where other machines reach the gateway, always with TLS. Port `0` is one of the system's choice."),
    key("listen.advertise", "list of at most 8 `\"host:port\"`", "the address of the listener, or of all interfaces but loopback when it listens on all",
        "What invitations name, to be tried in this order. Only with `tcp`."),
    key("listen.tls.certPath", "path", "a certificate that the gateway makes in `tls` in the state directory",
        "The certificate in PEM, and after it those that issued it. Only with `tcp` and `tls.keyPath`."),
    key("listen.tls.keyPath", "path", "a key that the gateway makes in `tls` in the state directory",
        "The private key of the certificate in PEM. Devices know the gateway by it: with a new one, each must connect again with the new fingerprint."),
    key("audit.retention", "duration, at least `1d`", "for ever",
        "How long audit records are kept."),
    key("events.retention", "duration, `1h` to `30d`", "`\"24h\"`",
        "How long events can be read again, which `openclaw events` shows. No more than the newest 100000 are kept."),
    key("models.providers.<id>.api", "`\"openai-completions\"`, `\"anthropic-messages\"` or `\"offline\"`", "required",
        "The protocol that the provider speaks. `offline` is built in and needs no network."),
    key("models.providers.<id>.baseUrl", "URL, `http` or `https`", "`https://api.anthropic.com` for `anthropic-messages`, else required",
        "Where the provider is reached. Not with `offline`."),
    key("models.providers.<id>.apiKey.env", "name of an environment variable", "no key is sent",
        "Where the gateway finds the key. The key itself may not stand in the file. Not with `offline`."),
    key("models.providers.<id>.apiKeys[].env", "name of an environment variable", "as `apiKey` says",
        "Several keys instead of one. The first is used as long as it works, then the next. One whose variable is not set is left out. Not with `offline`."),
    key("models.providers.<id>.timeoutSeconds", "1 to 86400", "`120`, or `300` when `baseUrl` is on this machine",
        "How long a response may be silent before it counts as lost. Not with `offline`."),
    key("models.providers.<id>.models[].id", "name of a model", "required",
        "A model of which something is to be said, as the provider knows it. Any other may be used, too."),
    key("models.providers.<id>.models[].input", "list of `\"text\"` and `\"image\"`", "`[\"text\"]`",
        "What it takes. A model that takes images is shown those that came with messages; any other reads their names."),
    key("models.providers.<id>.script", "path", "an echo",
        "The file of replies that the offline model answers from. Only with `offline`."),
    key("models.prices.<id>.input", PRICE, "`0`",
        "What input tokens of this model cost, which is named as `\"provider/model\"`. A model without an entry has no known price."),
    key("models.prices.<id>.output", PRICE, "`0`",
        "What its output tokens cost."),
    key("models.prices.<id>.cacheRead", PRICE, "`0`",
        "What input tokens cost that were read from the provider's cache."),
    key("agents.defaults.model.primary", "`\"provider/model\"`", "`\"offline/offline\"`; required once a provider is configured",
        "The model that agents ask first."),
    key("agents.defaults.model.fallbacks", "list of `\"provider/model\"`", "`[]`",
        "The models that are asked, in this order, when those before them fail."),
    key("agents.defaults.identity.name", "text of at most 64 characters", "none",
        "The name that agents give themselves."),
    key("agents.defaults.tools.allow", TOOLS, "`[\"*\"]`",
        "The tools that agents may use."),
    key("agents.defaults.tools.deny", TOOLS, "`[]`",
        "The tools that no agent may use. Denial wins, and no entry takes it back."),
    key("agents.defaults.timeoutSeconds", "0 to 31536000", "`172800`",
        "How long one run may take. `0` is without limit."),
    key("agents.defaults.budget.run.tokens", "0 to 1000000000000", "`0`",
        "How many tokens one run of an agent may use, those that are read and those that are written; `0` for any number."),
    key("agents.defaults.budget.run.cost", DOLLARS, "`0`",
        "How much one run of an agent may cost, by `models.prices`; `0` for any amount. Then each of its models needs a price."),
    key("agents.defaults.budget.run.seconds", "0 to 31536000", "`0`",
        "How many seconds one run of an agent may be at work; `0` for any number. Waiting for an approval is no work."),
    key("agents.defaults.budget.tree.tokens", "0 to 1000000000000", "`0`",
        "How many tokens one run of an agent may use together with everything that it delegates, those that are read and those that are written; `0` for any number."),
    key("agents.defaults.budget.tree.cost", DOLLARS, "`0`",
        "How much one run of an agent may cost together with everything that it delegates, by `models.prices`; `0` for any amount. Then each of its models needs a price."),
    key("agents.defaults.budget.tree.seconds", "0 to 31536000", "`0`",
        "How many seconds one run of an agent and everything that it delegates may be at work, added up; `0` for any number. Waiting for an approval is no work."),
    key("agents.defaults.budget.day.tokens", "0 to 1000000000000", "`0`",
        "How many tokens all runs of an agent may use on one day in UTC, those that are read and those that are written; `0` for any number."),
    key("agents.defaults.budget.day.cost", DOLLARS, "`0`",
        "How much all runs of an agent may cost on one day in UTC, by `models.prices`; `0` for any amount. Then each of its models needs a price."),
    key("agents.defaults.budget.day.seconds", "0 to 31536000", "`0`",
        "How many seconds all runs of an agent may be at work on one day in UTC, added up; `0` for any number. Waiting for an approval is no work."),
    key("agents.defaults.contextTokens", "8192 to 10000000", "`128000`",
        "How many tokens the context window of the models has. A conversation is compacted before it fills it."),
    key("agents.defaults.compaction.enabled", "`true` or `false`", "`true`",
        "Whether a conversation that is about to fill the window is compacted: a summary takes the place of what is oldest. When a provider refuses a conversation as too long, and on `openclaw sessions compact`, it is in any case."),
    key("agents.defaults.maxConcurrent", "1 to 10000", "four for each processor, at least 8",
        "How many runs may go on at once, over all agents."),
    key("agents.defaults.subagents.allowAgents", "list of ids of agents; `\"*\"` stands for every one", "`[]`",
        "Which other agents conversations of an agent may delegate to. They work in their own workspaces, and their answers reach whoever delegates."),
    key("agents.defaults.subagents.maxSpawnDepth", "0 to 5", "`5`",
        "How many delegations may lie above a sub-agent. `0` is no delegation at all."),
    key("agents.defaults.subagents.maxChildrenPerAgent", "1 to 20", "`5`",
        "How many sub-agents of one conversation may be at work or wait at once."),
    key("agents.defaults.subagents.maxConcurrent", "1 to 1000", "`8`",
        "How many runs of sub-agents may go on at once, over all agents: beside `maxConcurrent`, and not of it."),
    key("agents.defaults.heartbeat.every", "duration such as `\"30m\"`; `\"0m\"` is none", "`\"30m\"`",
        "How often the agent looks around by itself. Without a table `heartbeat` it never does: each look is a turn, and costs."),
    key("agents.defaults.heartbeat.prompt", "text of at most 16384 bytes", "reads HEARTBEAT.md, and answers `HEARTBEAT_OK` if nothing needs attention",
        "What the agent is asked then."),
    key("agents.defaults.heartbeat.model", "`\"provider/model\"`", "the agent's",
        "The model that answers then, and that answers what events lead to: the ends of commands, and jobs that tell a conversation."),
    key("agents.defaults.heartbeat.target", "`\"owner\"`, `\"none\"`, `\"discord\"` or `\"telegram\"`", "`\"owner\"`",
        "Where what it has to say goes: to the first of `commands.ownerAllowFrom`, nowhere, or to `to` on that channel. What it said within 24 hours is not said again."),
    key("agents.defaults.heartbeat.to", "as `openclaw message send --to` takes it", "none",
        "Who is told on the channel that `target` names."),
    key("agents.defaults.heartbeat.activeHours.start", "time of day such as `\"08:00\"`", "the whole day",
        "From when on it looks."),
    key("agents.defaults.heartbeat.activeHours.end", "time of day such as `\"22:00\"`", "the whole day",
        "Until when it looks."),
    key("agents.defaults.heartbeat.activeHours.timezone", "IANA name such as `\"Europe/Berlin\"`", "`\"UTC\"`",
        "The zone of these hours."),
    key("agents.defaults.heartbeat.isolatedSession", "`true` or `false`", "`false`",
        "Whether it has a conversation of its own, `agent:<id>:main:heartbeat`, beside the agent's main one."),
    key("agents.defaults.heartbeat.lightContext", "`true` or `false`", "`false`",
        "Whether it is shown nothing of what was said before."),
    key("agents.defaults.heartbeat.timeoutSeconds", "1 to 86400", "`every`, and 600 at most",
        "How long it may take."),
    key("agents.defaults.heartbeat.budget", "0 to 1000000000000", "`0`",
        "How many tokens one look may use; `0` for as many as its agent's runs."),
    key("agents.defaults.heartbeat.tools", TOOLS, "`[\"read_file\", \"list_dir\", \"session_status\", \"sessions_list\", \"sessions_history\"]`",
        "The tools that it may use, of those of its agent."),
    key("agents.entries.<id>.workspace", "path", "`agents/<id>/workspace` in the state directory",
        "Where the agent's files are."),
    key("agents.entries.<id>.model.primary", "`\"provider/model\"`", INHERITED,
        "The model that this agent asks first."),
    key("agents.entries.<id>.model.fallbacks", "list of `\"provider/model\"`", "as in `agents.defaults`; `[]` when the entry has its own `primary`",
        "The models that are asked when those before them fail."),
    key("agents.entries.<id>.identity.name", "text of at most 64 characters", INHERITED,
        "The name that this agent gives itself."),
    key("agents.entries.<id>.tools.allow", TOOLS, INHERITED,
        "The tools that this agent may use, instead of those of the defaults."),
    key("agents.entries.<id>.tools.deny", TOOLS, "`[]`",
        "The tools that this agent may not use, beside those that the defaults deny."),
    key("agents.entries.<id>.timeoutSeconds", "0 to 31536000", INHERITED,
        "How long one run of this agent may take. `0` is without limit."),
    key("agents.entries.<id>.subagents.allowAgents", "list of ids of agents; `\"*\"` stands for every one", INHERITED,
        "Which other agents its conversations may delegate to."),
    key("agents.entries.<id>.heartbeat.every", "duration such as `\"30m\"`; `\"0m\"` is none", INHERITED,
        "How often the agent looks around by itself. Without a table `heartbeat` it never does: each look is a turn, and costs."),
    key("agents.entries.<id>.heartbeat.prompt", "text of at most 16384 bytes", INHERITED,
        "What the agent is asked then."),
    key("agents.entries.<id>.heartbeat.model", "`\"provider/model\"`", INHERITED,
        "The model that answers then, and that answers what events lead to: the ends of commands, and jobs that tell a conversation."),
    key("agents.entries.<id>.heartbeat.target", "`\"owner\"`, `\"none\"`, `\"discord\"` or `\"telegram\"`", INHERITED,
        "Where what it has to say goes: to the first of `commands.ownerAllowFrom`, nowhere, or to `to` on that channel. What it said within 24 hours is not said again."),
    key("agents.entries.<id>.heartbeat.to", "as `openclaw message send --to` takes it", INHERITED,
        "Who is told on the channel that `target` names."),
    key("agents.entries.<id>.heartbeat.activeHours.start", "time of day such as `\"08:00\"`", INHERITED,
        "From when on it looks."),
    key("agents.entries.<id>.heartbeat.activeHours.end", "time of day such as `\"22:00\"`", INHERITED,
        "Until when it looks."),
    key("agents.entries.<id>.heartbeat.activeHours.timezone", "IANA name such as `\"Europe/Berlin\"`", INHERITED,
        "The zone of these hours."),
    key("agents.entries.<id>.heartbeat.isolatedSession", "`true` or `false`", INHERITED,
        "Whether it has a conversation of its own, `agent:<id>:main:heartbeat`, beside the agent's main one."),
    key("agents.entries.<id>.heartbeat.lightContext", "`true` or `false`", INHERITED,
        "Whether it is shown nothing of what was said before."),
    key("agents.entries.<id>.heartbeat.timeoutSeconds", "1 to 86400", INHERITED,
        "How long it may take."),
    key("agents.entries.<id>.heartbeat.budget", "0 to 1000000000000", INHERITED,
        "How many tokens one look may use; `0` for as many as its agent's runs."),
    key("agents.entries.<id>.heartbeat.tools", TOOLS, INHERITED,
        "The tools that it may use, of those of its agent."),
    key("agents.entries.<id>.budget.run.tokens", "0 to 1000000000000", INHERITED,
        "How many tokens one run of it may use, those that are read and those that are written; `0` for any number."),
    key("agents.entries.<id>.budget.run.cost", DOLLARS, INHERITED,
        "How much one run of it may cost, by `models.prices`; `0` for any amount. Then each of its models needs a price."),
    key("agents.entries.<id>.budget.run.seconds", "0 to 31536000", INHERITED,
        "How many seconds one run of it may be at work; `0` for any number. Waiting for an approval is no work."),
    key("agents.entries.<id>.budget.tree.tokens", "0 to 1000000000000", INHERITED,
        "How many tokens one run of it may use together with everything that it delegates, those that are read and those that are written; `0` for any number."),
    key("agents.entries.<id>.budget.tree.cost", DOLLARS, INHERITED,
        "How much one run of it may cost together with everything that it delegates, by `models.prices`; `0` for any amount. Then each of its models needs a price."),
    key("agents.entries.<id>.budget.tree.seconds", "0 to 31536000", INHERITED,
        "How many seconds one run of it and everything that it delegates may be at work, added up; `0` for any number. Waiting for an approval is no work."),
    key("agents.entries.<id>.budget.day.tokens", "0 to 1000000000000", INHERITED,
        "How many tokens all runs of it may use on one day in UTC, those that are read and those that are written; `0` for any number."),
    key("agents.entries.<id>.budget.day.cost", DOLLARS, INHERITED,
        "How much all runs of it may cost on one day in UTC, by `models.prices`; `0` for any amount. Then each of its models needs a price."),
    key("agents.entries.<id>.budget.day.seconds", "0 to 31536000", INHERITED,
        "How many seconds all runs of it may be at work on one day in UTC, added up; `0` for any number. Waiting for an approval is no work."),
    key("agents.entries.<id>.contextTokens", "8192 to 10000000", INHERITED,
        "How many tokens the context window of this agent's models has."),
    key("session.dmScope", DM_SCOPES, "`\"main\"`",
        "How direct messages are kept apart: not at all, all in the agent's main session; or by person, whatever the channel; or by channel and person; or by account of the gateway, channel and person."),
    key("session.groupScope", GROUP_SCOPES, "`\"per-group\"`",
        "How groups and channels are kept apart: each by itself, or all in the agent's main session. Answers go to the group either way."),
    key("session.identityLinks.<id>", "list of `\"channel:peer\"` or `\"peer\"`", "nobody is linked",
        "Who is one person, under this name: their direct messages share a session. Not with `dmScope = \"main\"`, where all do. Nobody may be linked twice, and nobody else may be called so."),
    key("session.reset.mode", "`\"none\"`, `\"daily\"` or `\"idle\"`", "`\"none\"`",
        "When sessions of people begin anew by themselves, with the next message: never, once a day, or after nobody has asked anything for a while. It can be taken back as any reset."),
    key("session.reset.atHour", "0 to 23", "`4`",
        "The hour of the day, in the gateway's time zone. Only with `daily`."),
    key("session.reset.idleMinutes", "1 to 525600", "`1440` with `idle`, else not looked at",
        "For how long nobody has asked anything. With `daily`, what comes first."),
    key("session.maintenance.pruneAfter", "duration, at least `1h`, or `\"never\"`", "`\"30d\"`",
        "After how long without use sessions of jobs, hooks and plugins are removed. Pinned ones stay, and so do those of people, always."),
    key("session.maintenance.maxDiskBytes", "0 to 1125899906842624", "`10737418240`",
        "What the database and the files of deleted sessions may take together; `0` for any size. When it is more, files are removed, the oldest first, until it is four fifths."),
    key("session.sendPolicy.default", "`\"allow\"` or `\"deny\"`", "`\"allow\"`",
        "Whether what is said in sessions leaves to channels, where neither a session says so itself nor a rule."),
    key("session.sendPolicy.rules[].action", "`\"allow\"` or `\"deny\"`", "required",
        "What is decided about what a rule matches. One that denies goes before all that allow."),
    key("session.sendPolicy.rules[].match.channel", "name of a channel", "any",
        "The channel that it would leave to, such as `telegram` or `webhook`."),
    key("session.sendPolicy.rules[].match.chatType", "`\"direct\"` or `\"dm\"`, `\"group\"`, or `\"channel\"`", "any",
        "With how many the conversation there is."),
    key("session.sendPolicy.rules[].match.keyPrefix", "text", "any",
        "How the key of the session begins, such as `cron:`, or the same with `agent:<id>:` before it."),
    key("session.sendPolicy.rules[].match.rawKeyPrefix", "text", "any",
        "How the key of the session begins, with its agent."),
    key("bindings[].agentId", "id of an agent", "required",
        "The agent that answers."),
    key("bindings[].match.channel", "name of a channel", "required",
        "The channel, such as `telegram`."),
    key("bindings[].match.accountId", "id of an account, or `\"*\"`", "the account `default`",
        "The account of the gateway on that channel. `*` is each of them."),
    key("bindings[].match.peer.kind", "`\"direct\"`, `\"group\"` or `\"channel\"`", "required with `peer`",
        "With how many the conversation is. `group` and `channel` are one kind here."),
    key("bindings[].match.peer.id", "id of a person, group or channel, or `\"*\"`", "required with `peer`",
        "The conversation. `*` is each of the kind."),
    key("bindings[].match.guildId", "id of a guild", "any",
        "The guild, where the channel has them."),
    key("bindings[].match.roles", "list of ids of roles", "`[]`",
        "The roles of which the sender has at least one. Only with `guildId`."),
    key("bindings[].match.teamId", "id of a team", "any",
        "The team, where the channel has them."),
    key("bindings[].session.dmScope", DM_SCOPES, AS_SESSION,
        "How the direct messages of this binding are kept apart."),
    key("bindings[].session.groupScope", GROUP_SCOPES, AS_SESSION,
        "How the groups and channels of this binding are kept apart."),
    key("messages.inbound.debounceMs", "0 to 10000", "`300`",
        "How long it has to be quiet before what somebody writes in a chat is answered: messages that follow one another in that time are one. `0` answers each at once."),
    key("messages.inbound.byChannel.<id>", "0 to 10000", "as in `messages.inbound.debounceMs`",
        "The same for one channel."),
    key("messages.inbound.maxMediaBytes", "0 to 1099511627776", "`268435456`",
        "What the pictures and files that came with messages may take in each agent's workspace, in `media/inbound`; the oldest give way. With `0` none are fetched, and a message only names them."),
    key("messages.queue.mode", QUEUE_MODES, "`\"steer\"`",
        "What becomes of a message that comes in while its conversation is busy: the turn at work takes it in before its next step, or it has a turn of its own, or all that wait have one turn, or the turn at work is ended."),
    key("messages.queue.byChannel.<id>", QUEUE_MODES, "as in `messages.queue.mode`",
        "The same for one channel."),
    key("messages.queue.debounceMs", "0 to 60000", "`500`",
        "How long it has to be quiet before messages that were collected are answered."),
    key("messages.queue.cap", "1 to 1000", "`20`",
        "How many messages may wait in one conversation; counts from the next start of the gateway."),
    key("messages.queue.drop", "`\"new\"`, `\"old\"` or `\"summarize\"`", "`\"new\"`",
        "Which message gives way when more come: the new one, and whoever sends it is told; or the oldest of whoever sends it; or the same, and the beginning of what it said is told with the new one."),
    key("cron.enabled", "`true` or `false`", "`true`",
        "Whether jobs run. With `false`, or `OPENCLAW_SKIP_CRON=1` in the environment of the gateway, they stay, and what is due is left out as `skipped`."),
    key("cron.maxConcurrentRuns", "1 to 1000", "`8`",
        "How many turns of jobs may go on at once; counts from the next start of the gateway."),
    key("commands.ownerAllowFrom", "list of `\"channel:id\"`", "`[]`",
        "Who in chats is an owner, by immutable ids: their turns act for the owner of this gateway, without devices, tokens, configuration and commands outside the sandbox."),
    key("channels.<id>.enabled", "`true` or `false`", "`true`",
        "Whether the gateway speaks on this platform. The channels are `telegram` and `discord`, and `webhook` with keys of its own."),
    key("channels.<id>.token.env", "name of an environment variable", "required",
        "Where the gateway finds the bot's token. The token itself may not stand in the file."),
    key("channels.<id>.apiUrl", "URL, `http` or `https`", "the platform's",
        "Where the platform's API is reached."),
    key("channels.<id>.gatewayUrl", "URL, `ws` or `wss`", "what the API says",
        "Where the platform's gateway is reached. Only with `discord`."),
    key("channels.<id>.dmPolicy", "`\"pairing\"`, `\"allowlist\"`, `\"open\"` or `\"disabled\"`", "`\"pairing\"`",
        "Who may write direct messages: those who are listed or approved, and others are given a code; or only those; or those of `allowFrom`, which may be everybody; or nobody."),
    key("channels.<id>.allowFrom", "list of immutable ids, or `\"*\"`", "`[]`",
        "Who may write direct messages, beside those who were approved with `openclaw pairing approve`."),
    key("channels.<id>.groupPolicy", "`\"allowlist\"`, `\"open\"` or `\"disabled\"`", "`\"allowlist\"`",
        "In which groups and channels the gateway listens: those of `groups`, and to whoever is listed; or all, and to everybody there; or none."),
    key("channels.<id>.groupAllowFrom", "list of immutable ids, or `\"*\"`", "as in `allowFrom`",
        "Who may speak to it there. Approvals of direct messages do not count in groups."),
    key("channels.<id>.groups.<id>.requireMention", "`true` or `false`", "`true`",
        "Whether it has to be mentioned, or answered, in this group or channel, or in every one with `\"*\"`."),
    key("channels.<id>.tools.allow", TOOLS, "`[]`",
        "The tools that turns of people have who are no owners, of those that the agent has."),
    key("channels.webhook.secret.env", "name of an environment variable", "they are not signed",
        "Where the key is found that outgoing webhooks are signed with."),
    key("channels.webhook.allowAddresses", "list of `\"IP:port\"`", "`[]`",
        "Addresses that webhooks may reach although they are not public, and without TLS."),
    key("hooks.enabled", "`true` or `false`", "`false`",
        "Whether programs elsewhere may post to `/hooks/<id>`."),
    key("hooks.listen", "`\"IP:port\"`", "`127.0.0.1:18790`",
        "Where they do, without TLS: put a proxy with TLS before it. Counts from the next start of the gateway."),
    key("hooks.entries.<id>.action", "`\"agent\"` or `\"wake\"`", "`\"agent\"`",
        "What a post does: an agent's turn, or an event that a conversation is told."),
    key("hooks.entries.<id>.token.env", "name of an environment variable", "exactly one of `token` and `secret` is required",
        "Where the token is found that callers send, of 24 characters at least. The token itself may not stand in the file."),
    key("hooks.entries.<id>.secret.env", "name of an environment variable", "exactly one of `token` and `secret` is required",
        "Where the key is found that callers sign with."),
    key("hooks.entries.<id>.signature", "`\"standard-webhooks\"` or `\"github\"`", "`\"standard-webhooks\"`",
        "How callers sign. Only with `secret`."),
    key("hooks.entries.<id>.agentId", "id of an agent", "`\"main\"`",
        "The agent that answers."),
    key("hooks.entries.<id>.sessionKey", "key of a session of that agent", "`hook:<id>` for `agent`, the agent's main one for `wake`",
        "The conversation. No caller chooses it."),
    key("hooks.entries.<id>.messageTemplate", "text of at most 16384 bytes, a Jinja template over `payload`, `headers` and `hook`", "the field `message` or `text` of what was posted, or else all of it",
        "What the agent is told. What is not there is empty."),
    key("hooks.entries.<id>.timeoutSeconds", "1 to 86400", "as for the agent's runs",
        "How long its turn may take. Only with `agent`."),
    key("hooks.entries.<id>.channel", "`\"discord\"` or `\"telegram\"`", "nowhere",
        "Where what the agent answers goes. Only with `to`."),
    key("hooks.entries.<id>.to", "as `openclaw message send --to` takes it", "nowhere",
        "Who is told there. Only with `channel`."),
    key("hooks.entries.<id>.tools.allow", TOOLS, "`[]`",
        "The tools that its turns have, of those that the agent has."),
    key("tools.exec.sandbox", "`\"workspace\"` or `\"off\"`", "`\"workspace\"`",
        "How commands are confined. With `workspace` they write only there and in a private temporary directory, and `exec` is refused where the kernel cannot confine them. `off` is only for runs on behalf of the owner or an administrator."),
    key("tools.exec.timeoutSeconds", "1 to 604800", "`1800`",
        "How long one command may take."),
    key("tools.exec.envAllow", "list of names of environment variables", "`[]`",
        "The variables of the gateway that commands are given, beside the basic ones. One that holds a provider's key is refused."),
    key("tools.exec.ask", "`\"off\"`, `\"unlisted\"` or `\"always\"`", "`\"unlisted\"`",
        "Which commands wait for an approval. With `unlisted`, those that run without a sandbox and are not in `allow`; commands in the sandbox need none. With `always`, all of them."),
    key("tools.exec.allow", "list of lists of a program and its first arguments", "`[]`",
        "Commands that need no approval under `unlisted`, for example `[[\"uname\"], [\"df\", \"-h\"]]`. The program is the one that the search path leads to, and what follows may be anything: so none that runs others or takes code, such as `git` or `make`, which do what the workspace says. A text for the shell never counts as listed."),
    key("tools.exec.unattended", "`\"deny\"` or `\"wait\"`", "`\"deny\"`",
        "What becomes of a command that needs an approval in a turn of a job or a hook, where nobody is there to give it. What is approved for good is done."),
    key("tools.exec.notifyOnExit", "`true` or `false`", "`true`",
        "Whether a conversation is told, and goes on, when a command that it left in the background has ended."),
    key("tools.subagents.tools.allow", TOOLS, "`[\"*\"]`",
        "The tools that sub-agents may have, of those that they could have."),
    key("tools.subagents.tools.deny", TOOLS, "`[]`",
        "The tools that no sub-agent has. It goes before `allow`."),
    key("tools.webFetch.allowAddresses", "list of `\"IP:port\"`", "`[]`",
        "Addresses that may be fetched although they are not public, by any name that leads to them."),
];

/// The name in a path that stands for any name.
pub(crate) const ANY: &str = "<id>";

/// What stands after the name of a list of tables.
pub(crate) const LIST: &str = "[]";

/// Returns what follows `path` in each known key, up to the next dot, each once.
pub(crate) fn known_in(path: &str) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for key in KEYS {
        let rest = match path {
            "" => Some(key.path),
            path => key.path.strip_prefix(path).and_then(|rest| rest.strip_prefix('.')),
        };
        let name = rest.and_then(|rest| rest.split('.').next());
        names.extend(name.filter(|name| !names.contains(name)));
    }
    names
}

/// Returns the candidate that was probably meant by `text`: the same letters, or nearly so.
pub(crate) fn nearest<'a>(
    text: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
    };
    if text.len() > 64 {
        return None;
    }
    let wanted = plain(text);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, candidate)| {
            let longer = wanted.chars().count().max(candidate.chars().count());
            distance.saturating_mul(3) <= longer.max(3)
        })
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_by_level() {
        assert_eq!(
            known_in(""),
            [
                "gateway",
                "listen",
                "audit",
                "events",
                "models",
                "agents",
                "session",
                "bindings[]",
                "messages",
                "cron",
                "commands",
                "channels",
                "hooks",
                "tools"
            ]
        );
        assert_eq!(known_in("bindings[]"), ["agentId", "match", "session"]);
        assert!(known_in("bindings").is_empty());
        assert_eq!(known_in("models.providers"), [ANY]);
        assert_eq!(
            known_in("models.providers.<id>"),
            ["api", "baseUrl", "apiKey", "apiKeys[]", "timeoutSeconds", "models[]", "script"]
        );
        assert_eq!(known_in("models.providers.<id>.apiKey"), ["env"]);
        assert!(known_in("audit.retention").is_empty());
        assert!(known_in("audi").is_empty());
    }

    #[test]
    fn the_nearest_name() {
        let names = ["baseUrl", "apiKey", "timeoutSeconds", "api"];
        for (text, near) in [
            ("base_url", Some("baseUrl")),
            ("BASE-URL", Some("baseUrl")),
            ("baseURI", Some("baseUrl")),
            ("apikey", Some("apiKey")),
            ("ap", Some("api")),
            ("timeoutSecond", Some("timeoutSeconds")),
            ("timeout", None),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(text, names), near, "{text}");
        }
    }
}
