//! What Telegram refuses of polls, in its words.

use std::collections::BTreeMap;

use serde_json::Value;

/// Returns why a poll is refused, if it is.
pub(super) fn check(fields: &BTreeMap<String, String>) -> Result<(), &'static str> {
    let field = |name: &str| fields.get(name).map(String::as_str).unwrap_or_default();
    let is_bool = |name: &str| ["", "true", "false"].contains(&field(name));
    let length = |text: &str| text.trim().chars().count();
    let options: Vec<Value> = serde_json::from_str(field("options"))
        .map_err(|_bad| "Bad Request: can't parse options JSON object")?;
    let text = |option: &Value| option["text"].as_str().map(str::to_owned);
    let texts: Vec<String> = options.iter().filter_map(text).collect();
    if texts.len() < options.len() {
        return Err("Bad Request: can't parse options: field \"text\" must be of type String");
    }
    if length(field("question")) == 0 {
        return Err("Bad Request: poll question must be non-empty");
    }
    if length(field("question")) > 300 {
        return Err("Bad Request: poll question length must not exceed 300");
    }
    if texts.len() < 2 {
        return Err("Bad Request: poll must have at least 2 option");
    }
    if texts.len() > 12 {
        return Err("Bad Request: poll can't have more than 12 options");
    }
    if texts.iter().any(|text| length(text) == 0) {
        return Err("Bad Request: poll options must be non-empty");
    }
    if texts.iter().any(|text| length(text) > 100) {
        return Err("Bad Request: poll options length must not exceed 100");
    }
    if !is_bool("is_anonymous") || !is_bool("allows_multiple_answers") {
        return Err("Bad Request: can't parse a Boolean");
    }
    match field("open_period") {
        "" => Ok(()),
        text if text.parse().is_ok_and(|seconds: u32| (5..=2_628_000).contains(&seconds)) => Ok(()),
        _ => Err("Bad Request: wrong open_period specified"),
    }
}
