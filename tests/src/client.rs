//! Typed clients over a connection that the test made.

use hyper_util::rt::TokioIo;
use openclaw_client::health::health_client::HealthClient;
use openclaw_proto::v1::access_client::AccessClient;
use openclaw_proto::v1::agents_client::AgentsClient;
use openclaw_proto::v1::approvals_client::ApprovalsClient;
use openclaw_proto::v1::audit_client::AuditClient;
use openclaw_proto::v1::channels_client::ChannelsClient;
use openclaw_proto::v1::cron_client::CronClient;
use openclaw_proto::v1::devices_client::DevicesClient;
use openclaw_proto::v1::events_client::EventsClient;
use openclaw_proto::v1::gateway_client::GatewayClient;
use openclaw_proto::v1::messages_client::MessagesClient;
use openclaw_proto::v1::models_client::ModelsClient;
use openclaw_proto::v1::runs_client::RunsClient;
use openclaw_proto::v1::security_client::SecurityClient;
use openclaw_proto::v1::sessions_client::SessionsClient;
use openclaw_proto::v1::subagents_client::SubagentsClient;
use openclaw_proto::v1::system_client::SystemClient;
use openclaw_proto::v1::tokens_client::TokensClient;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// One connection to a gateway, with the clients of all services.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    metadata: Metadata,
}

/// What every request of a client carries.
#[derive(Clone, Debug, Default)]
pub struct Metadata(Vec<(&'static str, String)>);

impl Interceptor for Metadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        for (name, value) in &self.0 {
            request.metadata_mut().append(*name, MetadataValue::try_from(value).unwrap());
        }
        Ok(request)
    }
}

/// Speaks gRPC over a connection that was made.
pub async fn connect(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Client {
    let mut stream = Some(TokioIo::new(stream));
    let connector = tower::service_fn(move |_| {
        let stream = stream.take().ok_or("the connection is made once");
        async move { stream }
    });
    let endpoint = Endpoint::from_static("http://in-process");
    let channel = endpoint.connect_with_connector(connector).await.unwrap();
    Client { channel, metadata: Metadata::default() }
}

macro_rules! services {
    ($($(#[$doc:meta])* $name:ident -> $client:ident;)*) => {
        impl Client {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> $client<InterceptedService<Channel, Metadata>> {
                    $client::with_interceptor(self.channel.clone(), self.metadata.clone())
                        .max_decoding_message_size(MAX_ANSWER)
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
    /// Returns the client of approvals of tool calls.
    approvals -> ApprovalsClient;
    /// Returns the client of the decision log.
    audit -> AuditClient;
    /// Returns the client of channels.
    channels -> ChannelsClient;
    /// Returns the client of jobs.
    cron -> CronClient;
    /// Returns the client of devices.
    devices -> DevicesClient;
    /// Returns the client of what happens.
    events -> EventsClient;
    /// Returns the client of the daemon itself.
    gateway -> GatewayClient;
    /// Returns the client of `grpc.health.v1`.
    health -> HealthClient;
    /// Returns the client of what leaves.
    messages -> MessagesClient;
    /// Returns the client of models.
    models -> ModelsClient;
    /// Returns the client of `grpc.reflection.v1`.
    reflection -> ServerReflectionClient;
    /// Returns the client of runs.
    runs -> RunsClient;
    /// Returns the client of what weakens the gateway.
    security -> SecurityClient;
    /// Returns the client of conversations.
    sessions -> SessionsClient;
    /// Returns the client of delegated runs.
    subagents -> SubagentsClient;
    /// Returns the client of system events.
    system -> SystemClient;
    /// Returns the client of API tokens.
    tokens -> TokensClient;
}

impl Client {
    /// Returns the connection itself, for calls that no typed client makes.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Returns the same connection, on which every request carries one more piece of metadata.
    #[must_use]
    pub fn with(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.metadata.0.push((name, value.to_owned()));
        client
    }

    /// Returns the same connection, on which every request shows this bearer.
    #[must_use]
    pub fn bearing(&self, bearer: &str) -> Self {
        self.with("authorization", &format!("Bearer {bearer}"))
    }
}
