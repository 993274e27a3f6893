//! A gateway on the network that believes who proves a key, as its test tells it.

mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openclaw_client::v1::devices_server::{Devices, DevicesServer};
use openclaw_client::v1::gateway_server::{Gateway, GatewayServer};
use openclaw_client::v1::{
    ApproveDeviceRequest, ChallengeRequest, ChallengeResponse, ConnectRequest, ConnectResponse,
    Device, GetConfigRequest, GetConfigResponse, Invitation, InviteRequest, ListDevicesRequest,
    ListDevicesResponse, ListInvitationsRequest, ListInvitationsResponse, PairingRequest,
    RejectDeviceRequest, RemoveDeviceRequest, RenameDeviceRequest, RenewRequest,
    RequestUpgradeRequest, RevokeAllRequest, RevokeAllResponse, RevokeDeviceRequest,
    RevokeInvitationRequest, RotateDeviceRequest, StatusRequest, StatusResponse, UsageRequest,
    UsageResponse, WaitUpgradeRequest,
};
use openclaw_client::{Fingerprint, Target};
use openclaw_pairing::{Asks, Expected, Nonce, verify};
use openclaw_proto::{scope_names, to_timestamp};
use openclaw_scopes::{ScopeSet, Timestamp};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, SupportedProtocolVersion};
use tokio::io::DuplexStream;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

pub(crate) use state::State;

#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) fingerprint: Fingerprint,
    state: Arc<Mutex<State>>,
    streams: Arc<Mutex<Vec<JoinHandle<()>>>>,
    acceptor: Arc<Mutex<TlsAcceptor>>,
}

impl Fake {
    /// Listens on a port of its own until the test ends.
    pub(crate) async fn listen() -> Self {
        Self::speaking(&rustls::version::TLS13).await
    }

    /// The same with this version of TLS.
    pub(crate) async fn speaking(version: &'static SupportedProtocolVersion) -> Self {
        let certified = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(certified.signing_key.serialize_der().into());
        let certificate = certified.cert.der().clone();
        let end_entity = webpki::EndEntityCert::try_from(&certificate).unwrap();
        let fingerprint = Fingerprint::of_spki(&end_entity.subject_public_key_info());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            life: Duration::from_secs(3600),
            approved: ScopeSet::parse("operator.read").unwrap(),
            ..State::default()
        };
        let fake = Self {
            address: listener.local_addr().unwrap(),
            fingerprint,
            state: Arc::new(Mutex::new(state)),
            streams: Arc::default(),
            acceptor: Arc::new(Mutex::new(acceptor)),
        };
        Handle::current().spawn(fake.clone().serve(listener));
        fake
    }

    async fn serve(self, listener: TcpListener) {
        let (incoming, accepted) = tokio::sync::mpsc::channel::<Result<DuplexStream, Status>>(8);
        let served = tonic::transport::Server::builder()
            .add_service(DevicesServer::new(self.clone()))
            .add_service(GatewayServer::new(self.clone()))
            .serve_with_incoming(tokio_stream::wrappers::ReceiverStream::new(accepted));
        Handle::current().spawn(served);
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = self.acceptor.lock().unwrap().clone();
            let (incoming, fake) = (incoming.clone(), self.clone());
            let stream = Handle::current().spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                fake.state().connections += 1;
                let (mut ours, theirs) = tokio::io::duplex(1 << 16);
                incoming.send(Ok(theirs)).await.unwrap();
                // The peer may go away at any time.
                drop(tokio::io::copy_bidirectional(&mut stream, &mut ours).await);
            });
            self.streams.lock().unwrap().push(stream);
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn target(&self) -> Target {
        format!("https://{}", self.address).parse().unwrap()
    }

    /// Shows the certificate of another gateway from now on.
    pub(crate) fn become_another(&self, other: &Self) {
        *self.acceptor.lock().unwrap() = other.acceptor.lock().unwrap().clone();
    }

    /// Cuts every connection.
    pub(crate) async fn cut(&self) {
        let streams: Vec<_> = self.streams.lock().unwrap().drain(..).collect();
        for stream in streams {
            stream.abort();
            drop(stream.await);
        }
    }
}

pub(crate) fn refusal(code: Code, reason: &str) -> Status {
    let facts = [("kind".to_owned(), "not-paired".to_owned()), ("requestId".into(), "r1".into())];
    let details = ErrorDetails::with_error_info(reason, "openclaw", facts);
    Status::with_error_details(code, reason.to_lowercase(), details)
}

#[tonic::async_trait]
impl Gateway for Fake {
    async fn status(
        &self,
        asked: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        let text = |key| asked.metadata().get(key).and_then(|value| value.to_str().ok());
        let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let bearer = bearer.ok_or_else(|| Status::unauthenticated("no bearer"))?;
        let asks = text("openclaw-request-access") == Some("1");
        let mut state = self.state();
        if !bearer.starts_with("oct_") && !state.tokens.contains(bearer) {
            return Err(refusal(Code::Unauthenticated, "TOKEN_REVOKED"));
        }
        state.asked_for_access.push(asks);
        state.calls += 1;
        Ok(Response::new(StatusResponse { version: "1.2.3".into(), ..Default::default() }))
    }

    async fn usage(&self, _: Request<UsageRequest>) -> Result<Response<UsageResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_config(
        &self,
        _: Request<GetConfigRequest>,
    ) -> Result<Response<GetConfigResponse>, Status> {
        Err(refusal(Code::Unauthenticated, "TOKEN_REVOKED"))
    }
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
}

#[tonic::async_trait]
impl Devices for Fake {
    async fn challenge(
        &self,
        _: Request<ChallengeRequest>,
    ) -> Result<Response<ChallengeResponse>, Status> {
        let mut state = self.state();
        state.challenges += 1;
        let nonce = [u8::try_from(state.challenges).unwrap(); 32];
        state.nonce = Some(Nonce(nonce));
        let server_time = Some(to_timestamp(now()));
        let version = "1.2.3".into();
        Ok(Response::new(ChallengeResponse { nonce: nonce.to_vec(), server_time, version }))
    }

    async fn connect(
        &self,
        asked: Request<ConnectRequest>,
    ) -> Result<Response<ConnectResponse>, Status> {
        let asked = asked.into_inner();
        let mut state = self.state();
        let nonce = state.nonce.take();
        let expected = Expected { nonce, gateway: self.fingerprint, now: now() };
        let proven = verify(&asked.claim, &asked.signature, &asked.public_key, &expected);
        let proven = proven.map_err(|error| Status::unauthenticated(error.to_string()))?;
        state.invitations.push(asked.invitation);
        if let Some(reason) = state.refusal {
            return Err(refusal(Code::PermissionDenied, reason));
        }
        let claim = proven.claim();
        let pending = (claim.asks == Asks::Upgrade).then(|| PairingRequest {
            id: "r1".into(),
            revision: 1,
            ..Default::default()
        });
        state.issued += 1;
        let access_token = format!("oca_{}", state.issued);
        state.tokens.insert(access_token.clone());
        Ok(Response::new(ConnectResponse {
            access_token,
            expires_at: Some(to_timestamp(match state.life {
                Duration::ZERO => Timestamp::from_millis(0),
                life => now().saturating_add(life),
            })),
            scopes: scope_names(state.approved.attenuate(claim.wish)),
            approved_scopes: scope_names(state.approved),
            pending,
            device_id: claim.device.to_string(),
            epoch: 1,
        }))
    }

    async fn wait_upgrade(
        &self,
        _: Request<WaitUpgradeRequest>,
    ) -> Result<Response<PairingRequest>, Status> {
        let mut state = self.state();
        state.approved = ScopeSet::parse("operator.write").unwrap();
        let approved = openclaw_client::v1::pairing_request::State::Approved.into();
        Ok(Response::new(PairingRequest { state: approved, ..Default::default() }))
    }

    async fn renew(&self, _: Request<RenewRequest>) -> Result<Response<ConnectResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn request_upgrade(
        &self,
        _: Request<RequestUpgradeRequest>,
    ) -> Result<Response<PairingRequest>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list(
        &self,
        _: Request<ListDevicesRequest>,
    ) -> Result<Response<ListDevicesResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn approve(&self, _: Request<ApproveDeviceRequest>) -> Result<Response<Device>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn reject(
        &self,
        _: Request<RejectDeviceRequest>,
    ) -> Result<Response<PairingRequest>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn remove(&self, _: Request<RemoveDeviceRequest>) -> Result<Response<Device>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn rename(&self, _: Request<RenameDeviceRequest>) -> Result<Response<Device>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn rotate(&self, _: Request<RotateDeviceRequest>) -> Result<Response<Device>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke(&self, _: Request<RevokeDeviceRequest>) -> Result<Response<Device>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_all(
        &self,
        _: Request<RevokeAllRequest>,
    ) -> Result<Response<RevokeAllResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn invite(&self, _: Request<InviteRequest>) -> Result<Response<Invitation>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn list_invitations(
        &self,
        _: Request<ListInvitationsRequest>,
    ) -> Result<Response<ListInvitationsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn revoke_invitation(
        &self,
        _: Request<RevokeInvitationRequest>,
    ) -> Result<Response<Invitation>, Status> {
        Err(Status::unimplemented(""))
    }
}
