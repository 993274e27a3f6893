//! Reads `[models.providers]`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use toml::de::DeValue;

use crate::key::nearest;
use crate::read::{Faults, Field, Section};
use crate::{
    Api, BaseUrl, Dollars, Endpoint, ModelName, ParseSecretRefError, Price, Problem, Provider,
    ProviderId, SecretRef,
};

use super::settings::path;

/// How long a response may be silent.
const TIMEOUT: Duration = Duration::from_secs(120);

/// The same for a model on this machine, which may have to be loaded first.
const LOCAL_TIMEOUT: Duration = Duration::from_secs(300);

/// What `[models]` says.
pub(super) struct Models {
    /// The providers without mistakes, and the built-in one.
    pub(super) providers: BTreeMap<ProviderId, Provider>,
    /// The names of all providers, also of those with mistakes.
    pub(super) declared: BTreeSet<String>,
    /// The environment variables that hold keys.
    pub(super) secrets: BTreeSet<String>,
    /// The first provider for which a model must be chosen, and its place.
    pub(super) needs_primary: Option<(usize, String)>,
}

/// Reads the providers and adds the built-in one.
pub(super) fn read(root: &Section<'_>, faults: &mut Faults<'_>) -> Models {
    let section = root.section("models", faults).section("providers", faults);
    let mut models = Models {
        providers: BTreeMap::new(),
        declared: BTreeSet::from([ProviderId::OFFLINE.to_owned()]),
        secrets: BTreeSet::new(),
        needs_primary: None,
    };
    for field in section.fields() {
        models.declared.insert(field.name.to_owned());
        let id = ProviderId::parse(field.name)
            .map_err(|problem| faults.report(field.key_at, Problem::Id { problem }));
        let provider = field.section(faults).and_then(|section| provider(&section, faults));
        let is_built_in =
            field.name == ProviderId::OFFLINE && matches!(provider, Some(Provider::Offline { .. }));
        if !is_built_in && models.needs_primary.as_ref().is_none_or(|(at, _)| field.key_at < *at) {
            models.needs_primary = Some((field.key_at, field.name.to_owned()));
        }
        if let Some(Provider::AnthropicMessages(endpoint) | Provider::OpenAiCompletions(endpoint)) =
            &provider
        {
            models.secrets.extend(endpoint.api_keys.iter().map(|key| key.env.clone()));
        }
        if let (Ok(id), Some(provider)) = (id, provider) {
            models.providers.insert(id, provider);
        }
    }
    let built_in = Provider::Offline { script: None };
    models.providers.entry(ProviderId::offline()).or_insert(built_in);
    models
}

/// Reads what models cost.
pub(super) fn prices(
    root: &Section<'_>,
    declared: &BTreeSet<String>,
    faults: &mut Faults<'_>,
) -> BTreeMap<ModelName, Price> {
    let section = root.section("models", faults).section("prices", faults);
    let mut prices = BTreeMap::new();
    for field in section.fields() {
        let name = known(field.name, &field.path, declared)
            .map_err(|problem| faults.report(field.key_at, problem));
        let Some(of) = field.section(faults) else { continue };
        let mut amount = |name: &'static str| {
            of.field(name).and_then(|field| dollars(&field, faults)).unwrap_or_default()
        };
        let price = Price {
            input: amount("input"),
            output: amount("output"),
            cache_read: amount("cacheRead"),
        };
        if let Ok(name) = name {
            prices.insert(name, price);
        }
    }
    prices
}

/// Reads the name of a model whose provider is configured.
pub(super) fn known(
    text: &str,
    key: &str,
    declared: &BTreeSet<String>,
) -> Result<ModelName, Problem> {
    let key = || key.to_owned();
    let name =
        ModelName::parse(text).map_err(|problem| Problem::ModelName { key: key(), problem })?;
    let provider = name.provider().as_str();
    if declared.contains(provider) {
        return Ok(name);
    }
    Err(Problem::UnknownProvider {
        key: key(),
        provider: provider.to_owned(),
        suggestion: nearest(provider, declared.iter().map(String::as_str)).map(str::to_owned),
    })
}

/// Reads an amount of money.
pub(super) fn dollars(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<Dollars> {
    const EXPECTED: &str = "an amount of dollars such as `3` or `0.25`, with six decimals at most";
    let amount = match field.value {
        DeValue::Integer(integer) if integer.radix() == 10 => Dollars::parse(integer.as_str()),
        DeValue::Float(float) => Dollars::parse(float.as_str()),
        _ => return field.wrong("a number", faults),
    };
    if amount.is_none() {
        faults.report(field.at, Problem::Text { key: field.path.clone(), expected: EXPECTED });
    }
    amount
}

fn provider(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<Provider> {
    let script = section.field("script").and_then(|field| path(&field, faults));
    let api_keys = api_keys(section, faults);
    let seconds = section.field("timeoutSeconds").and_then(|field| field.number(1, 86_400, faults));
    let base_url = section.field("baseUrl").and_then(|field| base_url(&field, faults));
    let pictures = pictures(section, faults);
    let Some(api) = section.field("api") else {
        missing(section, "api", "\"openai-completions\"", faults);
        return None;
    };
    let api = api.choice(&Api::ALL, Api::name, faults)?;
    let ineffective: &[&str] = match api {
        Api::AnthropicMessages | Api::OpenAiCompletions => &["script"],
        Api::Offline => &["baseUrl", "apiKey", "apiKeys", "timeoutSeconds", "models"],
    };
    for field in ineffective.iter().filter_map(|name| section.field(name)) {
        let problem = Problem::Ineffective { key: field.path, api: api.name() };
        faults.report(field.key_at, problem);
    }
    let endpoint = |base_url: BaseUrl| {
        let default = if base_url.is_loopback() { LOCAL_TIMEOUT } else { TIMEOUT };
        let timeout = seconds.map_or(default, Duration::from_secs);
        Endpoint { base_url, api_keys, pictures, timeout }
    };
    match api {
        Api::AnthropicMessages => {
            let base_url = base_url.unwrap_or_else(BaseUrl::anthropic);
            Some(Provider::AnthropicMessages(endpoint(base_url)))
        }
        Api::Offline => Some(Provider::Offline { script }),
        Api::OpenAiCompletions => {
            if section.field("baseUrl").is_none() {
                missing(section, "baseUrl", "\"http://127.0.0.1:11434/v1\"", faults);
            }
            base_url.map(endpoint).map(Provider::OpenAiCompletions)
        }
    }
}

/// Reads which models take pictures.
fn pictures(section: &Section<'_>, faults: &mut Faults<'_>) -> BTreeSet<String> {
    const EXPECTED: &str = "the name of a model, 1 to 200 bytes without spaces";
    const INPUTS: [&str; 2] = ["text", "image"];
    let model = |field: &Field<'_>, faults: &mut Faults<'_>| {
        let section = field.section(faults)?;
        let input = section.field("input").and_then(|field| {
            field.list(faults, |field, faults| field.choice(&INPUTS, |input| input, faults))
        });
        let Some(id) = section.field("id") else {
            missing(&section, "id", "\"gpt-5\"", faults);
            return None;
        };
        let id = id.parsed(faults, |text| {
            let key = id.path.clone();
            let name = ModelName::parse(&format!("p/{text}"));
            name.map(|_name| text.to_owned())
                .map_err(|_bad| Problem::Text { key, expected: EXPECTED })
        });
        Some((id?, input.unwrap_or_default().contains(&"image")))
    };
    let models = section.field("models").and_then(|field| field.list(faults, model));
    let takes = models.into_iter().flatten().filter(|(_, takes)| *takes);
    takes.map(|(id, _)| id).collect()
}

/// Reports that a table lacks a key.
pub(super) fn missing(
    section: &Section<'_>,
    key: &'static str,
    example: &'static str,
    faults: &mut Faults<'_>,
) {
    faults.report(section.at, Problem::Missing { table: section.path.clone(), key, example });
}

pub(super) fn base_url(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<BaseUrl> {
    field.parsed(faults, |text| {
        BaseUrl::parse(text)
            .map_err(|problem| Problem::BaseUrl { key: field.path.clone(), problem })
    })
}

/// Reads `{ env = "NAME" }`, and nothing else: not even the type of what stands there is repeated.
/// Reads where the keys of a provider are found: one, or a list of them.
fn api_keys(section: &Section<'_>, faults: &mut Faults<'_>) -> Vec<SecretRef> {
    let one = section.field("apiKey");
    let key = one.as_ref().and_then(|field| secret_ref(field, faults));
    let Some(field) = section.field("apiKeys") else { return key.into_iter().collect() };
    let keys = field.list(faults, secret_ref);
    let expected = match &keys {
        _ if one.is_some() => "left out where there is `apiKey`",
        Some(keys) if keys.is_empty() && field.elements().next().is_none() => {
            "a list with a `{ env = \"NAME\" }` for each key"
        }
        Some(_) | None => return keys.unwrap_or_default(),
    };
    faults.report(field.at, Problem::Text { key: field.path.clone(), expected });
    Vec::new()
}

pub(super) fn secret_ref(field: &Field<'_>, faults: &mut Faults<'_>) -> Option<SecretRef> {
    let refuse = |problem| Problem::SecretRef {
        key: field.path.clone(),
        name: field.name.to_owned(),
        problem,
    };
    if !matches!(field.value, DeValue::Table(_)) {
        faults.report(field.at, refuse(ParseSecretRefError::Literal));
        return None;
    }
    let section = field.section(faults)?;
    let Some(env) = section.field("env") else {
        missing(&section, "env", "\"NAME\"", faults);
        return None;
    };
    env.parsed(faults, |text| SecretRef::parse(text).map_err(refuse))
}

#[cfg(test)]
mod tests;
