//! The load of the cluster: thirty pods for each node, under every kind of controller and budget, and the controller of
//! those pods that Kubernetes has none for.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};
use rig::kubelet::{READY_AFTER, TERMINATION};
use rig::workload::{NAMESPACE, Workload};
use rig::world::World;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};

use crate::judge::Budget;
use crate::witness::Witness;

/// How often the custom controller looks.
const KEEPER_TICK: Duration = Duration::from_millis(500);

/// Pods without a controller, and pods of a controller that Kubernetes does not know.
const BARE: &str = "bare";
const CUSTOM: &str = "custom";

/// Pods that can never be evicted, each on a node of its own: their nodes are never drained.
const FROZEN: &str = "frozen";
const TWICE: &str = "twice";
const UNCOUNTED: &str = "uncounted";

/// The nodes, from the first, that the pods above keep.
pub(crate) const KEPT_NODES: usize = 3;

/// The sizes of everything, by the number of nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    nodes: u32,
}

impl Load {
    pub(crate) fn new(nodes: u32) -> Self {
        Self { nodes }
    }

    /// All pods.
    pub(crate) fn pods(self) -> usize {
        self.count(30) + KEPT_NODES
    }

    /// The budgets, with the numbers of pods that have to be healthy by what the soak asks for.
    pub(crate) fn budgets(self) -> Vec<Budget> {
        let budget = |name: &str, desired: usize| Budget {
            name: name.to_owned(),
            app: name.to_owned(),
            desired,
        };
        let few = self.few();
        let mut budgets = vec![
            // Kubernetes rounds up the tenth that may be missing, and the part that has to be there.
            budget("web", self.count(6) - self.count(6).div_ceil(10)),
            budget("api", (self.count(4) * 9).div_ceil(10)),
            budget("cache", self.count(4) - few),
            budget("db", self.count(2) - few),
            budget("queue", self.count(1) - few),
            budget(CUSTOM, self.count(3) - 2 * few),
        ];
        let kept = [
            (FROZEN, FROZEN),
            ("twice-1", TWICE),
            ("twice-2", TWICE),
            (UNCOUNTED, UNCOUNTED),
        ];
        budgets.extend(kept.map(|(name, app)| Budget {
            name: name.to_owned(),
            app: app.to_owned(),
            desired: 1,
        }));
        budgets
    }

    /// Creates all of it, but for the pods of [`Self::keep`].
    pub(crate) async fn create(self, world: &World) -> Result<()> {
        let app = |name: &str, each: u32| Workload::new(name).replicas(self.nodes * each);
        let few = self.few();
        for name in ["logs", "metrics"] {
            world.create(&Workload::new(name).daemon_set()?).await?;
        }
        let web = app("web", 6)
            .annotate(TERMINATION, "300ms")
            .annotate(READY_AFTER, "500ms");
        world
            .create(&web.budget("web", json!({ "maxUnavailable": "10%" }))?)
            .await?;
        world.create(&web.deployment()?).await?;
        let api = app("api", 4);
        world
            .create(&api.budget("api", json!({ "minAvailable": "90%" }))?)
            .await?;
        world.create(&api.deployment()?).await?;
        let cache = app("cache", 4).annotate(READY_AFTER, "1s");
        world
            .create(&cache.budget("cache", json!({ "maxUnavailable": few }))?)
            .await?;
        world.create(&cache.deployment()?).await?;
        world.create(&app("free", 5).deployment()?).await?;
        let db = app("db", 2).annotate(TERMINATION, "2s").annotate(READY_AFTER, "1s");
        world
            .create(&db.budget("db", json!({ "maxUnavailable": few }))?)
            .await?;
        world.create(&db.stateful_set()?).await?;
        let queue = app("queue", 1).annotate(TERMINATION, "1s");
        let least = self.count(1) - few;
        world
            .create(&queue.budget("queue", json!({ "minAvailable": least }))?)
            .await?;
        world.create(&queue.stateful_set()?).await?;
        world.create(&app("batch", 2).job()?).await?;
        let custom = app(CUSTOM, 3);
        let least = self.count(3) - 2 * few;
        world
            .create(&custom.budget(CUSTOM, json!({ "minAvailable": least }))?)
            .await?;
        self.create_kept(world).await
    }

    async fn create_kept(self, world: &World) -> Result<()> {
        let on = |name: &str, node: usize| anyhow::Ok(Workload::new(name).on_node(world.host(node)?.name()));
        let frozen = on(FROZEN, 0)?;
        world
            .create(&frozen.budget(FROZEN, json!({ "maxUnavailable": 0 }))?)
            .await?;
        world.create(&frozen.deployment()?).await?;
        let twice = on(TWICE, 1)?;
        for name in ["twice-1", "twice-2"] {
            world
                .create(&twice.budget(name, json!({ "maxUnavailable": 1 }))?)
                .await?;
        }
        world.create(&twice.deployment()?).await?;
        // The API server cannot count what is wanted of a controller without a scale.
        let uncounted = on(UNCOUNTED, 2)?;
        let budget = uncounted.budget(UNCOUNTED, json!({ "maxUnavailable": "50%" }))?;
        world.create(&budget).await.map(drop)
    }

    /// The controller of bare pods and of those of a custom owner: creates what is missing, for as long as the task
    /// lives.
    pub(crate) async fn keep(self, world: &World, witness: &Witness) -> Result<()> {
        let owners: Api<ConfigMap> = Api::namespaced(world.client(), NAMESPACE);
        let owner: ConfigMap = serde_json::from_value(json!({ "metadata": { "name": CUSTOM } }))?;
        let owner = owners.create(&PostParams::default(), &owner).await?;
        let owner = owner.uid().context("an object without a UID")?;
        let pods: Api<Pod> = Api::namespaced(world.client(), NAMESPACE);
        let mut ticks = interval(KEEPER_TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            // The next look repeats what the API server does not take now, or had already.
            for pod in self.missing(world, witness, &owner)? {
                pods.create(&PostParams::default(), &pod).await.ok();
            }
        }
    }

    fn missing(self, world: &World, witness: &Witness, owner: &str) -> Result<Vec<Pod>> {
        let mut missing = Vec::new();
        let uncounted = Workload::new(UNCOUNTED).on_node(world.host(2)?.name());
        let reference = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": CUSTOM, "uid": owner, "controller": true,
        }]);
        let apps = [
            (BARE, Workload::new(BARE), self.count(1), None),
            (CUSTOM, Workload::new(CUSTOM), self.count(3), Some(&reference)),
            (UNCOUNTED, uncounted, 1, Some(&reference)),
        ];
        for (app, workload, count, owner) in apps {
            let there = witness.judge().names(app);
            // Each pod has its own name for good, so that a view that lags creates none too many.
            let names = (1..=count).map(|number| format!("{app}-{number}"));
            for name in names.filter(|name| !there.contains(name)) {
                let mut pod = workload.bare_pod()?;
                pod.metadata.name = Some(name);
                pod.metadata.owner_references = owner.map(|it| serde_json::from_value(it.clone())).transpose()?;
                missing.push(pod);
            }
        }
        Ok(missing)
    }

    /// A number that many budgets allow to be missing.
    fn few(self) -> usize {
        self.count(1).div_ceil(10)
    }

    /// So many for each node.
    fn count(self, each: u32) -> usize {
        usize::try_from(self.nodes * each).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::Load;

    #[test]
    fn fifty_nodes_have_the_pods_and_budgets_that_are_promised() {
        let load = Load::new(50);
        assert_eq!(load.pods(), 1503);
        let desired = |name: &str| {
            let budgets = load.budgets().into_iter();
            budgets.filter(|it| it.name == name).map(|it| it.desired).next()
        };
        assert_eq!(desired("web"), Some(270));
        assert_eq!(desired("custom"), Some(140));
    }
}
