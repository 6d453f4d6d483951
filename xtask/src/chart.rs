//! `cargo xtask chart`: the Helm chart, made from the kustomize base.
//!
//! There is one truth: `deploy/base`. `deploy/chart/values.schema.json` says which of its places are
//! values, and what they mean; templates and `values.yaml` are made from both and never committed.
//! What the chart renders with its defaults is compared with the base each time.

mod compare;
mod document;
mod template;
mod values;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{cache, tools};
use document::Document;
use values::Value;

pub(crate) const HELP: &str = "\
Make the Helm chart from deploy/base, and prove that both render the same.

Usage: cargo xtask chart

Writes <target>/chart/bellwether (the chart), <target>/chart/bellwether-<version>.tgz (packaged).
Builds helm from the Go module pinned in xtask/tools/helm, once.
";

/// The base, and what the chart renders with its defaults.
const BASE: &str = "deploy/base";
/// What is written by hand.
const SOURCE: &str = "deploy/chart";

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        bail!("chart takes no argument, but got {arg:?}");
    }
    tools::ensure()?;
    let chart = make()?;
    println!("  the chart is in {}", chart.display());
    Ok(())
}

/// Makes the chart, checks and packages it; returns the package. Wants the tools to be there.
pub(crate) fn make() -> Result<PathBuf> {
    let helm = tools::ensure_helm()?;
    let folder = cache::target_dir().join("chart");
    let chart = folder.join("bellwether");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(chart.join("templates"))?;

    let base = kustomize(BASE)?;
    let values = values::from_schema(&read("values.schema.json")?, &base)?;
    let overlays = overlays(&values)?;
    let files = [
        ("Chart.yaml", read("Chart.yaml")?),
        ("values.schema.json", read("values.schema.json")?),
        ("values.yaml", values::file(&values)?),
        ("templates/NOTES.txt", read("NOTES.txt")?),
        ("templates/bellwether.yaml", template::file(&base, &overlays, &values)?),
    ];
    for (name, text) in files {
        let path = chart.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }

    let version = env!("CARGO_PKG_VERSION");
    output(Command::new(&helm).args(["lint", "--strict"]).arg(&chart))?;
    same(&helm, &chart, &[], &base, BASE)?;
    for (value, overlay, documents) in &overlays {
        let set = format!("{}=true", value.dotted());
        same(&helm, &chart, &["--set", &set], documents, overlay)?;
    }
    heeds_values(&helm, &chart)?;
    let package = Command::new(&helm)
        .arg("package")
        .arg(&chart)
        .args(["--version", version, "--app-version", version, "--destination"])
        .arg(&folder)
        .output();
    let package = package.context("cannot start helm")?;
    if !package.status.success() {
        bail!(
            "helm package failed: {}",
            String::from_utf8_lossy(&package.stderr).trim()
        );
    }
    Ok(folder.join(format!("bellwether-{version}.tgz")))
}

/// The overlays that boolean values stand for, rendered.
fn overlays(values: &[Value]) -> Result<Vec<(&Value, &str, Vec<Document>)>> {
    let named = values.iter().filter_map(|value| Some((value, value.overlay()?)));
    named
        .map(|(value, overlay)| Ok((value, overlay, kustomize(overlay)?)))
        .collect()
}

/// Fails unless the chart, with these arguments, renders what kustomize renders from `folder`.
fn same(helm: &Path, chart: &Path, args: &[&str], expected: &[Document], folder: &str) -> Result<()> {
    let rendered = output(
        Command::new(helm)
            .args(["template", "bellwether"])
            .arg(chart)
            .args(args),
    )?;
    let differences = compare::differences(expected, &document::parse(&rendered)?);
    if differences.is_empty() {
        println!(
            "  helm template{} renders what {folder} renders",
            args.iter().map(|arg| format!(" {arg}")).collect::<String>()
        );
        return Ok(());
    }
    bail!(
        "the chart does not render what {folder} renders:\n  {}",
        differences.join("\n  ")
    );
}

/// Fails unless values of each kind arrive, and a misspelt one is refused by its name.
fn heeds_values(helm: &Path, chart: &Path) -> Result<()> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let set = format!(
        "createNamespaces=false,networkPolicies.enabled=false,scheduler.replicas=5,\
         settings.BELLWETHER_LOG=debug,drainer.image.digest={digest},drainer.extraEnv[0].name=EXTRA"
    );
    let template = || {
        let mut command = Command::new(helm);
        command.args(["template", "bellwether"]).arg(chart);
        command
    };
    let rendered = output(template().args(["--set", &set]))?;
    let documents = document::parse(&rendered)?;
    let is_there = |kind: &str| documents.iter().any(|document| document.kind() == kind);
    if is_there("Namespace") || is_there("NetworkPolicy") {
        bail!("a value that switches objects off is not heeded");
    }
    let image = format!("bellwether.invalid/drainer@{digest}");
    for wanted in [
        "replicas: 5",
        "\"BELLWETHER_LOG\":\"debug\"",
        "\"name\":\"EXTRA\"",
        &image,
    ] {
        if !rendered.contains(wanted) {
            bail!("`--set {set}` does not render {wanted}");
        }
    }
    let misspelt = template().args(["--set", "schedulr.replicas=3"]).output()?;
    let said = String::from_utf8_lossy(&misspelt.stderr);
    if misspelt.status.success() || !said.contains("schedulr") {
        bail!("a misspelt value is not refused by its name: {said}");
    }
    println!("  values arrive, and a misspelt one is refused");
    Ok(())
}

fn kustomize(folder: &str) -> Result<Vec<Document>> {
    let kubectl = cache::target_dir().join("tools/kubectl");
    let text = output(
        Command::new(kubectl)
            .arg("kustomize")
            .arg(cache::workspace().join(folder)),
    )?;
    document::parse(&text).with_context(|| format!("what {folder} renders cannot be read"))
}

fn read(name: &str) -> Result<String> {
    let path = cache::workspace().join(SOURCE).join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{program} failed: {}", String::from_utf8_lossy(&said).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} wrote no text"))
}
