//! The tools that all commands of this process share.

use bellwether_chassis::Chassis;
use bellwether_drainer_core::DrainSettings;

use crate::kube::budgets::KnownBudgets;
use crate::kube::client::Clients;
use crate::kube::namespaces::KnownOwners;
use crate::kube::sets::KnownSets;
use crate::kube::volumes::KnownVolumes;
use crate::metrics::Metrics;
use crate::places::Places;
use crate::throttle::Throttle;
use crate::turns::Turns;

/// The tools that all commands of this process share.
#[derive(Clone)]
pub(crate) struct Tools {
    pub(crate) chassis: Chassis,
    pub(crate) clients: Clients,
    pub(crate) metrics: Metrics,
    pub(crate) throttle: Throttle,
    pub(crate) budgets: KnownBudgets,
    pub(crate) volumes: KnownVolumes,
    pub(crate) sets: KnownSets,
    pub(crate) owners: KnownOwners,
    pub(crate) turns: Turns,
    pub(crate) places: Places,
    pub(crate) drains: DrainSettings,
}
