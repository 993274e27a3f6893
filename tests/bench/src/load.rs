//! Closed loops: each worker asks again as soon as it was answered.

use std::time::{Duration, Instant};

use crate::Effort;
use crate::process::Server;
use crate::statistics::{Ratio, median, percentile};

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
    /// Processor time of the server for each answer; not measured where there is no server.
    pub(crate) cpu: Option<Duration>,
    answers: u32,
}

impl Sample {
    /// The sample of these answers within `elapsed`.
    pub(crate) fn of(mut answers: Vec<Duration>, elapsed: Duration) -> Self {
        answers.sort_unstable();
        Self {
            rate: answers.len() as f64 / elapsed.as_secs_f64(),
            p50: percentile(&answers, 0.5),
            p99: percentile(&answers, 0.99),
            cpu: None,
            answers: answers.len() as u32,
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
            cpu: samples
                .iter()
                .all(|it| it.cpu.is_some())
                .then(|| seconds(|it| it.cpu.unwrap_or_default())),
            answers: samples.iter().map(|it| it.answers).sum(),
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

/// As [`run`], against a server whose processor time is looked at.
pub(crate) async fn run_on<O: Operation>(
    server: &Server,
    operations: Vec<O>,
    slice: Duration,
) -> anyhow::Result<(Vec<O>, Sample)> {
    let before = server.look()?.cpu;
    let (operations, mut sample) = run(operations, slice).await?;
    sample.cpu = Some((server.look()?.cpu - before) / sample.answers);
    Ok((operations, sample))
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

    /// What neighbours in time showed: noise that hit both does not count.
    pub(crate) fn ratio(&self) -> Ratio {
        Ratio::of(self.ours.iter().zip(&self.limit).map(|(ours, limit)| ours.rate / limit.rate))
    }

    /// As [`Duel::ratio`], of the servers' processor time.
    pub(crate) fn ratio_of_cpu(&self) -> Ratio {
        let seconds = |it: &Sample| it.cpu.unwrap_or_default().as_secs_f64();
        let pairs = self.ours.iter().zip(&self.limit);
        Ratio::of(pairs.map(|(ours, limit)| seconds(ours) / seconds(limit)))
    }
}

/// Lets two kinds of operations take turns, after a warm-up that is not counted.
pub(crate) async fn duel<A: Operation, B: Operation>(
    (our_server, mut ours): (&Server, Vec<A>),
    (limit_server, mut limit): (&Server, Vec<B>),
    effort: Effort,
) -> anyhow::Result<Duel> {
    let mut duel = Duel::default();
    (ours, _) = run(ours, effort.slice / 4).await?;
    (limit, _) = run(limit, effort.slice / 4).await?;
    for _ in 0..effort.rounds {
        let (sample, bound);
        (ours, sample) = run_on(our_server, ours, effort.slice).await?;
        (limit, bound) = run_on(limit_server, limit, effort.slice).await?;
        duel.push(sample, bound);
    }
    Ok(duel)
}
