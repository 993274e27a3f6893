//! What can be wrong with a configuration, and where.

use std::fmt;

use openclaw_scopes::ParseIdError;

use crate::{
    ParseBaseUrlError, ParseDurationError, ParseModelNameError, ParseSecretRefError, Position,
};

/// Everything that is wrong with a configuration, in the order of the text; never empty.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Puts the mistakes in the order of the text.
    pub(crate) fn new(mut errors: Vec<ConfigError>) -> Self {
        errors.sort_by_key(|error| error.position);
        errors.dedup();
        Self(errors)
    }

    /// Iterates over the mistakes.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One mistake a line.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            error.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// One mistake and its place.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{position}: {problem}")]
pub struct ConfigError {
    /// Where it stands.
    pub position: Position,
    /// What it is.
    pub problem: Problem,
}

/// What is wrong at one place. No variant holds the text of a value that could be a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Problem {
    /// A value is not a base URL.
    #[error("`{key}`: {problem}")]
    BaseUrl {
        /// The path of the key.
        key: String,
        /// What is wrong with it.
        problem: ParseBaseUrlError,
    },
    /// A value is not one of the few that may stand here.
    #[error("`{key}` must be one of {}{}", listed(allowed), hint(suggestion.as_deref()))]
    Choice {
        /// The path of the key.
        key: String,
        /// The values that may stand here.
        allowed: Vec<&'static str>,
        /// The one that was probably meant.
        suggestion: Option<String>,
    },
    /// A key or a table is given twice.
    #[error("`{key}` is already set above")]
    DuplicateKey {
        /// The key as it is written.
        key: String,
    },
    /// A value is not a duration.
    #[error("`{key}`: {problem}")]
    Duration {
        /// The path of the key.
        key: String,
        /// What is wrong with it.
        problem: ParseDurationError,
    },
    /// The name of a table is not an id.
    #[error("{problem}")]
    Id {
        /// What is wrong with it.
        problem: ParseIdError,
    },
    /// A key that the chosen API does not read.
    #[error("`{key}` has no effect with `api = \"{api}\"`")]
    Ineffective {
        /// The path of the key.
        key: String,
        /// The API that was chosen.
        api: &'static str,
    },
    /// An identity is linked to two names.
    #[error("`{key}`: `{identity}` is already linked above")]
    LinkedTwice {
        /// The path of the key.
        key: String,
        /// The identity as given.
        identity: String,
    },
    /// A key that must be there is not.
    #[error("`{table}` needs `{key}`, for example `{key} = {example}`")]
    Missing {
        /// The path of the table.
        table: String,
        /// The key that it needs.
        key: &'static str,
        /// A value that would do.
        example: &'static str,
    },
    /// A value is not a model's name.
    #[error("`{key}`: {problem}")]
    ModelName {
        /// The path of the key.
        key: String,
        /// What is wrong with it.
        problem: ParseModelNameError,
    },
    /// Providers are configured, but no model to use.
    #[error(
        "a provider is configured but no model is chosen: set `agents.defaults.model.primary`, \
         for example `model = {{ primary = \"{provider}/MODEL\" }}` under `[agents.defaults]`"
    )]
    NoPrimary {
        /// The first of the providers.
        provider: String,
    },
    /// A number is not within its limits.
    #[error("`{key}` must be a whole number from {min} to {max}")]
    OutOfRange {
        /// The path of the key.
        key: String,
        /// The least that may stand here.
        min: u64,
        /// The most that may stand here.
        max: u64,
    },
    /// A value is not a path that means the same wherever the gateway is started.
    #[error("`{key}` must be an absolute path, or one that begins with `~/`")]
    Path {
        /// The path of the key.
        key: String,
    },
    /// Commands of an agent would be given a secret of the gateway.
    #[error("`{key}`: `{variable}` holds a secret of the gateway, which commands may not be given")]
    SecretForCommands {
        /// The path of the key.
        key: String,
        /// The environment variable.
        variable: String,
    },
    /// A secret is not named by reference.
    #[error("`{key}`: {problem}; write `{name} = {{ env = \"NAME\" }}`")]
    SecretRef {
        /// The path of the key.
        key: String,
        /// The last part of the path.
        name: String,
        /// What is wrong with it.
        problem: ParseSecretRefError,
    },
    /// The text is not TOML.
    #[error("{message}")]
    Syntax {
        /// What the parser says.
        message: String,
    },
    /// A text has characters that may not stand in it, or is empty or too long.
    #[error("`{key}` must be {expected}")]
    Text {
        /// The path of the key.
        key: String,
        /// What may stand here.
        expected: &'static str,
    },
    /// The text is larger than a configuration may be.
    #[error("the configuration is larger than {max} bytes")]
    TooLarge {
        /// The most bytes it may have.
        max: usize,
    },
    /// A list has more elements than it may have.
    #[error("`{key}` has more than {max} elements")]
    TooMany {
        /// The path of the key.
        key: String,
        /// The most elements it may have.
        max: usize,
    },
    /// A text is no template.
    #[error("`{key}` is no template: {problem}")]
    Template {
        /// The path of the key.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no such agent.
    #[error("`{key}` names the agent `{agent}`, which is not configured{}", hint(suggestion.as_deref()))]
    UnknownAgent {
        /// The path of the key.
        key: String,
        /// The agent that is named.
        agent: String,
        /// The one that was probably meant.
        suggestion: Option<String>,
    },
    /// Nothing reads this key.
    #[error(
        "unknown key `{key}` {}{}{}",
        table(path),
        hint(suggestion.as_deref()),
        known_here(suggestion.as_deref(), known)
    )]
    UnknownKey {
        /// The key.
        key: String,
        /// The path of the table it stands in; empty for the top of the file.
        path: String,
        /// The key that was probably meant.
        suggestion: Option<String>,
        /// The keys that may stand there.
        known: Vec<&'static str>,
    },
    /// A model's provider is not configured.
    #[error("`{key}` names the provider `{provider}`, which is not configured{}", hint(suggestion.as_deref()))]
    UnknownProvider {
        /// The path of the key.
        key: String,
        /// The provider that is named.
        provider: String,
        /// The one that was probably meant.
        suggestion: Option<String>,
    },
    /// The work of an agent may cost so much, and what a model of it costs is not known.
    #[error(
        "agent `{agent}` has a budget of money, but what its model `{model}` costs is not configured: add \
         `models.prices.\"{model}\"`"
    )]
    NoPrice {
        /// The agent.
        agent: String,
        /// The model.
        model: String,
    },
    /// There is no such tool.
    #[error("`{key}`: `{pattern}` matches no tool{}", hint(suggestion.as_deref()))]
    UnknownTool {
        /// The path of the key.
        key: String,
        /// The name or glob as given.
        pattern: String,
        /// The name that was probably meant.
        suggestion: Option<String>,
    },
    /// A value is of another type.
    #[error("`{key}` must be {expected}, not {found}")]
    WrongType {
        /// The path of the key.
        key: String,
        /// What may stand here.
        expected: &'static str,
        /// What stands here.
        found: &'static str,
    },
}

fn hint(suggestion: Option<&str>) -> String {
    suggestion.map(|text| format!("; did you mean `{text}`?")).unwrap_or_default()
}

fn known_here(suggestion: Option<&str>, known: &[&str]) -> String {
    match suggestion {
        Some(_) => String::new(),
        None => format!("; known here: {}", listed(known)),
    }
}

fn listed(texts: &[&str]) -> String {
    texts.iter().map(|text| format!("`{text}`")).collect::<Vec<_>>().join(", ")
}

fn table(path: &str) -> String {
    if path.is_empty() { "at the top level".to_owned() } else { format!("in `{path}`") }
}
