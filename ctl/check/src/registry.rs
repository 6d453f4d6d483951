//! The one list of checks.

use crate::check::Check;
use crate::checks::{
    agents, clocks, cordons, keys, kubernetes, leader, narrow, nats, pods, reading, rights, rivals, settings,
    shutdowns, trust, units, versions, workloads,
};

/// All checks, in the order of the report: from the cluster inwards to each node.
pub const CHECKS: &[Check] = &[
    kubernetes::CHECK,
    reading::CHECK,
    workloads::CHECK,
    pods::CHECK,
    settings::CHECK,
    rights::CHECK,
    narrow::CHECK,
    leader::CHECK,
    keys::CHECK,
    versions::CHECK,
    nats::CHECK,
    trust::CHECK,
    agents::CHECK,
    units::CHECK,
    shutdowns::CHECK,
    clocks::CHECK,
    rivals::CHECK,
    cordons::CHECK,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let names: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).collect();
        assert_eq!(names.len(), CHECKS.len());
    }
}
