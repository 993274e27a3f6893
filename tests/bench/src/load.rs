//! Closed loops: each worker asks again as soon as it was answered.

use std::time::{Duration, Instant};

use crate::Effort;
use crate::statistics::{median, percentile};

/// What a worker does again and again.
pub(crate) trait Operation: Send + 'static {
    /// Does it once.
    fn perform(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What one slice of time showed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) rate: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Sample {
    /// The sample of these answers within `elapsed`.
    pub(crate) fn of(mut answers: Vec<Duration>, elapsed: Duration) -> Self {
        answers.sort_unstable();
        Self {
            rate: answers.len() as f64 / elapsed.as_secs_f64(),
            p50: percentile(&answers, 0.5),
            p99: percentile(&answers, 0.99),
        }
    }

    /// The medians of several samples.
    fn middle(samples: &[Self]) -> Self {
        let seconds = |of: fn(&Self) -> Duration| {
            Duration::from_secs_f64(median(samples.iter().map(|it| of(it).as_secs_f64())))
        };
        Self {
            rate: median(samples.iter().map(|it| it.rate)),
            p50: seconds(|it| it.p50),
            p99: seconds(|it| it.p99),
        }
    }
}

/// Runs every operation in a loop of its own for as long as `slice`, at least once; returns the
/// operations, too.
pub(crate) async fn run<O: Operation>(
    operations: Vec<O>,
    slice: Duration,
) -> anyhow::Result<(Vec<O>, Sample)> {
    let begun = Instant::now();
    let until = begun + slice;
    let workers = operations.into_iter().map(|mut operation| {
        tokio::spawn(async move {
            let mut answers = Vec::new();
            let mut from = Instant::now();
            loop {
                operation.perform().await?;
                let to = Instant::now();
                answers.push(to - from);
                if to >= until {
                    return anyhow::Ok((operation, answers));
                }
                from = to;
            }
        })
    });
    let (mut operations, mut answers) = (Vec::new(), Vec::new());
    for worker in workers.collect::<Vec<_>>() {
        let (operation, own) = worker.await??;
        operations.push(operation);
        answers.extend(own);
    }
    Ok((operations, Sample::of(answers, begun.elapsed())))
}

/// Ours and the limit, as they took turns.
#[derive(Debug, Default)]
pub(crate) struct Duel {
    ours: Vec<Sample>,
    limit: Vec<Sample>,
}

impl Duel {
    pub(crate) fn push(&mut self, ours: Sample, limit: Sample) {
        self.ours.push(ours);
        self.limit.push(limit);
    }

    pub(crate) fn ours(&self) -> Sample {
        Sample::middle(&self.ours)
    }

    pub(crate) fn limit(&self) -> Sample {
        Sample::middle(&self.limit)
    }

    /// The median of what neighbours in time showed: noise that hit both does not count.
    pub(crate) fn ratio(&self) -> f64 {
        median(self.ours.iter().zip(&self.limit).map(|(ours, limit)| ours.rate / limit.rate))
    }
}

/// Lets two kinds of operations take turns, after a warm-up that is not counted.
pub(crate) async fn duel<A: Operation, B: Operation>(
    mut ours: Vec<A>,
    mut limit: Vec<B>,
    effort: Effort,
) -> anyhow::Result<Duel> {
    let mut duel = Duel::default();
    (ours, _) = run(ours, effort.slice / 4).await?;
    (limit, _) = run(limit, effort.slice / 4).await?;
    for _ in 0..effort.rounds {
        let (sample, bound);
        (ours, sample) = run(ours, effort.slice).await?;
        (limit, bound) = run(limit, effort.slice).await?;
        duel.push(sample, bound);
    }
    Ok(duel)
}
