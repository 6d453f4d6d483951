//! The state of the connection to NATS, as `/readyz` and the log show it.
//!
//! The client reports the errors of a connection as text only, and no cause: this is the one place that reads the text.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_nats::{ClientError, Event, ServerError};
use bellwether_proto::readiness::{Part, ReadinessCode};

use crate::admin::Health;
use crate::named_file::FileError;

/// Of how many refusals the link knows that they were logged: of more than a role has rights. Others are logged again.
const REFUSALS_MAX: usize = 64;

/// The state of one client's connection.
#[derive(Debug)]
pub(super) struct Link {
    health: Health,
    /// Where to, as it may be shown.
    pub(super) urls: String,
    encrypted: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// JetStream has answered once: from then on a connection is enough.
    of_use: bool,
    /// The server has announced that it ends the connection, since the credentials have expired.
    expired: bool,
    /// What the server has refused on this connection, each logged once: what is refused is tried again for hours.
    refused: BTreeSet<String>,
    /// What is in the way; meaningless while nothing is.
    trouble: String,
}

impl Link {
    pub(super) fn new(health: Health, urls: &[String]) -> Self {
        let urls = shown(urls);
        let trouble = format!("not connected to {urls}: is the server running, and does --nats-url name it?");
        health.not_ready(ReadinessCode::NatsUnreachable, trouble.clone());
        Self {
            health,
            encrypted: urls.contains("tls://"),
            urls,
            state: Mutex::new(State {
                of_use: false,
                expired: false,
                refused: BTreeSet::new(),
                trouble,
            }),
        }
    }

    pub(super) fn trouble(&self) -> String {
        self.locked().trouble.clone()
    }

    pub(super) fn found_useful(&self, connected: bool) {
        self.locked().of_use = true;
        // If the connection was lost meanwhile, the next one marks the part as ready.
        if connected {
            self.health.ready(Part::Nats);
        }
    }

    pub(super) fn found_useless(&self, code: ReadinessCode, why: String) {
        self.health.not_ready(code, why.clone());
        self.locked().trouble = why;
    }

    /// Takes note of what the client reports. `unusable` is the first file that cannot be used now, if the event is a
    /// failed try.
    pub(super) fn report(&self, event: &Event, unusable: Option<(ReadinessCode, FileError)>) {
        match event {
            Event::Connected => {
                self.locked().refused.clear();
                if self.locked().of_use {
                    self.health.ready(Part::Nats);
                }
                tracing::info!("Connected to NATS");
            }
            Event::Disconnected | Event::Closed => {
                let lost = format!("connection to {} lost", self.urls);
                self.found_useless(ReadinessCode::NatsConnectionLost, lost);
                // Agents whose credentials last an hour lose their connection each hour: no reason for a warning.
                if std::mem::take(&mut self.locked().expired) {
                    tracing::info!("Connection to NATS ended with its credentials");
                } else {
                    tracing::warn!("Connection to NATS lost");
                }
            }
            // A refused publish shows up only here; the publisher sees a time-out.
            Event::ServerError(error) => {
                if has_expired(error) {
                    self.locked().expired = true;
                    tracing::info!(%error, "Credentials of NATS have expired");
                } else if self.is_news(error.to_string()) {
                    tracing::warn!(%error, "NATS server refuses");
                } else {
                    tracing::debug!(%error, "NATS server refuses again");
                }
            }
            // It could not connect; it tries again and again.
            Event::ClientError(error) => {
                let (code, explained) = match unusable {
                    Some((code, error)) => (code, format!("{error}; each try to connect reads it again")),
                    None => explained(error, self.encrypted),
                };
                let why = format!("not connected to {}: {explained}", self.urls);
                if self.trouble() != why {
                    tracing::warn!(error = why, code = code.as_str(), "No connection to NATS");
                    self.found_useless(code, why);
                }
            }
            Event::SlowConsumer(subscription) => tracing::warn!(subscription, "NATS messages were dropped"),
            Event::LameDuckMode | Event::Draining => tracing::info!(%event, "NATS connection"),
        }
    }

    /// The server has refused nothing in these words before, since it was connected.
    fn is_news(&self, refusal: String) -> bool {
        let refused = &mut self.locked().refused;
        if refused.len() >= REFUSALS_MAX {
            refused.clear();
        }
        refused.insert(refusal)
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Addresses without the user and password that they may carry: `/readyz` and the log show them.
fn shown(urls: &[String]) -> String {
    let bare = |url: &String| match url.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or_default()),
        None => url.rsplit('@').next().unwrap_or_default().to_owned(),
    };
    urls.iter().map(bare).collect::<Vec<_>>().join(",")
}

/// Whether the server ends the connection for the age of its credentials, as `User Authentication Expired` announces.
fn has_expired(error: &ServerError) -> bool {
    error
        .to_string()
        .to_ascii_lowercase()
        .contains("authentication expired")
}

/// The code of an error of the client, and its text with what may be wrong.
fn explained(error: &ClientError, encrypted: bool) -> (ReadinessCode, String) {
    let text = error.to_string();
    let text = text.strip_prefix("nats: ").unwrap_or(&text);
    let (code, hint) = match text {
        "authorization violation" => (
            ReadinessCode::NatsAuthRefused,
            "does the server know the user of --nats-credentials, --nats-user with its password, or --nats-token?",
        ),
        // No file was wrong when this was looked at.
        "failed signing nonce" => (
            ReadinessCode::NatsCredentialsUnusable,
            "the file of --nats-credentials, --nats-password or --nats-token was not usable a moment ago",
        ),
        "DNS error" => (
            ReadinessCode::NatsUnreachable,
            "does --nats-url name a host that is there?",
        ),
        "IO error" | "TLS error" if encrypted => (
            ReadinessCode::NatsTlsFailed,
            "is the server running, and does --nats-ca hold the authority of its certificate?",
        ),
        "TLS error" => return (ReadinessCode::NatsTlsFailed, text.to_owned()),
        "IO error" | "timed out" => (
            ReadinessCode::NatsUnreachable,
            "is the server running, and does --nats-url name it?",
        ),
        _ => return (ReadinessCode::NatsUnreachable, text.to_owned()),
    };
    (code, format!("{text}: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_its_user_and_password() {
        let urls = ["nats://anna:p@ss@nats-0:4222", "tls://nats-1:4222", "token@nats-2"].map(str::to_owned);
        assert_eq!(shown(&urls), "nats://nats-0:4222,tls://nats-1:4222,nats-2");
    }

    #[test]
    fn a_refusal_is_news_once_for_each_connection() {
        let link = Link::new(Health::default(), &[]);
        assert!(link.is_news("publish to a".to_owned()));
        assert!(link.is_news("publish to b".to_owned()));
        assert!(!link.is_news("publish to a".to_owned()));
        link.report(&Event::Connected, None);
        assert!(link.is_news("publish to a".to_owned()));
        for number in 0..REFUSALS_MAX * 3 {
            link.is_news(format!("publish to {number}"));
            assert!(link.locked().refused.len() <= REFUSALS_MAX);
        }
    }

    #[test]
    fn what_may_be_wrong_is_reported_beside_the_error_of_the_client() {
        use ReadinessCode::{NatsAuthRefused, NatsCredentialsUnusable, NatsTlsFailed, NatsUnreachable};
        for (error, encrypted, code, named) in [
            ("authorization violation", false, NatsAuthRefused, "--nats-credentials"),
            ("authorization violation", false, NatsAuthRefused, "--nats-token"),
            ("failed signing nonce", false, NatsCredentialsUnusable, "--nats-token"),
            ("DNS error", false, NatsUnreachable, "--nats-url"),
            ("IO error", false, NatsUnreachable, "--nats-url"),
            ("IO error", true, NatsTlsFailed, "--nats-ca"),
            ("TLS error", true, NatsTlsFailed, "--nats-ca"),
        ] {
            let (found, text) = explained(&ClientError::Other(error.to_owned()), encrypted);
            assert_eq!(found, code, "{error}");
            assert!(text.starts_with(error) && text.contains(named), "{text}");
        }
        assert!(has_expired(&ServerError::Other(
            "User Authentication Expired".to_owned()
        )));
        assert!(!has_expired(&ServerError::AuthorizationViolation));
        let other = explained(&ClientError::MaxReconnects, false);
        assert_eq!(other, (NatsUnreachable, "max reconnects reached".to_owned()));
    }
}
