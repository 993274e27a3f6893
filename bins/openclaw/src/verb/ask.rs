//! `agent` and `chat`: asking an agent.

use openclaw_client::fresh_key;
use openclaw_client::v1::{MessageOrigin, QueueMode, StartRunRequest};
use openclaw_proto::to_duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::signal::unix::{SignalKind, signal};

use super::text;
use crate::cli::{AgentArgs, ChatArgs, OriginArgs, QueueName, With};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{Format, Output, Sink};
use crate::place::Place;
use crate::turn::{self, View};

/// The longest message that is read from standard input, in bytes.
const MAX_MESSAGE: u64 = 4 << 20;

pub(super) async fn agent(
    args: AgentArgs,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let message = match args.message.as_str() {
        "-" => standard_input().await?,
        _ => args.message,
    };
    if message.trim().is_empty() {
        let next = "openclaw agent --message 'Hello'";
        return Err(Failure::advised(Exit::Usage, "the message is empty", next));
    }
    let client = place.connect_for(&["agent", "sessions.abort"]).await?;
    let mut interrupts = signal(SignalKind::interrupt())?;
    let view = match (args.json_stream, output.format()) {
        (true, _) => View::Events,
        (false, Format::Json) => View::Document,
        (false, Format::Human) => View::Answer,
    };
    let key = match args.idempotency_key {
        Some(key) => key,
        None => fresh_key()?,
    };
    let request = StartRunRequest {
        idempotency_key: key.to_string(),
        message,
        session_key: text(args.with.session),
        agent_id: text(args.with.agent),
        timeout: args.timeout.map(to_duration),
        origin: origin(args.origin),
        queue_mode: queue_mode(args.queue).into(),
    };
    turn::run(&client, request, view, &mut interrupts, output).await
}

const fn queue_mode(queue: Option<QueueName>) -> QueueMode {
    match queue {
        None => QueueMode::Unspecified,
        Some(QueueName::Steer) => QueueMode::Steer,
        Some(QueueName::Followup) => QueueMode::Followup,
        Some(QueueName::Collect) => QueueMode::Collect,
        Some(QueueName::Interrupt) => QueueMode::Interrupt,
    }
}

fn origin(args: OriginArgs) -> Option<MessageOrigin> {
    Some(MessageOrigin {
        channel: args.channel?,
        account_id: text(args.account),
        peer_kind: text(args.kind),
        peer_id: text(args.to),
        thread_id: text(args.thread),
        ..MessageOrigin::default()
    })
}

/// Reads a message from standard input.
pub(super) async fn standard_input() -> Result<String, Failure> {
    let mut message = String::new();
    let mut input = tokio::io::stdin().take(MAX_MESSAGE.saturating_add(1));
    let length = input.read_to_string(&mut message).await.map_err(|error| {
        Failure::told(Exit::Usage, format!("cannot read the message from standard input: {error}"))
    })?;
    if u64::try_from(length).is_ok_and(|length| length <= MAX_MESSAGE) {
        Ok(message)
    } else {
        let cause = format!("the message on standard input is longer than {MAX_MESSAGE} bytes");
        Err(Failure::told(Exit::Usage, cause))
    }
}

pub(super) async fn chat(
    args: ChatArgs,
    place: &Place,
    output: &mut Output,
) -> Result<Exit, Failure> {
    if output.format() == Format::Json {
        let next = "openclaw agent --message TEXT --json";
        return Err(Failure::advised(Exit::Usage, "`chat` has no JSON form", next));
    }
    let client = place.connect_for(&["agent", "sessions.abort"]).await?;
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let is_prompted = output.err_sink() == Sink::Terminal;
    let mut has_failed = false;
    if is_prompted {
        output.note("Ctrl-C ends an answer; Ctrl-D or /quit leaves.")?;
    }
    loop {
        if is_prompted {
            output.prompt("> ")?;
        }
        let line = tokio::select! {
            line = lines.next_line() => line.map_err(|error| {
                Failure::told(Exit::Failed, format!("cannot read standard input: {error}"))
            })?,
            _ = interrupts.recv() => return Ok(Exit::Interrupted),
        };
        let Some(line) = line else { break };
        match line.trim() {
            "" => continue,
            "/quit" | "/exit" => break,
            _ => {}
        }
        let request = question(&args.with, line)?;
        match turn::run(&client, request, View::Answer, &mut interrupts, output).await {
            Ok(_) => {}
            Err(failure) if failure.exit() == Exit::Unreachable => return Err(failure),
            Err(failure) => {
                // The conversation goes on.
                has_failed = true;
                output.fail(&failure, &place.command("gateway run"));
            }
        }
    }
    if is_prompted {
        output.prompt("\n")?;
    }
    // A person has seen it; a script learns it here.
    Ok(if has_failed && !is_prompted { Exit::Failed } else { Exit::Ok })
}

fn question(with: &With, message: String) -> Result<StartRunRequest, Failure> {
    Ok(StartRunRequest {
        idempotency_key: fresh_key()?.to_string(),
        message,
        session_key: text(with.session.as_ref()),
        agent_id: text(with.agent.as_ref()),
        ..StartRunRequest::default()
    })
}
