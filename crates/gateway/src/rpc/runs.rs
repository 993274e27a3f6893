//! Turns of agents over the wire.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, stream};
use openclaw_agents::TurnEvent;
use openclaw_config::QueueSettings;
use openclaw_proto::v1::run_event::Event as WireEvent;
use openclaw_proto::v1::runs_server::Runs;
use openclaw_proto::{to_duration, v1};
use openclaw_scopes::RunId;
use openclaw_scopes::method::{AbortRun, ListRuns, Method as _, StartRun, WaitRun};
use openclaw_scopes::target::SessionTarget;
use openclaw_sessions::{Dropped, QueueMode};
use openclaw_store::{Peek, RunCursor, RunFilter};
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::engine::{self, Event, Limit, Novelty, StartError, Watch};
use crate::respond::{self, Reply};
use crate::roster::Roster;
use crate::{clock, convert, digest, gate, route};

/// How long `agent.wait` waits when nobody says how long (`runtime.md` §2.2 of the reference).
const DEFAULT_WAIT: Duration = Duration::from_secs(30);
/// How long it waits at most: a longer wait is asked for again.
const MAX_WAIT: Duration = Duration::from_hours(24);

#[tonic::async_trait]
impl Runs for Core {
    type StartStream = Pin<Box<dyn Stream<Item = Result<v1::RunEvent, Status>> + Send>>;

    async fn start(
        &self,
        request: Request<v1::StartRunRequest>,
    ) -> Result<Response<Self::StartStream>, Status> {
        let (caller, message) = gate::admit(request)?;
        let ask = parse_start(message, &self.engine.roster())?;
        let target = SessionTarget::unowned(ask.session.clone());
        let error = match self.engine.start(&caller, ask).await {
            Ok(watch) => return Ok(Response::new(Box::pin(events(watch)))),
            Err(error) => error,
        };
        if matches!(error, StartError::Full(_) | StartError::UnknownAgent(_)) {
            // Nothing was decided yet: whoever may not start runs is told that, and only that.
            let peeked = self.store.view(&caller, &Peek::<StartRun>(target), clock::now()).await;
            if let Err(denied) = peeked {
                return Err(respond::act(denied, StartRun::ROW, |never| match *never {}).into());
            }
        }
        Err(respond::start(error, StartRun::ROW).into())
    }

    async fn wait(
        &self,
        request: Request<v1::WaitRunRequest>,
    ) -> Result<Response<v1::Run>, Status> {
        let (caller, message) = gate::admit(request)?;
        let run = convert::run_id(&message.run_id)?;
        let limit = convert::duration(message.timeout.as_ref(), "timeout")?;
        let limit = limit.unwrap_or(DEFAULT_WAIT).min(MAX_WAIT);
        let waited = self.engine.wait(&caller, &run, limit).await;
        let run = waited.map_err(|error| respond::act(error, WaitRun::ROW, respond::run))?;
        Ok(Response::new(convert::run(run)))
    }

    async fn list(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let filter = parse_list(&message)?;
        let listed = self.store.scan(&caller, filter, clock::now()).await;
        let page =
            listed.map_err(|error| respond::act(error, ListRuns::ROW, |never| match *never {}))?;
        let next_page_token = page.next.map(|RunCursor(row)| row.to_string()).unwrap_or_default();
        let runs = page.runs.into_iter().map(convert::run).collect();
        Ok(Response::new(v1::ListRunsResponse { runs, next_page_token }))
    }

    async fn abort(
        &self,
        request: Request<v1::AbortRunRequest>,
    ) -> Result<Response<v1::Run>, Status> {
        let (caller, message) = gate::admit(request)?;
        let run = convert::run_id(&message.run_id)?;
        let aborted = self.engine.abort(&caller, &run).await;
        let run = aborted.map_err(|error| respond::act(error, AbortRun::ROW, respond::run))?;
        Ok(Response::new(convert::run(run)))
    }
}

fn parse_start(message: v1::StartRunRequest, roster: &Roster) -> Result<engine::Request, Reply> {
    let routes = &roster.routes;
    let run = convert::new_run(&message.idempotency_key)?;
    let (session, agent, reply_to) = match &message.origin {
        None => {
            let (session, agent) = route::named(&message.session_key, &message.agent_id, routes)?;
            (session, agent, String::new())
        }
        Some(_) if !message.session_key.is_empty() || !message.agent_id.is_empty() => {
            let text = "where a message came from decides conversation and agent: name neither";
            return Err(Reply::invalid(text).next("openclaw agent --help"));
        }
        Some(origin) => {
            let routed = route::message(origin, routes)?;
            let reply_to = routed.reply.as_ref().map(route::stored).unwrap_or_default();
            (routed.session, routed.agent, reply_to)
        }
    };
    if message.message.trim().is_empty() {
        return Err(Reply::invalid("message is empty"));
    }
    if is_chat_command(&message.message) {
        let text = "chat commands are not taken here: a conversation is begun anew by a reset";
        return Err(Reply::invalid(text).next("openclaw sessions reset KEY"));
    }
    let timeout = convert::duration(message.timeout.as_ref(), "timeout")?;
    let told = timeout.map(|timeout| format!("{timeout:?}")).unwrap_or_default();
    let mut asked = vec![session.as_str(), &message.message, &told];
    // Without an origin it is the digest that older gateways stored.
    if !reply_to.is_empty() {
        asked.push(&reply_to);
    }
    let channel = message.origin.as_ref().map(|origin| origin.channel.as_str());
    Ok(engine::Request {
        queue: queue_mode(message.queue_mode, channel, roster.config.queue())?,
        hold: None,
        dropped: Dropped::default(),
        digest: digest::of(&asked),
        run,
        session,
        agent,
        message: message.message,
        reply_to,
        limit: match timeout {
            None => Limit::OfAgent,
            Some(Duration::ZERO) => Limit::None,
            Some(timeout) => Limit::Within(timeout),
        },
    })
}

/// Decides what becomes of a message when its conversation is busy.
fn queue_mode(
    asked: i32,
    channel: Option<&str>,
    settings: &QueueSettings,
) -> Result<QueueMode, Reply> {
    match v1::QueueMode::try_from(asked) {
        Ok(v1::QueueMode::Collect) => Ok(QueueMode::Collect),
        Ok(v1::QueueMode::Followup) => Ok(QueueMode::Followup),
        Ok(v1::QueueMode::Interrupt) => Ok(QueueMode::Interrupt),
        Ok(v1::QueueMode::Steer) => Ok(QueueMode::Steer),
        // Who names a conversation is a program as often as a person, and waits for an answer of its own.
        Ok(v1::QueueMode::Unspecified) => Ok(channel.map_or(QueueMode::Followup, |channel| {
            let of_channel = settings.by_channel.get(&channel.to_lowercase());
            route::queue_mode(of_channel.copied().unwrap_or(settings.mode))
        })),
        Err(unknown) => Err(Reply::invalid(unknown.to_string())),
    }
}

/// Whether the message is one of the commands that would reset the conversation: a model must not
/// be asked what nobody meant for it.
fn is_chat_command(message: &str) -> bool {
    let word = message.split_whitespace().next().unwrap_or_default();
    ["/new", "/reset"].iter().any(|command| word.eq_ignore_ascii_case(command))
}

fn parse_list(message: &v1::ListRunsRequest) -> Result<RunFilter, Reply> {
    let session = match message.session_key.as_str() {
        "" => None,
        key => Some(convert::session_key(key, &message.agent_id)?.0),
    };
    let after = match message.page_token.as_str() {
        "" => None,
        token => Some(RunCursor(token.parse().map_err(|_error| convert::bad_token())?)),
    };
    let statuses = message
        .statuses
        .iter()
        .map(|status| convert::parse_run_status(*status))
        .collect::<Result<_, _>>()?;
    let agent = match (message.session_key.as_str(), message.agent_id.as_str()) {
        ("", agent) if !agent.is_empty() => Some(convert::agent_id(agent)?),
        _ => None,
    };
    Ok(RunFilter { agent, session, statuses, after, limit: convert::page_size(message.page_size)? })
}

/// The events of a run, from its acceptance to its end.
fn events(watch: Watch) -> impl Stream<Item = Result<v1::RunEvent, Status>> + Send {
    let accepted = v1::RunAccepted {
        run: Some(convert::run(watch.accepted.clone())),
        existing: watch.novelty == Novelty::Existing,
    };
    let first = stream::iter([Ok(wire(WireEvent::Accepted(accepted)))]);
    let rest = stream::unfold(watch, |mut watch| async {
        let event = match watch.next().await? {
            Event::Turn(event) => Ok(wire(turn_event(event))),
            Event::Ended(run) => Ok(wire(WireEvent::Final(convert::run(run)))),
            Event::Left => Err(left(&watch.accepted.run).into()),
        };
        Some((event, watch))
    });
    futures_util::StreamExt::chain(first, rest)
}

/// A run that was accepted and goes on after the next start: asking for it again would run it twice.
fn left(run: &RunId) -> Reply {
    let message =
        "the gateway is stopping; the run stays accepted and goes on after the next start";
    Reply::draining()
        .saying(message)
        .with("runId", run.to_string())
        .next(format!("openclaw runs wait {run}"))
}

const fn wire(event: WireEvent) -> v1::RunEvent {
    v1::RunEvent { event: Some(event) }
}

fn turn_event(event: TurnEvent) -> WireEvent {
    match event {
        TurnEvent::ApprovalNeeded { approval: id, operation, program, cwd } => {
            WireEvent::ApprovalNeeded(v1::ApprovalNeeded { id, operation, program, cwd })
        }
        TurnEvent::Text(text) => WireEvent::Text(v1::TextDelta { text }),
        TurnEvent::ToolStarted { id, name } => {
            WireEvent::ToolStarted(v1::ToolStarted { call_id: id, name })
        }
        TurnEvent::ToolFinished { id, name, outcome } => {
            let outcome = convert::outcome(outcome).into();
            WireEvent::ToolFinished(v1::ToolFinished { call_id: id, name, outcome })
        }
        TurnEvent::ModelRetry { failure, next, delay } => WireEvent::Retry(v1::ModelRetry {
            reason: failure.into(),
            delay: Some(to_duration(delay)),
            model: next,
        }),
    }
}
