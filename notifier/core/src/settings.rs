//! The configuration, checked: inside of it wrong values cannot exist.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;

use crate::config::{Config, HeaderConfig, RouteConfig, SlackConfig, StyleConfig, TargetConfig, WebhookConfig};
use crate::notification::{Kind, Notification, Severity};
use crate::template::{Escape, Template};
use crate::url::Url;

/// Each target has a task and labels in metrics.
const TARGETS_MAX: usize = 32;

/// More is no configuration that an operator can read.
const ROUTES_MAX: usize = 64;

/// Headers of a webhook: what servers ask for are one or two.
const HEADERS_MAX: usize = 16;

/// A body that is longer is no message.
const TEMPLATE_BYTES_MAX: usize = 16 * 1024;

/// One a second: what the strictest chat services take.
const PER_MINUTE: u16 = 60;

/// Above it, messages are no messages to users.
const PER_MINUTE_MAX: u16 = 600;

/// Longer than the pause between two nodes, whose slots are free within minutes.
const ROLLOUT_GAP: SignedDuration = SignedDuration::from_mins(30);

/// Longer than a restart of a chat service; while messages wait, their events do as well.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// A notifier that was away tells of the day, and not of the month that the stream keeps.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

/// Where Slack takes messages of bots.
const SLACK_API: &str = "https://slack.com/api/chat.postMessage";

/// A wrong value, with its field and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The place in the file, such as `targets[0].slack.urlFile`.
    pub field: String,
    /// What is wrong, and what to do.
    pub problem: String,
}

/// A file with a secret, and the field that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The place in the configuration.
    pub field: String,
    /// The file.
    pub path: PathBuf,
}

impl Secret {
    /// The file at this path, which this field names.
    #[must_use]
    pub fn new(field: &str, path: impl AsRef<Path>) -> Self {
        Self {
            field: field.to_owned(),
            path: path.as_ref().to_owned(),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.field, self.path.display())
    }
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Here.
    Plain(Url),
    /// As this file has it.
    File(Secret),
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its name, in lower case.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// The value of a header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue {
    /// This text.
    Plain(String),
    /// The content of a file, after a text.
    File {
        /// The text before it.
        before: &'static str,
        /// The file.
        secret: Secret,
    },
}

/// How messages about one rollout come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// One message for each step of each node.
    Each,
    /// No message for steps of nodes; their number at the end of the rollout.
    Digest,
    /// All messages of a rollout in one thread.
    Thread,
}

/// The kind of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Slack, by an incoming webhook.
    SlackWebhook {
        /// Its URL.
        address: Address,
    },
    /// Slack, as a bot.
    SlackBot {
        /// Its token.
        token: Secret,
        /// The channel's id.
        channel: String,
        /// The method of the API.
        api: Url,
    },
    /// Any server that takes POST.
    Webhook {
        /// Its URL.
        address: Address,
        /// Further headers.
        headers: Vec<Header>,
        /// The type of the body.
        content_type: String,
        /// The body; none: an object of all fields.
        template: Option<Template>,
    },
}

/// A target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub form: Form,
    /// How messages about one rollout come.
    pub style: Style,
    /// So many messages a minute at most.
    pub per_minute: u16,
    /// Allows http:// to another host than this one.
    pub allow_http: bool,
    /// File with the authorities of its server, instead of the public ones.
    pub ca_file: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Route {
    targets: BTreeSet<String>,
    min_severity: Severity,
    kinds: Option<Vec<Kind>>,
}

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of the cluster; may be empty.
    pub cluster: String,
    /// After so long without an event a rollout is over.
    pub rollout_gap: SignedDuration,
    /// After so long a message that its target does not take is given up.
    pub give_up_after: SignedDuration,
    /// No message about an event that is older.
    pub max_age: SignedDuration,
    /// The targets, with names of their own.
    pub targets: Vec<Target>,
    routes: Vec<Route>,
}

impl Settings {
    /// Reads the file.
    ///
    /// # Errors
    /// Names the first field that is wrong, with the remedy.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let config: Config = serde_saphyr::from_str(text).map_err(|error| {
            let first = error.to_string();
            let first = first.lines().next().unwrap_or_default();
            wrong(
                "the file",
                format!("is not of the form of docs/notifications.md: {first}"),
            )
        })?;
        if config.targets.is_empty() {
            return Err(wrong("targets", "is empty: name at least one"));
        }
        if config.targets.len() > TARGETS_MAX {
            return Err(wrong("targets", format!("has more than {TARGETS_MAX} entries")));
        }
        if config.routes.len() > ROUTES_MAX {
            return Err(wrong("routes", format!("has more than {ROUTES_MAX} entries")));
        }
        let mut targets: Vec<Target> = Vec::new();
        for (number, target) in config.targets.into_iter().enumerate() {
            let field = format!("targets[{number}]");
            let target = checked_target(&field, target)?;
            if targets.iter().any(|it| it.name == target.name) {
                return Err(wrong(format!("{field}.name"), "is the name of another target too"));
            }
            targets.push(target);
        }
        let routes = config.routes.into_iter().enumerate();
        let routes = routes.map(|(number, route)| checked_route(&format!("routes[{number}]"), route, &targets));
        Ok(Self {
            cluster: config.cluster,
            rollout_gap: duration("rolloutGap", config.rollout_gap.as_deref(), ROLLOUT_GAP)?,
            give_up_after: duration("giveUpAfter", config.give_up_after.as_deref(), GIVE_UP_AFTER)?,
            max_age: duration("maxAge", config.max_age.as_deref(), MAX_AGE)?,
            routes: routes.collect::<Result<_, _>>()?,
            targets,
        })
    }

    /// The target takes this message: a route leads there, and its style has such messages.
    #[must_use]
    pub fn wants(&self, target: &Target, notification: &Notification) -> bool {
        if target.style == Style::Digest && notification.kind.is_step() {
            return false;
        }
        self.routes.is_empty() || self.routes.iter().any(|route| route.leads(target, notification))
    }
}

impl Route {
    fn leads(&self, target: &Target, notification: &Notification) -> bool {
        self.targets.contains(&target.name)
            && notification.severity >= self.min_severity
            && self
                .kinds
                .as_ref()
                .is_none_or(|kinds| kinds.contains(&notification.kind))
    }
}

impl Target {
    /// Every file with a secret that the target needs.
    #[must_use]
    pub fn secrets(&self) -> Vec<&Secret> {
        let of_address = |address| match address {
            &Address::Plain(_) => None,
            Address::File(secret) => Some(secret),
        };
        let mut secrets: Vec<&Secret> = match &self.form {
            Form::SlackWebhook { address } => of_address(address).into_iter().collect(),
            Form::SlackBot { token, .. } => vec![token],
            Form::Webhook { address, headers, .. } => {
                let of_headers = headers.iter().filter_map(|header| match &header.value {
                    HeaderValue::Plain(_) => None,
                    HeaderValue::File { secret, .. } => Some(secret),
                });
                of_address(address).into_iter().chain(of_headers).collect()
            }
        };
        secrets.extend(&self.ca_file);
        secrets
    }

    /// The file with its address, if it has one.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match &self.form {
            Form::SlackWebhook { address } | Form::Webhook { address, .. } => Some(address),
            Form::SlackBot { .. } => None,
        }
    }
}

fn wrong(field: impl Into<String>, problem: impl Into<String>) -> ConfigError {
    ConfigError {
        field: field.into(),
        problem: problem.into(),
    }
}

fn duration(field: &str, text: Option<&str>, default: SignedDuration) -> Result<SignedDuration, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    match text.parse::<SignedDuration>() {
        Ok(duration) if duration > SignedDuration::ZERO => Ok(duration),
        Ok(_) | Err(_) => Err(wrong(field, "is no duration above zero: write it as 90s, 15m or 24h")),
    }
}

fn checked_target(field: &str, config: TargetConfig) -> Result<Target, ConfigError> {
    let is_fit = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    if config.name.is_empty() || config.name.len() > 63 || !config.name.chars().all(is_fit) {
        let problem = "has to be 1 to 63 characters of a-z, 0-9 and -: it is a label of metrics";
        return Err(wrong(format!("{field}.name"), problem));
    }
    let form = match (config.slack, config.webhook) {
        (Some(slack), None) => of_slack(&format!("{field}.slack"), slack, config.allow_http)?,
        (None, Some(webhook)) => of_webhook(&format!("{field}.webhook"), webhook, config.allow_http)?,
        (None, None) => return Err(wrong(field, "has no kind: give it slack or webhook")),
        (Some(_), Some(_)) => return Err(wrong(field, "has several kinds: make a target of each")),
    };
    let has_threads = matches!(form, Form::SlackBot { .. });
    let style = match config.style {
        Some(StyleConfig::Each) => Style::Each,
        Some(StyleConfig::Digest) => Style::Digest,
        Some(StyleConfig::Thread) if has_threads => Style::Thread,
        Some(StyleConfig::Thread) => {
            let problem = "only a bot of Slack has threads (slack.tokenFile): take digest or each";
            return Err(wrong(format!("{field}.style"), problem));
        }
        None => match form {
            Form::SlackBot { .. } => Style::Thread,
            Form::SlackWebhook { .. } => Style::Digest,
            Form::Webhook { .. } => Style::Each,
        },
    };
    let per_minute = config.per_minute.unwrap_or(PER_MINUTE);
    if !(1..=PER_MINUTE_MAX).contains(&per_minute) {
        let problem = format!("has to be from 1 to {PER_MINUTE_MAX}");
        return Err(wrong(format!("{field}.perMinute"), problem));
    }
    let ca_file = config
        .ca_file
        .map(|path| secret(&format!("{field}.caFile"), path))
        .transpose()?;
    Ok(Target {
        name: config.name,
        form,
        style,
        per_minute,
        allow_http: config.allow_http,
        ca_file,
    })
}

fn of_slack(field: &str, config: SlackConfig, allow_http: bool) -> Result<Form, ConfigError> {
    match (config.url_file, config.token_file, config.channel) {
        (Some(url), None, None) if config.api_url.is_none() => Ok(Form::SlackWebhook {
            address: Address::File(secret(&format!("{field}.urlFile"), url)?),
        }),
        (None, Some(token), Some(channel)) => {
            let api = config.api_url.as_deref().unwrap_or(SLACK_API);
            Ok(Form::SlackBot {
                token: secret(&format!("{field}.tokenFile"), token)?,
                channel,
                api: url(&format!("{field}.apiUrl"), api, allow_http)?,
            })
        }
        _ => Err(wrong(
            field,
            "needs either urlFile, of an incoming webhook, or tokenFile and channel, of a bot",
        )),
    }
}

fn of_webhook(field: &str, config: WebhookConfig, allow_http: bool) -> Result<Form, ConfigError> {
    let address = match (config.url, config.url_file) {
        (Some(text), None) => Address::Plain(url(&format!("{field}.url"), &text, allow_http)?),
        (None, Some(path)) => Address::File(secret(&format!("{field}.urlFile"), path)?),
        _ => return Err(wrong(field, "needs either url or urlFile")),
    };
    if config.headers.len() > HEADERS_MAX {
        return Err(wrong(
            format!("{field}.headers"),
            format!("has more than {HEADERS_MAX} entries"),
        ));
    }
    let headers = config.headers.into_iter().enumerate();
    let headers = headers.map(|(number, header)| of_header(&format!("{field}.headers[{number}]"), header));
    let headers = headers.collect::<Result<_, _>>()?;
    let content_type = config.content_type.unwrap_or_else(|| "application/json".to_owned());
    if http::HeaderValue::from_str(&content_type).is_err() {
        return Err(wrong(format!("{field}.contentType"), "is no media type"));
    }
    let escape = if content_type.contains("json") {
        Escape::Json
    } else {
        Escape::None
    };
    let template = config.template.map(|text| {
        let field = format!("{field}.template");
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(wrong(field, format!("is longer than {TEMPLATE_BYTES_MAX} bytes")));
        }
        Template::parse(&text, escape).map_err(|error| wrong(field, error.to_string()))
    });
    Ok(Form::Webhook {
        address,
        headers,
        content_type,
        template: template.transpose()?,
    })
}

fn of_header(field: &str, config: HeaderConfig) -> Result<Header, ConfigError> {
    let name = config.name.to_ascii_lowercase();
    let ours = [
        "host",
        "content-length",
        "content-type",
        "connection",
        "transfer-encoding",
        "idempotency-key",
    ];
    if http::HeaderName::from_bytes(name.as_bytes()).is_err() || ours.contains(&name.as_str()) {
        return Err(wrong(format!("{field}.name"), "is no name of a header that may be set"));
    }
    let value = match (config.value, config.value_file) {
        (Some(text), None) if http::HeaderValue::from_str(&text).is_ok() => HeaderValue::Plain(text),
        (Some(_), None) => return Err(wrong(format!("{field}.value"), "is no value of a header")),
        (None, Some(path)) => HeaderValue::File {
            before: "",
            secret: secret(&format!("{field}.valueFile"), path)?,
        },
        _ => return Err(wrong(field, "needs either value or valueFile")),
    };
    Ok(Header { name, value })
}

fn checked_route(field: &str, config: RouteConfig, targets: &[Target]) -> Result<Route, ConfigError> {
    if config.targets.is_empty() {
        return Err(wrong(format!("{field}.targets"), "is empty: name at least one target"));
    }
    for name in &config.targets {
        if !targets.iter().any(|target| target.name == *name) {
            let problem = format!("names {name:?}, and no target has this name");
            return Err(wrong(format!("{field}.targets"), problem));
        }
    }
    Ok(Route {
        targets: config.targets.into_iter().collect(),
        min_severity: config.min_severity.unwrap_or(Severity::Info),
        kinds: config.kinds,
    })
}

fn url(field: &str, text: &str, allow_http: bool) -> Result<Url, ConfigError> {
    Url::parse(text, allow_http).map_err(|error| wrong(field, error.to_string()))
}

fn secret(field: &str, path: String) -> Result<Secret, ConfigError> {
    if path.starts_with('/') {
        Ok(Secret::new(field, path))
    } else {
        Err(wrong(
            field,
            "is no absolute path of a file: a secret itself does not belong in here",
        ))
    }
}
