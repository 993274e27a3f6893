//! Conversations that delegate: random work, restarts and removals against laws that always hold, and single
//! cases beside.

mod acts;
mod bounds;
mod ended;
mod ends;
mod family;
mod heard;
mod laws;
mod model;
mod rest;
mod stops;
mod told;
mod world;

use std::collections::BTreeMap;

use openclaw_scopes::{AgentId, CapabilitySet, SessionKey};

use self::world::World;
use super::accept;
use super::authority::variable;
use crate::{Assignment, Cleanup, Precedence, SpawnChild, SpawnLimits};

/// Steps of one walk.
const STEPS: u64 = 300;
/// Walks of a test run: those that find something where a rule is left out. Others where the variables say
/// so that `cargo xtask sim` uses.
const SEEDS: [u64; 12] = [1, 2, 3, 6, 7, 10, 12, 21, 25, 33, 73, 100];
/// Steps of the first walk after each of which it crashes, too.
const CRASHES: u64 = 100;
/// Steps after which the journals are read.
const READ: u64 = 10;
/// How far delegation may go here: little, so that the limits are met.
const LIMITS: SpawnLimits = SpawnLimits { depth: 3, children: 2 };
/// What has to happen, or the laws were not tried.
const HAPPENS: [&str; 31] = [
    "asked where it is put away",
    "began without a grant",
    "buried",
    "cancelled",
    "cancelled by the owner",
    "delegated",
    "delegated again",
    "delegated by the owner",
    "delegated without a grant",
    "deleted",
    "deleted in part",
    "discarded",
    "ended before its turn",
    "goes on after a stop",
    "handed up",
    "interrupted",
    "not capable of it",
    "not put away",
    "purged",
    "purged in part",
    "put away or back",
    "reaped",
    "reset",
    "reset with what it delegated",
    "retried",
    "told at work",
    "told in a turn of its own",
    "too deep",
    "too many",
    "waits for what it delegated",
    "written late",
];

#[tokio::test]
//= docs/threat-model.md#T16
//= docs/threat-model.md#T24
async fn delegation_is_told_once_whatever_happens() {
    let walks = variable("OPENCLAW_SIM_STEPS").map_or(1, |steps| steps.div_ceil(STEPS));
    let seeds: Vec<_> = match variable("OPENCLAW_SIM_SEED") {
        Some(first) => (first..first + walks).collect(),
        None => SEEDS.into(),
    };
    let mut tally = BTreeMap::<_, u32>::new();
    for seed in &seeds {
        println!("OPENCLAW_SIM_SEED={seed} OPENCLAW_SIM_STEPS={STEPS}");
        let mut world = World::new(*seed);
        for step in 0..STEPS {
            world.step().await;
            world.check();
            if step % READ == 0 {
                world.check_journals();
            }
            if *seed == seeds[0] && step < CRASHES {
                // Whatever was on the disk when it crashed: nothing is lost, and all of it comes to its end.
                world.crashed().await.come_to_rest().await;
            }
        }
        world.come_to_rest().await;
        for (what, count) in std::mem::take(&mut world.tally) {
            *tally.entry(what).or_default() += count;
        }
    }
    for (what, count) in &tally {
        println!("{count:9} {what}");
    }
    let missing = |what: &&&str| seeds == SEEDS && !tally.contains_key(**what);
    assert_eq!(HAPPENS.iter().find(missing), None, "what was never tried");
}

/// A delegation to a conversation `subagent:NAME` by the run `NAME`.
fn order(name: &str, parent: &SessionKey, precedence: Precedence) -> SpawnChild {
    let accept = accept(name, &format!("subagent:{name}"), precedence);
    let assignment = Assignment {
        max_tokens: None,
        label: String::new(),
        model: String::new(),
        cleanup: Cleanup::Keep,
        tools: Vec::new(),
        capabilities: CapabilitySet::EMPTY,
        agent: AgentId::parse("main").unwrap(),
        timeout: None,
    };
    SpawnChild { accept, parent: parent.clone(), assignment, limits: LIMITS }
}
