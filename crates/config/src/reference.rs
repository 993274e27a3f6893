//! The reference of the configuration, made from the table of keys that the parser uses.

use std::fmt;

use crate::key::{KEYS, LIST};
use crate::{KeyDoc, TOOL_NAMES};

/// One example configuration: what it shows, and its text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Example {
    /// What it shows.
    pub title: &'static str,
    /// Its text.
    pub text: &'static str,
}

/// The examples of the reference.
pub const EXAMPLES: [Example; 6] = [
    Example {
        title: "A local model (Ollama, llama.cpp, vLLM)",
        text: include_str!("../examples/local.toml"),
    },
    Example { title: "OpenAI", text: include_str!("../examples/openai.toml") },
    Example { title: "Anthropic", text: include_str!("../examples/anthropic.toml") },
    Example {
        title: "The offline model with a script",
        text: include_str!("../examples/offline.toml"),
    },
    Example {
        title: "A gateway for other machines",
        text: include_str!("../examples/network.toml"),
    },
    Example { title: "Several agents", text: include_str!("../examples/agents.toml") },
];

/// Returns every key of the configuration, in the order of the reference.
pub fn reference() -> &'static [KeyDoc] {
    KEYS
}

/// Renders the reference as Markdown: the content of `docs/configuration.md`.
pub fn render_reference() -> String {
    Page.to_string()
}

struct Page;

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(INTRODUCTION)?;
        let mut table = "";
        for key in KEYS {
            let (parent, name) = split(key.path);
            if parent != table {
                table = parent;
                match table.strip_suffix(LIST) {
                    Some(list) => writeln!(f, "\n### `[[{list}]]`\n")?,
                    None => writeln!(f, "\n### `[{table}]`\n")?,
                }
                writeln!(f, "| Key | Value | Default | Meaning |")?;
                writeln!(f, "| --- | --- | --- | --- |")?;
            }
            let KeyDoc { path: _, value, default, meaning } = key;
            writeln!(f, "| `{name}` | {value} | {default} | {meaning} |")?;
        }
        let tools: Vec<_> = TOOL_NAMES.iter().map(|tool| format!("`{tool}`")).collect();
        writeln!(f, "\nThe tools are {}.", tools.join(", "))?;
        writeln!(f, "\n## Examples")?;
        for Example { title, text } in EXAMPLES {
            writeln!(f, "\n### {title}\n\n```toml\n{}\n```", text.trim_end())?;
        }
        Ok(())
    }
}

/// Splits a path into the header under which the reference shows it, and the rest.
fn split(path: &'static str) -> (&'static str, &'static str) {
    HEADERS
        .iter()
        .find_map(|header| Some((*header, path.strip_prefix(header)?.strip_prefix('.')?)))
        .unwrap_or(("", path))
}

/// The tables that the reference shows.
const HEADERS: [&str; 22] = [
    "gateway",
    "listen",
    "audit",
    "events",
    "models.providers.<id>",
    "models.prices.<id>",
    "agents.defaults",
    "agents.entries.<id>",
    "session.sendPolicy",
    "session",
    "bindings[]",
    "messages.inbound",
    "messages.queue",
    "cron",
    "commands",
    "channels.<id>",
    "channels.webhook",
    "hooks",
    "hooks.entries.<id>",
    "tools.exec",
    "tools.subagents.tools",
    "tools.webFetch",
];

const INTRODUCTION: &str = "\
<!-- Made from the table of keys in `crates/config`; a test compares. Do not edit by hand. -->

# Configuration

The gateway reads one TOML file: `openclaw.toml` in the state directory, or the file that `--config`
names. Without a file it runs on its embedded defaults: the agent `main`, and the offline model, which
needs neither a key nor a network.

- `openclaw config check` names every mistake with its line and column.
- `openclaw config show` prints what is in effect, the defaults included. Secrets are printed as
  references only.
- A key that the gateway does not know is refused, so a mistyped key never goes unnoticed. Keys are in
  camelCase.
- A key whose name ends in `Seconds` takes a whole number. A duration is a whole number and a unit, in
  quotes: `\"90s\"`, `\"30m\"`, `\"24h\"`, `\"7d\"`.
- A path is absolute, or begins with `~/` for the home directory.
- Ids of agents and providers have at most 64 of the characters `a-z`, `0-9`, `-` and `_`.
- A list has at most 256 elements, and the file at most 1 MiB.

## Secrets

A secret never stands in the file. The file names the environment variable that holds it:

```toml
apiKey = { env = \"OPENAI_API_KEY\" }
```

The gateway reads only the variables that the file names. Commands that an agent runs are not given them.

## Agents and defaults

The agent `main` always exists. Each `[agents.entries.<id>]` is one agent; what its entry does not say, it
takes from `[agents.defaults]`. Two rules keep this from going wrong quietly:

- An entry with its own `model.primary` does not inherit `model.fallbacks`: they were chosen for another
  model, and perhaps for another place.
- An entry's `tools.allow` replaces that of the defaults; its `tools.deny` is added to that of the defaults.
  A tool that is both allowed and denied is denied.

`openclaw agents add` and `openclaw agents rm` edit the entries and leave the rest of the file, comments
included, as it is.

## When a model fails

A model that limits the rate is asked up to ten times; one that is overloaded, unreachable or silent is asked
again for 90 seconds. After that, and at once after other failures, the next of `model.fallbacks` is asked.
What has just failed for everybody is then left alone by all turns that have another model to ask:

- A model that was given up because it limits the rate or is overloaded: for 30 seconds, the next time for 60,
  and from then on for 5 minutes, until it answers.
- A provider that refuses the key or the account: for 10 minutes, with all of its models.

Where a provider has several keys, `apiKeys`, each of them is such a provider: what fails under one is left alone
under that one. A key or an account that is refused gives way to the next at once. When a model limits the rate or
is overloaded, and asking again has not helped, it is asked under one other key before the next model is; then also
where there is no fallback, because somebody chose the model.

A turn that passes over a model for this says `cooling-down`. No turn fails for it: what was passed over is
asked after the others, and what is ready first is asked when nothing else is left. What one conversation may
be to blame for, such as a history that is too long or a request that is refused, is held against nobody.
An answer ends the cool-down, also one to `openclaw models test`. So does another configuration of the provider.

## Sessions and bindings

`[session]` says which conversations share a history, and each `[[bindings]]` which agent answers which of
them. The rules are in [concepts/sessions.md](concepts/sessions.md); in short:

- A binding is for messages that have all of what its `match` says. Of several, the most telling one decides,
  and their order only between equals.
- An agent that a binding names must be configured: `openclaw agents rm` refuses to remove it.

## Keys
";

#[cfg(test)]
mod tests;
