//! `events`: what has happened, and what does.

use std::collections::VecDeque;
use std::time::Duration;

use openclaw_client::v1::watch_events_response::Sent;
use openclaw_client::v1::{Event, WatchEventsRequest, WatchEventsResponse};
use openclaw_client::{CallError, Client, Code, Origin};
use tonic::Streaming;

use super::text;
use crate::cli::WatchArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output};
use crate::place::Place;
use crate::{table, wish};

/// What decides who is told of what, row by row of the policy.
const ROWS: [&str; 8] = [
    "events.watch",
    "events.approvals",
    "events.cron",
    "events.delivery",
    "events.pairing",
    "events.presence",
    "events.runs",
    "events.sessions",
];
/// How long to wait before the connection is made anew, and how long at most after it failed again.
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);

pub(super) async fn run(
    args: WatchArgs,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let request = WatchEventsRequest {
        since_seq: args.since_seq,
        kinds: args.kind,
        session_key: text(args.session),
        agent_id: text(args.agent),
        replay_only: !args.follow,
    };
    if args.follow {
        return follow(request, place, output).await;
    }
    let since_seq = Some(request.since_seq.unwrap_or(0));
    let client = connect(place).await?;
    let stream = watch(&client, WatchEventsRequest { since_seq, ..request }).await?;
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let events = newest(stream, limit).await?;
    match output.format() {
        Format::Human if events.is_empty() => output.note("no events")?,
        Format::Human => output.block(&rows(&events))?,
        Format::Json => output.list("events", &events)?,
    }
    Ok(Exit::Ok)
}

/// Connects with what it takes to be told of everything: the gateway narrows it to what was approved.
async fn connect(place: &Place) -> Result<Client, Failure> {
    place.connect(wish::of(&ROWS)).await
}

async fn watch(
    client: &Client,
    request: WatchEventsRequest,
) -> Result<Streaming<WatchEventsResponse>, Failure> {
    Ok(client.events().watch(request).await?.into_inner())
}

/// Reads to the end; keeps so many of the newest.
async fn newest(
    mut stream: Streaming<WatchEventsResponse>,
    limit: usize,
) -> Result<Vec<Event>, Failure> {
    let mut events = VecDeque::new();
    while let Some(WatchEventsResponse { sent }) = stream.message().await? {
        if let Some(Sent::Event(event)) = sent {
            if events.len() >= limit {
                events.pop_front();
            }
            events.push_back(event);
        }
    }
    Ok(events.into())
}

/// Shows events as they come, for ever; a connection that breaks is made anew from where it was.
async fn follow(
    mut request: WatchEventsRequest,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let mut stream = watch(&connect(place).await?, request.clone()).await?;
    loop {
        let broken = show(&mut stream, &mut request, output).await?;
        if !is_passing(&broken) && !is_stale(&broken) {
            return Err(broken.into());
        }
        let from = request.since_seq.map(|seq| format!(" after event {seq}")).unwrap_or_default();
        output.note(&format!("the stream broke, and goes on{from}: {broken}"))?;
        stream = again(&request, place).await?;
    }
}

/// Opens the stream anew, as soon as the gateway is there.
async fn again(
    request: &WatchEventsRequest,
    place: &Place,
) -> Result<Streaming<WatchEventsResponse>, Failure> {
    let mut wait = FIRST;
    loop {
        tokio::time::sleep(wait).await;
        let opened = async { watch(&connect(place).await?, request.clone()).await };
        match opened.await {
            Err(Failure::Call(error)) if is_passing(&error) => {}
            Err(failure @ Failure::Connect(_)) if failure.exit() == Exit::Unreachable => {}
            other => return other,
        }
        wait = wait.saturating_mul(2).min(LONGEST);
    }
}

/// Shows what comes, and keeps in the request how far it has come; returns why there is no more.
async fn show(
    stream: &mut Streaming<WatchEventsResponse>,
    request: &mut WatchEventsRequest,
    output: &mut Output,
) -> Result<CallError, Failure> {
    loop {
        let sent = match stream.message().await {
            Ok(Some(WatchEventsResponse { sent })) => sent,
            Ok(None) => return Ok(tonic::Status::unavailable("the gateway ended it").into()),
            Err(status) => return Ok(status.into()),
        };
        match sent {
            Some(Sent::Event(event)) => {
                match output.format() {
                    Format::Human => output.line(&line(&event))?,
                    Format::Json => {
                        let line = output.json_line(&event)?;
                        output.bytes(line.as_bytes())?;
                    }
                }
                request.since_seq = Some(event.seq);
            }
            Some(Sent::Bookmark(bookmark)) => request.since_seq = Some(bookmark.seq),
            None => {}
        }
    }
}

/// Tells whether the gateway may be there again soon.
fn is_passing(error: &CallError) -> bool {
    error.origin() == Origin::Transport && error.reason().is_none()
        || error.code() == Code::Unavailable
}

/// Tells whether the device proves its key again, and goes on.
fn is_stale(error: &CallError) -> bool {
    error.code() == Code::Unauthenticated
        && matches!(error.reason(), Some("TOKEN_EXPIRED" | "TOKEN_REVOKED"))
}

/// An event as one line: the widths are those of most.
fn line(event: &Event) -> String {
    let Event { seq, kind, subject, state, session_key, owner, .. } = event;
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
    let (state, session_key) = (or_dash(state), or_dash(session_key));
    let at = moment(event);
    format!("{seq:<7} {at}  {kind:<17}  {state:<9}  {subject}  {session_key}  {}", or_dash(owner))
}

/// When it happened, by the clock of the machine that shows it.
fn moment(event: &Event) -> String {
    let at = event.at.as_ref().and_then(|at| jiff::Timestamp::new(at.seconds, at.nanos).ok());
    at.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()).unwrap_or_default()
}

fn rows(events: &[Event]) -> String {
    let rows = events.iter().map(|event| {
        vec![
            event.seq.to_string(),
            moment(event),
            event.kind.clone(),
            event.state.clone(),
            event.subject.clone(),
            event.session_key.clone(),
            event.owner.clone(),
        ]
    });
    table::columns(&["SEQ", "AT", "KIND", "STATE", "SUBJECT", "SESSION", "OWNER"], rows)
}
