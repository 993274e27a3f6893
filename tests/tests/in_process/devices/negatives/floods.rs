//! Strangers who are many, slow, or never done: what they use up is their own.

use std::collections::BTreeMap;

use openclaw_proto::v1;
use openclaw_scopes::Scope;
use openclaw_tests::{Attempt, Client, Device, Refusal, dial_tcp, loopback, shake_hands, soon};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tonic::Code;

use crate::in_process::stage::Stage;
use crate::in_process::world::{devices, newest};

/// Keys that ask to be paired: each is a key, a challenge, a signature, two checks of it and two
/// decisions. Without optimizations ten thousand take half a minute, so a fifth of them has to do.
const ATTEMPTS: u64 = if cfg!(debug_assertions) { 2_000 } else { 10_000 };
/// Connections at a time, which is less than what one address may have.
const AT_ONCE: u64 = 24;
/// Attempts on a connection: together they stay within what may be sent before authentication.
const ON_ONE: u64 = 20;

/// A row of attempts on one connection; returns what each was told.
async fn attempts(bare: Client, seen: openclaw_pairing::Fingerprint, first: u64) -> Vec<Refusal> {
    let asks = Attempt::asking(&[Scope::Read]);
    let mut told = Vec::new();
    for number in first..first + ON_ONE {
        told.push(Device::new(number).prove(&bare, seen, &asks).await.unwrap_err());
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
//= docs/threat-model.md#T29
//= docs/threat-model.md#T33
async fn ten_thousand_attempts() {
    let stage = Stage::new().await;
    let seen = stage.gateway.fingerprint();
    let paired = stage.approved(Scope::Read.into()).await;
    let before = newest(&stage.owner).await.sequence;
    let (mut told, mut connects) = (BTreeMap::<String, u64>::new(), 0);
    for wave in 0..ATTEMPTS.div_ceil(AT_ONCE * ON_ONE) {
        let mut flood = JoinSet::new();
        for place in 0..AT_ONCE {
            let bare = stage.gateway.dial().await;
            let first = 1_000_000 + (wave * AT_ONCE + place) * ON_ONE;
            flood.spawn(attempts(bare, seen, first));
        }
        // All the while, a device that is known comes in, from the same address.
        while let Some(row) = flood.join_next().await {
            for refusal in row.unwrap() {
                *told.entry(refusal.reason).or_default() += 1;
            }
            paired.connect(&stage.gateway, &Attempt::default()).await.unwrap();
            connects += 1;
        }
    }
    let all: u64 = told.values().sum();
    assert!(all >= ATTEMPTS, "{told:?}");
    assert_eq!(told.remove("PAIRING_REQUIRED"), Some(8), "that many from one address wait");
    assert!(told.keys().all(|reason| reason == "LIMIT_EXCEEDED"), "{told:?}");
    assert_eq!(devices(&stage.owner).await.pending.len(), 8);
    let gateway = stage.gateway.restart().await;
    let after = newest(&gateway.owner().await).await.sequence;
    assert!(after - before < connects + 100, "{} rows", after - before);
}

/// A wish that changes with every attempt is as little of a load as one that does not.
#[tokio::test]
//= docs/threat-model.md#T29
async fn whoever_keeps_changing_a_wish_is_refused() {
    let stage = Stage::new().await;
    let seen = stage.gateway.fingerprint();
    let device = stage.device();
    let before = newest(&stage.owner).await.sequence;
    let mut told = BTreeMap::<String, u64>::new();
    let mut bare = stage.gateway.dial().await;
    for number in 0..300_usize {
        if number % 40 == 0 {
            bare = stage.gateway.dial().await;
        }
        let wish = [Scope::Read, Scope::Write, Scope::Talk][number % 3];
        let refusal = device.prove(&bare, seen, &Attempt::asking(&[wish])).await.unwrap_err();
        *told.entry(refusal.reason).or_default() += 1;
    }
    let [waits] = devices(&stage.owner).await.pending.try_into().unwrap();
    let rows = newest(&stage.owner).await.sequence - before;
    assert!(rows <= 70 && told["LIMIT_EXCEEDED"] >= 100, "{rows} rows: {told:?}");
    assert_eq!(waits.history.len(), 16, "what came before can be looked at");
    // The request can be decided all the same, and the device comes in.
    let scope = Scope::parse(&waits.requested_scopes[0]).unwrap();
    stage.approve(&format!("{}@{}", waits.id, waits.revision), scope.into()).await;
    device.connect(&stage.gateway, &Attempt::default()).await.unwrap();
}

/// Tells whether the gateway has closed a connection, by now or soon.
async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(soon(stream.read(&mut [0; 64])).await, Ok(0) | Err(_))
}

/// Connections that say nothing, that speak TLS byte by byte, and that have shaken hands and wait: more
/// than there are places, from many addresses. They take the places of each other, and of nobody else.
#[tokio::test]
//= docs/threat-model.md#T33
async fn slow_handshakes_do_not_keep_devices_out() {
    let stage = Stage::new().await;
    let device = stage.approved(Scope::Read.into()).await;
    let connected = device.connect(&stage.gateway, &Attempt::default()).await.unwrap();
    let address = stage.gateway.address();
    let (mut silent, mut half_open) = (Vec::new(), Vec::new());
    for number in 0..400_u16 {
        let from = loopback(10 + u8::try_from(number % 20).unwrap());
        let mut stream = dial_tcp(from, address).await;
        match number % 4 {
            0 => half_open.push(shake_hands(stream).await.unwrap()),
            // The beginning of a handshake, of which the rest never comes; and no handshake at all.
            1 => stream.write_all(&[0x16, 3, 1, 2, 0, 1]).await.unwrap(),
            2 => stream.write_all(b"GET / HTTP/1.1\r\n").await.unwrap(),
            _ => silent.push(stream),
        }
        if number % 40 == 39 {
            let again = device.connect(&stage.gateway, &Attempt::default()).await.unwrap();
            again.client.gateway().status(v1::StatusRequest {}).await.unwrap();
        }
    }
    for stream in silent.iter_mut().take(20) {
        assert!(is_closed(stream).await, "the oldest have lost their places");
    }
    // Who is in stays in.
    connected.client.gateway().status(v1::StatusRequest {}).await.unwrap();
    drop((silent, half_open));
}

/// An address has a share, of this machine as of any other; what is in no longer counts.
#[tokio::test]
//= docs/threat-model.md#T33
async fn one_address_has_its_share() {
    let stage = Stage::new().await;
    let device = stage.approved(Scope::Read.into()).await;
    let (seen, address) = (stage.gateway.fingerprint(), stage.gateway.address());
    let mut within = Vec::new();
    for _ in 0..40 {
        let bare = stage.gateway.dial_from(loopback(50)).await;
        within.push(device.prove(&bare, seen, &Attempt::default()).await.unwrap());
    }
    let mut waiting = Vec::new();
    for _ in 0..42 {
        waiting.push(dial_tcp(loopback(50), address).await);
    }
    // Whoever is one too many there pushes out the oldest that is silent, and gets in.
    for silent in waiting.iter_mut().take(10) {
        assert!(is_closed(silent).await);
    }
    let bare = stage.gateway.dial_from(loopback(50)).await;
    within.push(device.prove(&bare, seen, &Attempt::default()).await.unwrap());
    within.push(device.connect(&stage.gateway, &Attempt::default()).await.unwrap());
    for connected in &within {
        connected.client.gateway().status(v1::StatusRequest {}).await.unwrap();
    }
    drop(waiting);
    // A device has a share, too, of those who are in: the last one too many is told so.
    let refusal = loop {
        assert!(within.len() <= 64, "no more than that");
        match device.connect(&stage.gateway, &Attempt::default()).await {
            Ok(connected) => within.push(connected),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal.kind(), (Code::ResourceExhausted, "LIMIT_EXCEEDED"), "{refusal:?}");
    assert_eq!(within.len(), 64, "{refusal:?}");
    within.truncate(63);
    let again = Attempt::default();
    soon(Box::pin(async { while device.connect(&stage.gateway, &again).await.is_err() {} })).await;
}
