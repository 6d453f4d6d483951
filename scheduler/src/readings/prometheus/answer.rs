//! What an answer of a Prometheus server means for a gate.
//!
//! Pure: status, headers and body in, an outcome out. Whatever is no answer of Prometheus fails, and says how it looks.

use std::collections::BTreeMap;

use bellwether_policy::{PrometheusGate, Question};
use bellwether_scheduler_core::reading::Outcome;
use http::StatusCode;
use serde::Deserialize;

/// How many alerts or results are named.
const NAMED_MAX: usize = 10;

/// How much of a text of the server is shown.
const TEXT_MAX: usize = 300;

/// The answer to one query.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) body: bytes::Bytes,
}

/// The body as Prometheus writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    status: String,
    data: Option<Data>,
    error_type: Option<String>,
    error: Option<String>,
    /// A server in front of several others names those that did not answer.
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: serde_json::Value,
}

#[derive(Debug, Deserialize)]
struct Sample {
    #[serde(default)]
    metric: BTreeMap<String, String>,
    /// Time and value.
    value: (f64, String),
}

/// The outcome of the gate's question by this answer.
pub(super) fn judge(gate: &PrometheusGate, answer: &Answer) -> Outcome {
    match samples(gate, answer) {
        Ok((samples, warnings)) => outcome(gate, samples, &warnings),
        Err(problem) => Outcome::Failed(format!("{} {problem}", gate.url)),
    }
}

fn samples(gate: &PrometheusGate, answer: &Answer) -> Result<(Vec<Sample>, Vec<String>), String> {
    let Ok(reply) = serde_json::from_slice::<Reply>(&answer.body) else {
        return Err(not_prometheus(answer));
    };
    if reply.status != "success" {
        let kind = shortened(&reply.error_type.unwrap_or_default());
        let error = shortened(&reply.error.unwrap_or_default());
        return Err(format!(
            "refuses the query with HTTP {}: {kind}: {error}",
            answer.status
        ));
    }
    let data = reply.data.ok_or_else(|| not_prometheus(answer))?;
    let remedy = match data.result_type.as_str() {
        "vector" => {
            let samples = serde_json::from_value(data.result)
                .map_err(|error: serde_json::Error| shortened(&format!("gives a result of another form: {error}")))?;
            return Ok((samples, reply.warnings));
        }
        "matrix" => "a range of values: write the query without [...], or with a function over the range such as rate",
        "scalar" => "a number, which is never empty: write a comparison of series, such as vector(time()) > 0",
        _ => "no series: write a comparison of series, such as up == 0",
    };
    let question = match &gate.question {
        Question::Alerts(_) => "ALERTS",
        Question::Query(query) => query,
    };
    Err(format!(
        "gives a {} for `{}`, that is {remedy}",
        shortened(&data.result_type),
        shortened(question)
    ))
}

fn not_prometheus(answer: &Answer) -> String {
    let Answer {
        status,
        content_type,
        body,
    } = answer;
    let is_html = content_type.starts_with("text/html") || body.trim_ascii_start().starts_with(b"<");
    let hint = match status.as_u16() {
        401 | 403 => "; see bearerTokenFile or basicAuth",
        404 | 405 => "; is the path of url the one before /api/v1?",
        _ => "",
    };
    if status.is_redirection() {
        return format!("answers with HTTP {status}, a redirection: write the address that it leads to");
    }
    if !status.is_success() {
        return format!("answers with HTTP {status}{hint}");
    }
    if is_html {
        return "answers with HTML, not as Prometheus does: is url that of a web page or of a login?".to_owned();
    }
    "answers, and not as Prometheus does: is url that of another server?".to_owned()
}

fn outcome(gate: &PrometheusGate, samples: Vec<Sample>, warnings: &[String]) -> Outcome {
    let found = match &gate.question {
        Question::Alerts(filter) => {
            let series: Vec<_> = samples.into_iter().map(|sample| sample.metric).collect();
            let names: Vec<_> = filter.counted(&series).iter().map(|name| shortened(name)).collect();
            let plural = if names.len() == 1 { "alert is" } else { "alerts are" };
            (!names.is_empty()).then(|| format!("{} {plural} active: {}", names.len(), listed(&names)))
        }
        Question::Query(query) => {
            let results: Vec<String> = samples.iter().map(shown).collect();
            let plural = if results.len() == 1 { "result" } else { "results" };
            let query = shortened(query);
            (!results.is_empty()).then(|| format!("`{query}` gives {} {plural}: {}", results.len(), listed(&results)))
        }
    };
    match (found, warnings.first()) {
        (Some(found), _) => Outcome::Shut(found.into()),
        // The rest of the result may be missing, and with it what would shut the gate.
        (None, Some(warning)) => Outcome::Failed(format!("{} warns of its result: {}", gate.url, shortened(warning))),
        (None, None) => Outcome::Open,
    }
}

fn shown(sample: &Sample) -> String {
    let labels: Vec<_> = sample
        .metric
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    shortened(&format!("{{{}}} {}", labels.join(","), sample.value.1))
}

/// The first few, and how many more.
fn listed(texts: &[String]) -> String {
    let (named, more) = texts.split_at(texts.len().min(NAMED_MAX));
    let named = named.join(", ");
    if more.is_empty() {
        named
    } else {
        format!("{named} and {} more", more.len())
    }
}

/// A text of the server on one line of a status, whatever its length and its characters.
fn shortened(text: &str) -> String {
    let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
    let mut letters = text.chars().map(printable);
    let mut short: String = letters.by_ref().take(TEXT_MAX).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    short
}
