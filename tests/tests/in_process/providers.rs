//! Providers that misbehave: each failure is told by its name, and nothing is the worse for it.

use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_tests::{Api, Asked, Behavior, Provider, Received, Setup, TestGateway, ask, request};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::strict::check;

/// Checks that what a provider of the chat completions was sent is a valid conversation.
pub(super) fn check_conversation(received: &Received) {
    let messages = received.body["messages"].as_array().unwrap();
    assert_eq!(messages[0]["role"], "system");
    let mut open: Vec<String> = Vec::new();
    for message in &messages[1..] {
        match message["role"].as_str().unwrap() {
            "tool" => {
                let id = message["tool_call_id"].as_str().unwrap();
                let place = open.iter().position(|open| open == id);
                open.remove(place.expect("a result answers a call, once"));
            }
            "assistant" => {
                assert!(open.is_empty(), "calls without a result: {messages:#?}");
                let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
                let text = message["content"].as_str().unwrap_or_default();
                assert!(!calls.is_empty() || !text.is_empty(), "an empty answer: {messages:#?}");
                for call in calls {
                    let arguments = call["function"]["arguments"].as_str().unwrap();
                    assert!(serde_json::from_str::<Value>(arguments).is_ok(), "{arguments}");
                    open.push(call["id"].as_str().unwrap().to_owned());
                }
            }
            role => {
                assert_eq!(role, "user");
                assert!(open.is_empty(), "calls without a result: {messages:#?}");
            }
        }
    }
    assert!(open.is_empty(), "calls without a result: {messages:#?}");
    assert_ne!(messages.last().unwrap()["role"], "assistant");
}

/// Runs one turn against a provider that behaves so, and a second one that is answered.
async fn two_turns(api: Api, behaviors: Vec<Behavior>, after: &str) -> Asked {
    let mut all = behaviors;
    all.push(Behavior::text(after));
    let provider = Provider::start(api, all).await;
    let gateway = Setup::new()
        .provider(&provider)
        .config("models.providers.fake.timeoutSeconds = 1")
        .start()
        .await;
    let owner = gateway.owner().await;
    let first = ask(&owner, request("first", "main", "Hello.")).await.unwrap();
    let second = ask(&owner, request("second", "main", "And now?")).await.unwrap();
    assert_eq!((second.status(), second.text.as_str()), (RunStatus::Ok, after), "{second:?}");
    provider.received().iter().for_each(|received| check(api, received));
    first
}

//= docs/threat-model.md#T12
#[tokio::test]
async fn what_cannot_be_helped_ends_the_run_by_its_name() {
    let refuse = Behavior::refuse;
    let table = [
        (refuse(401, "no such key"), "auth", "no such key"),
        (refuse(403, "not yours"), "auth", "not yours"),
        (refuse(402, "no money left"), "billing", "no money"),
        (refuse(404, "no such model"), "model-not-found", "no such model"),
        (refuse(400, "what is this"), "invalid-request", "what is this"),
        (refuse(400, "maximum context length is 8"), "context-overflow", "context"),
        (Behavior::Html, "protocol", ""),
        (Behavior::Flood, "protocol", ""),
        (Behavior::EndlessFrame, "protocol", ""),
        (Behavior::EndlessCalls, "protocol", "index"),
    ];
    let mut cases = JoinSet::new();
    for api in [Api::OpenAi, Api::Anthropic] {
        for (behavior, name, words) in table.clone() {
            if api == Api::Anthropic && matches!(behavior, Behavior::EndlessCalls) {
                continue;
            }
            cases.spawn(async move {
                let place = format!("{api:?} {behavior:?}");
                let first = two_turns(api, vec![behavior], "Better.").await;
                assert_eq!(first.status(), RunStatus::Error, "{place}: {first:?}");
                let error = &first.run().error;
                assert!(error.starts_with(&format!("{name}: ")), "{place}: {error}");
                assert!(error.contains(words) && error.len() < 600, "{place}: {error}");
                assert!(first.retries.is_empty(), "{place}: {first:?}");
            });
        }
    }
    cases.join_all().await;
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    let words = || "half an answer ".to_owned();
    let table = [
        (Behavior::limit(0), "rate-limited"),
        (Behavior::limit(1), "rate-limited"),
        (Behavior::refuse(503, "busy"), "overloaded"),
        (Behavior::refuse(500, "oops"), "overloaded"),
        (Behavior::BreakAfter(words()), "network"),
        (Behavior::EndWithoutMarker(words()), "network"),
        (Behavior::Hang, "timeout"),
        (Behavior::HangAfter(words()), "timeout"),
    ];
    let mut cases = JoinSet::new();
    for api in [Api::OpenAi, Api::Anthropic] {
        for (behavior, name) in table.clone() {
            cases.spawn(async move {
                let place = format!("{api:?} {behavior:?}");
                let first =
                    two_turns(api, vec![behavior, Behavior::text("Whole.")], "Better.").await;
                assert_eq!(first.status(), RunStatus::Ok, "{place}: {first:?}");
                assert_eq!(first.retries, [name], "{place}");
                assert_eq!(
                    (first.run().text.as_str(), first.text.as_str()),
                    ("Whole.", "Whole."),
                    "{place}"
                );
            });
        }
    }
    cases.join_all().await;
}

#[tokio::test]
async fn malformed_calls_are_answered_as_such() {
    for api in [Api::OpenAi, Api::Anthropic] {
        let behaviors = vec![Behavior::MalformedCall, Behavior::text("I see.")];
        let first = two_turns(api, behaviors, "Better.").await;
        assert_eq!(first.status(), RunStatus::Ok, "{api:?}: {first:?}");
        assert_eq!(first.tools, [("read_file".into(), "error".into())], "{api:?}");
    }
    let unknown = Behavior::call("no_such_tool", json!({ "x": 1 }));
    let first = two_turns(Api::OpenAi, vec![unknown, Behavior::text("I see.")], "Better.").await;
    assert_eq!(first.tools, [("no_such_tool".into(), "error".into())]);
    assert_eq!(first.status(), RunStatus::Ok);
}

#[tokio::test]
async fn a_model_that_never_stops_calling_is_stopped() {
    let provider = Provider::openai([Behavior::call("session_status", json!({}))]).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    let asked = ask(&owner, request("r", "main", "Go on.")).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Error);
    assert!(asked.run().error.contains("steps"), "{:?}", asked.run().error);
    provider.received().iter().for_each(check_conversation);
}

/// Starts a gateway whose agents ask `first`, and `spare` when it fails.
async fn with_spare(first: &Provider, spare: &Provider) -> TestGateway {
    Setup::new()
        .provider(first)
        .config(&format!(
            "models.providers.spare.api = \"openai-completions\"\n\
             models.providers.spare.baseUrl = \"{}\"\n\
             agents.defaults.model.fallbacks = [\"spare/model\"]",
            spare.url()
        ))
        .start()
        .await
}

#[tokio::test]
async fn a_fallback_answers_for_a_model_that_cannot() {
    let broken = Provider::openai([Behavior::refuse(401, "no such key")]).await;
    let spare = Provider::openai([Behavior::text("From the spare.")]).await;
    let gateway = with_spare(&broken, &spare).await;
    let asked = ask(&gateway.owner().await, request("r", "main", "Hello.")).await.unwrap();
    assert_eq!((asked.status(), asked.text.as_str()), (RunStatus::Ok, "From the spare."));
    assert_eq!(asked.retries, ["auth"]);
    assert_eq!((broken.received().len(), spare.received().len()), (1, 1));
}

/// What a provider says to all is not asked for again by the next turn, wherever that is; what it
/// says to one conversation is.
#[tokio::test]
async fn a_provider_that_has_just_failed_is_left_alone() {
    let refuse = Behavior::refuse;
    #[rustfmt::skip]
    let table = [
        // it answers                   first turn told    second turn told   it was asked
        (refuse(402, "no money left"),  "billing",         "cooling-down",    1),
        (refuse(401, "no such key"),    "auth",            "cooling-down",    1),
        (refuse(400, "what is this"),   "invalid-request", "invalid-request", 2),
        (Behavior::Html,                "protocol",        "protocol",        2),
    ];
    for (behavior, first, second, count) in table {
        let broken = Provider::openai([behavior]).await;
        let spare = Provider::openai([Behavior::text("From the spare.")]).await;
        let gateway = with_spare(&broken, &spare).await;
        let owner = gateway.owner().await;
        for (key, session, told) in [("r1", "main", first), ("r2", "agent:main:other", second)] {
            let asked = ask(&owner, request(key, session, "Hello.")).await.unwrap();
            assert_eq!((asked.status(), asked.text.as_str()), (RunStatus::Ok, "From the spare."));
            assert_eq!(asked.retries, [told], "{key}");
        }
        assert_eq!((broken.received().len(), spare.received().len()), (count, 2), "{first}");
    }
}

#[tokio::test]
async fn a_cool_down_outlives_other_changes_and_ends_with_an_answer() {
    let unpaid = || Behavior::refuse(402, "no money left");
    let first = Provider::openai([unpaid(), Behavior::text("Paid."), unpaid()]).await;
    let spare = Provider::openai([Behavior::text("From the spare.")]).await;
    let gateway = with_spare(&first, &spare).await;
    let owner = gateway.owner().await;
    let turn = async |key: &str| {
        let asked = ask(&owner, request(key, "main", "Hello.")).await.unwrap();
        assert_eq!((asked.status(), asked.text.as_str()), (RunStatus::Ok, "From the spare."));
        (asked.retries.join(" "), first.received().len())
    };
    let add = async |id: &str| {
        let (idempotency_key, id) = (format!("add-{id}"), id.into());
        let request = v1::CreateAgentRequest { idempotency_key, id, ..Default::default() };
        owner.agents().create(request).await.unwrap();
    };
    assert_eq!(turn("r1").await, ("billing".into(), 1));
    add("one").await;
    assert_eq!(turn("r2").await, ("cooling-down".into(), 1), "the provider is the same");

    // Whoever has paid probes it, and it is asked again.
    let probed = owner.models().probe(v1::ProbeModelRequest::default()).await.unwrap();
    assert!(probed.into_inner().ok);
    assert_eq!(turn("r3").await, ("billing".into(), 3));
    assert_eq!(turn("r4").await, ("cooling-down".into(), 3));

    // Another time-out, and so another provider: who knows what else is new.
    let text = format!("models.providers.fake.timeoutSeconds = 7\n{}", gateway.config_text());
    std::fs::write(gateway.state().join("openclaw.toml"), text).unwrap();
    add("two").await;
    assert_eq!(turn("r5").await, ("billing".into(), 4));
}

/// A model that somebody chose for a conversation answers, or nobody does.
#[tokio::test]
async fn a_chosen_model_has_no_fallback() {
    let provider = Provider::openai([Behavior::refuse(400, "what is this")]).await;
    let fallback = "models.providers.spare.api = \"offline\"\n\
                    agents.defaults.model.fallbacks = [\"spare/model\"]";
    let gateway = Setup::new().provider(&provider).config(fallback).start().await;
    let owner = gateway.owner().await;
    let spare = ask(&owner, request("a", "main", "Hello.")).await.unwrap();
    assert_eq!(spare.status(), RunStatus::Ok, "{spare:?}");
    let patch = v1::PatchSessionRequest {
        key: "main".into(),
        model: Some("fake/model".into()),
        ..v1::PatchSessionRequest::default()
    };
    owner.sessions().patch(patch).await.unwrap();
    let chosen = ask(&owner, request("b", "main", "Hello.")).await.unwrap();
    assert_eq!(chosen.status(), RunStatus::Error, "{chosen:?}");
    assert!(chosen.run().error.contains("invalid-request"), "{chosen:?}");
}

/// A provider with two keys: when one is refused the other is used at once, and from then on, also for a model that
/// somebody chose; and no key is told to anybody.
#[tokio::test]
//= docs/threat-model.md#T14
async fn another_key_of_the_same_provider_is_used() {
    let refuse = || Behavior::refuse(401, "no such key");
    let behaviors = [refuse(), Behavior::text("One."), Behavior::text("Two."), refuse(), refuse()];
    let provider = Provider::openai(behaviors).await;
    let keys =
        "models.providers.fake.apiKeys = [{ env = \"K1\" }, { env = \"K2\" }, { env = \"K3\" }]";
    let setup = Setup::new().provider(&provider).config(keys);
    let gateway = setup.variable("K1", "sk-one").variable("K3", "sk-three").start().await;
    let owner = gateway.owner().await;
    let models = owner.models().list(v1::ListModelsRequest::default()).await.unwrap().into_inner();
    assert_eq!(models.models[0].credential(), v1::model::Credential::Present);
    let used = || -> Vec<&str> {
        let heads = provider.received().into_iter().map(|received| received.head);
        heads.map(|head| if head.contains("sk-one") { "K1" } else { "K3" }).collect()
    };
    let first = ask(&owner, request("a", "main", "Hello.")).await.unwrap();
    assert_eq!((first.status(), first.text.as_str()), (RunStatus::Ok, "One."));
    assert_eq!(
        (first.retries.as_slice(), used()),
        (["auth".to_owned()].as_slice(), vec!["K1", "K3"])
    );
    let patch = v1::PatchSessionRequest {
        key: "main".into(),
        model: Some("fake/model".into()),
        ..v1::PatchSessionRequest::default()
    };
    owner.sessions().patch(patch).await.unwrap();
    let chosen = ask(&owner, request("b", "main", "Hello.")).await.unwrap();
    assert_eq!((chosen.text.as_str(), used()), ("Two.", vec!["K1", "K3", "K3"]));
    assert!(chosen.retries.is_empty(), "nothing is told again: {chosen:?}");
    // What is refused under each of them fails, by its name; that a key cools down fails nobody.
    let refused = ask(&owner, request("c", "main", "Hello.")).await.unwrap();
    assert!(refused.run().error.starts_with("auth: "), "{refused:?}");
    assert_eq!(used()[3..], ["K3", "K1"]);
    assert!(!format!("{first:?}{chosen:?}{refused:?}").contains("sk-"));
}

//= docs/threat-model.md#T14
#[tokio::test]
async fn the_key_goes_to_the_provider_and_nowhere_else() {
    let secret = "sk-test-0123456789";
    let refusal = format!("the key {secret} is wrong");
    let provider = Provider::openai([Behavior::refuse(401, &refusal)]).await;
    let gateway = Setup::new()
        .provider(&provider)
        .config("models.providers.fake.apiKey = { env = \"FAKE_KEY\" }")
        .variable("FAKE_KEY", secret)
        .start()
        .await;
    let owner = gateway.owner().await;
    let asked = ask(&owner, request("r", "main", "Hello.")).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Error);
    assert!(provider.received()[0].head.contains(secret));
    assert!(!format!("{asked:?}").contains(secret), "{asked:?}");
    let config = owner.gateway().get_config(v1::GetConfigRequest {}).await;
    let config = config.unwrap().into_inner().toml;
    assert!(config.contains("FAKE_KEY") && !config.contains(secret), "{config}");
    for file in ["gateway.db", "gateway.db-wal"] {
        let bytes = std::fs::read(gateway.state().join(file)).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{file}");
    }
}
