//! Claims: one encoding, and every way in which a proof may not hold.

use proptest::prelude::*;

use super::*;
use crate::DeviceKey;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn key() -> DeviceKey {
    DeviceKey::from_seed([1; 32]).unwrap()
}

fn claim() -> Claim {
    Claim {
        nonce: Nonce([2; 32]),
        gateway: Fingerprint([3; 32]),
        device: key().public().device_id().unwrap(),
        role: DeviceRole::Operator,
        wish: ScopeSet::of(&[Scope::Read, Scope::Write]),
        asks: Asks::Nothing,
        at: NOW,
    }
}

fn expected() -> Expected {
    Expected { nonce: Some(Nonce([2; 32])), gateway: Fingerprint([3; 32]), now: NOW }
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "the table reads better so")]
fn check(claim: &Claim, expected: &Expected, verdict: Result<(), ProofError>) {
    let (bytes, key) = (claim.encode(), key());
    let proven = verify(&bytes, &key.sign(&bytes), &key.public().0, expected);
    assert_eq!(proven.map(|proven| assert_eq!(proven.claim(), claim)), verdict);
}

#[test]
#[rustfmt::skip]
//= docs/threat-model.md#T28
fn what_a_claim_must_agree_with() {
    let skewed = |millis| Claim { at: Timestamp::from_millis(NOW.as_millis() + millis), ..claim() };
    let skew = |seconds| Err(ProofError::ClockSkew(Duration::from_secs(seconds)));
    let other = DeviceKey::from_seed([9; 32]).unwrap().public().device_id().unwrap();

    //     claim                                                      expected                                            verdict
    check(&claim(),                                                   &expected(),                                        Ok(()));
    check(&claim(),                                                   &Expected { nonce: None, ..expected() },            Err(ProofError::Nonce));
    check(&claim(),                                                   &Expected { nonce: Some(Nonce([0; 32])), ..expected() }, Err(ProofError::Nonce));
    // A relay: the device signed for the certificate that the relay showed.
    check(&Claim { gateway: Fingerprint([4; 32]), ..claim() },        &expected(),                                        Err(ProofError::Gateway));
    check(&Claim { device: other, ..claim() },                        &expected(),                                        Err(ProofError::Id));
    check(&skewed(120_000),                                           &expected(),                                        Ok(()));
    check(&skewed(-120_000),                                          &expected(),                                        Ok(()));
    check(&skewed(121_000),                                           &expected(),                                        skew(121));
    check(&skewed(-7_200_000),                                        &expected(),                                        skew(7_200));
    check(&Claim { at: Timestamp::from_millis(i64::MIN), ..claim() }, &expected(),                                        Err(ProofError::ClockSkew(NOW.since(Timestamp::from_millis(i64::MIN)))));
}

#[test]
//= docs/threat-model.md#T28
fn a_signature_is_on_every_byte_and_by_one_key() {
    let (bytes, key) = (claim().encode(), key());
    let (signature, public) = (key.sign(&bytes), key.public().0);
    let verify = |claim: &[u8], signature: &[u8], public: &[u8]| {
        verify(claim, signature, public, &expected()).map(drop)
    };
    assert_eq!(verify(&bytes, &signature, &public), Ok(()));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(verify(&changed, &signature, &public).is_err(), "byte {at}");
        assert!(verify(&bytes[..at], &signature, &public).is_err(), "cut at {at}");
    }
    for at in 0..signature.len() {
        let mut changed = signature.clone();
        changed[at] ^= 0x80;
        assert_eq!(verify(&bytes, &changed, &public), Err(ProofError::Signature), "byte {at}");
    }
    assert_eq!(verify(&bytes, &signature[..63], &public), Err(ProofError::Signature));
    assert_eq!(verify(&bytes, &[], &public), Err(ProofError::Signature));
    let other = DeviceKey::from_seed([5; 32]).unwrap();
    assert_eq!(verify(&bytes, &other.sign(&bytes), &other.public().0), Err(ProofError::Id));
    assert_eq!(verify(&bytes, &other.sign(&bytes), &public), Err(ProofError::Signature));
    assert_eq!(verify(&bytes, &signature, &public[..31]), Err(ProofError::PublicKey));
}

fn encode(fields: &[&[u8]]) -> Vec<u8> {
    let length = |field: &[u8]| u32::try_from(field.len()).unwrap().to_be_bytes();
    fields.iter().flat_map(|field| [&length(field)[..], field].concat()).collect()
}

#[test]
#[rustfmt::skip]
fn what_is_no_claim_is_told_so() {
    let id = claim().device;
    let parse = |wish: &str, role: &str, asks: &[u8]| {
        let fields: [&[u8]; 8] = [KIND, &[2; 32], &[3; 32], id.as_str().as_bytes(), role.as_bytes(), wish.as_bytes(), asks, &[0; 8]];
        Claim::parse(&encode(&fields)).map(drop)
    };
    assert_eq!(parse("operator.read", "operator", b"nothing"), Ok(()));
    assert_eq!(parse("", "operator", b"nothing"), Err(ClaimError::EmptyWish));
    assert_eq!(parse("operator.read operator.read", "operator", b"nothing"), Err(ClaimError::DuplicateScope(Scope::Read)));
    assert_eq!(parse("operator.write operator.read", "operator", b"nothing"), Err(ClaimError::Field("wish")));
    assert_eq!(parse("operator.root", "operator", b"nothing"), Err(ClaimError::UnknownScope("operator.root".into())));
    assert_eq!(parse("operator.read ", "operator", b"nothing"), Err(ClaimError::UnknownScope(String::new())));
    assert_eq!(parse("operator.read", "gateway-client", b"nothing"), Err(ClaimError::Role));
    assert_eq!(parse("operator.read", "operator", b"silent"), Err(ClaimError::Field("asks")));
    assert_eq!(Claim::parse(b""), Err(ClaimError::Truncated));
    assert_eq!(Claim::parse(&[0xff; 64]), Err(ClaimError::Truncated));
    assert_eq!(Claim::parse(&encode(&[b"openclaw device claim v2"])), Err(ClaimError::Kind));
    assert_eq!(Claim::parse(&[0; 2000]), Err(ClaimError::TooLong));
    let mut longer = claim().encode();
    longer.push(0);
    assert_eq!(Claim::parse(&longer), Err(ClaimError::Trailing));
    // Fields in another order are not another spelling of the same claim.
    let swapped: [&[u8]; 8] = [KIND, &[2; 32], &[3; 32], b"operator", id.as_str().as_bytes(), b"operator.read", b"nothing", &[0; 8]];
    assert_eq!(Claim::parse(&encode(&swapped)), Err(ClaimError::Role));
}

proptest! {
    /// Whatever parses has exactly one spelling.
    #[test]
    fn one_encoding(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(claim) = Claim::parse(&bytes) {
            prop_assert_eq!(claim.encode(), bytes);
        }
    }

    #[test]
    fn claims_survive_their_bytes(millis in any::<i64>(), bits in 1_usize..1024, nonce in any::<[u8; 32]>()) {
        let chosen = |(index, scope): (usize, Scope)| (bits & (1 << index) != 0).then_some(scope);
        let wish = Scope::ALL.into_iter().enumerate().filter_map(chosen).fold(ScopeSet::EMPTY, ScopeSet::with);
        let claim = Claim { nonce: Nonce(nonce), wish, at: Timestamp::from_millis(millis), ..claim() };
        prop_assert_eq!(Claim::parse(&claim.encode()), Ok(claim));
    }

    /// A claim with bytes changed here and there is another one, or none.
    #[test]
    fn changed_claims(changes in proptest::collection::vec((0_usize..400, any::<u8>()), 1..8)) {
        let mut bytes = claim().encode();
        for (at, to) in changes {
            if let Some(byte) = bytes.get_mut(at) { *byte = to; }
        }
        if let Ok(parsed) = Claim::parse(&bytes) {
            prop_assert_eq!(parsed.encode(), bytes);
        }
    }
}
