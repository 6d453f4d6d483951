//! How long a kubelet may delay the shutdown of its host, as the rebooters report it.

use bellwether_proto::ShutdownDelay;
use bellwether_proto::wire::NodeStatus;

use crate::check::Check;
use crate::checks::units::shown_boot;
use crate::code::Code;
use crate::facts::Facts;
use crate::finding::{Finding, Topic};
use crate::group::{Groups, names};

pub(crate) const CHECK: Check = Check {
    name: "shutdowns",
    needs_kubernetes: false,
    find: findings,
};

/// One finding for all nodes with the same limit.
fn findings(facts: &Facts) -> Vec<Finding> {
    let mut groups = Groups::new();
    for status in facts.statuses() {
        if let Some(max) = short(status) {
            groups.add(max, &status.node);
        }
    }
    let finding = |(max, nodes): (String, Vec<String>)| {
        let found = format!("the kubelet delays shutdowns for its pods, and logind ends such a delay after {max}");
        let remedy = "on the host: raise InhibitDelayMaxSec in /etc/systemd/logind.conf.d to the kubelet's \
                      shutdownGracePeriod, in a file that sorts behind all others, then systemctl restart systemd-logind";
        let subject = format!("host of {}", names(&nodes));
        Topic::Agents.warning(Code::ShutdownDelayShort, subject, found, remedy)
    };
    groups.into_iter().map(finding).collect()
}

/// None: long enough, or not known now.
fn short(status: &NodeStatus) -> Option<String> {
    let delay = ShutdownDelay::from_wire(shown_boot(status)?.shutdown_delay.clone()?).ok()?;
    delay.cuts_kubelet().then(|| format!("{:#}", delay.max))
}

#[cfg(test)]
mod tests {
    use bellwether_proto::wire::{self, Agent, BootReport, ListNodesResponse};

    use super::*;
    use crate::facts::FleetAnswer;

    fn status(node: &str, seconds: i64, holder: &str, stale: bool) -> NodeStatus {
        NodeStatus {
            node: node.to_owned(),
            rebooter: Some(Agent {
                stale,
                ..Default::default()
            }),
            boot: Some(BootReport {
                shutdown_delay: Some(wire::ShutdownDelay {
                    max: Some(bellwether_proto::to_duration(jiff::SignedDuration::from_secs(seconds))),
                    holders: vec![holder.to_owned()],
                }),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn a_kubelet_that_gets_no_more_than_the_default_of_logind_is_a_warning() {
        let nodes = vec![
            status("node-1", 5, "kubelet", false),
            status("node-2", 5, "kubelet", false),
            status("node-3", 30, "kubelet", false),
            status("node-4", 5, "apt", false),
            status("node-5", 5, "kubelet", true),
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
            (Code::ShutdownDelayShort, "host of node-1, node-2")
        );
        assert!(finding.found.ends_with("after 5s"), "{finding:?}");
    }
}
