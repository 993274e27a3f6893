//! The ledger has no gap and nothing twice, whatever the clock, the operator and the jobs do.

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::Config;
use proptest::{collection, option, sample};

use super::*;
use crate::{ActiveHours, Schedule, Zone};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// When the simulation begins: 2025-10-01 00:00:30 UTC, so that clocks are changed both ways.
const START: Timestamp = Timestamp::from_millis(1_759_276_830_000);

/// How long it goes on.
const SPAN: Duration = Duration::from_secs(400 * DAY);

/// Something that happens, after which the scheduler looks at what is due.
#[derive(Clone, Debug)]
enum Step {
    /// The clock is set back.
    Back(u64),
    /// A job gets other rules.
    Edit(usize, Rules),
    /// What a job has at work fails, and it waits.
    Fail(usize, u64),
    /// What a job has at work ends.
    Finish(usize),
    /// Time passes: the scheduler sleeps, or the machine does.
    Pass(u64),
    /// The scheduler is switched on or off.
    Switch(Mode),
}

fn schedule() -> impl Strategy<Value = Schedule> {
    let expressions: &[&str] =
        &["0 * * * *", "30 2 * * *", "15 2,9 * * 1-5", "0 */6 * * *", "10 0 1 * *"];
    let zones: &[&str] =
        &["UTC", "Europe/Berlin", "Australia/Lord_Howe", "America/St_Johns", "Africa/Cairo"];
    let cron = (sample::select(expressions), sample::select(zones));
    prop_oneof![
        3 => cron.prop_map(|(text, zone)| Schedule::cron(text, Zone::parse(zone).unwrap()).unwrap()),
        2 => (7 * MINUTE..3 * DAY, 0..DAY).prop_map(|(every, anchor)| {
            let anchor = START.saturating_add(Duration::from_secs(anchor));
            Schedule::every(Duration::from_secs(every), anchor).unwrap()
        }),
        1 => (0..500 * DAY).prop_map(|at| {
            Schedule::at(START.saturating_add(Duration::from_secs(at)))
        }),
    ]
}

fn rules() -> impl Strategy<Value = Rules> {
    let zone = || Zone::parse("America/New_York").unwrap();
    let hours: &[(&str, &str)] = &[("01:30", "02:30"), ("09:00", "17:00"), ("22:00", "06:00")];
    let active = sample::select(hours)
        .prop_map(move |(start, end)| ActiveHours::parse(start, end, zone()).unwrap());
    let catch_up =
        prop_oneof![Just(CatchUp::None), Just(CatchUp::Last), (1..9_u32).prop_map(CatchUp::All)];
    (schedule(), option::weighted(0.2, active), sample::select(&[0, 7, 299][..]), catch_up)
        .prop_map(|(schedule, active, stagger, catch_up)| Rules {
            schedule,
            stagger: Duration::from_secs(stagger),
            active,
            catch_up,
        })
        // A job that is never due is refused when it is made.
        .prop_filter("never due", |rules| rules.next_after(START).is_ok())
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..=MINUTE).prop_map(Step::Pass),
        8 => (MINUTE..6 * HOUR).prop_map(Step::Pass),
        6 => (6 * HOUR..5 * DAY).prop_map(Step::Pass),
        1 => (DAY..90 * DAY).prop_map(Step::Pass),
        2 => (1..2 * DAY).prop_map(Step::Back),
        12 => any::<usize>().prop_map(Step::Finish),
        3 => (any::<usize>(), 30..4 * HOUR).prop_map(|(job, wait)| Step::Fail(job, wait)),
        2 => (any::<usize>(), rules()).prop_map(|(job, rules)| Step::Edit(job, rules)),
        1 => Just(Step::Switch(Mode::Disabled)),
        2 => Just(Step::Switch(Mode::Enabled)),
    ]
}

/// What the store keeps of a job, and what the ledger must get next.
struct Stored {
    job: DueJob<String>,
    due: Option<Timestamp>,
    /// The newest instant in the ledger, or when the job was made.
    recorded: Timestamp,
    /// The instant with which the next row must begin.
    expected: Option<Timestamp>,
    /// How many instants there were.
    instants: u64,
    /// How many instants the rows are of.
    counted: u64,
}

impl Stored {
    fn new(index: usize, rules: Rules) -> Self {
        let job = DueJob {
            job: format!("job-{index}"),
            rules: rules.clone(),
            due: START,
            not_before: None,
            is_busy: Busy::Free,
        };
        let mut stored =
            Self { job, due: None, recorded: START, expected: None, instants: 0, counted: 0 };
        stored.edit(rules, START);
        stored
    }

    fn edit(&mut self, rules: Rules, now: Timestamp) {
        self.due = rules.next_after(now.max(self.recorded)).unwrap();
        self.expected = self.due;
        self.job.rules = rules;
    }

    /// Takes an instant off what must come, and returns it.
    fn take(&mut self) -> Timestamp {
        let at = self.expected.expect("a row of an instant that there is not");
        self.expected = self.job.rules.next_after(at).unwrap();
        self.instants += 1;
        self.recorded = self.recorded.max(at);
        at
    }

    /// Takes off a range, which must be all that comes next.
    fn take_range(&mut self, from: Timestamp, to: Timestamp, count: u64) {
        assert!(count > 0);
        assert_eq!(self.take(), from);
        let last = (1..count).map(|_| self.take()).last().unwrap_or(from);
        assert_eq!(last, to);
        self.counted += count;
    }

    /// Checks a decision by the rules of the ledger, and stores it.
    fn apply(&mut self, decision: &Decision<String>, mode: Mode, now: Timestamp) {
        let late = |at: Timestamp| at < now.saturating_sub(GRACE);
        let not_before = self.job.not_before.unwrap_or(START);
        let mut claims = Vec::new();
        assert!(!decision.rows.is_empty());
        for row in &decision.rows {
            match *row {
                LedgerRow::Claim { at, start_at } => {
                    self.take_range(at, at, 1);
                    assert!(at >= not_before && start_at >= now);
                    assert!(late(at) || start_at == now);
                    claims.push(at);
                }
                LedgerRow::Miss { from, to, count } => {
                    self.take_range(from, to, count);
                    assert!(late(to) && from >= not_before && claims.is_empty());
                }
                LedgerRow::Skip { at, to, count, reason } => {
                    self.take_range(at, to, count);
                    match reason {
                        SkipReason::BackOff => assert!(to < not_before && claims.is_empty()),
                        SkipReason::Busy => {
                            let is_busy = self.job.is_busy == Busy::Busy;
                            assert!(is_busy || claims.iter().any(|at| !late(*at)));
                        }
                        SkipReason::Disabled => assert_eq!(mode, Mode::Disabled),
                    }
                }
            }
        }
        let (caught_up, on_time): (Vec<_>, Vec<_>) =
            claims.iter().copied().partition(|at| late(*at));
        let most = match self.job.rules.catch_up {
            CatchUp::All(count) => usize::try_from(count).unwrap(),
            CatchUp::Last => usize::from(on_time.is_empty()),
            CatchUp::None => 0,
        };
        assert!(caught_up.len() <= most && on_time.len() <= 1);
        assert_eq!(caught_up.len(), usize::try_from(decision.caught_up).unwrap());
        if mode == Mode::Disabled || self.job.is_busy == Busy::Busy {
            assert!(claims.is_empty());
        }
        if !claims.is_empty() {
            self.job.is_busy = Busy::Busy;
        }
        assert_eq!(decision.next, self.expected.map_or(Next::Never, Next::At));
        self.due = self.expected;
    }
}

/// Ticks until nothing is due, a page at a time.
fn settle(jobs: &mut [Stored], page: usize, mode: Mode, now: Timestamp) {
    let mut limits = TickLimits { mode, ..TickLimits::default() };
    loop {
        let is_due = |job: &&Stored| job.due.is_some_and(|due| due <= now);
        let mut due: Vec<_> = jobs.iter().filter(is_due).collect();
        due.sort_by_key(|job| job.due);
        let due: Vec<_> = due
            .into_iter()
            .take(page)
            .map(|it| DueJob { due: it.due.unwrap(), ..it.job.clone() })
            .collect();
        if due.is_empty() {
            return;
        }
        for decision in tick(&due, &limits, now) {
            limits.spread.before += decision.caught_up;
            let mut stored = jobs.iter_mut().find(|job| job.job.job == decision.job);
            stored.as_mut().unwrap().apply(&decision, mode, now);
        }
    }
}

proptest::proptest! {
    #![proptest_config(Config { cases: 12, ..Config::default() })]

    #[test]
    fn every_instant_is_in_exactly_one_row(
        all in collection::vec(rules(), 4),
        steps in collection::vec(step(), 250),
        page in 1..4_usize,
    ) {
        let mut jobs: Vec<_> =
            all.into_iter().enumerate().map(|(index, rules)| Stored::new(index, rules)).collect();
        let count = jobs.len();
        let (mut now, mut mode) = (START, Mode::Enabled);
        for step in steps {
            match step {
                Step::Back(seconds) => now = now.saturating_sub(Duration::from_secs(seconds)),
                Step::Edit(job, rules) => jobs[job % count].edit(rules, now),
                Step::Fail(job, wait) => {
                    let job = &mut jobs[job % count].job;
                    job.is_busy = Busy::Free;
                    job.not_before = Some(now.saturating_add(Duration::from_secs(wait)));
                }
                Step::Finish(job) => jobs[job % count].job.is_busy = Busy::Free,
                Step::Pass(seconds) => now = now.saturating_add(Duration::from_secs(seconds)),
                Step::Switch(other) => mode = other,
            }
            settle(&mut jobs, page, mode, now);
        }
        // The machine sleeps until the end.
        let now = now.max(START.saturating_add(SPAN));
        settle(&mut jobs, page, mode, now);
        for job in jobs {
            assert_eq!(job.counted, job.instants);
            assert!(job.expected.is_none_or(|next| next > now), "{} is due", job.job.job);
        }
    }
}
