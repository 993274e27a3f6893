//! The decision alone, in this process.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::ensure;
use openclaw_scopes::method::{CreateSession, ListRuns};
use openclaw_scopes::target::{SessionTarget, Whole};
use openclaw_scopes::{Caller, Cause, Epoch, GrantHolder, Scope, ScopeSet, SessionKey, authorize};

use crate::Effort;
use crate::statistics::median;
use crate::table::{Row, Section, time};

/// Decisions between two looks at the clock.
const BATCH: u32 = 10_000;

pub(crate) fn measure(effort: Effort) -> anyhow::Result<Section> {
    let owner = Caller::assertion(1000, Cause::Request, Epoch(1));
    let reader = owner.narrowed(ScopeSet::from(Scope::Read));
    let live = Some(Epoch(1));
    let target = SessionTarget {
        owner: Some(GrantHolder::Owner),
        ..SessionTarget::unowned(SessionKey::parse("agent:main:main")?)
    };
    ensure!(authorize::<CreateSession>(&owner, target.clone(), live).is_ok());
    ensure!(authorize::<CreateSession>(&reader, target.clone(), live).is_err());
    let (mut whole, mut named, mut denied, mut copies) = (vec![], vec![], vec![], vec![]);
    for _ in 0..effort.rounds {
        whole.push(cost(|| authorize::<ListRuns>(black_box(&owner), Whole, live)));
        named.push(cost(|| authorize::<CreateSession>(black_box(&owner), target.clone(), live)));
        denied.push(cost(|| authorize::<CreateSession>(black_box(&reader), target.clone(), live)));
        copies.push(cost(|| (black_box(&owner).clone(), black_box(&target).clone())));
    }
    let copies = shown(&copies);
    let rows = vec![
        Row::new("authorize, the whole gateway", shown(&whole)),
        Row::new("authorize, one conversation", shown(&named)).beside(copies.clone()),
        Row::new("authorize, denied", shown(&denied)).beside(copies),
    ];
    Ok(Section {
        name: "authority",
        title: "Decisions",
        measured: "`scopes::authorize` in this process, one decision after another: allowed \
                   without and with a named target, and refused for a missing scope. The witness \
                   owns copies of caller and target; the limit is making these copies."
            .into(),
        rows,
    })
}

/// What one call takes.
fn cost<T>(mut call: impl FnMut() -> T) -> f64 {
    let begun = Instant::now();
    for _ in 0..BATCH {
        drop(black_box(call()));
    }
    begun.elapsed().as_secs_f64() / f64::from(BATCH)
}

fn shown(costs: &[f64]) -> String {
    time(Duration::from_secs_f64(median(costs.iter().copied())))
}
