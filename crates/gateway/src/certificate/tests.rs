//! First starts, later ones, renewals, and everything that can be wrong with the files.

mod handshake;

use std::error::Error as _;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

use super::*;

const HOME: &str = "/home/nobody";

fn at(days: u64) -> Timestamp {
    Timestamp::from_millis(1_900_000_000_000).saturating_add(DAY * u32::try_from(days).unwrap())
}

fn open(state: &TempDir, days: u64) -> Result<Certificate, CertificateError> {
    Certificate::open(state.path(), None, at(days), Path::new(HOME))
}

/// The message and everything behind it.
#[track_caller]
fn refused(opened: Result<Certificate, CertificateError>) -> String {
    let error = opened.map(|_| ()).unwrap_err();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

fn text(state: &TempDir, name: &str) -> String {
    std::fs::read_to_string(state.path().join("tls").join(name)).unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_first_start_makes_both_and_later_ones_keep_them() {
    let state = TempDir::new().unwrap();
    let first = open(&state, 0).unwrap();
    let tls = state.path().join("tls");
    assert_eq!((mode(&tls), mode(&tls.join("key.pem"))), (0o700, 0o600));
    let names: Vec<_> =
        std::fs::read_dir(&tls).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");

    let (key, cert) = (text(&state, "key.pem"), text(&state, "cert.pem"));
    for days in [0, 1, 366] {
        assert_eq!(open(&state, days).unwrap().fingerprint(), first.fingerprint());
        assert_eq!(
            (text(&state, "key.pem"), text(&state, "cert.pem")),
            (key.clone(), cert.clone())
        );
    }
    assert_eq!(format!("{first:?}"), format!("Certificate({})", first.fingerprint()));

    let another = TempDir::new().unwrap();
    assert_ne!(open(&another, 0).unwrap().fingerprint(), first.fingerprint());
}

/// The fingerprint is that of the whole `SubjectPublicKeyInfo`, as other tools compute it.
#[test]
//= docs/threat-model.md#T27
fn the_fingerprint_is_of_the_public_key() {
    let state = TempDir::new().unwrap();
    let certificate = open(&state, 0).unwrap();
    let pair = rcgen::KeyPair::from_pem(&text(&state, "key.pem")).unwrap();
    let spki = rcgen::PublicKeyData::subject_public_key_info(&pair);
    assert_eq!(certificate.fingerprint(), Fingerprint::of_spki(&spki));
}

#[test]
//= docs/threat-model.md#T27
fn a_renewal_keeps_the_key() {
    let state = TempDir::new().unwrap();
    let first = open(&state, 0).unwrap();
    let (key, mut cert) = (text(&state, "key.pem"), text(&state, "cert.pem"));
    // Nearly over, over for long, and made by a clock that was set back since.
    for days in [368, 5_000, 10] {
        let renewed = open(&state, days).unwrap();
        assert_eq!(renewed.fingerprint(), first.fingerprint(), "{days}");
        assert_eq!(text(&state, "key.pem"), key, "{days}");
        let new = text(&state, "cert.pem");
        assert_ne!(new, cert, "{days}");
        cert = new;
    }
}

#[test]
fn the_certificate_says_what_it_is() {
    let state = TempDir::new().unwrap();
    open(&state, 0).unwrap();
    let cert = CertificateDer::from_pem_slice(text(&state, "cert.pem").as_bytes()).unwrap();
    let leaf = EndEntityCert::try_from(&cert).unwrap();
    leaf.verify_is_valid_for_subject_name(&ServerName::try_from("localhost").unwrap()).unwrap();
    let anchors = [webpki::anchor_from_trusted_cert(&cert).unwrap()];
    let is_valid = |now: Timestamp| {
        let time = UnixTime::since_unix_epoch(now.since(Timestamp::from_millis(0)));
        let usage = webpki::KeyUsage::server_auth();
        leaf.verify_for_usage(&[ECDSA_P256_SHA256], &anchors, &[], time, usage, None, None).is_ok()
    };
    let (start, end) = (at(0).saturating_sub(DAY), at(397));
    let second = Duration::from_secs(1);
    assert!(!is_valid(start.saturating_sub(second)) && is_valid(start));
    assert!(is_valid(end) && !is_valid(end.saturating_add(second)));
    assert_eq!(end.since(start), VALIDITY);
}

/// A start that was cut short between key and certificate goes on where it ended.
#[test]
fn a_missing_certificate_is_made_for_the_key() {
    let state = TempDir::new().unwrap();
    let first = open(&state, 0).unwrap();
    let tls = state.path().join("tls");
    std::fs::remove_file(tls.join("cert.pem")).unwrap();
    std::fs::write(tls.join("cert.pem.new"), "half").unwrap();
    std::fs::write(tls.join("key.pem.new"), "half").unwrap();
    assert_eq!(open(&state, 1).unwrap().fingerprint(), first.fingerprint());
    assert!(!tls.join("cert.pem.new").exists());
}

#[test]
//= docs/threat-model.md#T27
fn what_others_can_read_is_refused() {
    let state = TempDir::new().unwrap();
    open(&state, 0).unwrap();
    let tls = state.path().join("tls");
    for (path, open_mode, wanted) in [
        (tls.join("key.pem"), 0o640, 0o600),
        (tls.join("key.pem"), 0o604, 0o600),
        (tls, 0o755, 0o700),
    ] {
        std::fs::set_permissions(&path, Permissions::from_mode(open_mode)).unwrap();
        let message = refused(open(&state, 0));
        assert!(
            message.ends_with(&format!("run `chmod {wanted:o} {}`", path.display())),
            "{message}"
        );
        std::fs::set_permissions(&path, Permissions::from_mode(wanted)).unwrap();
        open(&state, 0).unwrap();
    }
}

/// Whatever is broken is named, and both files stay as they are.
#[test]
//= docs/threat-model.md#T27
fn nothing_broken_is_replaced() {
    let other = TempDir::new().unwrap();
    open(&other, 0).unwrap();
    let sound = TempDir::new().unwrap();
    open(&sound, 0).unwrap();
    let (key, cert) = (text(&sound, "key.pem"), text(&sound, "cert.pem"));
    let half = |text: &str| text.get(..text.len() / 2).unwrap().to_owned();
    let ed25519 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap().serialize_pem();
    let junk = |label: &str| format!("-----BEGIN {label}-----\nAAAA\n-----END {label}-----\n");
    for (key, cert, says) in [
        (None, Some(cert.clone()), "is not: put the key back"),
        (Some(String::new()), Some(cert.clone()), "key.pem` holds no private key"),
        (Some(half(&key)), Some(cert.clone()), "key.pem` holds no private key"),
        (Some(half(&key)), None, "key.pem` holds no private key"),
        (Some(cert.clone()), Some(cert.clone()), "key.pem` holds no private key"),
        (Some(junk("PRIVATE KEY")), Some(cert.clone()), "cannot be used together"),
        (Some(junk("PRIVATE KEY")), None, "is no key that the gateway can make"),
        (Some(ed25519), None, "is no key that the gateway can make"),
        (Some(key.clone()), Some(String::new()), "cert.pem` holds no certificate"),
        (Some(key.clone()), Some(half(&cert)), "cert.pem` holds no certificate"),
        (Some(key.clone()), Some(junk("CERTIFICATE")), "cert.pem` holds a broken certificate"),
        (
            Some(key),
            Some(text(&other, "cert.pem")),
            "cannot be used together: keys may not be consistent",
        ),
    ] {
        let state = TempDir::new().unwrap();
        let tls = state.path().join("tls");
        files::prepare(&tls).unwrap();
        for (name, content) in [("key.pem", &key), ("cert.pem", &cert)] {
            if let Some(content) = content {
                files::write(&tls.join(name), content).unwrap();
            }
        }
        let message = refused(open(&state, 0));
        assert!(message.contains(says), "{message}\n{says}");
        let read = |name| std::fs::read_to_string(tls.join(name)).ok();
        assert_eq!((read("key.pem"), read("cert.pem")), (key, cert), "{message}");
    }
}

#[test]
fn the_operators_own_files() {
    let state = TempDir::new().unwrap();
    let own = TempDir::new().unwrap();
    let made = open(&own, 0).unwrap();
    let tls = |cert: &str, key: &str| TlsFiles { cert: cert.into(), key: key.into() };
    let home = own.path();
    let open = |files: &TlsFiles| Certificate::open(state.path(), Some(files), at(9_000), home);

    // Its end is the operator's affair: devices know the key.
    let opened = open(&tls("~/tls/cert.pem", "~/tls/key.pem")).unwrap();
    assert_eq!(opened.fingerprint(), made.fingerprint());
    assert!(!state.path().join("tls").exists());

    let other = TempDir::new().unwrap();
    Certificate::open(other.path(), None, at(0), home).unwrap();
    let foreign = other.path().join("tls/key.pem").display().to_string();
    for (files, says) in [
        (tls("~/tls/none.pem", "~/tls/key.pem"), "none.pem` cannot be used: No such file"),
        (tls("~/tls/cert.pem", "~/none.pem"), "none.pem` cannot be used: No such file"),
        (tls("~/tls/cert.pem", "~/tls/cert.pem"), "cert.pem` holds no private key"),
        (tls("~/tls/key.pem", "~/tls/key.pem"), "key.pem` holds no certificate"),
        (tls("~/tls", "~/tls/key.pem"), "tls` cannot be used"),
        (tls("~/tls/cert.pem", &foreign), "cannot be used together: keys may not be consistent"),
    ] {
        let message = refused(open(&files));
        assert!(message.contains(says), "{message}\n{says}");
    }
}
