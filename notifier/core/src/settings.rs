//! The configuration, checked: inside of it wrong values cannot exist.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::mail::Email;
use crate::notification::{Kind, Notification, Severity};
pub use crate::secret::Secret;
use crate::template::Template;
use crate::url::Url;

/// A wrong value, with its field and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// The place in the file, such as `targets[0].slack.urlFile`.
    pub field: String,
    /// What is wrong, and what to do.
    pub problem: String,
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
    /// Discord, by a webhook.
    Discord {
        /// Its URL.
        address: Address,
    },
    /// Mattermost, by an incoming webhook.
    Mattermost {
        /// Its URL.
        address: Address,
    },
    /// Microsoft Teams, by a workflow.
    Teams {
        /// Its URL.
        address: Address,
    },
    /// PagerDuty.
    PagerDuty {
        /// The routing key of the integration.
        routing_key: Secret,
        /// The method of the API.
        api: Url,
    },
    /// E-mail.
    Email(Email),
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

/// Messages that go to some of the targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// The names of the targets.
    pub(crate) targets: BTreeSet<String>,
    /// Only messages that matter so much or more.
    pub(crate) min_severity: Severity,
    /// Only messages of these kinds; none: of all.
    pub(crate) kinds: Option<Vec<Kind>>,
    /// Only messages about nodes of these policies, and about these policies; none: about all.
    pub(crate) policies: Option<Vec<String>>,
    /// Only messages about drains that pods of namespaces of these owners block; none: about all.
    pub(crate) owners: Option<Vec<String>>,
}

/// The configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name of the cluster; may be empty.
    pub cluster: String,
    /// After so long without an event and without an attempt in progress a rollout is over.
    pub rollout_gap: SignedDuration,
    /// After so long a message that its target does not take is given up.
    pub give_up_after: SignedDuration,
    /// After so long a drain that something keeps waiting is blocked; shorter than `max_age`.
    pub blocked_after: SignedDuration,
    /// After so long in one phase an attempt is stuck; shorter than `max_age`.
    pub stuck_after: SignedDuration,
    /// After so long a node that needs a reboot is held.
    pub held_after: SignedDuration,
    /// No message about an event that is older; and for so long an attempt without a further event counts as in progress.
    pub max_age: SignedDuration,
    /// The targets, with names of their own.
    pub targets: Vec<Target>,
    pub(crate) routes: Vec<Route>,
}

impl Settings {
    /// The target takes this message: a route leads there, and its style has such messages.
    #[must_use]
    pub fn wants(&self, target: &Target, notification: &Notification) -> bool {
        match target.form {
            // An incident is a node that failed, and ends when the node is back.
            Form::PagerDuty { .. } => {
                if !matches!(notification.kind, Kind::AttemptFailed | Kind::Test) && !target.resolves(notification) {
                    return false;
                }
            }
            Form::SlackWebhook { .. }
            | Form::SlackBot { .. }
            | Form::Discord { .. }
            | Form::Mattermost { .. }
            | Form::Teams { .. }
            | Form::Email(_)
            | Form::Webhook { .. } => {
                if target.style == Style::Digest && notification.kind.is_step() {
                    return false;
                }
            }
        }
        self.routes.is_empty() || self.routes.iter().any(|route| route.leads(target, notification))
    }
}

impl Route {
    fn leads(&self, target: &Target, notification: &Notification) -> bool {
        self.targets.contains(&target.name)
            // A target of incidents that gets a failure also gets its end.
            && (target.resolves(notification)
                || notification.severity >= self.min_severity
                    && self.is_of_policy(notification)
                    && self.is_of_owner(notification)
                    && self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&notification.kind)))
    }

    /// A message whose policy is not known counts: a failure that one target too many gets is better than one that none gets.
    fn is_of_policy(&self, notification: &Notification) -> bool {
        match (&self.policies, &notification.policy) {
            (Some(names), Some(policy)) => names.contains(policy),
            (None, _) | (_, None) => true,
        }
    }

    fn is_of_owner(&self, notification: &Notification) -> bool {
        let is_named = |owners: &Vec<String>| owners.iter().any(|owner| notification.owners.contains(owner));
        self.owners.as_ref().is_none_or(is_named)
    }
}

impl Target {
    /// Every file with a secret that the target needs.
    #[must_use]
    pub fn secrets(&self) -> Vec<&Secret> {
        let mut secrets: Vec<&Secret> = match &self.form {
            Form::SlackBot { token: secret, .. }
            | Form::PagerDuty {
                routing_key: secret, ..
            } => vec![secret],
            Form::Webhook { headers, .. } => {
                let of_headers = headers.iter().filter_map(|header| match &header.value {
                    HeaderValue::Plain(_) => None,
                    HeaderValue::File { secret, .. } => Some(secret),
                });
                of_headers.collect()
            }
            Form::Email(email) => email.secret().into_iter().collect(),
            Form::SlackWebhook { .. } | Form::Discord { .. } | Form::Mattermost { .. } | Form::Teams { .. } => vec![],
        };
        if let Some(Address::File(secret)) = self.address() {
            secrets.push(secret);
        }
        secrets.extend(&self.ca_file);
        secrets
    }

    /// All messages of a rollout are in one thread.
    #[must_use]
    pub fn has_threads(&self) -> bool {
        self.style == Style::Thread
    }

    /// To how many recipients each message is sent on its own; one, as long as a file is not read that names them.
    #[must_use]
    pub fn recipients(&self) -> usize {
        match &self.form {
            Form::Email(email) => email.recipients(),
            Form::SlackWebhook { .. }
            | Form::SlackBot { .. }
            | Form::Discord { .. }
            | Form::Mattermost { .. }
            | Form::Teams { .. }
            | Form::PagerDuty { .. }
            | Form::Webhook { .. } => 1,
        }
    }

    /// The field of the configuration that names a recipient; none: the target has only one.
    #[must_use]
    pub fn recipient_field(&self, recipient: usize) -> Option<String> {
        (self.recipients() > 1).then(|| format!("email.to[{recipient}]"))
    }

    /// True if the target keeps an incident that this message ends.
    fn resolves(&self, notification: &Notification) -> bool {
        matches!(self.form, Form::PagerDuty { .. }) && notification.kind.ends_incident()
    }

    /// The file with its address, if it has one.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match &self.form {
            Form::SlackWebhook { address }
            | Form::Discord { address }
            | Form::Mattermost { address }
            | Form::Teams { address }
            | Form::Webhook { address, .. } => Some(address),
            Form::SlackBot { .. } | Form::PagerDuty { .. } | Form::Email(_) => None,
        }
    }
}
