//! The gRPC services: each handler admits, parses, acts and responds.

mod access;
mod agents;
mod approvals;
mod audit;
mod channels;
mod cron;
mod devices;
mod edit;
mod events;
mod messages;
mod models;
mod people;
mod runs;
mod security;
mod sessions;
mod status;
mod subagents;
mod system;
mod tokens;

pub(crate) use devices::pairing_request;

use openclaw_proto::v1::access_server::AccessServer;
use openclaw_proto::v1::agents_server::AgentsServer;
use openclaw_proto::v1::approvals_server::ApprovalsServer;
use openclaw_proto::v1::audit_server::AuditServer;
use openclaw_proto::v1::channels_server::ChannelsServer;
use openclaw_proto::v1::cron_server::CronServer;
use openclaw_proto::v1::devices_server::DevicesServer;
use openclaw_proto::v1::events_server::EventsServer;
use openclaw_proto::v1::gateway_server::GatewayServer;
use openclaw_proto::v1::messages_server::MessagesServer;
use openclaw_proto::v1::models_server::ModelsServer;
use openclaw_proto::v1::runs_server::RunsServer;
use openclaw_proto::v1::security_server::SecurityServer;
use openclaw_proto::v1::sessions_server::SessionsServer;
use openclaw_proto::v1::subagents_server::SubagentsServer;
use openclaw_proto::v1::system_server::SystemServer;
use openclaw_proto::v1::tokens_server::TokensServer;
use tonic::service::Routes;

use crate::core::Core;

/// Puts all services of a gateway behind their paths.
pub(crate) fn routes(core: &Core, max_message: usize) -> Routes {
    let mut routes = Routes::builder();
    routes
        .add_service(AccessServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(AgentsServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(ApprovalsServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(AuditServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(ChannelsServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(CronServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(DevicesServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(EventsServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(GatewayServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(MessagesServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(ModelsServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(RunsServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(SecurityServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(SessionsServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(SubagentsServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(SystemServer::new(core.clone()).max_decoding_message_size(max_message))
        .add_service(TokensServer::new(core.clone()).max_decoding_message_size(max_message));
    routes.routes()
}
