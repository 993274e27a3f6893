//! How jobs are found, and how many there may be.

use openclaw_scopes::IdempotencyKey;

use super::clockwork::Clockwork;
use super::{HOUR, add, every, of, once, spec};
use crate::tests::{key, owner};
use crate::{ActError, AddJob, JobCursor, JobError, JobFilter, JobSpec, Switch};

fn called(name: &str, id: &str, key: &str) -> AddJob {
    AddJob {
        idempotency_key: IdempotencyKey::parse(&format!("add-{id}")).unwrap(),
        id: id.parse().unwrap(),
        key: key.into(),
        ..add(JobSpec { name: name.into(), ..spec("x", every(HOUR)) })
    }
}

/// By its id first, then by its key, then by its name.
#[tokio::test]
async fn a_job_is_found_by_id_key_or_name() {
    let clockwork = Clockwork::new();
    for ask in [
        called("one", "a", "k"),
        called("k", "b", "a"),
        called("a", "c", ""),
        called("b", "d", "one"),
        called("twin", "e", ""),
        called("twin", "f", ""),
    ] {
        clockwork.try_add(&owner(), ask).await.unwrap();
    }
    for (name, id) in [("a", "a"), ("k", "a"), ("one", "d"), ("b", "b"), ("c", "c"), ("e", "e")] {
        assert_eq!(clockwork.job(name).id.as_str(), id, "{name}");
        let target = clockwork.store().job_target(&of(name)).unwrap();
        assert_eq!(&*target.id, id, "{name}");
    }
    for name in ["", "TWIN", "nobody", "x"] {
        let error = clockwork.store().job(&of(name)).unwrap_err();
        assert_eq!(error, ActError::Failed(JobError::Unknown(name.into())));
    }
    let twins = clockwork.store().job(&of("twin")).unwrap_err();
    let ids = "e, f".to_owned();
    let expected = JobError::Ambiguous { name: "twin".into(), count: 2, ids };
    assert_eq!(twins, ActError::Failed(expected));
    for result in [
        clockwork.switch("twin", Switch::Off).await.map(|_| ()),
        clockwork.request_as("twin", "r").await.map(|_| ()),
        clockwork
            .store()
            .act(&owner(), crate::RemoveJob(of("twin")), clockwork.now)
            .await
            .map(|_| ()),
        clockwork
            .store()
            .act(&owner(), crate::CancelJob(of("twin")), clockwork.now)
            .await
            .map(|_| ()),
    ] {
        clockwork.fails(result, "ambiguous-name");
    }
    clockwork.remove("e").await;
    assert_eq!(clockwork.job("twin").id.as_str(), "f");
}

/// However many bear the name, their number is told.
#[tokio::test]
async fn many_of_one_name_are_counted() {
    let clockwork = Clockwork::new();
    for number in 0..12 {
        let ask = called("twin", &format!("t{number}"), "");
        clockwork.try_add(&owner(), ask).await.unwrap();
    }
    let error = clockwork.store().job(&of("twin")).unwrap_err();
    let ActError::Failed(JobError::Ambiguous { count, ids, .. }) = error else {
        panic!("{error:?}")
    };
    assert!(ids.starts_with("t0, t1, t2"), "{ids}");
    assert_eq!(count, 12);
}

/// A conversation has at most a hundred; another one, and nobody's, are not counted with it.
#[tokio::test]
//= docs/threat-model.md#T26
async fn a_conversation_adds_so_many() {
    let clockwork = Clockwork::new();
    let of_main = |id: &str| AddJob { created_in: Some(key("main")), ..called(id, id, "") };
    for number in 0..100 {
        let added = clockwork.try_add(&owner(), of_main(&format!("j{number}"))).await.unwrap();
        assert_eq!(added.job.created_in, Some(key("main")));
    }
    let full = clockwork.try_add(&owner(), of_main("more")).await.unwrap_err();
    let place = "of this conversation";
    assert_eq!(full, ActError::Failed(JobError::TooMany { max: 100, place }));
    assert_eq!(clockwork.count("SELECT jobs FROM cron_totals"), 100);
    let other = AddJob { created_in: Some(key("other")), ..called("other", "other", "") };
    clockwork.try_add(&owner(), other).await.unwrap();
    clockwork.try_add(&owner(), called("nobody", "nobody", "")).await.unwrap();
    // Finished and switched off they count, removed they do not.
    clockwork.switch("j7", Switch::Off).await.unwrap();
    let full = clockwork.try_add(&owner(), of_main("more")).await;
    clockwork.fails(full, "too-many-jobs");
    clockwork.remove("j7").await;
    clockwork.try_add(&owner(), of_main("more")).await.unwrap();
    assert_eq!(clockwork.store().job_place("j7").unwrap(), Some(key("main")));
    assert_eq!(clockwork.count("SELECT jobs FROM cron_totals"), 102);
}

/// Page by page all are found, each once; those that are off only on request.
#[tokio::test]
async fn lists_are_complete() {
    let mut clockwork = Clockwork::new();
    for number in 0..30 {
        let name = format!("n{}", number % 7);
        let ask = called(&name, &format!("j{number}"), "");
        let created_in = (number % 5 == 0).then(|| key("main"));
        clockwork.try_add(&owner(), AddJob { created_in, ..ask }).await.unwrap();
    }
    clockwork.add(spec("finished", once(HOUR))).await;
    clockwork.switch("j3", Switch::Off).await.unwrap();
    clockwork.remove("j4").await;
    clockwork.pass(HOUR);
    while clockwork.round(openclaw_sessions::RunStatus::Ok, "Done.").await > 0 {}
    #[rustfmt::skip]
    let cases = [
        (JobFilter::default(),                                               28),
        (JobFilter { all: true, ..JobFilter::default() },                    30),
        (JobFilter { all: true, search: "FINI".into(), ..JobFilter::default() }, 1),
        (JobFilter { search: "fini".into(), ..JobFilter::default() },        0),
        (JobFilter { search: "J1".into(), ..JobFilter::default() },          11),
        (JobFilter { created_in: Some(key("main")), ..JobFilter::default() }, 6),
        (JobFilter { agent: Some("other".parse().unwrap()), ..JobFilter::default() }, 0),
    ];
    for (filter, count) in cases {
        let (mut found, mut after) = (Vec::new(), None::<JobCursor>);
        loop {
            let query = JobFilter { after, limit: 4, ..filter.clone() };
            let page = clockwork.store().view(&owner(), &query, clockwork.now).await.unwrap();
            found.extend(page.jobs.into_iter().map(|job| (job.name, job.id.to_string())));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(found.is_sorted_by_key(|(name, _)| name.clone()));
        assert_eq!(found.len(), count, "{filter:?}");
        found.dedup();
        assert_eq!(found.len(), count, "{filter:?}");
    }
}
