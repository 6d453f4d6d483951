//! What a target's answer means: taken, refused for good, or to be tried again.

use jiff::{SignedDuration, Timestamp};

use crate::settings::Form;

/// Why a message was not taken: a closed list, for metrics and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// 400, 413, 415, 422, or a target's own code: this message, whatever is tried.
    MessageRefused,
    /// 401 or 403, or a target's own code.
    NotAuthorized,
    /// 404 or 410, or a target's own code.
    NotFound,
    /// 3xx: the address is another one. A redirect is not followed, since the address is a secret of this target.
    Redirected,
    /// 429.
    TooMany,
    /// 5xx, and what no HTTP server should answer.
    ServerFault,
    /// No answer in time.
    Timeout,
    /// No connection, or one that broke off, also for a certificate that is not trusted.
    Unreachable,
    /// A file with a secret is missing or unusable.
    SecretUnusable,
    /// More messages than the target takes at its pace: one was not sent in time.
    Crowded,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::MessageRefused,
        Self::NotAuthorized,
        Self::NotFound,
        Self::Redirected,
        Self::TooMany,
        Self::ServerFault,
        Self::Timeout,
        Self::Unreachable,
        Self::SecretUnusable,
        Self::Crowded,
    ];

    /// Its word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MessageRefused => "MessageRefused",
            Self::NotAuthorized => "NotAuthorized",
            Self::NotFound => "NotFound",
            Self::Redirected => "Redirected",
            Self::TooMany => "TooMany",
            Self::ServerFault => "ServerFault",
            Self::Timeout => "Timeout",
            Self::Unreachable => "Unreachable",
            Self::SecretUnusable => "SecretUnusable",
            Self::Crowded => "Crowded",
        }
    }

    /// What an operator does about it.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            Self::MessageRefused => "check the target's template and channel with `kubectl logs` of its server",
            Self::NotAuthorized => "renew the token or URL in the Secret of the target; no restart is needed",
            Self::NotFound => "the URL or channel does not exist any more: renew the URL in the Secret of the target",
            Self::Redirected => "give the final URL: redirects are not followed",
            Self::TooMany => "lower perMinute of the target, or take style: digest",
            Self::ServerFault | Self::Timeout => "the target's server is at fault; messages wait until giveUpAfter",
            Self::Unreachable => {
                "check the URL's host, the network policy to-targets, and caFile if the certificate is not of a public \
                 authority"
            }
            Self::SecretUnusable => "fill the Secret that the file comes from; no restart is needed",
            Self::Crowded => "raise perMinute of the target, or send less: style: digest, or minSeverity of its route",
        }
    }
}

/// What a target's answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It took the message.
    Delivered {
        /// By which name further messages join this one, of a target with threads.
        thread: Option<String>,
    },
    /// It will never take this message.
    Refused(Fault),
    /// The thread is gone: the message starts another one.
    ThreadGone,
    /// It does not take messages now.
    Failed {
        /// Why.
        fault: Fault,
        /// How long to wait at least, as the target asks.
        retry_after: Option<SignedDuration>,
    },
}

impl Answer {
    /// Not taken now, for this reason.
    #[must_use]
    pub fn failed(fault: Fault) -> Self {
        let retry_after = None;
        Self::Failed { fault, retry_after }
    }

    /// The meaning of an answer over HTTP. `in_thread`: the message named a thread. `retry_after` is the header of that name.
    #[must_use]
    pub fn of_http(
        form: &Form,
        in_thread: bool,
        status: u16,
        retry_after: Option<&str>,
        body: &[u8],
        now: Timestamp,
    ) -> Self {
        let retry_after = retry_after.and_then(|text| wait(text, now));
        match status {
            200..=299 => match form {
                Form::SlackBot { .. } => of_slack(body, in_thread, retry_after),
                Form::SlackWebhook { .. }
                | Form::Discord { .. }
                | Form::Mattermost { .. }
                | Form::Teams { .. }
                | Form::PagerDuty { .. }
                | Form::Email(_)
                | Form::Webhook { .. } => Self::Delivered { thread: None },
            },
            300..=399 => Self::failed(Fault::Redirected),
            401 | 403 => Self::failed(Fault::NotAuthorized),
            404 | 410 => Self::failed(Fault::NotFound),
            408 => Self::failed(Fault::Timeout),
            429 => Self::Failed {
                fault: Fault::TooMany,
                retry_after,
            },
            400..=499 => Self::Refused(Fault::MessageRefused),
            _ => Self::Failed {
                fault: Fault::ServerFault,
                retry_after,
            },
        }
    }
}

impl Answer {
    /// The meaning of a mail server's reply; none: the connection ended without one.
    #[must_use]
    pub fn of_smtp(code: u16) -> Self {
        match code {
            200..=299 => Self::Delivered { thread: None },
            // 421 and 45x: later. 454 also of a login that cannot be checked now.
            400..=499 => Self::failed(Fault::ServerFault),
            530 | 534 | 535 | 538 => Self::failed(Fault::NotAuthorized),
            // 550 to 554: a recipient, the sender or the text; no later try changes that.
            550..=559 => Self::Refused(Fault::MessageRefused),
            _ => Self::failed(Fault::ServerFault),
        }
    }
}

/// Slack's API answers 200 whatever happens; the body has the outcome.
fn of_slack(body: &[u8], in_thread: bool, retry_after: Option<SignedDuration>) -> Answer {
    let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
        return Answer::failed(Fault::ServerFault);
    };
    let text = |key: &str| body.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
    if body.get("ok") == Some(&serde_json::Value::Bool(true)) {
        let thread = Some(text("ts").to_owned()).filter(|it| !it.is_empty());
        return Answer::Delivered { thread };
    }
    match text("error") {
        "ratelimited" | "rate_limited" => Answer::Failed {
            fault: Fault::TooMany,
            retry_after,
        },
        "channel_not_found" | "is_archived" | "not_in_channel" => Answer::failed(Fault::NotFound),
        "thread_not_found" | "invalid_thread_ts" | "cannot_reply_to_message" | "message_not_found" => {
            // Outside of a thread no other thread would help.
            if in_thread {
                Answer::ThreadGone
            } else {
                Answer::failed(Fault::NotFound)
            }
        }
        "msg_too_long" | "no_text" | "invalid_blocks" => Answer::Refused(Fault::MessageRefused),
        "invalid_auth" | "not_authed" | "account_inactive" | "token_revoked" | "token_expired" | "missing_scope"
        | "no_permission" | "restricted_action" => Answer::failed(Fault::NotAuthorized),
        _ => Answer::failed(Fault::ServerFault),
    }
}

/// A `Retry-After`: seconds, or an instant.
fn wait(text: &str, now: Timestamp) -> Option<SignedDuration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(SignedDuration::from_secs(i64::from(seconds)));
    }
    let instant = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(instant.duration_since(now).max(SignedDuration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Address, Secret};

    fn bot() -> Form {
        Form::SlackBot {
            token: Secret::new("token", "/t"),
            channel: "C1".to_owned(),
            api: crate::url::Url::parse("https://slack.example/api/chat.postMessage", false).unwrap(),
        }
    }

    fn hook() -> Form {
        Form::SlackWebhook {
            address: Address::File(Secret::new("url", "/u")),
        }
    }

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    #[test]
    fn each_status_has_its_meaning() {
        for (status, meaning) in [
            (200, Answer::Delivered { thread: None }),
            (204, Answer::Delivered { thread: None }),
            (302, Answer::failed(Fault::Redirected)),
            (400, Answer::Refused(Fault::MessageRefused)),
            (401, Answer::failed(Fault::NotAuthorized)),
            (404, Answer::failed(Fault::NotFound)),
            (413, Answer::Refused(Fault::MessageRefused)),
            (500, Answer::failed(Fault::ServerFault)),
            (999, Answer::failed(Fault::ServerFault)),
        ] {
            assert_eq!(
                Answer::of_http(&hook(), false, status, None, b"", NOW),
                meaning,
                "{status}"
            );
        }
    }

    #[test]
    fn a_retry_after_is_seconds_or_an_instant_and_anything_else_is_none() {
        for (text, seconds) in [
            ("7", Some(7)),
            (" 30 ", Some(30)),
            ("Thu, 01 Jan 1970 00:02:00 GMT", Some(120)),
            ("Wed, 31 Dec 1969 00:00:00 GMT", Some(0)),
            ("-5", None),
            ("soon", None),
            ("99999999999", None),
        ] {
            let answer = Answer::of_http(&hook(), false, 429, Some(text), b"", NOW);
            let retry_after = seconds.map(SignedDuration::from_secs);
            let fault = Fault::TooMany;
            assert_eq!(answer, Answer::Failed { fault, retry_after }, "{text}");
        }
    }

    #[test]
    fn an_answer_of_slacks_api_is_read_from_its_body() {
        for (body, meaning) in [
            (
                r#"{"ok":true,"ts":"17.5"}"#,
                Answer::Delivered {
                    thread: Some("17.5".to_owned()),
                },
            ),
            (
                r#"{"ok":false,"error":"invalid_auth"}"#,
                Answer::failed(Fault::NotAuthorized),
            ),
            (
                r#"{"ok":false,"error":"channel_not_found"}"#,
                Answer::failed(Fault::NotFound),
            ),
            (r#"{"ok":false,"error":"thread_not_found"}"#, Answer::ThreadGone),
            (
                r#"{"ok":false,"error":"msg_too_long"}"#,
                Answer::Refused(Fault::MessageRefused),
            ),
            (
                r#"{"ok":false,"error":"of_tomorrow"}"#,
                Answer::failed(Fault::ServerFault),
            ),
            (r#"{"ok":"true"}"#, Answer::failed(Fault::ServerFault)),
            ("<html>", Answer::failed(Fault::ServerFault)),
        ] {
            assert_eq!(
                Answer::of_http(&bot(), true, 200, None, body.as_bytes(), NOW),
                meaning,
                "{body}"
            );
        }
    }

    #[test]
    fn only_a_message_that_named_a_thread_can_miss_it() {
        let body = br#"{"ok":false,"error":"message_not_found"}"#;
        let answer = |in_thread| Answer::of_http(&bot(), in_thread, 200, None, body, NOW);
        assert_eq!(answer(true), Answer::ThreadGone);
        assert_eq!(answer(false), Answer::failed(Fault::NotFound));
    }

    #[test]
    fn every_fault_is_in_the_list_for_metrics_with_a_word_of_its_own() {
        for (place, fault) in Fault::ALL.into_iter().enumerate() {
            assert_eq!(fault as usize, place);
            let same = Fault::ALL.iter().filter(|it| it.as_str() == fault.as_str());
            assert_eq!(same.count(), 1, "{fault:?}");
        }
        assert_eq!(Fault::ALL.len(), Fault::Crowded as usize + 1, "the last one");
    }
}
