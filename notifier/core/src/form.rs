//! The request by which each kind of target takes a message.
//!
//! It names files of secrets and holds none: the driver reads them when it sends.

use serde_json::{Value, json};

use crate::notification::{Kind, Notification, Severity};
use crate::settings::{Address, Form, Header, HeaderValue, Secret, Target};
use crate::template;
use crate::text::{cut, inert};

/// Slack cuts a text above 40,000 characters and advises 4,000.
const SLACK_BYTES_MAX: usize = 4000;

/// Discord refuses a message above 2,000 characters, which are no more than as many bytes.
const DISCORD_BYTES_MAX: usize = 2000;

/// Mattermost's limit is 16,383 characters; older versions have 4,000.
const MATTERMOST_BYTES_MAX: usize = 4000;

/// Teams refuses a card above 28 KB; two texts of this length and the frame stay below, also escaped.
const TEAMS_BYTES_MAX: usize = 4000;

/// A line of a mail has 998 bytes at most; encoded, this stays below.
const SUBJECT_BYTES_MAX: usize = 200;

/// PagerDuty refuses a summary above 1,024 characters.
const PAGERDUTY_BYTES_MAX: usize = 1024;

/// PagerDuty refuses a `dedup_key` above 255 characters.
const DEDUP_KEY_BYTES_MAX: usize = 255;

/// Far above what a message has, and below what servers take as a body.
const FIELD_BYTES_MAX: usize = 4096;

/// The form in which a target takes a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Draft {
    /// A request over HTTP.
    Post(Post),
    /// An e-mail.
    Letter(Letter),
}

/// An e-mail; the target has its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// One line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// Names the message: the same each time that it is sent, so that a repetition is one.
    pub message_id: String,
    /// Names the first message of its rollout, for mail programs that show threads.
    pub references: Option<String>,
}

/// A request over HTTP, with files in place of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Where it goes.
    pub address: Address,
    /// Headers besides those of HTTP itself.
    pub headers: Vec<Header>,
    /// The type of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
    /// A field of the body, which is a JSON object, with the content of a file.
    pub secret_field: Option<(&'static str, Secret)>,
}

/// The request for a message; `thread` is what the target calls the thread that it belongs to.
#[must_use]
pub fn draft(target: &Target, notification: &Notification, thread: Option<&str>) -> Draft {
    let notification = Notification {
        summary: cut(&notification.summary, FIELD_BYTES_MAX),
        detail: cut(&notification.detail, FIELD_BYTES_MAX),
        ..notification.clone()
    };
    Draft::Post(match &target.form {
        Form::Email(_) => return Draft::Letter(letter(&notification)),
        Form::SlackWebhook { address } => {
            let body = json!({ "text": slack_text(&notification) });
            json_draft(address.clone(), vec![], &body)
        }
        Form::SlackBot { token, channel, api } => {
            let mut body = json!({
                "channel": channel,
                "text": slack_text(&notification),
                "unfurl_links": false,
            });
            if let (Some(thread), Some(fields)) = (thread, body.as_object_mut()) {
                fields.insert("thread_ts".to_owned(), thread.into());
                if notification.severity == Severity::Critical {
                    // A failure in a thread alone would be read by those who follow the thread.
                    fields.insert("reply_broadcast".to_owned(), true.into());
                }
            }
            let authorization = Header {
                name: "authorization".to_owned(),
                value: HeaderValue::File {
                    before: "Bearer ",
                    secret: token.clone(),
                },
            };
            json_draft(Address::Plain(api.clone()), vec![authorization], &body)
        }
        Form::Discord { address } => {
            let text = cut(&inert(&plain_text(&notification)), DISCORD_BYTES_MAX);
            // A name such as @everyone in a text calls no user.
            let body = json!({ "content": text, "allowed_mentions": { "parse": [] } });
            json_draft(address.clone(), vec![], &body)
        }
        Form::Mattermost { address } => {
            let text = cut(&inert(&plain_text(&notification)), MATTERMOST_BYTES_MAX);
            json_draft(address.clone(), vec![], &json!({ "text": text }))
        }
        Form::Teams { address } => json_draft(address.clone(), vec![], &card(&notification)),
        Form::PagerDuty { routing_key, api } => {
            let draft = json_draft(Address::Plain(api.clone()), vec![], &incident(&notification));
            Post {
                secret_field: Some(("routing_key", routing_key.clone())),
                ..draft
            }
        }
        Form::Webhook {
            address,
            headers,
            content_type,
            template,
        } => {
            let key = Header {
                // By the draft of the IETF: a server that knows it takes a repeated message once.
                name: "idempotency-key".to_owned(),
                value: HeaderValue::Plain(notification.key()),
            };
            Post {
                address: address.clone(),
                headers: headers.iter().cloned().chain([key]).collect(),
                content_type: content_type.clone(),
                body: match template {
                    Some(template) => template.render(&notification),
                    None => Value::Object(template::fields(&notification)).to_string(),
                },
                secret_field: None,
            }
        }
    })
}

fn json_draft(address: Address, headers: Vec<Header>, body: &Value) -> Post {
    Post {
        address,
        headers,
        content_type: "application/json".to_owned(),
        body: body.to_string(),
        secret_field: None,
    }
}

/// An adaptive card, as the trigger "when a Teams webhook request is received" takes it.
fn card(notification: &Notification) -> Value {
    // Its runs are texts without Markdown, other than those of a TextBlock.
    let block = |text: &str, weight: &str| {
        let run = json!({ "type": "TextRun", "text": cut(text, TEAMS_BYTES_MAX), "weight": weight });
        json!({ "type": "RichTextBlock", "inlines": [run] })
    };
    let text = plain_text(notification);
    let (summary, detail) = text.split_once('\n').unwrap_or((&text, ""));
    let mut blocks = vec![block(summary, "Bolder")];
    if !detail.is_empty() {
        blocks.push(block(detail, "Default"));
    }
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "type": "AdaptiveCard",
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "version": "1.4",
                "body": blocks,
            },
        }],
    })
}

/// An e-mail. The subject is cut to what mail programs show.
fn letter(notification: &Notification) -> Letter {
    let text = plain_text(notification);
    let (subject, _) = text.split_once('\n').unwrap_or((&text, ""));
    let id = |key: &str| {
        let fit = key.chars().map(|it| {
            if it.is_ascii_alphanumeric() || it == '-' {
                it
            } else {
                '.'
            }
        });
        format!("<{}@notifier.bellwether>", fit.collect::<String>())
    };
    let rollout = notification.rollout.as_ref();
    let first = rollout.map(|it| id(&format!("{}:{}", it.as_str(), Kind::RolloutStarted.as_str())));
    let message_id = id(&notification.key());
    Letter {
        subject: cut(subject, SUBJECT_BYTES_MAX),
        body: format!("{text}\n\n{} at {}\n", notification.kind.as_str(), notification.at),
        references: first.filter(|it| *it != message_id),
        message_id,
    }
}

/// An event of PagerDuty. The incident is the node's: a later attempt that brings the node back ends it, and that has
/// another id than the one that failed.
fn incident(notification: &Notification) -> Value {
    let key = format!("bellwether/{}/{}", notification.cluster, notification.node);
    let key = cut(&key, DEDUP_KEY_BYTES_MAX);
    if notification.kind.ends_incident() {
        return json!({ "event_action": "resolve", "dedup_key": key });
    }
    let source = if notification.node.is_empty() {
        "bellwether"
    } else {
        &notification.node
    };
    json!({
        "event_action": "trigger",
        "dedup_key": key,
        "payload": {
            "summary": cut(&plain_text(notification), PAGERDUTY_BYTES_MAX),
            "source": source,
            "severity": notification.severity.as_str(),
            "timestamp": notification.at.to_string(),
            "component": "bellwether",
            "custom_details": {
                "cluster": notification.cluster,
                "policy": notification.policy.as_deref().unwrap_or_default(),
                "owners": notification.owners(),
                "attempt": notification.attempt,
                "detail": notification.detail,
            },
        },
    })
}

/// The message as a text of some lines.
fn plain_text(notification: &Notification) -> String {
    let mut text = match notification.severity {
        Severity::Info => String::new(),
        Severity::Warning => "Warning: ".to_owned(),
        Severity::Critical => "Failure: ".to_owned(),
    };
    if !notification.cluster.is_empty() {
        text.push_str(&format!("[{}] ", notification.cluster));
    }
    text.push_str(&notification.summary);
    if !notification.detail.is_empty() {
        text.push('\n');
        text.push_str(&notification.detail);
    }
    text
}

/// The same in Slack's form, in which three characters have a meaning.
fn slack_text(notification: &Notification) -> String {
    // Cut first: an escaped character must not be cut in the middle, and five bytes for one are within the hard limit.
    let text = cut(&plain_text(notification), SLACK_BYTES_MAX);
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
