//! Tests of the loop: tool steps, refusals, a failing journal, cancellation and every limit.

use std::sync::Mutex;

use futures_util::FutureExt as _;
use openclaw_scopes::{
    Caller, Capability, CapabilitySet, Epoch, Grant, RunId, SessionKey, authorize,
};
use serde_json::Value;

use super::*;
use crate::offline::{OFFLINE_MODEL, OfflineModel, OfflineScript};
use crate::tool::{Tool, ToolError, ToolSpec};

/// A journal, a gate, a watcher and a tool, all of which remember.
#[derive(Debug)]
struct World {
    records: Mutex<Vec<Record>>,
    events: Mutex<Vec<TurnEvent>>,
    /// After so many records the journal fails like this.
    fails: Option<(usize, JournalError)>,
    cancel: CancellationToken,
    limits: TurnLimits,
    held: CapabilitySet,
    /// What is told after the first result of a tool.
    waiting: Mutex<Vec<Record>>,
    yields: YieldFlag,
}

impl Default for World {
    fn default() -> Self {
        Self {
            cancel: CancellationToken::new(),
            events: Mutex::default(),
            fails: None,
            held: CapabilitySet::of(&[Capability::SessionsStatus]),
            limits: TurnLimits::default(),
            records: Mutex::default(),
            waiting: Mutex::default(),
            yields: YieldFlag::default(),
        }
    }
}

impl Journal for World {
    fn append<'a>(&'a self, records: Vec<Record>) -> BoxFuture<'a, Result<(), JournalError>> {
        let mut all = self.records.lock().unwrap();
        let result = match &self.fails {
            Some((after, error)) if all.len() >= *after => Err(error.clone()),
            _ => {
                all.extend(records);
                Ok(())
            }
        };
        std::future::ready(result).boxed()
    }

    fn notices(&self) -> BoxFuture<'_, Result<Vec<Record>, JournalError>> {
        let mut all = self.records.lock().unwrap();
        let answered = all.iter().any(|record| matches!(record, Record::ToolResult(_)));
        let told =
            if answered { std::mem::take(&mut *self.waiting.lock().unwrap()) } else { vec![] };
        all.extend(told.iter().cloned());
        std::future::ready(Ok(told)).boxed()
    }

    fn is_steered(&self) -> bool {
        // Not before something was done.
        let all = self.records.lock().unwrap();
        all.iter().any(|record| matches!(record, Record::ToolResult(_))) && self.has_message()
    }
}

impl World {
    /// Whether a message waits that the user said.
    fn has_message(&self) -> bool {
        let waiting = self.waiting.lock().unwrap();
        waiting.iter().any(|record| matches!(record, Record::Steered { .. }))
    }
}

impl ToolGate for World {
    fn admit<'a>(
        &'a self,
        target: ToolTarget,
    ) -> BoxFuture<'a, Result<Authorized<InvokeTool>, Refusal>> {
        let run = RunId::parse("r").unwrap();
        let session = SessionKey::parse("agent:main:main").unwrap();
        let caller = Caller::run(run, session, Grant::owner(Epoch(1)), self.held);
        let decided = authorize::<InvokeTool>(&caller, target, Some(Epoch(1)));
        let decided = decided.map_err(|denial| Refusal { text: format!("refused: {denial}") });
        std::future::ready(decided).boxed()
    }
}

impl TurnSink for World {
    fn emit(&self, event: TurnEvent) {
        self.events.lock().unwrap().push(event);
    }
}

#[derive(Debug)]
enum Behavior {
    Cancel(CancellationToken),
    Echo,
    Fail,
    Hang(CancellationToken),
}

#[derive(Debug)]
struct Trial(ToolSpec, Behavior);

impl Tool for Trial {
    fn spec(&self) -> &ToolSpec {
        &self.0
    }

    fn capability(&self) -> Capability {
        if self.0.name == "secret" { Capability::FilesRead } else { Capability::SessionsStatus }
    }

    fn call<'a>(
        &'a self,
        arguments: Value,
        cancel: &'a CancellationToken,
    ) -> BoxFuture<'a, Result<String, ToolError>> {
        async move {
            match &self.1 {
                Behavior::Cancel(token) => {
                    token.cancel();
                    cancel.cancelled().await;
                    Err(ToolError::Canceled)
                }
                Behavior::Echo => Ok(arguments.to_string()),
                Behavior::Fail => Err(ToolError::NotFound { path: "x".into() }),
                Behavior::Hang(token) => {
                    token.cancel();
                    std::future::pending().await
                }
            }
        }
        .boxed()
    }
}

impl World {
    async fn run(&self, model: &dyn Model) -> TurnOutcome {
        let tools = [
            ("echo", Behavior::Echo),
            ("fail", Behavior::Fail),
            ("secret", Behavior::Echo),
            ("cancel", Behavior::Cancel(self.cancel.clone())),
            ("hang", Behavior::Hang(self.cancel.clone())),
        ];
        let tools = tools.map(|(name, behavior)| -> Arc<dyn Tool> {
            let name = name.to_owned();
            let spec = ToolSpec { description: String::new(), name, parameters: Value::Null };
            Arc::new(Trial(spec, behavior))
        });
        let toolbox = Toolbox::new(tools.to_vec()).unwrap();
        let turn = Turn {
            album: None,
            cancel: self.cancel.clone(),
            history: vec![Arc::new(Message::User { text: "go".into() })],
            limits: self.limits,
            model,
            system: "".into(),
            toolbox: &toolbox,
            yields: self.yields.clone(),
        };
        run_turn(turn, Ports { gate: self, journal: self, sink: self }).await
    }

    async fn play(&self, script: &str) -> TurnOutcome {
        let script = OfflineScript::parse(script).unwrap();
        self.run(&OfflineModel::new(OFFLINE_MODEL, script.into())).await
    }

    fn results(&self) -> Vec<(String, ToolOutcome, String)> {
        let records = self.records.lock().unwrap();
        let results = records.iter().filter_map(|record| match record {
            Record::ToolResult(result) => {
                Some((result.name.clone(), result.outcome, result.content.clone()))
            }
            _ => None,
        });
        results.collect()
    }
}

fn calls(names: &[&str]) -> String {
    let calls: Vec<_> = names.iter().map(|name| format!("{{ name = \"{name}\" }}")).collect();
    format!("[[reply]]\ntext = \"I try.\"\ntoolCalls = [{}]\n", calls.join(", "))
}

const THEN_DONE: &str = "[[reply]]\nafterTool = \"*\"\ntext = \"Done: {result}\"\n";

fn answer(outcome: &TurnOutcome) -> &str {
    match outcome {
        TurnOutcome::Answer { message, .. } => &message.text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_plain_answer_writes_nothing_and_streams_its_text() {
    let world = World::default();
    let outcome = world.play("").await;
    assert!(answer(&outcome).ends_with("You said: go"));
    assert_eq!(*world.records.lock().unwrap(), []);
    let text = answer(&outcome).to_owned();
    assert_eq!(*world.events.lock().unwrap(), [TurnEvent::Text(text)]);
}

#[tokio::test]
async fn tools_run_in_order_and_each_step_is_journaled_before_the_next() {
    let world = World::default();
    let script = format!("{}{THEN_DONE}", calls(&["echo", "fail", "secret", "nope"]));
    let outcome = world.play(&script).await;
    let results = world.results();
    #[rustfmt::skip]
    let expected = [
        ("echo",   ToolOutcome::Ok,    "{}"),
        ("fail",   ToolOutcome::Error, "there is no `x` in the workspace; `list_dir` shows what there is"),
        ("secret", ToolOutcome::Error, "refused: missing capability: files:read"),
        ("nope",   ToolOutcome::Error, "there is no tool `nope` in this conversation"),
    ];
    for ((name, outcome, content), expected) in results.iter().zip(expected) {
        assert_eq!((name.as_str(), *outcome, content.as_str()), expected);
    }
    assert_eq!(answer(&outcome), format!("Done: {}", expected[3].2));
    let records = world.records.lock().unwrap();
    assert_eq!(records.len(), 5, "the answer itself is the caller's to write");
    let Record::AssistantMessage(first) = &records[0] else { panic!() };
    let TurnOutcome::Answer { message, usage } = &outcome else { panic!() };
    assert_eq!(*usage, first.usage.plus(message.usage));
    let events = world.events.lock().unwrap();
    assert_eq!(events.len(), 1 + 2 * 4 + 1);
    let started = &events[1];
    assert!(matches!(started, TurnEvent::ToolStarted { name, .. } if name == "echo"));
}

#[tokio::test]
async fn a_failing_journal_ends_the_turn_and_is_not_the_models_fault() {
    for error in [JournalError::Fenced, JournalError::Storage("disk full".into())] {
        for after in 0..2 {
            let world = World { fails: Some((after, error.clone())), ..World::default() };
            let outcome = world.play(&format!("{}{THEN_DONE}", calls(&["echo"]))).await;
            let TurnOutcome::Storage { error: reported, .. } = outcome else { panic!() };
            assert_eq!(reported, error);
            assert_eq!(world.records.lock().unwrap().len(), after);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn cancellation_ends_the_turn_wherever_it_is() {
    let world = World::default();
    world.cancel.cancel();
    let outcome = world.play("").await;
    assert_eq!(outcome, TurnOutcome::Cancelled { text: String::new(), usage: Usage::default() });

    // While the model speaks: what it had said is kept.
    let world = World::default();
    let script = "[[reply]]\ntext = \"abcdef\"\nchunks = 2\ndelayMs = 1000\n";
    let (outcome, ()) = tokio::join!(world.play(script), async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.cancel.cancel();
    });
    assert!(matches!(outcome, TurnOutcome::Cancelled { text, .. } if text == "abc"));

    // While a tool runs, which ends by itself or has to be left.
    for (tool, grace) in [("cancel", 0), ("hang", 5)] {
        let world = World::default();
        let start = tokio::time::Instant::now();
        let outcome = world.play(&calls(&[tool, "echo"])).await;
        assert!(matches!(outcome, TurnOutcome::Cancelled { .. }), "{outcome:?}");
        assert_eq!(start.elapsed(), Duration::from_secs(grace));
        assert_eq!(world.records.lock().unwrap().len(), 1, "no result is made up");
    }
}

#[tokio::test]
async fn every_limit_ends_in_its_own_way() {
    let limits = TurnLimits {
        max_answer_bytes: 60,
        max_history_bytes: None,
        max_output_tokens: None,
        max_result_bytes: 5,
        max_steps: 3,
        max_tool_calls: 1,
    };
    let world = World { limits, ..World::default() };
    let again = calls(&["echo"]).replace("[[reply]]", "[[reply]]\nafterTool = \"*\"");
    let outcome = world.play(&format!("{}{again}", calls(&["echo"]))).await;
    assert!(matches!(outcome, TurnOutcome::StepLimit { max_steps: 3, .. }));
    assert_eq!(world.records.lock().unwrap().len(), 6);

    // It asks once however long the history is, and has written what came of that.
    let world =
        World { limits: TurnLimits { max_history_bytes: Some(1), ..limits }, ..World::default() };
    let outcome = world.play(&format!("{}{again}", calls(&["echo"]))).await;
    assert!(matches!(outcome, TurnOutcome::Outgrown { steps: 1, .. }));
    assert_eq!(world.records.lock().unwrap().len(), 2);

    let world = World { limits, ..World::default() };
    world.play(&format!("{}{THEN_DONE}", calls(&["echo", "echo"]))).await;
    let (_, outcome, content) = world.results().pop().unwrap();
    assert_eq!(outcome, ToolOutcome::Error);
    assert_eq!(content, "not r\n[truncated: 5 of 48 bytes are shown]");

    let world = World { limits, ..World::default() };
    let outcome = world.play(&format!("[[reply]]\ntext = \"{}\"\n", "x".repeat(61))).await;
    assert!(
        matches!(&outcome, TurnOutcome::Failed { error: ModelError::Protocol { .. }, .. }),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_failed_model_keeps_what_it_said() {
    let world = World::default();
    let outcome = world.play("[[reply]]\ntext = \"half\"\nfailure = \"network\"\n").await;
    let TurnOutcome::Failed { error, text, .. } = outcome else { panic!() };
    assert_eq!((error.name(), text.as_str()), ("network", "half"));
}

/// A message that comes in while a tool runs: that one finishes, the others are not begun, and the model
/// reads the message as one of the user.
#[tokio::test]
async fn a_turn_is_steered_between_its_tools() {
    let world = World::default();
    let steered = Record::Steered { run: "s".into(), text: "Stop, use the red one.".into() };
    *world.waiting.lock().unwrap() = vec![steered];
    let then = "[[reply]]\nmatch = \"red one\"\ntext = \"Red it is.\"\n";
    let outcome = world.play(&format!("{then}{}", calls(&["echo", "echo", "echo"]))).await;
    assert_eq!(answer(&outcome), "Red it is.");
    let records = world.records.lock().unwrap();
    let outcomes: Vec<_> = records
        .iter()
        .filter_map(|record| match record {
            Record::ToolResult(result) => Some(result.outcome),
            _ => None,
        })
        .collect();
    assert_eq!(outcomes, [ToolOutcome::Ok, ToolOutcome::Skipped, ToolOutcome::Skipped]);
    assert!(matches!(records.last(), Some(Record::Steered { .. })), "{records:?}");
}

#[test]
fn a_turn_can_move_between_threads() {
    fn check<'a>(turn: Turn<'a>, ports: Ports<'a>) -> impl Future<Output = TurnOutcome> + Send {
        run_turn(turn, ports)
    }
    let _: fn(_, _) -> _ = check;
}

/// What comes while a tool runs is told before the model is asked again, once.
#[tokio::test]
async fn a_turn_is_told_between_its_steps() {
    let world = World::default();
    let notice = openclaw_sessions::Notice {
        run: "c1".into(),
        kind: openclaw_sessions::NoticeKind::End,
        child: "agent:main:subagent:c".into(),
        label: "look".into(),
        status: openclaw_sessions::RunStatus::Ok,
        text: "It is blue.".into(),
    };
    *world.waiting.lock().unwrap() = vec![Record::Notices { notices: vec![notice] }];
    let outcome = world.play(&format!("{}{THEN_DONE}", calls(&["echo"]))).await;
    let said = answer(&outcome);
    assert!(
        said.contains("[look, run c1, session agent:main:subagent:c: ok]\n> It is blue."),
        "{said}"
    );
    let kinds: Vec<_> = world.records.lock().unwrap().iter().map(std::mem::discriminant).collect();
    assert_eq!(kinds.len(), 3, "the call, its result, and the notice");
}

#[tokio::test]
async fn a_turn_that_yields_ends_after_its_calls() {
    let world = World::default();
    world.yields.set("Later.".into());
    let outcome = world.play(&format!("{}{THEN_DONE}", calls(&["echo", "fail"]))).await;
    assert_eq!(answer(&outcome), "Later.");
    assert_eq!(world.results().len(), 2, "no call is without its result");
}
