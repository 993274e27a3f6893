//! A gateway that lets everybody in, on a socket and over TLS, and writes down what it was asked.

mod rest;

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use openclaw_client::v1::access_server::AccessServer;
use openclaw_client::v1::devices_server::{Devices, DevicesServer};
use openclaw_client::v1::gateway_server::GatewayServer;
use openclaw_client::v1::messages_server::MessagesServer;
use openclaw_client::v1::security_server::SecurityServer;
use openclaw_client::v1::tokens_server::TokensServer;
use openclaw_client::v1::*;
use openclaw_client::{Code, Fingerprint};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Handle;
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// The id of the device that is there.
pub(crate) const DEVICE: &str = "abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789";

/// What was asked.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// What each device wished for when it connected, and whether it asked for an upgrade.
    pub(crate) connects: Vec<(String, String)>,
    /// Who connected last.
    pub(crate) device: String,
    /// Each call that changes something, in words.
    pub(crate) calls: Vec<String>,
    /// How many devices are still to be told that they are not paired.
    pub(crate) unpaired: u32,
    /// Why the next call of `status` is refused, if it is.
    pub(crate) refuses: bool,
}

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: String,
    pub(crate) fingerprint: Fingerprint,
    seen: Arc<Mutex<Seen>>,
}

impl Fake {
    /// Serves on a socket in the state directory, and on a port, until the test ends.
    pub(crate) async fn serve(state_dir: &Path) -> Self {
        let certified = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
        let certificate = certified.cert.der().clone();
        let end_entity = webpki::EndEntityCert::try_from(&certificate).unwrap();
        let spki = end_entity.subject_public_key_info();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Self {
            address: listener.local_addr().unwrap().to_string(),
            fingerprint: Fingerprint::of_spki(&spki),
            seen: Arc::default(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let routes = Routes::new(DevicesServer::new(fake.clone()))
            .add_service(AccessServer::new(fake.clone()))
            .add_service(GatewayServer::new(fake.clone()))
            .add_service(MessagesServer::new(fake.clone()))
            .add_service(SecurityServer::new(fake.clone()))
            .add_service(TokensServer::new(fake.clone()));
        let server = || tonic::transport::Server::builder().add_routes(routes.clone());
        let (incoming, accepted) = tokio::sync::mpsc::channel(8);
        let accepted = tokio_stream::wrappers::ReceiverStream::new(accepted);
        Handle::current().spawn(server().serve_with_incoming(accepted));
        let socket = UnixListener::bind(state_dir.join("gateway.sock")).unwrap();
        let socket = tokio_stream::wrappers::UnixListenerStream::new(socket);
        Handle::current().spawn(server().serve_with_incoming(socket));
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Handle::current().spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, incoming) = (acceptor.clone(), incoming.clone());
                Handle::current().spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let (mut ours, theirs): (_, DuplexStream) = tokio::io::duplex(1 << 16);
                    incoming.send(Ok::<_, Status>(theirs)).await.unwrap();
                    drop(tokio::io::copy_bidirectional(&mut stream, &mut ours).await);
                });
            }
        });
        fake
    }

    pub(crate) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    /// Writes a call down.
    fn note<T>(&self, call: String, answer: T) -> Result<Response<T>, Status> {
        self.seen().calls.push(call);
        Ok(Response::new(answer))
    }
}

/// The fields of a claim, each of which is preceded by its length.
fn fields(mut claim: &[u8]) -> Vec<&[u8]> {
    let mut fields = Vec::new();
    while let Some((length, rest)) = claim.split_first_chunk::<4>() {
        let (field, rest) = rest.split_at(u32::from_be_bytes(*length).try_into().unwrap());
        fields.push(field);
        claim = rest;
    }
    fields
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn refused(reason: &str, next: &str) -> Status {
    let facts = [("requestId", "r9"), ("missingScopes", "operator.read")];
    let facts = facts.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut details = ErrorDetails::with_error_info(reason, "openclaw", facts);
    details.add_help_link(next, "");
    Status::with_error_details(Code::PermissionDenied, "not now", details)
}

fn device() -> Device {
    Device {
        id: DEVICE.into(),
        label: "Laptop".into(),
        role: "operator".into(),
        approved_scopes: strings(&["operator.approvals", "operator.read"]),
        granted_scopes: strings(&["operator.read"]),
        status: device::Status::Active.into(),
        ..Device::default()
    }
}

fn request(id: &str, kind: &str, scopes: &[&str]) -> PairingRequest {
    PairingRequest {
        id: id.into(),
        revision: 2,
        device_id: DEVICE.into(),
        kind: kind.into(),
        requested_scopes: strings(scopes),
        state: pairing_request::State::Pending.into(),
        ..PairingRequest::default()
    }
}

fn far_away() -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds: 4_000_000_000, nanos: 0 })
}

#[tonic::async_trait]
impl Devices for Fake {
    async fn challenge(
        &self,
        _: Request<ChallengeRequest>,
    ) -> Result<Response<ChallengeResponse>, Status> {
        let nonce = vec![1; 32];
        Ok(Response::new(ChallengeResponse { nonce, ..ChallengeResponse::default() }))
    }

    async fn connect(
        &self,
        asked: Request<ConnectRequest>,
    ) -> Result<Response<ConnectResponse>, Status> {
        let asked = asked.into_inner();
        let fields = fields(&asked.claim);
        let text = |index: usize| String::from_utf8(fields[index].to_vec()).unwrap();
        let mut seen = self.seen();
        seen.connects.push((text(5), text(6)));
        seen.device = text(3);
        if seen.unpaired > 0 && asked.invitation.is_empty() {
            seen.unpaired -= 1;
            let next = "openclaw devices approve r9@1 --scopes operator.read";
            return Err(refused("PAIRING_REQUIRED", next));
        }
        Ok(Response::new(ConnectResponse {
            access_token: "oca_1".into(),
            expires_at: far_away(),
            scopes: text(5).split(' ').map(str::to_owned).collect(),
            approved_scopes: strings(&["operator.write"]),
            device_id: text(3),
            ..ConnectResponse::default()
        }))
    }

    async fn list(
        &self,
        _: Request<ListDevicesRequest>,
    ) -> Result<Response<ListDevicesResponse>, Status> {
        Ok(Response::new(ListDevicesResponse {
            devices: vec![device()],
            pending: vec![
                request("r1", "not-paired", &["operator.admin"]),
                request("r2", "scope-upgrade", &["operator.write"]),
            ],
        }))
    }

    async fn approve(
        &self,
        asked: Request<ApproveDeviceRequest>,
    ) -> Result<Response<Device>, Status> {
        let ApproveDeviceRequest { request, scopes } = asked.into_inner();
        let device = Device { approved_scopes: scopes.clone(), ..device() };
        self.note(format!("approve {request} {}", scopes.join(" ")), device)
    }

    async fn reject(
        &self,
        asked: Request<RejectDeviceRequest>,
    ) -> Result<Response<PairingRequest>, Status> {
        let call = format!("reject {}", asked.into_inner().request);
        self.note(call, request("r1", "not-paired", &[]))
    }

    async fn rotate(
        &self,
        asked: Request<RotateDeviceRequest>,
    ) -> Result<Response<Device>, Status> {
        let RotateDeviceRequest { device: id, role, scopes, keep } = asked.into_inner();
        self.note(format!("rotate {id} {role} {scopes:?} {keep}"), device())
    }

    async fn revoke(
        &self,
        asked: Request<RevokeDeviceRequest>,
    ) -> Result<Response<Device>, Status> {
        let RevokeDeviceRequest { device: id, role } = asked.into_inner();
        self.note(format!("revoke {id} {role}"), device())
    }

    async fn remove(
        &self,
        asked: Request<RemoveDeviceRequest>,
    ) -> Result<Response<Device>, Status> {
        self.note(format!("remove {}", asked.into_inner().device), device())
    }

    async fn rename(
        &self,
        asked: Request<RenameDeviceRequest>,
    ) -> Result<Response<Device>, Status> {
        let RenameDeviceRequest { device: id, label } = asked.into_inner();
        self.note(format!("rename {id} {label}"), device())
    }

    async fn revoke_all(
        &self,
        _: Request<RevokeAllRequest>,
    ) -> Result<Response<RevokeAllResponse>, Status> {
        self.note("revoke all".into(), RevokeAllResponse { devices: 1, ..Default::default() })
    }

    async fn invite(&self, asked: Request<InviteRequest>) -> Result<Response<Invitation>, Status> {
        let InviteRequest { scopes, ttl, addresses } = asked.into_inner();
        let seconds = ttl.unwrap_or_default().seconds;
        let call = format!("invite {} {seconds} {}", scopes.join(" "), addresses.join(" "));
        let invitation = Invitation {
            link: "openclaw://connect/home:1/x".into(),
            code: "x".into(),
            scopes,
            ..Invitation::default()
        };
        self.note(call, invitation)
    }

    async fn list_invitations(
        &self,
        _: Request<ListInvitationsRequest>,
    ) -> Result<Response<ListInvitationsResponse>, Status> {
        let scopes = vec!["operator.read".into()];
        let open = Invitation { id: "inv_1".into(), scopes, ..Invitation::default() };
        Ok(Response::new(ListInvitationsResponse { invitations: vec![open] }))
    }

    async fn revoke_invitation(
        &self,
        asked: Request<RevokeInvitationRequest>,
    ) -> Result<Response<Invitation>, Status> {
        let id = asked.into_inner().invitation;
        self.note(format!("uninvite {id}"), Invitation { id, ..Invitation::default() })
    }

    async fn request_upgrade(
        &self,
        asked: Request<RequestUpgradeRequest>,
    ) -> Result<Response<PairingRequest>, Status> {
        let call = format!("upgrade {}", asked.into_inner().scopes.join(" "));
        self.note(call, request("r3", "scope-upgrade", &["operator.write"]))
    }

    async fn wait_upgrade(
        &self,
        _: Request<WaitUpgradeRequest>,
    ) -> Result<Response<PairingRequest>, Status> {
        let state = pairing_request::State::Rejected.into();
        let request = PairingRequest { state, ..request("r3", "scope-upgrade", &[]) };
        Ok(Response::new(request))
    }

    async fn renew(&self, _: Request<RenewRequest>) -> Result<Response<ConnectResponse>, Status> {
        Err(Status::unimplemented(""))
    }
}
