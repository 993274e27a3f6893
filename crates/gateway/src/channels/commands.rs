//! What people in chats can have done by a word: the same operations as everywhere, decided by the same table.

use openclaw_config::ModelName;
use openclaw_scopes::{RunId, Standing};
use openclaw_sessions::Routed;
use openclaw_store::{
    ActError, Answer, AnswerCall, Approve, Deny, GetSession, Patch, PatchSession, ResetSession,
    Store, Term,
};

use super::ingress::Known;
use crate::engine::Engine;
use crate::{clock, secrets};

/// A command, as somebody wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Command {
    Approve(String),
    Deny(String),
    Help,
    Model(String),
    New,
    Status,
    Stop,
    Unknown(String),
    Usage,
}

impl Command {
    /// Reads a command; `None` for what is none.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().strip_prefix('/')?;
        let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        // `/status@bot` is how groups of Telegram call one bot of several.
        let word = word.split_once('@').map_or(word, |(word, _)| word).to_ascii_lowercase();
        let is_word = !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if !is_word {
            return None;
        }
        let rest = rest.trim().to_owned();
        Some(match word.as_str() {
            "approve" => Self::Approve(rest),
            "deny" => Self::Deny(rest),
            "help" | "start" => Self::Help,
            "model" => Self::Model(rest),
            "new" | "reset" => Self::New,
            "status" => Self::Status,
            "stop" => Self::Stop,
            "usage" => Self::Usage,
            _ => Self::Unknown(word),
        })
    }
}

const HELP: &str = "Write to me, or:\n\n\
    - /status - how this conversation stands\n\
    - /new or /reset - begin it anew\n\
    - /stop - end what I am at\n\
    - /model NAME - have another model answer\n\
    - /usage - what it has used\n\
    - /approve ID, /deny ID - answer what I ask for";

fn denied<E: std::fmt::Display>(error: &ActError<E>) -> String {
    match error {
        ActError::Denied(denial) => format!("You may not do that here: {denial}."),
        ActError::Failed(failed) => format!("That was not done: {failed}."),
        ActError::Store(_) => "That was not done: the gateway's storage failed.".to_owned(),
    }
}

/// Does what a command says, on behalf of whoever wrote it; returns what they are told.
pub(super) async fn run(
    engine: &Engine,
    store: &Store,
    known: &Known,
    routed: &Routed,
    command: Command,
) -> String {
    match command {
        Command::Help => HELP.to_owned(),
        Command::Unknown(word) => format!("There is no /{word}.\n\n{HELP}"),
        Command::Status => status(engine, store, known, routed).await,
        Command::Usage => usage(store, known, routed).await,
        Command::New => reset(engine, store, known, routed).await,
        Command::Stop => stop(engine, known, routed).await,
        Command::Model(name) => model(engine, store, known, routed, name).await,
        Command::Approve(id) => answer(engine, store, known, id, Approve(Term::Once)).await,
        Command::Deny(id) => {
            answer(engine, store, known, id, Deny("denied in a chat".to_owned())).await
        }
    }
}

async fn status(engine: &Engine, store: &Store, known: &Known, routed: &Routed) -> String {
    let query = GetSession(routed.session.clone());
    let model = match store.view(&known.caller, &query, clock::now()).await {
        Ok(session) => Some(session.model).filter(|model| !model.is_empty()),
        // Nobody has said anything in it yet.
        Err(ActError::Failed(_)) => None,
        Err(error) => return denied(&error),
    };
    let model = model.or_else(|| engine.model_of_agent(&routed.agent));
    format!(
        "Agent {}, model {}. {} in this conversation.",
        routed.agent,
        model.unwrap_or_else(|| "unknown".to_owned()),
        match engine.runs_in(&routed.session).len() {
            0 => "Nothing goes on".to_owned(),
            1 => "One turn goes on or waits".to_owned(),
            many => format!("{many} turns go on or wait"),
        }
    )
}

async fn usage(store: &Store, known: &Known, routed: &Routed) -> String {
    let query = GetSession(routed.session.clone());
    match store.view(&known.caller, &query, clock::now()).await {
        Ok(session) => format!(
            "This conversation has read {} tokens and written {}, in {} turns.",
            session.usage.input_tokens, session.usage.output_tokens, session.total_runs
        ),
        Err(ActError::Failed(_)) => "This conversation has used nothing yet.".to_owned(),
        Err(error) => denied(&error),
    }
}

async fn reset(engine: &Engine, store: &Store, known: &Known, routed: &Routed) -> String {
    let ask = ResetSession { key: routed.session.clone(), reason: "/new in a chat".to_owned() };
    match store.act(&known.caller, ask, clock::now()).await {
        Ok(reset) => {
            engine.ended_outside(&reset.ended).await;
            engine.end_commands(&routed.session).await;
            engine.announce_soon(routed.session.clone());
            "We begin anew. What was said before is kept; `openclaw sessions undo-reset` brings it back."
                .to_owned()
        }
        Err(error) => denied(&error),
    }
}

async fn stop(engine: &Engine, known: &Known, routed: &Routed) -> String {
    let runs: Vec<RunId> = engine.runs_in(&routed.session);
    if runs.is_empty() {
        return "Nothing goes on here.".to_owned();
    }
    let mut stopped = 0_usize;
    for run in &runs {
        match engine.abort(&known.caller, run).await {
            Ok(_view) => stopped = stopped.saturating_add(1),
            Err(error) => return denied(&error),
        }
    }
    format!("Stopped: {stopped}.")
}

async fn model(
    engine: &Engine,
    store: &Store,
    known: &Known,
    routed: &Routed,
    name: String,
) -> String {
    if known.standing != Standing::Owner {
        return "Only an owner chooses the model.".to_owned();
    }
    if name.is_empty() {
        return status(engine, store, known, routed).await;
    }
    let is_known = ModelName::parse(&name).is_ok_and(|name| engine.roster().model(&name).is_some());
    if !is_known {
        let name: String = name.chars().take(64).collect();
        return format!("No model `{}` is configured.", name.escape_debug());
    }
    let patch = Patch { model: Some(name.clone()), ..Patch::default() };
    let ask = PatchSession { key: routed.session.clone(), patch };
    match store.act(&known.caller, ask, clock::now()).await {
        Ok(_session) => format!("From now on `{name}` answers here."),
        Err(error) => denied(&error),
    }
}

async fn answer<A: Answer>(
    engine: &Engine,
    store: &Store,
    known: &Known,
    id: String,
    answer: A,
) -> String
where
    AnswerCall<A>: openclaw_store::Ask<
            Output = openclaw_store::Approval,
            Error = openclaw_store::ApprovalError,
        >,
{
    let Ok(standing) = secrets::hex::<6>() else { return "internal error".to_owned() };
    let ask = AnswerCall { id, answer, standing: format!("sa-{standing}") };
    match store.act(&known.caller, ask, clock::now()).await {
        Ok(approval) => {
            engine.decided();
            format!("{}: {}.", approval.id, approval.state.name())
        }
        Err(error) => denied(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_words_after_a_slash() {
        for (text, command) in [
            ("/help", Some(Command::Help)),
            (" /STATUS@my_bot ", Some(Command::Status)),
            ("/new", Some(Command::New)),
            ("/reset now", Some(Command::New)),
            ("/model local/llama", Some(Command::Model("local/llama".into()))),
            ("/approve ap-1", Some(Command::Approve("ap-1".into()))),
            ("/nothing", Some(Command::Unknown("nothing".into()))),
            ("/etc/passwd is a file", None),
            ("/", None),
            ("hello /help", None),
        ] {
            assert_eq!(Command::parse(text), command, "{text}");
        }
    }
}
