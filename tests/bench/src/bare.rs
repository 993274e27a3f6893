//! The limit of a call: the same messages over the same socket, with no logic behind them.

mod network;

use std::path::Path;

use openclaw_proto::{to_timestamp, v1};
use openclaw_scopes::Timestamp;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use v1::gateway_server::GatewayServer;
use v1::runs_server::RunsServer;
use v1::sessions_server::{Sessions, SessionsServer};

use self::network::Either;
use crate::skeleton::Skeleton;

/// Serves on this socket until the process is ended.
pub(crate) async fn serve(socket: &Path) -> anyhow::Result<()> {
    let skeleton = Skeleton::open(&socket.with_extension("db"))?;
    let (connections, accepted) = mpsc::channel(64);
    let network = network::listen(connections.clone()).await?;
    let listener = UnixListener::bind(socket)?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if connections.send(Ok(Either::Unix(stream))).await.is_err() {
                return;
            }
        }
    });
    Server::builder()
        .max_concurrent_streams(256)
        .add_service(HealthServer::new(Bare))
        .add_service(SessionsServer::new(Bare))
        .add_service(GatewayServer::new(network))
        .add_service(RunsServer::new(skeleton))
        .serve_with_incoming(ReceiverStream::new(accepted))
        .await?;
    Ok(())
}

/// Answers the same to everybody.
#[derive(Clone, Copy, Debug)]
struct Bare;

#[tonic::async_trait]
impl Health for Bare {
    type WatchStream = tokio_stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let status = ServingStatus::Serving.into();
        Ok(Response::new(HealthCheckResponse { status }))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(absent())
    }
}

#[tonic::async_trait]
impl Sessions for Bare {
    async fn get(
        &self,
        request: Request<v1::GetSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        let at = Some(to_timestamp(Timestamp::from_millis(1_700_000_000_000)));
        Ok(Response::new(v1::Session {
            key: request.into_inner().key,
            agent_id: "main".into(),
            owner: "owner".into(),
            created_at: at,
            updated_at: at,
            usage: Some(v1::Usage::default()),
            ..v1::Session::default()
        }))
    }

    async fn create(
        &self,
        _: Request<v1::CreateSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        Err(absent())
    }

    async fn list(
        &self,
        _: Request<v1::ListSessionsRequest>,
    ) -> Result<Response<v1::ListSessionsResponse>, Status> {
        Err(absent())
    }

    async fn history(
        &self,
        _: Request<v1::SessionHistoryRequest>,
    ) -> Result<Response<v1::SessionHistoryResponse>, Status> {
        Err(absent())
    }

    async fn patch(
        &self,
        _: Request<v1::PatchSessionRequest>,
    ) -> Result<Response<v1::Session>, Status> {
        Err(absent())
    }

    async fn cleanup(
        &self,
        _: Request<v1::CleanupRequest>,
    ) -> Result<Response<v1::CleanupResponse>, Status> {
        Err(absent())
    }

    async fn compact(
        &self,
        _: Request<v1::CompactSessionRequest>,
    ) -> Result<Response<v1::CompactSessionResponse>, Status> {
        Err(absent())
    }

    async fn reset(
        &self,
        _: Request<v1::ResetSessionRequest>,
    ) -> Result<Response<v1::ResetSessionResponse>, Status> {
        Err(absent())
    }

    async fn undo_reset(
        &self,
        _: Request<v1::UndoResetRequest>,
    ) -> Result<Response<v1::ResetSessionResponse>, Status> {
        Err(absent())
    }

    async fn delete(
        &self,
        _: Request<v1::DeleteSessionRequest>,
    ) -> Result<Response<v1::DeleteSessionResponse>, Status> {
        Err(absent())
    }
}

/// What is not measured is not there.
pub(crate) fn absent() -> Status {
    Status::unimplemented("not measured")
}
