//! Versions of our own parts: one minor apart works and is tested, more is not.

use crate::check::Check;
use crate::code::Code;
use crate::facts::Facts;
use crate::finding::{Finding, Topic};
use crate::group::{Groups, names};
use crate::part::{DRAINER, PARTS, Part, SCHEDULER};
use crate::version::Version;

pub(crate) const CHECK: Check = Check {
    name: "versions",
    needs_kubernetes: false,
    find: findings,
};

/// A part, and the version that it reports.
type Reported = (String, String);

/// The tag of an image; `None` if it is named by digest alone.
fn tag(image: &str) -> Option<&str> {
    let name = image.split('@').next()?;
    let (_, tag) = name.rsplit('/').next()?.split_once(':')?;
    Some(tag)
}

/// The versions that programs report are compared; tags of images are at most worth knowing, since a
/// registry may count in its own way.
fn findings(facts: &Facts) -> Vec<Finding> {
    let mut reported: Vec<Reported> = Vec::new();
    if let Some(version) = &facts.tool_version {
        reported.push(("kubectl reboots".to_owned(), version.clone()));
    }
    if let Ok(answer) = &facts.fleet {
        reported.push(("scheduler".to_owned(), answer.list.scheduler_version.clone()));
    }
    for node in facts.statuses() {
        for (name, agent) in [("sentinel", &node.sentinel), ("rebooter", &node.rebooter)] {
            if let Some(agent) = agent {
                reported.push((format!("{name} on {}", node.node), agent.version.clone()));
            }
        }
    }
    let mut findings = compare(&reported);
    findings.extend(tags(facts, &reported));
    findings
}

/// The tags of images whose parts do not report their version: the drainer never does, and the others do
/// so through the leading scheduler.
fn tags(facts: &Facts, reported: &[Reported]) -> Option<Finding> {
    let of = |part: &Part| {
        let workload = facts.workload(part).into_iter();
        workload.flat_map(|workload| workload.images()).filter_map(tag)
    };
    let known: Vec<Version> = reported
        .iter()
        .filter_map(|(_, version)| Version::read(version))
        .collect();
    let of_scheduler: Vec<&str> = of(&SCHEDULER).collect();
    let mut groups = Groups::new();
    for part in &PARTS {
        for tag in of(part) {
            // An image with the scheduler's tag is of its build, in whatever way that is counted.
            let reports = facts.fleet.is_ok() && (part.component != DRAINER.component || of_scheduler.contains(&tag));
            if !reports && Version::read(tag).is_some_and(|version| !known.contains(&version)) {
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
            Code::ImageTagsDiffer,
            "tags of images",
            format!("other than all versions that are reported: {}", differ.join("; ")),
            "nothing, if your registry counts in its own way; else wait for the upgrade, or apply one overlay",
        )
    })
}

fn compare(reported: &[Reported]) -> Vec<Finding> {
    let mut groups = Groups::new();
    for (part, version) in reported {
        if let Some(version) = Version::read(version) {
            groups.add(version, part);
        }
    }
    let mut groups: Vec<(Version, Vec<String>)> = groups.into_iter().collect();
    groups.sort_by_key(|(version, _)| *version);
    let (Some((oldest, _)), Some((newest, _))) = (groups.first(), groups.last()) else {
        return vec![];
    };
    let Version { major, minor, patch } = newest;
    if groups.len() == 1 {
        let found = format!("{major}.{minor}.{patch} everywhere it is reported");
        return vec![Topic::Versions.ok("versions", found)];
    }
    let all: Vec<String> = groups
        .iter()
        .map(|(it, parts)| format!("{}.{}.{}: {}", it.major, it.minor, it.patch, names(parts)))
        .collect();
    let found = all.join("; ");
    vec![if oldest.minors_apart(*newest) > 1 {
        Topic::Versions.problem(
            Code::VersionsApart,
            "versions",
            format!("more than one minor version apart, which is not tested: {found}"),
            "bring all of them to one version: apply one overlay, and install its `kubectl reboots`",
        )
    } else {
        Topic::Versions.warning(
            Code::VersionsDiffer,
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

    use super::*;
    use crate::facts::FleetAnswer;
    use crate::finding::Severity;
    use crate::testing::objects;

    const OWN: &str = env!("CARGO_PKG_VERSION");

    fn severity(reported: &[(&str, &str)]) -> Option<Severity> {
        let reported: Vec<_> = reported
            .iter()
            .map(|(part, version)| ((*part).to_owned(), (*version).to_owned()))
            .collect();
        compare(&reported).first().map(|finding| finding.severity)
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
    fn each_part_that_differs_is_named() {
        let reported = [("scheduler", "0.3.0"), ("rebooter on node-1", "0.1.0")];
        let reported: Vec<_> = reported
            .map(|(part, version)| (part.to_owned(), version.to_owned()))
            .into();
        let finding = compare(&reported).remove(0);
        assert!(
            finding.found.ends_with("0.1.0: rebooter on node-1; 0.3.0: scheduler"),
            "{finding:?}"
        );
    }

    fn deployed(images: [(&str, &str); 2], scheduler: Option<&str>) -> Vec<Finding> {
        let mut facts = crate::testing::facts();
        facts.tool_version = Some(OWN.to_owned());
        let workload = |(component, image): (&str, &str)| {
            json!({
                "kind": "Deployment", "metadata": { "name": component, "namespace": "bellwether" },
                "spec": { "template": { "spec": { "containers": [{ "image": image }] } } },
            })
        };
        facts.workloads.objects = objects(images.map(workload));
        facts.fleet = match scheduler {
            Some(version) => Ok(FleetAnswer {
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
        let counted = [
            ("scheduler", "mirror/scheduler:2026.11.22"),
            ("drainer", "mirror/drainer:2026.11.22"),
        ];
        let reached = deployed(counted, Some(OWN));
        assert!(
            reached.iter().all(|it| it.severity == Severity::Ok),
            "the scheduler reports its version: {reached:?}"
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
        let image = format!("bellwether/scheduler:{OWN}");
        let other = deployed([("scheduler", &image), ("drainer", "acme/drainer:1.4.0")], Some(OWN));
        let last = other.last().unwrap();
        assert_eq!(
            (last.severity, last.subject.as_str()),
            (Severity::Warning, "tags of images")
        );
        assert!(last.found.ends_with("1.4.0: drainer"), "{last:?}");
        let fitting = format!("acme/drainer:{OWN}-another");
        let same = deployed([("scheduler", &image), ("drainer", &fitting)], Some(OWN));
        assert_eq!(same.len(), 1, "{same:?}");
    }
}
