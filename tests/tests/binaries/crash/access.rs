//! Kills while authority is handed out and taken away: what was told is there, and each device is as it
//! was or as it was to be, and never neither.

mod promise;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use openclaw_client::v1::{
    ApproveDeviceRequest, CreateTokenRequest, Device, ExportAuditRequest, ListDevicesRequest,
    ListTokensRequest, RevokeDeviceRequest, RevokeTokenRequest, RotateDeviceRequest, StatusRequest,
    VerifyAuditRequest, audit_record, token,
};
use openclaw_client::{
    Asks, CallError, Client, DeviceKey, Identity, Options, Origin, Target, Trust,
};
use openclaw_scopes::ScopeSet;
use tokio::task::JoinSet;

use super::super::harness::{Home, Signal};
use super::load::Dice;
use super::{script, seed};
use promise::{Promise, Row};

const ROUNDS: u64 = 10;
/// Devices, each with a client that does one thing after the other about it. No more of them may wait
/// from one address.
const DEVICES: u8 = 6;
const WISHES: [&str; 4] =
    ["operator.read", "operator.write", "operator.approvals operator.read", "operator.pairing"];

/// One device, its tokens, and whoever manages them.
struct Worker {
    number: u8,
    client: Client,
    remote: (Target, Options),
    dice: Dice,
    key: Arc<DeviceKey>,
    device: Promise<Row>,
    /// Whether each token is good, by its name.
    tokens: BTreeMap<String, Promise<bool>>,
    secrets: BTreeMap<String, String>,
    /// How often each method was answered.
    answered: BTreeMap<&'static str, usize>,
}

impl Worker {
    fn id(&self) -> String {
        self.key.public().device_id().unwrap().to_string()
    }

    /// Does one thing after the other until nobody answers.
    async fn work(mut self) -> Self {
        loop {
            let is_live = self.device.told.as_ref().is_some_and(|row| row.is_live);
            let done = match self.dice.below(10) {
                0..=2 => self.approve().await,
                3..=5 if is_live => self.rotate().await,
                6 if is_live => self.revoke().await,
                7 | 8 => self.create_token().await,
                9 => self.revoke_token().await,
                _ => self.approve().await,
            };
            if let Err(error) = done {
                let error = CallError::from(error);
                assert_eq!(error.origin(), Origin::Transport, "{error:?}");
                return self;
            }
        }
    }

    /// What comes of a change that was asked for.
    fn changed(&mut self, method: &'static str, device: &Device) {
        self.device.told = self.device.tried.take();
        assert_eq!(Some(Row::of(device)), self.device.told, "{method}");
        *self.answered.entry(method).or_default() += 1;
    }

    async fn approve(&mut self) -> Result<(), tonic::Status> {
        let wish = WISHES[usize::try_from(self.dice.below(4)).unwrap()];
        let (target, options) = &self.remote;
        let options = Options { wish: ScopeSet::parse(wish).unwrap(), ..options.clone() };
        // It is let in or not; either way it has asked.
        drop(Client::connect(target, Identity::Device(Arc::clone(&self.key)), &options).await);
        let list =
            self.client.devices().list(ListDevicesRequest { own: false }).await?.into_inner();
        let id = self.id();
        let Some(waits) = list.pending.into_iter().find(|waits| waits.device_id == id) else {
            return Ok(());
        };
        let Row { approved, granted, is_live, epoch } =
            self.device.told.clone().unwrap_or_default();
        let more = ScopeSet::parse(&waits.requested_scopes.join(" ")).unwrap().closed();
        self.device.tried = Some(Row {
            approved: approved.union(more),
            granted: granted.union(more),
            is_live: true,
            epoch: epoch + u64::from(!is_live),
        });
        let request = format!("{}@{}", waits.id, waits.revision);
        let approve = ApproveDeviceRequest { request, scopes: waits.requested_scopes };
        let device = self.client.devices().approve(approve).await?.into_inner();
        self.changed("device.pair.approve", &device);
        Ok(())
    }

    async fn rotate(&mut self) -> Result<(), tonic::Status> {
        let row = self.device.told.clone().unwrap();
        let keep = self.dice.below(3) == 0;
        let some = row.approved.iter().filter(|_| self.dice.below(2) == 0);
        let some = some.fold(ScopeSet::EMPTY, ScopeSet::with);
        let granted = if keep { row.granted } else { some.closed() };
        self.device.tried = Some(Row { granted, epoch: row.epoch + 1, ..row });
        let scopes = some.iter().filter(|_| !keep).map(|scope| scope.name().to_owned()).collect();
        let rotate = RotateDeviceRequest { device: self.id(), role: String::new(), scopes, keep };
        let device = self.client.devices().rotate(rotate).await?.into_inner();
        self.changed("device.token.rotate", &device);
        Ok(())
    }

    async fn revoke(&mut self) -> Result<(), tonic::Status> {
        let epoch = self.device.told.as_ref().unwrap().epoch + 1;
        self.device.tried = Some(Row { epoch, ..Row::default() });
        let revoke = RevokeDeviceRequest { device: self.id(), role: String::new() };
        let device = self.client.devices().revoke(revoke).await?.into_inner();
        self.changed("device.token.revoke", &device);
        Ok(())
    }

    async fn create_token(&mut self) -> Result<(), tonic::Status> {
        let name = format!("t-{}-{}", self.number, self.tokens.len());
        let scopes = vec!["operator.read".to_owned()];
        let ttl = Some(openclaw_proto::to_duration(Duration::from_secs(3600)));
        let promise = Promise { told: None, tried: Some(true) };
        self.tokens.insert(name.clone(), promise);
        let (idempotency_key, name_in) = (name.clone(), name.clone());
        let create = CreateTokenRequest { idempotency_key, name: name_in, scopes, ttl };
        let created = self.client.tokens().create(create).await?.into_inner();
        self.tokens.insert(name.clone(), Promise { told: Some(true), tried: None });
        self.secrets.insert(name, created.secret);
        *self.answered.entry("tokens.create").or_default() += 1;
        Ok(())
    }

    async fn revoke_token(&mut self) -> Result<(), tonic::Status> {
        let good = self.tokens.iter_mut().find(|(_, promise)| promise.told == Some(true));
        let Some((name, promise)) = good else { return Ok(()) };
        promise.tried = Some(false);
        self.client.tokens().revoke(RevokeTokenRequest { token: name.clone() }).await?;
        *promise = Promise { told: Some(false), tried: None };
        *self.answered.entry("tokens.revoke").or_default() += 1;
        Ok(())
    }

    /// Whoever shows a token is let in if it is good, and only then.
    async fn show_tokens(&self, socket: &Target) {
        for good in [true, false] {
            let is_so = |name: &&String| self.tokens[*name].told == Some(good);
            let Some(name) = self.secrets.keys().rfind(is_so) else { continue };
            let identity = Identity::Token(self.secrets[name].parse().unwrap());
            let client = Client::connect(socket, identity, &Options::default()).await.unwrap();
            let shown = client.gateway().status(StatusRequest {}).await;
            let reason =
                shown.err().map(|status| CallError::from(status).reason().map(str::to_owned));
            let expected = (!good).then(|| Some("TOKEN_REVOKED".to_owned()));
            assert_eq!(reason, expected, "{name}");
        }
    }
}

/// Everything that was told is there, and nothing is half-done.
async fn check(client: &Client, workers: &mut [Worker]) {
    let list = client.devices().list(ListDevicesRequest { own: false }).await.unwrap().into_inner();
    let rows: BTreeMap<_, _> = list.devices.iter().map(|it| (it.id.clone(), Row::of(it))).collect();
    let waits = list.pending.iter().map(|waits| (&waits.device_id, &waits.kind));
    assert_eq!(waits.collect::<BTreeSet<_>>().len(), list.pending.len(), "one of a kind waits");
    let tokens = client.tokens().list(ListTokensRequest {}).await.unwrap().into_inner().tokens;
    let is_good = |it: &openclaw_client::v1::Token| it.status() == token::Status::Active;
    let tokens: BTreeMap<_, _> = tokens.iter().map(|it| (it.name.clone(), is_good(it))).collect();
    for worker in workers {
        let id = worker.id();
        worker.device.keep(&id, rows.get(&id).cloned());
        for (name, promise) in &mut worker.tokens {
            promise.keep(name, tokens.get(name).copied());
        }
    }
}

/// Whatever was answered is in the log.
async fn check_log(client: &Client, workers: &[Worker]) {
    let export = ExportAuditRequest { from_sequence: 0 };
    let mut rows = client.audit().export(export).await.unwrap().into_inner();
    let mut allowed = BTreeMap::<String, usize>::new();
    while let Some(row) = rows.message().await.unwrap() {
        if row.decision() == audit_record::Decision::Allowed {
            *allowed.entry(row.method).or_default() += 1;
        }
    }
    let mut answered = BTreeMap::<&str, usize>::new();
    for (method, count) in workers.iter().flat_map(|worker| &worker.answered) {
        *answered.entry(method).or_default() += count;
    }
    println!("{answered:?} of {allowed:?}");
    assert_eq!(answered.len(), 5, "every change was made");
    // What was done as the gateway died, and nobody heard of: one thing at most of each worker a round.
    let most = usize::from(DEVICES) * usize::try_from(ROUNDS + 1).unwrap();
    for (method, count) in answered {
        let rows = allowed.get(method).copied().unwrap_or(0);
        assert!((count..=count + most).contains(&rows), "{method}: {rows} of {count}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
//= docs/threat-model.md#T24
//= docs/threat-model.md#T32
async fn authority_is_as_it_was_or_as_it_was_to_be_after_every_kill() {
    let seed = seed();
    println!("OPENCLAW_TEST_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut home = Home::with(&script());
    home.configure("[listen]\ntcp = \"127.0.0.1:0\"\n");
    let socket = Target::Unix(home.socket());
    let mut workers = Vec::<Worker>::new();
    let mut head = None;
    for _ in 0..=ROUNDS {
        let mut daemon = home.spawn();
        let client = daemon.connect().await;
        check(&client, &mut workers).await;
        for worker in &workers {
            worker.show_tokens(&socket).await;
        }
        let verified = client.audit().verify(VerifyAuditRequest { head: head.take() }).await;
        let verified = verified.unwrap().into_inner();
        assert!(verified.ok, "{:?}", verified.findings);
        let status = client.gateway().status(StatusRequest {}).await.unwrap().into_inner();
        head = status.audit_head;
        let target: Target = format!("https://{}", status.listen).parse().unwrap();
        let trust = Some(Trust::Fingerprint(status.fingerprint.parse().unwrap()));
        let options = Options { trust, asks: Asks::Upgrade, ..Options::default() };

        let mut known = std::mem::take(&mut workers).into_iter();
        let mut load = JoinSet::new();
        for number in 1..=DEVICES {
            let client = Client::connect(&socket, Identity::Local, &Options::default()).await;
            let (client, dice) = (client.unwrap(), Dice::new(dice.below(u64::MAX)));
            let remote = (target.clone(), options.clone());
            let worker = match known.next() {
                Some(worker) => Worker { client, remote, dice, ..worker },
                None => Worker {
                    number,
                    client,
                    remote,
                    dice,
                    key: Arc::new(DeviceKey::from_seed([number; 32]).unwrap()),
                    device: Promise::default(),
                    tokens: BTreeMap::new(),
                    secrets: BTreeMap::new(),
                    answered: BTreeMap::new(),
                },
            };
            load.spawn(worker.work());
        }
        // The span is not waited out for anything to happen: it is how long the load lasts.
        tokio::time::sleep(Duration::from_millis(60 + dice.below(150))).await;
        daemon.kill().await;
        workers = load.join_all().await;
    }
    let mut daemon = home.spawn();
    let client = daemon.connect().await;
    check(&client, &mut workers).await;
    check_log(&client, &workers).await;
    drop((client, workers));
    assert_eq!(daemon.stop(Signal::Terminate).await, 0);
    let head = head.map(|head| format!("{}:{}", head.sequence, head.digest)).unwrap();
    let verified = home.run(&format!("audit verify --json --head {head}")).await.json();
    assert_eq!(verified["ok"], true, "{verified}");
}
