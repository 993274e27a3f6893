//! What the gateway that writes down answers about tokens, itself, security, access and deliveries.

use openclaw_client::v1::access_server::Access;
use openclaw_client::v1::gateway_server::Gateway;
use openclaw_client::v1::messages_server::Messages;
use openclaw_client::v1::security_server::Security;
use openclaw_client::v1::tokens_server::Tokens;
use openclaw_client::v1::*;
use tonic::{Request, Response, Status};

use super::{Fake, refused, strings};

#[tonic::async_trait]
impl Tokens for Fake {
    async fn create(
        &self,
        asked: Request<CreateTokenRequest>,
    ) -> Result<Response<CreateTokenResponse>, Status> {
        let CreateTokenRequest { name, scopes, ttl, .. } = asked.into_inner();
        let days = ttl.unwrap_or_default().seconds / 86_400;
        let call = format!("token {name} {} {days}", scopes.join(" "));
        let token = Some(Token { name, scopes, ..Token::default() });
        self.note(call, CreateTokenResponse { token, secret: "oct_secret".into() })
    }

    async fn list(
        &self,
        _: Request<ListTokensRequest>,
    ) -> Result<Response<ListTokensResponse>, Status> {
        let scopes = strings(&["operator.write"]);
        let status = token::Status::Active.into();
        let tokens = vec![Token { name: "ci".into(), scopes, status, ..Token::default() }];
        Ok(Response::new(ListTokensResponse { tokens }))
    }

    async fn revoke(&self, asked: Request<RevokeTokenRequest>) -> Result<Response<Token>, Status> {
        let name = asked.into_inner().token;
        self.note(format!("revoke token {name}"), Token { name, ..Token::default() })
    }
}

#[tonic::async_trait]
impl Gateway for Fake {
    async fn status(
        &self,
        asked: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let text = |key| asked.metadata().get(key).and_then(|value| value.to_str().ok());
        let asks = text("openclaw-request-access").unwrap_or("0");
        let bearer = text("authorization").unwrap_or("-");
        let mut seen = self.seen();
        seen.calls.push(format!("status {asks} {bearer}"));
        if seen.refuses {
            return Err(refused("MISSING_SCOPE", ""));
        }
        let fingerprint = self.fingerprint.to_string();
        Ok(Response::new(StatusResponse { fingerprint, ..Default::default() }))
    }

    async fn usage(&self, _: Request<UsageRequest>) -> Result<Response<UsageResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_config(
        &self,
        _: Request<GetConfigRequest>,
    ) -> Result<Response<GetConfigResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tonic::async_trait]
impl Security for Fake {
    async fn audit(
        &self,
        _: Request<SecurityAuditRequest>,
    ) -> Result<Response<SecurityAuditResponse>, Status> {
        let finding = SecurityFinding {
            id: "devices.never_used".into(),
            severity: security_finding::Severity::Warn.into(),
            fix: "openclaw devices remove abcdef".into(),
            ..SecurityFinding::default()
        };
        let findings = vec![finding];
        Ok(Response::new(SecurityAuditResponse { findings, checks: 9, at: None }))
    }
}

#[tonic::async_trait]
impl Access for Fake {
    async fn explain(
        &self,
        asked: Request<ExplainRequest>,
    ) -> Result<Response<ExplainResponse>, Status> {
        self.note(format!("explain {}", asked.into_inner().principal), ExplainResponse::default())
    }

    async fn show(
        &self,
        asked: Request<ShowAccessRequest>,
    ) -> Result<Response<ShowAccessResponse>, Status> {
        let call = format!("show {}", asked.into_inner().principal);
        self.note(call, ShowAccessResponse::default())
    }
}

#[tonic::async_trait]
impl Messages for Fake {
    async fn send(&self, _: Request<SendMessageRequest>) -> Result<Response<Delivery>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn poll(&self, _: Request<PollRequest>) -> Result<Response<Delivery>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list(
        &self,
        _: Request<ListDeliveriesRequest>,
    ) -> Result<Response<ListDeliveriesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get(&self, asked: Request<GetDeliveryRequest>) -> Result<Response<Delivery>, Status> {
        let id = asked.into_inner().id;
        let on_behalf_of = match id.as_str() {
            "own" => format!("device:{}", self.seen().device),
            _ => "owner".to_owned(),
        };
        Ok(Response::new(Delivery { id, on_behalf_of, ..Delivery::default() }))
    }

    async fn retry(&self, _: Request<RetryDeliveryRequest>) -> Result<Response<Delivery>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn discard(
        &self,
        _: Request<DiscardDeliveryRequest>,
    ) -> Result<Response<Delivery>, Status> {
        Err(Status::unimplemented(""))
    }
}
