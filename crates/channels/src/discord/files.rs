//! Files that came with messages, from where Discord keeps them.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;

use crate::fetch::{self, FetchError, Reach};
use crate::http;

/// Where Discord keeps files.
const HOSTS: [&str; 2] = ["cdn.discordapp.com", "media.discordapp.net"];

/// Fetches files, without the token: nobody there needs it.
#[derive(Debug)]
pub(super) struct Files {
    /// The configured place of the platform, which may keep its files itself.
    base: Option<Url>,
    reach: Reach,
}

impl Files {
    pub(super) fn new(
        api_url: Option<&str>,
        refuse: fn(IpAddr) -> Option<&'static str>,
        timeout: Duration,
    ) -> Self {
        let base = api_url.and_then(|url| Url::parse(url).ok());
        Self { base, reach: Reach { allow: BTreeSet::new(), refuse, timeout } }
    }

    pub(super) async fn fetch(&self, url: &str, limit: usize) -> Result<Vec<u8>, FetchError> {
        let refused = |why: &str| FetchError::Refused(why.to_owned());
        let url = Url::parse(url).map_err(|_bad| refused("it has no address"))?;
        let is_own = self.base.as_ref().is_some_and(|base| base.origin() == url.origin());
        let broken = |error: reqwest::Error| FetchError::Failed(http::innermost(&error));
        if is_own {
            let mut builder = http::builder(self.reach.timeout);
            if url.scheme() == "http" {
                // No certificate is looked at, so none needs to be loaded.
                builder = builder.tls_certs_only([]);
            }
            return fetch::download(builder.build().map_err(broken)?.get(url), limit).await;
        }
        //= docs/threat-model.md#T10
        let is_host = url.host_str().is_some_and(|host| HOSTS.contains(&host));
        if !is_host || url.scheme() != "https" || url.port().is_some() {
            return Err(refused("it is not where the platform keeps files"));
        }
        let builder = self.reach.client(&url).await.map_err(fetch::failed)?;
        fetch::download(builder.build().map_err(broken)?.get(url), limit).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    //= docs/threat-model.md#T10
    async fn only_where_the_platform_keeps_files() {
        let refuse: fn(IpAddr) -> Option<&'static str> = |_| Some("is of the inside");
        let files = Files::new(Some("http://127.0.0.1:9"), refuse, Duration::from_secs(1));
        for url in [
            "",
            "attachments/1/2/x.png",
            "file:///etc/passwd",
            "https://169.254.169.254/latest/meta-data",
            "http://cdn.discordapp.com/attachments/1/2/x.png",
            "https://cdn.discordapp.com:8443/x.png",
            "https://cdn.discordapp.com.example.org/x.png",
            "https://cdn.discordapp.com@example.org/x.png",
            "https://example.org/cdn.discordapp.com/x.png",
            "http://127.0.0.1:10/x.png",
            "https://127.0.0.1:9/x.png",
            "http://localhost:9/x.png",
        ] {
            let fetched = files.fetch(url, 10).await;
            assert!(matches!(fetched, Err(FetchError::Refused(_))), "{url}: {fetched:?}");
        }
    }
}
