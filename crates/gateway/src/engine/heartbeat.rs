//! Heartbeats: what the configuration says of them, as jobs.

use std::time::Duration;

use openclaw_config::{Agent, ChannelSettings, Heartbeat, HeartbeatTarget};
use openclaw_scheduler::{CatchUp, Rules, Schedule};
use openclaw_scopes::{Caller, Cause, Component, GrantHolder, SessionKey, Timestamp};
use openclaw_store::{
    ActError, AfterRun, HeartbeatOf, JobContext, JobDelivery, JobError, JobPlace, JobSpec,
    JobTools, KeepHeartbeats, Payload,
};

use super::Engine;
use super::owners::owners;
use crate::channels::destination;
use crate::{clock, digest};

/// How long one may take when nothing is said (`runtime.md` §5.1 of the reference).
const LONGEST: Duration = Duration::from_secs(600);

impl Engine {
    /// Has the heartbeats of the agents be as the configuration says.
    pub(crate) async fn keep_heartbeats(&self) {
        let roster = self.roster();
        let channels = roster.config.channels();
        let mut heartbeats = Vec::new();
        for worker in roster.agents() {
            let Some(heartbeat) = &worker.agent.heartbeat else { continue };
            let tools = worker.specs();
            let tools = tools.iter().map(|spec| spec.name.as_str());
            match job(&worker.agent, heartbeat, tools, channels) {
                Ok(spec) => heartbeats.push(HeartbeatOf { agent: worker.agent.id.clone(), spec }),
                Err(problem) => {
                    tracing::error!(agent = %worker.agent.id, problem, "a heartbeat cannot be");
                }
            }
        }
        if let Err(error) = self.write_heartbeats(heartbeats).await {
            tracing::error!(?error, "the heartbeats could not be written");
        }
    }

    async fn write_heartbeats(
        &self,
        heartbeats: Vec<HeartbeatOf>,
    ) -> Result<(), ActError<JobError>> {
        let Some(epoch) = self.0.store.epoch(&GrantHolder::Gateway).map_err(ActError::Store)?
        else {
            return Ok(());
        };
        let caller = Caller::system(Component::Scheduler, Cause::Startup, epoch);
        self.0.store.act(&caller, KeepHeartbeats(heartbeats), clock::now()).await?;
        self.0.jobs.notify_waiters();
        Ok(())
    }
}

/// Makes the job of an agent's heartbeat. It is the same each time it is made of the same configuration.
fn job<'a>(
    agent: &Agent,
    heartbeat: &Heartbeat,
    tools: impl Iterator<Item = &'a str>,
    channels: &ChannelSettings,
) -> Result<JobSpec, String> {
    let Heartbeat { every, active, .. } = heartbeat;
    let schedule =
        Schedule::every(*every, phase(agent, *every)).map_err(|error| error.to_string())?;
    let place = if heartbeat.isolated_session {
        let key = format!("agent:{}:main:heartbeat", agent.id);
        JobPlace::Session(SessionKey::parse(&key).map_err(|error| error.to_string())?)
    } else {
        JobPlace::Main
    };
    let to = match &heartbeat.target {
        HeartbeatTarget::Chat { channel, to } => {
            let fixed = destination(channels, channel, to, "", "");
            Some(fixed.map_err(|error| error.to_string())?)
        }
        HeartbeatTarget::None => None,
        HeartbeatTarget::Owner => owners(channels).next(),
    };
    let is_allowed = |tool: &&str| heartbeat.tools.iter().any(|pattern| pattern.matches(tool));
    Ok(JobSpec {
        name: format!("Heartbeat of {}", agent.id),
        agent: agent.id.clone(),
        rules: Rules {
            schedule,
            stagger: Duration::ZERO,
            active: active.clone(),
            catch_up: CatchUp::None,
        },
        payload: Payload::Heartbeat {
            prompt: heartbeat.prompt.clone(),
            context: if heartbeat.light_context { JobContext::Light } else { JobContext::Full },
        },
        place,
        model: heartbeat.model.as_ref().map(ToString::to_string).unwrap_or_default(),
        tools: JobTools::Only(tools.filter(is_allowed).map(str::to_owned).collect()),
        timeout: heartbeat.timeout.unwrap_or_else(|| LONGEST.min(*every)),
        max_tokens: heartbeat.budget.unwrap_or(0),
        after_run: AfterRun::Keep,
        delivery: to.map_or(JobDelivery::None, JobDelivery::Announce),
    })
}

/// When an agent's heartbeats fall: not all agents look at once, and a restart changes nothing.
fn phase(agent: &Agent, every: Duration) -> Timestamp {
    let [a, b, c, d, ..] = digest::of(&["heartbeat", agent.id.as_str()]);
    let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
    let offset = u64::from(u32::from_be_bytes([a, b, c, d])) * 1_000 % every;
    Timestamp::from_millis(i64::try_from(offset).unwrap_or(0))
}
