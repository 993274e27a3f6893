//! How long the ledger is kept.

use openclaw_sessions::RunStatus;

use super::clockwork::Clockwork;
use super::{DAY, HOUR, MINUTE, SECOND, at, cron, every, of, once, spec};
use crate::{JobFilter, Switch};

impl Clockwork {
    async fn sweep(&self) -> u32 {
        let mut steps = 0;
        while self.store().sweep_ledger(self.now).await.unwrap() {
            steps += 1;
            assert!(steps < 1_000, "it comes to an end");
        }
        steps
    }
}

/// A week, and the newest one for ever.
#[tokio::test]
async fn a_week_is_kept_and_the_newest_row() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("daily", cron("0 6 * * *", "UTC"))).await;
    clockwork.add(spec("once", once(HOUR))).await;
    clockwork.add(spec("works", once(HOUR))).await;
    clockwork.pass(HOUR);
    let begun = clockwork.look().await;
    for run in begun.iter().filter(|run| run.as_str().starts_with("cron-once")) {
        clockwork.end(run, RunStatus::Ok, "Done.").await;
    }
    for day in 0..20 {
        clockwork.set(at(day * DAY + 6 * HOUR));
        clockwork.round(RunStatus::Ok, "Done.").await;
    }
    assert_eq!(clockwork.sweep().await, 1);
    let rows = clockwork.ledger("daily").await;
    assert_eq!(rows.len(), 8, "those of the last seven days");
    assert_eq!(rows[0].scheduled_at, at(12 * DAY + 6 * HOUR));
    assert_eq!(clockwork.told("once").await, ["3600s ran"], "its newest");
    assert_eq!(clockwork.told("works").await, ["3600s claimed"], "it has not ended");
    assert_eq!(clockwork.sweep().await, 0);
    clockwork.switch("daily", Switch::Off).await.unwrap();
    clockwork.pass(365 * DAY);
    clockwork.sweep().await;
    let rows = clockwork.ledger("daily").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].scheduled_at, at(19 * DAY + 6 * HOUR));
    let job = clockwork.job("daily");
    assert_eq!(job.last, rows.into_iter().next());
    clockwork.check().await;
}

/// Of one job two thousand, however new, and the newest of them.
#[tokio::test]
async fn two_thousand_rows_of_a_job_are_kept() {
    let clockwork = Clockwork::new();
    clockwork.add(spec("j", every(SECOND))).await;
    clockwork.add(spec("few", every(SECOND))).await;
    let fill = "WITH RECURSIVE n (at) AS (SELECT 1 UNION ALL SELECT at + 1 FROM n WHERE at < ?3)
        INSERT INTO cron_occurrences (job, scheduled_at, until, count, state, start_at, ended_at)
        SELECT (SELECT id FROM cron_jobs WHERE job = ?1), ?2 + at * 1000, ?2 + at * 1000, 1, 'ran', 0,
            ?2 + at * 1000 FROM n";
    let start = super::START;
    for (job, rows) in [("j", 2_700), ("few", 30)] {
        clockwork.disk.execute(fill, rusqlite::params![job, start, rows]).unwrap();
    }
    let mut clockwork = clockwork;
    clockwork.pass(HOUR);
    clockwork.sweep().await;
    let rows = clockwork.ledger("j").await;
    // As many as are kept, and the one that they are measured against.
    assert!((2_000..=2_001).contains(&rows.len()), "{}", rows.len());
    assert_eq!(rows.last().unwrap().scheduled_at, at(2_700 * SECOND));
    assert_eq!(clockwork.ledger("few").await.len(), 30);
}

/// A job that is gone leaves its history for a week; nothing of it is left then.
#[tokio::test]
async fn a_job_that_is_gone_is_forgotten() {
    let mut clockwork = Clockwork::new();
    clockwork.add(spec("j", every(HOUR))).await;
    clockwork.add(spec("idle", every(30 * DAY))).await;
    clockwork.pass(HOUR);
    clockwork.round(RunStatus::Ok, "Done.").await;
    clockwork.pass(HOUR);
    let begun = clockwork.look().await;
    let run = clockwork.only(&begun);
    for job in ["j", "idle"] {
        clockwork.remove(job).await;
    }
    let count = "SELECT count(*) FROM cron_jobs";
    clockwork.sweep().await;
    clockwork.pass(6 * DAY);
    clockwork.sweep().await;
    assert_eq!(clockwork.told("j").await, ["3600s ran", "7200s claimed"]);
    assert_eq!(clockwork.count(count), 2);
    assert!(clockwork.store().jobs(&JobFilter::default()).unwrap().jobs.is_empty());
    clockwork.pass(2 * DAY);
    clockwork.sweep().await;
    assert_eq!(clockwork.told("j").await, ["7200s claimed"], "it still works");
    assert_eq!(clockwork.count(count), 1);
    clockwork.end(&run, RunStatus::Ok, "Done.").await;
    clockwork.pass(7 * DAY + MINUTE);
    clockwork.sweep().await;
    assert_eq!(clockwork.count(count), 0);
    assert_eq!(clockwork.count("SELECT count(*) FROM cron_occurrences"), 0);
    assert!(clockwork.store().job(&of("j")).is_err());
    clockwork.check().await;
}
