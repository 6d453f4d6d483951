//! Questions to a Prometheus server: the meaning of the fields, and which alerts count.

use std::collections::BTreeMap;
use std::fmt;

use jiff::SignedDuration;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::gates::OnError;
use crate::gates::spec::{AlertsSpec, PrometheusSpec};

/// The label of an alert's name.
const NAME: &str = "alertname";
/// The label of an alert's state.
const STATE: &str = "alertstate";
/// The state of an alert whose time to fire has not come.
const FIRING: &str = "firing";

/// The bounds of the time-out: an answer takes milliseconds, and a node that is drained waits for it.
const TIMEOUT_MIN: SignedDuration = SignedDuration::from_secs(1);
const TIMEOUT_MAX: SignedDuration = SignedDuration::from_secs(30);

/// How large a regular expression may become, in bytes: far more than any list of names of alerts.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// A question to a Prometheus server. Two gates with the same fields are one question.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PrometheusGate {
    /// The name of the gate in reasons.
    pub name: String,
    /// The address of the server, without `/api/v1`.
    pub url: String,
    /// The question.
    pub question: Question,
    /// The proof of identity that the server demands.
    pub credentials: Credentials,
    /// The file with the certificates of authorities; none: those of the system.
    pub ca_file: Option<String>,
    /// How long an answer may take.
    pub timeout: SignedDuration,
    /// Whether a server that cannot be asked shuts the gate.
    pub on_error: OnError,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Question {
    /// Which of these alerts are active.
    Alerts(AlertFilter),
    /// Whether this PromQL expression gives a result.
    Query(String),
}

/// What a server demands. Files are below the scheduler's folder of secrets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Credentials {
    /// Nothing.
    None,
    /// A bearer token.
    Bearer {
        /// The file with the token.
        file: String,
    },
    /// User name and password.
    Basic {
        /// The file with the user name.
        username: String,
        /// The file with the password.
        password: String,
    },
}

/// Which alerts count.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AlertFilter {
    ignore: Option<String>,
    only: Option<String>,
    firing_only: bool,
    labels: BTreeMap<String, String>,
}

impl AlertFilter {
    /// The names of the active alerts that count, each once, in order. `series` are the labels of the series of the
    /// metric `ALERTS`, one for each active alert.
    #[must_use]
    pub fn counted(&self, series: &[BTreeMap<String, String>]) -> Vec<String> {
        // Both were compiled when the policy was read: one that cannot be compiled lets each alert count.
        let compiled = |text: &Option<String>| text.as_deref().and_then(|text| regex(text).ok());
        let (ignore, only) = (compiled(&self.ignore), compiled(&self.only));
        let counts = |labels: &&BTreeMap<String, String>| {
            let name = labels.get(NAME).map_or("", String::as_str);
            let is_firing = labels.get(STATE).is_some_and(|state| state == FIRING);
            only.as_ref().is_none_or(|only| only.is_match(name))
                && !ignore.as_ref().is_some_and(|ignore| ignore.is_match(name))
                && (is_firing || !self.firing_only)
                && self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        let names = series.iter().filter(counts).filter_map(|labels| labels.get(NAME));
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        names.dedup();
        names
    }
}

impl fmt::Display for PrometheusGate {
    /// The state that shuts the gate.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, name, .. } = self;
        match &self.question {
            Question::Query(query) => write!(f, "`{query}` at {url} gives a result")?,
            Question::Alerts(filter) => {
                let state = if filter.firing_only {
                    "firing"
                } else {
                    "pending or firing"
                };
                write!(f, "an alert of {url}")?;
                if let Some(only) = &filter.only {
                    write!(f, " called {only}")?;
                }
                for (label, value) in &filter.labels {
                    write!(f, " with {label}={value}")?;
                }
                write!(f, " is {state}")?;
                if let Some(ignore) = &filter.ignore {
                    write!(f, ", but those called {ignore}")?;
                }
            }
        }
        if self.on_error == OnError::Block {
            write!(f, ", or {url} cannot be asked")?;
        }
        write!(f, " ({name})")
    }
}

fn regex(text: &str) -> Result<Regex, regex::Error> {
    regex::RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build()
}

/// The meaning of the fields below `path`.
///
/// # Errors
/// Every mistake.
pub(super) fn prometheus_of(spec: &PrometheusSpec, path: &str) -> Result<PrometheusGate, Vec<Fault>> {
    let mut faults = Vec::new();
    let at = |field: &str| format!("{path}.{field}");
    let mut check = |checked: Result<(), Fault>| faults.extend(checked.err());
    check(name_is_good(&spec.name, &at("name")));
    check(url_is_good(&spec.url, &at("url")));
    let question = match (&spec.alerts, &spec.query) {
        (Some(alerts), None) => {
            for (field, text) in [("alerts.ignore", &alerts.ignore), ("alerts.only", &alerts.only)] {
                check(regex_is_good(text.as_deref(), &at(field)));
            }
            Question::Alerts(filter(alerts))
        }
        (None, Some(query)) => {
            if query.trim().is_empty() {
                check(Err(Fault::new(
                    at("query"),
                    "empty: write a PromQL expression such as up == 0",
                )));
            }
            Question::Query(query.clone())
        }
        (Some(_), Some(_)) | (None, None) => {
            check(Err(Fault::new(path, "write either alerts or query")));
            Question::Query(String::new())
        }
    };
    let credentials = match (&spec.bearer_token_file, &spec.basic_auth) {
        (None, None) => Credentials::None,
        (Some(file), None) => {
            check(file_is_good(file, &at("bearerTokenFile")));
            Credentials::Bearer { file: file.clone() }
        }
        (None, Some(basic)) => {
            check(file_is_good(&basic.username_file, &at("basicAuth.usernameFile")));
            check(file_is_good(&basic.password_file, &at("basicAuth.passwordFile")));
            Credentials::Basic {
                username: basic.username_file.clone(),
                password: basic.password_file.clone(),
            }
        }
        (Some(_), Some(_)) => {
            check(Err(Fault::new(path, "write bearerTokenFile or basicAuth, not both")));
            Credentials::None
        }
    };
    if let Some(file) = &spec.ca_file {
        check(file_is_good(file, &at("caFile")));
    }
    let timeout = timeout_of(&spec.timeout, &at("timeout"));
    let on_error = OnError::read(&spec.on_error, &at("onError"));
    let (timeout, on_error) = match (timeout, on_error) {
        (Ok(timeout), Ok(on_error)) => (timeout, on_error),
        (timeout, on_error) => {
            faults.extend(timeout.err().into_iter().chain(on_error.err()));
            return Err(faults);
        }
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(PrometheusGate {
        name: spec.name.clone(),
        url: spec.url.trim_end_matches('/').to_owned(),
        question,
        credentials,
        ca_file: spec.ca_file.clone(),
        timeout,
        on_error,
    })
}

fn filter(spec: &AlertsSpec) -> AlertFilter {
    AlertFilter {
        ignore: spec.ignore.clone(),
        only: spec.only.clone(),
        firing_only: spec.firing_only,
        labels: spec.match_labels.clone(),
    }
}

fn name_is_good(name: &str, field: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::new(field, "empty: name the gate, such as alerts"));
    }
    Ok(())
}

fn url_is_good(url: &str, field: &str) -> Result<(), Fault> {
    let fault = |message: &str| Err(Fault::new(field, format!("`{url}` {message}")));
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
    let Some(rest) = rest else {
        return fault("does not begin with http:// or https://: write one such as http://prometheus.monitoring:9090");
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || host.starts_with(':') {
        return fault("names no host: write one such as http://prometheus.monitoring:9090");
    }
    if host.contains('@') {
        return fault("has a user: write basicAuth, so that the password is in a secret");
    }
    if !url.is_ascii() || url.contains(|letter: char| letter.is_whitespace() || matches!(letter, '?' | '#')) {
        return fault("has a letter that no address may have here: write scheme, host, port and path alone");
    }
    if url.trim_end_matches('/').ends_with("/api/v1") {
        return fault("ends with /api/v1: leave that out");
    }
    Ok(())
}

fn regex_is_good(text: Option<&str>, field: &str) -> Result<(), Fault> {
    let Some(error) = text.and_then(|text| regex(text).err()) else {
        return Ok(());
    };
    // The last line has the reason; those before draw the place.
    let error = error.to_string();
    let reason = error.lines().last().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    Err(Fault::new(
        field,
        format!("no regular expression: {reason}; write one such as ^(Watchdog|InfoInhibitor)$"),
    ))
}

/// As the pattern of the schema: no part of the path begins with a dot, so no path leads out of the folder.
fn file_is_good(file: &str, field: &str) -> Result<(), Fault> {
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(is_letter);
    if file.split('/').all(is_part) {
        return Ok(());
    }
    Err(Fault::new(
        field,
        format!("`{file}` is no file below the scheduler's folder of secrets: write its name there, such as token"),
    ))
}

fn timeout_of(text: &str, field: &str) -> Result<SignedDuration, Fault> {
    let parsed: Option<SignedDuration> = text.parse().ok();
    parsed
        .filter(|timeout| (TIMEOUT_MIN..=TIMEOUT_MAX).contains(timeout))
        .ok_or_else(|| {
            Fault::new(
                field,
                format!("`{text}` is not between 1s and 30s: write one such as 10s"),
            )
        })
}
