//! The list of images, and the labels of each.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// One image: one binary of this workspace.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Service {
    /// Its folder in the workspace, and the last part of the image's name.
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// The file, and the only one in the image: `/<binary>`.
    pub(crate) binary: &'static str,
    /// User and group unless a manifest sets others, by number: there is no `/etc/passwd` to look names
    /// up in, and Kubernetes cannot prove that a name is not root.
    pub(crate) user: &'static str,
    /// Where it runs.
    pub(crate) place: RunsOn,
}

/// Where a binary runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RunsOn {
    /// Every node, so its memory counts as often.
    EachNode,
    /// A few nodes, where it does the work of all of them.
    FewNodes,
    /// An operator's machine.
    Desk,
}

impl RunsOn {
    /// Further arguments of the linker.
    pub(crate) fn link_args(&self, tree: &Path) -> Vec<String> {
        match self {
            Self::EachNode => vec![
                // Without the tables by which a stack is unwound: an eighth of the binary, and an agent aborts at a panic.
                format!("-Wl,-T,{}", tree.join("xtask/src/images/agent.ld").display()),
                // Who looks for a backtrace all the same finds none: any function without an effect will do. The names of
                // the functions in a backtrace are stripped anyway.
                "-Wl,--defsym=_Unwind_Backtrace=getpid".to_owned(),
            ],
            Self::FewNodes | Self::Desk => Vec::new(),
        }
    }
}

/// A user without rights: the same as in the manifests.
const UNPRIVILEGED: &str = "65532:65532";

pub(crate) const SERVICES: [Service; 7] = [
    Service {
        name: "sentinel",
        package: "bellwether-sentinel",
        binary: "bellwether-sentinel",
        user: UNPRIVILEGED,
        place: RunsOn::EachNode,
    },
    Service {
        name: "scheduler",
        package: "bellwether-scheduler",
        binary: "bellwether-scheduler",
        user: UNPRIVILEGED,
        place: RunsOn::FewNodes,
    },
    Service {
        name: "drainer",
        package: "bellwether-drainer",
        binary: "bellwether-drainer",
        user: UNPRIVILEGED,
        place: RunsOn::FewNodes,
    },
    Service {
        name: "rebooter",
        package: "bellwether-rebooter",
        binary: "bellwether-rebooter",
        // logind reboots for uid 0 only. A cluster that forbids root pods refuses this one when it starts,
        // not when the first node is drained.
        user: "0:0",
        place: RunsOn::EachNode,
    },
    Service {
        name: "gatekeeper",
        package: "bellwether-gatekeeper",
        binary: "bellwether-gatekeeper",
        user: UNPRIVILEGED,
        place: RunsOn::FewNodes,
    },
    Service {
        name: "notifier",
        package: "bellwether-notifier",
        binary: "bellwether-notifier",
        user: UNPRIVILEGED,
        place: RunsOn::FewNodes,
    },
    Service {
        name: "ctl",
        package: "bellwether-ctl",
        binary: "kubectl-reboots",
        user: UNPRIVILEGED,
        place: RunsOn::Desk,
    },
];

/// Those of `cargo xtask test node`: all that run in a cluster, but for the notifier, which is off by default and whose
/// targets are elsewhere.
pub(crate) fn in_cluster() -> Vec<&'static Service> {
    SERVICES
        .iter()
        .filter(|service| service.place != RunsOn::Desk && service.name != "notifier")
        .collect()
}

/// Reads a list such as `sentinel,ctl`.
pub(crate) fn parse(list: &str) -> Result<Vec<&'static Service>> {
    let mut chosen = Vec::new();
    for name in list.split(',').map(str::trim) {
        let Some(service) = SERVICES.iter().find(|service| service.name == name) else {
            let known = SERVICES.map(|service| service.name).join(", ");
            bail!("there is no image {name:?}: choose among {known}");
        };
        if !chosen.contains(&service) {
            chosen.push(service);
        }
    }
    Ok(chosen)
}

/// The labels' parts that are the same for all images of one run.
pub(crate) struct Origin {
    /// Where the source is, by `--source`.
    pub(crate) source: Option<String>,
    /// The commit, with `-dirty` behind it if files differ from it; none outside a repository.
    pub(crate) revision: Option<String>,
}

impl Service {
    /// The labels of its image, as `key=value`.
    pub(crate) fn labels(&self, workspace: &Path, origin: &Origin) -> Result<Vec<String>> {
        let path = workspace.join(self.name).join("Cargo.toml");
        let manifest = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let description = description(&manifest)
            .with_context(|| format!("{} has no line `description = \"...\"`", path.display()))?;
        let known = [
            ("title", Some(self.binary)),
            ("description", Some(description)),
            ("version", Some(env!("CARGO_PKG_VERSION"))),
            ("licenses", Some(env!("CARGO_PKG_LICENSE"))),
            ("revision", origin.revision.as_deref()),
            ("source", origin.source.as_deref()),
        ];
        let label = |(key, value): (&str, Option<&str>)| Some(format!("org.opencontainers.image.{key}={}", value?));
        Ok(known.into_iter().filter_map(label).collect())
    }
}

/// The description in a manifest of ours, which has it in one line.
fn description(manifest: &str) -> Option<&str> {
    let line = manifest
        .lines()
        .find_map(|line| line.strip_prefix("description = \""))?;
    line.strip_suffix('"')
}

#[cfg(test)]
mod tests {
    use super::{Origin, SERVICES, description, parse};
    use crate::cache;

    #[test]
    fn a_list_chooses_each_image_once_and_unknown_ones_are_named() {
        let names = |list| parse(list).unwrap().iter().map(|s| s.name).collect::<Vec<_>>();
        assert_eq!(names("ctl, sentinel,ctl"), ["ctl", "sentinel"]);
        for list in ["centinel", "sentinel,", ""] {
            let error = parse(list).unwrap_err().to_string();
            assert!(
                error.contains("sentinel, scheduler, drainer, rebooter, gatekeeper, notifier, ctl"),
                "{error}"
            );
        }
    }

    #[test]
    fn every_image_says_what_it_is() {
        let origin = Origin {
            source: None,
            revision: Some("abc".to_owned()),
        };
        for service in &SERVICES {
            let labels = service.labels(&cache::workspace(), &origin).unwrap();
            assert_eq!(labels.len(), 5, "{labels:?}");
            assert!(labels.contains(&"org.opencontainers.image.revision=abc".to_owned()));
        }
    }

    #[test]
    fn a_description_is_found_in_its_line_only() {
        assert_eq!(description("[package]\ndescription = \"Does it.\"\n"), Some("Does it."));
        assert_eq!(description("[package]\n# description = \"no\"\n"), None);
    }
}
