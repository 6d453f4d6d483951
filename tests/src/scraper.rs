//! A real Prometheus server that scrapes the services of a world as it does in a cluster with the Prometheus operator: with the
//! labels of the repository's PodMonitor, and with the rules of the deploy folder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::http;
use crate::namespaces::{AGENTS, NAMESPACE};
use crate::place::Place;
use crate::ports::free_port;
use crate::process::Process;
use crate::services::Services;
use crate::tools::{repository, tool};

const START_DEADLINE: Duration = Duration::from_secs(30);

/// Each second: Prometheus in a cluster takes half a minute, and no test waits for that.
const INTERVAL: &str = "1s";

/// The running server.
#[derive(Debug)]
pub struct Scraper {
    /// The process.
    pub process: Process,
    port: u16,
}

/// An alert as the server evaluates it.
#[derive(Debug)]
pub struct Alert {
    /// Its name.
    pub name: String,
    /// Its expression.
    pub query: String,
    /// `inactive`, `pending` or `firing`.
    pub state: String,
    /// The error or warning of its last evaluation; empty: none.
    pub fault: String,
}

/// A value by its labels.
pub type Sample = (BTreeMap<String, String>, f64);

impl Scraper {
    /// Starts it. `rules` is the content of a rule file; all services are scraped that run now, also after their restarts.
    pub async fn start(place: &Place, services: &Services, rules: &str) -> Result<Self> {
        let folder = place.folder("scraper")?;
        let rules = place.file("scraper/rules.yml", rules)?;
        let config = json!({
            "global": { "scrape_interval": INTERVAL, "scrape_timeout": INTERVAL, "evaluation_interval": INTERVAL },
            "rule_files": [rules],
            "scrape_configs": [{
                "job_name": "bellwether",
                "honor_labels": true,
                "static_configs": targets(services),
                "relabel_configs": relabelings()?,
            }],
        });
        let config = place.file("scraper/prometheus.yml", config.to_string())?;
        let port = free_port()?;
        let args = vec![
            format!("--config.file={}", config.display()),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--enable-feature=exemplar-storage".to_owned(),
            format!("--storage.tsdb.path={}", folder.join("data").display()),
        ];
        let process = place.start("scraper", tool("prometheus")?, args, BTreeMap::new())?;
        let server = Self { process, port };
        server
            .process
            .while_running("Prometheus to be ready", START_DEADLINE, async || {
                let (status, body) = http::get(server.port, "/-/ready").await?;
                ensure!(status == 200, "{status} {body}");
                Ok(())
            })
            .await?;
        Ok(server)
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The values of an expression now.
    ///
    /// # Errors
    /// Also if the server answers with a warning, such as for a counter that is none.
    pub async fn query(&self, expression: &str) -> Result<Vec<Sample>> {
        let answer = self.ask(&format!("/api/v1/query?query={}", encoded(expression))).await;
        let answer = answer.with_context(|| expression.to_owned())?;
        for kind in ["warnings", "infos"] {
            ensure!(answer.get(kind).is_none_or(Value::is_null), "{expression}: {answer}");
        }
        let result = answer.pointer("/data/result").context("no result")?;
        // A scalar is a value by itself.
        if let Some("scalar") = answer.pointer("/data/resultType").and_then(Value::as_str) {
            return Ok(vec![(BTreeMap::new(), value(result)?)]);
        }
        let samples = result.as_array().context("no list")?;
        samples
            .iter()
            .map(|sample| {
                let labels = sample.get("metric").cloned().unwrap_or_default();
                Ok((
                    serde_json::from_value(labels)?,
                    value(sample.get("value").context("no value")?)?,
                ))
            })
            .collect()
    }

    /// All alerts.
    pub async fn alerts(&self) -> Result<Vec<Alert>> {
        let answer = self.ask("/api/v1/rules").await?;
        let groups = answer.pointer("/data/groups").and_then(Value::as_array);
        let rules = groups
            .context("no groups")?
            .iter()
            .filter_map(|group| group.get("rules")?.as_array());
        let text = |rule: &Value, key| rule.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let alert = |rule: &Value| Alert {
            name: text(rule, "name"),
            query: text(rule, "query"),
            state: text(rule, "state"),
            fault: text(rule, "lastError"),
        };
        Ok(rules.flatten().map(alert).collect())
    }

    async fn ask(&self, path: &str) -> Result<Value> {
        let (status, body) = http::get(self.port, path).await?;
        let answer: Value = serde_json::from_str(&body).with_context(|| format!("{status} {body}"))?;
        let is_success = answer.get("status").and_then(Value::as_str) == Some("success");
        ensure!(status == 200 && is_success, "{status} {body}");
        Ok(answer)
    }
}

/// The number of a sample, which is a time and a text.
fn value(sample: &Value) -> Result<f64> {
    let text = sample.get(1).and_then(Value::as_str).context("no value")?;
    Ok(text.parse()?)
}

/// What the operator's discovery has of each pod, and the labels that it makes of that.
fn targets(services: &Services) -> Vec<Value> {
    let agents = services
        .agents()
        .into_iter()
        .flat_map(|(node, agents)| [agents.sentinel, agents.rebooter].map(|service| (AGENTS, node.clone(), service)));
    let control = services.schedulers.iter().chain(&services.drainers);
    let control = control.map(|service| (NAMESPACE, String::new(), service.clone()));
    let target = |(namespace, node, service): (&str, String, crate::service::Service)| {
        let pod = service.process.name();
        let container = pod.split('-').next().unwrap_or_default().to_owned();
        json!({
            "targets": [format!("127.0.0.1:{}", service.admin_port)],
            "labels": {
                "__meta_kubernetes_pod_container_name": container,
                "__meta_kubernetes_pod_node_name": node,
                "namespace": namespace,
                "pod": pod,
                "container": container,
                "endpoint": "admin",
                "job": "bellwether/bellwether",
            },
        })
    };
    control.chain(agents).map(target).collect()
}

/// The relabelings of the PodMonitor, as Prometheus has them.
fn relabelings() -> Result<Vec<Value>> {
    let file = repository().join("deploy/components/metrics/scrape.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    ensure!(
        text.contains("honorLabels: true"),
        "{} honours no labels",
        file.display()
    );
    let (_, relabelings) = text.split_once("relabelings:\n").context("no relabelings")?;
    let lines: Vec<&str> = relabelings
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let rule = |pair: &[&str]| match pair {
        [source, target] => {
            let source = source
                .strip_prefix("- sourceLabels: [")
                .and_then(|it| it.strip_suffix(']'));
            let target = target.strip_prefix("targetLabel: ");
            let (source, target) = (source.context("no sourceLabels")?, target.context("no targetLabel")?);
            Ok(json!({ "source_labels": [source], "target_label": target }))
        }
        other => bail!("a relabeling of another form: {other:?}"),
    };
    lines.chunks(2).map(rule).collect()
}

/// A text as part of an address.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        // Writing into a string cannot fail.
        write!(encoded, "%{byte:02X}").ok();
    }
    encoded
}

/// The rules of the deploy folder as the content of a rule file.
pub fn rules_of_deploy() -> Result<String> {
    let file = repository().join("deploy/components/metrics/alerts.yaml");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    let (_, groups) = text.split_once("\nspec:\n").context("no spec")?;
    let lines: Vec<&str> = groups
        .lines()
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .collect();
    Ok(lines.join("\n"))
}
