//! The fields below `brakes`: limits beyond which the reboots of a node, of similar nodes, or of all nodes of a policy stop.

use serde::{Deserialize, Serialize};

#[cfg(feature = "schema")]
use crate::rules::DURATION;

/// Most reboots of a node within 24 hours, unless a policy says otherwise.
pub(crate) const REBOOTS_PER_DAY: i32 = 3;

/// Limits beyond which reboots stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BrakesSpec {
    /// The shortest time between two reboots of one node, such as 24h. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(regex(pattern = DURATION), length(max = 32)))]
    pub min_interval: Option<String>,

    /// A node that was rebooted so many times within 24 hours and needs a reboot again is in a loop: the node is held
    /// until an operator cancels.
    #[serde(default = "reboots_per_day")]
    #[cfg_attr(feature = "schema", schemars(range(min = 2, max = 10)))]
    pub max_reboots_per_day: i32,
}

fn reboots_per_day() -> i32 {
    REBOOTS_PER_DAY
}
