//! Authority never grows: a long random walk over everything that hands it out or takes it away, beside
//! an independent model in the simplest terms.

mod acts;
mod model;
mod names;
mod records;
mod secrets;
mod world;

use std::collections::BTreeMap;

use ring::rand::SecureRandom as _;

use self::records::{Answer, No};
use self::world::World;

/// Steps of a test run. `cargo xtask sim` makes as many as one likes.
const STEPS: u64 = 3_000;
/// Steps after which a walk begins anew, with the next seed and nothing handed out.
const EPISODE: u64 = 2_000;
/// Walks that once found something, or do where a rule is left out.
const SEEDS: [u64; 5] = [1, 5, 7, 14, 18];

type Tally = BTreeMap<(&'static str, Answer), u32>;

async fn walk(seed: u64, steps: u64, tally: &mut Tally) {
    let mut world = World::new(seed);
    for step in 0..steps {
        world.step().await;
        world.check(false);
        if step % 100 == 99 {
            world.look().await;
        }
    }
    world.look().await;
    for (what, count) in std::mem::take(&mut world.tally) {
        *tally.entry(what).or_default() += count;
    }
}

pub(super) fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn fresh_seed() -> u64 {
    let mut bytes = [0; 4];
    ring::rand::SystemRandom::new().fill(&mut bytes).unwrap();
    u32::from_ne_bytes(bytes).into()
}

#[tokio::test]
//= docs/threat-model.md#T31
//= docs/threat-model.md#T32
//= docs/threat-model.md#T34
async fn authority_never_grows() {
    let steps = variable("OPENCLAW_SIM_STEPS").unwrap_or(STEPS);
    let seed = variable("OPENCLAW_SIM_SEED").unwrap_or_else(fresh_seed);
    let mut tally = Tally::new();
    for episode in 0..steps.div_ceil(EPISODE) {
        let (seed, left) = (seed.wrapping_add(episode), steps - episode * EPISODE);
        println!("OPENCLAW_SIM_SEED={seed} OPENCLAW_SIM_STEPS={}", left.min(EPISODE));
        walk(seed, left.min(EPISODE), &mut tally).await;
    }
    for ((action, came), count) in &tally {
        println!("{count:9} {action}: {came:?}");
    }
}

#[tokio::test]
//= docs/threat-model.md#T31
async fn walks_of_old_go_well_and_try_everything() {
    let mut tally = Tally::new();
    for seed in SEEDS {
        println!("seed {seed}");
        walk(seed, 500, &mut tally).await;
    }
    let actions: std::collections::BTreeSet<_> = tally.keys().map(|(action, _)| *action).collect();
    for action in actions {
        let came = |answer| tally.contains_key(&(action, answer));
        assert!(came(Ok(())) || action == "pose", "{action} was never done");
        let is_shown = ["connect", "file", "redeem", "show token", "wish"].contains(&action);
        assert_eq!(came(Err(No::Refused)), !is_shown, "{action}");
    }
}
