//! Typed clients over an in-memory connection.

use hyper_util::rt::TokioIo;
use openclaw_client::health::health_client::HealthClient;
use openclaw_proto::v1::access_client::AccessClient;
use openclaw_proto::v1::agents_client::AgentsClient;
use openclaw_proto::v1::audit_client::AuditClient;
use openclaw_proto::v1::gateway_client::GatewayClient;
use openclaw_proto::v1::models_client::ModelsClient;
use openclaw_proto::v1::runs_client::RunsClient;
use openclaw_proto::v1::sessions_client::SessionsClient;
use tokio::io::DuplexStream;
use tonic::transport::{Channel, Endpoint};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// One connection to a gateway, with the clients of all services.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
}

/// Speaks gRPC over a connection inside the process.
pub async fn connect(stream: DuplexStream) -> Client {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().ok_or("the connection is made once");
        async move { stream }
    });
    let endpoint = Endpoint::from_static("http://in-process");
    Client { channel: endpoint.connect_with_connector(connector).await.unwrap() }
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident -> $client:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> $client<Channel> {
                    $client::new(self.channel.clone()).max_decoding_message_size(MAX_ANSWER)
                }
            )*
        }
    };
}

services! {
    /// Returns the client of questions about authority.
    access -> AccessClient;
    /// Returns the client of the configured agents.
    agents -> AgentsClient;
    /// Returns the client of the decision log.
    audit -> AuditClient;
    /// Returns the client of the daemon itself.
    gateway -> GatewayClient;
    /// Returns the client of `grpc.health.v1`.
    health -> HealthClient;
    /// Returns the client of models.
    models -> ModelsClient;
    /// Returns the client of `grpc.reflection.v1`.
    reflection -> ServerReflectionClient;
    /// Returns the client of runs.
    runs -> RunsClient;
    /// Returns the client of conversations.
    sessions -> SessionsClient;
}

impl Client {
    /// Returns the connection itself, for calls that no typed client makes.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }
}
