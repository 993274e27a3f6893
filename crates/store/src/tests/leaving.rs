//! Whether what is said in a conversation leaves: decided in the step that would write it.

use openclaw_scopes::{
    Caller, Cause, Denial, DeviceId, DeviceRole, Epoch, Grant, GrantHolder, IdempotencyKey, Scope,
    ScopeSet, SessionKey,
};
use openclaw_sessions::{SendPolicy, SendRule, SendRules};

use super::{Bed, accept, answered, interrupted, key, owner};
use crate::{
    AcceptRun, Accepted, ActError, Delivery, DeliveryError, DeliveryFilter, Ending, NewDelivery,
    NewSendPolicy, Patch, PatchSession, Precedence, ReplyTo, RetryDelivery, SendDenied, SendGuard,
    SendMessage, Started, Store,
};

fn telegram(peer: &str) -> ReplyTo {
    ReplyTo {
        channel: "telegram".into(),
        account: "default".into(),
        kind: if peer.starts_with('-') { "group" } else { "direct" }.into(),
        peer: peer.into(),
        answers: "5".into(),
        ..ReplyTo::default()
    }
}

fn patch(name: &str, send_policy: Option<SendPolicy>) -> PatchSession {
    let new = send_policy.map_or(NewSendPolicy::Inherit, NewSendPolicy::Own);
    let patch = Patch { send_policy: Some(new), ..Patch::default() };
    PatchSession { key: key(name), patch }
}

fn nothing_leaves() -> SendRules {
    SendRules { default: SendPolicy::Deny, rules: Vec::new() }
}

/// A device with these scopes.
fn device(scope: Scope) -> Caller {
    let id = DeviceId::parse("d").unwrap();
    let holder = GrantHolder::Device(id.clone());
    let grant = Grant::recorded(holder, Epoch(1), scope.into(), ScopeSet::ALL);
    #[expect(clippy::disallowed_methods, reason = "tests speak for the identity layer")]
    Caller::device(id, DeviceRole::Operator, grant, Cause::Request)
}

async fn started(bed: &Bed, store: &Store, run: &str, session: &str, reply_to: String) -> Started {
    let accept = AcceptRun { reply_to, ..accept(run, session, Precedence::Start) };
    match store.act(&owner(), accept, bed.now()).await.unwrap() {
        Accepted::Started(started) => *started,
        other => panic!("{other:?}"),
    }
}

async fn outbox(bed: &Bed, store: &Store) -> Vec<Delivery> {
    let filter = DeliveryFilter { limit: 100, ..DeliveryFilter::default() };
    store.scan(&owner(), filter, bed.now()).await.unwrap().deliveries
}

/// Ends a run in `session` whose answer goes to a chat; returns whether it leaves, and what the run has.
async fn leaves(bed: &Bed, store: &Store, run: &str, session: &str, rules: SendRules) -> bool {
    let started = started(bed, store, run, session, telegram("42").by_gateway()).await;
    let ending = Ending { send_rules: rules, ..answered(&started, "Hi.") };
    let before = outbox(bed, store).await.len();
    store.end_run(&started.fence, ending, bed.now()).await.unwrap();
    let view = bed.view(store, run).await;
    assert_eq!(view.text, "Hi.", "what was said is kept");
    let left = outbox(bed, store).await.len() > before;
    assert_eq!(view.withheld, if left { "" } else { "send-policy-deny" });
    left
}

#[tokio::test]
async fn its_own_policy_goes_before_the_rules() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    let of_others = SendRules {
        default: SendPolicy::Allow,
        rules: vec![SendRule {
            action: SendPolicy::Deny,
            channel: Some("discord".into()),
            ..SendRule::default()
        }],
    };
    assert!(leaves(&bed, &store, "r1", "a", SendRules::default()).await);
    assert!(leaves(&bed, &store, "r2", "a", of_others).await);
    assert!(!leaves(&bed, &store, "r3", "a", nothing_leaves()).await);
    store.act(&owner(), patch("a", Some(SendPolicy::Allow)), bed.now()).await.unwrap();
    assert!(leaves(&bed, &store, "r4", "a", nothing_leaves()).await);
    store.act(&owner(), patch("a", Some(SendPolicy::Deny)), bed.now()).await.unwrap();
    assert!(!leaves(&bed, &store, "r5", "a", SendRules::default()).await);
    assert!(leaves(&bed, &store, "r6", "b", SendRules::default()).await, "of others it does");
    let cleared = store.act(&owner(), patch("a", None), bed.now()).await.unwrap();
    assert_eq!(cleared.send_policy, None);
    assert!(leaves(&bed, &store, "r7", "a", SendRules::default()).await);
}

/// The policy that counts is that of the end, not that of the beginning.
#[tokio::test]
async fn it_is_decided_when_a_run_ends() {
    let bed = Bed::new();
    let store = bed.open();
    let run = started(&bed, &store, "r1", "a", telegram("42").by_gateway()).await;
    store.act(&owner(), patch("a", Some(SendPolicy::Deny)), bed.now()).await.unwrap();
    store.end_run(&run.fence, answered(&run, "Hi."), bed.now()).await.unwrap();
    assert_eq!(outbox(&bed, &store).await, []);
    // An apology is an answer, too; a bridge is told not to say it, and who asked nothing of that kind is told nothing.
    let failed = |started: &Started| Ending {
        terminal: started.running.fail(),
        answer: None,
        error: "no model".into(),
        ..interrupted()
    };
    let run = started(&bed, &store, "r2", "a", telegram("42").by_gateway()).await;
    store.end_run(&run.fence, failed(&run), bed.now()).await.unwrap();
    assert_eq!(outbox(&bed, &store).await, []);
    let bridged =
        r#"{"channel":"irc","account":null,"kind":"direct","peer":"ada","thread":null}"#.to_owned();
    for (name, reply_to, text, withheld) in [
        ("r3", bridged, "Hi.", "send-policy-deny"),
        ("r4", String::new(), "Hi.", ""),
        ("r5", telegram("42").by_gateway(), "NO_REPLY", ""),
    ] {
        let run = started(&bed, &store, name, "a", reply_to).await;
        store.end_run(&run.fence, answered(&run, text), bed.now()).await.unwrap();
        assert_eq!(bed.view(&store, name).await.withheld, withheld, "{name}");
    }
    assert_eq!(outbox(&bed, &store).await, []);
}

#[tokio::test]
async fn who_may_change_it() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    bed.raw().execute("INSERT INTO grants (holder, epoch) VALUES ('device:d', 1)", []).unwrap();
    let lacks = ActError::Denied(Denial::MissingScope(Scope::Admin.into()));
    let (write, admin) = (device(Scope::Write), device(Scope::Admin));
    // One that it owns, too; and with what it may change, nothing of that is changed either.
    store.act(&write, super::create("own"), bed.now()).await.unwrap();
    for name in ["a", "own"] {
        let deny = patch(name, Some(SendPolicy::Deny));
        assert_eq!(store.act(&write, deny, bed.now()).await.unwrap_err(), lacks);
        let clear = patch(name, None);
        assert_eq!(store.act(&write, clear, bed.now()).await.unwrap_err(), lacks);
        let mut mixed = patch(name, Some(SendPolicy::Deny));
        (mixed.patch.label, mixed.patch.pinned) = (Some("mixed".into()), Some(true));
        assert_eq!(store.act(&write, mixed, bed.now()).await.unwrap_err(), lacks);
        let label = Patch { label: Some("mine".into()), ..Patch::default() };
        let kept = PatchSession { key: key(name), patch: label };
        let kept = store.act(&write, kept, bed.now()).await.unwrap();
        let found = (kept.label.as_str(), kept.pinned_at, kept.send_policy);
        assert_eq!(found, ("mine", None, None), "{name}");
    }
    let before = store.act(&admin, patch("own", None), bed.now()).await.unwrap();
    let after = store.act(&admin, patch("own", Some(SendPolicy::Deny)), bed.now()).await.unwrap();
    assert_eq!((after.owner, after.depth, after.key), (before.owner, before.depth, before.key));
    let audit = bed.audit(&store).await;
    let last = audit.last().unwrap();
    assert_eq!(last.target, "runtime policy of session agent:main:own");
    bed.verify(&store);
}

async fn send(
    bed: &Bed,
    store: &Store,
    name: &str,
    to: ReplyTo,
    guard: Option<SendGuard>,
) -> Result<Delivery, ActError<DeliveryError>> {
    let new = NewDelivery {
        source: String::new(),
        digest: [1; 32],
        to,
        text: "Hi.".into(),
        media: String::new(),
        session: String::new(),
        buttons: Vec::new(),
        poll: None,
    };
    let ask = SendMessage { idempotency_key: IdempotencyKey::parse(name).unwrap(), new, guard };
    store.act(&owner(), ask, bed.now()).await
}

#[tokio::test]
async fn nobody_sends_to_where_a_conversation_is_silent() {
    let bed = Bed::new();
    let store = bed.open();
    let guard = |session: &str, rules: SendRules| {
        let session: Option<SessionKey> = (!session.is_empty()).then(|| key(session));
        Some(SendGuard { rules, session })
    };
    let (main, all) = (|| guard("main", SendRules::default()), SendRules::default);
    for name in ["main", "telegram:group:-100", "telegram:group:-100:topic:7"] {
        bed.create(&store, name).await;
    }
    let early = send(&bed, &store, "early", telegram("42"), main()).await.unwrap();
    store.act(&owner(), patch("main", Some(SendPolicy::Deny)), bed.now()).await.unwrap();
    let refused = |name: &str| {
        let (by, channel) = (SendDenied::Session(key(name)), "telegram".to_owned());
        ActError::Failed(DeliveryError::SendPolicy { by, channel })
    };
    let late = send(&bed, &store, "late", telegram("42"), main()).await.unwrap_err();
    assert_eq!(late, refused("main"));
    // A retry of what was accepted is that; and what the gateway itself answers in a chat leaves.
    assert_eq!(send(&bed, &store, "early", telegram("42"), main()).await.unwrap().id, early.id);
    send(&bed, &store, "command", telegram("42"), None).await.unwrap();
    // By its key, whoever answers there as things are configured.
    let silent = patch("telegram:group:-100", Some(SendPolicy::Deny));
    store.act(&owner(), silent, bed.now()).await.unwrap();
    let group = send(&bed, &store, "g", telegram("-100"), guard("other", all())).await.unwrap_err();
    assert_eq!(group, refused("telegram:group:-100"));
    let topic = ReplyTo { thread: "7".into(), ..telegram("-100") };
    send(&bed, &store, "topic", topic, guard("other", all())).await.unwrap();
    send(&bed, &store, "elsewhere", telegram("-101"), guard("", all())).await.unwrap();
    let rules = send(&bed, &store, "r", telegram("7"), guard("", nothing_leaves())).await;
    let by = SendDenied::Rules;
    let told = DeliveryError::SendPolicy { by, channel: "telegram".into() };
    assert!(told.to_string().contains("session.sendPolicy"), "{told}");
    assert_eq!(rules.unwrap_err(), ActError::Failed(told));
}

/// What was said before and did not arrive stays, as long as nothing leaves.
#[tokio::test]
async fn what_did_not_arrive_is_not_sent_again() {
    let bed = Bed::new();
    let store = bed.open();
    assert!(leaves(&bed, &store, "r1", "a", SendRules::default()).await);
    let id = outbox(&bed, &store).await.remove(0).id;
    let dead = "UPDATE outbox SET state = 'dead', settled_at = 1";
    bed.raw().execute(dead, []).unwrap();
    store.act(&owner(), patch("a", Some(SendPolicy::Deny)), bed.now()).await.unwrap();
    let retry = |rules| RetryDelivery { id: id.clone(), rules };
    let all = SendRules::default;
    let refused = store.act(&owner(), retry(all()), bed.now()).await.unwrap_err();
    assert!(matches!(refused, ActError::Failed(DeliveryError::SendPolicy { .. })), "{refused:?}");
    store.act(&owner(), patch("a", None), bed.now()).await.unwrap();
    let refused = store.act(&owner(), retry(nothing_leaves()), bed.now()).await.unwrap_err();
    assert!(matches!(refused, ActError::Failed(DeliveryError::SendPolicy { .. })), "{refused:?}");
    store.act(&owner(), retry(all()), bed.now()).await.unwrap();
}

/// A conversation that is silent does not speak through what it has begun.
#[tokio::test]
async fn what_was_begun_in_it_is_silent_too() {
    let bed = Bed::new();
    let store = bed.open();
    for name in ["main", "cron:job-1:run:x", "main:heartbeat", "cron:job-2:run:x"] {
        bed.create(&store, name).await;
    }
    bed.raw()
        .execute_batch(
            "INSERT INTO cron_jobs (job, key, name, agent, owner, scopes, created_in, reply_to,
                 spec, created_at, updated_at)
             VALUES ('job-1', '', 'One', 'main', 'owner', '', 'agent:main:main', '', '{}', 0, 0),
                    ('job-2', '', 'Two', 'main', 'owner', '', '', '', '{}', 0, 0);",
        )
        .unwrap();
    let silent = |name: &str, rules: SendRules| {
        store.is_silent(&key(name), &telegram("42"), &rules).unwrap()
    };
    let all = SendRules::default;
    let begun = ["cron:job-1:run:x", "cron:job-1:run:another", "main:heartbeat"];
    assert!(begun.iter().all(|name| !silent(name, all())));
    store.act(&owner(), patch("main", Some(SendPolicy::Deny)), bed.now()).await.unwrap();
    assert!(begun.iter().all(|name| silent(name, all())));
    assert!(!silent("cron:job-2:run:x", all()), "a job that somebody else has added");
    // One of its own goes before.
    let own = patch("cron:job-1:run:x", Some(SendPolicy::Allow));
    store.act(&owner(), own, bed.now()).await.unwrap();
    assert!(!silent("cron:job-1:run:x", all()));
    // To be let speak is for the conversation alone.
    store.act(&owner(), patch("main", Some(SendPolicy::Allow)), bed.now()).await.unwrap();
    assert!(!silent("main", nothing_leaves()));
    assert!(silent("main:heartbeat", nothing_leaves()));
}
