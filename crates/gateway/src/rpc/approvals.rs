//! Approvals of tool calls over the wire.

use openclaw_proto::v1::approvals_server::Approvals;
use openclaw_proto::{to_timestamp, v1};
use openclaw_scopes::method::{self, Method as _};
use openclaw_store::{
    AnswerCall, Approval, ApprovalState, Approve, Deny, ListApprovals, ListStanding, Operation,
    RevokeStanding, Standing, Term,
};
use tonic::{Request, Response, Status};

use crate::core::Core;
use crate::respond::{self, Reply};
use crate::{clock, gate, secrets};

/// Bytes of the reason of a refusal at most: the model reads it.
const MAX_REASON: usize = 500;

#[tonic::async_trait]
impl Approvals for Core {
    async fn list(
        &self,
        request: Request<v1::ListApprovalsRequest>,
    ) -> Result<Response<v1::ListApprovalsResponse>, Status> {
        let (caller, message) = gate::admit(request)?;
        let now = clock::now();
        let query = ListApprovals { pending_only: !message.all, now };
        let listed = self.store.scan(&caller, query, now).await;
        let listed = listed.map_err(|error| {
            respond::act(error, method::ListApprovals::ROW, |never| match *never {})
        })?;
        let approvals = listed.into_iter().map(approval).collect();
        Ok(Response::new(v1::ListApprovalsResponse { approvals }))
    }

    async fn approve(
        &self,
        request: Request<v1::ApproveCallRequest>,
    ) -> Result<Response<v1::Approval>, Status> {
        let (caller, message) = gate::admit(request)?;
        let answer = Approve(if message.always { Term::Always } else { Term::Once });
        let standing = format!("sa-{}", secrets::hex::<6>()?);
        let ask = AnswerCall { id: message.id, answer, standing };
        let answered = self.perform(&caller, ask, clock::now(), respond::approval).await?;
        self.engine.decided();
        Ok(Response::new(approval(answered)))
    }

    async fn deny(
        &self,
        request: Request<v1::DenyCallRequest>,
    ) -> Result<Response<v1::Approval>, Status> {
        let (caller, message) = gate::admit(request)?;
        let reason = message.reason;
        if reason.len() > MAX_REASON || reason.chars().any(char::is_control) {
            let text = format!("a reason is at most {MAX_REASON} bytes without control characters");
            return Err(Reply::invalid(text).next("say it shorter with --reason").into());
        }
        let ask = AnswerCall { id: message.id, answer: Deny(reason), standing: String::new() };
        let answered = self.perform(&caller, ask, clock::now(), respond::approval).await?;
        self.engine.decided();
        Ok(Response::new(approval(answered)))
    }

    async fn list_standing(
        &self,
        request: Request<v1::ListStandingRequest>,
    ) -> Result<Response<v1::ListStandingResponse>, Status> {
        let (caller, v1::ListStandingRequest {}) = gate::admit(request)?;
        let listed = self.store.scan(&caller, ListStanding, clock::now()).await;
        let listed = listed.map_err(|error| {
            respond::act(error, method::ListStanding::ROW, |never| match *never {})
        })?;
        let standing = listed.into_iter().map(standing).collect();
        Ok(Response::new(v1::ListStandingResponse { standing }))
    }

    async fn revoke_standing(
        &self,
        request: Request<v1::RevokeStandingRequest>,
    ) -> Result<Response<v1::StandingApproval>, Status> {
        let (caller, message) = gate::admit(request)?;
        let ask = RevokeStanding(message.id);
        let gone = self.perform(&caller, ask, clock::now(), respond::approval).await?;
        Ok(Response::new(standing(gone)))
    }
}

fn operation(operation: Operation) -> v1::Operation {
    let Operation { tool, argv, cwd, binary, binary_digest, environment_digest, sandbox } =
        operation;
    v1::Operation { tool, argv, cwd, binary, binary_digest, environment_digest, sandbox }
}

fn approval(approval: Approval) -> v1::Approval {
    let state = match approval.state {
        ApprovalState::Approved => v1::approval::State::Approved,
        ApprovalState::Denied => v1::approval::State::Denied,
        ApprovalState::Expired => v1::approval::State::Expired,
        ApprovalState::Pending => v1::approval::State::Pending,
        ApprovalState::Used => v1::approval::State::Used,
    };
    let agent = openclaw_sessions::agent_of(&approval.session).map(|agent| agent.to_string());
    v1::Approval {
        id: approval.id,
        operation: Some(operation(approval.operation)),
        run_id: approval.run.to_string(),
        session_key: approval.session.to_string(),
        agent_id: agent.unwrap_or_default(),
        on_behalf_of: approval.on_behalf_of.to_string(),
        state: state.into(),
        requested_at: Some(to_timestamp(approval.requested_at)),
        expires_at: Some(to_timestamp(approval.expires_at)),
        decided_by: approval.decided_by,
        decided_at: approval.decided_at.map(to_timestamp),
        reason: approval.reason,
        used_by_run_id: approval.used_by,
    }
}

fn standing(standing: Standing) -> v1::StandingApproval {
    v1::StandingApproval {
        id: standing.id,
        operation: Some(operation(standing.operation)),
        agent_id: standing.agent.to_string(),
        on_behalf_of: standing.on_behalf_of.to_string(),
        created_by: standing.created_by,
        created_at: Some(to_timestamp(standing.created_at)),
        uses: standing.uses,
    }
}
