//! A gateway over the network: one live connection at a time, and the proof that goes with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use openclaw_pairing::{Address, DeviceKey, Fingerprint, InvitationSecret};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::admission::{Admission, Admitted, prove};
use crate::error::MakeError;
use crate::transport::ask_for_access;
use crate::wire::{BoxError, SendError, Wire};
use crate::{ApiToken, CallError, ConnectError, Identity, Options, Origin, Target, Trust};

/// Reasons that refuse a token before the call had any effect, so that it can be repeated with a new
/// one.
const STALE_TOKEN: [&str; 2] = ["TOKEN_EXPIRED", "TOKEN_REVOKED"];

/// Methods whose requests are streams, which cannot be repeated.
const STREAMED: &str = "/grpc.reflection.";

/// A gateway over the network.
#[derive(Debug)]
pub(crate) struct Remote {
    address: Address,
    trust: Trust,
    credential: Credential,
    options: Options,
    /// Told once: what it was good for is approved from then on.
    invitation: Mutex<Option<InvitationSecret>>,
    /// The connection in use. It may have ended.
    live: Mutex<Option<Live>>,
    /// Held while a connection is made or a key is proved, so that it happens once for all calls.
    making: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
enum Credential {
    Device(Arc<DeviceKey>),
    Token(HeaderValue),
}

/// A connection, and what calls on it carry.
#[derive(Clone, Debug)]
struct Live {
    wire: Wire,
    proof: Proof,
    /// Counts the proofs, so that a call can say which one was refused.
    number: u64,
}

#[derive(Clone, Debug)]
enum Proof {
    Device(Admitted),
    Token(HeaderValue),
}

impl Proof {
    fn bearer(&self) -> HeaderValue {
        match self {
            Self::Device(admitted) => admitted.bearer.clone(),
            Self::Token(bearer) => bearer.clone(),
        }
    }
}

/// Which proof will do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Wanted {
    /// Any that is good by the client's clock.
    Any,
    /// One that was made after this one.
    NewerThan(u64),
}

impl Remote {
    /// Connects, and proves the key if there is one.
    pub(crate) async fn connect(
        address: Address,
        identity: Identity,
        options: &Options,
    ) -> Result<Self, ConnectError> {
        let unfit = |identity: &Identity| ConnectError::Identity {
            target: Target::Https(address.clone()),
            identity: identity.kind(),
        };
        let credential = match &identity {
            Identity::Device(key) => Credential::Device(Arc::clone(key)),
            Identity::Local => return Err(unfit(&identity)),
            Identity::Token(token) => {
                let header = ApiToken::header(token);
                Credential::Token(header.ok_or_else(|| unfit(&identity))?)
            }
        };
        let no_trust = || ConnectError::NoTrust { address: address.clone() };
        let trust = options.trust.ok_or_else(no_trust)?;
        let remote = Self {
            address,
            trust,
            credential,
            invitation: Mutex::new(options.invitation.clone()),
            options: Options { invitation: None, ..options.clone() },
            live: Mutex::new(None),
            making: tokio::sync::Mutex::new(()),
        };
        remote.ready(Wanted::Any).await?;
        Ok(remote)
    }

    /// Returns what the device may do, as of the newest proof.
    pub(crate) fn admission(&self) -> Option<Arc<Admission>> {
        self.current().and_then(|live| match live.proof {
            Proof::Device(admitted) => Some(admitted.admission),
            Proof::Token(_) => None,
        })
    }

    /// Returns the key of the gateway's certificate.
    pub(crate) fn gateway(&self) -> Option<Fingerprint> {
        self.current().map(|live| live.wire.gateway())
    }

    /// Proves the key again.
    pub(crate) async fn prove_again(&self) -> Result<(), ConnectError> {
        let number = self.current().map_or(0, |live| live.number);
        match self.credential {
            Credential::Device(_) => self.ready(Wanted::NewerThan(number)).await?,
            Credential::Token(_) => self.ready(Wanted::Any).await?,
        };
        Ok(())
    }

    /// Sends a request over the live connection, and once more over a new one, or with a new proof,
    /// when the first attempt had no effect.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let (parts, body) = request.into_parts();
        if parts.uri.path().starts_with(STREAMED) {
            let live = self.ready(Wanted::Any).await?;
            return Ok(live.wire.send(self.carrying(&live, parts, body)).await?);
        }
        let bytes = body.collect().await?.to_bytes();
        let body = |bytes: Bytes| Body::new(Full::new(bytes));
        let live = self.ready(Wanted::Any).await?;
        let first = self.carrying(&live, parts.clone(), body(bytes.clone()));
        match live.wire.send(first).await {
            Ok(answer) if self.is_stale(answer.headers()) => {}
            Ok(answer) => return Ok(answer),
            Err(SendError::Unsent(_)) => {}
            Err(SendError::Broken(source)) => return Err(source),
        }
        let live = self.ready(Wanted::NewerThan(live.number)).await?;
        Ok(live.wire.send(self.carrying(&live, parts, body(bytes))).await?)
    }

    fn carrying(&self, live: &Live, parts: Parts, body: Body) -> Request<Body> {
        let mut request = Request::from_parts(parts, body);
        request.headers_mut().insert(header::AUTHORIZATION, live.proof.bearer());
        ask_for_access(&mut request, &self.options);
        request
    }

    /// Tells whether an answer without a message refuses the token, and nothing but the token.
    fn is_stale(&self, headers: &HeaderMap) -> bool {
        let is_refused = headers.get(Status::GRPC_STATUS).is_some_and(|status| status == "16");
        if !is_refused || matches!(self.credential, Credential::Token(_)) {
            return false;
        }
        let status =
            Status::from_header_map(headers).filter(|it| it.code() == Code::Unauthenticated);
        let error = status.map(CallError::from);
        error.is_some_and(|error| error.reason().is_some_and(|it| STALE_TOKEN.contains(&it)))
    }

    /// Returns a live connection with a proof that will do; makes one when there is none.
    async fn ready(&self, wanted: Wanted) -> Result<Live, MakeError> {
        if let Some(live) = self.usable(wanted) {
            return Ok(live);
        }
        let making = match self.making.try_lock() {
            Ok(making) => making,
            Err(_) => match self.good_enough(wanted) {
                // Somebody else is at it, and what there is will do until then.
                Some(live) => return Ok(live),
                None => self.making.lock().await,
            },
        };
        if let Some(live) = self.usable(wanted) {
            return Ok(live);
        }
        let made = tokio::time::timeout(self.options.connect_timeout, self.make()).await;
        let timed_out = |_| {
            let target = Target::Https(self.address.clone());
            MakeError::Connect(ConnectError::TimedOut { target })
        };
        let live = made.map_err(timed_out)??;
        *self.slot() = Some(live.clone());
        drop(making);
        Ok(live)
    }

    /// Proves the key over the connection that there is, or over a new one.
    async fn make(&self) -> Result<Live, MakeError> {
        let former = self.current();
        let number = former.as_ref().map_or(1, |live| live.number.saturating_add(1));
        if let Some(Live { wire, .. }) = former.as_ref().filter(|live| !live.wire.is_closed()) {
            match self.prove(wire).await {
                Ok(proof) => return Ok(Live { wire: wire.clone(), proof, number }),
                // The connection broke under it; a new one will do.
                Err(MakeError::Connect(_)) => {}
                Err(refused) => return Err(refused),
            }
        }
        // Once the whole fingerprint was seen, its beginning is not enough any more.
        let trust = former.map_or(self.trust, |live| Trust::Fingerprint(live.wire.gateway()));
        let wire = Wire::open(&self.address, trust).await.map_err(MakeError::Connect)?;
        let proof = self.prove(&wire).await?;
        Ok(Live { wire, proof, number })
    }

    async fn prove(&self, wire: &Wire) -> Result<Proof, MakeError> {
        let key = match &self.credential {
            Credential::Device(key) => key,
            Credential::Token(bearer) => return Ok(Proof::Token(bearer.clone())),
        };
        let invitation = self.invitation().clone();
        let admitted = prove(wire, key, &self.options, invitation).await.map_err(|status| {
            let error = CallError::of(&status);
            match error.origin() {
                Origin::Gateway => MakeError::Refused(status),
                Origin::Transport => {
                    let address = self.address.clone();
                    MakeError::Connect(ConnectError::Lost { address, source: error })
                }
            }
        })?;
        *self.invitation() = None;
        Ok(Proof::Device(admitted))
    }

    /// Returns what there is when there is no need to do anything about it.
    fn usable(&self, wanted: Wanted) -> Option<Live> {
        let now = Instant::now();
        self.good_enough(wanted).filter(|live| match &live.proof {
            Proof::Device(admitted) => !admitted.life.is_ending(now),
            Proof::Token(_) => true,
        })
    }

    /// Returns what there is when a call can be tried with it.
    fn good_enough(&self, wanted: Wanted) -> Option<Live> {
        let live = self.current().filter(|live| !live.wire.is_closed())?;
        let is_new = match wanted {
            Wanted::Any => true,
            Wanted::NewerThan(number) => live.number > number,
        };
        let is_over = match &live.proof {
            Proof::Device(admitted) => admitted.life.is_over(Instant::now()),
            Proof::Token(_) => false,
        };
        Some(live).filter(|_| is_new && !is_over)
    }

    fn current(&self) -> Option<Live> {
        self.slot().clone()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn invitation(&self) -> MutexGuard<'_, Option<InvitationSecret>> {
        self.invitation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
