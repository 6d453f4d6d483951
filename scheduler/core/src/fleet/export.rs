//! Handing on what a core was given: a driver that loads its records again keeps its watches, and the next core
//! gets from this one what they have shown.

use std::sync::Arc;

use crate::fleet::Fleet;
use crate::input::Input;

impl Fleet {
    /// The newest view of every node, the newest reports, what older ones have shown, the rivals and the policies, as
    /// inputs for the next core. Records, orders and decisions are not among them.
    pub fn into_observed(self) -> impl Iterator<Item = Input> {
        let policies = self.blockers.policies.into_views();
        let rivals = self.blockers.rivals.into_iter().map(Arc::unwrap_or_clone).collect();
        let members = self.members.into_values().flat_map(|mut member| {
            let memory = member.node.as_ref().map(|node| Input::Memory {
                node: node.name.clone(),
                memory: std::mem::take(&mut member.memory),
            });
            let node = member.node.take().map(Input::Node);
            let rebooter = member.rebooter.take().map(Input::Rebooter);
            let sentinel = member.into_reported().map(Input::Sentinel);
            [node, sentinel, rebooter, memory].into_iter().flatten()
        });
        [Input::Rivals(rivals), Input::Policies(policies)]
            .into_iter()
            .chain(members)
    }
}

#[cfg(test)]
mod tests {
    use bellwether_proto::{Attempt, AttemptRef, Generation, HostReport, NeedReport, RebooterReport, TraceParent};
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::observed::{NodeView, PolicyView, StoredReport};
    use crate::policy::Policy;
    use crate::rival::{Rival, RivalKind};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn node() -> Input {
        Input::Node(NodeView {
            name: "n1".parse().unwrap(),
            uid: "u1".parse().unwrap(),
            ready: true,
            ready_since: None,
            unschedulable: false,
            cordoned_for: None,
            labels: Default::default(),
            taints: Vec::new(),
            conditions: Default::default(),
            our_conditions: Default::default(),
            orders: None,
            annotations: Default::default(),
            control_plane: false,
            deleting: false,
            boot_id: None,
            kernel: String::new(),
            os: String::new(),
        })
    }

    fn sentinel() -> Input {
        let report = HostReport {
            node: "n1".parse().unwrap(),
            boot_id: "b".parse().unwrap(),
            reported_at: NOW,
            booted_at: None,
            refresh_interval: SignedDuration::from_mins(5),
            need: NeedReport::NotRequired,
            kernel_running: String::new(),
            kernel_installed: None,
            os: String::new(),
            agent_version: String::new(),
            probes: Vec::new(),
            services_to_restart: Vec::new(),
        };
        Input::Sentinel(StoredReport { report, stored_at: NOW })
    }

    fn rebooter() -> Input {
        let report = RebooterReport {
            node: "n1".parse().unwrap(),
            boot_id: "b".parse().unwrap(),
            reported_at: NOW,
            refresh_interval: SignedDuration::from_mins(5),
            method: String::new(),
            problem: None,
            agent_version: String::new(),
            record_keys: None,
            boot: None,
            kinds: Vec::new(),
            soft_reboots: None,
        };
        Input::Rebooter(StoredReport { report, stored_at: NOW })
    }

    fn rivals() -> Input {
        let rival = Rival {
            kind: RivalKind::Bellwether,
            namespace: "kube-system".into(),
            name: "kured".into(),
        };
        Input::Rivals([rival].into())
    }

    fn policies() -> Input {
        Input::Policies(vec![PolicyView {
            name: "nights".to_owned(),
            generation: 1,
            spec: serde_json::json!({ "priority": 1 }),
        }])
    }

    #[test]
    fn the_next_core_gets_what_was_observed_and_no_record() {
        let mut fleet = Fleet::new(Policy::default(), "test".into());
        let attempt = AttemptRef {
            node: "n1".parse().unwrap(),
            node_uid: "u1".parse().unwrap(),
            attempt: bellwether_proto::AttemptId::new(&"u1".parse().unwrap(), Generation(1), NOW),
            generation: Generation(1),
        };
        let trace = TraceParent {
            trace_id: [1; 16],
            span_id: [1; 8],
            sampled: true,
        };
        let attempt = Attempt::new(attempt, "b".parse().unwrap(), NOW, trace);
        let observed = [rivals(), policies(), node(), sentinel(), rebooter()];
        for input in observed.iter().cloned().chain([Input::Attempt(Box::new(attempt))]) {
            fleet.handle_input(input, NOW);
        }
        let handed_on: Vec<_> = fleet.into_observed().collect();
        assert_eq!(handed_on[..observed.len()], observed);
        // The next core, a minute later, remembers the same.
        let mut next = Fleet::new(Policy::default(), "test".into());
        for input in handed_on.iter().cloned() {
            next.handle_input(input, NOW + SignedDuration::from_mins(1));
        }
        assert_eq!(next.into_observed().collect::<Vec<_>>(), handed_on);
    }
}
