//! Webhooks and admission policies that deny evictions, on a real API server: whatever code a denial has, the pod
//! stays, its guard is named, and no right counts as missing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::Phase;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, EvictParams, PostParams};
use kube::{Api, Client};
use rig::services::ServicesOptions;
use rig::wait;
use rig::webhook::Webhook;
use rig::workload::Workload;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::fleet::{DEADLINE, Fleet};

/// The name of both guards.
const GUARD: &str = "guard.rig.bellwether.dev";

/// The codes with which the webhook denies the eviction of the pod `web-CODE`.
const WEBHOOK_CODES: [u16; 5] = [403, 404, 409, 429, 500];

/// The codes with which the API server passes on the denials of the admission policy, by the pods of the policy.
const POLICY_PODS: [(&str, u16); 2] = [("policy-forbidden", 403), ("policy-invalid", 422)];

#[tokio::test(flavor = "multi_thread")]
async fn a_denial_of_any_code_keeps_the_pod_and_names_its_guard_until_the_guard_lets_go() -> Result<()> {
    let mut fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let (guarded, client) = (fleet.world.host(0)?, fleet.world.client());
    let mut pods: BTreeMap<String, u16> = WEBHOOK_CODES.map(|code| (format!("web-{code}"), code)).into();
    pods.extend(POLICY_PODS.map(|(name, code)| (name.to_owned(), code)));
    for name in pods.keys() {
        let pod = Workload::new(name).on_node(guarded.name()).bare_pod()?;
        fleet.world.create(&pod).await?;
        fleet.world.wait_ready_pods(name, 1).await?;
    }
    let certificate = fleet.world.control_plane.access().certificate();
    let webhook = Webhook::start(certificate, deny)?;
    guard(&client, &webhook, certificate).await?;
    for (name, code) in &pods {
        wait::until(&format!("{name} to be guarded"), DEADLINE, async || {
            let denied = dry_run(&client, name).await?;
            ensure!(denied == *code, "the API server answers {denied}");
            Ok(())
        })
        .await?;
    }

    guarded.upgrade_kernel("6.12.48")?;
    fleet.entering(Phase::Draining).await?;
    let guards = pods
        .keys()
        .map(|name| format!("pod default/{name}: "))
        .collect::<Vec<_>>();
    let mut words: Vec<&str> = guards.iter().map(String::as_str).collect();
    words.extend(["admission webhook", "ValidatingAdmissionPolicy"]);
    fleet.explained(guarded.name(), &words).await?;
    let drainer = fleet.services.drainers.first().context("a drainer")?;
    let evictions = "bellwether_drainer_evictions_total";
    let (all, denied) = (
        drainer.sum(evictions, "").await?,
        drainer.sum(evictions, "AdmissionDenied").await?,
    );
    ensure!(denied > 0.0 && all == denied, "{denied} of {all} answers are denials");
    ensure!(fleet.world.pods("web-404").await?.len() == 1, "the pod has gone");

    release(&client).await?;
    fleet.rebooted_once(&[guarded]).await?;
    fleet.finish()
}

/// The webhook's decision: a pod that is called `web-CODE` is denied with this code.
fn deny(request: &Value) -> Option<Value> {
    let name = request.get("name").and_then(Value::as_str)?;
    let code: u16 = name.strip_prefix("web-")?.parse().ok()?;
    // As an API server itself answers about a pod that is gone.
    let details = json!({ "name": name, "kind": "pods" });
    Some(json!({ "code": code, "message": "not now", "details": details }))
}

async fn guard(client: &Client, webhook: &Webhook, certificate: &std::path::Path) -> Result<()> {
    let rule = json!({
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/eviction"],
    });
    let bundle = serde_json::to_value(ByteString(std::fs::read(certificate)?))?;
    create::<ValidatingWebhookConfiguration>(
        client,
        json!({
            "webhooks": [{
                "name": GUARD,
                "clientConfig": { "url": webhook.url(), "caBundle": bundle },
                "rules": [rule],
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
            }],
        }),
    )
    .await?;
    let validation = |name: &str, reason: &str| json!({ "expression": format!("request.name != '{name}'"), "reason": reason, "message": "not now" });
    create::<ValidatingAdmissionPolicy>(
        client,
        json!({ "spec": {
            "matchConstraints": { "resourceRules": [rule] },
            "validations": [validation("policy-forbidden", "Forbidden"), validation("policy-invalid", "Invalid")],
        }}),
    )
    .await?;
    let binding = json!({ "spec": { "policyName": GUARD, "validationActions": ["Deny"] } });
    create::<ValidatingAdmissionPolicyBinding>(client, binding).await
}

async fn create<K>(client: &Client, mut object: Value) -> Result<()>
where
    K: kube::Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::Serialize
        + DeserializeOwned,
{
    if let Some(fields) = object.as_object_mut() {
        fields.insert("metadata".to_owned(), json!({ "name": GUARD }));
    }
    let object: K = serde_json::from_value(object)?;
    let api = Api::<K>::all(client.clone());
    api.create(&PostParams::default(), &object).await?;
    Ok(())
}

/// Takes both guards away.
async fn release(client: &Client) -> Result<()> {
    let params = DeleteParams::default();
    let webhooks = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    webhooks.delete(GUARD, &params).await?;
    let bindings = Api::<ValidatingAdmissionPolicyBinding>::all(client.clone());
    bindings.delete(GUARD, &params).await?;
    Ok(())
}

/// Asks for the eviction of a pod without an effect; returns the code of the answer.
async fn dry_run(client: &Client, pod: &str) -> Result<u16> {
    let pods = Api::<Pod>::default_namespaced(client.clone());
    let params = EvictParams {
        post_options: PostParams {
            dry_run: true,
            ..PostParams::default()
        },
        ..EvictParams::default()
    };
    match pods.evict(pod, &params).await {
        Ok(_) => Ok(201),
        Err(kube::Error::Api(status)) => Ok(status.code),
        Err(error) => Err(error.into()),
    }
}
