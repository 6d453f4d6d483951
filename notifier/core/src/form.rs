//! The request by which each kind of target takes a message.
//!
//! It names files of secrets and holds none: the driver reads them when it sends.

use serde_json::{Value, json};

use crate::notification::{Notification, Severity};
use crate::settings::{Address, Form, Header, HeaderValue, Target};
use crate::template;
use crate::text::cut;

/// Slack cuts a text above 40,000 characters and advises 4,000.
const SLACK_BYTES_MAX: usize = 4000;

/// Far above what a message has, and below what servers take as a body.
const FIELD_BYTES_MAX: usize = 4096;

/// A request, with files in place of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Where it goes.
    pub address: Address,
    /// Headers besides those of HTTP itself.
    pub headers: Vec<Header>,
    /// The type of the body.
    pub content_type: String,
    /// The body.
    pub body: String,
}

/// The request for a message; `thread` is what the target calls the thread that it belongs to.
#[must_use]
pub fn draft(target: &Target, notification: &Notification, thread: Option<&str>) -> Draft {
    let notification = Notification {
        summary: cut(&notification.summary, FIELD_BYTES_MAX),
        detail: cut(&notification.detail, FIELD_BYTES_MAX),
        ..notification.clone()
    };
    match &target.form {
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
            Draft {
                address: address.clone(),
                headers: headers.iter().cloned().chain([key]).collect(),
                content_type: content_type.clone(),
                body: match template {
                    Some(template) => template.render(&notification),
                    None => Value::Object(template::fields(&notification)).to_string(),
                },
            }
        }
    }
}

fn json_draft(address: Address, headers: Vec<Header>, body: &Value) -> Draft {
    Draft {
        address,
        headers,
        content_type: "application/json".to_owned(),
        body: body.to_string(),
    }
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
