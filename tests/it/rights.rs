//! The rights of the deploy folder: all that is used is granted, and all that is granted is used.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use kube::Api;
use rig::services::{NAMESPACE, ServicesOptions};
use rig::workload::Workload;
use serde_json::Value;

use crate::fleet::Fleet;

/// The services with rights; the agents have none, and their pods no token.
const SERVICES: [&str; 2] = ["scheduler", "drainer"];

#[tokio::test(flavor = "multi_thread")]
async fn each_service_uses_all_its_rights_and_is_never_refused() -> Result<()> {
    let fleet = Fleet::start(3, ServicesOptions::default()).await?;
    let web = Workload::new("web").replicas(3);
    fleet.world.create(&web.deployment()?).await?;
    fleet.world.wait_ready_pods("web", 3).await?;
    fleet.upgrade_all()?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;

    let audit = std::fs::read_to_string(fleet.world.control_plane.audit_log())?;
    for service in SERVICES {
        let user = format!("system:serviceaccount:{NAMESPACE}:{service}");
        let mut used = BTreeSet::new();
        for line in audit.lines() {
            let entry: Value = serde_json::from_str(line)?;
            let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            // Everyone may ask what they may do; that is no right of ours.
            if text("/user/username") != user || text("/objectRef/apiGroup") == "authorization.k8s.io" {
                continue;
            }
            let code = entry.pointer("/responseStatus/code").and_then(Value::as_u64);
            assert_ne!(code, Some(403), "{service} was refused: {line}");
            let resource = match text("/objectRef/subresource") {
                "" => text("/objectRef/resource").to_owned(),
                sub => format!("{}/{sub}", text("/objectRef/resource")),
            };
            if !resource.is_empty() {
                used.insert((
                    text("/objectRef/apiGroup").to_owned(),
                    resource,
                    text("/verb").to_owned(),
                ));
            }
        }
        assert_eq!(
            granted(&fleet, service).await?,
            used,
            "rights of {service}: granted against used"
        );
    }
    fleet.finish()
}

/// Group, resource and verb of all that a service is granted.
async fn granted(fleet: &Fleet, service: &str) -> Result<BTreeSet<(String, String, String)>> {
    let client = fleet.world.client();
    let cluster = Api::<ClusterRole>::all(client.clone())
        .get(&format!("bellwether-{service}"))
        .await?;
    let role = Api::<Role>::namespaced(client, NAMESPACE).get_opt(service).await?;
    let own = role.and_then(|role| role.rules).unwrap_or_default();
    let rules: Vec<PolicyRule> = cluster.rules.unwrap_or_default().into_iter().chain(own).collect();
    let mut granted = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                for verb in &rule.verbs {
                    granted.insert((group.clone(), resource.clone(), verb.clone()));
                }
            }
        }
    }
    Ok(granted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drainer_without_a_right_names_it_and_touches_nothing() -> Result<()> {
    let world = rig::world::World::start(rig::world::WorldOptions::default()).await?;
    let kubectl = world.kubectl()?;
    kubectl
        .run(&["delete", "clusterrolebinding", "bellwether-drainer"], "")
        .await?;
    let services = rig::services::Services::launch(&world, ServicesOptions::default()).await?;
    let drainer = services.drainers.first().context("a drainer")?;
    rig::wait::until("the missing right to be named", crate::fleet::DEADLINE, async || {
        let (status, said) = drainer.get("/readyz").await?;
        anyhow::ensure!(
            status == 503 && said.contains("evict") | said.contains("pods/eviction"),
            "{status} {said}"
        );
        Ok(())
    })
    .await?;
    let host = world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    rig::wait::steadily("nobody is touched", std::time::Duration::from_secs(4), async || {
        let node = world.node(host.name()).await?;
        Ok(!rig::record::node_state(&node).cordoned && host.reboot_orders() == 0)
    })
    .await?;
    drop(services);
    world.finish()
}
