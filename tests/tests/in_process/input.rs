//! Bad input: each gets a clear answer, and the gateway goes on.

use openclaw_proto::v1;
use openclaw_proto::v1::RunStatus;
use openclaw_tests::{Client, Refusal, Setup, TestGateway, ask, request};
use tonic::Code;

async fn is_well(owner: &Client) {
    let runs = owner.runs().list(v1::ListRunsRequest::default()).await.unwrap().into_inner().runs;
    assert!(runs.is_empty(), "nothing was accepted: {runs:?}");
    let status = owner.gateway().status(v1::StatusRequest {}).await.unwrap().into_inner();
    assert_eq!((status.sessions, status.queued_runs, status.running_runs), (0, 0, 0));
}

#[tokio::test]
async fn oversized_messages_are_refused_and_the_connection_lives() {
    let gateway = Setup::new().config("gateway.maxMessageBytes = 65536").start().await;
    let owner = gateway.owner().await;
    let big = "x".repeat(70_000);
    let refusal = ask(&owner, request("r", "main", &big)).await.unwrap_err();
    assert_eq!((refusal.code, refusal.reason.as_str()), (Code::OutOfRange, "LIMIT_EXCEEDED"));
    assert!(refusal.next.contains("maxMessageBytes"), "{refusal:?}");
    is_well(&owner).await;
    let fits = ask(&owner, request("r", "main", &"x".repeat(60_000))).await.unwrap();
    assert_eq!(fits.status(), RunStatus::Ok);
}

#[tokio::test]
async fn a_key_of_ten_megabytes_is_malformed() {
    let gateway = Setup::new().config("gateway.maxMessageBytes = 67108864").start().await;
    let owner = gateway.owner().await;
    let huge = "k".repeat(10 << 20);
    let refusal = ask(&owner, request("r", &huge, "Hello.")).await.unwrap_err();
    assert_eq!(refusal.kind(), (Code::InvalidArgument, "MALFORMED_KEY"));
    assert!(refusal.message.len() < 300, "{} bytes", refusal.message.len());
    for mut asked in [request(&huge, "main", "Hello."), request("r", "main", "Hello.")] {
        if asked.idempotency_key == "r" {
            asked.agent_id.clone_from(&huge);
        }
        let refusal = ask(&owner, asked).await.unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument);
        assert!(refusal.message.len() < 300, "{} bytes", refusal.message.len());
    }
    is_well(&owner).await;
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    for message in ["", "   \n\t ", "/new", " /RESET now", "/new\nHello."] {
        let refusal = ask(&owner, request("r", "main", message)).await.unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument, "{message:?}");
        assert!(!refusal.message.is_empty());
    }
    for key in ["", " ", "a b", "a\nb", "ü\u{0}", &"k".repeat(10_000)] {
        let refusal = ask(&owner, request(key, "main", "Hello.")).await.unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument, "{key:?}");
        assert!(!refusal.next.is_empty() && refusal.message.len() < 300, "{refusal:?}");
    }
    for (seconds, nanos) in [(-1, 0), (0, -1), (i64::MIN, 0), (1, -1)] {
        let mut asked = request("r", "main", "Hello.");
        asked.timeout = Some(prost_types::Duration { seconds, nanos });
        let refusal = ask(&owner, asked).await.unwrap_err();
        assert_eq!(refusal.code, Code::InvalidArgument, "{seconds} {nanos}");
        let timeout = Some(prost_types::Duration { seconds, nanos });
        let wait = v1::WaitRunRequest { run_id: "r".into(), timeout };
        assert_eq!(owner.runs().wait(wait).await.unwrap_err().code(), Code::InvalidArgument);
    }
    is_well(&owner).await;
}

/// What people paste may hold anything: it is kept as it is, and comes back as it was.
#[tokio::test]
async fn control_characters_in_a_message_are_kept() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let odd = "a\u{0}b\u{1b}[31m\r\n\u{202e}\u{feff}𝕏\u{10ffff}";
    let asked = ask(&owner, request("r", "main", odd)).await.unwrap();
    assert_eq!(asked.status(), RunStatus::Ok);
    let history = v1::SessionHistoryRequest { key: "main".into(), ..Default::default() };
    let entries = owner.sessions().history(history).await.unwrap().into_inner().entries;
    assert_eq!(entries[0].text, odd);
}

#[tokio::test]
async fn the_longest_timeouts_are_taken() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    for (number, seconds) in [0, 1 << 40, i64::MAX].into_iter().enumerate() {
        let mut asked = request(&format!("r{number}"), "main", "Hello.");
        asked.timeout = Some(prost_types::Duration { seconds, nanos: 999_999_999 });
        let answer = ask(&owner, asked).await;
        match answer {
            Ok(asked) => assert_eq!(asked.status(), RunStatus::Ok, "{seconds}"),
            Err(refusal) => assert_eq!(refusal.code, Code::InvalidArgument, "{seconds}"),
        }
    }
}

#[tokio::test]
async fn pages_that_no_method_gave_out_are_refused() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let check = |what: String, answer: Result<(), tonic::Status>| {
        let refusal = Refusal::from(answer.expect_err(&what));
        assert_eq!(refusal.code, Code::InvalidArgument, "{what} {refusal:?}");
        assert!(refusal.message.len() < 300, "{what}");
    };
    for size in [1001, u32::MAX] {
        let sessions = v1::ListSessionsRequest { page_size: size, ..Default::default() };
        check(format!("sessions {size}"), owner.sessions().list(sessions).await.map(drop));
        let runs = v1::ListRunsRequest { page_size: size, ..Default::default() };
        check(format!("runs {size}"), owner.runs().list(runs).await.map(drop));
        let audit = v1::ListAuditRequest { page_size: size, ..Default::default() };
        check(format!("audit {size}"), owner.audit().list(audit).await.map(drop));
        let history =
            v1::SessionHistoryRequest { key: "main".into(), page_size: size, ..Default::default() };
        check(format!("history {size}"), owner.sessions().history(history).await.map(drop));
    }
    for page_token in
        ["x", "-", "1-", "-1", "1-x", "'; DROP TABLE runs", " 1", "99999999999999999999", "\u{0}"]
    {
        let page_token = page_token.to_owned();
        let sessions =
            v1::ListSessionsRequest { page_token: page_token.clone(), ..Default::default() };
        check(format!("sessions {page_token:?}"), owner.sessions().list(sessions).await.map(drop));
        let audit = v1::ListAuditRequest { page_token: page_token.clone(), ..Default::default() };
        if page_token != "-1" {
            let runs = v1::ListRunsRequest { page_token: page_token.clone(), ..Default::default() };
            check(format!("runs {page_token:?}"), owner.runs().list(runs).await.map(drop));
        }
        check(format!("audit {page_token:?}"), owner.audit().list(audit).await.map(drop));
        let key = "main".to_owned();
        let history = v1::SessionHistoryRequest { key, page_token, ..Default::default() };
        check("history".into(), owner.sessions().history(history).await.map(drop));
    }
    is_well(&owner).await;
}

/// Bytes that are no message of the proto end the call and nothing else.
#[tokio::test]
async fn what_is_no_protobuf_is_refused() {
    let gateway = TestGateway::start().await;
    let owner = gateway.owner().await;
    let mut grpc = tonic::client::Grpc::new(owner.channel());
    // A message with the bytes of another type: a number where the method has a text.
    let codec = tonic_prost::ProstCodec::<v1::GetAgentRequest, v1::Session>::default();
    grpc.ready().await.unwrap();
    let wrong = tonic::Request::new(v1::GetAgentRequest { id: "x".into(), include_prompt: true });
    let path = "/openclaw.v1.Sessions/Get".parse().unwrap();
    let status = grpc.unary(wrong, path, codec).await.unwrap_err();
    assert!(matches!(status.code(), Code::Internal | Code::InvalidArgument), "{status:?}");
    is_well(&owner).await;
}
