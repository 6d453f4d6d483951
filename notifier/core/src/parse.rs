//! The configuration from its text: each field is checked, and the first wrong one named with the remedy.

use bellwether_proto::{OWNER, OWNER_BYTES_MAX, owner_of};
use jiff::SignedDuration;

use crate::config::{
    Config, EmailConfig, HeaderConfig, PagerDutyConfig, RouteConfig, SecurityConfig, SlackConfig, StyleConfig,
    TargetConfig, WebhookConfig,
};
use crate::mail::{Email, MailFault, Mailing, Password, RECIPIENTS_MAX, Security};
use crate::notification::Severity;
use crate::settings::{Address, ConfigError, Form, Header, HeaderValue, Route, Secret, Settings, Style, Target};
use crate::template::{Escape, Template};
use crate::text::cut;
use crate::url::Url;

/// Headers of a webhook: what servers ask for are one or two.
const HEADERS_MAX: usize = 16;

/// A body that is longer is no message.
const TEMPLATE_BYTES_MAX: usize = 16 * 1024;

/// More than any sentence of ours; what it repeats of the file is cut.
const PROBLEM_BYTES_MAX: usize = 1024;

/// One a second: what the strictest chat services take.
const PER_MINUTE: u16 = 60;

/// Above it, messages are no messages to users.
const PER_MINUTE_MAX: u16 = 600;

/// Where Slack takes messages of bots.
const SLACK_API: &str = "https://slack.com/api/chat.postMessage";

/// Where PagerDuty takes events.
const PAGERDUTY_API: &str = "https://events.pagerduty.com/v2/enqueue";

/// The name of a cluster, in characters: it stands in each message, and as often as a template repeats it.
const CLUSTER_CHARACTERS_MAX: usize = 64;

/// Each target has a task and labels in metrics.
const TARGETS_MAX: usize = 32;

/// More is no configuration that an operator can read.
const ROUTES_MAX: usize = 64;

/// Longer than the pause between two nodes, whose slots are free within minutes.
const ROLLOUT_GAP: SignedDuration = SignedDuration::from_mins(30);

/// Longer than a restart of a chat service; while messages wait, their events do as well.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_mins(15);

/// A rolling drain of replicas that take a minute to be ready is no blocked one.
const BLOCKED_AFTER: SignedDuration = SignedDuration::from_mins(3);

/// Longer than any phase by the scheduler's defaults. With a short `maxAge` it is half of that.
const STUCK_AFTER: SignedDuration = SignedDuration::from_hours(2);

/// Longer than a week of nightly or weekly windows: what waits longer was left over or is kept by something.
const HELD_AFTER: SignedDuration = SignedDuration::from_hours(8 * 24);

/// A notifier that was away tells of the day, and not of the month that the stream keeps.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(24);

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
        if config.cluster.chars().count() > CLUSTER_CHARACTERS_MAX {
            let problem = format!("is longer than {CLUSTER_CHARACTERS_MAX} characters: give a short name");
            return Err(wrong("cluster", problem));
        }
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
        let max_age = duration("maxAge", config.max_age.as_deref(), MAX_AGE)?;
        // Files without the field are older than the field, and stay right.
        let stuck_after = STUCK_AFTER.min(max_age / 2);
        let stuck_after = duration("stuckAfter", config.stuck_after.as_deref(), stuck_after)?;
        // As above.
        let blocked_after = BLOCKED_AFTER.min(max_age / 2);
        let blocked_after = duration("blockedAfter", config.blocked_after.as_deref(), blocked_after)?;
        for (field, after) in [("stuckAfter", stuck_after), ("blockedAfter", blocked_after)] {
            if after >= max_age {
                let problem = "has to be shorter than maxAge, after which an attempt is forgotten";
                return Err(wrong(field, problem));
            }
        }
        Ok(Self {
            cluster: config.cluster,
            rollout_gap: duration("rolloutGap", config.rollout_gap.as_deref(), ROLLOUT_GAP)?,
            give_up_after: duration("giveUpAfter", config.give_up_after.as_deref(), GIVE_UP_AFTER)?,
            blocked_after,
            stuck_after,
            held_after: duration("heldAfter", config.held_after.as_deref(), HELD_AFTER)?,
            max_age,
            routes: routes.collect::<Result<_, _>>()?,
            targets,
        })
    }
}

fn wrong(field: impl Into<String>, problem: impl Into<String>) -> ConfigError {
    // It is one line of a log, and may repeat what is in the file.
    let problem: String = problem.into();
    let problem = problem.replace(char::is_control, " ");
    ConfigError {
        field: field.into(),
        problem: cut(&problem, PROBLEM_BYTES_MAX),
    }
}

fn duration(field: &str, text: Option<&str>, default: SignedDuration) -> Result<SignedDuration, ConfigError> {
    let Some(text) = text else { return Ok(default) };
    match text.parse::<SignedDuration>() {
        Ok(duration) if duration > SignedDuration::ZERO => Ok(duration),
        Ok(_) | Err(_) => Err(wrong(field, "is no duration above zero: write it as 90s, 15m or 24h")),
    }
}

fn checked_target(field: &str, mut config: TargetConfig) -> Result<Target, ConfigError> {
    let is_fit = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
    if config.name.is_empty() || config.name.len() > 63 || !config.name.chars().all(is_fit) {
        let problem = "has to be 1 to 63 characters of a-z, 0-9 and -: it is a label of metrics";
        return Err(wrong(format!("{field}.name"), problem));
    }
    let form = checked_form(field, &mut config)?;
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
            Form::SlackWebhook { .. }
            | Form::Discord { .. }
            | Form::Mattermost { .. }
            | Form::Teams { .. }
            | Form::Email(_) => Style::Digest,
            Form::Webhook { .. } | Form::PagerDuty { .. } => Style::Each,
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

/// The one kind that a target has.
fn checked_form(field: &str, config: &mut TargetConfig) -> Result<Form, ConfigError> {
    let allow_http = config.allow_http;
    let address = |kind: &str, path: String| {
        let field = format!("{field}.{kind}.urlFile");
        secret(&field, path).map(Address::File)
    };
    let mut forms = Vec::new();
    if let Some(slack) = config.slack.take() {
        forms.push(of_slack(&format!("{field}.slack"), slack, allow_http)?);
    }
    if let Some(discord) = config.discord.take() {
        let address = address("discord", discord.url_file)?;
        forms.push(Form::Discord { address });
    }
    if let Some(mattermost) = config.mattermost.take() {
        let address = address("mattermost", mattermost.url_file)?;
        forms.push(Form::Mattermost { address });
    }
    if let Some(teams) = config.teams.take() {
        let address = address("teams", teams.url_file)?;
        forms.push(Form::Teams { address });
    }
    if let Some(pagerduty) = config.pagerduty.take() {
        forms.push(of_pagerduty(&format!("{field}.pagerduty"), pagerduty, allow_http)?);
    }
    if let Some(email) = config.email.take() {
        forms.push(of_email(&format!("{field}.email"), email, allow_http)?);
    }
    if let Some(webhook) = config.webhook.take() {
        forms.push(of_webhook(&format!("{field}.webhook"), webhook, allow_http)?);
    }
    let several = forms.len() > 1;
    match forms.pop() {
        Some(form) if !several => Ok(form),
        Some(_) => Err(wrong(field, "has several kinds: make a target of each")),
        None => Err(wrong(
            field,
            "has no kind: give it slack, discord, mattermost, teams, pagerduty, email or webhook",
        )),
    }
}

fn of_pagerduty(field: &str, config: PagerDutyConfig, allow_http: bool) -> Result<Form, ConfigError> {
    let api = config.api_url.as_deref().unwrap_or(PAGERDUTY_API);
    Ok(Form::PagerDuty {
        routing_key: secret(&format!("{field}.routingKeyFile"), config.routing_key_file)?,
        api: url(&format!("{field}.apiUrl"), api, allow_http)?,
    })
}

fn of_email(field: &str, config: EmailConfig, allow_plain: bool) -> Result<Form, ConfigError> {
    let EmailConfig {
        url_file,
        server,
        port,
        security,
        from,
        to,
        username,
        password_file,
    } = config;
    if let Some(path) = url_file {
        let others = [&server, &from, &username, &password_file];
        if others.iter().any(|it| it.is_some()) || port.is_some() || security.is_some() || !to.is_empty() {
            let problem = "has urlFile, which stands in place of every other field: take those out, or urlFile";
            return Err(wrong(field, problem));
        }
        return Ok(Form::Email(Email::InFile(secret(&format!("{field}.urlFile"), path)?)));
    }
    let (Some(server), Some(from)) = (server, from) else {
        return Err(wrong(field, "needs server, from and to, or urlFile"));
    };
    let login = match (username, password_file) {
        (Some(user), Some(path)) => {
            let password = secret(&format!("{field}.passwordFile"), path)?;
            Some((user, Password::File(password)))
        }
        (None, None) => None,
        _ => return Err(wrong(field, "needs username and passwordFile, or neither")),
    };
    let (security, default_port) = match security {
        Some(SecurityConfig::Starttls) | None => (Security::StartTls, 587),
        Some(SecurityConfig::Tls) => (Security::Tls, 465),
        Some(SecurityConfig::None) => (Security::None, 25),
    };
    let mailing = Mailing {
        server,
        port: port.unwrap_or(default_port),
        security,
        from,
        to,
        login,
    };
    let no_address = "is no address: write it as name@example.com, without a display name";
    let (place, problem) = match mailing.fault(allow_plain) {
        None => return Ok(Form::Email(Email::Known(mailing))),
        Some(MailFault::Server) => (
            "server".to_owned(),
            "is no name of a host: leave out scheme and port".to_owned(),
        ),
        Some(MailFault::Plain) => {
            let problem = "sends mail without TLS: take starttls, or set allowHttp: true where the network is trusted";
            ("security".to_owned(), problem.to_owned())
        }
        Some(MailFault::PlainPassword) => (
            "security".to_owned(),
            "would send the password without TLS: take starttls".to_owned(),
        ),
        Some(MailFault::Recipients) => {
            let problem = format!("needs 1 to {RECIPIENTS_MAX} addresses: take a mailing list for more");
            ("to".to_owned(), problem)
        }
        Some(MailFault::Sender) => ("from".to_owned(), no_address.to_owned()),
        Some(MailFault::Recipient(number)) => (format!("to[{number}]"), no_address.to_owned()),
    };
    Err(wrong(format!("{field}.{place}"), problem))
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
    // The names of media types have no case.
    let escape = if content_type.to_ascii_lowercase().contains("json") {
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
    let policies = config.policies.iter().flatten();
    if policies.clone().any(String::is_empty) {
        return Err(wrong(
            format!("{field}.policies"),
            "has an empty name: name RebootPolicies",
        ));
    }
    if let Some(owner) = config
        .owners
        .iter()
        .flatten()
        .find(|owner| owner_of(owner) != Some(owner))
    {
        let problem = format!(
            "names {owner:?}, which no namespace can have as its owner: write it as the annotation {OWNER} has it, in one line of \
             at most {OWNER_BYTES_MAX} bytes"
        );
        return Err(wrong(format!("{field}.owners"), problem));
    }
    Ok(Route {
        targets: config.targets.into_iter().collect(),
        min_severity: config.min_severity.unwrap_or(Severity::Info),
        kinds: config.kinds,
        policies: config.policies,
        owners: config.owners,
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
