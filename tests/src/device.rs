//! Devices of the tests: real TLS, real proofs, and whatever else a test wants to send.

use std::sync::Arc;

use openclaw_pairing::{Asks, Claim, DeviceKey, Fingerprint, InvitationCode, Nonce};
use openclaw_proto::v1;
use openclaw_scopes::{DeviceId, DeviceRole, Scope, ScopeSet, Timestamp};

use crate::{Client, Refusal, TestGateway};

/// A device with a key, that can connect.
#[derive(Clone, Debug)]
pub struct Device {
    key: Arc<DeviceKey>,
    name: String,
}

/// How a device connects.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What it wishes for.
    pub wish: ScopeSet,
    /// Whether what is missing is to be asked for.
    pub asks: Asks,
    /// As what.
    pub role: DeviceRole,
    /// The secret of an invitation; empty for none.
    pub invitation: Vec<u8>,
    /// How far its clock is off, in milliseconds.
    pub skew: i64,
    /// For which gateway it signs, if not for the one it sees.
    pub gateway: Option<Fingerprint>,
    /// The challenge it answers, if not the one it is given.
    pub nonce: Option<[u8; 32]>,
}

impl Default for Attempt {
    /// Takes what it is given.
    fn default() -> Self {
        Self {
            wish: Scope::Admin.into(),
            asks: Asks::Nothing,
            role: DeviceRole::Operator,
            invitation: Vec::new(),
            skew: 0,
            gateway: None,
            nonce: None,
        }
    }
}

impl Attempt {
    /// Wishes for these scopes, and asks for what is missing.
    pub fn asking(scopes: &[Scope]) -> Self {
        Self { wish: ScopeSet::of(scopes), asks: Asks::Upgrade, ..Self::default() }
    }

    /// Wishes for these scopes, and takes what it is given.
    pub fn wishing(scopes: &[Scope]) -> Self {
        Self { wish: ScopeSet::of(scopes), ..Self::default() }
    }

    /// Shows an invitation.
    pub fn invited(code: &str) -> Self {
        let code: InvitationCode = code.parse().unwrap();
        Self { invitation: code.secret.0.to_vec(), ..Self::default() }
    }
}

/// A device that is let in.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The connection with its access token.
    pub client: Client,
    /// What the gateway answered.
    pub answer: v1::ConnectResponse,
    /// The connection without a token.
    pub bare: Client,
}

impl Device {
    /// A device whose key follows from a number.
    pub fn new(number: u64) -> Self {
        let mut seed = [0; 32];
        seed.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
        Self::of(seed)
    }

    /// A device with this seed.
    pub fn of(seed: [u8; 32]) -> Self {
        let key = Arc::new(DeviceKey::from_seed(seed).unwrap());
        Self { key, name: "a test's device".into() }
    }

    /// The same device under another name.
    #[must_use]
    pub fn called(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }

    /// Returns its id.
    pub fn id(&self) -> DeviceId {
        self.key.public().device_id().unwrap()
    }

    /// Returns so many characters of the beginning of its id.
    pub fn beginning(&self, characters: usize) -> String {
        self.id().as_str().chars().take(characters).collect()
    }

    /// Returns its key.
    pub fn key(&self) -> &DeviceKey {
        &self.key
    }

    /// Makes the request that proves its key on a connection.
    ///
    /// # Errors
    /// When the gateway refuses.
    pub async fn proof(
        &self,
        bare: &Client,
        seen: Fingerprint,
        attempt: &Attempt,
    ) -> Result<v1::ConnectRequest, Refusal> {
        let challenge = bare.devices().challenge(v1::ChallengeRequest {}).await?.into_inner();
        let given = challenge.nonce.as_slice().try_into().unwrap();
        let server_time = challenge.server_time.unwrap();
        let now = openclaw_proto::from_timestamp(&server_time).as_millis();
        let claim = Claim {
            nonce: Nonce(attempt.nonce.unwrap_or(given)),
            gateway: attempt.gateway.unwrap_or(seen),
            device: self.id(),
            role: attempt.role,
            wish: attempt.wish,
            asks: attempt.asks,
            at: Timestamp::from_millis(now.saturating_add(attempt.skew)),
        };
        let claim = claim.encode();
        Ok(v1::ConnectRequest {
            signature: self.key.sign(&claim),
            claim,
            public_key: self.key.public().0.to_vec(),
            invitation: attempt.invitation.clone(),
            name: self.name.clone(),
        })
    }

    /// Proves its key on a connection that was made.
    ///
    /// # Errors
    /// When the gateway refuses.
    pub async fn prove(
        &self,
        bare: &Client,
        seen: Fingerprint,
        attempt: &Attempt,
    ) -> Result<Connected, Refusal> {
        let proof = self.proof(bare, seen, attempt).await?;
        let answer = bare.devices().connect(proof).await?.into_inner();
        let client = bare.bearing(&answer.access_token);
        Ok(Connected { client, answer, bare: bare.clone() })
    }

    /// Dials a gateway and proves its key there.
    ///
    /// # Errors
    /// When the gateway refuses.
    pub async fn connect(
        &self,
        gateway: &TestGateway,
        attempt: &Attempt,
    ) -> Result<Connected, Refusal> {
        let bare = gateway.dial().await;
        self.prove(&bare, gateway.fingerprint(), attempt).await
    }

    /// Has itself approved by the owner for these scopes, and connects.
    pub async fn paired(&self, gateway: &TestGateway, scopes: &[Scope]) -> Connected {
        let refusal = self.connect(gateway, &Attempt::asking(scopes)).await.unwrap_err();
        assert_eq!(refusal.reason, "PAIRING_REQUIRED", "{refusal:?}");
        let request = v1::ApproveDeviceRequest {
            request: refusal.fact("request").to_owned(),
            scopes: names(scopes),
        };
        gateway.owner().await.devices().approve(request).await.unwrap();
        self.connect(gateway, &Attempt::default()).await.unwrap()
    }
}

/// Returns the names of scopes, as requests carry them.
pub fn names(scopes: &[Scope]) -> Vec<String> {
    scopes.iter().map(|scope| scope.name().to_owned()).collect()
}
