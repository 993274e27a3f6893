//! Codes and links: read as people write them, and typing errors are found.

use proptest::prelude::*;

use super::*;

fn code() -> InvitationCode {
    InvitationCode::new(InvitationSecret([0x5a; 12]), &Fingerprint([0xc3; 32]))
}

#[test]
fn a_code_is_read_as_it_is_typed() {
    let text = code().to_string();
    assert_eq!((text.len(), text.matches('-').count()), (59, 11), "{text}");
    let typed = text.to_uppercase().replace('-', " ").replace('0', "O").replace('1', "l");
    for text in [text.clone(), typed, text.replace('-', "")] {
        let parsed: InvitationCode = text.parse().unwrap();
        assert_eq!((parsed.secret.0, parsed.pin), ([0x5a; 12], Pin([0xc3; 16])));
    }
    assert!(!format!("{:?}", code()).contains("5a"), "the secret is not shown");
}

#[test]
fn every_single_typing_error_is_found() {
    let text = code().to_string();
    for (at, _) in text.char_indices().filter(|(_, c)| *c != '-') {
        let mut typed = text.clone().into_bytes();
        typed[at] = if typed[at] == b'7' { b'8' } else { b'7' };
        let typed = String::from_utf8(typed).unwrap();
        assert!(typed.parse::<InvitationCode>().is_err(), "{typed}");
    }
    for bad in ["", "abcd", text.get(1..).unwrap(), &format!("{text}a"), &"a".repeat(1000), "ü"] {
        assert!(bad.parse::<InvitationCode>().is_err(), "{bad}");
    }
}

#[test]
#[rustfmt::skip]
fn addresses() {
    for (text, host, port) in [
        ("home:18789",          "home",        18789),
        ("192.168.1.7:1",       "192.168.1.7", 1),
        ("[fd00::1]:18789",     "fd00::1",     18789),
        ("a-b.example.org:443", "a-b.example.org", 443),
    ] {
        let address: Address = text.parse().unwrap();
        assert_eq!((address.host(), address.port(), address.to_string().as_str()), (host, port, text));
    }
    for text in ["", "home", "home:", ":1", "home:0", "home:65536", "home:+1", "a b:1", "[::1]", "[x]:1", "::1:2", "a/b:1", "u@h:1"] {
        assert_eq!(text.parse::<Address>(), Err(ParseAddressError), "{text}");
    }
}

#[test]
fn links_survive_their_text() {
    let addresses = ["home:18789", "[fd00::1]:18789"].map(|text| text.parse().unwrap());
    let link = Link { code: code(), addresses: addresses.to_vec() };
    let text = link.to_string();
    assert!(text.starts_with("openclaw://connect/home:18789,[fd00::1]:18789/"), "{text}");
    let parsed: Link = format!(" {text}\n").parse().unwrap();
    assert_eq!((parsed.addresses, parsed.code.secret.0), (link.addresses, [0x5a; 12]));
    for bad in [
        "",
        "https://connect/home:1/x",
        "openclaw://connect/home:1",
        "openclaw://connect//x",
        "openclaw://connect/home:1/x",
        &text.replace("home", "ho me"),
        &text.replace("home:18789", "a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1"),
        &text.replacen('-', "--x", 1),
    ] {
        assert!(bad.parse::<Link>().is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_text_breaks_the_parsers(text in "\\PC{0,200}") {
        drop(text.parse::<Link>());
        drop(text.parse::<InvitationCode>());
        drop(format!("{SCHEME}{text}").parse::<Link>());
        if let Ok(address) = text.parse::<Address>() {
            prop_assert_eq!(address.to_string().parse(), Ok(address));
        }
    }

    #[test]
    fn codes_survive_their_text(secret in any::<[u8; 12]>(), pin in any::<[u8; 32]>()) {
        let code = InvitationCode::new(InvitationSecret(secret), &Fingerprint(pin));
        let parsed: InvitationCode = code.to_string().parse().unwrap();
        prop_assert_eq!((parsed.secret.0, parsed.pin), (secret, code.pin));
    }
}
