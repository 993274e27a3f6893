//! Reads what a model sent as arguments: strictly, so that each refusal names the field at fault.

use std::time::Duration;

use serde_json::{Map, Value};

use super::ToolError;

/// The arguments of one call. Every field is taken once; what is left over is refused.
#[derive(Debug)]
pub(crate) struct Arguments(Map<String, Value>);

/// Parses the text of the arguments. Models send nothing at all for "no arguments".
pub(crate) fn parse(text: &str) -> Result<Value, ToolError> {
    if text.trim().is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_str(text)
        .map_err(|error| ToolError::argument("arguments", format!("is not valid JSON: {error}")))
}

impl Arguments {
    pub(crate) fn new(value: Value) -> Result<Self, ToolError> {
        match value {
            Value::Object(map) => Ok(Self(map)),
            Value::Null => Ok(Self(Map::new())),
            Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Err(ToolError::argument("arguments", "is not a JSON object"))
            }
        }
    }

    /// Takes a text that must be there.
    pub(crate) fn text(&mut self, field: &'static str) -> Result<String, ToolError> {
        self.optional_text(field)?
            .ok_or_else(|| ToolError::argument(field, "is missing; it must be a string"))
    }

    /// Takes a text that may be there.
    pub(crate) fn optional_text(
        &mut self,
        field: &'static str,
    ) -> Result<Option<String>, ToolError> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
                Err(ToolError::argument(field, "must be a string"))
            }
        }
    }

    /// Takes a yes or no that may be there.
    pub(crate) fn optional_flag(&mut self, field: &'static str) -> Result<bool, ToolError> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(flag),
            Some(Value::Array(_) | Value::Number(_) | Value::Object(_) | Value::String(_)) => {
                Err(ToolError::argument(field, "must be true or false"))
            }
        }
    }

    /// Takes a whole number of at least 1 that may be there.
    pub(crate) fn optional_count(&mut self, field: &'static str) -> Result<Option<u64>, ToolError> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_u64() {
                Some(count) if count > 0 => Ok(Some(count)),
                Some(_) | None => {
                    Err(ToolError::argument(field, "must be a whole number of at least 1"))
                }
            },
        }
    }

    /// Takes a number of seconds that may be there; 0 is one.
    pub(crate) fn optional_seconds(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Duration>, ToolError> {
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Duration::from_secs).map(Some).ok_or_else(|| {
                ToolError::argument(field, "must be a whole number of seconds, at least 0")
            }),
        }
    }

    /// Takes a list of texts that may be there.
    pub(crate) fn optional_texts(
        &mut self,
        field: &'static str,
    ) -> Result<Option<Vec<String>>, ToolError> {
        let problem = || ToolError::argument(field, "must be a list of strings");
        let text = |value| match value {
            Value::String(text) => Ok(text),
            Value::Array(_)
            | Value::Bool(_)
            | Value::Null
            | Value::Number(_)
            | Value::Object(_) => Err(problem()),
        };
        match self.0.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Array(values)) => {
                values.into_iter().map(text).collect::<Result<_, _>>().map(Some)
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::Object(_) | Value::String(_)) => {
                Err(problem())
            }
        }
    }

    /// Ends the reading: whatever was not taken is not an argument of the tool.
    pub(crate) fn finish(self) -> Result<(), ToolError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(field) => {
                let field: String = field.chars().take(64).collect();
                Err(ToolError::argument(&field, "is not an argument of this tool"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_name_the_field() {
        let read = |text: &str| {
            let mut arguments = Arguments::new(parse(text)?)?;
            let path = arguments.text("path")?;
            let limit = arguments.optional_count("limit")?;
            arguments.finish()?;
            Ok((path, limit))
        };
        let check = |text: &str, expected: Result<(&str, Option<u64>), &str>| {
            let found = read(text).map_err(|error: ToolError| error.to_string());
            match expected {
                Ok((path, limit)) => assert_eq!(found, Ok((path.to_owned(), limit))),
                Err(problem) => assert!(found.unwrap_err().starts_with(problem), "{text}"),
            }
        };
        check(r#"{"path":"a"}"#, Ok(("a", None)));
        check(r#"{"path":"a","limit":null}"#, Ok(("a", None)));
        check(r#"{"path":"a","limit":7}"#, Ok(("a", Some(7))));
        check("", Err("argument `path` is missing"));
        check("{}", Err("argument `path` is missing"));
        check("[]", Err("argument `arguments` is not a JSON object"));
        check("{", Err("argument `arguments` is not valid JSON"));
        check(r#"{"path":1}"#, Err("argument `path` must be a string"));
        check(r#"{"path":"a","limit":0}"#, Err("argument `limit` must be"));
        check(r#"{"path":"a","limit":-1}"#, Err("argument `limit` must be"));
        check(r#"{"path":"a","limit":"3"}"#, Err("argument `limit` must be"));
        check(r#"{"path":"a","x":1}"#, Err("argument `x` is not an argument"));
    }
}
