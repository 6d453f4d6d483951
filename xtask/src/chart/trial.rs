//! The finished chart, tried with values as users set them.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use super::{document, output};
use crate::cache;
use crate::reference::PLACEHOLDER;

/// Shows values files, each a fenced block below this heading.
const GUIDE: (&str, &str) = ("docs/install.md", "\n## With Helm\n");

/// Values that do not exist or contradict each other, and what the refusal has to name.
const REFUSED: [(&str, &str); 2] = [
    ("schedulr.replicas=3", "schedulr"),
    // Two ways to NATS, of which one leads nowhere.
    ("nats.enabled=true,nats.existing=true", "existing"),
];

/// Fails unless values of each kind arrive, and wrong ones are refused by their name.
pub(super) fn heeds_values(helm: &Path, chart: &Path) -> Result<()> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let set = format!(
        "createNamespaces=false,networkPolicies.enabled=false,scheduler.replicas=5,\
         settings.BELLWETHER_LOG=debug,drainer.image.digest={digest},drainer.extraEnv[0].name=EXTRA"
    );
    let rendered = output(template(helm, chart).args(["--set", &set]))?;
    let documents = document::parse(&rendered)?;
    let is_there = |kind: &str| documents.iter().any(|document| document.kind() == kind);
    if is_there("Namespace") || is_there("NetworkPolicy") {
        bail!("a value that switches objects off is not heeded");
    }
    let image = format!("{PLACEHOLDER}/drainer@{digest}");
    let wanted = [
        ("replicas: 5", 1),
        ("\"BELLWETHER_LOG\":\"debug\"", 2),
        ("\"name\":\"EXTRA\"", 1),
        (&image, 1),
    ];
    counts(&rendered, &set, &wanted)?;

    let set = "nats.enabled=true,nats.image.repository=mirror/nats,nats.goMemoryLimit=900MiB,\
               nats.volumeClaim.storageClassName=fast,imagePullSecrets[0].name=registry,metrics.enabled=true,\
               metrics.labels.release=prometheus,metrics.namespace=observability,narrowRights.enabled=true,\
               narrowRights.keptNamespaces=['ledger'],nats.gatekeeper.image.repository=mirror/gatekeeper,\
               settings.BELLWETHER_LOG=debug";
    let rendered = output(template(helm, chart).args(["--set", set]))?;
    let wanted = [
        ("mirror/nats:", 1),
        ("\"900MiB\"", 1),
        ("\"storageClassName\":\"fast\"", 1),
        // All five workloads.
        ("\"name\":\"registry\"", 5),
        ("\"release\":\"prometheus\"", 2),
        ("\"observability\"", 2),
        ("['ledger']", 1),
        ("mirror/gatekeeper:", 1),
        // What the overlay sets counts, and so does what the user sets beside.
        ("tls://nats.bellwether.svc:4222", 2),
        ("\"BELLWETHER_LOG\":\"debug\"", 2),
    ];
    counts(&rendered, set, &wanted)?;

    for (set, name) in REFUSED {
        let refused = template(helm, chart).args(["--set", set]).output()?;
        let errors = String::from_utf8_lossy(&refused.stderr);
        if refused.status.success() || !errors.contains(name) {
            bail!("`--set {set}` is not refused by the name {name}: {errors}");
        }
    }
    println!("  values arrive, and wrong ones are refused");
    Ok(())
}

/// Fails unless the chart takes each values file that the guide shows, and the one for an own NATS brings
/// its credentials to all four services and opens the way.
pub(super) fn takes_what_is_documented(helm: &Path, chart: &Path, folder: &Path) -> Result<()> {
    let (page, heading) = GUIDE;
    let text = fs::read_to_string(cache::workspace().join(page)).with_context(|| format!("cannot read {page}"))?;
    let (_, text) = text
        .split_once(heading)
        .with_context(|| format!("{page} has no {:?}", heading.trim()))?;
    let blocks: Vec<&str> = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("```")?.0))
        .collect();
    let file = folder.join("documented-values.yaml");
    let mut with_credentials = 0;
    for block in &blocks {
        fs::write(&file, block).with_context(|| format!("cannot write {}", file.display()))?;
        let rendered = output(template(helm, chart).arg("--values").arg(&file))
            .with_context(|| format!("{page} shows values that the chart refuses:\n{block}"))?;
        if block.contains("BELLWETHER_NATS_CREDENTIALS") {
            with_credentials += 1;
            let wanted = [
                ("\"secretName\":\"bellwether-nats\"", 4),
                ("\"mountPath\":\"/etc/bellwether/nats\"", 4),
                ("name: to-nats", 2),
            ];
            counts(&rendered, page, &wanted)?;
        }
    }
    ensure!(with_credentials == 1, "{page} shows no values for an own NATS");
    println!("  the {} values files of {page} are taken", blocks.len());
    Ok(())
}

fn template(helm: &Path, chart: &Path) -> Command {
    let mut command = Command::new(helm);
    command.args(["template", "bellwether"]).arg(chart);
    command
}

/// Fails unless each text is rendered so many times.
fn counts(rendered: &str, with: &str, wanted: &[(&str, usize)]) -> Result<()> {
    for (text, times) in wanted {
        let found = rendered.matches(text).count();
        if found != *times {
            bail!("with {with} the chart renders {text} {found} times instead of {times}");
        }
    }
    Ok(())
}
