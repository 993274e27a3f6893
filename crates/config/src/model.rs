//! How agents name the models they use.

use std::fmt;

use openclaw_scopes::ParseIdError;

/// The name of a configured provider: a lower-case slug of at most 64 bytes.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ProviderId(Box<str>);

impl ProviderId {
    /// The id of the built-in offline provider, which exists without configuration.
    pub const OFFLINE: &str = "offline";

    /// Parses a provider's id.
    ///
    /// # Errors
    /// When the text is empty, too long, or holds other characters than a-z, 0-9, `-` and `_`.
    pub fn parse(text: &str) -> Result<Self, ParseIdError> {
        let kind = "provider id";
        let is_slug =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if text.is_empty() {
            return Err(ParseIdError::Empty { kind });
        }
        if text.len() > 64 {
            return Err(ParseIdError::TooLong { kind, max: 64 });
        }
        if !text.chars().all(is_slug) {
            let text = text.escape_debug().to_string();
            return Err(ParseIdError::Character { allowed: "a-z, 0-9, `-` and `_`", kind, text });
        }
        Ok(Self(text.into()))
    }

    /// The id of the built-in offline provider.
    pub(crate) fn offline() -> Self {
        Self(Self::OFFLINE.into())
    }

    /// Returns the id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A model and the provider that serves it, written `provider/model`.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ModelName {
    provider: ProviderId,
    model: Box<str>,
}

impl ModelName {
    /// Parses `provider/model`; the model's own name may hold further slashes.
    ///
    /// # Errors
    /// When there is no slash, the provider is not an id, or the model's name is empty, longer
    /// than 200 bytes or has spaces or control characters.
    pub fn parse(text: &str) -> Result<Self, ParseModelNameError> {
        let (provider, model) = text.split_once('/').ok_or(ParseModelNameError::Form)?;
        let provider = ProviderId::parse(provider)
            .map_err(|problem| ParseModelNameError::Provider { problem })?;
        let is_name = (1..=200).contains(&model.len())
            && model.chars().all(|c| !c.is_control() && !c.is_whitespace());
        if !is_name {
            return Err(ParseModelNameError::Model);
        }
        Ok(Self { provider, model: model.into() })
    }

    /// The model of the built-in offline provider.
    pub(crate) fn offline() -> Self {
        Self { provider: ProviderId::offline(), model: "offline".into() }
    }

    /// Returns the provider that serves the model.
    pub fn provider(&self) -> &ProviderId {
        &self.provider
    }

    /// Returns the name under which the provider knows the model.
    pub fn model(&self) -> &str {
        &self.model
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)
    }
}

/// Why a text is not the name of a model.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseModelNameError {
    /// There is no slash.
    #[error("a model is written `provider/model`")]
    Form,
    /// The part after the slash is not a name.
    #[error("the model's name must be 1 to 200 bytes without spaces or control characters")]
    Model,
    /// The part before the slash is not an id.
    #[error("{problem}")]
    Provider {
        /// What is wrong with it.
        problem: ParseIdError,
    },
}

/// Which models an agent uses, and in which order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModelRoute {
    /// The model that is asked first.
    pub primary: ModelName,
    /// The models that are asked when those before them fail.
    pub fallbacks: Vec<ModelName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_and_a_model() {
        for (text, provider, model) in [
            ("openai/gpt-5", "openai", "gpt-5"),
            ("router/meta/llama-3:free", "router", "meta/llama-3:free"),
            ("a/b@c", "a", "b@c"),
        ] {
            let name = ModelName::parse(text).unwrap();
            assert_eq!((name.provider().as_str(), name.model()), (provider, model));
            assert_eq!(name.to_string(), text);
        }
        for (text, message) in [
            ("gpt-5", "a model is written `provider/model`"),
            ("/gpt-5", "provider id is empty"),
            ("OpenAI/x", "provider id `OpenAI` has a character other than a-z, 0-9, `-` and `_`"),
            (
                "openai/",
                "the model's name must be 1 to 200 bytes without spaces or control characters",
            ),
            (
                "openai/a b",
                "the model's name must be 1 to 200 bytes without spaces or control characters",
            ),
        ] {
            assert_eq!(ModelName::parse(text).unwrap_err().to_string(), message, "{text}");
        }
    }
}
