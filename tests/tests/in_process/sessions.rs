//! Conversations: opened once, found by every spelling, listed page by page.

use openclaw_proto::v1;
use openclaw_tests::{Client, Refusal, Setup, TestGateway, ask, request};
use tonic::{Code, Status};

fn create(idempotency_key: &str, key: &str, label: &str) -> v1::CreateSessionRequest {
    let (idempotency_key, key, label) = (idempotency_key.into(), key.into(), label.into());
    v1::CreateSessionRequest { idempotency_key, key, label, ..Default::default() }
}

async fn created(
    client: &Client,
    request: v1::CreateSessionRequest,
) -> Result<v1::Session, Status> {
    client.sessions().create(request).await.map(tonic::Response::into_inner)
}

async fn get(client: &Client, key: &str) -> Result<v1::Session, Refusal> {
    let request = v1::GetSessionRequest { key: key.into(), ..Default::default() };
    let got = client.sessions().get(request).await;
    got.map(tonic::Response::into_inner).map_err(Refusal::from)
}

#[tokio::test]
async fn creating_again_finds_the_same() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let notes = created(&owner, create("k1", "explicit:Notes", "Notes")).await.unwrap();
    assert_eq!(
        (notes.key.as_str(), notes.agent_id.as_str()),
        ("agent:main:explicit:notes", "main")
    );
    assert_eq!((notes.owner.as_str(), notes.label.as_str()), ("owner", "Notes"));
    assert_eq!(created(&owner, create("k1", "explicit:Notes", "Notes")).await.unwrap(), notes);
    assert_eq!(get(&owner, "  EXPLICIT:notes\n").await.unwrap(), notes);

    let other = created(&owner, create("k1", "explicit:Notes", "Other")).await.unwrap_err();
    assert_eq!(Refusal::from(other).kind(), (Code::AlreadyExists, "IDEMPOTENCY_CONFLICT"));
    let found = created(&owner, create("k2", "explicit:notes", "")).await.unwrap();
    assert_eq!(
        (found.key, found.created_at),
        (notes.key.clone(), notes.created_at),
        "it was there"
    );

    let gateway = gateway.restart().await;
    let owner = gateway.owner().await;
    let again = created(&owner, create("k1", "explicit:Notes", "Notes")).await.unwrap();
    assert_eq!((again.key, again.created_at), (notes.key, notes.created_at), "after a restart");
}

#[tokio::test]
async fn keys_are_canonical_or_refused() {
    let gateway = Setup::new().config("agents.entries.ops = {}").start().await;
    let owner = gateway.owner().await;
    let table = [
        ("", "agent:main:main"),
        ("MAIN", "agent:main:main"),
        ("agent:ops:main", "agent:ops:main"),
        ("telegram:direct:42", "agent:main:telegram:direct:42"),
        ("Release Notes", "agent:main:release notes"),
    ];
    for (key, canonical) in table {
        let session = created(&owner, create(&format!("k-{key}").replace(' ', "_"), key, "")).await;
        assert_eq!(session.unwrap().key, canonical, "{key}");
    }
    let long = format!("explicit:{}", "x".repeat(4096));
    for key in ["agent:", "agent::main", "agent:a b:main", "a\u{0}b", "a\u{1b}[31m", &long] {
        let refusal = Refusal::from(created(&owner, create("bad", key, "")).await.unwrap_err());
        assert_eq!(refusal.kind(), (Code::InvalidArgument, "MALFORMED_KEY"), "{key:?} {refusal:?}");
        assert!(!refusal.next.is_empty(), "{key:?}");
        assert!(refusal.message.len() < 300, "a refusal does not repeat it all: {refusal:?}");
        assert_eq!(get(&owner, key).await.unwrap_err().kind().1, "MALFORMED_KEY", "{key:?}");
    }
    let mut elsewhere = create("k", "agent:ops:main", "");
    elsewhere.agent_id = "main".into();
    let refusal = Refusal::from(created(&owner, elsewhere).await.unwrap_err());
    assert_eq!(refusal.kind(), (Code::InvalidArgument, "MALFORMED_KEY"));
    let refusal =
        Refusal::from(created(&owner, create("k", "agent:nobody:x", "")).await.unwrap_err());
    assert_eq!(refusal.kind(), (Code::NotFound, "UNKNOWN_AGENT"));
    assert_eq!(get(&owner, "explicit:none").await.unwrap_err().code, Code::NotFound);
    for label in ["x".repeat(513), "a\nb".into(), "\u{7}".into()] {
        let refused = created(&owner, create("k", "explicit:l", &label)).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{label:?}");
    }
}

async fn all_pages(client: &Client, mut request: v1::ListSessionsRequest) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    loop {
        let page = client.sessions().list(request.clone()).await.unwrap().into_inner();
        pages.push(page.sessions.into_iter().map(|session| session.key).collect());
        if page.next_page_token.is_empty() {
            return pages;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn lists_come_in_pages_and_parts() {
    let gateway = Setup::new().config("agents.entries.ops = {}").start().await;
    let owner = gateway.owner().await;
    for number in 0..25 {
        let agent = if number % 5 == 0 { "ops" } else { "main" };
        let label = if number == 7 { "Ärger im Büro" } else { "" };
        let key = format!("agent:{agent}:explicit:s{number:02}");
        created(&owner, create(&key, &key, label)).await.unwrap();
    }
    let pages =
        all_pages(&owner, v1::ListSessionsRequest { page_size: 10, ..Default::default() }).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 5]);
    let mut keys: Vec<_> = pages.concat();
    assert_eq!(keys[0], "agent:ops:explicit:s00".replace("s00", "s24").replace("ops", "main"));
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 25, "none twice, none left out");

    // What is used while somebody turns the pages moves to the front and is not met again.
    let first = v1::ListSessionsRequest { page_size: 10, ..Default::default() };
    let page = owner.sessions().list(first).await.unwrap().into_inner();
    ask(&owner, request("r", "agent:main:explicit:s01", "Hello.")).await.unwrap();
    let second = v1::ListSessionsRequest {
        page_size: 100,
        page_token: page.next_page_token,
        ..Default::default()
    };
    let rest = all_pages(&owner, second).await.concat();
    assert_eq!(rest.len(), 14);
    assert!(!rest.contains(&"agent:main:explicit:s01".into()));

    let of = |request: v1::ListSessionsRequest| all_pages(&owner, request);
    let ops = of(v1::ListSessionsRequest { agent_id: "ops".into(), ..Default::default() }).await;
    assert_eq!(ops.concat().len(), 5);
    let found = of(v1::ListSessionsRequest { search: "büro".into(), ..Default::default() }).await;
    assert_eq!(found.concat(), ["agent:main:explicit:s07"]);
    let found = of(v1::ListSessionsRequest { search: "S2".into(), ..Default::default() }).await;
    assert_eq!(found.concat().len(), 5);
    let none = of(v1::ListSessionsRequest { search: "%".into(), ..Default::default() }).await;
    assert_eq!(none, [Vec::<String>::new()], "a search is no pattern");
    let active = of(v1::ListSessionsRequest { active_only: true, ..Default::default() }).await;
    assert_eq!(active, [Vec::<String>::new()]);
}

#[tokio::test]
async fn history_is_read_backwards_page_by_page() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    for number in 0..5 {
        ask(&owner, request(&format!("r{number}"), "main", &format!("m{number}"))).await.unwrap();
    }
    let mut request =
        v1::SessionHistoryRequest { key: "main".into(), page_size: 4, ..Default::default() };
    let mut entries = Vec::new();
    loop {
        let page = owner.sessions().history(request.clone()).await.unwrap().into_inner();
        assert!(page.entries.len() <= 4);
        entries.splice(0..0, page.entries);
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let sequences: Vec<_> = entries.iter().map(|entry| entry.sequence).collect();
    assert_eq!(sequences, (1..=15).collect::<Vec<_>>(), "question, answer and end of each run");
    let said = entries.iter().filter(|entry| entry.kind() == v1::history_entry::Kind::User);
    assert_eq!(
        said.map(|entry| entry.text.as_str()).collect::<Vec<_>>(),
        ["m0", "m1", "m2", "m3", "m4"]
    );
    let session = get(&owner, "main").await.unwrap();
    assert_eq!(
        (session.total_runs, session.queued_runs, session.active_run_id.as_str()),
        (5, 0, "")
    );
}
