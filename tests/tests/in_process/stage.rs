//! A gateway with devices, requests and tokens: as many as a test asks for, and whatever they hold.

use std::sync::atomic::{AtomicU64, Ordering};

use openclaw_proto::v1;
use openclaw_scopes::{Scope, ScopeSet};
use openclaw_tests::{Attempt, Client, Connected, Device, Setup, TestGateway, ask, request, soon};

use super::calls::{About, HELD};

/// A gateway on the network, its owner, and a connection over which new devices ask.
pub(super) struct Stage {
    pub(super) gateway: TestGateway,
    pub(super) owner: Client,
    /// A device has shown its key here, so that there is time.
    door: Connected,
    made: AtomicU64,
}

impl Stage {
    /// A gateway with the conversation `main`, in which the run `kept` has ended.
    pub(super) async fn new() -> Self {
        Self::of(Setup::new()).await
    }

    /// The same, started so.
    pub(super) async fn of(setup: Setup) -> Self {
        // A platform that cannot be used, as its token is not there: what is sent there waits.
        let gateway =
            setup.network().config("channels.telegram.token.env = \"ABSENT\"").start().await;
        let owner = gateway.owner().await;
        ask(&owner, request("kept", "main", "Hello.")).await.unwrap();
        let door = Device::new(0).called("stagehand").paired(&gateway, &[Scope::Talk]).await;
        Self { gateway, owner, door, made: AtomicU64::new(1000) }
    }

    fn number(&self) -> u64 {
        self.made.fetch_add(1, Ordering::Relaxed)
    }

    /// A device that nobody knows yet.
    pub(super) fn device(&self) -> Device {
        Device::new(self.number())
    }

    /// Has a device ask for scopes; returns the request as `ID@REVISION`.
    pub(super) async fn asks(&self, device: &Device, scopes: ScopeSet) -> String {
        let scopes: Vec<_> = scopes.iter().collect();
        let asks = Attempt::asking(&scopes);
        let refusal = device.prove(&self.door.bare, self.gateway.fingerprint(), &asks).await;
        let refusal = refusal.unwrap_err();
        assert_eq!(refusal.reason, "PAIRING_REQUIRED", "{refusal:?}");
        refusal.fact("request").to_owned()
    }

    /// Has the owner approve a request.
    pub(super) async fn approve(&self, request: &str, scopes: ScopeSet) -> v1::Device {
        let scopes = scopes.iter().map(|scope| scope.name().to_owned()).collect();
        let request = v1::ApproveDeviceRequest { request: request.into(), scopes };
        self.owner.devices().approve(request).await.unwrap().into_inner()
    }

    /// A new device that was approved for scopes.
    pub(super) async fn approved(&self, scopes: ScopeSet) -> Device {
        let device = self.device();
        let request = self.asks(&device, scopes).await;
        self.approve(&request, scopes).await;
        device
    }

    /// A new device that was approved for scopes, and is connected with all of them.
    pub(super) async fn connected(&self, scopes: ScopeSet) -> (Device, Connected) {
        let device = self.approved(scopes).await;
        let connected = device.connect(&self.gateway, &Attempt::default()).await.unwrap();
        (device, connected)
    }

    /// Has somebody issue a token with scopes; returns its name and its secret.
    pub(super) async fn token(&self, issuer: &Client, scopes: ScopeSet) -> (String, String) {
        let name = format!("stage-{}", self.number());
        let request = v1::CreateTokenRequest {
            idempotency_key: name.clone(),
            name: name.clone(),
            scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            ttl: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        };
        (name, issuer.tokens().create(request).await.unwrap().into_inner().secret)
    }

    /// A token of the owner's whose time was up as soon as it was issued: its name and its secret.
    pub(super) async fn expired_token(&self, scopes: ScopeSet) -> (String, String) {
        let name = format!("stage-{}", self.number());
        let request = v1::CreateTokenRequest {
            idempotency_key: name.clone(),
            name: name.clone(),
            scopes: scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            ttl: Some(prost_types::Duration { seconds: 0, nanos: 1_000_000 }),
        };
        let created = self.owner.tokens().create(request).await.unwrap().into_inner();
        self.passed(&created.token.unwrap().expires_at.unwrap()).await;
        (name, created.secret)
    }

    /// Waits until the gateway's clock has passed an instant, which it tells with every challenge.
    pub(super) async fn passed(&self, at: &prost_types::Timestamp) {
        let mut devices = self.door.bare.devices();
        let passes = async {
            loop {
                let told = devices.challenge(v1::ChallengeRequest {}).await.unwrap().into_inner();
                let now = told.server_time.unwrap();
                if (now.seconds, now.nanos) > (at.seconds, at.nanos) {
                    return;
                }
            }
        };
        soon(passes).await;
    }

    /// A device, a request and a token of which nothing is known elsewhere.
    pub(super) async fn about(&self) -> About {
        About {
            device: self.approved(HELD.into()).await.id().to_string(),
            request: self.asks(&self.device(), HELD.into()).await,
            invitation: self.invitation().await,
            token: self.token(&self.owner, HELD.into()).await.0,
            session: self.session(&self.owner).await,
            child: self.child(&self.owner).await,
            others_session: self.session(&self.writer().await).await,
            others_child: self.child(&self.writer().await).await,
            job: self.job(&self.owner).await,
            others_job: self.job(&self.writer().await).await,
            hooked_job: self.hooked(&self.owner).await,
            delivery: self.delivery(&self.owner).await,
            others_delivery: self.delivery(&self.writer().await).await,
        }
    }

    /// A new device that may open conversations, connected.
    async fn writer(&self) -> Client {
        self.connected(Scope::Write.into()).await.1.client
    }

    /// Has somebody open a conversation; returns its key.
    pub(super) async fn session(&self, client: &Client) -> String {
        let key = format!("agent:main:explicit:stage-{}", self.number());
        let request = v1::CreateSessionRequest {
            idempotency_key: format!("stage-{}", self.number()),
            key: key.clone(),
            ..v1::CreateSessionRequest::default()
        };
        client.sessions().create(request).await.unwrap();
        key
    }

    /// Has somebody send a message to a platform that cannot be reached; returns the delivery, which waits.
    pub(super) async fn delivery(&self, client: &Client) -> String {
        let number = self.number();
        let request = v1::SendMessageRequest {
            idempotency_key: format!("stage-{number}"),
            channel: "telegram".into(),
            to: number.to_string(),
            text: "Hello.".into(),
            ..v1::SendMessageRequest::default()
        };
        client.messages().send(request).await.unwrap().into_inner().id
    }

    /// Has somebody add a job that is not due for long; returns its key.
    pub(super) async fn job(&self, client: &Client) -> String {
        self.add(client, |spec| spec).await
    }

    /// The same, that posts what it says.
    pub(super) async fn hooked(&self, client: &Client) -> String {
        self.add(client, hooked).await
    }

    async fn add(&self, client: &Client, with: fn(v1::JobSpec) -> v1::JobSpec) -> String {
        let key = format!("stage-{}", self.number());
        let request = v1::AddJobRequest {
            idempotency_key: key.clone(),
            key: key.clone(),
            spec: Some(with(later(&key))),
        };
        client.cron().add(request).await.unwrap();
        key
    }

    /// Has somebody delegate something in a conversation of theirs; returns the run, of which its parent
    /// was told when nothing of it goes on any more.
    pub(super) async fn child(&self, client: &Client) -> String {
        let session_key = self.session(client).await;
        let run_id = format!("stage-{}", self.number());
        let request = v1::SpawnRequest {
            idempotency_key: run_id.clone(),
            session_key,
            task: "Hello.".into(),
            ..v1::SpawnRequest::default()
        };
        client.subagents().spawn(request).await.unwrap();
        let told = async {
            loop {
                let get = v1::GetSubagentRequest { run_id: run_id.clone() };
                let told = self.owner.subagents().get(get).await.unwrap().into_inner();
                if !told.told_in_run_id.is_empty() {
                    return told.told_in_run_id;
                }
                tokio::task::yield_now().await;
            }
        };
        let wait = v1::WaitRunRequest { run_id: soon(told).await, timeout: None };
        soon(self.owner.runs().wait(wait)).await.unwrap();
        run_id
    }

    async fn invitation(&self) -> String {
        let scopes = openclaw_tests::names(&[HELD]);
        let request = v1::InviteRequest { scopes, ..v1::InviteRequest::default() };
        self.owner.devices().invite(request).await.unwrap().into_inner().id
    }

    /// The same, with new ones of what a call of this method uses up.
    pub(super) async fn renewed(&self, about: &About, name: &str) -> About {
        let mut about = about.clone();
        match name {
            "device.pair.remove" | "device.token.revoke" => {
                about.device = self.approved(HELD.into()).await.id().to_string();
            }
            "device.pair.approve" | "device.pair.reject" => {
                about.request = self.asks(&self.device(), HELD.into()).await;
            }
            "device.invite.revoke" => about.invitation = self.invitation().await,
            "sessions.delete" => {
                about.session = self.session(&self.owner).await;
                about.others_session = self.session(&self.writer().await).await;
            }
            "delivery.discard" => {
                about.delivery = self.delivery(&self.owner).await;
                about.others_delivery = self.delivery(&self.writer().await).await;
            }
            "cron.cancel" | "cron.remove" => {
                about.job = self.job(&self.owner).await;
                about.others_job = self.job(&self.writer().await).await;
                about.hooked_job = self.hooked(&self.owner).await;
            }
            "tokens.revoke" => about.token = self.token(&self.owner, HELD.into()).await.0,
            _ => {}
        }
        about
    }
}

/// A job that is due in some years.
pub(super) fn later(name: &str) -> v1::JobSpec {
    let every = prost_types::Duration { seconds: 300_000_000, nanos: 0 };
    v1::JobSpec {
        name: Some(name.to_owned()),
        schedule: Some(v1::Schedule {
            when: Some(v1::schedule::When::Every(every)),
            ..v1::Schedule::default()
        }),
        payload: Some(v1::JobPayload {
            what: Some(v1::job_payload::What::AgentTurn("Hello.".into())),
        }),
        ..v1::JobSpec::default()
    }
}

/// The same, that posts what it says.
pub(super) fn hooked(spec: v1::JobSpec) -> v1::JobSpec {
    let webhook = v1::job_delivery::Where::Webhook("https://127.0.0.1:9/nobody".into());
    v1::JobSpec { delivery: Some(v1::JobDelivery { r#where: Some(webhook) }), ..spec }
}
