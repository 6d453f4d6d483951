//! The meaning of `brakes`.

use jiff::SignedDuration;

use crate::duration::duration;
use crate::fault::Fault;
use crate::spec::{BrakesSpec, REBOOTS_PER_DAY};

/// Limits beyond which reboots stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brakes {
    /// The shortest time between two reboots of one node.
    pub min_interval: Option<SignedDuration>,
    /// A node that was rebooted so many times within a day and needs a reboot again is in a loop.
    pub reboots_per_day_max: u32,
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
        }
    }
}

impl Default for Brakes {
    /// Those of a policy without the field.
    fn default() -> Self {
        Self {
            min_interval: None,
            reboots_per_day_max: REBOOTS_PER_DAY.unsigned_abs(),
        }
    }
}
