//! Devices over the network: connecting, calls, revoking, and what a connection costs.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use openclaw_client::health::HealthCheckRequest;
use openclaw_client::{DeviceKey, Fingerprint, v1};
use openclaw_tests::{Attempt, Client, Device, connect, dial};
use tokio::task::JoinSet;

use crate::Effort;
use crate::load::{Operation, duel, run};
use crate::place::Place;
use crate::process::Server;
use crate::rpc::SESSION;
use crate::statistics::{median, percentile};
use crate::table::{Aim, Met, Row, Section, rate, time};

/// Connects at once.
const DIALERS: usize = 8;
/// Streams that are open while a device is revoked.
const STREAMS: usize = 1_000;
/// Connections that these streams share.
const SHARED: usize = 8;
/// Connections of one device: some less than the gateway lets one have.
const OF_ONE: usize = 50;
/// Connections that are idle while memory is looked at.
const IDLE: usize = 1_000;

/// One server on the network.
struct Side {
    address: SocketAddr,
    fingerprint: Fingerprint,
    server: Server,
}

impl Side {
    async fn of(server: Server) -> anyhow::Result<Self> {
        let status = server.connect().await?.gateway().status(v1::StatusRequest {}).await?;
        let status = status.into_inner();
        Ok(Self {
            address: status.listen.parse()?,
            fingerprint: status.fingerprint.parse()?,
            server,
        })
    }

    async fn gateway(place: &Place, name: &str) -> anyhow::Result<Self> {
        Self::of(Server::listening_gateway(place, &place.state(name)?).await?).await
    }

    async fn bare(place: &Place, name: &str) -> anyhow::Result<Self> {
        Self::of(Server::bare(place, &place.state(name)?).await?).await
    }

    /// Dials, and proves the device's key.
    async fn connect(&self, device: &Device, attempt: &Attempt) -> anyhow::Result<Client> {
        let bare = connect(dial(self.address).await).await;
        let connected = device.prove(&bare, self.fingerprint, attempt).await;
        let connected = connected.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
        Ok(connected.client)
    }

    /// Has a device paired by an invitation of the owner's.
    async fn pair(&self, number: u64) -> anyhow::Result<Device> {
        let device = Device::new(number);
        let owner = self.server.connect().await?;
        let invitation = owner.devices().invite(v1::InviteRequest::default()).await?.into_inner();
        self.connect(&device, &Attempt::invited(&invitation.code)).await?;
        Ok(device)
    }
}

/// A whole connect: TCP, TLS, challenge, signature, decision, record.
struct Connect(Arc<Side>, Device);

impl Operation for Connect {
    async fn perform(&mut self) -> anyhow::Result<()> {
        self.0.connect(&self.1, &Attempt::default()).await.map(drop)
    }
}

/// Asks for nothing.
struct Check(Client);

impl Operation for Check {
    async fn perform(&mut self) -> anyhow::Result<()> {
        self.0.health().check(HealthCheckRequest::default()).await?;
        Ok(())
    }
}

/// Asks for one row.
struct Get(Client);

impl Operation for Get {
    async fn perform(&mut self) -> anyhow::Result<()> {
        let request = v1::GetSessionRequest { key: SESSION.into(), agent_id: String::new() };
        self.0.sessions().get(request).await?;
        Ok(())
    }
}

/// TCP and TLS, and nothing else.
struct Handshake(SocketAddr);

impl Operation for Handshake {
    async fn perform(&mut self) -> anyhow::Result<()> {
        drop(dial(self.0).await);
        Ok(())
    }
}

/// Checking one signature of a claim.
struct Verify {
    key: DeviceKey,
    signature: Vec<u8>,
}

impl Operation for Verify {
    async fn perform(&mut self) -> anyhow::Result<()> {
        anyhow::ensure!(self.key.public().signed(&[7; 256], &self.signature), "not signed");
        Ok(())
    }
}

pub(crate) async fn measure(place: &Place, effort: Effort) -> anyhow::Result<Section> {
    let ours = Arc::new(Side::gateway(place, "network").await?);
    let bare = Arc::new(Side::bare(place, "network-bare").await?);
    let phone = ours.pair(1).await?;
    let mut rows = Vec::new();
    connects(&ours, &bare, &phone, effort, &mut rows).await?;
    calls(&ours, &bare, &phone, effort, &mut rows).await?;
    memory(place, &mut rows).await?;
    revocation(&ours, effort, &mut rows).await?;
    Ok(Section {
        name: "network",
        title: "Devices over the network",
        measured: format!(
            "The release daemon with `listen.tcp` on the loopback address, and its devices in \
             another process on the same cores. A connect is TCP, TLS 1.3, \
             HTTP/2, challenge, signature, decision and durable record, {DIALERS} at once; its \
             limit is TCP and TLS alone to a bare server with the same certificate kind. Calls \
             carry an access token; their limit is a bare tonic server over TLS that answers the \
             same client from constants. Revocation is measured from the owner's call to the end of \
             each of {STREAMS} open streams of the device at the client. Memory is the growth of \
             the server's resident memory by {IDLE} connections that are let in and idle, beside \
             that of the bare server by as many."
        ),
        rows,
    })
}

async fn connects(
    ours: &Arc<Side>,
    bare: &Arc<Side>,
    phone: &Device,
    effort: Effort,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let a = (0..DIALERS).map(|_| Connect(Arc::clone(ours), phone.clone())).collect();
    let b = (0..DIALERS).map(|_| Handshake(bare.address)).collect();
    let duel = duel((&ours.server, a), (&bare.server, b), effort).await?;
    rows.extend(Row::of_duel("full connects", &duel, Aim::Share(0.5)));
    let key = || DeviceKey::from_seed([9; 32]).context("no key");
    let signature = key()?.sign(&[7; 256]);
    let verify = Verify { key: key()?, signature };
    let (_, sample) = run(vec![verify], effort.slice).await?;
    rows.push(Row::new("Ed25519 signatures checked, one core", rate(sample.rate)));
    Ok(())
}

async fn calls(
    ours: &Arc<Side>,
    bare: &Arc<Side>,
    phone: &Device,
    effort: Effort,
    rows: &mut Vec<Row>,
) -> anyhow::Result<()> {
    let create = v1::CreateSessionRequest {
        idempotency_key: "bench".into(),
        key: SESSION.into(),
        ..v1::CreateSessionRequest::default()
    };
    let a = ours.connect(phone, &Attempt::default()).await?;
    // The bare server looks at no bearer, but is sent one as long.
    let b = connect(dial(bare.address).await).await.bearing(&"x".repeat(47));
    a.sessions().create(create).await?;
    for (in_flight, shape) in [(1, "sequential"), (64, "64 in flight")] {
        let check = |client: &Client| (0..in_flight).map(|_| Check(client.clone())).collect();
        let duel = duel((&ours.server, check(&a)), (&bare.server, check(&b)), effort).await?;
        let aim = if in_flight > 1 { Aim::Share(0.9) } else { Aim::None };
        rows.extend(Row::of_duel(&format!("health over TLS, {shape}"), &duel, aim));
    }
    let get = |client: &Client| (0..64).map(|_| Get(client.clone())).collect();
    let duel = duel((&ours.server, get(&a)), (&bare.server, get(&b)), effort).await?;
    rows.extend(Row::of_duel("sessions.get over TLS, 64 in flight", &duel, Aim::None));
    Ok(())
}

/// Opens so many streams of a device that never end by themselves.
async fn streams(side: &Side, device: &Device) -> anyhow::Result<JoinSet<Instant>> {
    let mut ends = JoinSet::new();
    for _ in 0..SHARED {
        let client = side.connect(device, &Attempt::default()).await?;
        for _ in 0..STREAMS / SHARED {
            let watch = client.health().watch(HealthCheckRequest::default()).await?;
            let mut watch = watch.into_inner();
            watch.message().await?;
            let client = client.clone();
            ends.spawn(async move {
                while let Ok(Some(_)) = watch.message().await {}
                drop(client);
                Instant::now()
            });
        }
    }
    Ok(ends)
}

fn revoke(device: &Device) -> v1::RevokeDeviceRequest {
    v1::RevokeDeviceRequest { device: device.id().to_string(), role: String::new() }
}

async fn revocation(side: &Side, effort: Effort, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let owner = side.server.connect().await?;
    let (mut answered, mut refused) = (Vec::new(), Vec::new());
    let (mut middle, mut last) = (Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        let device = side.pair(1_000_u64.saturating_add(round as u64)).await?;
        let client = side.connect(&device, &Attempt::default()).await?;
        let mut ends = streams(side, &device).await?;
        let begun = Instant::now();
        owner.devices().revoke(revoke(&device)).await?;
        answered.push(begun.elapsed().as_secs_f64());
        let call = client.health().check(HealthCheckRequest::default()).await;
        anyhow::ensure!(call.is_err(), "a revoked device was answered");
        refused.push(begun.elapsed().as_secs_f64());
        let mut all = Vec::new();
        while let Some(end) = ends.join_next().await {
            all.push(end?.duration_since(begun));
        }
        all.sort_unstable();
        middle.push(percentile(&all, 0.5).as_secs_f64());
        last.push(percentile(&all, 1.0).as_secs_f64());
    }
    let shown = |of: Vec<f64>| Duration::from_secs_f64(median(of));
    let with = format!("revoke with {STREAMS} open streams");
    rows.push(Row::new(format!("{with}: answered"), time(shown(answered))));
    let took = shown(refused);
    let met = Met::when(took <= Duration::from_millis(5));
    let row = Row::new(format!("{with}: the next call is refused"), time(took));
    rows.push(row.aim("≤ 5 ms", met));
    rows.push(Row::new(format!("{with}: the middle one has ended"), time(shown(middle))));
    rows.push(Row::new(format!("{with}: the last one has ended"), time(shown(last))));
    Ok(())
}

/// How much the resident memory of a server grows by each of many idle connections.
async fn growth(side: &Side, devices: &[Device]) -> anyhow::Result<f64> {
    let open = async |number: usize| {
        let client = connect(dial(side.address).await).await;
        match devices.get(number / OF_ONE) {
            None => client.health().check(HealthCheckRequest::default()).await.map(drop)?,
            Some(device) => {
                let connected = device.prove(&client, side.fingerprint, &Attempt::default()).await;
                connected.map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
            }
        }
        anyhow::Ok(client)
    };
    let mut clients = Vec::new();
    // The first connections fill what all share.
    for _ in 0..8 {
        clients.push(open(0).await?);
    }
    let before = side.server.look()?.rss;
    for number in 0..IDLE {
        clients.push(open(number).await?);
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let after = side.server.look()?.rss;
    Ok(after.saturating_sub(before) as f64 * 1024.0 / IDLE as f64)
}

async fn memory(place: &Place, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let ours = Side::gateway(place, "network-memory").await?;
    let bare = Side::bare(place, "network-memory-bare").await?;
    let mut devices = Vec::new();
    for number in 0..IDLE.div_ceil(OF_ONE) {
        devices.push(ours.pair(number as u64).await?);
    }
    let (of_ours, of_bare) = (growth(&ours, &devices).await?, growth(&bare, &[]).await?);
    let kb = |bytes: f64| format!("{:.1} KB", bytes / 1000.0);
    let row = Row::new(format!("memory of an idle connection, of {IDLE}"), kb(of_ours));
    rows.push(row.beside(kb(of_bare)).aim("≤ 60 KB", Met::when(of_ours <= 60_000.0)));
    Ok(())
}
