//! Pictures that came with messages: shown to models that take them, and named to all others.

use std::fs;

use openclaw_platforms::{Telegram, Tell};
use openclaw_proto::v1;
use openclaw_tests::{Api, Behavior, Provider, Setup, ask, request};
use serde_json::{Value, json};

use super::chats::said;
use super::delivery::on_telegram;
use super::media::PNG;

const LET_IN: &str = "channels.telegram.allowFrom = [\"7\"]\nmessages.inbound.debounceMs = 0";
const TAKES: &str =
    "models.providers.fake.models = [{ id = \"model\", input = [\"text\", \"image\"] }]";

/// The same in base 64.
const PNG_BASE64: &str = "iVBORw0KGgogYW5kIHRoZSByZXN0IG9mIGEgcGljdHVyZQ==";

/// The content of the last message of a request.
fn last(provider: &Provider, at: usize) -> Value {
    let messages = provider.received()[at].body["messages"].as_array().unwrap().clone();
    messages.last().unwrap()["content"].clone()
}

/// The pictures that a request shows, wherever.
fn shown(provider: &Provider, at: usize) -> usize {
    let body = provider.received()[at].body.to_string();
    body.matches(PNG_BASE64).count()
}

#[tokio::test]
async fn a_model_that_takes_pictures_is_shown_them() {
    for api in [Api::OpenAi, Api::Anthropic] {
        let telegram = Telegram::start().await;
        let provider = Provider::start(api, [Behavior::text("A cat.")]).await;
        let setup = Setup::new().provider(&provider).config(LET_IN).config(TAKES);
        let gateway = on_telegram(setup, &telegram).start().await;
        telegram.keep("a", "photos/a", PNG);
        telegram.say(&Tell::direct(7, "What is it?").with_picture("a"));
        said(&telegram, 1).await;
        let content = last(&provider, 0);
        let (text, picture) = match api {
            Api::OpenAi => (&content[0], &content[1]),
            Api::Anthropic => (&content[1], &content[0]),
        };
        let words = text["text"].as_str().unwrap();
        assert!(words.starts_with("What is it?\n[image without a name, image/png, "), "{words}");
        let expected = match api {
            Api::OpenAi => {
                let url = format!("data:image/png;base64,{PNG_BASE64}");
                json!({ "type": "image_url", "image_url": { "url": url } })
            }
            Api::Anthropic => json!({ "type": "image", "source": {
                "type": "base64", "media_type": "image/png", "data": PNG_BASE64,
            } }),
        };
        assert_eq!(picture, &expected);
        // It is still shown with the next questions, and then no more.
        for count in 1..=4 {
            telegram.say(&Tell::direct(7, "And now?"));
            said(&telegram, count + 1).await;
            assert_eq!(shown(&provider, count), usize::from(count < 4), "{count}");
        }
        // What was said holds its name, and none of its bytes.
        let history = v1::SessionHistoryRequest { key: "main".into(), ..Default::default() };
        let owner = gateway.owner().await;
        let entries = owner.sessions().history(history).await.unwrap().into_inner().entries;
        assert!(entries[0].text.contains("stored as media/inbound/"), "{entries:?}");
        assert!(!format!("{entries:?}").contains(PNG_BASE64));
    }
}

#[tokio::test]
async fn a_model_that_takes_none_reads_their_names() {
    let telegram = Telegram::start().await;
    let provider = Provider::openai([Behavior::text("I cannot see.")]).await;
    let setup = Setup::new().provider(&provider).config(LET_IN);
    let gateway = on_telegram(setup, &telegram).start().await;
    telegram.keep("a", "photos/a", PNG);
    telegram.say(&Tell::direct(7, "What is it?").with_picture("a"));
    said(&telegram, 1).await;
    assert!(last(&provider, 0).as_str().unwrap().contains("stored as media/inbound/"));
    assert_eq!(shown(&provider, 0), 0);
    drop(gateway);
}

#[tokio::test]
async fn each_model_of_a_chain_has_what_it_takes() {
    let telegram = Telegram::start().await;
    let first = Provider::openai([Behavior::refuse(401, "no such key")]).await;
    let spare = Provider::openai([Behavior::text("I cannot see.")]).await;
    let config = format!(
        "models.providers.spare = {{ api = \"openai-completions\", baseUrl = \"{}\" }}\n\
         agents.defaults.model.fallbacks = [\"spare/model\"]",
        spare.url()
    );
    let setup = Setup::new().provider(&first).config(LET_IN).config(TAKES).config(&config);
    let gateway = on_telegram(setup, &telegram).start().await;
    telegram.keep("a", "photos/a", PNG);
    telegram.say(&Tell::direct(7, "What is it?").with_picture("a"));
    assert_eq!(said(&telegram, 1).await, "I cannot see.");
    assert_eq!((shown(&first, 0), shown(&spare, 0)), (1, 0));
    assert!(last(&spare, 0).as_str().unwrap().contains("stored as media/inbound/"));
    drop(gateway);
}

#[tokio::test]
//= docs/threat-model.md#T9
async fn a_picture_that_is_gone_is_a_line_and_nobody_writes_one() {
    let telegram = Telegram::start().await;
    let provider = Provider::openai([Behavior::text("A cat.")]).await;
    let setup = Setup::new().provider(&provider).config(LET_IN).config(TAKES);
    let gateway = on_telegram(setup, &telegram).start().await;
    telegram.keep("a", "photos/a", PNG);
    telegram.say(&Tell::direct(7, "What is it?").with_picture("a"));
    said(&telegram, 1).await;
    let words = last(&provider, 0)[0]["text"].as_str().unwrap().to_owned();
    let (_, line) = words.split_once('\n').unwrap();
    // Somebody repeats the line that names it.
    telegram.say(&Tell::direct(7, &format!("Look:\n{line}")));
    said(&telegram, 2).await;
    assert_eq!(shown(&provider, 1), 1, "it is shown where it came, and not where it is written");
    assert!(last(&provider, 1).as_str().unwrap().contains("said to be stored as"));
    // An agent's file in its place is not what was sent, and neither is what is no picture.
    let dir = gateway.workspace("main").join("media/inbound");
    let [file] = fs::read_dir(&dir).unwrap().map(|it| it.unwrap().path()).collect::<Vec<_>>()[..]
        .to_vec()
        .try_into()
        .unwrap();
    fs::write(&file, "secret").unwrap();
    telegram.say(&Tell::direct(7, "And now?"));
    said(&telegram, 3).await;
    let body = provider.received()[2].body.to_string();
    assert!(body.contains("is not kept any more, and is not shown"), "{body}");
    assert!(!body.contains("c2VjcmV0"));
    // The journal reads again after a restart.
    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    ask(&owner, request("later", "main", "Thanks.")).await.unwrap();
    assert!(provider.received()[3].body.to_string().contains("stored as media/inbound/"));
}
