//! The admin server: `/livez`, `/readyz`, `/startupz` and `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use bellwether_proto::readiness::{Part, READY, ReadinessCode};
use jiff::Timestamp;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock;

/// Which parts of a service are not ready. The service is ready while there are none.
///
/// `/readyz` serves them in the form of [`bellwether_proto::readiness`].
#[derive(Debug, Clone, Default)]
pub struct Health {
    not_ready: Arc<Mutex<BTreeMap<Part, NotReady>>>,
}

/// Why a part is not ready.
#[derive(Debug)]
struct NotReady {
    code: ReadinessCode,
    message: String,
    /// From then on the part counts as ready. None: until it is marked as ready.
    until: Option<Timestamp>,
}

impl Health {
    /// Marks the part of this code as not ready. The message says what was found, and what to do.
    pub fn not_ready(&self, code: ReadinessCode, message: impl Into<String>) {
        self.insert(code, message.into(), None);
    }

    /// The same for so long at most. For a fault that shows only when the service tries something: if it tries no
    /// more, the fault of the last try is not known to last.
    pub fn not_ready_for(&self, code: ReadinessCode, message: impl Into<String>, time: Duration) {
        let until = clock::now().checked_add(time).unwrap_or(Timestamp::MAX);
        self.insert(code, message.into(), Some(until));
    }

    fn insert(&self, code: ReadinessCode, message: String, until: Option<Timestamp>) {
        let part = NotReady { code, message, until };
        self.locked().insert(code.part(), part);
    }

    /// Marks this part as ready.
    pub fn ready(&self, part: Part) {
        self.locked().remove(&part);
    }

    fn report(&self) -> (StatusCode, String) {
        let mut not_ready = self.locked();
        let now = clock::now();
        not_ready.retain(|_, part| part.until.is_none_or(|until| now < until));
        if not_ready.is_empty() {
            return (StatusCode::OK, format!("{READY}\n"));
        }
        let lines = not_ready.values().map(|part| part.code.line(&part.message)).collect();
        (StatusCode::SERVICE_UNAVAILABLE, lines)
    }

    /// Whether the other containers of the pod may start: those that run beside a gatekeeper need its keys.
    fn startup(&self) -> (StatusCode, String) {
        match self.locked().get(&Part::Keys) {
            None => (StatusCode::OK, format!("{READY}\n")),
            Some(part) => (StatusCode::SERVICE_UNAVAILABLE, part.code.line(&part.message)),
        }
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Part, NotReady>> {
        self.not_ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("listen on {address}: choose a free --admin-address"))
}

pub(crate) async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Arc<Mutex<Registry>>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (started, ready) = (health.clone(), health);
    let router = Router::new()
        // Live as long as the runtime answers: a lost NATS is no reason to restart.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/startupz", get(move || async move { started.startup() }))
        .route("/readyz", get(move || async move { ready.report() }))
        .route("/metrics", get(move || async move { encode(&metrics) }));
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("serve the admin address")
}

fn encode(metrics: &Mutex<Registry>) -> impl IntoResponse + use<> {
    let mut text = String::new();
    let registry = metrics.lock().unwrap_or_else(PoisonError::into_inner);
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => (
            StatusCode::OK,
            [(
                header::CONTENT_TYPE,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
            )],
            text,
        ),
        Err(error) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            [(header::CONTENT_TYPE, "text/plain")],
            error.to_string(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::readiness;

    use super::*;

    #[test]
    fn readyz_names_each_part_that_is_not_ready_until_all_are_ready() {
        let health = Health::default();
        assert_eq!(health.report(), (StatusCode::OK, "ok\n".to_owned()));
        health.not_ready(ReadinessCode::NatsUnreachable, "not connected");
        health.not_ready(ReadinessCode::RightsMissing, "missing: get nodes");
        health.not_ready(ReadinessCode::JetStreamUnavailable, "connected, but refused");
        let (status, body) = health.report();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let codes: Vec<_> = readiness::parse(&body).into_iter().map(|it| it.code).collect();
        assert_eq!(
            codes,
            [ReadinessCode::JetStreamUnavailable, ReadinessCode::RightsMissing].map(Some),
            "one line for each part, with its last code"
        );
        health.ready(Part::Nats);
        health.ready(Part::Rights);
        assert_eq!(health.report().0, StatusCode::OK);
    }

    #[test]
    fn a_service_is_started_once_its_keys_are_there_whatever_else_is_missing() {
        let health = Health::default();
        health.not_ready(ReadinessCode::NatsUnreachable, "not connected");
        assert_eq!(health.startup().0, StatusCode::OK);
        health.not_ready(ReadinessCode::KeysMissing, "no Secret");
        let (status, body) = health.startup();
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(body, "keys KeysMissing: no Secret\n");
        health.ready(Part::Keys);
        assert_eq!(health.startup().0, StatusCode::OK);
        assert_eq!(health.report().0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn a_part_that_is_not_ready_for_a_time_is_ready_after_it() {
        let health = Health::default();
        health.not_ready_for(ReadinessCode::WritesNotStored, "full", Duration::from_secs(60));
        assert_eq!(health.report().0, StatusCode::SERVICE_UNAVAILABLE);
        health.not_ready_for(ReadinessCode::WritesNotStored, "full", Duration::ZERO);
        assert_eq!(health.report().0, StatusCode::OK);
    }
}
