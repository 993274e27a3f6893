//! Random bytes of the operating system, for secrets and ids.

use data_encoding::HEXLOWER;
use openclaw_scopes::ParseIdError;

use crate::respond::Reply;

/// Returns so many random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Reply> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Reply::internal(&error))?;
    Ok(bytes)
}

/// Returns so many random bytes in hex.
pub(crate) fn hex<const N: usize>() -> Result<String, Reply> {
    Ok(HEXLOWER.encode(&random::<N>()?))
}

/// Returns a random id of a kind, with what it begins with.
pub(crate) fn id<T>(
    prefix: &str,
    parse: impl FnOnce(&str) -> Result<T, ParseIdError>,
) -> Result<T, Reply> {
    parse(&format!("{prefix}{}", hex::<8>()?)).map_err(|error| Reply::internal(&error))
}
