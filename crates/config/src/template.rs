//! What is said when something was posted: a template, checked when it is read.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};

/// What rendering may cost at most, in steps of the template engine.
const FUEL: u64 = 100_000;
/// The most bytes of a template.
pub(crate) const MAX_TEMPLATE: usize = 16_384;
/// What the template is called in messages.
const NAME: &str = "messageTemplate";

/// A template in the Jinja language over what was posted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Template(Box<str>);

/// Why a text is no template, or could not be rendered.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl From<minijinja::Error> for TemplateError {
    fn from(error: minijinja::Error) -> Self {
        Self(error.to_string())
    }
}

impl Template {
    /// Checks a template.
    ///
    /// # Errors
    /// When it is longer than 16 KiB, or its syntax is wrong.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_TEMPLATE {
            return Err(TemplateError(format!("it is longer than {MAX_TEMPLATE} bytes")));
        }
        engine().template_from_named_str(NAME, text)?;
        Ok(Self(text.into()))
    }

    /// Returns its text.
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// Says what the template makes of what was posted to a hook. What is not there is empty.
    ///
    /// # Errors
    /// When a filter or function refuses what it is given, or it takes too many steps.
    pub fn render(
        &self,
        hook: &str,
        payload: &serde_json::Value,
        headers: &serde_json::Value,
    ) -> Result<String, TemplateError> {
        let engine = engine();
        let template = engine.template_from_named_str(NAME, &self.0)?;
        let (payload, headers) = (Serde(payload), Serde(headers));
        Ok(template.render(context! { hook, payload, headers })?)
    }
}

fn engine() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Chainable);
    engine.set_fuel(Some(FUEL));
    engine
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn say(template: &str) -> Result<String, TemplateError> {
        let payload = json!({ "action": "opened", "issue": { "title": "It {{ hangs }}", "tags": ["a", "b"] } });
        Template::parse(template)?.render(
            "github",
            &payload,
            &json!({ "x-github-event": "issues" }),
        )
    }

    #[test]
    fn what_was_posted_is_filled_in_and_never_read_as_a_template() {
        let template = "{{ hook }} {{ headers['x-github-event'] }}: {{ payload.issue.title }} ({{ payload.issue.tags | join(', ') }})";
        assert_eq!(say(template).unwrap(), "github issues: It {{ hangs }} (a, b)");
        assert_eq!(say("<{{ payload.no.such.thing }}>").unwrap(), "<>");
        assert_eq!(say("{{ payload.issue.tags | tojson }}").unwrap(), "[\"a\", \"b\"]");
    }

    #[test]
    fn what_is_wrong_is_told() {
        let error = Template::parse("{{ payload").unwrap_err().to_string();
        assert!(error.contains("syntax error"), "{error}");
        assert!(Template::parse(&"x".repeat(MAX_TEMPLATE + 1)).is_err());
        let endless =
            "{% for a in range(9000) %}{% for b in range(9000) %}{% endfor %}{% endfor %}";
        let error = say(endless).unwrap_err().to_string();
        assert!(error.contains("fuel"), "{error}");
        assert!(say("{{ payload.action | nosuchfilter }}").is_err());
    }
}
