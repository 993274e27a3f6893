//! What messages look like as JSON.

use expect_test::{Expect, expect};
use openclaw_proto::v1::history_entry::Kind;
use openclaw_proto::v1::run_event::Event;
use openclaw_proto::v1::{
    HistoryEntry, ListSessionsResponse, Run, RunEvent, RunStatus, Session, SessionHistoryResponse,
    StatusResponse, TextDelta, ToolCall, Usage, status_response,
};

use super::*;

#[track_caller]
fn check<M: Named>(message: &M, expected: &Expect) {
    let described = Definitions::load().unwrap().describe(message).unwrap();
    expected.assert_eq(&serde_json::to_string_pretty(&described).unwrap());
}

fn at(seconds: i64, nanos: i32) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos })
}

#[test]
fn every_named_message_is_defined() {
    let definitions = Definitions::load().unwrap();
    definitions.describe(&v1::AddJobResponse::default()).unwrap();
    definitions.describe(&v1::Agent::default()).unwrap();
    definitions.describe(&v1::AuditRecord::default()).unwrap();
    definitions.describe(&v1::DeleteAgentResponse::default()).unwrap();
    definitions.describe(&v1::ExplainResponse::default()).unwrap();
    definitions.describe(&v1::GetConfigResponse::default()).unwrap();
    definitions.describe(&v1::ListAgentsResponse::default()).unwrap();
    definitions.describe(&v1::ListAuditResponse::default()).unwrap();
    definitions.describe(&v1::ListModelsResponse::default()).unwrap();
    definitions.describe(&v1::ListRunsResponse::default()).unwrap();
    definitions.describe(&v1::ProbeModelResponse::default()).unwrap();
    definitions.describe(&v1::VerifyAuditResponse::default()).unwrap();
    definitions.describe(&v1::CreateTokenResponse::default()).unwrap();
    definitions.describe(&v1::Device::default()).unwrap();
    definitions.describe(&v1::Invitation::default()).unwrap();
    definitions.describe(&v1::ListDevicesResponse::default()).unwrap();
    definitions.describe(&v1::ListInvitationsResponse::default()).unwrap();
    definitions.describe(&v1::ListTokensResponse::default()).unwrap();
    definitions.describe(&v1::PairingRequest::default()).unwrap();
    definitions.describe(&v1::RevokeAllResponse::default()).unwrap();
    definitions.describe(&v1::SecurityAuditResponse::default()).unwrap();
    definitions.describe(&v1::ShowAccessResponse::default()).unwrap();
    definitions.describe(&v1::Token::default()).unwrap();
    definitions.describe(&v1::DeleteSessionResponse::default()).unwrap();
    definitions.describe(&v1::ListSubagentsResponse::default()).unwrap();
    definitions.describe(&v1::ResetSessionResponse::default()).unwrap();
    definitions.describe(&v1::SpawnResponse::default()).unwrap();
    definitions.describe(&v1::Subagent::default()).unwrap();
    definitions.describe(&v1::CronStatusResponse::default()).unwrap();
    definitions.describe(&v1::Job::default()).unwrap();
    definitions.describe(&v1::ListJobsResponse::default()).unwrap();
    definitions.describe(&v1::ListOccurrencesResponse::default()).unwrap();
    definitions.describe(&v1::Occurrence::default()).unwrap();
    definitions.describe(&v1::PreviewResponse::default()).unwrap();
    definitions.describe(&v1::ChannelLogsResponse::default()).unwrap();
    definitions.describe(&v1::ChannelStatus::default()).unwrap();
    definitions.describe(&v1::ChannelsStatusResponse::default()).unwrap();
    definitions.describe(&v1::Delivery::default()).unwrap();
    definitions.describe(&v1::ListDeliveriesResponse::default()).unwrap();
    definitions.describe(&v1::ListPeopleResponse::default()).unwrap();
    definitions.describe(&v1::Person::default()).unwrap();
    definitions.describe(&v1::SystemEvent::default()).unwrap();
    definitions.describe(&v1::WakeResponse::default()).unwrap();
}

#[test]
fn a_list_has_its_plural_and_a_token() {
    let session = Session {
        key: "agent:main:main".into(),
        agent_id: "main".into(),
        owner: "owner:1000".into(),
        created_at: at(1_795_000_000, 123_000_000),
        total_runs: u64::MAX,
        usage: Some(Usage { input_tokens: 7, output_tokens: 0, cached_tokens: 0 }),
        ..Session::default()
    };
    let page = ListSessionsResponse { sessions: vec![session], next_page_token: String::new() };
    check(
        &page,
        &expect![[r#"
            {
              "sessions": [
                {
                  "key": "agent:main:main",
                  "agentId": "main",
                  "owner": "owner:1000",
                  "createdAt": "2026-11-18T11:06:40.123Z",
                  "updatedAt": null,
                  "label": "",
                  "activeRunId": "",
                  "queuedRuns": 0,
                  "totalRuns": 18446744073709551615,
                  "usage": {
                    "inputTokens": 7,
                    "outputTokens": 0,
                    "cachedTokens": 0
                  },
                  "category": "",
                  "pinned": false,
                  "archived": false,
                  "model": "",
                  "depth": 0,
                  "lastReset": null,
                  "sendPolicy": ""
                }
              ],
              "nextPageToken": ""
            }"#]],
    );
    check(
        &ListSessionsResponse::default(),
        &expect![[r#"
            {
              "sessions": [],
              "nextPageToken": ""
            }"#]],
    );
}

#[test]
fn enum_values_are_words() {
    let call = ToolCall { id: "c1".into(), name: "exec".into(), arguments: "{}".into() };
    let kinds = [Kind::ToolResult, Kind::Unspecified].map(i32::from).into_iter().chain([99]);
    let entries = kinds.map(|kind| HistoryEntry {
        kind,
        tool_calls: vec![call.clone()],
        ..HistoryEntry::default()
    });
    let page = SessionHistoryResponse { entries: entries.collect(), ..Default::default() };
    let described = Definitions::load().unwrap().describe(&page).unwrap();
    let json: serde_json::Value = serde_json::to_value(&described).unwrap();
    let kinds: Vec<_> = json["entries"].as_array().unwrap().iter().map(|e| &e["kind"]).collect();
    assert_eq!(
        kinds,
        ["toolResult", "unspecified"]
            .map(serde_json::Value::from)
            .iter()
            .chain([&serde_json::Value::from(99)])
            .collect::<Vec<_>>()
    );
    assert_eq!(json["entries"][0]["toolCalls"][0]["arguments"], "{}");
}

#[test]
fn lengths_and_times() {
    for (seconds, nanos, expected) in [
        (0, 0, "0s"),
        (1, 500_000_000, "1.5s"),
        (90_000, 1, "90000.000000001s"),
        (-1, -500_000_000, "-1.5s"),
        (0, -1_000_000, "-0.001s"),
    ] {
        let uptime = Some(prost_types::Duration { seconds, nanos });
        let status = StatusResponse {
            uptime,
            phase: status_response::Phase::Draining.into(),
            started_at: at(i64::MAX, 0),
            ..StatusResponse::default()
        };
        let described = Definitions::load().unwrap().describe(&status).unwrap();
        let json = serde_json::to_value(&described).unwrap();
        assert_eq!(json["uptime"], expected);
        assert_eq!(json["phase"], "draining");
        assert_eq!(json["startedAt"], serde_json::Value::Null, "not an instant of any calendar");
    }
}

#[test]
fn of_a_choice_only_what_is_set() {
    let text = Event::Text(TextDelta { text: "Hi\n".into() });
    let run = Run { run_id: "r".into(), status: RunStatus::Ok.into(), ..Run::default() };
    let line = |event| {
        let event = RunEvent { event };
        let described = Definitions::load().unwrap().describe(&event).unwrap();
        serde_json::to_string(&described).unwrap()
    };
    expect![[r#"{"text":{"text":"Hi\n"}}"#]].assert_eq(&line(Some(text)));
    expect![[r#"{"final":{"runId":"r","sessionKey":"","agentId":"","status":"ok","text":"","error":"","usage":null,"acceptedAt":null,"startedAt":null,"endedAt":null,"onBehalfOf":"","replyTo":null,"mergedInto":"","withheld":""}}"#]]
        .assert_eq(&line(Some(Event::Final(run))));
    expect!["{}"].assert_eq(&line(None));
}

#[test]
fn words() {
    for (name, prefix, expected) in [
        ("RUN_STATUS_OK", "RUN_STATUS_", "ok"),
        ("KIND_TOOL_RESULT", "KIND_", "toolResult"),
        ("OTHER", "KIND_", "other"),
        ("KIND__A", "KIND_", "a"),
    ] {
        assert_eq!(word(name, prefix), expected);
    }
}
