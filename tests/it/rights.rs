//! The rights of the deploy folder: every right that is used is granted, every right that is granted is
//! used, and the table in its README lists just those.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use bellwether_proto::Phase;
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use rig::identity::service_account_token;
use rig::services::{AGENTS, NAMESPACE, ServicesOptions};
use rig::tools;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};
use serde_json::{Value, json};

use crate::fleet::Fleet;
use crate::{alerts, metrics, policies};

/// The services with rights; the agents have none, and their pods no token.
const SERVICES: [&str; 2] = ["scheduler", "drainer"];

#[tokio::test(flavor = "multi_thread")]
async fn each_service_uses_all_its_rights_and_is_never_refused() -> Result<()> {
    let fleet = Fleet::start(3, ServicesOptions::default()).await?;
    // At any time: whether the scheduler acts by a policy is a right of its own.
    let gate = json!({ "name": "none", "selector": { "matchLabels": { "no": "pod" } } });
    let any = json!({ "gates": { "pods": [gate] }, "budget": { "maxUnavailable": 3 } });
    policies::create(&fleet.world, "any", &any).await?;
    // One that is shut for a month, for no node: for its metrics.
    let today = jiff::Zoned::now().date();
    let (from, to) = (today.yesterday()?, today.saturating_add(jiff::Span::new().days(30)));
    let blackout = json!({ "from": from, "to": to, "timeZone": "UTC", "reason": "freeze" });
    let no_node = json!({ "matchLabels": { "no": "node" } });
    let shut = json!({ "nodeSelector": no_node, "blackouts": [blackout] });
    policies::create(&fleet.world, "shut", &shut).await?;
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
            // Every user may ask for their own rights; that is no right of ours.
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
    alerts::read_only_metrics_that_exist(&fleet).await?;
    metrics::are_those_of_the_page(&fleet).await?;
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

/// The table of rights in deploy/README.md is the API server's answer for each ServiceAccount, and the
/// content of the roles for users: no row too few, none too many. Called in a world that has
/// the whole deploy folder.
pub(crate) async fn are_those_of_the_readme(world: &World) -> Result<()> {
    let mut found = BTreeSet::new();
    let ours = ListParams::default().labels("app.kubernetes.io/part-of=bellwether");
    for account in Api::<ServiceAccount>::all(world.client()).list(&ours).await? {
        let (namespace, account) = (&account.namespace().unwrap_or_default(), &account.name_any());
        let token = service_account_token(&world.client(), namespace, account).await?;
        let client = world.control_plane.access().client(&token).await?;
        // A right in the whole cluster is one in a namespace of strangers too.
        let everywhere = allowed(&client, "default").await?;
        found.extend(rows(account, "cluster", &everywhere));
        for place in [NAMESPACE, AGENTS] {
            let here = allowed(&client, place).await?;
            let own: Vec<PolicyRule> = here.into_iter().filter(|rule| !everywhere.contains(rule)).collect();
            found.extend(rows(account, place, &own));
        }
    }
    let for_users = ListParams::default().labels("app.kubernetes.io/component=ctl");
    for role in Api::<Role>::all(world.client()).list(&for_users).await? {
        let namespace = role.namespace().unwrap_or_default();
        found.extend(rows(
            &format!("`{}`", role.name_any()),
            &namespace,
            role.rules.as_deref().unwrap_or_default(),
        ));
    }
    for role in Api::<ClusterRole>::all(world.client()).list(&for_users).await? {
        found.extend(rows(
            &format!("`{}`", role.name_any()),
            "cluster",
            role.rules.as_deref().unwrap_or_default(),
        ));
    }
    let listed = readme()?;
    let (unlisted, unfound): (Vec<_>, Vec<_>) =
        (found.difference(&listed).collect(), listed.difference(&found).collect());
    assert!(
        unlisted.is_empty() && unfound.is_empty(),
        "deploy/README.md does not list {unlisted:?}, and lists {unfound:?}, which the cluster does not grant"
    );
    Ok(())
}

/// The rights of a client in a namespace, by the API server.
async fn allowed(client: &Client, namespace: &str) -> Result<Vec<PolicyRule>> {
    let mut review = SelfSubjectRulesReview::default();
    review.spec.namespace = Some(namespace.to_owned());
    let answer = Api::<SelfSubjectRulesReview>::all(client.clone())
        .create(&PostParams::default(), &review)
        .await?;
    let rules = answer.status.context("an answer")?.resource_rules;
    let rules = rules.into_iter().map(|rule| PolicyRule {
        api_groups: rule.api_groups,
        resources: rule.resources,
        resource_names: rule.resource_names,
        verbs: rule.verbs,
        ..PolicyRule::default()
    });
    // Every user may ask for their own identity and rights.
    let about_itself = |rule: &PolicyRule| rule.resources.iter().flatten().all(|it| it.starts_with("selfsubject"));
    Ok(rules.filter(|rule| !about_itself(rule)).collect())
}

/// Rules as rows of the table: ServiceAccount, namespace, resource, verb.
fn rows(who: &str, place: &str, rules: &[PolicyRule]) -> BTreeSet<[String; 4]> {
    let mut rows = BTreeSet::new();
    for rule in rules {
        for group in rule.api_groups.iter().flatten() {
            for resource in rule.resources.iter().flatten() {
                let resource = with_group(resource, group);
                let named = rule
                    .resource_names
                    .iter()
                    .flatten()
                    .map(|name| format!("{resource} `{name}`"));
                let named: Vec<String> = named.collect();
                let resources = if named.is_empty() { vec![resource] } else { named };
                for (resource, verb) in resources
                    .iter()
                    .flat_map(|it| rule.verbs.iter().map(move |verb| (it, verb)))
                {
                    rows.insert([who, place, resource, verb].map(str::to_owned));
                }
            }
        }
    }
    rows
}

/// As kubectl writes it: `pods/eviction`, `rebootpolicies.bellwether.dev/status`.
fn with_group(resource: &str, group: &str) -> String {
    match resource.split_once('/') {
        _ if group.is_empty() => resource.to_owned(),
        Some((resource, part)) => format!("{resource}.{group}/{part}"),
        None => format!("{resource}.{group}"),
    }
}

/// The rows of the table in deploy/README.md; those without a resource say that there is no right.
fn readme() -> Result<BTreeSet<[String; 4]>> {
    let text = std::fs::read_to_string(tools::repository().join("deploy/README.md"))?;
    let table = text
        .lines()
        .skip_while(|line| !line.starts_with("| identity | where | resource |"));
    let mut rows = BTreeSet::new();
    for line in table.skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, who, place, resource, verbs, ..] = cells[..] else {
            anyhow::bail!("a row has too few cells: {line}");
        };
        let verbs = verbs.split(", ").filter(|_| resource != "none");
        rows.extend(verbs.map(|verb| [who, place, resource, verb].map(str::to_owned)));
    }
    Ok(rows)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drainer_without_a_right_names_it_and_touches_nothing() -> Result<()> {
    let world = World::start(WorldOptions::default()).await?;
    let kubectl = world.kubectl()?;
    kubectl
        .run(&["delete", "clusterrolebinding", "bellwether-drainer"], "")
        .await?;
    let services = rig::services::Services::launch(&world, ServicesOptions::default()).await?;
    let drainer = services.drainers.first().context("a drainer")?;
    rig::wait::until("the missing right to be named", crate::fleet::DEADLINE, async || {
        let (status, body) = drainer.get("/readyz").await?;
        anyhow::ensure!(
            status == 503 && body.contains("evict") | body.contains("pods/eviction"),
            "{status} {body}"
        );
        Ok(())
    })
    .await?;
    let host = world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    rig::wait::steadily("no node is touched", std::time::Duration::from_secs(4), async || {
        let node = world.node(host.name()).await?;
        Ok(!rig::record::node_state(&node).cordoned && host.reboot_orders() == 0)
    })
    .await?;
    drop(services);
    world.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_missing_for_some_seconds_only_delays_the_drain() -> Result<()> {
    // As an API server does that has just started and has not read all its rules.
    const MISSING: std::time::Duration = std::time::Duration::from_secs(8);
    let mut fleet = Fleet::start(1, ServicesOptions::default().without_drain_checks()).await?;
    let bindings = Api::<ClusterRoleBinding>::all(fleet.world.client());
    let name = "bellwether-drainer";
    let mut binding = bindings.get(name).await?;
    bindings.delete(name, &DeleteParams::default()).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    let node = host.name().to_owned();
    rig::wait::steadily(
        "the node carries no cordon and stays in its drain",
        MISSING,
        async || {
            let attempt = fleet.attempt(&node).await?;
            let is_draining = attempt.is_some_and(|attempt| attempt.phase == Phase::Draining);
            Ok(is_draining && fleet.nodes.cordons(&node) == 0)
        },
    )
    .await?;
    binding.metadata.resource_version = None;
    binding.metadata.uid = None;
    bindings.create(&PostParams::default(), &binding).await?;
    fleet.rebooted_once(&[host]).await?;
    fleet.finish()
}
