//! Every method that can be called has a row in the policy, and every row a method.

use std::collections::BTreeSet;

use openclaw_client::health;
use openclaw_proto::v1;
use openclaw_scopes::method::TABLE;
use openclaw_tests::{Client, TestGateway, soon};
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic_reflection::pb::v1 as reflection;

/// Methods that the gateway serves although no row guards them. The list may only shrink.
const UNGUARDED: &str = include_str!("../../golden/unguarded-methods.txt");

/// The paths of all methods that a set of descriptors declares.
fn declared(descriptors: &[u8]) -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(descriptors).unwrap();
    let mut paths = BTreeSet::new();
    for file in &set.file {
        for service in &file.service {
            for method in &service.method {
                paths.insert(format!("/{}.{}/{}", file.package(), service.name(), method.name()));
            }
        }
    }
    paths
}

fn all_declared() -> BTreeSet<String> {
    let sets =
        [openclaw_proto::DESCRIPTORS, health::FILE_DESCRIPTOR_SET, reflection::FILE_DESCRIPTOR_SET];
    // The health protocol of this library has a method that its server does not have.
    let paths = sets.into_iter().flat_map(declared);
    paths.filter(|path| path != "/grpc.health.v1.Health/List").collect()
}

fn guarded() -> BTreeSet<String> {
    TABLE.iter().filter_map(|row| row.path()).map(str::to_owned).collect()
}

/// A method in the proto but not in the policy table is open to the world.
#[test]
fn every_method_is_guarded() {
    let (declared, guarded) = (all_declared(), guarded());
    let unguarded: Vec<_> = declared.difference(&guarded).collect();
    assert_eq!(UNGUARDED, "", "the list is empty, and may only shrink");
    let listed: Vec<&str> = UNGUARDED.lines().collect();
    assert_eq!(unguarded, listed, "methods without a row in the policy");
    let gone: Vec<_> = guarded.difference(&declared).collect();
    assert!(gone.is_empty(), "the policy names methods that do not exist: {gone:?}");
}

async fn served(client: &Client) -> BTreeSet<String> {
    use reflection::server_reflection_request::MessageRequest;
    use reflection::server_reflection_response::MessageResponse;
    let request = reflection::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let (ask, asked) = tokio::sync::mpsc::channel(1);
    ask.send(request).await.unwrap();
    let asked = tokio_stream::wrappers::ReceiverStream::new(asked);
    let answer = client.reflection().server_reflection_info(asked).await.unwrap();
    let answer = soon(answer.into_inner().message()).await.unwrap().unwrap();
    match answer.message_response.unwrap() {
        MessageResponse::ListServicesResponse(list) => {
            list.service.into_iter().map(|service| service.name).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// What the running gateway says that it serves is what the policy knows.
#[tokio::test]
async fn every_service_that_is_served_is_in_the_policy() {
    let gateway = TestGateway::start().await;
    let services: BTreeSet<_> = guarded()
        .iter()
        .map(|path| path.trim_start_matches('/').split('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(served(&gateway.owner().await).await, services);
}

/// A path that is no method is refused, and nothing is behind it.
#[tokio::test]
async fn unknown_paths_lead_nowhere() {
    let gateway = TestGateway::start().await;
    let mut grpc = tonic::client::Grpc::new(gateway.owner().await.channel());
    for path in ["/openclaw.v1.Gateway/Nope", "/openclaw.v2.Gateway/Status", "/x", "/"] {
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<v1::StatusRequest, v1::StatusResponse>::default();
        let request = tonic::Request::new(v1::StatusRequest {});
        let status = grpc.unary(request, path.parse().unwrap(), codec).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unimplemented, "{path}");
    }
}
