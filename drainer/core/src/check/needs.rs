//! Which budget has to give how many disruptions.

use crate::budget::{Asked, BudgetView, Budgets};
use crate::pod::NodePod;

/// What the pods of one node need of the budgets.
#[derive(Debug, Default)]
pub(super) struct Needs<'a> {
    /// Pods with several budgets, which the API server never evicts.
    pub(super) of_several: Vec<(&'a NodePod, Vec<&'a BudgetView>)>,
    /// Budgets with the pods that each has to let go; not those of which no pod asks.
    pub(super) of_one: Vec<(&'a BudgetView, Vec<&'a NodePod>)>,
    /// Pods that go without asking a budget.
    pub(super) free: Vec<&'a NodePod>,
}

impl<'a> Needs<'a> {
    /// Reads the needs of these pods.
    pub(super) fn of(pods: &'a [NodePod], budgets: &'a Budgets) -> Self {
        let mut needs = Self::default();
        for pod in pods.iter().filter(|pod| pod.has_to_go()) {
            match budgets.asked_by(pod) {
                Asked::Nothing => needs.free.push(pod),
                Asked::Several(all) => needs.of_several.push((pod, all)),
                Asked::One(budget) => {
                    let known = needs.of_one.iter_mut().find(|(of, _)| std::ptr::eq(*of, budget));
                    match known {
                        Some((_, asking)) => asking.push(pod),
                        None => needs.of_one.push((budget, vec![pod])),
                    }
                }
            }
        }
        needs
    }
}
