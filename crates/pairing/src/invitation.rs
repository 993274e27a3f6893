//! Invitations: a code that fits on a slip of paper, and a link that holds it.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use ring::digest::{SHA256, digest};

use crate::{Fingerprint, HashKey, Hashed, Pin};

/// What is kept secret in an invitation: 96 random bits (the least that is asked for is 80).
#[derive(Clone)]
pub struct InvitationSecret(pub [u8; 12]);

impl InvitationSecret {
    /// Parses what came over the wire.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns what is kept of it.
    pub fn hash(&self, key: &HashKey) -> Hashed {
        key.hash(&[b"openclaw invitation", &self.0])
    }
}

impl fmt::Debug for InvitationSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InvitationSecret(redacted)")
    }
}

/// The secret, which gateway it is for, and a check against typing errors: 48 characters in groups of
/// four. `Display` shows it, for it is what people hand on.
#[derive(Clone, Debug)]
pub struct InvitationCode {
    /// The secret.
    pub secret: InvitationSecret,
    /// Which gateway it is for.
    pub pin: Pin,
}

/// Crockford's base 32: no letter looks like a digit, upper and lower case are the same, and dashes may
/// stand anywhere.
fn base32() -> Result<Encoding, ParseCodeError> {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    specification.translate.from.push_str("ABCDEFGHJKMNPQRSTVWXYZoOiIlL");
    specification.translate.to.push_str("abcdefghjkmnpqrstvwxyz001111");
    specification.ignore.push_str("- ");
    specification.encoding().map_err(|_specification| ParseCodeError::Form)
}

fn check(secret: &[u8; 12], pin: &[u8; 16]) -> [u8; 2] {
    let mut input = [0; 28];
    input.iter_mut().zip(secret.iter().chain(pin)).for_each(|(to, from)| *to = *from);
    let digest = digest(&SHA256, &input);
    let mut first = digest.as_ref().iter().copied();
    [first.next().unwrap_or(0), first.next().unwrap_or(0)]
}

impl InvitationCode {
    /// The code of a secret for a gateway.
    pub const fn new(secret: InvitationSecret, gateway: &Fingerprint) -> Self {
        Self { secret, pin: gateway.pin() }
    }

    /// Tells whether it is an invitation of the gateway with this fingerprint, as far as it says.
    pub fn is_of(&self, gateway: &Fingerprint) -> bool {
        self.pin == gateway.pin()
    }
}

impl fmt::Display for InvitationCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = self.secret.0.to_vec();
        bytes.extend(self.pin.0);
        bytes.extend(check(&self.secret.0, &self.pin.0));
        let text = base32().map_err(|_form| fmt::Error)?.encode(&bytes);
        for (index, character) in text.chars().enumerate() {
            if index > 0 && index.is_multiple_of(4) {
                f.write_str("-")?;
            }
            fmt::Write::write_char(f, character)?;
        }
        Ok(())
    }
}

/// Why a text is no invitation code. It never repeats the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseCodeError {
    /// The check does not fit: a character is wrong.
    #[error("the invitation code has a typing error")]
    Check,
    /// It has another length, or characters that no code has.
    #[error("an invitation code has 12 groups of 4 letters and digits")]
    Form,
}

impl FromStr for InvitationCode {
    type Err = ParseCodeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > 128 {
            return Err(ParseCodeError::Form);
        }
        let bytes = base32()?.decode(text.as_bytes()).map_err(|_form| ParseCodeError::Form)?;
        let bytes = <[u8; 30]>::try_from(bytes).map_err(|_length| ParseCodeError::Form)?;
        let (secret, rest) = bytes.split_first_chunk::<12>().ok_or(ParseCodeError::Form)?;
        let (pin, rest) = rest.split_first_chunk::<16>().ok_or(ParseCodeError::Form)?;
        if rest != check(secret, pin) {
            return Err(ParseCodeError::Check);
        }
        Ok(Self { secret: InvitationSecret(*secret), pin: Pin(*pin) })
    }
}

/// Where a gateway is reached: a host and a port.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Address {
    host: Box<str>,
    port: u16,
}

impl Address {
    /// Returns the host: a name, an IPv4 address, or an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// The text is no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an address is HOST:PORT, an IPv6 host in brackets")]
pub struct ParseAddressError;

impl FromStr for Address {
    type Err = ParseAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once("]:").ok_or(ParseAddressError)?;
                host.parse::<std::net::Ipv6Addr>().map_err(|_address| ParseAddressError)?;
                (host, port)
            }
            None => text.rsplit_once(':').ok_or(ParseAddressError)?,
        };
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let is_name = !host.is_empty() && host.len() <= 253 && host.chars().all(is_plain);
        if !text.starts_with('[') && !is_name {
            return Err(ParseAddressError);
        }
        if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ParseAddressError);
        }
        let port = port.parse().ok().filter(|port| *port > 0).ok_or(ParseAddressError)?;
        Ok(Self { host: host.into(), port })
    }
}

/// What an invitation's link begins with.
const SCHEME: &str = "openclaw://connect/";
/// Addresses of a link at most (`access.md` §5.10).
const MAX_ADDRESSES: usize = 8;

/// An invitation with the addresses at which its gateway is reached, to be tried in their order.
#[derive(Clone, Debug)]
pub struct Link {
    /// The code.
    pub code: InvitationCode,
    /// The addresses: at least one, at most eight.
    pub addresses: Vec<Address>,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(SCHEME)?;
        for (index, address) in self.addresses.iter().enumerate() {
            write!(f, "{}{address}", if index > 0 { "," } else { "" })?;
        }
        write!(f, "/{}", self.code)
    }
}

/// Why a text is no link. It never repeats the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseLinkError {
    /// An address cannot be read.
    #[error(transparent)]
    Address(#[from] ParseAddressError),
    /// The code cannot be read.
    #[error(transparent)]
    Code(#[from] ParseCodeError),
    /// It has no address, or too many.
    #[error("an invitation link has 1 to {MAX_ADDRESSES} addresses")]
    Count,
    /// It begins otherwise, or has no code.
    #[error("an invitation link is `{SCHEME}HOST:PORT/CODE`")]
    Form,
}

impl FromStr for Link {
    type Err = ParseLinkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.trim().strip_prefix(SCHEME).ok_or(ParseLinkError::Form)?;
        let (addresses, code) = rest.split_once('/').ok_or(ParseLinkError::Form)?;
        if addresses.is_empty() || addresses.split(',').count() > MAX_ADDRESSES {
            return Err(ParseLinkError::Count);
        }
        let addresses = addresses.split(',').map(str::parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { code: code.parse()?, addresses })
    }
}

#[cfg(test)]
mod tests;
