//! All disruption budgets of the cluster, by one watch for the whole service.

use std::sync::Arc;
use std::time::Duration;

use bellwether_chassis::{Backoff, Chassis};
use bellwether_drainer_core::budget::{BudgetView, Budgets};
use bellwether_drainer_core::{ApiFault, Watched};
use futures_util::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::runtime::watcher::{self, Config, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;

use super::client::WATCH_SECONDS;
use super::watch::{trouble, view};

/// Longest wait before the budgets are listed again after a fault.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(10);

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
    let mut backoff = Backoff::up_to(RETRY_DELAY_MAX);
    loop {
        let mut collected = Collected::default();
        let config = Config::default().timeout(WATCH_SECONDS);
        let events = watcher(Api::<PodDisruptionBudget>::all(client.clone()), config);
        let mut events = events.take_until(chassis.stop.cancelled()).boxed();
        let error = loop {
            match next_burst(&mut events, &mut collected).await {
                // A list that begins is no answer of the API server yet.
                Burst::Events if !collected.is_complete => (),
                Burst::Events => {
                    backoff.reset();
                    drop(known.send_replace(Ok(Arc::new(collected.budgets.clone()))));
                }
                Burst::Fault(error) => break error,
                Burst::Stopped => return Ok(()),
            }
        };
        // A watch that works again shows nothing as long as no budget changes, so only a new list ends the fault.
        tracing::warn!(%error, "Disruption budgets cannot be watched, listing them again");
        drop(known.send_replace(Err(format!("disruption budgets cannot be watched: {error}"))));
        if !chassis.sleep(backoff.after_failure()).await {
            return Ok(());
        }
    }
}

/// What a watch has shown at once.
enum Burst {
    Events,
    Fault(ApiFault),
    Stopped,
}

/// Takes in all events that are there together, so that they are one change for each drain.
async fn next_burst(
    events: &mut BoxStream<'_, watcher::Result<Event<PodDisruptionBudget>>>,
    collected: &mut Collected,
) -> Burst {
    let Some(mut event) = events.next().await else {
        return Burst::Stopped;
    };
    loop {
        match event.map_err(trouble) {
            Ok(event) => {
                if let Some(event) = view(event, BudgetView::of) {
                    collected.handle(event);
                }
            }
            Err(fault) => return Burst::Fault(fault),
        }
        match events.next().now_or_never().flatten() {
            Some(next) => event = next,
            None => return Burst::Events,
        }
    }
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
