//! Reads `[hooks]`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openclaw_scopes::{AgentId, HookName};

use crate::read::{Faults, Field, Section};
use crate::{
    Agent, Hook, HookAction, HookProof, HookSettings, Platform, Problem, SignatureScheme, Template,
};

use super::models::{missing, secret_ref};

/// Reads the hooks; the variables that hold their secrets are added to `secrets`.
pub(super) fn read(
    root: &Section<'_>,
    agents: &BTreeMap<AgentId, Agent>,
    secrets: &mut BTreeSet<String>,
    faults: &mut Faults<'_>,
) -> HookSettings {
    let section = root.section("hooks", faults);
    let silent = HookSettings::default();
    let enabled = section.field("enabled").and_then(|field| field.flag(faults));
    let listen = section.field("listen").and_then(|field| {
        field.parsed(faults, |text| {
            let (key, expected) = (field.path.clone(), "an IP address and a port");
            text.parse().map_err(|_unread| Problem::Text { key, expected })
        })
    });
    let mut entries = BTreeMap::new();
    for field in section.section("entries", faults).fields() {
        let Some(section) = field.section(faults) else { continue };
        let Ok(name) = HookName::parse(field.name) else {
            let (key, expected) = (field.path.clone(), "at most 64 of `a-z`, `0-9`, `-` and `_`");
            faults.report(field.key_at, Problem::Text { key, expected });
            continue;
        };
        if let Some(hook) = hook(&section, agents, faults) {
            secrets.insert(hook.proof.secret().env.clone());
            entries.insert(name, hook);
        }
    }
    HookSettings {
        enabled: enabled.unwrap_or(silent.enabled),
        listen: listen.unwrap_or(silent.listen),
        entries,
    }
}

fn hook(
    section: &Section<'_>,
    agents: &BTreeMap<AgentId, Agent>,
    faults: &mut Faults<'_>,
) -> Option<Hook> {
    let action = section
        .field("action")
        .and_then(|field| field.choice(&HookAction::ALL, HookAction::name, faults))
        .unwrap_or_default();
    let proof = proof(section, faults);
    let agent = match section.field("agentId") {
        Some(field) => super::session::agent(&field, agents, faults),
        None => AgentId::parse("main").ok(),
    };
    let session = section.field("sessionKey").and_then(|field| {
        field.parsed(faults, |text| {
            let is_well =
                (1..=512).contains(&text.len()) && !text.contains(|c: char| c.is_control());
            let (key, expected) = (field.path.clone(), "the key of a session");
            is_well.then(|| text.to_owned()).ok_or(Problem::Text { key, expected })
        })
    });
    let template = section.field("messageTemplate").and_then(|field| {
        field.parsed(faults, |text| {
            let problem = |error: crate::TemplateError| error.to_string();
            let key = field.path.clone();
            Template::parse(text)
                .map_err(|error| Problem::Template { key, problem: problem(error) })
        })
    });
    let timeout = section.field("timeoutSeconds");
    if let Some(field) = timeout.as_ref().filter(|_| action == HookAction::Wake) {
        only(field, "absent unless `action` is `agent`", faults);
    }
    let timeout =
        timeout.and_then(|field| field.number(1, 86_400, faults)).map(Duration::from_secs);
    let tools = section
        .section("tools", faults)
        .field("allow")
        .and_then(|field| field.list(faults, super::agents::tool_pattern))
        .unwrap_or_default();
    let answers = answers(section, faults);
    Some(Hook { action, proof: proof?, agent: agent?, session, template, timeout, answers, tools })
}

/// Reports a key that may not stand where it does.
fn only(field: &Field<'_>, expected: &'static str, faults: &mut Faults<'_>) {
    faults.report(field.key_at, Problem::Text { key: field.path.clone(), expected });
}

/// Reads how callers show who they are: there is no hook without.
fn proof(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<HookProof> {
    let given = section.field("signature");
    let scheme = given
        .as_ref()
        .and_then(|field| field.choice(&SignatureScheme::ALL, SignatureScheme::name, faults));
    match (section.field("token"), section.field("secret")) {
        (Some(token), None) => {
            if let Some(field) = &given {
                only(field, "absent unless there is a `secret`", faults);
            }
            secret_ref(&token, faults).map(HookProof::Token)
        }
        (None, Some(secret)) => {
            let scheme = scheme.unwrap_or_default();
            secret_ref(&secret, faults).map(|secret| HookProof::Signature { secret, scheme })
        }
        (None, None) => {
            missing(section, "token", "{ env = \"HOOK_TOKEN\" }", faults);
            None
        }
        (Some(_), Some(secret)) => {
            only(&secret, "absent when there is a `token`", faults);
            None
        }
    }
}

/// Reads where what the agent says goes.
fn answers(section: &Section<'_>, faults: &mut Faults<'_>) -> Option<(String, String)> {
    let (channel, to) = (section.field("channel"), section.field("to"));
    let names = Platform::ALL.map(Platform::name);
    let named = channel.as_ref().and_then(|field| field.choice(&names, |name| name, faults));
    let told = to.as_ref().and_then(|field| field.text(faults));
    match (channel, to) {
        (None, None) => None,
        (Some(_), Some(_)) => Some((named?.to_owned(), told?.to_owned())),
        (Some(_), None) => {
            missing(section, "to", "\"ID\"", faults);
            None
        }
        (None, Some(_)) => {
            missing(section, "channel", "\"telegram\"", faults);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{HookProof, SignatureScheme, parse};

    fn problems(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_hook_needs_a_credential_and_only_one() {
        let one = parse("hooks.entries.ci.token = { env = \"CI\" }").unwrap();
        let (name, hook) = one.hooks().entries.first_key_value().unwrap();
        assert_eq!((name.as_str(), hook.agent.as_str()), ("ci", "main"));
        assert!(matches!(&hook.proof, HookProof::Token(token) if token.env == "CI"));
        assert!(!one.hooks().enabled);
        let signed = parse("hooks.entries.ci.secret = { env = \"CI\" }").unwrap();
        let signed = &signed.hooks().entries.first_key_value().unwrap().1.proof;
        let scheme = SignatureScheme::StandardWebhooks;
        assert!(matches!(signed, HookProof::Signature { scheme: it, .. } if *it == scheme));
        for (text, words) in [
            ("hooks.entries.ci.action = \"wake\"", "needs `token`"),
            (
                "hooks.entries.ci = { token = { env = \"A\" }, secret = { env = \"B\" } }",
                "absent when there is a `token`",
            ),
            (
                "hooks.entries.ci = { token = { env = \"A\" }, signature = \"github\" }",
                "absent unless there is a `secret`",
            ),
            ("hooks.entries.ci.token = \"not-a-reference\"", "environment variable"),
            ("hooks.entries.CI.token.env = \"A\"", "`a-z`"),
            ("hooks.listen = \"localhost:80\"", "an IP address and a port"),
            ("hooks.entries.ci = { token.env = \"A\", agentId = \"ops\" }", "the agent `ops`"),
            ("hooks.entries.ci = { token.env = \"A\", channel = \"telegram\" }", "needs `to`"),
            ("hooks.entries.ci = { token.env = \"A\", messageTemplate = \"{{\" }", "template"),
            (
                "hooks.entries.ci = { token.env = \"A\", action = \"wake\", timeoutSeconds = 9 }",
                "absent unless `action` is `agent`",
            ),
        ] {
            let found = problems(text);
            assert!(found.contains(words), "{text}: {found}");
        }
    }

    #[test]
    //= docs/threat-model.md#T15
    fn commands_are_not_given_the_secrets_of_hooks() {
        let text = "hooks.entries.ci.token.env = \"CI\"\ntools.exec.envAllow = [\"CI\"]";
        assert!(problems(text).contains("holds a secret"), "{}", problems(text));
    }
}
