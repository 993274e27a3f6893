//! Where models are served, and in which protocol.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use crate::SecretRef;
use crate::address::{parse_host, parse_port};

/// One entry of `[models.providers]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Provider {
    /// The messages API of Anthropic.
    AnthropicMessages(Endpoint),
    /// The built-in model, which answers without a network.
    Offline {
        /// The script it answers from; absent, it makes up its answers.
        script: Option<PathBuf>,
    },
    /// The chat completions API of `OpenAI`, which many servers speak.
    OpenAiCompletions(Endpoint),
}

impl Provider {
    /// Returns the protocol it speaks.
    pub fn api(&self) -> Api {
        match self {
            Self::AnthropicMessages(_) => Api::AnthropicMessages,
            Self::Offline { .. } => Api::Offline,
            Self::OpenAiCompletions(_) => Api::OpenAiCompletions,
        }
    }
}

/// A protocol in which models are asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Api {
    /// The messages API of Anthropic.
    AnthropicMessages,
    /// None: the model is built in.
    Offline,
    /// The chat completions API of `OpenAI`.
    OpenAiCompletions,
}

impl Api {
    pub(crate) const ALL: [Self; 3] =
        [Self::OpenAiCompletions, Self::AnthropicMessages, Self::Offline];

    /// Returns the value of `api` that chooses it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "anthropic-messages",
            Self::Offline => "offline",
            Self::OpenAiCompletions => "openai-completions",
        }
    }
}

/// How a server of models is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    /// The URL to which the paths of the API are appended.
    pub base_url: BaseUrl,
    /// Where the key is found; absent, none is sent.
    pub api_key: Option<SecretRef>,
    /// How long a response may be silent.
    pub timeout: Duration,
}

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
