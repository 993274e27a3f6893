//! The clockwork: asks the store what is due, has the rules decide, writes that down, and begins what may begin.
//!
//! **Invariant:** it keeps nothing in memory that the ledger does not say. After any failure it looks again.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use openclaw_scheduler::{Mode, Spread, TickLimits, tick};
use openclaw_scopes::Timestamp;
use openclaw_store::{JobNotice, JobNoticeKind, ReplyTo, Store, StoreError, Undelivered};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;

use crate::alarm::Alarm;
use crate::clock;
use crate::compose::Health;
use crate::engine::{Engine, Fire};
use crate::task::Tasks;

/// Jobs of one page: a page is one transaction.
const PAGE: u32 = 256;
/// Due instants that are begun at once.
const AT_ONCE: u32 = 1_024;
/// Pages of them in one look: what is due meanwhile has its row before more begins.
const PAGES: u32 = 16;
/// The longest sleep, and the longest where somebody is to be told what did not arrive.
const LONGEST: Duration = Duration::from_secs(3_600);
const LONGEST_WITH_OWNER: Duration = Duration::from_secs(60);
/// How long after a failure, or when there is no place, is looked again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the clockwork may be late before the gateway says that it is not well.
const PATIENCE: Duration = Duration::from_secs(10);

/// Has jobs run until the gateway stops.
pub(crate) fn keep(
    tasks: &Tasks,
    engine: &Engine,
    store: &Store,
    mode: Mode,
    health: Health,
    stop: &CancellationToken,
) {
    let (tell, told) = watch::channel(Instant::now_in(PATIENCE));
    let clockwork = Clockwork { engine: engine.clone(), store: store.clone(), mode };
    tasks.spawn(clockwork.run(tell, stop.clone()));
    let (jobs, stop) = (engine.clone(), stop.clone());
    tasks.spawn(async move {
        let woken = || jobs.jobs().notified();
        tokio::select! {
            () = watch_over(told, woken, &health) => {}
            () = stop.cancelled() => {}
        }
    });
}

/// The instant a length from now, by the clock that timers use.
trait NowIn {
    fn now_in(length: Duration) -> Self;
}

impl NowIn for Instant {
    fn now_in(length: Duration) -> Self {
        Self::now().checked_add(length).unwrap_or_else(Self::now)
    }
}

/// What came of a look.
#[derive(Clone, Copy, Debug)]
struct Looked {
    /// How long nothing else is to do.
    wait: Duration,
    begun: Begun,
}

/// How much of what may begin has begun.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Begun {
    All,
    /// There was no place for the rest.
    Some,
}

#[derive(Debug)]
struct Clockwork {
    engine: Engine,
    store: Store,
    mode: Mode,
}

impl Clockwork {
    async fn run(self, tell: watch::Sender<Instant>, stop: CancellationToken) {
        let alarm = Alarm::new();
        // Since when there is something that may begin and cannot.
        let mut stuck: Option<Instant> = None;
        loop {
            // Before the look: what changes after it is then noticed.
            let mut change = std::pin::pin!(self.engine.jobs().notified());
            change.as_mut().enable();
            // A panic takes down this look and no other.
            let looked = AssertUnwindSafe(self.look()).catch_unwind().await;
            let wait = match looked {
                Ok(Ok(Looked { wait, begun })) => {
                    stuck = match begun {
                        Begun::All => None,
                        Begun::Some => Some(stuck.unwrap_or_else(|| Instant::now_in(PATIENCE))),
                    };
                    // Only who has looked is well, and not for long if something that is due does not begin.
                    let next = Instant::now_in(wait.saturating_add(PATIENCE));
                    tell.send_replace(stuck.map_or(next, |stuck| stuck.min(next)));
                    wait
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "what is due could not be looked up");
                    AGAIN
                }
                Err(_panic) => {
                    tracing::error!("the scheduler panicked, and looks again");
                    AGAIN
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = alarm.until(clock::now().saturating_add(wait)) => {}
                () = change => {}
            }
            if self.engine.is_draining() {
                return;
            }
        }
    }

    /// Settles everything that is due and begins everything that may; returns how long nothing else is to do.
    async fn look(&self) -> Result<Looked, StoreError> {
        self.rewind().await?;
        self.settle().await?;
        let begun = self.begin().await?;
        self.tell_owners().await?;
        let next = self.store.next_job_at()?;
        let is_told = self.engine.owner_reads().is_some();
        let longest = if is_told { LONGEST_WITH_OWNER } else { LONGEST };
        let wait = next.map_or(longest, |next| next.since(clock::now()));
        Ok(Looked { wait: wait.min(longest), begun })
    }

    /// Tells the gateway's owner which jobs fail, which are due no more, and what did not arrive.
    async fn tell_owners(&self) -> Result<(), StoreError> {
        for notice in self.store.job_notices(PAGE)? {
            let text = words(&notice);
            tracing::warn!(job = %notice.job, "{text}");
            let to = self.engine.owner_reads();
            self.store.tell_of_job(notice, to, text, clock::now()).await.map_err(storage)?;
            self.engine.outbox().notify_waiters();
        }
        let now = clock::now();
        if let Some(lost) = self.store.undelivered(now)?
            && let Some(to) = self.engine.owners_read(&lost.channels).into_iter().next()
        {
            self.store.tell_of_undelivered(to, undelivered(&lost), now).await.map_err(storage)?;
            self.engine.outbox().notify_waiters();
        }
        for lost in self.store.lost_notices(now)? {
            let (channel, peer) = lost.to.clone();
            let owners = self.engine.owners_read(&BTreeSet::from([channel.clone()]));
            let another = |to: &ReplyTo| (&to.channel, &to.peer) != (&channel, &peer);
            if let Some(to) = owners.into_iter().find(another) {
                self.store.tell_again(lost, to, now).await.map_err(storage)?;
                self.engine.outbox().notify_waiters();
            }
        }
        Ok(())
    }

    /// Makes good what was noted while the clock was ahead: what is due is due by the clock as it is.
    async fn rewind(&self) -> Result<(), StoreError> {
        while self.store.is_ahead(clock::now())? {
            let jobs = self.store.rewind_jobs(clock::now()).await.map_err(storage)?;
            tracing::warn!(
                jobs,
                "the clock was set back: jobs that were noted ahead of it are due by it again"
            );
        }
        Ok(())
    }

    /// Gives every due instant its row of the ledger.
    async fn settle(&self) -> Result<(), StoreError> {
        let mut spread = Spread::default();
        loop {
            let now = clock::now();
            let (due, unreadable) = self.store.due_jobs(now, PAGE)?;
            let found = due.len().saturating_add(unreadable.len());
            if found == 0 {
                return Ok(());
            }
            let limits = TickLimits { mode: self.mode, spread, ..TickLimits::default() };
            let decisions = tick(&due, &limits, now);
            let caught_up = decisions.iter().map(|decision| decision.caught_up);
            spread.before = caught_up.fold(spread.before, u32::saturating_add);
            let settled = self.store.settle_due(decisions, unreadable, now).await;
            settled.map_err(storage)?;
        }
    }

    /// Begins what may begin, as much as there is room for. What there is no room for is put off: it stands
    /// before nothing else.
    async fn begin(&self) -> Result<Begun, StoreError> {
        let mut begun = Begun::All;
        for _page in 0..PAGES {
            let claimed = self.store.startable_jobs(clock::now(), AT_ONCE)?;
            if claimed.is_empty() {
                return Ok(begun);
            }
            let mode = self.mode;
            let fires = claimed.into_iter().map(|claimed| async move {
                let occurrence = claimed.occurrence;
                (self.engine.fire(claimed, mode).await == Fire::Later).then_some(occurrence)
            });
            let fires: FuturesUnordered<_> = fires.collect();
            let later: Vec<i64> = fires.filter_map(std::future::ready).collect().await;
            if !later.is_empty() {
                begun = Begun::Some;
                let until = clock::now().saturating_add(AGAIN);
                self.store.put_off(later, until).await.map_err(storage)?;
            }
        }
        Ok(begun)
    }
}

fn storage<E: std::fmt::Debug>(error: openclaw_store::ActError<E>) -> StoreError {
    match error {
        openclaw_store::ActError::Store(error) => error,
        openclaw_store::ActError::Denied(denial) => StoreError::Io(denial.to_string()),
        openclaw_store::ActError::Failed(error) => StoreError::Io(format!("{error:?}")),
    }
}

/// Says that the gateway is not well while something is due for more than [`PATIENCE`] and has not begun: when the
/// clockwork has not looked by the instant that it told, or not soon after there was something new to look at.
async fn watch_over<W: Future<Output = ()>>(
    mut told: watch::Receiver<Instant>,
    woken: impl Fn() -> W,
    health: &Health,
) {
    let (mut is_late, mut asked) = (false, None);
    loop {
        let due = *told.borrow_and_update();
        let due = asked.map_or(due, |asked| due.min(asked));
        let late = due <= Instant::now();
        if late != is_late {
            is_late = late;
            if late {
                tracing::error!("what is due has not begun for more than ten seconds");
            } else {
                tracing::warn!("the scheduler works again");
            }
            let status = if late { ServingStatus::NotServing } else { ServingStatus::Serving };
            health.set_service_status("", status).await;
        }
        tokio::select! {
            changed = told.changed() => match changed {
                Ok(()) => asked = None,
                Err(_gone) => return,
            },
            () = woken(), if asked.is_none() => asked = Some(Instant::now_in(PATIENCE)),
            () = tokio::time::sleep_until(due), if !late => {}
        }
    }
}

/// Whether jobs run, by the configuration and the environment.
pub(crate) fn mode(is_enabled: bool, skip: Option<&str>) -> Mode {
    match (is_enabled, skip) {
        (true, None | Some("" | "0" | "false")) => Mode::Enabled,
        _ => Mode::Disabled,
    }
}

/// The time zone of the machine, by its name; UTC where it has none.
pub(crate) fn host_zone() -> String {
    let name = jiff::tz::TimeZone::system().iana_name().map(str::to_owned);
    let known = name.filter(|name| openclaw_scheduler::Zone::parse(name).is_ok());
    known.unwrap_or_else(|| "UTC".to_owned())
}

/// What an owner is told of messages that did not arrive.
fn undelivered(lost: &Undelivered) -> String {
    let Undelivered { channels: _, count, id, to: (channel, peer), state, error } = lost;
    let [peer, error] = [(peer, 64), (error, 200)].map(|(text, most)| -> String {
        text.chars().filter(|c| !c.is_control()).take(most).collect()
    });
    let many = if *count == 1 {
        "A message did not arrive, or nobody can tell".to_owned()
    } else {
        format!("{count} messages did not arrive, or nobody can tell; the last")
    };
    format!(
        "{many}: `{id}`, to {channel} {peer}, is {state}: {error}. See `openclaw delivery list`; `openclaw delivery \
         retry {id}` sends it again."
    )
}

/// What an owner is told.
fn words(notice: &JobNotice) -> String {
    let JobNotice { job, name, reason, failures, .. } = notice;
    let name: String = name.chars().take(64).collect();
    let reason: String = reason.chars().take(200).collect();
    match notice.notice {
        JobNoticeKind::Disabled => format!(
            "Job `{name}` is due no more: {reason}. See `openclaw cron runs {job}`; `openclaw cron enable {job}` \
             has it run again."
        ),
        JobNoticeKind::Failing => format!(
            "Job `{name}` failed {failures} times in a row: {reason}. See `openclaw cron runs {job}`."
        ),
    }
}

/// Returns an instant in words that people of a zone read.
pub(crate) fn local(at: Timestamp, zone: &str) -> String {
    openclaw_scheduler::Zone::parse(zone).map(|zone| zone.local(at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;
    use tonic_health::pb::HealthCheckRequest;
    use tonic_health::pb::health_server::Health as _;
    use tonic_health::server::HealthService;

    use super::*;

    /// A watch over a clockwork that a test plays.
    struct Watched {
        tell: watch::Sender<Instant>,
        service: HealthService,
    }

    impl Watched {
        fn new(woken: &'static Notify) -> Self {
            let health = Health::new();
            let service = HealthService::from_health_reporter(health.clone());
            let (tell, told) = watch::channel(Instant::now_in(PATIENCE));
            Tasks::default().spawn(async move {
                watch_over(told, || woken.notified(), &health).await;
            });
            Self { tell, service }
        }

        /// Has time pass; returns whether the gateway is well then.
        async fn after(&self, seconds: u64) -> bool {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            // Whoever is due at the same instant comes first.
            tokio::time::sleep(Duration::from_millis(1)).await;
            let request = tonic::Request::new(HealthCheckRequest::default());
            let status = self.service.check(request).await.unwrap().into_inner().status();
            status == tonic_health::pb::health_check_response::ServingStatus::Serving
        }

        fn looked(&self, wait: u64) {
            self.tell.send_replace(Instant::now_in(Duration::from_secs(wait) + PATIENCE));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clockwork_that_does_not_look_is_not_well() {
        static WOKEN: Notify = Notify::const_new();
        let watched = Watched::new(&WOKEN);
        watched.looked(60);
        assert!(watched.after(69).await);
        assert!(!watched.after(1).await, "it has not looked at what was due");
        watched.looked(3_600);
        assert!(watched.after(3_000).await, "it works again");
        // There is something new, and it does not look.
        WOKEN.notify_waiters();
        assert!(watched.after(9).await);
        assert!(!watched.after(1).await);
        watched.looked(0);
        assert!(watched.after(9).await);
        assert!(!watched.after(1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_begin_for_long_is_not_well() {
        static WOKEN: Notify = Notify::const_new();
        let watched = Watched::new(&WOKEN);
        // It looks once a second, and finds no place each time.
        let stuck = Instant::now_in(PATIENCE);
        for second in 0..12 {
            watched.tell.send_replace(stuck);
            assert_eq!(watched.after(1).await, second < 9, "after {second} seconds");
        }
        watched.looked(60);
        assert!(watched.after(1).await);
    }
}
