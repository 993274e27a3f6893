//! The client against a server of this test on a real Unix socket.

#![expect(clippy::expect_used, reason = "test code")]

use std::time::Duration;

use openclaw_client::v1::gateway_server::{Gateway, GatewayServer};
use openclaw_client::v1::{
    GetConfigRequest, GetConfigResponse, ListModelsRequest, StatusRequest, StatusResponse,
    UsageRequest, UsageResponse,
};
use openclaw_client::{CallError, Client, Code, ConnectError, Identity, Options, Origin, Target};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, Runtime};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Answers `status`, and refuses the configuration.
struct Fake;

#[tonic::async_trait]
impl Gateway for Fake {
    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(StatusResponse { version: "1.2.3".into(), ..Default::default() }))
    }

    async fn usage(&self, _: Request<UsageRequest>) -> Result<Response<UsageResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_config(
        &self,
        _: Request<GetConfigRequest>,
    ) -> Result<Response<GetConfigResponse>, Status> {
        let facts = [("missingScopes".to_owned(), "operator.read".to_owned())];
        let details = ErrorDetails::with_error_info("MISSING_SCOPE", "openclaw", facts);
        Err(Status::with_error_details(Code::PermissionDenied, "missing scope", details))
    }
}

fn socket(directory: &tempfile::TempDir) -> Target {
    Target::in_state_dir(directory.path())
}

/// A server with a runtime of its own, so that its connections end with it.
#[derive(Debug)]
struct Server(Option<Runtime>);

impl Server {
    fn listen(directory: &tempfile::TempDir) -> Self {
        let mut threads = Builder::new_multi_thread();
        let runtime = threads.worker_threads(1).enable_all().build().expect("a runtime");
        let listener = {
            let _entered = runtime.enter();
            UnixListener::bind(directory.path().join("gateway.sock")).expect("a free socket")
        };
        let served = tonic::transport::Server::builder()
            .add_service(GatewayServer::new(Fake))
            .serve_with_incoming(UnixListenerStream::new(listener));
        drop(runtime.spawn(served));
        Self(Some(runtime))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

async fn connect(target: &Target) -> Result<Client, ConnectError> {
    let options = Options { connect_timeout: Duration::from_secs(5), ..Options::default() };
    Client::connect(target, Identity::Local, &options).await
}

#[tokio::test]
async fn calls_are_answered_and_refused() {
    let directory = tempfile::tempdir().unwrap();
    let _server = Server::listen(&directory);
    let client = connect(&socket(&directory)).await.unwrap();
    let status = client.gateway().status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.version, "1.2.3");

    let refused = client.gateway().get_config(GetConfigRequest {}).await.unwrap_err();
    let refused = CallError::from(refused);
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refused.missing_scopes(), ["operator.read"]);

    let unknown = client.models().list(ListModelsRequest {}).await.unwrap_err();
    assert_eq!(CallError::from(unknown).code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_broken_connection_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::listen(&directory);
    let client = connect(&socket(&directory)).await.unwrap();
    client.gateway().status(StatusRequest {}).await.unwrap();

    drop(server);
    let lost = loop {
        // The server's connections end a moment after it.
        match client.gateway().status(StatusRequest {}).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(status) => break CallError::from(status),
        }
    };
    assert_eq!(lost.origin(), Origin::Transport, "{lost:?}");

    std::fs::remove_file(directory.path().join("gateway.sock")).unwrap();
    let _server = Server::listen(&directory);
    let status = client.gateway().status(StatusRequest {}).await.unwrap().into_inner();
    assert_eq!(status.version, "1.2.3");
}

#[tokio::test]
async fn refusals_to_connect_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| Target::Unix(directory.path().join(name));

    let absent = connect(&path("absent.sock")).await.unwrap_err();
    assert!(matches!(absent, ConnectError::NotRunning { .. }), "{absent:?}");

    // What a killed gateway leaves behind.
    let Target::Unix(stale) = path("stale.sock") else { panic!("not a socket") };
    drop(std::os::unix::net::UnixListener::bind(&stale).unwrap());
    let stale = connect(&Target::Unix(stale)).await.unwrap_err();
    assert!(matches!(stale, ConnectError::NotRunning { .. }), "{stale:?}");

    let long = connect(&path(&"x".repeat(200))).await.unwrap_err();
    assert!(matches!(long, ConnectError::PathTooLong { .. }), "{long:?}");

    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let below = connect(&Target::in_state_dir(&file)).await.unwrap_err();
    assert!(matches!(below, ConnectError::NotRunning { .. }), "{below:?}");
}

#[tokio::test]
async fn a_server_that_speaks_otherwise_is_an_error_and_not_a_hang() {
    let directory = tempfile::tempdir().unwrap();
    let target = socket(&directory);
    let listener = UnixListener::bind(directory.path().join("gateway.sock")).unwrap();
    let rude = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // The peer may be gone already.
            drop(stream.try_write(b"220 mail.example.org ESMTP\r\n"));
        }
    };
    let asked = async {
        match connect(&target).await {
            Ok(client) => {
                let answer = client.gateway().status(StatusRequest {}).await;
                CallError::from(answer.unwrap_err()).origin() == Origin::Transport
            }
            Err(error) => matches!(error, ConnectError::Transport(_)),
        }
    };
    tokio::select! {
        () = rude => {}
        told = asked => assert!(told),
    }
}
