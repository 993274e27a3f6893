//! Each kind of event by each scope, of somebody's own and of others.

use std::collections::BTreeSet;
use std::sync::Arc;

use openclaw_scopes::target::ToolTarget;
use openclaw_scopes::{
    Caller, Capability, CapabilitySet, Cause, ChatPerson, Component, Epoch, Grant, GrantHolder,
    RunId, ScopeSet, SessionKey, ToolName,
};
use openclaw_store::{FilePerson, Operation, Options, RequestApproval, Store};
use openclaw_tests::{Attempt, Connected};

use super::super::stage::later;
use super::*;

/// What a grant must hold to see events of a family: its own, and those of others.
#[rustfmt::skip]
const TABLE: [(&str, Option<Scope>, Option<Scope>); 7] = [
    // family     own                        of others
    ("approval",  Some(Scope::Approvals),    Some(Scope::Approvals)),
    ("cron",      None,                      Some(Scope::Read)),
    ("delivery",  None,                      Some(Scope::Read)),
    ("pairing",   None,                      Some(Scope::Pairing)),
    ("presence",  None,                      Some(Scope::Read)),
    ("run",       None,                      Some(Scope::Read)),
    ("session",   Some(Scope::SessionsRead), Some(Scope::SessionsRead)),
];

/// Has a turn, a job and a delivery come of somebody.
async fn act(client: &Client, name: &str) {
    let session = format!("explicit:{name}");
    ask(client, request(name, &session, "Hello.")).await.unwrap();
    let (idempotency_key, key) = (format!("job-{name}"), String::new());
    let add = v1::AddJobRequest { idempotency_key, key, spec: Some(later(name)) };
    client.cron().add(add).await.unwrap();
    let send = v1::SendMessageRequest {
        idempotency_key: format!("send-{name}"),
        channel: "telegram".into(),
        to: "42".into(),
        text: "secret words".into(),
        ..v1::SendMessageRequest::default()
    };
    client.messages().send(send).await.unwrap();
}

/// Has a run of somebody ask for an approval.
async fn wait_for_approval(store: &Store, grant: Grant, name: &str) {
    let session = SessionKey::parse(&format!("agent:main:explicit:{name}")).unwrap();
    let capability = Capability::ExecSandboxed;
    let run = RunId::parse(name).unwrap();
    let caller = Caller::run(run, session.clone(), grant, CapabilitySet::of(&[capability]));
    let ask = RequestApproval {
        target: ToolTarget { capability, tool: ToolName::parse("exec").unwrap() },
        id: format!("ap-{name}"),
        session,
        digest: [1; 32],
        operation: Operation {
            tool: "exec".into(),
            argv: vec!["secret".into()],
            cwd: String::new(),
            binary: String::new(),
            binary_digest: String::new(),
            environment_digest: String::new(),
            sandbox: String::new(),
        },
        ttl: std::time::Duration::from_secs(3600),
        may_wait: true,
    };
    let now = openclaw_scopes::Timestamp::from_millis(openclaw_tests::seconds_now() * 1000);
    store.act(&caller, ask, now).await.unwrap();
}

#[tokio::test]
//= docs/threat-model.md#T38
async fn every_kind_by_every_scope() {
    let setup = Setup::new().network().config("channels.telegram.token.env = \"ABSENT\"");
    let gateway = setup.start().await;
    let owner = gateway.owner().await;
    let (device, other) = (Device::new(1), Device::new(2));
    let doer = device.paired(&gateway, &[Scope::Admin]).await;
    let beside = other.paired(&gateway, &[Scope::Talk]).await;
    act(&doer.client, "own").await;
    act(&owner, "theirs").await;
    let presence = v1::WatchEventsRequest { kinds: vec!["presence.online".into()], ..since(0) };
    let mut there = Watched::open(&owner, presence).await.unwrap();
    assert_eq!(there.kinds(2).await.len(), 2);
    drop((there, doer, beside));
    // What only runs and strangers do.
    let stopped = gateway.stop().await;
    let now = openclaw_scopes::Timestamp::from_millis(openclaw_tests::seconds_now() * 1000);
    let store = Store::open(&stopped.state(), &Options::new(Arc::new(move || now))).unwrap();
    let holder = GrantHolder::Device(device.id());
    let epoch = store.epoch(&holder).unwrap().unwrap();
    let own = Grant::mint(holder, epoch, ScopeSet::ALL, &Grant::owner(Epoch(1)), ScopeSet::ALL);
    wait_for_approval(&store, own, "own").await;
    wait_for_approval(&store, Grant::owner(Epoch(1)), "theirs").await;
    let who = ChatPerson::new("telegram", "default", "7").unwrap();
    let asks = FilePerson { who, name: "Ada".into(), code: "SECRETCD".into() };
    let doorkeeper =
        Caller::system(Component::Doorkeeper, Cause::Message("pairing".into()), Epoch(1));
    store.act(&doorkeeper, asks, now).await.unwrap();
    store.close();
    let gateway = stopped.start().await;

    let mine = format!("device:{}", device.id());
    let grants = Scope::ALL.map(ScopeSet::from).into_iter().chain([ScopeSet::ALL]);
    for grant in grants {
        let attempt = Attempt { wish: grant, ..Attempt::default() };
        let Connected { client, .. } = device.connect(&gateway, &attempt).await.unwrap();
        let (events, reached) = kept(&client, since(0)).await;
        let seen: BTreeSet<(String, bool)> = events
            .iter()
            .map(|event| {
                let kind = event.kind.trim_start_matches("channels.");
                (kind.split('.').next().unwrap().to_owned(), event.owner == mine)
            })
            .collect();
        let passes = |needed: Option<Scope>| needed.is_none_or(|needed| grant.satisfies(needed));
        let expected: BTreeSet<(String, bool)> = TABLE
            .iter()
            .flat_map(|(family, own, others)| [(family, true, own), (family, false, others)])
            .filter(|(_, _, needed)| passes(**needed))
            .map(|(family, is_own, _)| ((*family).to_owned(), is_own))
            .collect();
        assert_eq!(seen, expected, "{grant:?}");
        let of_chats = events.iter().any(|event| event.kind == "channels.pairing.requested");
        assert_eq!(of_chats, grant.satisfies(Scope::Pairing), "{grant:?}");
        // What is hidden leaves gaps, and is passed by all the same.
        assert!(events.last().unwrap().seq <= reached && reached > 20, "{reached}");
        let told = format!("{events:?}").to_lowercase();
        assert!(!told.contains("secret") && !told.contains("ada\""), "{told}");
    }
}

/// A program with a token sees what its issuer's grant lets it see, and nothing of pairing: it never pairs.
#[tokio::test]
//= docs/threat-model.md#T34
//= docs/threat-model.md#T38
async fn a_token_is_told_nothing_of_pairing() {
    let gateway = Setup::new().network().start().await;
    let owner = gateway.owner().await;
    Device::new(1).paired(&gateway, &[Scope::Talk]).await;
    let request = v1::CreateTokenRequest {
        idempotency_key: "t".into(),
        name: "t".into(),
        scopes: vec!["operator.admin".into()],
        ttl: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
    };
    let secret = owner.tokens().create(request).await.unwrap().into_inner().secret;
    let program = gateway.dial().await.bearing(&secret);
    let pairing = || v1::WatchEventsRequest { kinds: vec!["pairing".into()], ..since(0) };
    assert_eq!(kept(&owner, pairing()).await.0.len(), 2);
    assert_eq!(kept(&program, pairing()).await.0, []);
}
