//! Secrets that cannot be printed, and the references by which a configuration names them.

use std::fmt;

/// A secret value: a key, a token or a password.
///
/// It can be used, but not printed, cloned or serialized.
///
/// ```compile_fail
/// println!("{}", openclaw_config::Secret::new("sk-1".to_owned()));
/// ```
//= docs/threat-model.md#T14
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the value into custody.
    pub fn new(value: String) -> Self {
        Self(value.into_boxed_str())
    }

    /// Returns the value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Where a secret is found: the environment variable that holds it.
///
/// The configuration holds only this name, never the value, so it can be shown to anybody.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SecretRef {
    /// The name of the environment variable.
    pub env: String,
}

impl SecretRef {
    /// Checks the name of an environment variable.
    ///
    /// # Errors
    /// When the name has other characters than letters, digits and `_`, or begins with a digit.
    pub fn parse(env: &str) -> Result<Self, ParseSecretRefError> {
        if is_variable_name(env) {
            Ok(Self { env: env.to_owned() })
        } else {
            Err(ParseSecretRefError::NotAName)
        }
    }
}

/// Why something is not a reference to a secret. It never repeats the text: that may be the secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseSecretRefError {
    /// The secret itself stands in the configuration.
    #[error(
        "a secret may not stand in the configuration; name the environment variable that holds it"
    )]
    Literal,
    /// The text is not the name of an environment variable.
    #[error("`env` must be the name of an environment variable: letters, digits and `_`")]
    NotAName,
}

/// Whether `name` can name an environment variable in every shell.
pub(crate) fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.len() <= 256
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    //= docs/threat-model.md#T14
    fn a_secret_is_never_printed() {
        let secret = Secret::new("sk-very-secret".into());
        assert_eq!(format!("{secret:?}"), "Secret(redacted)");
        assert_eq!(format!("{:#?}", Some(&secret)), "Some(\n    Secret(redacted),\n)");
        assert_eq!(secret.expose(), "sk-very-secret");
    }

    #[test]
    fn only_names_of_variables_are_references() {
        for (env, good) in [
            ("OPENAI_API_KEY", true),
            ("_x9", true),
            ("", false),
            ("9LIVES", false),
            ("sk-ant-1234", false),
            ("A B", false),
            ("Ä", false),
        ] {
            let parsed = SecretRef::parse(env);
            assert_eq!(parsed.is_ok(), good, "{env:?}");
            if let Err(error) = parsed {
                assert!(env.is_empty() || !error.to_string().contains(env), "{error}");
            }
        }
    }
}
