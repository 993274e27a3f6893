//! Which variables of the caller's environment the started programs may see.

use std::{collections::BTreeSet, env};

/// The variables of this process to withhold: the keys of providers and the settings of the user.
///
/// A variable that `named` holds is handed on.
pub(crate) fn withheld(named: &BTreeSet<String>) -> Vec<String> {
    env::vars_os()
        .filter_map(|(name, _)| name.into_string().ok())
        .filter(|name| is_withheld(name) && !named.contains(name))
        .collect()
}

fn is_withheld(name: &str) -> bool {
    let settings = name.starts_with("OPENCLAW_") && !name.starts_with("OPENCLAW_TEST_");
    settings || name.ends_with("_API_KEY")
}

/// The variables that a configuration names, as in `apiKey = { env = "LOCAL_KEY" }`.
pub(crate) fn named_by(configuration: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    if let Ok(table) = configuration.parse::<toml::Table>() {
        collect(&toml::Value::Table(table), &mut named);
    }
    named
}

fn collect(value: &toml::Value, named: &mut BTreeSet<String>) {
    match value {
        toml::Value::Array(values) => values.iter().for_each(|value| collect(value, named)),
        toml::Value::Table(table) => {
            if let Some(toml::Value::String(name)) = table.get("env") {
                named.insert(name.clone());
            }
            table.values().for_each(|value| collect(value, named));
        }
        toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Float(_)
        | toml::Value::Integer(_)
        | toml::Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{is_withheld, named_by};

    #[test]
    #[rustfmt::skip]
    fn keys_and_settings_are_withheld() {
        for (name, expected) in [
            ("ANTHROPIC_API_KEY",     true),
            ("OPENAI_API_KEY",        true),
            ("OPENCLAW_STATE_DIR",    true),
            ("OPENCLAW_GATEWAY",      true),
            ("OPENCLAW_TEST_BIN_DIR", false),
            ("OPENAI_API_KEY_FILE",   false),
            ("PATH",                  false),
        ] {
            assert_eq!(is_withheld(name), expected, "{name}");
        }
    }

    #[test]
    fn a_configuration_names_variables_at_any_depth() {
        let text = "[models.providers.local]\napiKey = { env = \"LOCAL_KEY\" }\n[[a]]\nb = { env = \"B\" }";
        assert_eq!(named_by(text).into_iter().collect::<Vec<_>>(), ["B", "LOCAL_KEY"]);
        assert!(named_by("not toml = = ").is_empty());
    }
}
