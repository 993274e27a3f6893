//! A gateway that answers as its messages tell it.

mod channels;
mod cron;
mod events;
mod messages;

use std::path::Path;
use std::sync::Arc;

use openclaw_client::Code;
use openclaw_client::v1::audit_server::{Audit, AuditServer};
use openclaw_client::v1::channels_server::ChannelsServer;
use openclaw_client::v1::cron_server::CronServer;
use openclaw_client::v1::events_server::EventsServer;
use openclaw_client::v1::messages_server::MessagesServer;
use openclaw_client::v1::run_event::Event;
use openclaw_client::v1::runs_server::{Runs, RunsServer};
use openclaw_client::v1::sessions_server::{Sessions, SessionsServer};
use openclaw_client::v1::system_server::SystemServer;
use openclaw_client::v1::{
    AbortRunRequest, AuditFinding, AuditRecord, CleanupRequest, CleanupResponse,
    CompactSessionRequest, CompactSessionResponse, CreateSessionRequest, DeleteSessionRequest,
    DeleteSessionResponse, ExportAuditRequest, GetSessionRequest, ListAuditRequest,
    ListAuditResponse, ListRunsRequest, ListRunsResponse, ListSessionsRequest,
    ListSessionsResponse, PatchSessionRequest, ResetSessionRequest, ResetSessionResponse, Run,
    RunAccepted, RunEvent, RunStatus, Session, SessionHistoryRequest, SessionHistoryResponse,
    StartRunRequest, TextDelta, UndoResetRequest, Usage, VerifyAuditRequest, VerifyAuditResponse,
    WaitRunRequest,
};
use tokio::net::UnixListener;
use tokio::sync::Notify;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tonic_types::{ErrorDetails, StatusExt as _};

type Events = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<RunEvent, Status>> + Send>>;
type Records = tokio_stream::Iter<std::vec::IntoIter<Result<AuditRecord, Status>>>;

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) aborted: Arc<Notify>,
    pub(crate) health: HealthReporter,
}

/// Serves in the state directory until the future is dropped.
pub(crate) fn serve(state_dir: &Path) -> (Fake, impl Future<Output = ()>) {
    let (health, health_server) = tonic_health::server::health_reporter();
    let fake = Fake { aborted: Arc::new(Notify::new()), health };
    let listener = UnixListener::bind(state_dir.join("gateway.sock")).unwrap();
    let router = tonic::transport::Server::builder()
        .add_service(health_server)
        .add_service(AuditServer::new(fake.clone()))
        .add_service(ChannelsServer::new(fake.clone()))
        .add_service(CronServer::new(fake.clone()))
        .add_service(EventsServer::new(fake.clone()))
        .add_service(MessagesServer::new(fake.clone()))
        .add_service(RunsServer::new(fake.clone()))
        .add_service(SessionsServer::new(fake.clone()))
        .add_service(SystemServer::new(fake.clone()));
    let served = router.serve_with_incoming(UnixListenerStream::new(listener));
    (fake, async move { served.await.unwrap() })
}

impl Fake {
    pub(crate) async fn set_health(&self, status: ServingStatus) {
        self.health.set_service_status("", status).await;
    }
}

fn run(id: &str, status: RunStatus, text: &str) -> Run {
    let error = if status == RunStatus::Error { "the model is on fire" } else { "" };
    Run {
        run_id: id.into(),
        session_key: "agent:main:main".into(),
        agent_id: "main".into(),
        status: status.into(),
        text: text.into(),
        error: error.into(),
        usage: Some(Usage { input_tokens: 5, output_tokens: 2, cached_tokens: 0 }),
        ..Run::default()
    }
}

fn events(events: Vec<Event>) -> impl tokio_stream::Stream<Item = Result<RunEvent, Status>> {
    tokio_stream::iter(events.into_iter().map(|event| Ok(RunEvent { event: Some(event) })))
}

fn refusal(code: Code, reason: &str, message: &str) -> Status {
    let facts = [("missingScopes", "operator.write"), ("grant", "operator.write")];
    let facts = facts.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut details = ErrorDetails::with_error_info(reason, "openclaw", facts);
    details.add_help_link("openclaw access explain agent", "");
    Status::with_error_details(code, message, details)
}

#[tonic::async_trait]
impl Runs for Fake {
    type StartStream = Events;

    async fn start(&self, asked: Request<StartRunRequest>) -> Result<Response<Events>, Status> {
        let StartRunRequest { idempotency_key: id, message, .. } = asked.into_inner();
        let queued = run(&id, RunStatus::Queued, "");
        let accepted = Event::Accepted(RunAccepted { run: Some(queued), existing: false });
        let delta = |text: &str| Event::Text(TextDelta { text: text.into() });
        let end = |status, text: &str| Event::Final(run(&id, status, text));
        let said = match message.as_str() {
            "deny" => {
                let message = "missing scope: operator.write";
                return Err(refusal(Code::PermissionDenied, "MISSING_SCOPE", message));
            }
            "busy" => return Err(refusal(Code::ResourceExhausted, "RATE_LIMITED", "slow down")),
            "fail" => vec![accepted, delta("I "), end(RunStatus::Error, "")],
            "cut" => vec![accepted, delta("I ")],
            "hang" => {
                let aborted = self.aborted.clone();
                let end = RunEvent { event: Some(end(RunStatus::Aborted, "")) };
                let start = events(vec![accepted, delta("I ")]);
                let end = futures_end(aborted, end);
                return Ok(Response::new(Box::pin(tokio_stream::StreamExt::chain(start, end))));
            }
            _ => vec![
                accepted,
                delta("You said: "),
                delta(&message),
                end(RunStatus::Ok, &format!("You said: {message}")),
            ],
        };
        Ok(Response::new(Box::pin(events(said))))
    }

    async fn wait(&self, asked: Request<WaitRunRequest>) -> Result<Response<Run>, Status> {
        let id = asked.into_inner().run_id;
        Ok(Response::new(match id.as_str() {
            "slow" => run(&id, RunStatus::Running, ""),
            "bad" => run(&id, RunStatus::Error, ""),
            "absent" => return Err(Status::not_found("no run `absent`")),
            _ => run(&id, RunStatus::Ok, "Done."),
        }))
    }

    async fn list(
        &self,
        _: Request<ListRunsRequest>,
    ) -> Result<Response<ListRunsResponse>, Status> {
        Ok(Response::new(ListRunsResponse::default()))
    }

    async fn abort(&self, asked: Request<AbortRunRequest>) -> Result<Response<Run>, Status> {
        self.aborted.notify_one();
        Ok(Response::new(run(&asked.into_inner().run_id, RunStatus::Running, "")))
    }
}

/// One event, after the run was aborted.
fn futures_end(
    aborted: Arc<Notify>,
    end: RunEvent,
) -> impl tokio_stream::Stream<Item = Result<RunEvent, Status>> {
    let once = tokio_stream::once(Ok(end));
    tokio_stream::StreamExt::then(once, move |end| {
        let aborted = aborted.clone();
        async move {
            aborted.notified().await;
            end
        }
    })
}

#[tonic::async_trait]
impl Sessions for Fake {
    async fn create(&self, _: Request<CreateSessionRequest>) -> Result<Response<Session>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list(
        &self,
        asked: Request<ListSessionsRequest>,
    ) -> Result<Response<ListSessionsResponse>, Status> {
        let asked = asked.into_inner();
        let session = |key: &str| Session {
            key: key.into(),
            label: "a\u{1b}[2Jb".into(),
            total_runs: 3,
            ..Session::default()
        };
        Ok(Response::new(match asked.page_token.as_str() {
            "" => ListSessionsResponse {
                sessions: vec![session("agent:main:main")],
                next_page_token: "2".into(),
            },
            _ => ListSessionsResponse {
                sessions: vec![session("agent:main:explicit:notes")],
                next_page_token: String::new(),
            },
        }))
    }

    async fn get(&self, _: Request<GetSessionRequest>) -> Result<Response<Session>, Status> {
        Err(Status::not_found("no session `x\u{1b}[2J`"))
    }

    async fn history(
        &self,
        _: Request<SessionHistoryRequest>,
    ) -> Result<Response<SessionHistoryResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn patch(
        &self,
        asked: Request<PatchSessionRequest>,
    ) -> Result<Response<Session>, Status> {
        let PatchSessionRequest { key, label, pinned, archived, .. } = asked.into_inner();
        let (label, pinned) = (label.unwrap_or_default(), pinned.unwrap_or_default());
        let archived = archived.unwrap_or_default();
        Ok(Response::new(Session { key, label, pinned, archived, ..Session::default() }))
    }

    async fn cleanup(
        &self,
        _: Request<CleanupRequest>,
    ) -> Result<Response<CleanupResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn compact(
        &self,
        _: Request<CompactSessionRequest>,
    ) -> Result<Response<CompactSessionResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn reset(
        &self,
        _: Request<ResetSessionRequest>,
    ) -> Result<Response<ResetSessionResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn undo_reset(
        &self,
        _: Request<UndoResetRequest>,
    ) -> Result<Response<ResetSessionResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn delete(
        &self,
        _: Request<DeleteSessionRequest>,
    ) -> Result<Response<DeleteSessionResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl Audit for Fake {
    type ExportStream = Records;

    async fn list(
        &self,
        _: Request<ListAuditRequest>,
    ) -> Result<Response<ListAuditResponse>, Status> {
        Ok(Response::new(ListAuditResponse::default()))
    }

    async fn verify(
        &self,
        asked: Request<VerifyAuditRequest>,
    ) -> Result<Response<VerifyAuditResponse>, Status> {
        let Some(head) = asked.into_inner().head else {
            return Ok(Response::new(VerifyAuditResponse { ok: true, ..Default::default() }));
        };
        let finding = AuditFinding {
            sequence: head.sequence,
            kind: "head-missing".into(),
            detail: "the head is not in the chain".into(),
        };
        Ok(Response::new(VerifyAuditResponse { findings: vec![finding], ..Default::default() }))
    }

    async fn export(&self, _: Request<ExportAuditRequest>) -> Result<Response<Records>, Status> {
        let record = |sequence| AuditRecord { sequence, digest: "ab".into(), ..Default::default() };
        let records: Vec<_> = (1..=3).map(|sequence| Ok(record(sequence))).collect();
        Ok(Response::new(tokio_stream::iter(records)))
    }
}
