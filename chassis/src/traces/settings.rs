//! Where traces go, by the settings of the service; checked at its start.
//!
//! The files are read again for each export, so that a renewed token or authority needs no restart. No text here holds
//! a header, and none the address as it was written, which may hold a password.

use std::time::Duration;

use bellwether_proto::setting;
use tonic::codegen::http::Uri;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::args::TraceArgs;
use crate::authority;
use crate::chain;
use crate::named_file::{FileError, NamedFile};

use super::headers::{HeaderError, Headers};

/// How long a connection may take, and then an answer: a collector nearby needs a hundredth of it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A collector, and what it asks for.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    address: String,
    authority: Option<NamedFile>,
    headers: Option<NamedFile>,
    /// Of the environment.
    more_headers: Headers,
    /// For a connection, and then for an answer.
    pub(crate) answer_timeout: Duration,
}

/// What the files hold now.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Content {
    authority: Option<Vec<u8>>,
    headers: Option<String>,
}

/// A setting that cannot be used, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingError {
    /// The address of the collector.
    #[error("--traces-endpoint ({env}) {0}; write it as http://HOST:PORT or https://HOST:PORT", env = setting::OTLP_ENDPOINT)]
    Address(&'static str),
    /// Headers of the environment.
    #[error("{env}: {0}", env = setting::OTLP_HEADERS)]
    Variable(HeaderError),
    /// Headers of the file.
    #[error("--traces-headers: {0}")]
    Lines(HeaderError),
    /// A protocol that is not OTLP over gRPC.
    #[error("{env} is not grpc, the one protocol for traces: leave it out, and name the collector's port for gRPC", env = setting::OTLP_PROTOCOL)]
    Protocol,
    /// A file.
    #[error("{0}")]
    File(FileError),
    /// The system has no authorities, or TLS refuses those that there are.
    #[error("no certificate authority for the collector ({0}): name a file with it by --traces-ca")]
    Authority(String),
}

impl Settings {
    /// None without a collector: then nothing else is looked at.
    pub(crate) fn new(
        args: &TraceArgs,
        variable: impl Fn(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, SettingError> {
        let Some(address) = args
            .traces_endpoint
            .as_deref()
            .map(str::trim)
            .filter(|it| !it.is_empty())
        else {
            return Ok(None);
        };
        let variable = |name| variable(name).filter(|text| !text.trim().is_empty());
        if variable(setting::OTLP_PROTOCOL).is_some_and(|protocol| protocol != "grpc") {
            return Err(SettingError::Protocol);
        }
        let more_headers = variable(setting::OTLP_HEADERS).map(|text| Headers::of_list(&text));
        let file = |flag, path: &Option<std::path::PathBuf>| path.as_deref().map(|path| NamedFile::new(flag, path));
        Ok(Some(Self {
            address: checked(address).map_err(SettingError::Address)?,
            authority: file("--traces-ca", &args.traces_ca),
            headers: file("--traces-headers", &args.traces_headers),
            more_headers: more_headers
                .transpose()
                .map_err(SettingError::Variable)?
                .unwrap_or_default(),
            answer_timeout: ANSWER_TIMEOUT,
        }))
    }

    /// The address, which holds no secret.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Reads the files.
    pub(crate) async fn read(&self) -> Result<Content, SettingError> {
        let authority = match &self.authority {
            Some(file) => Some(authority::check(file).await.map_err(SettingError::File)?),
            None => None,
        };
        let headers = match &self.headers {
            Some(file) => Some(file.read_text().await.map_err(SettingError::File)?),
            None => None,
        };
        Ok(Content { authority, headers })
    }

    /// Whether traces can be sent with the files as they are now.
    pub(crate) async fn check_files(&self) -> Result<(), SettingError> {
        let content = self.read().await?;
        self.headers(&content)?;
        self.channel(&content).map(drop)
    }

    /// The headers of each request.
    pub(crate) fn headers(&self, content: &Content) -> Result<Headers, SettingError> {
        let of_file = Headers::of_lines(content.headers.as_deref().unwrap_or_default()).map_err(SettingError::Lines)?;
        Ok(self.more_headers.clone().with(&of_file))
    }

    /// A way to the collector, which connects with the first request.
    pub(crate) fn channel(&self, content: &Content) -> Result<Channel, SettingError> {
        let unusable = |error: &tonic::transport::Error| SettingError::Authority(chain(error));
        let endpoint = Endpoint::from_shared(self.address.clone()).map_err(|error| unusable(&error))?;
        let mut endpoint = endpoint
            .connect_timeout(self.answer_timeout)
            .timeout(self.answer_timeout);
        if self.address.starts_with("https:") {
            let tls = ClientTlsConfig::new().timeout(self.answer_timeout);
            let tls = match &content.authority {
                Some(pem) => tls.ca_certificate(Certificate::from_pem(pem)),
                None => tls.with_native_roots(),
            };
            endpoint = endpoint.tls_config(tls).map_err(|error| unusable(&error))?;
        }
        Ok(endpoint.connect_lazy())
    }
}

/// The address without what may follow it. The error holds nothing of it.
fn checked(text: &str) -> Result<String, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "is no address")?;
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
    let scheme = scheme.ok_or("has another scheme than http and https")?;
    let authority = uri.authority().ok_or("names no host")?.as_str();
    if authority.contains('@') {
        return Err("holds a user or a password, which all may read who see the settings: give it by --traces-headers");
    }
    if uri.path() != "/" || uri.query().is_some() {
        return Err("has a path or a query, and gRPC has neither");
    }
    Ok(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(address: &str, variables: &[(&'static str, &str)]) -> Result<Option<Settings>, String> {
        let args = TraceArgs {
            traces_endpoint: Some(address.to_owned()),
            ..TraceArgs::default()
        };
        let variable = |name| {
            let mut named = variables.iter().filter(|(known, _)| *known == name);
            named.next().map(|(_, value)| (*value).to_owned())
        };
        Settings::new(&args, variable).map_err(|error| format!("{error} {error:?}"))
    }

    #[test]
    fn an_address_is_a_scheme_a_host_and_a_port() {
        for (taken, address) in [
            (
                "http://collector.observability.svc:4317",
                "http://collector.observability.svc:4317",
            ),
            (" https://[::1]:4317/ ", "https://[::1]:4317"),
        ] {
            assert_eq!(settings(taken, &[]).unwrap().unwrap().address(), address);
        }
        for nothing in ["", " "] {
            let off = settings(nothing, &[(setting::OTLP_PROTOCOL, "none")]);
            assert!(off.unwrap().is_none(), "without a collector nothing else counts");
        }
        for (wrong, fault) in [
            ("collector:4317", "another scheme"),
            ("4317", "another scheme"),
            ("grpc://collector:4317", "another scheme"),
            ("http://", "is no address"),
            ("https://me:s3cr3t@collector:4317", "holds a user or a password"),
            ("https://collector:4317/v1/traces?token=s3cr3t", "has a path or a query"),
        ] {
            let refused = settings(wrong, &[]).unwrap_err();
            assert!(
                refused.contains(fault) && refused.contains("--traces-endpoint"),
                "{wrong}: {refused}"
            );
            assert!(
                refused.contains("https://HOST:PORT") && !refused.contains("s3cr3t"),
                "{wrong}: {refused}"
            );
        }
    }

    #[test]
    fn the_variables_of_opentelemetry_are_taken_or_refused_by_name() {
        let with = |name, value| settings("http://collector:4317", &[(name, value)]);
        assert!(with(setting::OTLP_PROTOCOL, "grpc").is_ok());
        let refused = with(setting::OTLP_PROTOCOL, "http/protobuf").unwrap_err();
        assert!(refused.contains(setting::OTLP_PROTOCOL), "{refused}");
        assert!(with(setting::OTLP_HEADERS, "authorization=Bearer%20s3cr3t").is_ok());
        let refused = with(setting::OTLP_HEADERS, "a=b,s3cr3t").unwrap_err();
        assert!(
            refused.starts_with("OTEL_EXPORTER_OTLP_HEADERS: header 2 is no"),
            "{refused}"
        );
        assert!(!refused.contains("s3cr3t"), "{refused}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named_by_its_flag() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let of = |ca: bool| TraceArgs {
            traces_endpoint: Some("https://collector:4317".to_owned()),
            traces_ca: ca.then(|| path.clone()),
            traces_headers: (!ca).then(|| path.clone()),
        };
        let fault = async |ca: bool| {
            let settings = Settings::new(&of(ca), |_| None).unwrap().unwrap();
            let content = settings.read().await;
            let headers = content.and_then(|content| settings.headers(&content));
            headers.unwrap_err().to_string()
        };
        assert!(fault(true).await.starts_with("--traces-ca "), "there is no file");
        std::fs::write(&path, "authorization s3cr3t\n").unwrap();
        assert!(fault(true).await.contains("holds no certificate"));
        assert_eq!(
            fault(false).await,
            "--traces-headers: line 1 is no header: write NAME: VALUE"
        );
    }
}
