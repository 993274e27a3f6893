//! Whatever bytes a device sends: no panic, and one encoding for each claim.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_pairing::{Claim, Expected, verify};
use openclaw_scopes::Timestamp;

fuzz_target!(|bytes: &[u8]| {
    let Ok(claim) = Claim::parse(bytes) else { return };
    assert_eq!(claim.encode(), bytes, "two encodings of one claim");
    // Nobody signed it, so it proves nothing, whatever the gateway expects.
    let expected = Expected { nonce: Some(claim.nonce), gateway: claim.gateway, now: claim.at };
    assert!(verify(bytes, &[0; 64], &[7; 32], &expected).is_err());
    let elsewhere = Expected { nonce: None, now: Timestamp::from_millis(0), ..expected };
    assert!(verify(bytes, &[], &[], &elsewhere).is_err());
});
