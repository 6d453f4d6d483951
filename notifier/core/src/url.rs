//! Addresses of targets. Most of them are secrets, so neither text nor debug form shows more than scheme and host.

use std::fmt;
use std::net::IpAddr;

use http::Uri;

/// An address that may be used.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// By TLS.
    pub is_tls: bool,
    /// The host, without the brackets of an IPv6 address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Path and query.
    pub path: String,
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}/…", self.host, self.port)
    }
}

/// Why an address cannot be used. Shows nothing of the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is no URL.
    #[error("is no URL: write it as https://HOST/PATH, without blanks and without characters outside ASCII")]
    Malformed,
    /// It is of another scheme.
    #[error("has to begin with https:// or http://")]
    Scheme,
    /// It holds a user.
    #[error("holds a user or a password: give them as a header, with valueFile")]
    UserInfo,
    /// It leads away from this pod without TLS.
    #[error("leads to another host without TLS: write https://, or set allowHttp: true where the network is trusted")]
    Plain,
}

impl Url {
    /// The address of this text; blanks around it do not count, since files of Secrets often end with a line break.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, UrlError> {
        let text = text.trim();
        let uri: Uri = text.parse().map_err(|_| UrlError::Malformed)?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(UrlError::Scheme),
            None => return Err(UrlError::Malformed),
        };
        let authority = uri.authority().ok_or(UrlError::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(UrlError::Malformed);
        }
        if !is_tls && !is_loopback(host) && !allow_http {
            return Err(UrlError::Plain);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            path: path.to_owned(),
        })
    }

    /// Host and port, as a request names them.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        match (self.is_tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

/// True for a host that is this one.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_shows_its_host_only() {
        let url = Url::parse("https://hooks.example.com/services/T0/SECRET?x=1\n", false).unwrap();
        assert_eq!((url.is_tls, url.port), (true, 443));
        assert_eq!(url.path, "/services/T0/SECRET?x=1");
        assert_eq!(url.authority(), "hooks.example.com");
        for shown in [url.to_string(), format!("{url:?}")] {
            assert!(
                shown.contains("hooks.example.com") && !shown.contains("SECRET"),
                "{shown}"
            );
        }
        let local = Url::parse("http://[::1]:8080", false).unwrap();
        assert_eq!((local.host.as_str(), local.path.as_str()), ("::1", "/"));
        assert_eq!(local.authority(), "[::1]:8080");
    }

    #[test]
    fn an_address_that_cannot_be_used_is_refused_without_being_shown() {
        for (text, error) in [
            ("", UrlError::Malformed),
            ("hooks.example.com/x", UrlError::Malformed),
            ("https://", UrlError::Malformed),
            ("https://exa mple.com/", UrlError::Malformed),
            ("ftp://example.com/", UrlError::Scheme),
            ("https://user:SECRET@example.com/", UrlError::UserInfo),
            ("http://example.com/SECRET", UrlError::Plain),
            ("http://localhost.example.com/", UrlError::Plain),
        ] {
            assert_eq!(Url::parse(text, false), Err(error), "{text}");
            assert!(!error.to_string().contains("SECRET"));
        }
        assert!(Url::parse("http://example.com/", true).is_ok());
    }
}
