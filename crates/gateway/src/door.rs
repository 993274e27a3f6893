//! The door: a stranger on the network shows a proof, and the doorkeeper lets in whom somebody
//! approved.

use std::sync::Arc;

use openclaw_pairing::{
    Asks, Expected, InvitationSecret, Nonce, ProofError, Proven, PublicKey, clean_name,
};
use openclaw_proto::{scope_names, to_timestamp, v1};
use openclaw_scopes::method::RedeemInvitation as RedeemMethod;
use openclaw_scopes::method::{ConnectDevice, FileRequest as FileMethod, Method as _, Row};
use openclaw_scopes::{Caller, Cause, Component, GrantHolder, ScopeSet};
use openclaw_store::{
    ActError, AdmitDevice, Admitted, DeviceError, FileRequest, PairingView, RedeemInvitation,
};
use tonic::Code;

use crate::core::Core;
use crate::identity::{settle, stranger_entry};
use crate::limiter::{Class, Locked};
use crate::network::Network;
use crate::registry::Ending;
use crate::respond::{self, Reply};
use crate::rpc::pairing_request;
use crate::session::Session;
use crate::{clock, secrets, upgrade};

impl Core {
    /// Gives a connection its challenge.
    pub(crate) fn challenge_device(
        &self,
        session: &Session,
    ) -> Result<v1::ChallengeResponse, Reply> {
        let now = clock::now();
        let nonce = secrets::random()?;
        session.challenge(Nonce(nonce), now);
        Ok(v1::ChallengeResponse {
            nonce: nonce.to_vec(),
            server_time: Some(to_timestamp(now)),
            version: env!("CARGO_PKG_VERSION").into(),
        })
    }

    /// Lets a device in that proves its key, as far as it was approved.
    pub(crate) async fn connect_device(
        &self,
        session: &Arc<Session>,
        message: v1::ConnectRequest,
    ) -> Result<v1::ConnectResponse, Reply> {
        let network = self.network.as_ref().ok_or_else(|| Reply::internal(&"no network"))?;
        let proven = self.prove(network, session, &message).await?;
        let door = Door { core: self, network, session, name: clean_name(&message.name), proven };
        if !message.invitation.is_empty() {
            door.redeem(&message.invitation).await?;
        }
        door.admit().await
    }

    /// Checks what a device claims; whoever fails too often is not looked at for a while.
    async fn prove(
        &self,
        network: &Network,
        session: &Session,
        message: &v1::ConnectRequest,
    ) -> Result<Proven, Reply> {
        let (now, ip) = (clock::now(), session.address().ip());
        // Taken first: whatever comes of the attempt, the challenge is used up.
        let nonce = session.take_nonce(now);
        let credential = data_encoding::HEXLOWER.encode(&message.public_key);
        let (limiter, class) = (&network.limiter, self.class_of(&message.public_key));
        if let Err(locked) = limiter.check(class, &credential, ip, now) {
            return Err(self.locked_out(session, ConnectDevice::ROW, &locked).await);
        }
        let expected = Expected { nonce, gateway: network.fingerprint, now };
        let verified = openclaw_pairing::verify(
            &message.claim,
            &message.signature,
            &message.public_key,
            &expected,
        );
        match verified {
            Ok(proven) => {
                limiter.succeeded(class, &credential, ip);
                Ok(proven)
            }
            Err(error) => {
                limiter.failed(class, &credential, ip, now);
                let entry =
                    stranger_entry(session.address(), ConnectDevice::ROW.name, &error.to_string());
                self.store.refuse_stranger(entry, now).await;
                Err(unproven(&error, now))
            }
        }
    }

    /// Refuses whoever has failed too often, and counts that too.
    async fn locked_out(&self, session: &Session, row: &'static Row, locked: &Locked) -> Reply {
        let entry = stranger_entry(session.address(), row.name, &locked.to_string());
        self.store.refuse_stranger(entry, clock::now()).await;
        Reply::rate_limited(locked)
    }

    /// Tells whether somebody shows the key of a device that is known. Whatever goes wrong here, the
    /// limits are those of strangers.
    fn class_of(&self, public_key: &[u8]) -> Class {
        let id = PublicKey::parse(public_key).ok().and_then(|key| key.device_id().ok());
        let holder = id.map(GrantHolder::Device);
        let epoch = holder.and_then(|holder| self.store.epoch(&holder).ok().flatten());
        if epoch.is_some() { Class::Device } else { Class::Stranger }
    }

    fn doorkeeper(&self, session: &Session) -> Result<Caller, Reply> {
        let epoch = self.store.epoch(&GrantHolder::Gateway);
        let epoch = epoch.map_err(|error| respond::store(&error))?;
        let epoch = epoch.ok_or_else(|| Reply::internal(&"the gateway's own grant is missing"))?;
        Ok(Caller::system(Component::Doorkeeper, Cause::Peer(session.address()), epoch))
    }
}

/// Says why a proof does not hold.
fn unproven(error: &ProofError, now: openclaw_scopes::Timestamp) -> Reply {
    let reply = |reason| Reply::new(Code::Unauthenticated, reason, error.to_string());
    match error {
        ProofError::Claim(_) | ProofError::PublicKey => {
            Reply::invalid(error.to_string()).next("use a client of this gateway's version")
        }
        ProofError::ClockSkew(_) => {
            let millis = now.as_millis();
            let time = jiff::Timestamp::from_millisecond(millis);
            reply("CLOCK_SKEW")
                .with("serverTime", time.map(|at| at.to_string()).unwrap_or_default())
                .next("set the clock of the device, or of the gateway")
        }
        ProofError::Gateway => reply("FINGERPRINT_MISMATCH")
            .next("compare with `openclaw gateway fingerprint` on the gateway's machine"),
        ProofError::Id | ProofError::Signature => reply("SIGNATURE_INVALID").next("connect again"),
        ProofError::Nonce => reply("NONCE_INVALID").next("ask for a challenge, and connect again"),
    }
}

/// One device in front of the door.
struct Door<'a> {
    core: &'a Core,
    name: String,
    network: &'a Network,
    proven: Proven,
    session: &'a Arc<Session>,
}

impl Door<'_> {
    /// Pairs the device, if it shows the secret of an invitation that is good.
    async fn redeem(&self, invitation: &[u8]) -> Result<(), Reply> {
        let (now, ip) = (clock::now(), self.session.address().ip());
        // The limit is on the address: each guess is another secret, and each device another key.
        if let Err(locked) = self.network.limiter.check(Class::Invitation, "", ip, now) {
            return Err(self.core.locked_out(self.session, RedeemMethod::ROW, &locked).await);
        }
        let secret = InvitationSecret::parse(invitation);
        let Some(secret) = secret else {
            self.network.limiter.failed(Class::Invitation, "", ip, now);
            return Err(respond::device(&DeviceError::Invitation));
        };
        let ask = RedeemInvitation {
            hash: secret.hash(self.core.store.hash_key()),
            proven: self.proven.clone(),
            name: self.name.clone(),
            address: upgrade::place(ip),
        };
        let caller = self.core.doorkeeper(self.session)?;
        self.core.store.act(&caller, ask, now).await.map_err(|error| {
            if matches!(error, ActError::Failed(DeviceError::Invitation)) {
                self.network.limiter.failed(Class::Invitation, "", ip, now);
            }
            respond::act(error, RedeemMethod::ROW, respond::device)
        })
    }

    /// Lets the device in, or says what it lacks.
    async fn admit(&self) -> Result<v1::ConnectResponse, Reply> {
        let claim = self.proven.claim();
        let holder = GrantHolder::Device(claim.device.clone());
        // Before the decision: a grant that ends after it ends this.
        let ending = self.core.registry.watch(&holder);
        let caller = self.core.doorkeeper(self.session)?;
        let ask = AdmitDevice {
            proven: self.proven.clone(),
            name: self.name.clone(),
            address: self.session.address().to_string(),
        };
        let admitted = match self.core.store.act(&caller, ask, clock::now()).await {
            Ok(admitted) => admitted,
            Err(ActError::Failed(error @ (DeviceError::NotPaired | DeviceError::Revoked))) => {
                return Err(self.unknown(&caller, &error).await);
            }
            Err(error) => return Err(respond::act(error, ConnectDevice::ROW, respond::device)),
        };
        settle(self.network, self.session, &holder)?;
        let lacks = claim.wish.closed().without(admitted.device.baseline.approved());
        let pending = match claim.asks {
            Asks::Upgrade if !lacks.is_empty() => self.file(&caller, claim.wish).await.ok(),
            Asks::Upgrade | Asks::Nothing => None,
        };
        issue(self.core, self.session, admitted, ending, pending)
    }

    /// Says to a device that may not come in what it can do, and files its request if it asks for that.
    async fn unknown(&self, caller: &Caller, error: &DeviceError) -> Reply {
        let claim = self.proven.claim();
        if claim.asks == Asks::Nothing {
            return respond::device(error);
        }
        match self.file(caller, claim.wish).await {
            Ok(view) => {
                let message = "device is not approved yet";
                let reply = Reply::new(Code::Unauthenticated, "PAIRING_REQUIRED", message)
                    .with("kind", view.pending.kind.name())
                    .with("deviceId", claim.device.to_string());
                upgrade::waiting(reply, &view)
            }
            Err(reply) => reply,
        }
    }

    async fn file(&self, caller: &Caller, wish: ScopeSet) -> Result<PairingView, Reply> {
        let claim = self.proven.claim();
        let ask = FileRequest {
            fresh: upgrade::fresh()?,
            device: claim.device.clone(),
            public_key: self.proven.public_key(),
            role: claim.role,
            wish,
            name: self.name.clone(),
            address: upgrade::place(self.session.address().ip()),
        };
        let filed = self.core.store.act(caller, ask, clock::now()).await;
        let filed =
            filed.map_err(|error| respond::act(error, FileMethod::ROW, upgrade::not_filed))?;
        upgrade::announce(&filed);
        Ok(filed.view)
    }
}

/// Issues an access token for a device that was let in.
#[expect(clippy::disallowed_methods, reason = "the device has proved its key on this connection")]
pub(crate) fn issue(
    core: &Core,
    session: &Session,
    admitted: Admitted,
    ending: Arc<Ending>,
    pending: Option<PairingView>,
) -> Result<v1::ConnectResponse, Reply> {
    let Admitted { device, grant } = admitted;
    let (scopes, epoch) = (grant.scopes(), grant.epoch());
    let cause = Cause::Peer(session.address());
    let caller = Caller::device(device.id.clone(), device.role, grant, cause);
    let secret = secrets::random()?;
    let (bearer, expires_at) =
        session.issue(secret, core.store.hash_key(), caller, ending, clock::now());
    Ok(v1::ConnectResponse {
        access_token: bearer.reveal(),
        expires_at: Some(to_timestamp(expires_at)),
        scopes: scope_names(scopes),
        approved_scopes: scope_names(device.baseline.approved()),
        pending: pending.map(pairing_request),
        device_id: device.id.to_string(),
        epoch: epoch.0,
    })
}
