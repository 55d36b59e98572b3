//! The little of URLs that redirects need (RFC 3986): scheme, authority, and a Location joined to where it came from.

use crate::cause::Cause;
use std::fmt;

/// An absolute http or https URL.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) https: bool,
    /// `host` or `host:port`, lower case, default port left out.
    pub(crate) authority: String,
    /// Path and query, with its slash.
    target: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, Cause> {
        let (scheme, rest) = text.split_once("://").ok_or(Cause::Request("the url is not absolute"))?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err(Cause::Request("the url is neither http nor https")),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        if authority.contains('@') {
            return Err(Cause::Request("the url holds credentials"));
        }
        let default_port = if https { ":443" } else { ":80" };
        let authority = authority.to_ascii_lowercase();
        let authority = authority.strip_suffix(default_port).unwrap_or(&authority);
        if authority.is_empty() || authority.starts_with(':') {
            return Err(Cause::Request("the url has no host"));
        }
        let tail = tail.split('#').next().unwrap_or_default();
        let target = if tail.starts_with('/') { tail.to_owned() } else { format!("/{tail}") };
        Ok(Self { https, authority: authority.to_owned(), target })
    }

    /// Where a Location header leads.
    pub(crate) fn join(&self, location: &str) -> Result<Self, Cause> {
        let scheme = if self.https { "https" } else { "http" };
        if location.contains("://") && !location.starts_with(['/', '?', '.']) {
            Self::parse(location)
        } else if let Some(rest) = location.strip_prefix("//") {
            Self::parse(&format!("{scheme}://{rest}"))
        } else if location.starts_with('/') {
            Self::parse(&format!("{scheme}://{}{location}", self.authority))
        } else {
            let path = self.target.split('?').next().unwrap_or("/");
            let directory = if location.starts_with('?') { path } else { &path[..=path.rfind('/').unwrap_or(0)] };
            Self::parse(&format!("{scheme}://{}{directory}{location}", self.authority))
        }
    }

    /// Same scheme, host and port: where credentials may go.
    pub(crate) fn same_origin(&self, other: &Self) -> bool {
        self.https == other.https && self.authority == other.authority
    }

    /// The whole, for the request line. May hold a signature in its query: never for a message.
    pub(crate) fn to_request(&self) -> String {
        format!("{}://{}{}", if self.https { "https" } else { "http" }, self.authority, self.target)
    }
}

/// Without path and query, which may hold a signature.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/…", if self.https { "https" } else { "http" }, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(base: &str, location: &str) -> String {
        Url::parse(base).and_then(|url| url.join(location)).map_or_else(|e| e.to_string(), |url| url.to_request())
    }

    #[test]
    fn locations_are_joined() {
        let base = "https://Registry.example:443/v2/a/blobs/x?y=1";
        assert_eq!(join(base, "http://cdn.example:8080/b?sig=1#f"), "http://cdn.example:8080/b?sig=1");
        assert_eq!(join(base, "/other"), "https://registry.example/other");
        assert_eq!(join(base, "//cdn.example"), "https://cdn.example/");
        assert_eq!(join(base, "z"), "https://registry.example/v2/a/blobs/z");
        assert_eq!(join(base, "?z"), "https://registry.example/v2/a/blobs/x?z");
        assert_eq!(join(base, "/r?to=https://x"), "https://registry.example/r?to=https://x");
        assert_eq!(join(base, "ftp://x/"), "the url is neither http nor https");
        assert_eq!(join(base, "https://u:p@x/"), "the url holds credentials");
        assert_eq!(join("http://[::1]:5000/a", "b"), "http://[::1]:5000/b");
    }

    #[test]
    fn origins_are_told_apart() {
        let url = |text| Url::parse(text).expect("parse");
        assert!(url("https://a/x").same_origin(&url("https://A:443/y")));
        for other in ["http://a/", "https://a:8443/", "https://b.a/", "https://a.evil/"] {
            assert!(!url("https://a/").same_origin(&url(other)), "{other}");
        }
        assert!(!format!("{:?}", url("https://a/x?secret")).contains("secret"));
    }
}
