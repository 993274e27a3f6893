//! Whatever people type or paste as an invitation: no panic, and what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use openclaw_pairing::{Address, Fingerprint, InvitationCode, Link};

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<Address>() {
        assert!(address.port() > 0 && !address.host().is_empty());
        assert_eq!(address.to_string().parse(), Ok(address));
    }
    if let Ok(code) = text.parse::<InvitationCode>() {
        same(&code);
    }
    if let Ok(link) = text.parse::<Link>() {
        assert!((1..=8).contains(&link.addresses.len()));
        same(&link.code);
        let written = link.to_string();
        let again: Link = written.parse().expect("a link that was written can be read");
        assert_eq!((&again.addresses, written), (&link.addresses, again.to_string()));
    }
    if let Ok(fingerprint) = text.parse::<Fingerprint>() {
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
});

fn same(code: &InvitationCode) {
    let again: InvitationCode =
        code.to_string().parse().expect("a code that was written can be read");
    assert_eq!((again.secret.0, again.pin), (code.secret.0, code.pin));
}
