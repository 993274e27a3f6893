//! Proofs of devices that do not hold: each has its answer, changes nothing, and is counted.

mod claims;
mod headers;

use openclaw_pairing::{DeviceKey, Fingerprint};
use openclaw_proto::v1;
use openclaw_scopes::Scope;
use openclaw_tests::{Attempt, Client, Device, Refusal, loopback};
use tonic::Code;

use crate::in_process::stage::Stage;
use crate::in_process::world::{World, counted, devices};

/// What is wrong with a proof: how it was made, and what was done to it.
struct Wrong {
    attempt: Attempt,
    spoil: fn(&mut v1::ConnectRequest, &DeviceKey),
}

impl Wrong {
    fn made(attempt: Attempt) -> Self {
        Self { attempt, spoil: |_, _| {} }
    }

    fn spoiled(spoil: fn(&mut v1::ConnectRequest, &DeviceKey)) -> Self {
        Self { attempt: Attempt::asking(&[Scope::Read]), spoil }
    }
}

/// Proofs that do not hold, each from an address of its own.
struct Trial {
    known: Device,
    stage: Stage,
    /// From where, what was told, and how many failures that were.
    tried: Vec<(String, String, u64)>,
    world: World,
}

impl Trial {
    async fn new() -> Self {
        let stage = Stage::new().await;
        let known = stage.approved(Scope::Read.into()).await;
        let world = World::of(&stage.gateway, &stage.owner).await;
        Self { known, stage, tried: Vec::new(), world }
    }

    /// Shows a proof as a device that is known and as one that is not; both have one answer.
    async fn refusal(&mut self, wrong: &Wrong) -> Refusal {
        let number = u8::try_from(self.tried.len()).unwrap() + 10;
        let (mut told, mut failures) = (Vec::new(), 0);
        for device in [self.known.clone(), self.stage.device()] {
            let bare = self.stage.gateway.dial_from(loopback(number)).await;
            let seen = self.stage.gateway.fingerprint();
            let honest = device.proof(&bare, seen, &wrong.attempt).await.unwrap();
            let mut request = honest.clone();
            (wrong.spoil)(&mut request, device.key());
            told.push(connect(&bare, request.clone()).await.unwrap_err());
            failures += 1;
            if request == honest {
                continue;
            }
            // The challenge is used up, whatever the answer was: what was right then is wrong now.
            let again = connect(&bare, honest).await.unwrap_err();
            assert_eq!(again.kind(), (Code::Unauthenticated, "NONCE_INVALID"), "{again:?}");
            failures += 1;
        }
        let refusal = told.remove(0);
        assert_eq!(refusal.kind(), told[0].kind(), "{refusal:?} {told:?}");
        assert!(!refusal.next.is_empty(), "{refusal:?}");
        // Without what is measured, as by how much a clock is off.
        let words = refusal.message.chars().take(20).collect();
        self.tried.push((format!("peer:{}", loopback(number)), words, failures));
        refusal
    }

    /// Nothing has changed, and each of them stands in the log.
    async fn end(self) {
        let Self { stage, world, .. } = self;
        World::of(&stage.gateway, &stage.owner)
            .await
            .expect_same(&world, "proofs that do not hold");
        let gateway = stage.gateway.restart().await;
        let owner = gateway.owner().await;
        for (peer, words, failures) in self.tried {
            assert_eq!(counted(&owner, &peer, "device.connect").await, failures, "{peer} {words}");
            assert!(counted(&owner, &peer, &words).await >= 2, "{peer} {words}");
        }
    }
}

async fn connect(bare: &Client, request: v1::ConnectRequest) -> Result<(), Refusal> {
    bare.devices().connect(request).await.map(drop).map_err(Refusal::from)
}

/// A gateway that lies in between is shown by the proof itself: it was signed for another certificate.
#[tokio::test]
//= docs/threat-model.md#T28
async fn a_relayed_proof_is_refused() {
    let mut trial = Trial::new().await;
    let gateway = Some(Fingerprint([7; 32]));
    let relayed = Attempt { gateway, ..Attempt::asking(&[Scope::Read]) };
    let refusal = trial.refusal(&Wrong::made(relayed)).await;
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "FINGERPRINT_MISMATCH"), "{refusal:?}");
    trial.end().await;
}

#[tokio::test]
//= docs/threat-model.md#T28
async fn a_proof_is_good_once_and_on_its_connection() {
    let mut trial = Trial::new().await;
    let made_up = Attempt { nonce: Some([0; 32]), ..Attempt::asking(&[Scope::Read]) };
    let refusal = trial.refusal(&Wrong::made(made_up)).await;
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "NONCE_INVALID"), "{refusal:?}");
    let Trial { known, stage, world, .. } = &trial;
    let (here, there) = (stage.gateway.dial().await, stage.gateway.dial().await);
    let seen = stage.gateway.fingerprint();
    let proof = known.proof(&here, seen, &Attempt::default()).await.unwrap();
    known.proof(&there, seen, &Attempt::default()).await.unwrap();
    let elsewhere = connect(&there, proof.clone()).await.unwrap_err();
    assert_eq!(elsewhere.kind(), (Code::Unauthenticated, "NONCE_INVALID"), "{elsewhere:?}");
    connect(&here, proof.clone()).await.unwrap();
    let again = connect(&here, proof.clone()).await.unwrap_err();
    assert_eq!(again.kind(), (Code::Unauthenticated, "NONCE_INVALID"), "{again:?}");
    // A newer challenge makes the older one void.
    let older = known.proof(&here, seen, &Attempt::default()).await.unwrap();
    let newer = known.proof(&here, seen, &Attempt::default()).await.unwrap();
    assert_eq!(connect(&here, older).await.unwrap_err().reason, "NONCE_INVALID");
    assert_eq!(connect(&here, newer).await.unwrap_err().reason, "NONCE_INVALID", "it was spent");
    World::of(&stage.gateway, &stage.owner).await.expect_same(world, "proofs of elsewhere");
}

#[tokio::test]
//= docs/threat-model.md#T28
async fn a_signature_is_of_the_key_and_of_the_claim() {
    let mut trial = Trial::new().await;
    #[rustfmt::skip]
    let wrongs: [fn(&mut v1::ConnectRequest, &DeviceKey); 8] = [
        // forged: of another key
        |request, _| request.signature = DeviceKey::from_seed([99; 32]).unwrap().sign(&request.claim),
        // of another claim
        |request, key| request.signature = key.sign(b"openclaw device claim v1"),
        // changed, cut off, left out, longer, reordered
        |request, _| request.signature[17] ^= 1,
        |request, _| request.signature.truncate(63),
        |request, _| request.signature.clear(),
        |request, _| request.signature.push(0),
        |request, _| request.signature.rotate_left(32),
        // the key of another, whose id it is not
        |request, _| request.public_key = DeviceKey::from_seed([99; 32]).unwrap().public().0.to_vec(),
    ];
    for spoil in wrongs {
        let refusal = trial.refusal(&Wrong::spoiled(spoil)).await;
        assert_eq!(refusal.kind(), (Code::Unauthenticated, "SIGNATURE_INVALID"), "{refusal:?}");
    }
    // The id of another device, signed by one's own key.
    let spoil: fn(&mut v1::ConnectRequest, &DeviceKey) = |request, key| {
        let other = DeviceKey::from_seed([99; 32]).unwrap().public().device_id().unwrap();
        claims::replace(request, key, 3, other.as_str().as_bytes());
    };
    let refusal = trial.refusal(&Wrong::spoiled(spoil)).await;
    assert_eq!(refusal.kind(), (Code::Unauthenticated, "SIGNATURE_INVALID"), "{refusal:?}");
    trial.end().await;
}

/// Two hours off, either way: it is told what time it is here, for only whoever has proved a key is.
#[tokio::test]
//= docs/threat-model.md#T28
async fn a_clock_that_is_off_is_told_the_time() {
    let mut trial = Trial::new().await;
    for skew in [7_200_000, -7_200_000, 125_000, -125_000] {
        let skewed = Attempt { skew, ..Attempt::asking(&[Scope::Read]) };
        let refusal = trial.refusal(&Wrong::made(skewed)).await;
        assert_eq!(refusal.kind(), (Code::Unauthenticated, "CLOCK_SKEW"), "{refusal:?}");
        let time = refusal.fact("serverTime");
        assert!(time.starts_with("20") && time.ends_with('Z'), "{refusal:?}");
    }
    let skewed = Attempt { skew: 7_200_000, ..Attempt::default() };
    let forged = Wrong { attempt: skewed, spoil: |request, _| request.signature[0] ^= 1 };
    let refusal = trial.refusal(&forged).await;
    assert_eq!((refusal.reason.as_str(), refusal.fact("serverTime")), ("SIGNATURE_INVALID", ""));
    let Trial { stage, known, .. } = &trial;
    for skew in [115_000, -115_000] {
        known.connect(&stage.gateway, &Attempt { skew, ..Attempt::default() }).await.unwrap();
    }
    trial.end().await;
}

/// A key is the device, whatever it calls itself: nobody is somebody else by a name.
#[tokio::test]
//= docs/threat-model.md#T28
async fn a_key_has_one_name_at_a_time() {
    let stage = Stage::new().await;
    let device = stage.device().called("laptop");
    let first = stage.asks(&device, Scope::Read.into()).await;
    let other = device.called("the owner's\u{1b}[2J\u{202e} phone");
    assert_eq!(stage.asks(&other, Scope::Read.into()).await, first, "the same request");
    let listed = devices(&stage.owner).await;
    assert_eq!(listed.pending.len(), 1);
    assert_eq!(listed.pending[0].name, "laptop", "what was looked at does not change");
    let changed = stage.asks(&other, Scope::Write.into()).await;
    assert_eq!(changed, first.replace("@1", "@2"));
    let waits = devices(&stage.owner).await.pending.remove(0);
    assert_eq!(waits.name, "the owner's[2J phone", "nothing in it steers a terminal");

    stage.approve(&changed, Scope::Read.into()).await;
    for (name, shown) in
        [("phone", "phone"), ("\u{200b}\r\n", ""), (&"x".repeat(999), &"x".repeat(64))]
    {
        device.called(name).connect(&stage.gateway, &Attempt::default()).await.unwrap();
        let mut known = devices(&stage.owner).await.devices;
        known.retain(|known| known.id == device.id().to_string());
        assert_eq!((known.len(), known[0].name.as_str()), (1, shown));
        assert_eq!(known[0].approved_scopes, ["operator.read"]);
    }
}
