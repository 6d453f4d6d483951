//! The custom resource definitions of the Prometheus operator, against which the tests apply
//! `deploy/components/metrics`. They are plain files in the operator's Go module, pinned as the
//! servers are, and nothing is built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::{cache, go, progress};

const MODULE: &str = "github.com/prometheus-operator/prometheus-operator";
/// The two kinds that the component uses.
const FILES: [&str; 2] = [
    "monitoring.coreos.com_podmonitors.yaml",
    "monitoring.coreos.com_prometheusrules.yaml",
];

/// Fetches them into the cache, once; returns the one file with all of them.
pub(crate) fn ensure() -> Result<PathBuf> {
    let pins = cache::workspace().join("xtask/tools/prometheus-operator");
    let text = fs::read(pins.join("go.sum")).with_context(|| format!("cannot read {}", pins.display()))?;
    let entry = format!("prometheus-operator-{}", cache::fingerprint(&[&text]));
    let folder = cache::entry(&entry, |folder| {
        let mut download = go::go(&pins);
        download.args(["mod", "download", MODULE]);
        let label = "fetching the Prometheus operator's definitions";
        progress::run(label, &mut download, &folder.join("download.log"))?;
        let source = source(&pins)?.join("example/prometheus-operator-crd");
        let mut all = String::new();
        for file in FILES {
            let path = source.join(file);
            all += &fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        fs::write(folder.join("crds.yaml"), all).context("cannot write crds.yaml")
    })?;
    Ok(folder.join("crds.yaml"))
}

/// Where Go keeps the module's files.
fn source(pins: &Path) -> Result<PathBuf> {
    let mut list = go::go(pins);
    let output = list.args(["list", "-m", "-f", "{{.Dir}}", MODULE]).output()?;
    if !output.status.success() {
        bail!(
            "`go list -m {MODULE}`: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
