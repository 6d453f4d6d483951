//! `cargo xtask tools`: the real servers that the rig starts.
//!
//! They are built into the cache and linked into `<target>/tools`, which is where the rig looks:
//! so the rig needs to know nothing of hashes, and two checkouts may pin different versions.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::go::{KUBERNETES_LDFLAGS, OWN, Origin, PLAIN_LDFLAGS};
use crate::{cache, go, prometheus};

pub(crate) const HELP: &str = "\
Build the real servers that demo and test need.

Usage: cargo xtask tools

Builds etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl, nats-server (a current
one, and an old one to be refused), prometheus, promtool and an OpenTelemetry collector from the Go modules pinned in
xtask/tools. Takes about ten minutes on two cores once; afterwards everything comes from the cache.

Environment:
  BELLWETHER_CACHE  Where to keep the binaries [default: ~/.cache/bellwether]
";

const NATS: &str = "github.com/nats-io/nats-server/v2";

/// The servers of the rig: built for demo and test.
const RIG: [Origin; 5] = [
    Origin {
        name: "kubernetes",
        ldflags: KUBERNETES_LDFLAGS,
        tags: "",
        binaries: &[
            ("etcd", "go.etcd.io/etcd/server/v3"),
            ("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
            (
                "kube-controller-manager",
                "k8s.io/kubernetes/cmd/kube-controller-manager",
            ),
            ("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
            ("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
        ],
    },
    Origin {
        name: "nats",
        ldflags: PLAIN_LDFLAGS,
        tags: "",
        binaries: &[("nats-server", NATS)],
    },
    Origin {
        name: "nats-old",
        ldflags: PLAIN_LDFLAGS,
        tags: "",
        binaries: &[("nats-server-old", NATS)],
    },
    Origin {
        name: "prometheus",
        ldflags: PLAIN_LDFLAGS,
        // Without the clients of all clouds, which no test needs.
        tags: "remove_all_sd",
        binaries: &[
            ("prometheus", "github.com/prometheus/prometheus/cmd/prometheus"),
            ("promtool", "github.com/prometheus/prometheus/cmd/promtool"),
        ],
    },
    Origin {
        name: "collector",
        ldflags: PLAIN_LDFLAGS,
        tags: "",
        binaries: &[("collector", OWN)],
    },
];

/// The tool that makes, moves and serves images: built for the verbs that need it.
const CRANE: Origin = Origin {
    name: "images",
    ldflags: PLAIN_LDFLAGS,
    tags: "",
    binaries: &[("crane", "github.com/google/go-containerregistry/cmd/crane")],
};

/// The programs of a real node.
const NODE: Origin = Origin {
    name: "node",
    ldflags: KUBERNETES_LDFLAGS,
    tags: "",
    binaries: &[
        ("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
        ("kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"),
    ],
};

/// The tool that checks and packages the chart.
const HELM: Origin = Origin {
    name: "helm",
    ldflags: PLAIN_LDFLAGS,
    tags: "",
    binaries: &[("helm", "helm.sh/helm/v4/cmd/helm")],
};

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        bail!("tools takes no argument, but got {arg:?}");
    }
    ensure()
}

/// Builds the missing servers of the rig, and links all of them to where the rig looks for them.
pub(crate) fn ensure() -> Result<()> {
    ensure_all(&RIG)?;
    link(&prometheus::ensure()?, &links().join("prometheus-operator-crds.yaml"))
}

/// Builds `crane`, a client and a small server of image registries; returns its program.
pub(crate) fn ensure_crane() -> Result<PathBuf> {
    ensure_all(&[CRANE])?;
    Ok(links().join("crane"))
}

/// Builds `helm`; returns its program.
pub(crate) fn ensure_helm() -> Result<PathBuf> {
    ensure_all(&[HELM])?;
    Ok(links().join("helm"))
}

/// Builds kubelet and kube-proxy; returns their folder.
pub(crate) fn ensure_node() -> Result<PathBuf> {
    NODE.build(&go::version()?, 1, NODE.binaries.len())
}

/// Links the disk of a machine to where the rig looks for it.
pub(crate) fn link_node_image(image: &Path) -> Result<()> {
    link(image, &links().join("node-image"))
}

fn ensure_all(origins: &[Origin]) -> Result<()> {
    let go_version = go::version()?;
    let total = origins.iter().map(|origin| origin.binaries.len()).sum();
    let links = links();
    fs::create_dir_all(&links).with_context(|| format!("cannot create {}", links.display()))?;
    let mut first = 1;
    for origin in origins {
        let folder = origin.build(&go_version, first, total)?;
        first += origin.binaries.len();
        for (name, _) in origin.binaries {
            link(&folder.join(name), &links.join(name))?;
        }
    }
    println!("  {total} tools are ready in {}", links.display());
    Ok(())
}

/// Where programs are found by their plain names.
fn links() -> PathBuf {
    cache::target_dir().join("tools")
}

/// Points `link` to `binary`; by rename, so that a reader never finds it missing.
fn link(binary: &Path, link: &Path) -> Result<()> {
    if fs::read_link(link).is_ok_and(|old| old == binary) {
        return Ok(());
    }
    let fresh = link.with_extension(format!("new-{}", std::process::id()));
    symlink(binary, &fresh).with_context(|| format!("cannot link {}", fresh.display()))?;
    fs::rename(&fresh, link).with_context(|| format!("cannot link {}", link.display()))
}
