//! What becomes of a query, whatever the server does. The answers of a real Prometheus are in `tests/it`.

use std::fs;
use std::time::Duration;

use bellwether_policy::RebootPolicy;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A gate with these fields, for the server at this address.
fn gate(url: &str, fields: &Value) -> PrometheusGate {
    let mut spec = json!({ "name": "g", "url": url, "timeout": "1s" });
    let object = spec.as_object_mut().unwrap();
    object.extend(fields.as_object().unwrap().clone());
    let spec = json!({ "gates": { "prometheus": [spec] } });
    let terms = RebootPolicy::read("p".into(), &spec).terms.unwrap();
    terms.gates.prometheus.into_iter().next().unwrap()
}

fn query() -> Value {
    json!({ "query": "up == 0" })
}

/// A server that gives one answer to one request. Returns its address, and the head of the request.
async fn server(answer: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    #[expect(clippy::disallowed_methods, reason = "the test waits for this task")]
    let head = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        String::from_utf8(head).unwrap()
    });
    (address, head)
}

async fn failure(gate: &PrometheusGate, secrets: &Path) -> String {
    match ask(gate, secrets).await {
        Outcome::Failed(problem) => problem,
        other @ (Outcome::Open | Outcome::Shut(_) | Outcome::NotNow(_) | Outcome::DaemonPods(_)) => panic!("{other:?}"),
    }
}

/// An empty folder, with these files.
fn secrets(name: &str, files: &[(&str, &str)]) -> std::path::PathBuf {
    let folder = std::env::temp_dir().join(format!("bellwether-gates-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for (name, content) in files {
        fs::write(folder.join(name), content).unwrap();
    }
    folder
}

#[tokio::test]
async fn each_failure_of_a_server_has_its_own_message() {
    let nowhere = Path::new("/nonexistent");
    let gate_of = |url: &str| gate(url, &query());
    // The port is free again.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = failure(&gate_of(&format!("http://{free}")), nowhere).await;
    assert!(
        refused.contains("cannot be reached") && refused.contains("refused"),
        "{refused}"
    );
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hangs = failure(&gate_of(&format!("http://{}", silent.local_addr().unwrap())), nowhere).await;
    assert!(hangs.contains("has not answered within 1s"), "{hangs}");
    for (answer, words) in [
        ("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n\r\n<html>", "HTML"),
        ("HTTP/1.1 200 OK\r\n\r\n  <!doctype html>", "HTML"),
        ("HTTP/1.1 200 OK\r\n\r\n{}", "not as Prometheus does"),
        (
            "HTTP/1.1 401 Unauthorized\r\n\r\nno",
            "HTTP 401 Unauthorized; see bearerTokenFile or basicAuth",
        ),
        ("HTTP/1.1 404 Not Found\r\n\r\nno", "HTTP 404 Not Found; is the path"),
        ("HTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n", "a redirection"),
        (
            "HTTP/1.1 503 Service Unavailable\r\n\r\nno",
            "HTTP 503 Service Unavailable",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\"}",
            "refuses the query with HTTP 400 Bad Request: bad_data: parse error",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{",
            "broke off its answer",
        ),
    ] {
        let (url, request) = server(answer).await;
        let problem = failure(&gate_of(&url), nowhere).await;
        assert!(problem.contains(words) && problem.contains(&url), "{answer}: {problem}");
        request.await.unwrap();
    }
}

#[tokio::test]
async fn the_query_and_the_secret_are_sent_and_the_secret_is_read_each_time() {
    let folder = secrets("sent", &[("token", "first\n"), ("user", "anna"), ("password", "p:w")]);
    const EMPTY: &str =
        "HTTP/1.1 200 OK\r\n\r\n{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[]}}";
    let (url, request) = server(EMPTY).await;
    let fields = json!({ "query": "a{b=\"c d\"} > 1", "bearerTokenFile": "token" });
    assert_eq!(
        ask(&gate(&format!("{url}/prefix/"), &fields), &folder).await,
        Outcome::Open
    );
    let head = request.await.unwrap();
    assert!(
        head.starts_with("GET /prefix/api/v1/query?query=a%7Bb%3D%22c+d%22%7D+%3E+1&timeout=1s HTTP/1.1"),
        "{head}"
    );
    assert!(head.contains("authorization: Bearer first\r\n"), "{head}");
    fs::write(folder.join("token"), "second").unwrap();
    let (url, request) = server(EMPTY).await;
    ask(&gate(&url, &fields), &folder).await;
    assert!(request.await.unwrap().contains("authorization: Bearer second\r\n"));
    let (url, request) = server(EMPTY).await;
    let fields = json!({ "alerts": {}, "basicAuth": { "usernameFile": "user", "passwordFile": "password" } });
    ask(&gate(&url, &fields), &folder).await;
    let head = request.await.unwrap();
    assert!(
        head.contains("query=ALERTS&") && head.contains("authorization: Basic YW5uYTpwOnc=\r\n"),
        "{head}"
    );
    fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn a_secret_that_is_missing_empty_or_wrong_is_named_and_nothing_is_sent() {
    let folder = secrets("wrong", &[("empty", " \n"), ("lines", "a\nb"), ("ca", "no pem")]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for (fields, words) in [
        (json!({ "bearerTokenFile": "missing" }), "missing cannot be read"),
        (json!({ "bearerTokenFile": "empty" }), "empty is empty"),
        (json!({ "bearerTokenFile": "lines" }), "more than one line"),
        (json!({ "caFile": "ca" }), "caFile ca has no certificate"),
    ] {
        let mut fields = fields;
        fields
            .as_object_mut()
            .unwrap()
            .extend(query().as_object().unwrap().clone());
        let problem = failure(&gate(&url, &fields), &folder).await;
        assert!(problem.contains(words), "{fields}: {problem}");
    }
    let connection = tokio::time::timeout(Duration::from_millis(1), listener.accept()).await;
    assert!(connection.is_err(), "nothing was sent");
    fs::remove_dir_all(folder).unwrap();
}

fn vector(samples: &Value) -> Value {
    json!({ "status": "success", "data": { "resultType": "vector", "result": samples } })
}

fn judged(fields: &Value, body: &Value) -> Outcome {
    let answer = answer::Answer {
        status: http::StatusCode::OK,
        content_type: "application/json".into(),
        body: serde_json::to_vec(body).unwrap().into(),
    };
    answer::judge(&gate("http://p", fields), &answer)
}

#[test]
fn a_query_shuts_the_gate_by_any_result() {
    assert_eq!(judged(&query(), &vector(&json!([]))), Outcome::Open);
    let sample = json!({ "metric": { "job": "a", "node": "n" }, "value": [1.5, "0"] });
    let Outcome::Shut(found) = judged(&query(), &vector(&json!([sample]))) else {
        panic!("open");
    };
    assert_eq!(found.text, "`up == 0` gives 1 result: {job=a,node=n} 0");
}

#[test]
fn a_result_of_another_kind_names_the_remedy() {
    for (kind, remedy) in [
        ("matrix", "without [...]"),
        ("scalar", "write a comparison"),
        ("string", "write a comparison"),
    ] {
        let body = json!({ "status": "success", "data": { "resultType": kind, "result": [] } });
        let Outcome::Failed(problem) = judged(&query(), &body) else {
            panic!("{kind}");
        };
        assert!(problem.contains(kind) && problem.contains(remedy), "{problem}");
    }
}

#[test]
fn a_result_that_may_be_partial_opens_no_gate() {
    let mut body = vector(&json!([]));
    body["warnings"] = json!(["store 10.0.0.1 does not answer"]);
    let Outcome::Failed(problem) = judged(&query(), &body) else {
        panic!("open");
    };
    assert!(problem.contains("store 10.0.0.1"), "{problem}");
    let mut body = vector(&json!([{ "metric": {}, "value": [1, "1"] }]));
    body["warnings"] = json!(["partial"]);
    assert!(matches!(judged(&query(), &body), Outcome::Shut(_)));
}

#[test]
fn no_text_of_a_server_fills_or_breaks_the_line_of_a_status() {
    let long = format!("\u{1b}[2J\n{}", "é".repeat(9_000));
    let alert = serde_json::json!([{ "metric": { "alertname": long, "alertstate": "firing" }, "value": [0, "1"] }]);
    let malformed = serde_json::json!([{ "metric": long, "value": [0, "1"] }]);
    let refused = serde_json::json!({ "status": "error", "errorType": long, "error": long });
    let other = serde_json::json!({ "status": "success", "data": { "resultType": long, "result": [] } });
    for body in [vector(&alert), vector(&malformed), refused, other] {
        for fields in [query(), serde_json::json!({ "alerts": {} })] {
            let text = match judged(&fields, &body) {
                Outcome::Shut(found) => found.text,
                Outcome::Failed(text) => text,
                open @ (Outcome::Open | Outcome::NotNow(_) | Outcome::DaemonPods(_)) => panic!("{body}: {open:?}"),
            };
            assert!(text.len() < 2_000, "{} bytes", text.len());
            assert!(!text.chars().any(char::is_control), "{text:?}");
        }
    }
}

#[test]
fn of_many_alerts_ten_are_named() {
    let alert = |number: u32| json!({ "metric": { "alertname": format!("A{number:02}"), "alertstate": "firing" }, "value": [1, "1"] });
    let alerts = |count: u32| vector(&json!((0..count).map(alert).collect::<Vec<_>>()));
    let Outcome::Shut(found) = judged(&json!({ "alerts": {} }), &alerts(12)) else {
        panic!("open");
    };
    assert!(
        found.text.starts_with("12 alerts are active: A00, A01,") && found.text.ends_with("A09 and 2 more"),
        "{found:?}"
    );
    let Outcome::Shut(found) = judged(&json!({ "alerts": {} }), &alerts(1)) else {
        panic!("open");
    };
    assert_eq!(found.text, "1 alert is active: A00");
    assert_eq!(
        judged(&json!({ "alerts": { "only": "^B" } }), &alerts(3)),
        Outcome::Open
    );
}
