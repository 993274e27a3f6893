//! Where the gateway listens for other machines, and with which certificate.

use std::net::SocketAddr;
use std::path::PathBuf;

/// The most addresses that an invitation names.
pub(crate) const MAX_ADVERTISED: usize = 8;

/// The settings of the TCP listener. Without them nothing listens on the network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListenSettings {
    /// The address and port to listen on; port 0 is one of the system's choice.
    pub tcp: SocketAddr,
    /// What invitations name, as `HOST:PORT`; empty, the gateway works it out.
    pub advertise: Vec<String>,
    /// The operator's own certificate; absent, the gateway makes one.
    pub tls: Option<TlsFiles>,
}

/// The files of the operator's own certificate.
///
/// A path may begin with `~/`; [`crate::expand_home`] replaces that.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The certificate and what it was issued by, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}
