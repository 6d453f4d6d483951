//! Versions of our own parts: one minor apart works and is tested, more is not.

use crate::facts::Facts;
use crate::finding::{Finding, Groups, Topic, names};
use crate::object::images;
use crate::checks::workloads::{DRAINER, PARTS, Part, SCHEDULER};

/// A version as people and tags write it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    patch: u64,
}

impl Version {
    /// Reads `v1.36.3`, `2.12.8-alpine` or `1.30`; nothing if it is no version.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let numbers = bare.split(['-', '+', '_']).next()?;
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        let patch = numbers.next().flatten().unwrap_or_default();
        Some(Self { major, minor, patch })
    }

    /// How many minor versions lie between; more than any if the major differs.
    fn apart(self, other: Self) -> u64 {
        if self.major == other.major {
            self.minor.abs_diff(other.minor)
        } else {
            u64::MAX
        }
    }
}

/// The tag of an image; nothing if it is named by digest alone.
fn tag(image: &str) -> Option<&str> {
    let name = image.split('@').next()?;
    let (_, tag) = name.rsplit('/').next()?.split_once(':')?;
    Some(tag)
}

/// What is told by programs is compared; what tags of images say is at most worth knowing, since a
/// registry may count in its own way.
pub(crate) fn findings(facts: &Facts) -> Vec<Finding> {
    let mut told: Vec<(String, String)> = vec![("kubectl reboots".to_owned(), env!("CARGO_PKG_VERSION").to_owned())];
    if let Ok(reached) = &facts.fleet {
        told.push(("scheduler".to_owned(), reached.list.scheduler_version.clone()));
    }
    for node in facts.statuses() {
        for (name, agent) in [("sentinel", &node.sentinel), ("rebooter", &node.rebooter)] {
            if let Some(agent) = agent {
                told.push((format!("{name} on {}", node.node), agent.version.clone()));
            }
        }
    }
    let mut findings = compare(&told);
    findings.extend(tags(facts, &told));
    findings
}

/// The tags of images whose parts do not tell their version: the drainer never does, and the others do
/// so through the leading scheduler.
fn tags(facts: &Facts, told: &[(String, String)]) -> Option<Finding> {
    let of = |part: &Part| facts.workload(part).into_iter().flat_map(images).filter_map(tag);
    let known: Vec<Version> = told.iter().filter_map(|(_, version)| Version::read(version)).collect();
    let of_scheduler: Vec<&str> = of(&SCHEDULER).collect();
    let mut groups = Groups::new();
    for part in &PARTS {
        for tag in of(part) {
            // Who has the scheduler's tag is of its build, in whatever way that is counted.
            let told = facts.fleet.is_ok() && (part.component != DRAINER.component || of_scheduler.contains(&tag));
            if !told && Version::read(tag).is_some_and(|version| !known.contains(&version)) {
                groups.add(tag, part.component);
            }
        }
    }
    let differ: Vec<String> = groups
        .into_iter()
        .map(|(tag, parts)| format!("{tag}: {}", names(&parts)))
        .collect();
    (!differ.is_empty()).then(|| {
        Topic::Versions.warning(
            "tags of images",
            format!("other than all versions that are told: {}", differ.join("; ")),
            "nothing, if your registry counts in its own way; else wait for the upgrade, or apply one overlay",
        )
    })
}

fn compare(told: &[(String, String)]) -> Vec<Finding> {
    let mut groups = Groups::new();
    for (who, version) in told {
        if let Some(version) = Version::read(version) {
            groups.add(version, who);
        }
    }
    let mut groups: Vec<(Version, Vec<String>)> = groups.into_iter().collect();
    groups.sort_by_key(|(version, _)| *version);
    let (Some((oldest, _)), Some((newest, _))) = (groups.first(), groups.last()) else {
        return vec![];
    };
    let Version { major, minor, patch } = newest;
    if groups.len() == 1 {
        return vec![Topic::Versions.ok("versions", format!("{major}.{minor}.{patch} everywhere it is told"))];
    }
    let all: Vec<String> = groups
        .iter()
        .map(|(it, who)| format!("{}.{}.{}: {}", it.major, it.minor, it.patch, names(who)))
        .collect();
    let found = all.join("; ");
    vec![if oldest.apart(*newest) > 1 {
        Topic::Versions.problem(
            "versions",
            format!("more than one minor version apart, which nobody has tested: {found}"),
            "bring all of them to one version: apply one overlay, and install its `kubectl reboots`",
        )
    } else {
        Topic::Versions.warning(
            "versions",
            found,
            "kubectl rollout status of each workload, if an upgrade is under way; else apply one overlay",
        )
    }]
}

#[cfg(test)]
mod tests {
    use bellwether_proto::wire::ListNodesResponse;
    use serde_json::json;

    use crate::facts::Reached;
    use crate::finding::Severity;
    use super::*;

    fn severity(told: &[(&str, &str)]) -> Option<Severity> {
        let told: Vec<_> = told
            .iter()
            .map(|(who, version)| ((*who).to_owned(), (*version).to_owned()))
            .collect();
        compare(&told).first().map(|finding| finding.severity)
    }

    #[test]
    fn versions_are_read_as_people_write_them() {
        let read = |text| Version::read(text).map(|it| (it.major, it.minor, it.patch));
        assert_eq!(read("v1.36.3"), Some((1, 36, 3)));
        assert_eq!(read("2.12.8-alpine"), Some((2, 12, 8)));
        assert_eq!(read("1.30"), Some((1, 30, 0)));
        for other in ["", "dev", "latest", "7"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn a_tag_is_not_a_port_and_not_a_digest() {
        assert_eq!(tag("registry:5000/bellwether/drainer"), None);
        assert_eq!(tag("registry:5000/bellwether/drainer:0.2.0"), Some("0.2.0"));
        assert_eq!(tag("bellwether/drainer:0.2.0@sha256:abc"), Some("0.2.0"));
        assert_eq!(tag("bellwether/drainer@sha256:abc"), None);
    }

    #[test]
    fn one_minor_apart_is_a_warning_and_two_are_a_problem() {
        assert_eq!(
            severity(&[("a", "0.1.0"), ("b", "0.1.0"), ("c", "dev")]),
            Some(Severity::Ok)
        );
        assert_eq!(severity(&[("a", "0.1.0"), ("b", "0.1.1")]), Some(Severity::Warning));
        assert_eq!(severity(&[("a", "0.1.0"), ("b", "0.2.0")]), Some(Severity::Warning));
        assert_eq!(severity(&[("a", "0.1.0"), ("b", "0.3.0")]), Some(Severity::Problem));
        assert_eq!(severity(&[("a", "0.9.0"), ("b", "1.0.0")]), Some(Severity::Problem));
        assert_eq!(severity(&[("a", "dev")]), None);
    }

    #[test]
    fn whoever_differs_is_named() {
        let told = [("scheduler", "0.3.0"), ("rebooter on node-1", "0.1.0")];
        let told: Vec<_> = told.map(|(who, version)| (who.to_owned(), version.to_owned())).into();
        let finding = compare(&told).remove(0);
        assert!(
            finding.found.ends_with("0.1.0: rebooter on node-1; 0.3.0: scheduler"),
            "{finding:?}"
        );
    }

    fn deployed(images: [(&str, &str); 2], scheduler: Option<&str>) -> Vec<Finding> {
        let mut facts = Facts::for_tests();
        let workload = |(component, image): (&str, &str)| {
            json!({
                "kind": "Deployment", "metadata": { "name": component, "namespace": "bellwether" },
                "spec": { "template": { "spec": { "containers": [{ "image": image }] } } },
            })
        };
        facts.workloads.objects = images.map(workload).into();
        facts.fleet = match scheduler {
            Some(version) => Ok(Reached {
                list: ListNodesResponse {
                    scheduler_version: version.to_owned(),
                    ..Default::default()
                },
                ..Default::default()
            }),
            None => Err("not reached".to_owned()),
        };
        findings(&facts)
    }

    #[test]
    fn a_registry_may_count_in_its_own_way() {
        let own = env!("CARGO_PKG_VERSION");
        let counted = [
            ("scheduler", "mirror/scheduler:2026.11.22"),
            ("drainer", "mirror/drainer:2026.11.22"),
        ];
        let told = deployed(counted, Some(own));
        assert!(
            told.iter().all(|it| it.severity == Severity::Ok),
            "by its own word: {told:?}"
        );
        let unreached = deployed(counted, None);
        assert!(
            unreached.iter().all(|it| it.severity < Severity::Problem),
            "{unreached:?}"
        );
        let last = unreached.last().unwrap();
        assert!(last.found.ends_with("2026.11.22: scheduler, drainer"), "{last:?}");
    }

    #[test]
    fn a_drainer_whose_tag_is_of_another_version_is_a_warning() {
        let own = env!("CARGO_PKG_VERSION");
        let image = format!("bellwether/scheduler:{own}");
        let other = deployed([("scheduler", &image), ("drainer", "acme/drainer:1.4.0")], Some(own));
        let last = other.last().unwrap();
        assert_eq!(
            (last.severity, last.subject.as_str()),
            (Severity::Warning, "tags of images")
        );
        assert!(last.found.ends_with("1.4.0: drainer"), "{last:?}");
        let fitting = format!("acme/drainer:{own}-another");
        let same = deployed([("scheduler", &image), ("drainer", &fitting)], Some(own));
        assert_eq!(same.len(), 1, "{same:?}");
    }
}
