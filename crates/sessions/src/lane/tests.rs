//! The laws of the lanes.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use expect_test::expect;
use openclaw_scopes::{RunId, SessionKey};
use proptest::prelude::{ProptestConfig, Strategy, prop, prop_assert, prop_assert_eq, proptest};

use super::{
    EnqueueError, LaneLimits, Lanes, MAX_WAITING_PER_SESSION, Removed, default_concurrency,
};

fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn session(number: usize) -> SessionKey {
    SessionKey::parse(&format!("agent:main:s{number}")).unwrap()
}

fn run(number: usize) -> RunId {
    RunId::parse(&format!("r{number}")).unwrap()
}

fn lanes(concurrency: usize) -> Lanes {
    Lanes::new(LaneLimits::with_concurrency(count(concurrency)))
}

fn drain(lanes: &mut Lanes) -> String {
    let mut order = Vec::new();
    while let Some(turn) = lanes.start_next() {
        order.push(turn.run.to_string());
        assert!(lanes.finish(&turn.run));
    }
    order.join(" ")
}

/// Conversations that wait for their sub-agents hold up none of them, and jobs hold up nobody.
#[test]
fn each_class_has_room_of_its_own() {
    let key = |rest: &str| SessionKey::parse(&format!("agent:main:{rest}")).unwrap();
    let limits = LaneLimits {
        background: count(1),
        subagents: count(2),
        ..LaneLimits::with_concurrency(count(1))
    };
    let mut lanes = Lanes::new(limits);
    let sessions =
        ["main", "explicit:a", "subagent:a", "subagent:b", "subagent:c", "cron:j:run:1", "hook:h"];
    for (at, session) in sessions.iter().enumerate() {
        lanes.enqueue(key(session), run(at)).unwrap();
    }
    let mut running = Vec::new();
    while let Some(turn) = lanes.start_next() {
        running.push(turn.session.to_string().trim_start_matches("agent:main:").to_owned());
    }
    assert_eq!(running, ["cron:j:run:1", "main", "subagent:a", "subagent:b"]);
    assert_eq!((lanes.running(), lanes.waiting()), (4, 3));
    assert!(lanes.finish(&run(3)));
    assert_eq!(lanes.start_next().unwrap().session, key("subagent:c"));
    assert_eq!(lanes.start_next(), None, "the others' room is not taken");
}

#[test]
fn concurrency_grows_with_the_machine() {
    for (cpus, runs) in [(1, 8), (2, 8), (3, 12), (64, 256), (usize::MAX, usize::MAX)] {
        assert_eq!(default_concurrency(count(cpus)), count(runs));
    }
}

/// An agent whom everybody writes to has its turn as often as one with a single conversation.
#[test]
fn agents_have_turns_alike() {
    let key = |agent: &str, at: usize| {
        SessionKey::parse(&format!("agent:{agent}:explicit:s{at}")).unwrap()
    };
    let mut lanes = lanes(1);
    for at in 0..20 {
        lanes.enqueue(key("busy", at), run(at)).unwrap();
    }
    let first = lanes.start_next().unwrap();
    for at in 0..3 {
        lanes.enqueue(key("quiet", at), run(100 + at)).unwrap();
    }
    lanes.finish(&first.run);
    let mut order = Vec::new();
    while let Some(turn) = lanes.start_next() {
        order.push(turn.session.to_string().split(':').nth(1).unwrap().to_owned());
        assert!(lanes.finish(&turn.run));
    }
    let quiet: Vec<_> = (0..order.len()).filter(|at| order[*at] == "quiet").collect();
    assert!(quiet.iter().enumerate().all(|(nth, at)| *at <= 2 * nth + 1), "{order:?}");
    assert_eq!((quiet.len(), order.len()), (3, 22));
    assert!(lanes.is_idle());
}

#[test]
fn who_is_in_a_hurry_is_next() {
    let mut lanes = lanes(8);
    for number in [1, 2, 3] {
        lanes.enqueue(session(0), run(number)).unwrap();
    }
    assert_eq!(lanes.start_next().unwrap().run, run(1));
    lanes.hurry(&run(3));
    lanes.hurry(&run(1));
    lanes.hurry(&run(9));
    assert_eq!(lanes.waiting_in(&session(0)).collect::<Vec<_>>(), [&run(3), &run(2)]);
    assert!(lanes.finish(&run(1)));
    assert_eq!(drain(&mut lanes), format!("{} {}", run(3), run(2)));
}

#[test]
fn a_session_runs_one_at_a_time_and_in_order() {
    let mut lanes = lanes(8);
    for number in [1, 2, 3] {
        lanes.enqueue(session(0), run(number)).unwrap();
    }
    assert_eq!(lanes.start_next().unwrap().run, run(1));
    assert_eq!(lanes.start_next(), None, "the session is busy");
    assert_eq!(lanes.running_in(&session(0)), Some(&run(1)));
    assert_eq!(lanes.waiting_in(&session(0)).collect::<Vec<_>>(), [&run(2), &run(3)]);
    assert!(!lanes.finish(&run(2)), "it does not run");
    assert!(lanes.finish(&run(1)));
    assert!(!lanes.finish(&run(1)), "it has ended");
    assert_eq!(drain(&mut lanes), "r2 r3");
}

#[test]
fn sessions_take_turns() {
    let mut lanes = lanes(1);
    for (number, of) in [0, 0, 0, 1, 1, 2].into_iter().enumerate() {
        lanes.enqueue(session(of), run(number)).unwrap();
    }
    assert_eq!(drain(&mut lanes), "r0 r3 r5 r1 r4 r2");
}

#[test]
//= docs/threat-model.md#T26
fn bounds_are_kept_but_not_against_acknowledged_runs() {
    let mut few = Lanes::new(LaneLimits { waiting: 3, ..lanes(1).limits });
    for number in 0..3 {
        few.enqueue(session(number), run(number)).unwrap();
    }
    assert_eq!(few.check(&session(9)), Err(EnqueueError::Full { limit: 3 }));
    few.restore(session(9), run(9)).unwrap();
    assert_eq!(few.restore(session(8), run(9)), Err(EnqueueError::Duplicate { run: run(9) }));
    assert_eq!(few.waiting(), 4);

    let mut lanes = lanes(1);
    lanes.enqueue(session(0), run(0)).unwrap();
    assert!(lanes.start_next().is_some());
    for number in 0..MAX_WAITING_PER_SESSION {
        lanes.enqueue(session(0), run(number + 1)).unwrap();
    }
    expect!["20 runs already wait for their turn in session `agent:main:s0`"]
        .assert_eq(&lanes.enqueue(session(0), run(99)).unwrap_err().to_string());
    lanes.enqueue(session(1), run(99)).unwrap();
}

#[test]
fn a_waiting_run_can_be_taken_out() {
    let mut lanes = lanes(1);
    lanes.enqueue(session(0), run(0)).unwrap();
    lanes.enqueue(session(0), run(1)).unwrap();
    lanes.enqueue(session(1), run(2)).unwrap();
    assert!(lanes.start_next().is_some());
    assert_eq!(lanes.remove(&run(0)), Removed::Running);
    assert_eq!(lanes.remove(&run(1)), Removed::Waiting);
    assert_eq!(lanes.remove(&run(1)), Removed::Unknown);
    assert_eq!(lanes.remove(&run(2)), Removed::Waiting);
    assert!(lanes.finish(&run(0)));
    assert!(lanes.is_idle());
    assert_eq!(lanes.start_next(), None);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Enqueue(usize),
    Finish(usize),
    Next,
    Remove(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = proptest::prop_oneof![
        4 => (0..6_usize).prop_map(Step::Enqueue),
        3 => (0..8_usize).prop_map(Step::Finish),
        4 => proptest::strategy::Just(Step::Next),
        1 => (0..100_usize).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn lanes_do_what_a_simple_model_does(steps in steps(), concurrency in 1..5_usize) {
        let limits = LaneLimits {
            waiting: 12,
            waiting_per_session: 4,
            ..LaneLimits::with_concurrency(count(concurrency))
        };
        let mut lanes = Lanes::new(limits);
        // The model: what waits per session, and what runs, with how often others went first.
        let mut waiting: BTreeMap<SessionKey, Vec<RunId>> = BTreeMap::new();
        let mut running: Vec<(SessionKey, RunId)> = Vec::new();
        let mut overtaken: BTreeMap<SessionKey, usize> = BTreeMap::new();
        let mut made = 0;
        for step in steps {
            match step {
                Step::Enqueue(of) => {
                    made += 1;
                    let (of, run) = (session(of), run(made));
                    let all: usize = waiting.values().map(Vec::len).sum();
                    let here = waiting.get(&of).map_or(0, Vec::len);
                    let fits = all < 12 && here < 4;
                    prop_assert_eq!(lanes.enqueue(of.clone(), run.clone()).is_ok(), fits);
                    if fits {
                        waiting.entry(of).or_default().push(run);
                    }
                }
                Step::Finish(at) => {
                    let known = (!running.is_empty()).then(|| running.remove(at % running.len()));
                    if let Some((of, run)) = known {
                        prop_assert!(lanes.finish(&run));
                        overtaken.remove(&of);
                    }
                }
                Step::Next => match lanes.start_next() {
                    Some(turn) => {
                        let queue = waiting.get_mut(&turn.session).unwrap();
                        prop_assert_eq!(queue.remove(0), turn.run.clone(), "first in, first out");
                        prop_assert!(running.iter().all(|(of, _)| *of != turn.session));
                        overtaken.remove(&turn.session);
                        running.push((turn.session, turn.run));
                        prop_assert!(running.len() <= concurrency);
                        for (of, queue) in &waiting {
                            if !queue.is_empty() && running.iter().all(|(busy, _)| busy != of) {
                                let times = overtaken.entry(of.clone()).or_default();
                                *times += 1;
                                prop_assert!(*times <= 6, "{} starves", of);
                            }
                        }
                    }
                    None => {
                        let ready = waiting.iter().any(|(of, queue)| {
                            !queue.is_empty() && running.iter().all(|(busy, _)| busy != of)
                        });
                        prop_assert!(!ready || running.len() == concurrency, "a slot is idle");
                    }
                },
                Step::Remove(number) => {
                    let run = run(number);
                    let expected = if running.iter().any(|(_, running)| *running == run) {
                        Removed::Running
                    } else if waiting.values().flatten().any(|waiting| *waiting == run) {
                        Removed::Waiting
                    } else {
                        Removed::Unknown
                    };
                    prop_assert_eq!(lanes.remove(&run), expected);
                    for queue in waiting.values_mut() {
                        queue.retain(|waiting| *waiting != run);
                    }
                    waiting.retain(|_, queue| !queue.is_empty());
                    overtaken.retain(|of, _| waiting.contains_key(of));
                }
            }
            prop_assert_eq!(lanes.running(), running.len());
            prop_assert_eq!(lanes.waiting(), waiting.values().map(Vec::len).sum::<usize>());
        }
        for (_, run) in running {
            prop_assert!(lanes.finish(&run));
        }
        let left: usize = waiting.values().map(Vec::len).sum();
        let order = drain(&mut lanes);
        prop_assert_eq!(order.split_whitespace().count(), left);
        prop_assert!(lanes.is_idle());
        prop_assert!(lanes.lanes.is_empty() && lanes.line.is_empty() && lanes.sessions.is_empty());
    }
}
