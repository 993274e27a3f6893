//! Jobs as a file says, over the wire.

use openclaw_proto::v1;
use openclaw_proto::v1::applied_job::Fate;
use openclaw_proto::v1::schedule::When;
use openclaw_tests::{Client, Refusal, TestGateway};
use tonic::Code;

use super::{command, later, post};

async fn apply(
    client: &Client,
    jobs: &[(&str, v1::JobSpec)],
    dry_run: bool,
) -> Result<Vec<v1::AppliedJob>, Refusal> {
    let given = |(key, spec): &(&str, v1::JobSpec)| v1::GivenJob {
        key: (*key).to_owned(),
        spec: Some(spec.clone()),
    };
    let jobs = jobs.iter().map(given).collect();
    Ok(client.cron().apply(v1::ApplyJobsRequest { jobs, dry_run }).await?.into_inner().jobs)
}

async fn all(client: &Client) -> Vec<v1::Job> {
    let list = v1::ListJobsRequest { all: true, ..Default::default() };
    client.cron().list(list).await.unwrap().into_inner().jobs
}

fn fates(applied: &[v1::AppliedJob]) -> Vec<Fate> {
    applied.iter().map(v1::AppliedJob::fate).collect()
}

fn hourly() -> v1::Schedule {
    v1::Schedule { when: Some(When::Cron("0 * * * *".into())), ..v1::Schedule::default() }
}

/// The same again changes nothing, not even when what is counted from, or moved by, is left to the gateway.
#[tokio::test]
async fn the_same_again_is_the_same() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let moved = v1::Schedule {
        stagger: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        ..later("x").schedule.unwrap()
    };
    let jobs = [
        ("every", later("every")),
        ("hourly", v1::JobSpec { schedule: Some(hourly()), ..later("hourly") }),
        ("moved", v1::JobSpec { schedule: Some(moved), ..later("moved") }),
        ("run", command(later("run"), &["true"])),
        ("post", post(later("post"), "https://x.example/y", "{}")),
    ];
    let tried = apply(&owner, &jobs, true).await.unwrap();
    assert_eq!(fates(&tried), [Fate::Added; 5]);
    assert_eq!(all(&owner).await, [], "it was only tried");
    assert_eq!(fates(&apply(&owner, &jobs, false).await.unwrap()), [Fate::Added; 5]);
    let before = all(&owner).await;
    assert!(before.iter().any(|job| job.schedule.as_ref().unwrap().stagger.is_some()));
    for dry_run in [true, false] {
        let applied = apply(&owner, &jobs, dry_run).await.unwrap();
        assert_eq!(fates(&applied), [Fate::Unchanged; 5], "{applied:?}");
        assert_eq!(all(&owner).await, before);
    }
    let mut other = jobs.clone();
    other[3].1 = command(later("run"), &["false"]);
    let changed = apply(&owner, &other, false).await.unwrap();
    assert_eq!(changed[3].fate(), Fate::Changed);
    assert_eq!(fates(&changed).iter().filter(|fate| **fate == Fate::Unchanged).count(), 4);
    let (was, is) = (changed[3].before.clone().unwrap(), changed[3].after.clone().unwrap());
    assert_eq!((was.payload, is.payload), (jobs[3].1.payload.clone(), other[3].1.payload.clone()));
    assert_eq!(is.id, was.id);
}

/// What is exactly told is exactly taken.
#[tokio::test]
async fn lengths_are_taken_exactly() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let length = |seconds| Some(prost_types::Duration { seconds, nanos: 1_000_000 });
    let schedule = v1::Schedule { moved_by: length(77), ..hourly() };
    let spec = v1::JobSpec { schedule: Some(schedule), ..later("j") };
    let added = apply(&owner, &[("j", spec.clone())], false).await.unwrap().remove(0);
    assert_eq!(added.after.unwrap().schedule.unwrap().stagger, length(77));
    let too_far = v1::Schedule { moved_by: length(86_400), ..hourly() };
    let spec = v1::JobSpec { schedule: Some(too_far), ..spec };
    let refusal = apply(&owner, &[("j", spec)], false).await.unwrap_err();
    assert!(refusal.message.contains("job `j`: stagger is at most a day"), "{refusal:?}");
}

/// One that cannot be takes all others with it, and is named.
#[tokio::test]
async fn one_that_cannot_be_is_named() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let never = v1::Schedule { when: Some(When::Cron("0 0 31 2 *".into())), ..hourly() };
    let cases = [
        (
            "bad",
            v1::JobSpec { payload: None, ..later("bad") },
            "job `bad`: a job needs something to do",
        ),
        (
            "bad",
            v1::JobSpec { schedule: Some(never), ..later("bad") },
            "job `bad`: `0 0 31 2 *` is never due",
        ),
        (
            "bad",
            v1::JobSpec { agent_id: Some("x".into()), ..later("bad") },
            "job `bad`: no agent `x`",
        ),
        ("heartbeat:main", later("bad"), "job `heartbeat:main`: "),
        ("", later("keyless"), "job `keyless` has no key"),
        ("good", later("twice"), "job `good` is given twice"),
        ("a\nb", later("x"), "a key is at most"),
    ];
    for (key, bad, says) in cases {
        for dry_run in [true, false] {
            let jobs = [("good", later("good")), (key, bad.clone())];
            let refusal = apply(&owner, &jobs, dry_run).await.unwrap_err();
            assert!(refusal.message.contains(says), "{refusal:?}");
            assert_eq!(all(&owner).await, [], "{says}");
        }
    }
    let refusal = apply(&owner, &[], false).await.unwrap_err();
    assert_eq!(refusal.code, Code::InvalidArgument);
    let many = vec![("k", later("x")); 1_001];
    let refusal = apply(&owner, &many, false).await.unwrap_err();
    assert!(refusal.message.contains("1 to 1000 jobs"), "{refusal:?}");
}
