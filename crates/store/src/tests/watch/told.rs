//! One event for each transition, in the step of the change.

use super::*;

/// A turn: three events, whether it waits or not.
#[tokio::test]
async fn runs() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    let at_once = bed.start(&store, "one", "a").await;
    let ended_at = bed.now();
    store.end_run(&at_once.fence, answered(&at_once, "Hi."), ended_at).await.unwrap();
    let ticket = bed.wait(&store, "two", "a").await;
    let started = store.start_run(ticket, bed.now()).await.unwrap().unwrap();
    store.end_run(&started.fence, interrupted(), bed.now()).await.unwrap();
    bed.wait(&store, "three", "a").await;
    store.act(&owner(), AbortRun(run_id("three")), bed.now()).await.unwrap();
    let events = all(&bed, &store).await;
    assert_eq!(
        kinds(&events),
        [
            "session.created ",
            "run.accepted queued",
            "run.started running",
            "run.ended ok",
            "run.accepted queued",
            "run.started running",
            "run.ended interrupted",
            "run.accepted queued",
            "run.ended aborted",
        ]
    );
    assert!(events.iter().map(|event| event.seq).eq(1..=9), "without gaps");
    let ended = &events[3];
    assert_eq!((ended.subject.as_str(), ended.at), ("one", ended_at), "by the gateway's clock");
    assert_eq!((ended.session.as_str(), ended.agent.as_str()), ("agent:main:a", "main"));
    assert_eq!(ended.owner, Some(GrantHolder::Owner));
    assert!(events.is_sorted_by_key(|event| event.at));
}

/// What a crash left goes on once: it is put back, and begins again.
#[tokio::test]
async fn a_run_that_is_put_back() {
    let bed = Bed::new();
    let store = bed.open();
    bed.start(&store, "one", "a").await;
    bed.recover(&store).await;
    let events = all(&bed, &store).await;
    let last = events.last().unwrap();
    assert_eq!((last.kind, last.state.as_str()), (EventKind::RunSuspended, "queued"));
    assert!(last.at > events[1].at);
}

#[tokio::test]
async fn sessions() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    let patch = |label: &str, archived| Patch {
        label: Some(label.into()),
        archived: Some(archived),
        ..Patch::default()
    };
    let patch =
        |label: &str, archived| PatchSession { key: key("a"), patch: patch(label, archived) };
    let changed_at = bed.now();
    store.act(&owner(), patch("x", false), changed_at).await.unwrap();
    store.act(&owner(), patch("x", false), bed.now()).await.unwrap();
    store.act(&owner(), patch("x", true), bed.now()).await.unwrap();
    let reset = ResetSession { key: key("a"), reason: String::new() };
    store.act(&owner(), reset, bed.now()).await.unwrap();
    store.act(&owner(), UndoReset(key("a")), bed.now()).await.unwrap();
    let delete = |archive| DeleteSession { key: key("a"), archive, unused_since: None };
    store.act(&owner(), delete(Archive::Drop), bed.now()).await.unwrap();
    let events = all(&bed, &store).await;
    assert_eq!(
        kinds(&events),
        [
            "session.created ",
            "session.changed ",
            "session.changed archived",
            "session.reset done",
            "session.reset undone",
            "session.deleted ",
        ]
    );
    assert_eq!(events[1].at, changed_at);
    assert!(events.iter().all(|event| event.subject == "agent:main:a"), "{events:?}");
}

/// What is deleted together with a conversation has ended before, and is told under its key.
#[tokio::test]
async fn a_session_with_something_at_work() {
    let bed = Bed::new();
    let store = bed.open();
    bed.start(&store, "one", "a").await;
    bed.wait(&store, "two", "a").await;
    let delete = DeleteSession { key: key("a"), archive: Archive::Keep, unused_since: None };
    let deleted = store.act(&owner(), delete, bed.now()).await.unwrap();
    let tombstone = deleted.left.unwrap();
    let told = all(&bed, &store).await;
    let mut last = kinds(&told).split_off(4);
    last.sort_unstable();
    assert_eq!(last, ["run.ended aborted", "run.ended aborted", "session.deleted "]);
    assert!(told.iter().all(|event| event.session == "agent:main:a"), "{told:?}");
    // That its rows go is no event.
    while store.purge(&tombstone).await.unwrap() != crate::Purged::Whole {}
    assert_eq!(all(&bed, &store).await, told);
}

/// What is undone was never told, and leaves no gap.
#[tokio::test]
async fn what_fails_is_no_event() {
    let bed = Bed::new();
    let store = bed.open();
    bed.raw()
        .execute_batch(
            "CREATE TRIGGER no_room BEFORE INSERT ON audit WHEN NEW.target LIKE '%bad%'
             BEGIN SELECT raise(ABORT, 'no room'); END",
        )
        .unwrap();
    let owner = owner();
    let (good, bad, more) = tokio::join!(
        store.act(&owner, create("good"), bed.now()),
        store.act(&owner, create("bad"), bed.now()),
        store.act(&owner, accept("more", "good", Precedence::Wait), bed.now()),
    );
    assert!(good.is_ok() && bad.is_err() && matches!(more, Ok(Accepted::Waiting(..))));
    let events = all(&bed, &store).await;
    assert_eq!(kinds(&events), ["session.created ", "run.accepted queued"]);
    assert!(events.iter().map(|event| event.seq).eq(1..=2));
}

/// Every other transition of a row, one after the other, and what is told of it.
#[tokio::test]
#[rustfmt::skip]
async fn one_event_a_transition() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    let device = "d".repeat(64);
    let pairing = format!("INSERT INTO pairing_requests (id, device, public_key, kind, role, revision, wish, wished_at, held, name, address, created_at, state)
        VALUES ('p', '{device}', zeroblob(32), 'not-paired', 'operator', 1, 'x', 1, '', '', '', 100, 'pending')");
    let run = "INSERT INTO runs (run_id, session, on_behalf_of, grant_epoch, grant_scopes, request_digest, status, timeout_ms, accepted_at)
        VALUES ('r', 1, 'owner', 1, '', zeroblob(32), 'queued', 0, 100)";
    let approval = |id: &str| format!("INSERT INTO tool_approvals (id, session, run, on_behalf_of, digest, operation, state, requested_at, expires_at)
        VALUES ('{id}', 1, 'r', 'owner', zeroblob(32), '', 'pending', 100, 900)");
    let (approval, asked, late) = (approval("ap"), approval("aq"), approval("ar"));
    let job = "INSERT INTO cron_jobs (job, key, name, agent, owner, scopes, created_in, reply_to, spec, created_at, updated_at, next_at)
        VALUES ('j', '', 'J', 'main', 'owner', '', 'agent:main:a', '', '{}', 100, 100, 500)";
    let occurrence = |at: u32, state: &str, ended: &str| format!("INSERT INTO cron_occurrences (job, scheduled_at, until, count, state, start_at, ended_at)
        VALUES (1, {at}, {at}, 1, '{state}', {at}, {ended})");
    let (claimed, missed) = (occurrence(500, "claimed", "NULL"), occurrence(400, "missed", "501"));
    let delivery = "INSERT INTO outbox (delivery, source, digest, channel, account, kind, peer, thread, answers, text, media, buttons, session,
        on_behalf_of, grant_epoch, grant_scopes, state, next_at, created_at)
        VALUES ('dl', 's', zeroblob(32), 'c', '', '', '', '', '', 'secret', '', '[]', 'agent:main:a', 'owner', 1, '', 'waiting', 100, 100)";
    let person = "INSERT INTO chat_requests (channel, account, sender, name, code, requested_at, expires_at) VALUES ('telegram', 'default', '7', 'Ada', 'SECRET', 100, 900)";
    let mut before = 1;
    for (sql, expected) in [
        (job,                                                                                  "100 cron.added j "),
        ("UPDATE cron_jobs SET next_at = 600",                                                 ""),
        ("UPDATE cron_jobs SET revision = 2, updated_at = 101",                                "101 cron.changed j "),
        ("UPDATE cron_jobs SET revision = 3, disabled = 'off', next_at = NULL, updated_at = 102", "102 cron.disabled j off"),
        ("UPDATE cron_jobs SET revision = 4, updated_at = 103",                                "103 cron.changed j off"),
        ("UPDATE cron_jobs SET revision = 5, disabled = '', updated_at = 104",                 "104 cron.changed j "),
        (&claimed,                                                                             ""),
        ("UPDATE cron_occurrences SET start_at = 600",                                         ""),
        ("UPDATE cron_occurrences SET started_at = 601",                                       "601 cron.started j claimed"),
        ("UPDATE cron_occurrences SET started_at = NULL",                                      ""),
        ("UPDATE cron_occurrences SET started_at = 602",                                       "602 cron.started j claimed"),
        ("UPDATE cron_occurrences SET state = 'ran', ended_at = 603",                          "603 cron.ended j ran"),
        (&missed,                                                                              "501 cron.ended j missed"),
        ("DELETE FROM cron_occurrences",                                                       ""),
        ("UPDATE cron_jobs SET disabled = 'finished', updated_at = 105",                       "105 cron.disabled j finished"),
        ("UPDATE cron_jobs SET deleted_at = 106, updated_at = 106",                            "106 cron.removed j "),
        ("DELETE FROM cron_jobs",                                                              ""),
        (delivery,                                                                             "100 delivery.queued dl waiting"),
        ("UPDATE outbox SET state = 'sending', lease_until = 5",                               ""),
        ("UPDATE outbox SET state = 'waiting', lease_until = NULL",                            ""),
        ("UPDATE outbox SET state = 'dead', settled_at = 101",                                 "101 delivery.settled dl dead"),
        ("UPDATE outbox SET state = 'waiting', next_at = 102, settled_at = NULL",              "102 delivery.queued dl waiting"),
        ("UPDATE outbox SET state = 'dead', settled_at = 103",                                 "103 delivery.settled dl dead"),
        ("UPDATE outbox SET state = 'discarded', settled_at = 103",                            "103 delivery.settled dl discarded"),
        ("DELETE FROM outbox",                                                                 ""),
        (&pairing,                                                                             "100 pairing.requested p pending"),
        ("UPDATE pairing_requests SET revision = 2, wished_at = 101",                          "101 pairing.changed p pending"),
        ("UPDATE pairing_requests SET state = 'rejected', decided_at = 102",                   "102 pairing.resolved p rejected"),
        ("DELETE FROM pairing_requests",                                                       ""),
        (person,                                                                               "100 channels.pairing.requested telegram:default:7 pending"),
        ("DELETE FROM chat_requests",                                                          "900 channels.pairing.resolved telegram:default:7 expired"),
        (person,                                                                               "100 channels.pairing.requested telegram:default:7 pending"),
        ("UPDATE chat_requests SET decision = 'approved', decided_at = 101",                   ""),
        ("DELETE FROM chat_requests",                                                          "101 channels.pairing.resolved telegram:default:7 approved"),
        (run,                                                                                  "100 run.accepted r queued"),
        (&approval,                                                                            "100 approval.requested ap pending"),
        ("UPDATE tool_approvals SET state = 'approved', decided_at = 101, decided_by = 'x'",   "101 approval.resolved ap approved"),
        ("UPDATE tool_approvals SET state = 'used', used_by = 'r'",                            ""),
        (&late,                                                                                "100 approval.requested ar pending"),
        ("UPDATE tool_approvals SET state = 'expired' WHERE id = 'ar'",                        "900 approval.resolved ar expired"),
        (&asked,                                                                               "100 approval.requested aq pending"),
        ("UPDATE runs SET status = 'error', ended_at = 300",                                   "300 run.ended r error"),
        ("UPDATE tool_approvals SET state = 'expired' WHERE id = 'aq'",                        "300 approval.resolved aq expired"),
        ("DELETE FROM tool_approvals",                                                         ""),
        ("DELETE FROM runs",                                                                   ""),
    ] {
        bed.raw().execute_batch(sql).unwrap();
        let events = all(&bed, &store).await;
        let told: Vec<_> = events[before..]
            .iter()
            .map(|it| format!("{} {} {} {}", it.at.as_millis(), it.kind.name(), it.subject, it.state))
            .collect();
        assert_eq!(told.join("; "), expected, "{sql}");
        before = events.len();
    }
    let text = format!("{:?}", bed.dump()["event_log"]);
    assert!(!text.contains("secret") && !text.contains("SECRET") && !text.contains("Ada"), "{text}");
}

#[tokio::test]
async fn events_are_never_changed() {
    let bed = Bed::new();
    let store = bed.open();
    bed.create(&store, "a").await;
    let changed = bed.raw().execute("UPDATE event_log SET state = 'x'", []);
    assert!(changed.unwrap_err().to_string().contains("never changed"));
}

/// Who was there when the gateway stopped has gone, and is told to have gone once.
#[tokio::test]
async fn presence() {
    let bed = Bed::new();
    let store = bed.open();
    let note = async |device: &str, presence| {
        let device = DeviceId::parse(device).unwrap();
        store.note_presence(device, presence, bed.now()).await.unwrap();
    };
    note("a", Presence::Online).await;
    note("b", Presence::Online).await;
    note("b", Presence::Offline).await;
    for _ in 0..2 {
        store.end_presence(bed.now()).await.unwrap();
        let events = all(&bed, &store).await;
        let told: Vec<_> =
            events.iter().map(|it| format!("{} {}", it.kind.name(), it.subject)).collect();
        assert_eq!(
            told,
            ["presence.online a", "presence.online b", "presence.offline b", "presence.offline a"]
        );
        assert_eq!(events[0].owner, Some(GrantHolder::Device(DeviceId::parse("a").unwrap())));
    }
}
