//! The scheduler's reader of Prometheus' answers.

#[path = "../../../../scheduler/src/readings/prometheus/answer.rs"]
mod answer;

pub(crate) struct Answer {
    pub(crate) status: http::StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: bytes::Bytes,
}

pub(crate) fn judge(
    gate: &bellwether_policy::PrometheusGate,
    of: &Answer,
) -> bellwether_scheduler_core::reading::Outcome {
    let answer = answer::Answer {
        status: of.status,
        content_type: of.content_type.clone(),
        body: of.body.clone(),
    };
    answer::judge(gate, &answer)
}
