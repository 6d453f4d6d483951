//! All disruption budgets of the cluster, by one watch for the whole service.

use std::sync::Arc;

use bellwether_chassis::Chassis;
use bellwether_drainer_core::budget::{BudgetView, Budgets};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;

use super::shared::{self, Collection, Shared};

/// The budgets as they are now; or why they are not known, for operators.
pub(crate) type KnownBudgets = Shared<Arc<Budgets>>;

/// Watches until the service stops.
pub(crate) fn watched(chassis: &Chassis, client: Client) -> KnownBudgets {
    shared::watched(chassis, client, "budgets")
}

// Each drain keeps the budgets by which it decided last; a change copies them as long as one does.
impl Collection for Arc<Budgets> {
    type Object = PodDisruptionBudget;
    type View = BudgetView;
    const NAME: &'static str = "Disruption budgets";

    fn view(object: &PodDisruptionBudget) -> Option<BudgetView> {
        BudgetView::of(object)
    }

    fn insert(&mut self, view: BudgetView) -> bool {
        Self::make_mut(self).insert(view);
        true
    }

    fn remove(&mut self, view: &BudgetView) -> bool {
        Self::make_mut(self).remove(&view.key());
        true
    }
}
