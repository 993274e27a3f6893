//! One host and port, exactly.

use std::fmt;
use std::net::IpAddr;

/// A host and a port that a rule names exactly.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Address {
    host: Box<str>,
    port: u16,
}

impl Address {
    /// Parses `host:port`; an IPv6 address stands in brackets.
    ///
    /// # Errors
    /// When the port is missing or not a number from 1 to 65535, or the host is not a name or an
    /// IP address.
    pub fn parse(text: &str) -> Result<Self, ParseAddressError> {
        let (host, port) = text.rsplit_once(':').ok_or(ParseAddressError::Port)?;
        let port = parse_port(port).ok_or(ParseAddressError::Port)?;
        let host = parse_host(host).ok_or(ParseAddressError::Host)?;
        Ok(Self { host: host.into(), port })
    }

    /// Returns the host: a lower-case name, or an IP address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
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

/// Why a text is not a host and a port.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseAddressError {
    /// The host is not one.
    #[error("the host must be a name or an IP address (IPv6 in brackets), without wildcards")]
    Host,
    /// The port is not one.
    #[error("an address is `host:port` with a port from 1 to 65535")]
    Port,
}

/// Returns the port of an address if it is one; port 0 names nothing.
pub(crate) fn parse_port(text: &str) -> Option<u16> {
    let port = text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    port.filter(|port| *port != 0)
}

/// Returns the canonical form of a host: lower case, or the IP address without brackets.
pub(crate) fn parse_host(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse().ok().map(|ip: std::net::Ipv6Addr| ip.to_string());
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return ip.is_ipv4().then(|| ip.to_string());
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    let is_numeric = |label: &str| label.chars().all(|c| c.is_ascii_digit());
    let is_name = text.len() <= 253
        && text.split('.').all(is_label)
        && !text.rsplit('.').next().is_some_and(is_numeric);
    is_name.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_hosts_and_ports() {
        for (text, host, port, back) in [
            ("127.0.0.1:8080", "127.0.0.1", 8080, "127.0.0.1:8080"),
            ("LocalHost:1", "localhost", 1, "localhost:1"),
            ("[::1]:65535", "::1", 65535, "[::1]:65535"),
            ("[0:0::0001]:80", "::1", 80, "[::1]:80"),
            ("nas.home_lan:80", "nas.home_lan", 80, "nas.home_lan:80"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.host(), address.port()), (host, port), "{text}");
            assert_eq!(address.to_string(), back);
            assert_eq!(Address::parse(back).unwrap(), address);
        }
        for text in ["", "host", "host:", "host:0", "host:65536", "host:+1", "host:x"] {
            assert_eq!(Address::parse(text), Err(ParseAddressError::Port), "{text}");
        }
        for text in [
            ":80",
            "*:80",
            "*.lan:80",
            "::1:80",
            "a..b:80",
            "a b:80",
            "999.1.1.1:80",
            "1.2.3.04:80",
            "127.1:80",
            "[127.0.0.1]:80",
            "http://a:80",
            "u@a:80",
        ] {
            assert_eq!(Address::parse(text), Err(ParseAddressError::Host), "{text}");
        }
    }
}
