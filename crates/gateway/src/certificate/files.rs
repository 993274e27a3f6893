//! Keys and certificates on disk: read whole, written in one step, and never for others' eyes.

use std::fs::{DirBuilder, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{CERT, CertificateError};
use crate::durable;

/// The most bytes of a file that are read: a long chain has some ten thousand.
const MAX: u64 = 1_048_576;

fn io(path: &Path) -> impl Fn(std::io::Error) -> CertificateError {
    move |source| CertificateError::Io { path: path.to_owned(), source }
}

/// Makes the directory if it is not there, and checks that it is private.
pub(super) fn prepare(directory: &Path) -> Result<(), CertificateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io(directory))?;
    check_private(directory, 0o700)
}

/// Checks that nobody but the owner may use the file or directory.
pub(super) fn check_private(path: &Path, wanted: u32) -> Result<(), CertificateError> {
    let mode = std::fs::metadata(path).map_err(io(path))?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(CertificateError::OpenToOthers { path: path.to_owned(), mode, wanted })
}

/// Tells whether something is there, a dangling link too.
pub(super) fn exists(path: &Path) -> Result<bool, CertificateError> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(io(path)(error)),
    }
}

/// Reads a private key. What is wrong with it is not repeated: it could be a part of the key.
pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let not_pem = || CertificateError::NotPem { path: path.to_owned(), holds: "private key" };
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_secret| not_pem())
}

/// Reads a certificate and those that follow it: at least one.
pub(super) fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let not_pem = || CertificateError::NotPem { path: path.to_owned(), holds: CERT };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<_, _>>()
        .map_err(|_form| not_pem())?;
    if chain.is_empty() { Err(not_pem()) } else { Ok(chain) }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io(path))?;
    file.take(MAX).read_to_end(&mut bytes).map_err(io(path))?;
    Ok(bytes)
}

/// Writes a file in one step, whole or not at all, and durable before anybody relies on it.
pub(super) fn write(path: &Path, text: &str) -> Result<(), CertificateError> {
    durable::replace(path, text).map_err(io(path))
}
