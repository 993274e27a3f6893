//! Jobs and due instants as the wire writes them.

use openclaw_proto::v1::job_delivery::Where;
use openclaw_proto::v1::job_payload::What;
use openclaw_proto::v1::schedule::When;
use openclaw_proto::{to_duration, to_timestamp, v1};
use openclaw_scheduler::{DST_POLICY, Rules, Schedule};
use openclaw_scopes::Timestamp;
use openclaw_store::{
    AfterRun, Asked, Disabled, Job, JobCursor, JobDelivery, JobSpec, JobTools, Occurrence, Outcome,
    Payload,
};

use crate::respond::Reply;
use crate::{convert, cron};

/// Writes where a page of jobs ends.
pub(super) fn cursor(cursor: &JobCursor) -> String {
    format!("{}:{}", cursor.row, cursor.name)
}

/// Reads it.
pub(super) fn read_cursor(token: &str) -> Result<Option<JobCursor>, Reply> {
    if token.is_empty() {
        return Ok(None);
    }
    let (row, name) = token.split_once(':').ok_or_else(convert::bad_token)?;
    let row = row.parse().map_err(|_error| convert::bad_token())?;
    Ok(Some(JobCursor { name: name.to_owned(), row }))
}

/// Returns the zone in which a schedule is read by people.
fn zone_of(rules: &Rules) -> String {
    match &rules.schedule {
        Schedule::Cron(cron) => cron.zone().name().to_owned(),
        Schedule::At(_) | Schedule::Every { .. } => cron::host_zone(),
    }
}

fn schedule(rules: &Rules) -> v1::Schedule {
    let (when, anchor, time_zone, dst_policy) = match &rules.schedule {
        Schedule::At(at) => (When::At(to_timestamp(*at)), None, String::new(), ""),
        Schedule::Cron(cron) => (
            When::Cron(cron.expression().to_owned()),
            None,
            cron.zone().name().to_owned(),
            DST_POLICY,
        ),
        Schedule::Every { every, anchor } => {
            (When::Every(to_duration(*every)), Some(to_timestamp(*anchor)), String::new(), "")
        }
    };
    let hours = rules.active.as_ref();
    v1::Schedule {
        when: Some(when),
        anchor,
        time_zone,
        stagger: (!rules.stagger.is_zero()).then(|| to_duration(rules.stagger)),
        active_from: hours.map(openclaw_scheduler::ActiveHours::start).unwrap_or_default(),
        active_until: hours.map(openclaw_scheduler::ActiveHours::end).unwrap_or_default(),
        active_zone: hours.map(|hours| hours.zone().name().to_owned()).unwrap_or_default(),
        catch_up: rules.catch_up.to_string(),
        dst_policy: dst_policy.to_owned(),
        moved_by: None,
    }
}

/// Writes a job.
pub(super) fn job(job: Job) -> v1::Job {
    let enabled = job.disabled.is_none();
    let known = job.spec.as_ref().ok();
    let zone = known.map(|spec| zone_of(&spec.rules));
    let local = job.next_at.zip(zone).map(|(at, zone)| cron::local(at, &zone));
    let mut shown = v1::Job {
        id: job.id.to_string(),
        name: job.name,
        key: job.key,
        agent_id: job.agent.to_string(),
        owner: job.owner.to_string(),
        scopes: job.scopes.reduced().iter().map(|scope| scope.name().to_owned()).collect(),
        created_at: Some(to_timestamp(job.created_at)),
        updated_at: Some(to_timestamp(job.updated_at)),
        revision: job.revision,
        enabled,
        disabled_reason: job.disabled.map(Disabled::name).unwrap_or_default().to_owned(),
        next_at: job.next_at.map(to_timestamp),
        next_local: local.unwrap_or_default(),
        held_back_until: job.not_before.map(to_timestamp),
        consecutive_failures: job.failures,
        last: job.last.map(occurrence),
        created_in: job.created_in.map(|key| key.to_string()).unwrap_or_default(),
        ..v1::Job::default()
    };
    if let Err(problem) = &job.spec {
        shown.problem.clone_from(problem);
    }
    if let Ok(spec) = job.spec {
        shown.delivery = delivery(&spec);
        let is_for_agent = spec.payload.is_for_agent();
        let JobSpec { rules, payload, place, model, tools, timeout, max_tokens, after_run, .. } =
            spec;
        shown.schedule = Some(schedule(&rules));
        shown.payload = Some(v1::JobPayload {
            what: Some(match payload {
                Payload::AgentTurn { message } => What::AgentTurn(message),
                Payload::Command { argv } => What::Command(v1::JobCommand { argv }),
                Payload::Heartbeat { prompt, .. } => What::Heartbeat(prompt),
                Payload::SystemEvent { text } => What::SystemEvent(text),
                Payload::Webhook { body } => What::Webhook(body),
            }),
        });
        if is_for_agent {
            place.name().clone_into(&mut shown.session);
        }
        shown.model = model;
        shown.tools = match tools {
            JobTools::All => None,
            JobTools::Only(names) => Some(v1::ToolList { all: false, names }),
        };
        shown.timeout = (!timeout.is_zero()).then(|| to_duration(timeout));
        shown.budget = max_tokens;
        shown.delete_after_run = after_run == AfterRun::Delete;
    }
    shown
}

fn delivery(spec: &JobSpec) -> Option<v1::JobDelivery> {
    let r#where = match &spec.delivery {
        JobDelivery::Conversation => return None,
        JobDelivery::None => Where::None(true),
        JobDelivery::Announce(to) => Where::Announce(v1::JobAnnounce {
            channel: to.channel.clone(),
            to: match to.kind.as_str() {
                "direct" if to.channel == "discord" => format!("user:{}", to.peer),
                _ => to.peer.clone(),
            },
            account_id: to.account.clone(),
            thread_id: to.thread.clone(),
        }),
        JobDelivery::Webhook(url) => Where::Webhook(url.clone()),
    };
    Some(v1::JobDelivery { r#where: Some(r#where) })
}

/// Reads an outcome that is asked for; `None` for all.
pub(super) fn read_outcome(outcome: v1::occurrence::Outcome) -> Result<Option<Outcome>, Reply> {
    use v1::occurrence::Outcome as Wire;
    Ok(Some(match outcome {
        Wire::Unspecified => return Ok(None),
        Wire::Claimed => Outcome::Claimed,
        Wire::Ran => Outcome::Ran,
        Wire::Failed => Outcome::Failed,
        Wire::Skipped => Outcome::Skipped,
        Wire::Missed => Outcome::Missed,
        Wire::Cancelled => Outcome::Cancelled,
        Wire::Lost => Outcome::Lost,
    }))
}

/// Writes a due instant.
pub(super) fn occurrence(occurrence: Occurrence) -> v1::Occurrence {
    use v1::occurrence::Outcome as Wire;
    let outcome = match occurrence.outcome {
        Outcome::Cancelled => Wire::Cancelled,
        Outcome::Claimed => Wire::Claimed,
        Outcome::Failed => Wire::Failed,
        Outcome::Lost => Wire::Lost,
        Outcome::Missed => Wire::Missed,
        Outcome::Ran => Wire::Ran,
        Outcome::Skipped => Wire::Skipped,
    };
    v1::Occurrence {
        job_id: occurrence.job.to_string(),
        scheduled_at: Some(to_timestamp(occurrence.scheduled_at)),
        scheduled_until: Some(to_timestamp(occurrence.until)),
        count: occurrence.count,
        outcome: outcome.into(),
        reason: occurrence.reason,
        requested: occurrence.requested == Asked::ByRequest,
        attempts: occurrence.attempts,
        started_at: occurrence.started_at.map(to_timestamp),
        ended_at: occurrence.ended_at.map(to_timestamp),
        run_id: occurrence.run.map(|run| run.to_string()).unwrap_or_default(),
        session_key: occurrence.session.map(|key| key.to_string()).unwrap_or_default(),
        text: occurrence.text,
        delivery_id: occurrence.delivery.as_ref().map(|(id, _)| id.clone()).unwrap_or_default(),
        delivery_state: occurrence
            .delivery
            .map(|(_, state)| state.name())
            .unwrap_or(if occurrence.withheld.is_empty() { "" } else { "withheld" })
            .into(),
    }
}

/// Writes the next instants of a schedule.
pub(super) fn preview(
    rules: &Rules,
    count: u32,
    now: Timestamp,
) -> Result<v1::PreviewResponse, Reply> {
    let zone = zone_of(rules);
    let mut instants = Vec::new();
    let mut after = now;
    for _ in 0..count {
        let next = rules.next_after(after);
        let next = next.map_err(|error| Reply::invalid(error.to_string()))?;
        let Some(at) = next else { break };
        let local = cron::local(at, &zone);
        instants.push(v1::preview_response::Instant { at: Some(to_timestamp(at)), local });
        after = at;
    }
    Ok(v1::PreviewResponse { schedule: Some(schedule(rules)), instants })
}
