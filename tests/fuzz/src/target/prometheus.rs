//! The answer of a Prometheus server: HTTP status and media type on a line each, then the body.

use std::sync::LazyLock;

use bellwether_policy::{Gates, RebootPolicy};
use bellwether_scheduler_core::reading::Outcome;
use http::StatusCode;

use crate::foreign::prometheus::{Answer, judge as outcome_of};
use crate::judge;

/// Ten alerts or results and a few words: what a status shows.
const OUTCOME_BYTES_MAX: usize = 16 * 1024;

/// A gate of each kind of question.
static GATES: LazyLock<Gates> = LazyLock::new(|| {
    let spec = serde_json::json!({ "gates": { "prometheus": [
        { "name": "alerts", "url": "http://prometheus:9090", "alerts": { "ignore": "Watchdog|Info.*", "firingOnly": true } },
        { "name": "query", "url": "http://prometheus:9090", "query": "up == 0" },
    ] } });
    let policy = RebootPolicy::read("any".into(), &spec);
    policy.terms.expect("a policy without mistakes").gates
});

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Some(([status, content_type], body)) = judge::lines(bytes) else {
        return false;
    };
    let Some(status) = status.parse().ok().and_then(|code| StatusCode::from_u16(code).ok()) else {
        return false;
    };
    let answer = Answer {
        status,
        content_type: content_type.to_owned(),
        body: bytes::Bytes::copy_from_slice(body),
    };
    let mut taken = false;
    for gate in &GATES.prometheus {
        match outcome_of(gate, &answer) {
            Outcome::Open => taken = true,
            Outcome::Shut(found) => {
                taken = true;
                short(&found.text);
            }
            Outcome::Failed(text) => short(&text),
            other @ (Outcome::NotNow(_) | Outcome::DaemonPods(_)) => panic!("an answer about pods: {other:?}"),
        }
    }
    taken
}

fn short(text: &str) {
    assert!(text.len() <= OUTCOME_BYTES_MAX, "{} bytes", text.len());
    judge::plain(text);
}
