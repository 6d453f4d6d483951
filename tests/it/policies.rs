//! The resource `RebootPolicy` on a real API server: policies are stored with their defaults, each rule of the schema
//! refuses with its text, the scheduler may write their status and no more, and the examples of docs/policy.md hold.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use bellwether_policy::{
    BudgetUsage, Condition, ConditionReason, GROUP, KIND, LeftOver, NodeNumbers, PLURAL, RebootPolicy,
    RebootPolicyStatus, VERSION, WindowState,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use rig::identity::service_account_token;
use rig::services::NAMESPACE;
use rig::world::{World, WorldOptions};
use rig::{tools, wait};
use serde_json::{Value, json};

use crate::fleet::DEADLINE;

/// The pages for operators; each of their examples is a policy, or the fields of one.
const PAGES: [&str; 3] = ["docs/policy.md", "docs/gates.md", "docs/methods.md"];

/// For requests that shall leave nothing.
fn on_trial() -> PostParams {
    PostParams {
        dry_run: true,
        ..PostParams::default()
    }
}

fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, KIND), PLURAL)
}

/// The policies of the cluster.
pub(crate) fn api(client: Client) -> Api<DynamicObject> {
    Api::all_with(client, &resource())
}

fn policy(name: &str, spec: &Value) -> DynamicObject {
    DynamicObject::new(name, &resource()).data(json!({ "spec": spec }))
}

/// Creates a policy, which governs from then on.
pub(crate) async fn create(world: &World, name: &str, spec: &Value) -> Result<()> {
    let created = api(world.client())
        .create(&PostParams::default(), &policy(name, spec))
        .await;
    created
        .map(drop)
        .with_context(|| format!("cannot create the policy {name}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_keeps_good_policies_and_refuses_wrong_ones() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 0,
        kubelets: false,
        ..WorldOptions::default()
    })
    .await?;
    defaults_are_filled_in(&world).await?;
    unknown_fields_are_pruned_or_refused(&world).await?;
    each_rule_refuses_with_its_text(&world).await?;
    the_scheduler_writes_the_status_and_no_more(&world).await?;
    the_examples_of_the_pages_are_policies(&world).await?;
    an_older_definition_prunes_what_is_stored(&world).await?;
    world.finish()
}

async fn defaults_are_filled_in(world: &World) -> Result<()> {
    let api = api(world.client());
    let spec = json!({
        "windows": [
            { "days": ["Sat"], "start": "22:00", "end": "04:00" },
            { "cron": "0 2 * * SUN#3", "duration": "1h30m", "timeZone": "Europe/Berlin" },
        ],
        "blackouts": [{ "from": "2026-12-20", "to": "2027-01-02" }],
    });
    let stored = api.create(&on_trial(), &policy("some", &spec)).await?.data;
    let at = |pointer: &str| {
        stored
            .pointer(pointer)
            .with_context(|| format!("{pointer} in {stored}"))
    };
    assert_eq!(at("/spec/priority")?, 0);
    assert_eq!(at("/spec/windows/0/timeZone")?, "UTC");
    assert_eq!(at("/spec/windows/1/timeZone")?, "Europe/Berlin");
    assert_eq!(at("/spec/blackouts/0/timeZone")?, "UTC");
    assert_eq!(faults(&stored)?, "");
    let stored = api.create(&on_trial(), &policy("any", &json!({}))).await?.data;
    assert_eq!(stored, json!({ "spec": { "priority": 0 } }));
    Ok(())
}

/// The scheduler never sees a field that the definition does not know; kubectl refuses such a field.
async fn unknown_fields_are_pruned_or_refused(world: &World) -> Result<()> {
    let newer = policy("newer", &json!({ "hooks": { "before": "x" } }));
    let stored = api(world.client()).create(&on_trial(), &newer).await?.data;
    assert_eq!(stored, json!({ "spec": { "priority": 0 } }));
    let kubectl = world.kubectl()?;
    let refused = kubectl
        .run(&["create", "-f", "-"], &serde_json::to_string(&newer)?)
        .await;
    let refused = refused.err().context("kubectl took the field")?.to_string();
    ensure!(refused.contains("unknown field \"spec.hooks\""), "{refused}");
    Ok(())
}

/// Wrong policies: the spec, the field at fault, and the text of the refusal.
fn wrong() -> Vec<(Value, &'static str, &'static str)> {
    let window = |window: Value| json!({ "windows": [window] });
    let expression = |expression: Value| json!({ "nodeSelector": { "matchExpressions": [expression] } });
    let weekly = || json!({ "days": ["Sat"], "start": "22:00", "end": "04:00" });
    let either = "write either days, start and end, or cron and duration";
    let all_three = "days, start and end go together; write all three, or none";
    let both = "cron and duration go together; write both, or neither";
    let share = "write a number from 1 on, or a share from 1% to 100%";
    let budget = |budget: Value| json!({ "budget": budget });
    let of_amount = "spec.budget.maxUnavailable";
    let prometheus = |more: Value| {
        let mut gate = json!({ "name": "a", "url": "http://p" });
        if let (Some(gate), Some(more)) = (gate.as_object_mut(), more.as_object()) {
            gate.extend(more.clone());
        }
        json!({ "gates": { "prometheus": [gate] } })
    };
    let of_prometheus = "spec.gates.prometheus[0]";
    let of_window = "spec.windows[0]";
    let of_expression = "spec.nodeSelector.matchExpressions[0]";
    vec![
        (window(json!({})), of_window, either),
        (
            window(json!({ "days": ["Sat"], "start": "22:00", "end": "04:00", "cron": "0 2 * * *", "duration": "4h" })),
            of_window,
            either,
        ),
        (window(json!({ "duration": "4h" })), of_window, either),
        (
            window(json!({ "days": ["Sat"], "cron": "0 2 * * *", "duration": "4h" })),
            of_window,
            either,
        ),
        (window(json!({ "cron": "0 2 * * *" })), of_window, both),
        (
            window(json!({ "days": ["Sat"], "start": "22:00" })),
            of_window,
            all_three,
        ),
        (
            window(json!({ "start": "22:00", "end": "04:00" })),
            of_window,
            all_three,
        ),
        (
            expression(json!({ "key": "pool", "operator": "In" })),
            of_expression,
            "values: In and NotIn need at least one value",
        ),
        (
            expression(json!({ "key": "pool", "operator": "NotIn", "values": [] })),
            of_expression,
            "values: In and NotIn need at least one value",
        ),
        (
            expression(json!({ "key": "pool", "operator": "Exists", "values": ["a"] })),
            of_expression,
            "values: Exists and DoesNotExist take no value; leave values out",
        ),
        (
            budget(json!({})),
            "spec.budget",
            "write maxUnavailable, topology or rampUp",
        ),
        (budget(json!({ "maxUnavailable": 0 })), of_amount, share),
        (budget(json!({ "maxUnavailable": "0%" })), of_amount, share),
        (budget(json!({ "maxUnavailable": "101%" })), of_amount, share),
        (budget(json!({ "maxUnavailable": "half" })), of_amount, share),
        (
            budget(json!({ "topology": [{ "key": "zone" }] })),
            "spec.budget.topology[0]",
            "write maxUnavailable, maxDomains or both",
        ),
        (
            budget(json!({ "topology": [{ "key": "zone", "maxDomains": 0 }] })),
            "spec.budget.topology[0].maxDomains",
            "should be greater than or equal to 1",
        ),
        (
            prometheus(json!({ "query": "up == 0", "alerts": {} })),
            of_prometheus,
            "write either alerts or query",
        ),
        (prometheus(json!({})), of_prometheus, "write either alerts or query"),
        (
            prometheus(json!({
                "alerts": {},
                "bearerTokenFile": "token",
                "basicAuth": { "usernameFile": "user", "passwordFile": "password" },
            })),
            of_prometheus,
            "write bearerTokenFile or basicAuth, not both",
        ),
        // Lengths, numbers, patterns and closed lists.
        (
            prometheus(json!({ "alerts": {}, "bearerTokenFile": "../token" })),
            "spec.gates.prometheus[0].bearerTokenFile",
            "should match '^[A-Za-z0-9_-]",
        ),
        (
            prometheus(json!({ "alerts": {}, "onError": "Ignore" })),
            "spec.gates.prometheus[0].onError",
            "Unsupported value: \"Ignore\"",
        ),
        (
            json!({ "backInService": { "daemonPods": "Skip" } }),
            "spec.backInService.daemonPods",
            "Unsupported value: \"Skip\"",
        ),
        (
            json!({ "gates": { "pods": [{ "name": "a" }] } }),
            "spec.gates.pods[0].selector",
            "Required value",
        ),
        (
            json!({ "gates": { "prometheus": [
                { "name": "a", "url": "http://p", "alerts": {} }, { "name": "a", "url": "http://p", "alerts": {} }
            ] } }),
            "spec.gates.prometheus[1]",
            "Duplicate value",
        ),
        (
            expression(json!({ "key": "pool", "operator": "Like", "values": ["a"] })),
            "spec.nodeSelector.matchExpressions[0].operator",
            "Unsupported value: \"Like\"",
        ),
        (
            expression(json!({ "key": "", "operator": "Exists" })),
            "spec.nodeSelector.matchExpressions[0].key",
            "should be at least 1 chars long",
        ),
        (
            json!({ "startMargin": "20 minutes" }),
            "spec.startMargin",
            "should match '^([0-9]+",
        ),
        (
            json!({ "gates": { "conditions": [{ "type": "DiskPressure", "status": "Maybe" }] } }),
            "spec.gates.conditions[0].status",
            "Unsupported value: \"Maybe\"",
        ),
        (
            json!({ "gates": { "taints": [{ "key": "a", "effect": "Evict" }] } }),
            "spec.gates.taints[0].effect",
            "Unsupported value: \"Evict\"",
        ),
        (
            window(json!({ "cron": "0 2 * * *", "duration": "PT4H" })),
            "spec.windows[0].duration",
            "should match '^([0-9]+",
        ),
        (
            json!({ "windows": vec![weekly(); 33] }),
            "spec.windows",
            "must have at most 32 items",
        ),
        (
            json!({ "priority": "high" }),
            "spec.priority",
            "must be of type integer",
        ),
        (
            json!({ "brakes": { "maxRebootsPerDay": 1 } }),
            "spec.brakes.maxRebootsPerDay",
            "should be greater than or equal to 2",
        ),
        (
            json!({ "brakes": { "cohort": { "labels": [] } } }),
            "spec.brakes.cohort.labels",
            "should have at least 1 items",
        ),
        (
            json!({ "canaries": { "soak": "12h" } }),
            "spec.canaries.nodeSelector",
            "Required value",
        ),
        (
            json!({ "blackouts": [{ "from": "2026-12-20" }] }),
            "spec.blackouts[0].to",
            "Required value",
        ),
    ]
}

async fn each_rule_refuses_with_its_text(world: &World) -> Result<()> {
    let api = api(world.client());
    let refusal = async |policy: &DynamicObject| match api.create(&on_trial(), policy).await {
        Err(kube::Error::Api(status)) if status.code == 422 => Ok(status.message.clone()),
        other => bail!("{policy:?} was not refused, but {other:?}"),
    };
    for (spec, field, text) in wrong() {
        let message = refusal(&policy("wrong", &spec)).await?;
        ensure!(message.contains(field) && message.contains(text), "{spec}: {message}");
    }
    let long = refusal(&policy(&"a".repeat(64), &json!({}))).await?;
    ensure!(long.contains("metadata.name") && long.contains("63"), "{long}");

    // No rule of the schema is left out above.
    let name = format!("{PLURAL}.{GROUP}");
    let definition = Api::<CustomResourceDefinition>::all(world.client()).get(&name).await?;
    let mut rules = BTreeSet::new();
    collect_rules(&serde_json::to_value(definition.spec)?, &mut rules);
    assert_eq!(rules.len(), 10, "{rules:?}");
    let tried: BTreeSet<String> = wrong().into_iter().map(|(_, _, text)| text.to_owned()).collect();
    let left: Vec<_> = rules.difference(&tried).collect();
    ensure!(left.is_empty(), "no policy breaks the rules {left:?}");
    Ok(())
}

/// The texts of all rules below a place of the schema.
fn collect_rules(schema: &Value, texts: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            let rules = map.get("x-kubernetes-validations").and_then(Value::as_array);
            let messages = rules
                .into_iter()
                .flatten()
                .filter_map(|rule| rule.get("message")?.as_str());
            texts.extend(messages.map(str::to_owned));
            map.values().for_each(|value| collect_rules(value, texts));
        }
        Value::Array(list) => list.iter().for_each(|value| collect_rules(value, texts)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

async fn the_scheduler_writes_the_status_and_no_more(world: &World) -> Result<()> {
    create(world, "nights", &json!({ "priority": 10 })).await?;
    let token = service_account_token(&world.client(), NAMESPACE, "scheduler").await?;
    let api = api(world.control_plane.access().client(&token).await?);
    let listed = api.list(&ListParams::default()).await?.items;
    assert_eq!(listed.len(), 1, "{listed:?}");

    let status = json!(status());
    let applied = json!({
        "apiVersion": format!("{GROUP}/{VERSION}"),
        "kind": KIND,
        "metadata": { "name": "nights" },
        "status": status,
    });
    let params = PatchParams::apply("bellwether-scheduler").force();
    api.patch_status("nights", &params, &Patch::Apply(applied)).await?;
    // The scheduler may not get one.
    let stored = api.list(&ListParams::default()).await?.items;
    let stored = &stored.first().context("the policy")?.data;
    assert_eq!(stored.get("status"), Some(&status), "no field is pruned");
    let forbidden = |answer: kube::Result<DynamicObject>| match answer {
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(()),
        other => bail!("the scheduler may write more than the status: {other:?}"),
    };
    let patch = Patch::Merge(json!({ "spec": { "priority": 1 } }));
    forbidden(api.patch("nights", &PatchParams::default(), &patch).await)?;
    forbidden(api.create(&on_trial(), &policy("own", &json!({}))).await)?;

    let shown = world.kubectl()?.run(&["get", "rp"], "").await?;
    let cells: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        cells,
        [
            [
                "NAME", "PRIORITY", "ACCEPTED", "OPEN", "UNTIL", "NODES", "WAITING", "RUNNING", "FAILED"
            ],
            [
                "nights",
                "10",
                "True",
                "false",
                "2026-12-05T21:00:00Z",
                "12",
                "3",
                "1",
                "0"
            ],
        ],
        "{shown}"
    );
    Ok(())
}

/// All fields of a status.
fn status() -> RebootPolicyStatus {
    RebootPolicyStatus {
        observed_generation: Some(1),
        conditions: vec![Condition {
            type_: "Accepted".to_owned(),
            status: "True".to_owned(),
            reason: ConditionReason::Valid,
            message: "The scheduler acts by this policy".to_owned(),
            last_transition_time: "2026-12-01T08:00:00Z".to_owned(),
            observed_generation: Some(1),
        }],
        window: Some(WindowState {
            open: false,
            until: Some("2026-12-05T21:00:00Z".to_owned()),
            blackout: Some("quarter close".to_owned()),
        }),
        nodes: Some(NodeNumbers {
            governed: 12,
            waiting: 3,
            in_progress: 1,
            failed: 0,
        }),
        budget: Some(BudgetUsage {
            unavailable: 1,
            max_unavailable: 2,
        }),
        left_over: Some(LeftOver {
            count: 2,
            nodes: vec!["worker-1".to_owned()],
        }),
    }
}

/// The API server takes each example as it stands, and the scheduler finds no mistake in what is stored.
async fn the_examples_of_the_pages_are_policies(world: &World) -> Result<()> {
    for page in PAGES {
        the_examples_of(page, world).await?;
    }
    Ok(())
}

async fn the_examples_of(page: &str, world: &World) -> Result<()> {
    let text = fs::read_to_string(tools::repository().join(page))?;
    let blocks: Vec<&str> = text
        .split("\n```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .collect();
    ensure!(!blocks.is_empty(), "{page} shows no example");
    let kubectl = world.kubectl()?;
    for block in blocks {
        let whole = if block.contains(&format!("kind: {KIND}")) {
            block.to_owned()
        } else {
            let fields: String = block.lines().map(|line| format!("  {line}\n")).collect();
            format!("apiVersion: {GROUP}/{VERSION}\nkind: {KIND}\nmetadata: {{ name: example }}\nspec:\n{fields}")
        };
        let args = ["create", "--dry-run=server", "--output=json", "-f", "-"];
        let stored = kubectl.run(&args, &whole).await;
        let stored: Value = serde_json::from_str(&stored.with_context(|| format!("{page} shows\n{block}"))?)?;
        let faults = faults(&stored)?;
        ensure!(faults.is_empty(), "{page} shows\n{block}which has mistakes: {faults}");
    }
    Ok(())
}

/// So after a rollback of the definition a policy lacks its newer fields: docs/upgrade.md. The last step, since the
/// world keeps that definition.
async fn an_older_definition_prunes_what_is_stored(world: &World) -> Result<()> {
    let blackouts = json!([{ "from": "2026-12-20", "to": "2027-01-02", "timeZone": "UTC" }]);
    create(
        world,
        "frozen",
        &json!({ "blackouts": blackouts, "startMargin": "20m" }),
    )
    .await?;
    let older = json!([{
        "op": "remove",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/blackouts",
    }]);
    let definition = format!("{PLURAL}.{GROUP}");
    let patch = [
        "patch",
        "crd",
        &definition,
        "--type=json",
        "--patch",
        &older.to_string(),
    ];
    world.kubectl()?.run(&patch, "").await?;
    let api = api(world.client());
    wait::until("the field to be pruned", DEADLINE, async || {
        let stored = api.get("frozen").await?.data;
        let rest = json!({ "spec": { "priority": 0, "startMargin": "20m" } });
        ensure!(stored == rest, "stored is {stored}");
        Ok(())
    })
    .await
}

/// The mistakes that the scheduler finds in a stored policy.
fn faults(stored: &Value) -> Result<String> {
    let spec = stored.get("spec").context("a spec")?;
    Ok(RebootPolicy::read("some".into(), spec).faults())
}
