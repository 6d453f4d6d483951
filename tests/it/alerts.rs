//! The alerts and the dashboard of the deploy folder: promtool shows that each fires for its fault and not without it, each has a section
//! among the runbooks, and every metric that one of them reads is one that a service publishes once the service has done its work.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use rig::place::Place;
use rig::{scraper, tools};
use serde_json::Value;

use crate::fleet::Fleet;
use crate::metrics;

/// The tests for promtool.
const TESTS: &str = include_str!("alerts.yaml");

const RUNBOOKS: &str = include_str!("../../docs/alerts.md");

fn file() -> PathBuf {
    tools::repository().join("deploy/components/metrics/alerts.yaml")
}

/// The names of the alerts.
fn names(text: &str) -> BTreeSet<&str> {
    let names = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    names.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_alert_fires_for_its_fault_and_not_without_it_and_has_a_runbook() -> Result<()> {
    let text = fs::read_to_string(file())?;
    let alerts = names(&text);
    ensure!(alerts.len() > 15, "{alerts:?}");
    for alert in &alerts {
        let fires = format!("alertname=\"{alert}\"");
        ensure!(TESTS.contains(&fires), "tests/it/alerts.yaml has no test of {alert}");
        let runbook = format!("runbook: docs/alerts.md#{}\n", alert.to_lowercase());
        ensure!(text.contains(&runbook), "no {runbook}");
    }
    let sections: BTreeSet<&str> = RUNBOOKS.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    ensure!(sections == alerts, "{sections:?}");

    let place = Place::new()?;
    place.file("rules.yaml", scraper::rules_of_deploy()?)?;
    let tests = place.file("tests.yaml", TESTS)?;
    let mut promtool = Command::new(tools::tool("promtool")?);
    let output = promtool.args(["test", "rules"]).arg(tests).output()?;
    ensure!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    place.finish();
    Ok(())
}

#[test]
fn each_query_of_the_dashboard_is_one_and_reads_only_metrics_of_the_page() -> Result<()> {
    let queries = queries_of_dashboard()?;
    ensure!(queries.len() > 15, "{queries:?}");
    let known = metrics::names_of_the_page();
    for query in queries {
        let mut promtool = Command::new(tools::tool("promtool")?);
        let output = promtool.args(["--experimental", "promql", "format", &query]).output()?;
        ensure!(
            output.status.success(),
            "{query}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let unknown = metrics_of(&query).find(|metric| !known.contains(metric));
        ensure!(unknown.is_none(), "docs/metrics.md has no {unknown:?} of {query}");
    }
    Ok(())
}

/// The queries of the dashboard's panels.
pub(crate) fn queries_of_dashboard() -> Result<Vec<String>> {
    let file = tools::repository().join("deploy/components/metrics/dashboard.yaml");
    let text = fs::read_to_string(file)?;
    let (_, dashboard) = text.split_once("bellwether.json: |\n").context("no dashboard")?;
    let dashboard: Value = serde_json::from_str(dashboard)?;
    let panels = dashboard.get("panels").and_then(Value::as_array).context("no panels")?;
    let targets = panels
        .iter()
        .filter_map(|panel| panel.get("targets")?.as_array())
        .flatten();
    let queries = targets.filter_map(|target| target.get("expr")?.as_str());
    Ok(queries.map(str::to_owned).collect())
}

/// The names of our metrics in a query, those of histograms without a suffix.
fn metrics_of(query: &str) -> impl Iterator<Item = String> {
    let words = query.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours = words.filter(|word| word.starts_with("bellwether_"));
    ours.map(|word| word.trim_end_matches("_bucket").to_owned())
}

/// To be called at the end of a story in which every service has done its work.
pub(crate) async fn read_only_metrics_that_exist(fleet: &Fleet) -> Result<()> {
    let text = fs::read_to_string(file())?;
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let read: BTreeSet<&str> = words.filter(|word| word.starts_with("bellwether_")).collect();
    assert!(read.len() > 5, "{read:?}");
    let mut shown = String::new();
    for service in fleet.services.schedulers.iter().chain(&fleet.services.drainers) {
        shown += &service.metrics().await?;
    }
    for metric in read.into_iter().filter(|metric| !metrics::OF_FAULTS.contains(metric)) {
        let mut names = shown.lines().filter_map(|line| line.split(['{', ' ']).next());
        assert!(names.any(|name| name == metric), "no service shows {metric}:\n{shown}");
    }
    Ok(())
}
