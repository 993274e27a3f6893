//! The URL of a server of models.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// An `http` or `https` URL without credentials, query or fragment, and without a slash at its end.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BaseUrl {
    text: Box<str>,
    host: Box<str>,
}

impl BaseUrl {
    /// Parses a base URL.
    ///
    /// # Errors
    /// When the scheme is another, the host or port is not one, or there are credentials, a query,
    /// a fragment, spaces or control characters.
    pub fn parse(text: &str) -> Result<Self, ParseBaseUrlError> {
        let rest = text
            .strip_prefix("http://")
            .or_else(|| text.strip_prefix("https://"))
            .ok_or(ParseBaseUrlError::Scheme)?;
        let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '\\' | '"' | '<' | '>' | '`');
        if text.len() > 2_048 || !rest.chars().all(is_plain) {
            return Err(ParseBaseUrlError::Character);
        }
        if rest.contains(['?', '#']) {
            return Err(ParseBaseUrlError::Query);
        }
        let authority = rest.split('/').next().unwrap_or(rest);
        if authority.contains('@') {
            return Err(ParseBaseUrlError::Credentials);
        }
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                parse_port(port).ok_or(ParseBaseUrlError::Host)?;
                host
            }
            Some(_) | None => authority,
        };
        let host = parse_host(host).ok_or(ParseBaseUrlError::Host)?;
        Ok(Self { text: text.trim_end_matches('/').into(), host: host.into() })
    }

    /// The API of Anthropic itself.
    pub(crate) fn anthropic() -> Self {
        Self { text: "https://api.anthropic.com".into(), host: "api.anthropic.com".into() }
    }

    /// Returns the URL as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the URL names this machine itself.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) => ip.is_loopback(),
            Ok(IpAddr::V6(ip)) => ip == Ipv6Addr::LOCALHOST,
            Err(_) => &*self.host == "localhost" || self.host.ends_with(".localhost"),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns the port of an address if it is one; port 0 names nothing.
fn parse_port(text: &str) -> Option<u16> {
    let port = text.chars().all(|c| c.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    port.filter(|port| *port != 0)
}

/// Returns the canonical form of a host: lower case, or the IP address without brackets.
fn parse_host(text: &str) -> Option<String> {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse().ok().map(|ip: Ipv6Addr| ip.to_string());
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

/// Why a text is not a base URL. It never repeats the text: that may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ParseBaseUrlError {
    /// A character that may not stand in a URL, or too many of them.
    #[error("a base URL has at most 2048 printable ASCII characters")]
    Character,
    /// A name or password stands before the host.
    #[error("a base URL holds no credentials; use `apiKey`")]
    Credentials,
    /// The host or the port is not one.
    #[error("the host or the port of the base URL is not valid")]
    Host,
    /// There is a query or a fragment.
    #[error("a base URL has no `?` and no `#`")]
    Query,
    /// It begins with something else than `http://` or `https://`.
    #[error("a base URL begins with `http://` or `https://`")]
    Scheme,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls() {
        for (text, back, is_loopback) in [
            ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1", true),
            ("http://localhost/v1//", "http://localhost/v1", true),
            ("http://[::1]:80", "http://[::1]:80", true),
            ("http://[::1]", "http://[::1]", true),
            ("http://api.localhost", "http://api.localhost", true),
            ("http://localhost.example", "http://localhost.example", false),
            ("http://192.168.0.7:8000/v1", "http://192.168.0.7:8000/v1", false),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1", false),
        ] {
            let url = BaseUrl::parse(text).unwrap();
            assert_eq!((url.as_str(), url.is_loopback()), (back, is_loopback), "{text}");
            assert_eq!(BaseUrl::parse(back).unwrap(), url);
        }
        assert_eq!(BaseUrl::parse(BaseUrl::anthropic().as_str()), Ok(BaseUrl::anthropic()));
    }

    #[test]
    #[rustfmt::skip]
    fn what_is_no_base_url() {
        use ParseBaseUrlError::{Character, Credentials, Host, Query, Scheme};
        for (text, problem) in [
            ("",                          Scheme),
            ("api.openai.com",            Scheme),
            ("ftp://host",                Scheme),
            ("https://",                  Host),
            ("https:///v1",               Host),
            ("https://host:0/",           Host),
            ("https://host:x/",           Host),
            ("https://host:/",            Host),
            ("https://::1/",              Host),
            ("https://a b/",              Character),
            ("https://a\\b/",             Character),
            ("https://ä/",                Character),
            ("https://u:p@host/",         Credentials),
            ("https://host/v1?key=1",     Query),
            ("https://host/v1#x",         Query),
        ] {
            assert_eq!(BaseUrl::parse(text), Err(problem), "{text}");
        }
    }
}
