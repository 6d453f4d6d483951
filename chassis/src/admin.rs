//! The admin server: `/livez`, `/readyz` and `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a service says of its readiness: it is ready when nothing that it named is missing.
#[derive(Debug, Clone, Default)]
pub struct Health {
    missing: Arc<Mutex<BTreeMap<&'static str, String>>>,
}

impl Health {
    /// Says that this part is not ready, and why.
    pub fn not_ready(&self, part: &'static str, why: impl Into<String>) {
        self.missing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(part, why.into());
    }

    /// Says that this part is ready.
    pub fn ready(&self, part: &'static str) {
        self.missing
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .remove(part);
    }

    fn report(&self) -> (StatusCode, String) {
        let missing = self.missing.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if missing.is_empty() {
            return (StatusCode::OK, "ok\n".to_owned());
        }
        let lines = missing.iter().map(|(part, why)| format!("{part}: {why}\n")).collect();
        (StatusCode::SERVICE_UNAVAILABLE, lines)
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
    let router = Router::new()
        // Live as long as the runtime answers: a lost NATS is no reason to restart.
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { health.report() }))
        .route("/metrics", get(move || async move { encode(&metrics) }));
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
        .context("serve the admin address")
}

fn encode(metrics: &Mutex<Registry>) -> impl IntoResponse + use<> {
    let mut text = String::new();
    let registry = metrics.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
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
