//! The daemon's own status and configuration over the wire.

use openclaw_proto::v1::gateway_server::Gateway;
use openclaw_proto::{from_timestamp, to_duration, to_timestamp, v1};
use openclaw_scopes::AgentId;
use openclaw_scopes::method::{Method as _, ReadConfig, ReadStatus, ReadUsage};
use openclaw_scopes::target::Whole;
use openclaw_store::{GetStatus, GetUsage, UsageBy};
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::respond::Reply;
use crate::{clock, convert, gate, respond, usage};

#[tonic::async_trait]
impl Gateway for Core {
    async fn status(
        &self,
        request: Request<v1::StatusRequest>,
    ) -> Result<Response<v1::StatusResponse>, Status> {
        let (caller, v1::StatusRequest {}) = gate::admit(request)?;
        let now = clock::now();
        let viewed = self.store.view(&caller, &GetStatus, now).await;
        let stored = viewed
            .map_err(|error| respond::act(error, ReadStatus::ROW, |never| match *never {}))?;
        let phase = if self.engine.is_draining() {
            v1::status_response::Phase::Draining
        } else {
            v1::status_response::Phase::Serving
        };
        let roster = self.engine.roster();
        let main = AgentId::parse("main").ok();
        let model = main.and_then(|main| Some(roster.agent(&main)?.model.name().to_owned()));
        Ok(Response::new(v1::StatusResponse {
            version: env!("CARGO_PKG_VERSION").into(),
            pid: std::process::id(),
            started_at: Some(to_timestamp(self.started_at)),
            uptime: Some(to_duration(now.since(self.started_at))),
            state_dir: self.around.state_dir.to_string_lossy().into_owned(),
            phase: phase.into(),
            running_runs: stored.running_runs,
            queued_runs: stored.queued_runs,
            max_concurrent: u32::try_from(self.engine.concurrency()).unwrap_or(u32::MAX),
            sessions: stored.sessions,
            model: model.unwrap_or_default(),
            audit_head: Some(convert::audit_head(stored.audit_head)),
            database_bytes: self.store.size(),
            principal: caller.actor().to_string(),
            listen: self.network.as_ref().map(|it| it.local.to_string()).unwrap_or_default(),
            fingerprint: self
                .network
                .as_ref()
                .map(|it| it.fingerprint.to_string())
                .unwrap_or_default(),
        }))
    }

    async fn usage(
        &self,
        request: Request<v1::UsageRequest>,
    ) -> Result<Response<v1::UsageResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let by = match v1::usage_request::By::try_from(message.by) {
            Ok(v1::usage_request::By::Unspecified | v1::usage_request::By::Agent) => UsageBy::Agent,
            Ok(v1::usage_request::By::Day) => UsageBy::Day,
            Ok(v1::usage_request::By::Model) => UsageBy::Model,
            Ok(v1::usage_request::By::Session) => UsageBy::Session,
            Err(unknown) => return Err(Reply::invalid(unknown.to_string()).into()),
        };
        let since = message.since.as_ref().map(from_timestamp);
        if since.is_some() && by == UsageBy::Session {
            let text = "of a session only all that it has used is known";
            return Err(Reply::invalid(text).next("openclaw usage --by session").into());
        }
        let used = self.store.view(&caller, &GetUsage { by, since }, clock::now()).await;
        let used =
            used.map_err(|error| respond::act(error, ReadUsage::ROW, |never| match *never {}))?;
        Ok(Response::new(usage::summed(&used, by, &self.engine.roster().config)))
    }

    async fn get_config(
        &self,
        request: Request<v1::GetConfigRequest>,
    ) -> Result<Response<v1::GetConfigResponse>, Status> {
        let (caller, v1::GetConfigRequest {}) = gate::admit(request)?;
        let authorized = self.peek::<ReadConfig>(&caller, Whole).await?;
        let (_, Whole) = authorized.into_parts();
        let path = if self.config_path.exists() {
            self.config_path.to_string_lossy().into_owned()
        } else {
            String::new()
        };
        let toml = openclaw_config::to_toml_redacted(&self.engine.roster().config);
        Ok(Response::new(v1::GetConfigResponse { toml, path }))
    }
}
