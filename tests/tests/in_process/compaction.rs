//! Long conversations: a summary takes the place of what is oldest, nothing is lost, and no call is parted from
//! its results.

use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_proto::v1::history_entry::Kind;
use openclaw_tests::{Behavior, Client, Provider, Refusal, Setup, TestGateway, ask, request};
use serde_json::json;
use tonic::Code;

use super::providers::check_conversation;

const SMALL: &str = "agents.defaults.contextTokens = 8192";

/// What stands for the first part of what was said.
const SUMMARY: &str = "The user likes blue, and the key is canary-77f1.";

fn long(mark: &str) -> String {
    format!("{mark} {}", "word ".repeat(700))
}

async fn entries(client: &Client) -> Vec<v1::HistoryEntry> {
    let history = v1::SessionHistoryRequest {
        key: "main".into(),
        page_size: 1000,
        ..v1::SessionHistoryRequest::default()
    };
    client.sessions().history(history).await.unwrap().into_inner().entries
}

fn system(provider: &Provider, at: usize) -> String {
    provider.received()[at].body["messages"][0]["content"].to_string()
}

fn shown(provider: &Provider, at: usize) -> String {
    provider.received()[at].body["messages"].to_string()
}

/// Talks until the window is nearly full; returns at which request a summary was asked for.
async fn talk(owner: &Client, provider: &Provider, from: usize) -> usize {
    let before = provider.received().len();
    for turn in from..from + 12 {
        let text = long(&format!("question-{turn}."));
        let asked = ask(owner, request(&format!("r{turn}"), "main", &text)).await.unwrap();
        assert_eq!(asked.status(), RunStatus::Ok, "{:?}", asked.run().error);
        let requests = provider.received().len();
        if let Some(at) = (before..requests).rev().find(|at| is_summary(provider, *at)) {
            return at;
        }
    }
    panic!("no summary was asked for");
}

fn is_summary(provider: &Provider, at: usize) -> bool {
    system(provider, at).contains("at most") && provider.received()[at].body.get("tools").is_none()
}

#[tokio::test]
async fn a_conversation_is_compacted_before_the_window_is_full() {
    let look = Behavior::call("list_dir", json!({ "path": "." }));
    let provider = Provider::openai([look, Behavior::text(SUMMARY)]).await;
    let gateway = Setup::new().provider(&provider).config(SMALL).start().await;
    let owner = gateway.owner().await;
    let at = talk(&owner, &provider, 0).await;
    assert!(shown(&provider, at).contains("question-0."), "what is folded is summarized");
    let after = shown(&provider, at + 1);
    assert!(after.contains("canary-77f1") && !after.contains("question-0."), "{after}");
    provider.received().iter().enumerate().for_each(|(at, received)| {
        if !is_summary(&provider, at) {
            check_conversation(received);
        }
        let bytes = received.body["messages"].to_string().len();
        assert!(bytes < 8192 * 4, "the window is never exceeded: {bytes}");
    });
    // Nothing is lost, and the summary stands where it was made.
    let all = entries(&owner).await;
    assert!(all.iter().any(|entry| entry.text.contains("question-0.")));
    let summaries: Vec<_> = all.iter().filter(|entry| entry.kind() == Kind::Summary).collect();
    assert_eq!(summaries.len(), 1);
    assert_eq!(summaries[0].text, SUMMARY);

    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    ask(&owner, request("later", "main", "What is the key?")).await.unwrap();
    let last = shown(&provider, provider.received().len() - 1);
    assert!(
        last.contains("canary-77f1") && !last.contains("question-0."),
        "after a restart: {last}"
    );
    // Beginning anew is to forget the summary, too; and that can be taken back.
    let reset = v1::ResetSessionRequest { key: "main".into(), ..Default::default() };
    owner.sessions().reset(reset).await.unwrap();
    ask(&owner, request("anew", "main", "Hello.")).await.unwrap();
    assert!(!shown(&provider, provider.received().len() - 1).contains("canary-77f1"));
    let undo = v1::UndoResetRequest { key: "main".into(), ..Default::default() };
    owner.sessions().undo_reset(undo.clone()).await.unwrap();
    ask(&owner, request("back", "main", "Hello.")).await.unwrap();
    assert!(shown(&provider, provider.received().len() - 1).contains("canary-77f1"));
    // Also when what came after it was compacted, too: what was before is what it was before.
    let reset = v1::ResetSessionRequest { key: "main".into(), ..Default::default() };
    owner.sessions().reset(reset).await.unwrap();
    let at = talk(&owner, &provider, 20).await;
    assert!(shown(&provider, at).contains("question-20."));
    owner.sessions().undo_reset(undo).await.unwrap();
    let at = provider.received().len();
    ask(&owner, request("again", "main", "Hello.")).await.unwrap();
    let first = shown(&provider, at);
    assert!(first.contains("question-20.") && !first.contains("question-0."), "{first}");
}

fn request_of(key: &str) -> v1::CompactSessionRequest {
    v1::CompactSessionRequest { key: key.to_owned(), ..Default::default() }
}

async fn compact(owner: &Client, dry_run: bool) -> v1::CompactSessionResponse {
    let request = v1::CompactSessionRequest { key: "main".into(), dry_run, ..Default::default() };
    owner.sessions().compact(request).await.unwrap().into_inner()
}

/// Whoever chose a model for a conversation chose who reads it.
#[tokio::test]
async fn the_chosen_model_writes_the_summary() {
    let provider = Provider::openai([Behavior::text(SUMMARY)]).await;
    let middle = "agents.defaults.contextTokens = 16384";
    let gateway = Setup::new().provider(&provider).config(middle).start().await;
    let owner = gateway.owner().await;
    let models = owner.models().list(v1::ListModelsRequest::default()).await.unwrap().into_inner();
    let name = models.models[0].name.clone();
    let (of_provider, _) = name.split_once('/').unwrap();
    let patch = v1::PatchSessionRequest {
        key: "main".into(),
        model: Some(format!("{of_provider}/another")),
        ..Default::default()
    };
    for turn in 0..8 {
        ask(&owner, request(&format!("r{turn}"), "main", &long("Remember."))).await.unwrap();
    }
    owner.sessions().patch(patch).await.unwrap();
    assert!(compact(&owner, false).await.done);
    let last = provider.received().len() - 1;
    assert!(is_summary(&provider, last));
    assert_eq!(provider.received()[last].body["model"], "another");
}

/// A provider that says that it is too much is believed, once a turn.
#[tokio::test]
async fn what_is_refused_as_too_long_is_compacted_and_asked_again() {
    let too_long = || Behavior::refuse(400, "maximum context length is 100 tokens");
    let text = Behavior::text;
    let behaviors =
        [text("One."), text("Two."), too_long(), text(SUMMARY), text("Three."), too_long()];
    let provider = Provider::openai(behaviors).await;
    let gateway = Setup::new().provider(&provider).start().await;
    let owner = gateway.owner().await;
    for (key, mark) in [("a", "question-0."), ("b", "question-1.")] {
        ask(&owner, request(key, "main", &long(mark))).await.unwrap();
    }
    let asked = ask(&owner, request("c", "main", &long("question-2."))).await.unwrap();
    assert_eq!((asked.status(), asked.text.as_str()), (RunStatus::Ok, "Three."), "{asked:?}");
    let after = shown(&provider, 4);
    assert!(after.contains("canary-77f1") && !after.contains("question-0."), "{after}");
    // It does not help: then the run says so, and the conversation is as it was.
    let asked = ask(&owner, request("d", "main", "And now?")).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Error);
    assert!(asked.run().error.contains("context-overflow"), "{asked:?}");
}

/// What tools return fills the window within one turn: what was said before gives way to a summary, and then the
/// turn's own first steps are not shown. It asks for no more steps than a turn may have.
#[tokio::test]
async fn a_turn_that_outgrows_the_window_goes_on() {
    let read = || Behavior::call("read_file", json!({ "path": "big" }));
    let mut behaviors = vec![Behavior::text("Noted."); 2];
    behaviors.extend([read(), read(), Behavior::text(SUMMARY)]);
    behaviors.extend(std::iter::repeat_with(read).take(12));
    behaviors.push(Behavior::text("It is all words."));
    let provider = Provider::openai(behaviors).await;
    let gateway = Setup::new().provider(&provider).config(SMALL).start().await;
    std::fs::write(gateway.workspace("main").join("big"), "words ".repeat(800)).unwrap();
    let owner = gateway.owner().await;
    for (key, mark) in [("a", "question-0."), ("b", "question-1.")] {
        ask(&owner, request(key, "main", &long(mark))).await.unwrap();
    }
    let asked = ask(&owner, request("c", "main", "question-2. Read it.")).await.unwrap();
    assert_eq!((asked.status(), asked.text.as_str()), (RunStatus::Ok, "It is all words."));
    assert_eq!(asked.tools.len(), 14, "each was called once: {asked:?}");
    let at = (2..).find(|at| is_summary(&provider, *at)).unwrap();
    assert_eq!(at, 4, "before the third question");
    assert!(shown(&provider, at).contains("question-0."));
    let all = provider.received();
    for (at, received) in all.iter().enumerate().filter(|(at, _)| *at != 4) {
        check_conversation(received);
        let bytes = received.body["messages"].to_string().len();
        assert!(bytes < 8192 * 4, "the window is never exceeded: {bytes} at {at}");
        let shown = shown(&provider, at);
        assert!(at < 4 || (shown.contains("question-2.") && shown.contains("canary-77f1")));
    }
    // All of it is in the journal, and the next turn finds the history as it was shown.
    let results = entries(&owner).await;
    assert_eq!(results.iter().filter(|entry| entry.tool == "read_file").count(), 14);
    let asked = ask(&owner, request("d", "main", "And now?")).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Ok, "{asked:?}");
    check_conversation(provider.received().last().unwrap());
}

/// A summary that is none is not stored: the conversation goes on as it is.
#[tokio::test]
async fn a_bad_summary_is_not_stored() {
    let provider = Provider::openai([Behavior::text("NO_REPLY")]).await;
    let gateway = Setup::new().provider(&provider).config(SMALL).start().await;
    let owner = gateway.owner().await;
    let at = talk(&owner, &provider, 0).await;
    assert!(entries(&owner).await.iter().all(|entry| entry.kind() != Kind::Summary));
    let before = provider.received().len();
    ask(&owner, request("next", "main", "Hello.")).await.unwrap();
    assert_eq!(provider.received().len(), before + 1, "it is not tried at each turn");
    assert!(!is_summary(&provider, provider.received().len() - 1), "{at}");
}

/// Without it what is oldest is left out, and a model is never shown more than its window.
#[tokio::test]
async fn compaction_can_be_switched_off() {
    let provider = Provider::openai([Behavior::text("Noted.")]).await;
    let off = format!("{SMALL}\nagents.defaults.compaction.enabled = false");
    let gateway = Setup::new().provider(&provider).config(&off).start().await;
    let owner = gateway.owner().await;
    for turn in 0..12 {
        let text = long(&format!("question-{turn}."));
        ask(&owner, request(&format!("r{turn}"), "main", &text)).await.unwrap();
    }
    assert_eq!(provider.received().len(), 12);
    assert!(!shown(&provider, 11).contains("question-0."));
}

#[tokio::test]
async fn somebody_asks_for_it() {
    let provider = Provider::openai([Behavior::text(SUMMARY)]).await;
    let middle = "agents.defaults.contextTokens = 16384";
    let gateway: TestGateway = Setup::new().provider(&provider).config(middle).start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("a", "main", "Hello.")).await.unwrap();
    let nothing = Refusal::from(owner.sessions().compact(request_of("main")).await.unwrap_err());
    assert_eq!(nothing.code, Code::FailedPrecondition);
    assert_eq!(nothing.message, "nothing to compact");
    for turn in 0..8 {
        ask(&owner, request(&format!("r{turn}"), "main", &long("Remember."))).await.unwrap();
    }
    let before = provider.received().len();
    let would = compact(&owner, true).await;
    assert!(!would.done && would.tokens_folded > 0 && would.tokens_folded < would.tokens_before);
    assert_eq!(provider.received().len(), before, "nobody is asked for it");
    let done = compact(&owner, false).await;
    assert!(done.done && done.tokens_folded == would.tokens_folded, "{done:?}");
    ask(&owner, request("b", "main", "And now?")).await.unwrap();
    let shown = shown(&provider, provider.received().len() - 1);
    assert!(shown.contains("canary-77f1"), "{shown}");
    for (key, code) in [("explicit:none", Code::NotFound), ("", Code::InvalidArgument)] {
        let refused = owner.sessions().compact(request_of(key)).await.unwrap_err();
        assert_eq!(refused.code(), code, "{key}");
    }
}
