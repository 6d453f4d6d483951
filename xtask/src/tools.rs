//! `cargo xtask tools`: the real servers that the rig starts.
//!
//! They are built into the cache and linked into `<target>/tools`, which is where the rig looks:
//! so the rig needs to know nothing of hashes, and two checkouts may pin different versions.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::go::{KUBERNETES_LDFLAGS, Origin, PLAIN_LDFLAGS};
use crate::{cache, go};

pub(crate) const HELP: &str = "\
Build the real servers that demo and test need.

Usage: cargo xtask tools

Builds etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubectl and nats-server (a
current one, and an old one to be refused) from the Go modules pinned in xtask/tools. Takes about
five minutes on two cores once; afterwards everything comes from the cache.

Environment:
  BELLWETHER_CACHE  Where to keep the binaries [default: ~/.cache/bellwether]
";

const NATS: &str = "github.com/nats-io/nats-server/v2";

const ORIGINS: [Origin; 3] = [
    Origin {
        name: "kubernetes",
        ldflags: KUBERNETES_LDFLAGS,
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
        binaries: &[("nats-server", NATS)],
    },
    Origin {
        name: "nats-old",
        ldflags: PLAIN_LDFLAGS,
        binaries: &[("nats-server-old", NATS)],
    },
];

pub(crate) fn run(args: &[String]) -> Result<()> {
    if let Some(arg) = args.first() {
        bail!("tools takes no argument, but got {arg:?}");
    }
    ensure()
}

/// Builds what is missing and links everything where the rig looks for it.
pub(crate) fn ensure() -> Result<()> {
    let go_version = go::version()?;
    let total = ORIGINS.iter().map(|origin| origin.binaries.len()).sum();
    let links = cache::target_dir().join("tools");
    fs::create_dir_all(&links).with_context(|| format!("cannot create {}", links.display()))?;
    let mut first = 1;
    for origin in &ORIGINS {
        let folder = origin.build(&go_version, first, total)?;
        first += origin.binaries.len();
        for (name, _) in origin.binaries {
            link(&folder.join(name), &links.join(name))?;
        }
    }
    println!("  {total} tools are ready in {}", links.display());
    Ok(())
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
