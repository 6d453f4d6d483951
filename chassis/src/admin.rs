//! The admin server: `/livez`, `/readyz`, `/startupz` and `/metrics`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bellwether_proto::readiness::{Part, READY, ReadinessCode};
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::http::{self, Answer, Status};

/// Which parts of a service are not ready. The service is ready while there are none.
///
/// `/readyz` serves them in the form of [`bellwether_proto::readiness`].
#[derive(Debug, Clone, Default)]
pub struct Health {
    not_ready: Arc<Mutex<BTreeMap<Part, NotReady>>>,
}

/// Why a part is not ready.
#[derive(Debug)]
pub(crate) struct NotReady {
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

    fn report(&self) -> Answer {
        let not_ready = self.present();
        if not_ready.is_empty() {
            return Answer::text(Status::Ok, format!("{READY}\n"));
        }
        let lines: String = not_ready.values().map(|part| part.code.line(&part.message)).collect();
        Answer::text(Status::Unavailable, lines)
    }

    /// Whether the other containers of the pod may start: those that run beside a gatekeeper need its keys.
    fn startup(&self) -> Answer {
        match self.locked().get(&Part::Keys) {
            None => Answer::text(Status::Ok, format!("{READY}\n")),
            Some(part) => Answer::text(Status::Unavailable, part.code.line(&part.message)),
        }
    }

    /// The parts that are not ready now.
    pub(crate) fn present(&self) -> MutexGuard<'_, BTreeMap<Part, NotReady>> {
        let mut not_ready = self.locked();
        let now = clock::now();
        not_ready.retain(|_, part| part.until.is_none_or(|until| now < until));
        not_ready
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<Part, NotReady>> {
        self.not_ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `/readyz` as a metric: a series for each part that is not ready, and none while all are.
impl Collector for Health {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let help =
            "1 for each part of the service that is not ready, with the code of /readyz; no series while all are ready";
        let mut family = encoder.encode_descriptor("not_ready", help, None, MetricType::Gauge)?;
        for not_ready in self.present().values() {
            let code = not_ready.code;
            let labels = [("part", code.part().as_str()), ("code", code.as_str())];
            ConstGauge::new(1).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
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
    let answer = move |path: &str| match path {
        // Live as long as the runtime answers: a lost NATS is no reason to restart.
        "/livez" => Some(Answer::text(Status::Ok, "ok\n")),
        "/startupz" => Some(health.startup()),
        "/readyz" => Some(health.report()),
        "/metrics" => Some(encode(&metrics)),
        _ => None,
    };
    http::serve(listener, answer, stop).await;
    Ok(())
}

fn encode(metrics: &Mutex<Registry>) -> Answer {
    let mut text = String::new();
    let registry = metrics.lock().unwrap_or_else(PoisonError::into_inner);
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => Answer {
            status: Status::Ok,
            media_type: "application/openmetrics-text; version=1.0.0; charset=utf-8",
            body: text,
        },
        Err(error) => Answer::text(Status::ServerError, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::readiness;

    use super::*;

    #[test]
    fn readyz_names_each_part_that_is_not_ready_until_all_are_ready() {
        let health = Health::default();
        assert_eq!(health.report(), Answer::text(Status::Ok, "ok\n"));
        health.not_ready(ReadinessCode::NatsUnreachable, "not connected");
        health.not_ready(ReadinessCode::RightsMissing, "missing: get nodes");
        health.not_ready(ReadinessCode::JetStreamUnavailable, "connected, but refused");
        let Answer { status, body, .. } = health.report();
        assert_eq!(status, Status::Unavailable);
        let codes: Vec<_> = readiness::parse(&body).into_iter().map(|it| it.code).collect();
        assert_eq!(
            codes,
            [ReadinessCode::JetStreamUnavailable, ReadinessCode::RightsMissing].map(Some),
            "one line for each part, with its last code"
        );
        health.ready(Part::Nats);
        health.ready(Part::Rights);
        assert_eq!(health.report().status, Status::Ok);
    }

    #[test]
    fn a_service_is_started_once_its_keys_are_there_whatever_else_is_missing() {
        let health = Health::default();
        health.not_ready(ReadinessCode::NatsUnreachable, "not connected");
        assert_eq!(health.startup().status, Status::Ok);
        health.not_ready(ReadinessCode::KeysMissing, "no Secret");
        let Answer { status, body, .. } = health.startup();
        assert_eq!(status, Status::Unavailable);
        assert_eq!(body, "keys KeysMissing: no Secret\n");
        health.ready(Part::Keys);
        assert_eq!(health.startup().status, Status::Ok);
        assert_eq!(health.report().status, Status::Unavailable);
    }

    #[test]
    fn each_part_that_is_not_ready_is_a_series() {
        let health = Health::default();
        let metrics = Mutex::new(Registry::default());
        metrics.lock().unwrap().register_collector(Box::new(health.clone()));
        let series = || {
            let text = encode(&metrics).body;
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(series(), [""; 0]);
        health.not_ready(ReadinessCode::NatsUnreachable, "not connected");
        health.not_ready(ReadinessCode::WritesNotStored, "full");
        let shown = [
            r#"not_ready{part="nats",code="NatsUnreachable"} 1"#,
            r#"not_ready{part="store",code="WritesNotStored"} 1"#,
        ];
        assert_eq!(series(), shown);
        health.ready(Part::Nats);
        health.ready(Part::Store);
        assert_eq!(series(), [""; 0]);
    }

    #[test]
    fn a_part_that_is_not_ready_for_a_time_is_ready_after_it() {
        let health = Health::default();
        health.not_ready_for(ReadinessCode::WritesNotStored, "full", Duration::from_secs(60));
        assert_eq!(health.report().status, Status::Unavailable);
        health.not_ready_for(ReadinessCode::WritesNotStored, "full", Duration::ZERO);
        assert_eq!(health.report().status, Status::Ok);
    }
}
