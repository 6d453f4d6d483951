//! All disruption budgets of the cluster, by one watch for the whole service.

use std::sync::Arc;

use bellwether_chassis::Chassis;
use bellwether_drainer_core::Watched;
use bellwether_drainer_core::budget::{BudgetView, Budgets};
use futures_util::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use super::client::WATCH_SECONDS;
use super::watch::{trouble, view};

/// The budgets as they are now; or why they are not known, for operators.
pub(crate) type KnownBudgets = watch::Receiver<Result<Arc<Budgets>, String>>;

/// Watches until the service stops.
pub(crate) fn watched(chassis: &Chassis, client: Client) -> KnownBudgets {
    let (sender, receiver) = watch::channel(Err("disruption budgets have not been listed yet".to_owned()));
    chassis.spawn("budgets", watch_all(chassis.clone(), client, sender));
    receiver
}

async fn watch_all(
    chassis: Chassis,
    client: Client,
    known: watch::Sender<Result<Arc<Budgets>, String>>,
) -> anyhow::Result<()> {
    let config = Config::default().timeout(WATCH_SECONDS);
    let events = watcher(Api::<PodDisruptionBudget>::all(client), config).default_backoff();
    let mut events = events.take_until(chassis.stop.cancelled()).boxed();
    let mut collected = Collected::default();
    let mut fault = None;
    while let Some(event) = events.next().await {
        // All that are there already, so that a burst is one change for each drain.
        let mut next = Some(event);
        while let Some(event) = next {
            match event.map_err(trouble) {
                Ok(event) => {
                    if let Some(event) = view(event, BudgetView::of) {
                        // A list that begins is no answer of the API server yet.
                        fault.take_if(|_| !matches!(event, Watched::ListStarted));
                        collected.handle(event);
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "Disruption budgets cannot be watched, trying again");
                    fault = Some(format!("disruption budgets cannot be watched: {error}"));
                }
            }
            next = events.next().now_or_never().flatten();
        }
        let now = match &fault {
            Some(fault) => Err(fault.clone()),
            None if collected.is_complete => Ok(Arc::new(collected.budgets.clone())),
            None => continue,
        };
        drop(known.send_replace(now));
    }
    Ok(())
}

/// The budgets that the watch has shown so far.
#[derive(Debug, Default)]
struct Collected {
    budgets: Budgets,
    /// A list that has begun and not ended.
    listing: Budgets,
    /// A whole list has come in.
    is_complete: bool,
}

impl Collected {
    fn handle(&mut self, event: Watched<BudgetView>) {
        match event {
            Watched::ListStarted => self.listing = Budgets::default(),
            Watched::Listed(budget) => self.listing.insert(budget),
            Watched::ListEnded => {
                self.budgets = std::mem::take(&mut self.listing);
                self.is_complete = true;
            }
            Watched::Changed(budget) => self.budgets.insert(budget),
            Watched::Deleted(budget) => self.budgets.remove(&budget.key()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn budgets_are_known_once_the_list_is_whole_and_a_new_list_replaces_them_only_at_its_end() {
        let mut collected = Collected::default();
        collected.handle(Watched::ListStarted);
        collected.handle(Watched::Listed(budget("web")));
        assert!(!collected.is_complete);
        collected.handle(Watched::ListEnded);
        collected.handle(Watched::Changed(budget("api")));
        assert!(collected.is_complete);
        assert_eq!(names(&collected), ["api", "web"]);
        collected.handle(Watched::Deleted(budget("web")));
        assert_eq!(names(&collected), ["api"]);
        collected.handle(Watched::ListStarted);
        assert_eq!(names(&collected), ["api"]);
        collected.handle(Watched::ListEnded);
        assert!(names(&collected).is_empty());
    }

    fn budget(name: &str) -> BudgetView {
        let budget = json!({ "metadata": { "name": name, "namespace": "shop" } });
        BudgetView::of(&serde_json::from_value(budget).unwrap()).unwrap()
    }

    fn names(collected: &Collected) -> Vec<String> {
        collected.budgets.iter().map(|budget| budget.key().1).collect()
    }
}
