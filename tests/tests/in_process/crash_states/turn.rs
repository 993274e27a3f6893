//! The same for a turn with several calls at once: wherever the gateway was killed, what a provider is sent then is a
//! conversation that its server takes, and each call was made once or is told to have been interrupted.

use std::sync::Arc;

use openclaw_platforms::WebSink;
use openclaw_proto::v1;
use openclaw_tests::{Api, Behavior, Client, Provider, alone, ask, request, soon};
use serde_json::json;

use super::super::strict::check;
use super::{FILES, World, commits, furnish};

/// Has a provider answer in a world.
fn answers(world: &World, provider: &Provider) {
    let api = match provider.api() {
        Api::Anthropic => "anthropic-messages",
        Api::OpenAi => "openai-completions",
    };
    let config = std::fs::read_to_string(world.file("openclaw.toml")).unwrap();
    let config = config.replace("\"offline/offline\"", "\"fake/model\"");
    let of_provider = format!(
        "models.providers.fake.api = \"{api}\"\nmodels.providers.fake.baseUrl = \"{}\"\n",
        provider.url()
    );
    std::fs::write(world.file("openclaw.toml"), format!("{config}{of_provider}")).unwrap();
}

fn calls() -> [Behavior; 3] {
    let write = |path: &str| ("write_file".to_owned(), json!({ "path": path, "content": path }));
    let look = ("list_dir".to_owned(), json!({ "path": "." }));
    let absent = ("read_file".to_owned(), json!({ "path": "absent" }));
    let first = Behavior::Calls(vec![write("a"), look.clone(), absent, write("b")]);
    [first, Behavior::Calls(vec![look, write("c")]), Behavior::text("It is done.")]
}

async fn at_rest(client: &Client) {
    soon(async {
        loop {
            let runs = client.runs().list(v1::ListRunsRequest::default()).await.unwrap();
            if runs.into_inner().runs.iter().all(|run| run.ended_at.is_some()) {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn goes_on_from_everywhere(api: Api) {
    let sink = Arc::new(WebSink::start().await);
    let world = World::new(Arc::clone(&sink)).await;
    let provider = Provider::start(api, calls()).await;
    answers(&world, &provider);
    let (gateway, _owner) = world.start().await;
    gateway.drain().await;
    std::fs::copy(world.file("audit.head"), world.file("audit.kept")).unwrap();
    let (gateway, owner) = world.start().await;
    let before = std::fs::read(world.file(FILES[1])).unwrap().len();
    let asked = ask(&owner, request("r", "main", "Work.")).await.unwrap();
    assert_eq!((asked.text.as_str(), asked.tools.len()), ("It is done.", 6), "{asked:?}");
    let [database, log] = FILES.map(|name| std::fs::read(world.file(name)).unwrap());
    gateway.drain().await;
    let ends: Vec<_> = commits(&log).into_iter().filter(|end| *end >= before).collect();
    assert!(ends.len() >= 9, "each message and each result is one: {ends:?}");
    let mut interrupted = 0;
    for end in ends {
        let next = World::new(Arc::clone(&sink)).await;
        let provider = Provider::start(api, [Behavior::text("And on.")]).await;
        answers(&next, &provider);
        furnish(&next, &world);
        std::fs::write(next.file(FILES[0]), &database).unwrap();
        std::fs::write(next.file(FILES[1]), &log[..end]).unwrap();
        let (gateway, owner) = next.start().await;
        at_rest(&owner).await;
        let asked = ask(&owner, request("s", "main", "And now?")).await.unwrap();
        assert_eq!(asked.text, "And on.");
        let all = provider.received();
        all.iter().for_each(|received| check(api, received));
        let last = all.last().unwrap().body.to_string();
        // What had ended before is not done again, and what had not is told as that.
        interrupted += usize::from(last.contains("interrupted"));
        assert!(all.len() <= 2, "the turn goes on once: {}", all.len());
        gateway.drain().await;
    }
    assert!(interrupted > 0, "some were killed in a call");
}

#[test]
fn a_kill_at_any_record_leaves_a_conversation_that_every_provider_takes() {
    let name = "in_process::crash_states::turn::\
                a_kill_at_any_record_leaves_a_conversation_that_every_provider_takes";
    if alone(name) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for api in [Api::Anthropic, Api::OpenAi] {
            runtime.block_on(goes_on_from_everywhere(api));
        }
    }
}
