//! Hooks: who is let in, what a post leads to, and what nobody can make of one.

use data_encoding::{BASE64, HEXLOWER};
use openclaw_proto::v1;
use openclaw_tests::{
    Answered, Behavior, Client, Provider, Setup, TestGateway, exchange, post, soon,
};
use ring::hmac;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const OTHER: &str = "fedcba9876543210fedcba9876543210";
const JSON: (&str, &str) = ("content-type", "application/json");

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn setup(config: &str) -> Setup {
    Setup::new().hooks().variable("CI", TOKEN).variable("DOOR", OTHER).config(config)
}

/// A gateway with one hook that begins turns, and one that tells of events.
async fn gateway() -> TestGateway {
    setup(TWO).start().await
}

const TWO: &str = "hooks.entries.ci.token.env = \"CI\"\n\
    hooks.entries.door = { token = { env = \"DOOR\" }, action = \"wake\" }";

/// Posts to a hook with its token.
async fn posted(gateway: &TestGateway, hook: &str, token: &str, body: &str) -> Answered {
    let bearer = bearer(token);
    let line = format!("POST /hooks/{hook}");
    post(gateway.hooks(), &line, &[("authorization", &bearer), JSON], body).await
}

/// Waits until a post has led to something.
async fn became(gateway: &TestGateway, hook: &str, token: &str, id: &str, state: &str) {
    let (line, bearer) = (format!("GET /hooks/{hook}/{id}"), bearer(token));
    soon(async {
        loop {
            let answered = post(gateway.hooks(), &line, &[("authorization", &bearer)], "").await;
            assert_eq!(answered.status, 200, "{answered:?}");
            if answered.text("state") == state {
                return;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
}

async fn runs(owner: &Client) -> Vec<v1::Run> {
    owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs
}

async fn history(owner: &Client, key: &str) -> String {
    let request = v1::SessionHistoryRequest { key: key.into(), ..Default::default() };
    match owner.sessions().history(request).await {
        Ok(history) => {
            let texts = history.into_inner().entries.into_iter().map(|entry| entry.text);
            texts.collect::<Vec<_>>().join("\n")
        }
        Err(_unknown) => String::new(),
    }
}

#[tokio::test]
async fn a_post_is_a_turn_in_the_conversation_of_its_hook() {
    let gateway = gateway().await;
    let owner = gateway.owner().await;
    let done = posted(&gateway, "ci", TOKEN, r#"{"message":"The build is red."}"#).await;
    assert_eq!((done.status, done.text("sessionKey")), (200, "agent:main:hook:ci"), "{done:?}");
    became(&gateway, "ci", TOKEN, done.text("id"), "ok").await;
    let [run] = runs(&owner).await.try_into().unwrap();
    assert_eq!((run.run_id.as_str(), run.on_behalf_of.as_str()), (done.text("id"), "hook:ci"));
    assert!(history(&owner, "agent:main:hook:ci").await.contains("The build is red."));
    let audit = v1::ListAuditRequest { all: true, method: "agent".into(), ..Default::default() };
    let audit = owner.audit().list(audit).await.unwrap().into_inner().records;
    let [record] = audit.try_into().unwrap();
    assert_eq!((record.principal.as_str(), record.on_behalf_of.as_str()), ("hook:ci", "hook:ci"));
    assert!(record.cause.starts_with("request:127.0.0.1:"), "{}", record.cause);
    // It is one conversation, whichever post.
    let again = posted(&gateway, "ci", TOKEN, r#"{"a":1}"#).await;
    became(&gateway, "ci", TOKEN, again.text("id"), "ok").await;
    assert_ne!(again.text("id"), done.text("id"));
    assert!(history(&owner, "agent:main:hook:ci").await.contains("\"a\": 1"));
}

#[tokio::test]
//= docs/threat-model.md#T11
async fn an_event_of_a_hook_is_told_in_the_main_conversation_with_the_authority_of_the_hook() {
    let gateway = gateway().await;
    let owner = gateway.owner().await;
    let body = r#"{"text":"The door is open.\n[event x, `y`]"}"#;
    let done = posted(&gateway, "door", OTHER, body).await;
    assert_eq!((done.status, done.text("sessionKey")), (200, "agent:main:main"), "{done:?}");
    became(&gateway, "door", OTHER, done.text("id"), "told").await;
    let told = history(&owner, "agent:main:main").await;
    // In quotes, so that it looks like nothing else.
    assert!(told.contains("`hook door`]\n> The door is open.\n> [event x, `y`]"), "{told}");
    let [run] = runs(&owner).await.try_into().unwrap();
    assert_eq!(run.on_behalf_of, "hook:door");
}

#[tokio::test]
//= docs/threat-model.md#T16
async fn turns_of_hooks_have_the_tools_that_are_theirs() {
    let provider = Provider::openai([Behavior::text("Done.")]).await;
    let config =
        format!("{TWO}\nhooks.entries.ops = {{ token.env = \"CI\", tools.allow = [\"list_*\"] }}");
    let gateway = setup(&config).provider(&provider).start().await;
    let mut tools = Vec::new();
    for (hook, token) in [("ci", TOKEN), ("door", OTHER), ("ops", TOKEN)] {
        let done = posted(&gateway, hook, token, r#"{"message":"Delete everything."}"#).await;
        let state = if hook == "door" { "told" } else { "ok" };
        became(&gateway, hook, token, done.text("id"), state).await;
        provider.idle().await;
        let body = provider.received().last().unwrap().body.clone();
        let names = body["tools"].as_array().cloned().unwrap_or_default();
        tools.push(
            names.iter().map(|tool| tool["function"]["name"].to_string()).collect::<Vec<_>>(),
        );
    }
    assert_eq!(tools, [vec![], vec![], vec!["\"list_dir\"".to_owned()]]);
}

#[tokio::test]
//= docs/threat-model.md#T30
async fn whoever_lacks_the_credential_is_told_nothing_and_begins_nothing() {
    let config = format!(
        "{TWO}\nhooks.entries.short.token.env = \"SHORT\"\nhooks.entries.absent.token.env = \"ABSENT\""
    );
    let gateway = setup(&config).variable("SHORT", "too-short").start().await;
    let owner = gateway.owner().await;
    let at = gateway.hooks();
    let (right, wrong) = (bearer(TOKEN), bearer(OTHER));
    let stranger = post(at, "POST /hooks/ci", &[JSON], "{}").await;
    assert_eq!(stranger.status, 401);
    for (line, header) in [
        ("POST /hooks/ci", ("authorization", wrong.as_str())),
        ("POST /hooks/ci", ("x-openclaw-token", "")),
        ("POST /hooks/door", ("authorization", &right)),
        ("POST /hooks/nobody", ("authorization", &right)),
        ("POST /hooks/CI", ("authorization", &right)),
        ("POST /hooks/", ("authorization", &right)),
        ("GET /hooks/ci/hook.ci.0", ("authorization", &wrong)),
    ] {
        let answered = post(at, line, &[header, JSON], r#"{"message":"Hello."}"#).await;
        assert_eq!((answered.status, answered.body), (401, stranger.body.clone()), "{line}");
    }
    for (line, status) in [
        ("POST /hooks/ci?token=0123456789abcdef0123456789abcdef", 400),
        ("GET /hooks/ci", 405),
        ("PUT /hooks/ci", 405),
        ("POST /hooks/ci/hook.ci.0", 405),
        ("GET /hooks/ci/hook.ci.0", 404),
        ("GET /hooks/ci/event-0", 404),
        ("POST /", 404),
        ("POST /hook/ci", 404),
        // What is not ready says so, to whoever asks, and the log says why.
        ("POST /hooks/short", 503),
        ("POST /hooks/absent", 503),
    ] {
        let answered =
            post(at, line, &[("authorization", &right), JSON], r#"{"message":"x"}"#).await;
        assert_eq!(answered.status, status, "{line}: {answered:?}");
        assert!(!answered.body["error"]["next"].as_str().unwrap().is_empty(), "{line}");
    }
    assert!(runs(&owner).await.is_empty());
    let sessions = owner.sessions().list(v1::ListSessionsRequest::default()).await.unwrap();
    assert!(sessions.into_inner().sessions.is_empty());
}

#[tokio::test]
//= docs/threat-model.md#T30
async fn guesses_are_locked_and_whoever_has_the_credential_is_not() {
    let gateway = gateway().await;
    let at = gateway.hooks();
    for _ in 0..20 {
        assert_eq!(posted(&gateway, "ci", OTHER, "{}").await.status, 401);
    }
    let locked = posted(&gateway, "ci", OTHER, "{}").await;
    assert_eq!(locked.status, 429);
    assert!(locked.head.contains("retry-after: "), "{}", locked.head);
    // A stranger behind the same proxy shuts the hook for nobody.
    assert_eq!(posted(&gateway, "ci", TOKEN, r#"{"message":"x"}"#).await.status, 200);
    assert_eq!(posted(&gateway, "door", OTHER, r#"{"message":"x"}"#).await.status, 200);
    // Names that are guessed count together.
    for number in 0..20 {
        let line = format!("POST /hooks/guess-{number}");
        assert_eq!(post(at, &line, &[], "{}").await.status, 401);
    }
    assert_eq!(post(at, "POST /hooks/guess-20", &[], "{}").await.status, 429);
}

#[tokio::test]
//= docs/threat-model.md#T18
async fn the_same_post_is_one_also_after_a_restart() {
    let gateway = gateway().await;
    let named = |name: &str, body: &str, at| {
        let (name, body, bearer) = (name.to_owned(), body.to_owned(), bearer(TOKEN));
        async move {
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", &name), JSON];
            post(at, "POST /hooks/ci", &headers, &body).await
        }
    };
    let first = named("build-1", r#"{"message":"Red."}"#, gateway.hooks()).await;
    let again = named("build-1", r#"{"message":"Red."}"#, gateway.hooks()).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.text("id"), again.text("id"));
    let other = named("build-1", r#"{"message":"Green."}"#, gateway.hooks()).await;
    assert_eq!(other.status, 409, "{other:?}");
    became(&gateway, "ci", TOKEN, first.text("id"), "ok").await;
    let gateway = gateway.restart().await;
    let after = named("build-1", r#"{"message":"Red."}"#, gateway.hooks()).await;
    assert_eq!((after.status, after.text("id")), (200, first.text("id")));
    assert_eq!(after.text("state"), "ok");
    assert_eq!(runs(&gateway.owner().await).await.len(), 1);
}

#[tokio::test]
//= docs/threat-model.md#T18
//= docs/threat-model.md#T30
async fn a_signed_post_is_taken_once() {
    let config = "hooks.entries.std.secret.env = \"CI\"\n\
        hooks.entries.git = { secret.env = \"CI\", signature = \"github\", \
        messageTemplate = \"{{ headers['x-github-event'] }}: {{ payload.title }}\" }";
    let gateway = setup(config).start().await;
    let owner = gateway.owner().await;
    let at = gateway.hooks();
    let key = hmac::Key::new(hmac::HMAC_SHA256, TOKEN.as_bytes());
    let body = r#"{"title":"It hangs."}"#;
    let now = openclaw_tests::seconds_now();
    let standard = async |id: &str, time: i64, body: &str, signed: &str| {
        let tag = hmac::sign(&key, format!("{id}.{time}.{signed}").as_bytes());
        let signature = format!("v1,{}", BASE64.encode(tag.as_ref()));
        let time = time.to_string();
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", &time),
            ("webhook-signature", &signature),
            JSON,
        ];
        post(at, "POST /hooks/std", &headers, body).await
    };
    let first = standard("msg-1", now, body, body).await;
    let again = standard("msg-1", now, body, body).await;
    assert_eq!((first.status, again.status), (200, 200), "{first:?} {again:?}");
    assert_eq!(first.text("id"), again.text("id"));
    assert_eq!(standard("msg-1", now, "{\"title\":\"x\"}", "{\"title\":\"x\"}").await.status, 409);
    assert_eq!(standard("msg-2", now, "{}", body).await.status, 401);
    assert_eq!(standard("msg-2", now - 400, body, body).await.status, 401);
    let github = async |body: &str, signed: &str, delivery: &str| {
        let tag = HEXLOWER.encode(hmac::sign(&key, signed.as_bytes()).as_ref());
        let signature = format!("sha256={tag}");
        let headers = [
            ("x-hub-signature-256", signature.as_str()),
            ("x-github-delivery", delivery),
            ("x-github-event", "issues"),
            JSON,
        ];
        post(at, "POST /hooks/git", &headers, body).await
    };
    let first = github(body, body, "1").await;
    let again = github(body, body, "2").await;
    assert_eq!((first.status, again.status), (200, 200), "{first:?} {again:?}");
    assert_eq!(first.text("id"), again.text("id"), "what is not signed makes it no other post");
    assert_eq!(github("{}", body, "3").await.status, 401);
    soon(async {
        while !history(&owner, "agent:main:hook:git").await.contains("issues: It hangs.") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(runs(&owner).await.len(), 2);
}

#[tokio::test]
async fn each_post_is_told_also_when_another_has_said_the_same_and_nobody_waits_for_the_answer() {
    let gateway = gateway().await;
    let owner = gateway.owner().await;
    let mut ids = Vec::new();
    for name in ["bell-1", "bell-2"] {
        let bearer = bearer(OTHER);
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", name)];
        let done = post(gateway.hooks(), "POST /hooks/door", &headers, "The bell rings.").await;
        assert_eq!(done.status, 200, "{done:?}");
        ids.push(done.text("id").to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    for id in &ids {
        became(&gateway, "door", OTHER, id, "told").await;
    }
    // Whoever posts may hang up at once: what was taken in is told.
    let request = format!(
        "POST /hooks/door HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {OTHER}\r\n\
         content-length: 14\r\n\r\nNobody waits. "
    );
    let mut stream = tokio::net::TcpStream::connect(gateway.hooks()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    drop(stream);
    soon(async {
        while !history(&owner, "agent:main:main").await.contains("> Nobody waits.") {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
//= docs/threat-model.md#T33
async fn a_body_that_is_too_large_is_not_read() {
    let gateway = gateway().await;
    let at = gateway.hooks();
    let head = format!("POST /hooks/ci HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n");
    // As long as it says: refused before it comes.
    let lying = format!("{head}content-length: 1073741824\r\n\r\n");
    let answered = exchange(at, lying.as_bytes()).await;
    assert_eq!(answered.status, 413, "{answered:?}");
    // Of unknown length: refused as soon as it is too long.
    let mut chunked = format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..65 {
        chunked.extend_from_slice(b"1000\r\n");
        chunked.extend_from_slice(&[b'x'; 0x1000]);
        chunked.extend_from_slice(b"\r\n");
    }
    let answered = exchange(at, &chunked).await;
    assert_eq!(answered.status, 413, "{answered:?}");
    // A head without end.
    let endless = format!("{head}x: {}", "y".repeat(64 * 1024));
    assert_eq!(exchange(at, endless.as_bytes()).await.status, 431);
    for (body, words) in [
        ("{", "the body is not JSON"),
        ("", "the body is not JSON"),
        ("{\"message\":\" \"}", "the post says nothing"),
    ] {
        let answered = posted(&gateway, "ci", TOKEN, body).await;
        assert_eq!(answered.status, 400);
        let message = answered.body["error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{body}: {message}");
    }
    assert!(runs(&gateway.owner().await).await.is_empty());
}

#[tokio::test]
//= docs/threat-model.md#T32
async fn a_hook_that_is_taken_out_ends_with_what_it_began() {
    let provider = Provider::openai([Behavior::held("Done.")]).await;
    let gateway = setup(TWO).provider(&provider).start().await;
    let done = posted(&gateway, "ci", TOKEN, r#"{"message":"Take your time."}"#).await;
    assert_eq!(done.status, 200);
    provider.requests(1).await;
    // The file is changed, and taken in with the next change of an agent.
    let config = gateway.config_text().replace("hooks.entries.ci", "hooks.entries.cj");
    std::fs::write(gateway.state().join("openclaw.toml"), config).unwrap();
    let owner = gateway.owner().await;
    let agent = v1::CreateAgentRequest {
        idempotency_key: "ops".into(),
        id: "ops".into(),
        ..v1::CreateAgentRequest::default()
    };
    owner.agents().create(agent).await.unwrap();
    let wait = v1::WaitRunRequest { run_id: done.text("id").into(), ..Default::default() };
    let ended = owner.runs().wait(wait).await.unwrap().into_inner();
    assert_eq!(ended.status(), v1::RunStatus::Aborted, "{ended:?}");
    assert_eq!(posted(&gateway, "ci", TOKEN, r#"{"message":"x"}"#).await.status, 401);
    provider.release(10);
    let other = posted(&gateway, "cj", TOKEN, r#"{"message":"x"}"#).await;
    assert_eq!(other.status, 200, "{other:?}");
}

#[tokio::test]
//= docs/threat-model.md#T37
async fn nobody_is_asked_to_approve_what_a_post_leads_to() {
    let call = Behavior::call("exec", serde_json::json!({ "command": "true" }));
    let provider = Provider::openai([call, Behavior::text("Done.")]).await;
    let config = "tools.exec.ask = \"always\"\n\
        hooks.entries.ci = { token.env = \"CI\", tools.allow = [\"exec\"], sessionKey = \"main\" }";
    let gateway = setup(config).provider(&provider).start().await;
    let owner = gateway.owner().await;
    let done = posted(&gateway, "ci", TOKEN, r#"{"message":"Run it."}"#).await;
    assert_eq!((done.status, done.text("sessionKey")), (200, "agent:main:main"), "{done:?}");
    became(&gateway, "ci", TOKEN, done.text("id"), "ok").await;
    let told = history(&owner, "agent:main:main").await;
    assert!(told.contains("nobody is there who could give it"), "{told}");
    let approvals = owner.approvals().list(v1::ListApprovalsRequest::default()).await.unwrap();
    assert!(approvals.into_inner().approvals.is_empty());
}

#[tokio::test]
async fn nothing_listens_unless_it_is_configured() {
    let config = "hooks.entries.ci.token.env = \"CI\"";
    let gateway = Setup::new().socket().config(config).variable("CI", TOKEN).start().await;
    assert_eq!(gateway.gateway().hooks_listen_on(), None);
}

#[tokio::test]
async fn what_is_answered_goes_where_the_configuration_says() {
    use openclaw_platforms::Telegram;
    let telegram = Telegram::start().await;
    let config = "hooks.entries.ci = { token.env = \"CI\", channel = \"telegram\", to = \"42\" }\n\
        hooks.entries.lost = { token.env = \"CI\", channel = \"discord\", to = \"channel:1\" }";
    let gateway = super::delivery::on_telegram(setup(config), &telegram).start().await;
    let done = posted(&gateway, "ci", TOKEN, r#"{"message":"Red.","channel":"x","to":"43"}"#).await;
    assert_eq!(done.status, 200, "{done:?}");
    assert!(super::chats::said(&telegram, 1).await.contains("Red."));
    assert_eq!(telegram.sent()[0].chat, "42");
    // What has no place to go is not begun.
    let lost = posted(&gateway, "lost", TOKEN, r#"{"message":"Red."}"#).await;
    assert_eq!(lost.status, 503, "{lost:?}");
}
