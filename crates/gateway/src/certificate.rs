//! The gateway's TLS key and certificate: made once, kept, renewed, or the operator's own.
//!
//! Devices know a gateway by the fingerprint of its key, not by names or authorities. So the key is
//! kept for good, and only its certificate is made anew when it nears its end.

mod files;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use webpki::EndEntityCert;
use webpki::ring::ECDSA_P256_SHA256;

use openclaw_config::{TlsFiles, expand_home};
use openclaw_pairing::Fingerprint;
use openclaw_scopes::Timestamp;

/// What the self-made certificate calls the gateway.
const COMMON_NAME: &str = "openclaw-gateway";
const DAY: Duration = Duration::from_secs(86_400);
/// How long a self-made certificate is valid, its [`BACKDATED`] part among it: the most that
/// verifiers of public certificates came to accept.
const VALIDITY: Duration = DAY.saturating_mul(398);
/// How far it reaches back, for clients whose clock is slow.
const BACKDATED: Duration = DAY;
/// How much must be left when the gateway starts; with less, the certificate is renewed.
const RENEW_BEFORE: Duration = DAY.saturating_mul(30);

/// The key and certificate that the gateway shows to whoever connects over TCP.
pub(crate) struct Certificate {
    config: Arc<ServerConfig>,
    expires_at: Option<Timestamp>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// Opens the operator's `files`, or else the gateway's own in `tls` in the state directory,
    /// which are made if they are not there.
    ///
    /// # Errors
    /// When a file cannot be read or written, others can read the gateway's own key, or key and
    /// certificate are broken or do not belong together. What is there is never replaced, but for a
    /// sound certificate by a newer one for the same key.
    pub(crate) fn open(
        state_dir: &Path,
        files: Option<&TlsFiles>,
        now: Timestamp,
        home: &Path,
    ) -> Result<Self, CertificateError> {
        match files {
            Some(TlsFiles { cert, key }) => {
                let (cert, key) = (expand_home(cert, home), expand_home(key, home));
                let private_key = files::read_key(&key)?;
                Self::of(files::read_chain(&cert)?, private_key, &cert, &key)
            }
            None => Self::own(&state_dir.join("tls"), now),
        }
    }

    /// Returns by what devices know this gateway: the digest of the certificate's public key.
    pub(crate) const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Returns when the certificate lapses, if that can be told. Devices go on: they know the key.
    pub(crate) const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Returns how connections are accepted.
    pub(crate) fn server_config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Opens the gateway's own key and certificate.
    fn own(directory: &Path, now: Timestamp) -> Result<Self, CertificateError> {
        let (key_path, cert_path) = (directory.join("key.pem"), directory.join("cert.pem"));
        files::prepare(directory)?;
        if !files::exists(&key_path)? {
            if files::exists(&cert_path)? {
                return Err(CertificateError::NoKey { cert: cert_path, key: key_path });
            }
            // The key first: should the process end here, the next start makes a certificate for it.
            let pair = rcgen::KeyPair::generate().map_err(CertificateError::Make)?;
            files::write(&key_path, &pair.serialize_pem())?;
        }
        files::check_private(&key_path, 0o600)?;
        let key = files::read_key(&key_path)?;
        if files::exists(&cert_path)? {
            let chain = files::read_chain(&cert_path)?;
            let kept = Self::of(chain.clone(), key.clone_key(), &cert_path, &key_path)?;
            if !must_renew(&chain, &cert_path, now)? {
                return Ok(kept);
            }
        }
        let cert = make(&key, &key_path, now)?;
        files::write(&cert_path, &cert.pem())?;
        let made = Self::of(vec![cert.der().clone()], key, &cert_path, &key_path)?;
        tracing::info!(tls.fingerprint = %made.fingerprint, "made a certificate");
        Ok(made)
    }

    /// Puts key and certificate together, if they belong together.
    fn of(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        cert_path: &Path,
        key_path: &Path,
    ) -> Result<Self, CertificateError> {
        let unusable = |source| CertificateError::Unusable {
            cert: cert_path.to_owned(),
            key: key_path.to_owned(),
            source,
        };
        let broken =
            |source| CertificateError::BrokenCertificate { path: cert_path.to_owned(), source };
        let leaf = chain
            .first()
            .ok_or_else(|| CertificateError::NotPem { path: cert_path.to_owned(), holds: CERT })?;
        let leaf = EndEntityCert::try_from(leaf).map_err(broken)?;
        //= docs/threat-model.md#T27
        let fingerprint = Fingerprint::of_spki(&leaf.subject_public_key_info());
        let expires_at = chain.first().and_then(expiry);
        // The only version without a renegotiation, a static key or a way down to an older one.
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unusable)?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(unusable)?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        // No session is resumed and nothing is sent early: each connection has keys of its own, to
        // which its access token is bound, and nothing of it can be replayed.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(Self { config: Arc::new(config), expires_at, fingerprint })
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({})", self.fingerprint)
    }
}

/// Decides whether the gateway's own certificate has too little time left, or is not yet valid.
fn must_renew(
    chain: &[CertificateDer<'_>],
    path: &Path,
    now: Timestamp,
) -> Result<bool, CertificateError> {
    let Some(cert) = chain.first() else { return Ok(true) };
    let is_valid = |at: Timestamp| match verify(
        cert,
        UnixTime::since_unix_epoch(at.since(Timestamp::from_millis(0))),
    ) {
        Ok(()) => Ok(true),
        Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => Ok(false),
        Err(source) => Err(CertificateError::BrokenCertificate { path: path.to_owned(), source }),
    };
    Ok(!(is_valid(now)? && is_valid(now.saturating_add(RENEW_BEFORE))?))
}

/// Returns when a certificate lapses. At the end of time every one has, and the check says since when.
fn expiry(cert: &CertificateDer<'_>) -> Option<Timestamp> {
    match verify(cert, UnixTime::since_unix_epoch(Duration::from_secs(253_402_300_799))) {
        Err(webpki::Error::CertExpired { not_after, .. }) => {
            let millis = i64::try_from(not_after.as_secs()).ok()?.checked_mul(1000)?;
            Some(Timestamp::from_millis(millis))
        }
        Ok(()) | Err(_) => None,
    }
}

/// Checks a certificate by itself, as of an instant.
fn verify(cert: &CertificateDer<'_>, at: UnixTime) -> Result<(), webpki::Error> {
    let leaf = EndEntityCert::try_from(cert)?;
    let anchors = [webpki::anchor_from_trusted_cert(cert)?];
    let usage = webpki::KeyUsage::server_auth();
    leaf.verify_for_usage(&[ECDSA_P256_SHA256], &anchors, &[], at, usage, None, None).map(drop)
}

/// Makes a certificate for the key.
fn make(
    key: &PrivateKeyDer<'_>,
    key_path: &Path,
    now: Timestamp,
) -> Result<rcgen::Certificate, CertificateError> {
    let foreign = |source| CertificateError::ForeignKey { path: key_path.to_owned(), source };
    let algorithm = &rcgen::PKCS_ECDSA_P256_SHA256;
    let pair = rcgen::KeyPair::from_der_and_sign_algo(key, algorithm).map_err(foreign)?;
    let mut names = vec!["localhost".to_owned()];
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    names.extend(Some(host).filter(|host| {
        host != "localhost"
            && matches!(ServerName::try_from(host.as_str()), Ok(ServerName::DnsName(_)))
    }));
    let mut params = rcgen::CertificateParams::new(names).map_err(CertificateError::Make)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, COMMON_NAME);
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    params.serial_number = Some(u64::try_from(now.as_millis()).unwrap_or(0).into());
    let start = now.saturating_sub(BACKDATED).since(Timestamp::from_millis(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |since: Duration| {
        since
            .try_into()
            .ok()
            .and_then(|since| epoch.checked_add(since))
            .ok_or(CertificateError::Clock)
    };
    params.not_before = at(start)?;
    params.not_after = at(start.saturating_add(VALIDITY))?;
    params.self_signed(&pair).map_err(CertificateError::Make)
}

/// What a file with certificates holds.
const CERT: &str = "certificate";

/// Why the gateway has no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A certificate cannot be read.
    #[error("`{}` holds a broken certificate: {source}", .path.display())]
    BrokenCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: webpki::Error,
    },
    /// The clock shows a time that no certificate can name.
    #[error("the clock shows a year that a certificate cannot name")]
    Clock,
    /// The gateway's own key is of another kind than those it makes.
    #[error("`{}` is no key that the gateway can make a certificate for (ECDSA P-256, PKCS #8)", .path.display())]
    ForeignKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: rcgen::Error,
    },
    /// A file could not be read or written.
    #[error("`{}` cannot be used: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A key or certificate could not be made.
    #[error("the gateway's key and certificate could not be made")]
    Make(#[source] rcgen::Error),
    /// There is a certificate without its key.
    #[error("`{}` is there but its key `{}` is not: put the key back, or remove the certificate, have both made anew, and pair all devices again", .cert.display(), .key.display())]
    NoKey {
        /// The certificate.
        cert: PathBuf,
        /// Where its key should be.
        key: PathBuf,
    },
    /// A file does not hold what it should.
    #[error("`{}` holds no {holds} in PEM", .path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What it should hold.
        holds: &'static str,
    },
    /// Others may use what is the gateway's alone.
    #[error("`{}` is open to others (mode {mode:o}): run `chmod {wanted:o} {}`", .path.display(), .path.display())]
    OpenToOthers {
        /// The file or directory.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The mode it should have.
        wanted: u32,
    },
    /// Key and certificate do not belong together, or cannot be used.
    #[error("the certificate `{}` and the key `{}` cannot be used together", .cert.display(), .key.display())]
    Unusable {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        #[source]
        source: rustls::Error,
    },
}

#[cfg(test)]
mod tests;
