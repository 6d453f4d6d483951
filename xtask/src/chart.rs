//! `cargo xtask chart`: the Helm chart, made from the kustomize base.
//!
//! `deploy/base` is the one source. `deploy/chart/values.schema.json` lists which of its places are
//! values, and their meaning; templates and `values.yaml` are made from both and never committed.
//! Each run compares the chart, rendered with its defaults and with each value that stands for an overlay,
//! with the base and that overlay.

mod compare;
mod document;
mod template;
mod trial;
mod values;

use std::collections::BTreeMap;
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

/// The base, which the chart renders with its defaults.
const BASE: &str = "deploy/base";
/// The files of the chart that are written by hand.
const SOURCE: &str = "deploy/chart";

/// A boolean value that stands for an overlay.
pub(crate) struct Switch<'a> {
    value: &'a Value,
    /// The folder of the overlay.
    name: &'a str,
    /// All objects that the overlay renders.
    all: &'a [Document],
    /// How it differs from the base.
    difference: &'a Difference,
}

/// How an overlay differs from the base.
pub(crate) struct Difference {
    /// Its objects that are not in the base.
    added: Vec<Document>,
    /// Its objects that are others in the base.
    changed: Vec<Document>,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        bail!("chart takes no argument, but got {arg:?}");
    }
    tools::ensure()?;
    let chart = make()?;
    println!("  the chart is in {}", chart.display());
    Ok(())
}

/// Makes the chart, checks and packages it; returns the package. The tools have to be built.
pub(crate) fn make() -> Result<PathBuf> {
    let helm = tools::ensure_helm()?;
    let folder = cache::target_dir().join("chart");
    let chart = folder.join("bellwether");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(chart.join("templates"))?;

    let base = kustomize(BASE)?;
    let schema = read("values.schema.json")?;
    let mut overlays = BTreeMap::new();
    let mut objects = base.clone();
    for name in values::overlays(&schema)? {
        let all = kustomize(&name)?;
        let difference = template::difference(&base, &all);
        objects.extend_from_slice(&difference.added);
        overlays.insert(name, (all, difference));
    }
    let values = values::from_schema(&schema, &objects)?;
    let switches = values.iter().filter_map(|value| {
        let (name, (all, difference)) = overlays.get_key_value(value.overlay()?)?;
        Some(Switch {
            value,
            name,
            all,
            difference,
        })
    });
    let switches: Vec<Switch<'_>> = switches.collect();
    let files = [
        ("Chart.yaml", read("Chart.yaml")?),
        ("values.schema.json", schema),
        ("values.yaml", values::file(&values)?),
        ("templates/NOTES.txt", read("NOTES.txt")?),
        ("templates/bellwether.yaml", template::file(&base, &switches, &values)?),
    ];
    for (name, text) in files {
        let path = chart.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }

    let version = env!("CARGO_PKG_VERSION");
    output(Command::new(&helm).args(["lint", "--strict"]).arg(&chart))?;
    same(&helm, &chart, &[], &base, BASE)?;
    for Switch { value, name, all, .. } in switches {
        let set = format!("{}=true", value.dotted());
        same(&helm, &chart, &["--set", &set], all, name)?;
    }
    trial::heeds_values(&helm, &chart)?;
    trial::takes_what_is_documented(&helm, &chart, &folder)?;
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
        let printed = [output.stdout, output.stderr].concat();
        bail!("{program} failed: {}", String::from_utf8_lossy(&printed).trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{program} wrote no text"))
}
