//! What models have used: counted once with each answer, by agent, session, model and day.

use openclaw_proto::v1;
use openclaw_proto::v1::usage_request::By;
use openclaw_tests::{Client, Setup, ask, request};
use tonic::Code;

const CONFIG: &str = "models.prices.'offline/offline' = { input = 1000, output = 2000 }";

async fn used(client: &Client, by: By) -> v1::UsageResponse {
    let request = v1::UsageRequest { by: by.into(), since: None };
    client.gateway().usage(request).await.unwrap().into_inner()
}

fn names(used: &v1::UsageResponse) -> Vec<&str> {
    used.rows.iter().map(|row| row.name.as_str()).collect()
}

#[tokio::test]
async fn every_answer_is_counted_once() {
    let gateway = Setup::new().config(CONFIG).start().await;
    let owner = gateway.owner().await;
    assert_eq!(used(&owner, By::Agent).await.rows, []);
    let mut runs = Vec::new();
    for (key, session) in [("a", "main"), ("b", "explicit:x"), ("c", "explicit:x")] {
        runs.push(ask(&owner, request(key, session, "Hello.")).await.unwrap().run().clone());
        // A retry is the same answer.
        ask(&owner, request(key, session, "Hello.")).await.unwrap();
    }
    let of_runs = runs.iter().map(|run| run.usage.unwrap());
    let (input, output) = of_runs.fold((0, 0), |(input, output), usage| {
        (input + usage.input_tokens, output + usage.output_tokens)
    });
    assert!(input > 0 && output > 0);
    let by_agent = used(&owner, By::Agent).await;
    let total = by_agent.total.clone().unwrap();
    assert_eq!((total.answers, total.input_tokens, total.output_tokens), (3, input, output));
    let thousandths = input + 2 * output;
    assert_eq!(total.cost, format!("{}.{:03}000", thousandths / 1000, thousandths % 1000));
    assert_eq!(names(&by_agent), ["main"]);
    assert_eq!(names(&used(&owner, By::Model).await), ["offline/offline"]);
    assert_eq!(used(&owner, By::Day).await.rows[0].answers, 3);
    let by_session = used(&owner, By::Session).await;
    assert_eq!(names(&by_session), ["agent:main:explicit:x", "agent:main:main"]);
    assert_eq!(by_session.total, by_agent.total);

    // What was used stays counted when the session goes; of the session nothing is left.
    let delete = v1::DeleteSessionRequest { key: "explicit:x".into(), ..Default::default() };
    owner.sessions().delete(delete).await.unwrap();
    assert_eq!(used(&owner, By::Agent).await, by_agent);
    assert_eq!(names(&used(&owner, By::Session).await), ["agent:main:main"]);
    let gateway = gateway.restart().await;
    assert_eq!(used(&gateway.owner().await, By::Agent).await, by_agent);
}

#[tokio::test]
async fn a_time_is_for_days_only() {
    let gateway = Setup::new().start().await;
    let owner = gateway.owner().await;
    ask(&owner, request("a", "main", "Hello.")).await.unwrap();
    let since = |by: By, seconds| v1::UsageRequest {
        by: by.into(),
        since: Some(prost_types::Timestamp { seconds, nanos: 0 }),
    };
    let ask = async |request| owner.gateway().usage(request).await;
    let all = ask(since(By::Day, 0)).await.unwrap().into_inner();
    assert_eq!((all.rows.len(), all.rows[0].cost.as_str()), (1, "unknown"));
    let later = ask(since(By::Day, 9_000_000_000)).await.unwrap().into_inner();
    assert_eq!((later.rows.len(), later.total.unwrap().cost.as_str()), (0, "0.000000"));
    assert_eq!(ask(since(By::Session, 0)).await.unwrap_err().code(), Code::InvalidArgument);
    let unknown = v1::UsageRequest { by: 99, since: None };
    assert_eq!(ask(unknown).await.unwrap_err().code(), Code::InvalidArgument);
}
