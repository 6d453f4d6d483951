//! The meaning of `brakes`.

use jiff::SignedDuration;

use crate::duration::duration;
use crate::fault::Fault;
use crate::spec::{BrakesSpec, CohortSpec, REBOOTS_PER_DAY};

/// Limits beyond which reboots stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brakes {
    /// The shortest time between two reboots of one node.
    pub min_interval: Option<SignedDuration>,
    /// A node that was rebooted so many times within a day and needs a reboot again is in a loop.
    pub reboots_per_day_max: u32,
    /// So many nodes whose reboot failed stop all nodes of the policy.
    pub failures_max: Option<u32>,
    /// What stops nodes that are alike.
    pub cohort: Option<CohortBrake>,
}

/// What stops nodes that are alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CohortBrake {
    /// Nodes with the same value of one of these labels are a cohort; [`KERNEL_VERSION`](crate::KERNEL_VERSION) is one of them.
    pub labels: Vec<String>,
    /// So many nodes whose reboot failed stop their cohort.
    pub failures_max: u32,
}

impl Brakes {
    /// Longest interval between two reboots of a node: a quarter, in which a node gets security updates at least once.
    const INTERVAL_MAX: SignedDuration = SignedDuration::from_hours(24 * 90);

    /// Most reboots within a day: beyond, a node hardly runs. An attempt record has room for no more.
    const REBOOTS_PER_DAY_MAX: i32 = 10;

    /// The meaning of the fields. Mistakes are noted, and their fields count as absent.
    pub(crate) fn read(spec: Option<&BrakesSpec>, faults: &mut Vec<Fault>) -> Self {
        let Some(spec) = spec else { return Self::default() };
        let min_interval = spec.min_interval.as_deref().and_then(|text| {
            let read = duration(text, "spec.brakes.minInterval", Self::INTERVAL_MAX);
            read.map_err(|fault| faults.push(fault)).ok()
        });
        let reboots = spec.max_reboots_per_day;
        if !(2..=Self::REBOOTS_PER_DAY_MAX).contains(&reboots) {
            faults.push(Fault::new(
                "spec.brakes.maxRebootsPerDay",
                format!(
                    "{reboots} is not between 2 and 10: write such a number; for one reboot a day, minInterval: 24h"
                ),
            ));
        }
        Self {
            min_interval,
            reboots_per_day_max: reboots.unsigned_abs(),
            failures_max: spec
                .max_failures
                .map(|failures| failures_max(failures, "spec.brakes.maxFailures", faults)),
            cohort: spec.cohort.as_ref().map(|cohort| CohortBrake::read(cohort, faults)),
        }
    }
}

impl Default for Brakes {
    /// Those of a policy without the field.
    fn default() -> Self {
        Self {
            min_interval: None,
            reboots_per_day_max: REBOOTS_PER_DAY.unsigned_abs(),
            failures_max: None,
            cohort: None,
        }
    }
}

impl CohortBrake {
    fn read(spec: &CohortSpec, faults: &mut Vec<Fault>) -> Self {
        const LABELS: &str = "spec.brakes.cohort.labels";
        if spec.labels.is_empty() {
            faults.push(Fault::new(
                LABELS,
                "empty: name a label, or leave labels out for kernel, instance type and zone",
            ));
        }
        for (index, label) in spec.labels.iter().enumerate() {
            let field = format!("{LABELS}[{index}]");
            if label.is_empty() {
                faults.push(Fault::new(field, "empty: name a label of nodes"));
            } else if spec.labels.iter().take(index).any(|before| before == label) {
                faults.push(Fault::new(
                    field,
                    format!("`{label}` is listed twice: remove one of them"),
                ));
            }
        }
        Self {
            labels: spec.labels.clone(),
            failures_max: failures_max(spec.max_failures, "spec.brakes.cohort.maxFailures", faults),
        }
    }
}

/// Most failures before a stop: a policy that permits more has no brake.
const FAILURES_MAX: i32 = 100;

fn failures_max(failures: i32, field: &str, faults: &mut Vec<Fault>) -> u32 {
    if !(1..=FAILURES_MAX).contains(&failures) {
        let message =
            format!("{failures} is not between 1 and {FAILURES_MAX}: write such a number, or leave the field out");
        faults.push(Fault::new(field, message));
    }
    failures.unsigned_abs()
}
