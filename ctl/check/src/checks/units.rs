//! Units of systemd that have failed on the nodes' hosts, as the rebooters report them.

use bellwether_proto::wire::{BootReport, NodeStatus};

use crate::check::Check;
use crate::code::Code;
use crate::facts::Facts;
use crate::finding::{Finding, Topic};
use crate::group::{Groups, names};
use crate::text;

pub(crate) const CHECK: Check = Check {
    name: "units",
    needs_kubernetes: false,
    find: findings,
};

/// One finding for all nodes with the same units.
fn findings(facts: &Facts) -> Vec<Finding> {
    let mut groups = Groups::new();
    for status in facts.statuses() {
        if let Some(units) = failed_units(status) {
            groups.add(units, &status.node);
        }
    }
    let finding = |(units, nodes): (String, Vec<String>)| {
        let found = format!("units of systemd have failed: {units}");
        let remedy = "on the host: systemctl --failed, then systemctl status UNIT";
        Topic::Agents.warning(Code::UnitsFailed, format!("host of {}", names(&nodes)), found, remedy)
    };
    groups.into_iter().map(finding).collect()
}

/// None: no unit has failed, or that is not known now.
fn failed_units(status: &NodeStatus) -> Option<String> {
    let units = &shown_boot(status)?.failed_units;
    (!units.is_empty()).then(|| text::one_line(&units.join(", ")))
}

/// What the host of a node shows of its boot; none: nothing, or the report is stale.
pub(crate) fn shown_boot(status: &NodeStatus) -> Option<&BootReport> {
    status.rebooter.as_ref().filter(|agent| !agent.stale)?;
    status.boot.as_ref()
}

#[cfg(test)]
mod tests {
    use bellwether_proto::wire::{Agent, ListNodesResponse};

    use super::*;
    use crate::facts::FleetAnswer;

    fn status(node: &str, units: &[&str], stale: bool) -> NodeStatus {
        NodeStatus {
            node: node.to_owned(),
            rebooter: Some(Agent {
                stale,
                ..Default::default()
            }),
            boot: Some(BootReport {
                failed_units: units.iter().map(|&unit| unit.to_owned()).collect(),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn nodes_with_the_same_failed_units_are_one_warning_and_a_stale_report_is_none() {
        let nodes = vec![
            status("node-1", &["smartd.service"], false),
            status("node-2", &["smartd.service"], false),
            status("node-3", &["a.mount"], true),
            status("node-4", &[], false),
        ];
        let mut facts = crate::testing::facts();
        facts.fleet = Ok(FleetAnswer {
            leader: String::new(),
            list: ListNodesResponse {
                nodes,
                ..Default::default()
            },
        });
        let [finding] = &findings(&facts)[..] else {
            panic!("not one");
        };
        assert_eq!(
            (finding.code, &*finding.subject),
            (Code::UnitsFailed, "host of node-1, node-2")
        );
        assert!(finding.found.ends_with("smartd.service"), "{finding:?}");
    }
}
