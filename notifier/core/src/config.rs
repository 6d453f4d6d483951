//! The file with targets and routes, as users write it.
//!
//! A field that this version does not know is an error: a target whose brake or filter were ignored would send what its
//! owner does not want. Durations are texts, such as `15m`; secrets are names of files, never in here.

use serde::Deserialize;

use crate::notification::{Kind, Severity};

/// The whole file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// The name of the cluster, for messages.
    #[serde(default)]
    pub cluster: String,
    /// After so long without an event a rollout is over.
    #[serde(default)]
    pub rollout_gap: Option<String>,
    /// After so long a message that its target does not take is given up.
    #[serde(default)]
    pub give_up_after: Option<String>,
    /// After so long a drain that something keeps waiting is blocked.
    #[serde(default)]
    pub blocked_after: Option<String>,
    /// After so long in one phase an attempt is stuck.
    #[serde(default)]
    pub stuck_after: Option<String>,
    /// After so long a node that needs a reboot is held.
    #[serde(default)]
    pub held_after: Option<String>,
    /// No message about an event that is older.
    #[serde(default)]
    pub max_age: Option<String>,
    /// The targets.
    pub targets: Vec<TargetConfig>,
    /// Which message goes to which target; none: every message to every target.
    #[serde(default)]
    pub routes: Vec<RouteConfig>,
}

/// One target. Exactly one of the kinds is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetConfig {
    /// Its name, in routes, metrics and the log.
    pub name: String,
    /// How messages about one rollout come.
    #[serde(default)]
    pub style: Option<StyleConfig>,
    /// So many messages a minute at most.
    #[serde(default)]
    pub per_minute: Option<u16>,
    /// Allows http:// to another host than this one.
    #[serde(default)]
    pub allow_http: bool,
    /// File with the certificate authorities of its server (PEM), instead of the public ones.
    #[serde(default)]
    pub ca_file: Option<String>,
    /// Slack.
    #[serde(default)]
    pub slack: Option<SlackConfig>,
    /// Discord.
    #[serde(default)]
    pub discord: Option<ChatConfig>,
    /// Mattermost.
    #[serde(default)]
    pub mattermost: Option<ChatConfig>,
    /// Microsoft Teams.
    #[serde(default)]
    pub teams: Option<ChatConfig>,
    /// PagerDuty.
    #[serde(default)]
    pub pagerduty: Option<PagerDutyConfig>,
    /// E-mail.
    #[serde(default)]
    pub email: Option<EmailConfig>,
    /// Any server that takes POST.
    #[serde(default)]
    pub webhook: Option<WebhookConfig>,
}

/// How messages about one rollout come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StyleConfig {
    /// One message for each step of each node.
    Each,
    /// No message for steps of nodes; their number at the end of the rollout.
    Digest,
    /// All messages of a rollout in one thread.
    Thread,
}

/// Slack: by an incoming webhook, or by the token of a bot with a channel.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlackConfig {
    /// File with the URL of an incoming webhook.
    #[serde(default)]
    pub url_file: Option<String>,
    /// File with the token of a bot, `xoxb-…`.
    #[serde(default)]
    pub token_file: Option<String>,
    /// The channel's id, of a bot.
    #[serde(default)]
    pub channel: Option<String>,
    /// Where Slack's API is, of a bot; for tests and proxies.
    #[serde(default)]
    pub api_url: Option<String>,
}

/// A chat service by an incoming webhook.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChatConfig {
    /// File with its URL.
    pub url_file: String,
}

/// PagerDuty, by its Events API v2.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PagerDutyConfig {
    /// File with the routing key of an integration.
    pub routing_key_file: String,
    /// Where the API is; for the European region, tests and proxies.
    #[serde(default)]
    pub api_url: Option<String>,
}

/// E-mail, by a server that takes mail for others: in fields, or by the URL that kured has.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EmailConfig {
    /// File with the URL, in place of all other fields.
    #[serde(default)]
    pub url_file: Option<String>,
    /// The host of the server.
    #[serde(default)]
    pub server: Option<String>,
    /// Its port.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is secured.
    #[serde(default)]
    pub security: Option<SecurityConfig>,
    /// The sender.
    #[serde(default)]
    pub from: Option<String>,
    /// The recipients.
    #[serde(default)]
    pub to: Vec<String>,
    /// The user, if the server asks for one.
    #[serde(default)]
    pub username: Option<String>,
    /// File with the user's password.
    #[serde(default)]
    pub password_file: Option<String>,
}

/// How a connection to a mail server is secured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecurityConfig {
    /// TLS after STARTTLS, without which no mail is sent.
    Starttls,
    /// TLS from the start.
    Tls,
    /// None.
    None,
}

/// Any server that takes POST.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WebhookConfig {
    /// The address, if it is no secret.
    #[serde(default)]
    pub url: Option<String>,
    /// File with the address.
    #[serde(default)]
    pub url_file: Option<String>,
    /// Further headers.
    #[serde(default)]
    pub headers: Vec<HeaderConfig>,
    /// The type of the body; `application/json` by default.
    #[serde(default)]
    pub content_type: Option<String>,
    /// The body; by default a JSON object with every field.
    #[serde(default)]
    pub template: Option<String>,
}

/// A header of a webhook.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderConfig {
    /// Its name.
    pub name: String,
    /// Its value, if it is no secret.
    #[serde(default)]
    pub value: Option<String>,
    /// File with its value.
    #[serde(default)]
    pub value_file: Option<String>,
}

/// Messages that go to some of the targets.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteConfig {
    /// The names of the targets.
    pub targets: Vec<String>,
    /// Only messages that matter so much or more.
    #[serde(default)]
    pub min_severity: Option<Severity>,
    /// Only messages of these kinds.
    #[serde(default)]
    pub kinds: Option<Vec<Kind>>,
    /// Only messages about nodes of these policies, and about these policies.
    #[serde(default)]
    pub policies: Option<Vec<String>>,
    /// Only messages about drains that pods of namespaces of these owners block.
    #[serde(default)]
    pub owners: Option<Vec<String>>,
}
