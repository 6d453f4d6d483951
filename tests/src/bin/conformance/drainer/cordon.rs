//! The cordon and its mark.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::mark::{AUTOSCALER_GUARDS, CORDONED_FOR, GUARDED_BY};
use bellwether_proto::message_id::random_part;
use bellwether_proto::{DrainFailure, Fact};
use kube::ResourceExt as _;
use rig::wait;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::case::{Case, SOON};
use crate::check::{Check, expect};
use crate::observe::{Reply, between, shown};
use crate::stage::Stage;
use rig::front::Request;
use rig::front::{Answer, Fault};

const ONE_PATCH: &str = "Write and remove the mark in the same patch as `spec.unschedulable`, under the object's \
    `resourceVersion`.";
const ORDER: &str = "read the Node, then the record, then patch under the Node's version that was read";
const FOREIGN: &str = "An unschedulable node without the attempt's mark carries a foreign cordon: leave it.";
const GUARDS: &str = "With the mark, Bellwether's drainer sets the annotations \
    `cluster-autoscaler.kubernetes.io/scale-down-disabled` and `karpenter.sh/do-not-disrupt` to `true`, so that no autoscaler \
    deletes a node that looks empty, and lists in `bellwether.dev/guarded-by`, with commas, those that the node lacked.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-CORDON-01", ONE_PATCH, |stage| Box::pin(one_patch(stage))),
        Check::must("D-CORDON-02", ORDER, |stage| Box::pin(order(stage))),
        Check::must("D-CORDON-03", ORDER, |stage| Box::pin(moved_on_in_between(stage))),
        Check::must("D-CORDON-04", ORDER, |stage| Box::pin(conflict(stage))),
        Check::must("D-CORDON-05", FOREIGN, |stage| Box::pin(foreign(stage))),
        Check::must(
            "D-CORDON-06",
            "A schedulable node with the mark of another attempt is free: cordon it and overwrite the mark.",
            |stage| Box::pin(old_mark(stage)),
        ),
        Check::must(
            "D-CORDON-07",
            "If an operator uncordons the node during the drain, cordon it again and list the pods again.",
            |stage| Box::pin(cordoned_again(stage)),
        ),
        Check::must(
            "D-CORDON-08",
            "If it carries a foreign cordon, publish `drain-failed` with `FOREIGN_CORDON` and touch nothing.",
            |stage| Box::pin(foreign_on_the_way(stage)),
        ),
        Check::must(
            "D-CORDON-09",
            "it exists, has the command's UID, and has no deletion timestamp",
            |stage| Box::pin(other_uid(stage)),
        ),
        Check::must(
            "D-CORDON-10",
            "A Node that is being deleted counts as gone, for a drain (`NODE_GONE`)",
            |stage| Box::pin(being_deleted(stage)),
        ),
        Check::must("D-CORDON-11", "Publish before you settle.", |stage| {
            Box::pin(ack_after_event(stage))
        }),
        Check::may("D-CORDON-13", GUARDS, |stage| Box::pin(guards(stage))),
        Check::must("D-CORDON-12", "with events that occur once per generation", |stage| {
            Box::pin(message_ids(stage))
        }),
    ]
}

/// Whether a patch names a version of the object: as a merge, or as a JSON patch that tests it.
pub(super) fn names_version(request: &Request) -> bool {
    let merge = request
        .body
        .pointer("/metadata/resourceVersion")
        .and_then(Value::as_str);
    let tests = request.body.as_array().into_iter().flatten();
    let mut tests = tests.filter(|it| it.get("op") == Some(&json!("test")));
    merge.is_some_and(|version| !version.is_empty())
        || tests.any(|it| it.get("path") == Some(&json!("/metadata/resourceVersion")))
}

async fn one_patch(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let before = case.object().await?.context("no node")?;
    case.drain().await?;
    case.cordoned().await?;
    let patches = case.patches();
    expect(patches.len() == 1, "one patch", || shown(&patches))?;
    expect(
        patches.iter().all(|(_, _, it)| names_version(it)),
        "resourceVersion in the patch",
        || shown(&patches),
    )?;
    let (unschedulable, mark) = case.cordon_now().await?;
    let own = case.attempt.attempt.to_string();
    expect(
        unschedulable && mark.as_ref() == Some(&own),
        "the cordon with the mark of the attempt",
        || format!("unschedulable {unschedulable}, mark {mark:?}"),
    )?;
    let now = case.object().await?.context("no node")?;
    expect(
        now.metadata.labels == before.metadata.labels,
        "no other change of the node",
        || format!("labels {:?}", now.metadata.labels),
    )
}

/// The node carries one of the two guards already.
async fn guards(stage: &Stage) -> Result<()> {
    let [present, lacked] = AUTOSCALER_GUARDS;
    let case = Case::new(stage).await?;
    case.change_node(json!({ "metadata": { "annotations": { present: "by another" } } }))
        .await?;
    case.drain().await?;
    case.cordoned().await?;
    let node = case.object().await?.context("no node")?;
    let of = |name: &str| node.annotations().get(name).map(String::as_str);
    expect(
        of(lacked) == Some("true") && of(GUARDED_BY) == Some(lacked) && of(present) == Some("by another"),
        &format!("{lacked} and the list of it alone, in the patch of the cordon"),
        || format!("{:?}", node.annotations()),
    )
}

async fn order(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.drain().await?;
    case.cordoned().await?;
    case.read_record_before_first_patch()
}

async fn moved_on_in_between(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (release, released) = watch::channel(false);
    let path = case.node_path();
    let _late = stage
        .front
        .inject(move |it| it.is("GET", &path).then(|| Fault::Hold(released.clone())));
    let command = case.drain().await?;
    case.count("the read of the node", 1, SOON, || case.node_reads())
        .await?;
    case.roll_back().await?;
    release.send_replace(true);
    case.replied(&command, &Reply::Ack).await?;
    expect(
        case.patches().is_empty(),
        "no patch, since the record has moved on",
        || shown(&case.patches()),
    )?;
    expect(case.kinds()?.is_empty(), "no event", || format!("{:?}", case.kinds()))
}

async fn conflict(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let (path, once) = (case.node_path(), AtomicBool::new(true));
    let _conflict = stage.front.inject(move |it| {
        let first = it.is("PATCH", &path) && once.swap(false, Ordering::Relaxed);
        first.then(|| Fault::Answer(Answer::new(409, "Conflict", "the object has been modified")))
    });
    case.drain().await?;
    case.cordoned().await?;
    let patches = case.patches();
    let [(first, ..), .., (last, ..)] = patches.as_slice() else {
        return expect(false, "another patch after the conflict", || shown(&patches));
    };
    expect(
        between(&case.node_reads(), *first, *last),
        "a read of the node after the conflict",
        || shown(&patches),
    )?;
    expect(
        between(&case.record_reads(), *first, *last),
        "a read of the record after the conflict",
        || "none there".to_owned(),
    )
}

fn failed(failure: DrainFailure) -> impl Fn(&Fact) -> Option<()> {
    move |fact| matches!(fact, Fact::DrainFailed { failure: found, .. } if *found == failure).then_some(())
}

async fn foreign(stage: &Stage) -> Result<()> {
    for mark in [Value::Null, json!("33333333-3333-4333-8333-333333333333")] {
        let case = Case::new(stage).await?;
        case.pod("web", json!({})).await?;
        let annotations = json!({ CORDONED_FOR: mark });
        case.change_node(json!({ "metadata": { "annotations": annotations }, "spec": { "unschedulable": true } }))
            .await?;
        let command = case.drain().await?;
        case.event(
            "the event drain-failed FOREIGN_CORDON",
            SOON,
            failed(DrainFailure::ForeignCordon),
        )
        .await?;
        case.replied(&command, &Reply::Ack).await?;
        expect(case.patches().is_empty(), "no change of the node", || {
            shown(&case.patches())
        })?;
        expect(case.evictions().is_empty(), "no eviction", || shown(&case.evictions()))?;
    }
    Ok(())
}

async fn old_mark(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let mark = "33333333-3333-4333-8333-333333333333";
    case.change_node(json!({ "metadata": { "annotations": { CORDONED_FOR: mark } } }))
        .await?;
    case.drain().await?;
    case.drained().await?;
    let (unschedulable, mark) = case.cordon_now().await?;
    let own = case.attempt.attempt.to_string();
    expect(
        unschedulable && mark.as_ref() == Some(&own),
        "the cordon with the mark of the attempt",
        || format!("unschedulable {unschedulable}, mark {mark:?}"),
    )
}

async fn cordoned_again(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let annotations = json!({ crate::stage::LASTS: "" });
    case.pod("web", json!({ "metadata": { "annotations": annotations } }))
        .await?;
    case.drain().await?;
    case.cordoned().await?;
    case.change_node(
        json!({ "metadata": { "annotations": { CORDONED_FOR: null } }, "spec": { "unschedulable": null } }),
    )
    .await?;
    case.pod("new", json!({})).await?;
    wait::until("the cordon of this attempt again", SOON, async || {
        let (unschedulable, mark) = case.cordon_now().await?;
        anyhow::ensure!(
            unschedulable && mark.is_some(),
            "unschedulable {unschedulable}, mark {mark:?}"
        );
        Ok(())
    })
    .await?;
    case.end_pod("web").await?;
    case.drained().await?;
    expect(
        !case.has_pod("new").await?,
        "that the pod of meanwhile is gone before drained",
        || "it is still there".to_owned(),
    )
}

async fn foreign_on_the_way(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let annotations = json!({ crate::stage::LASTS: "" });
    case.pod("web", json!({ "metadata": { "annotations": annotations } }))
        .await?;
    let command = case.drain().await?;
    case.cordoned().await?;
    // In one step, so that the drainer never finds the node schedulable.
    case.change_node(json!({ "metadata": { "annotations": { CORDONED_FOR: null } } }))
        .await?;
    case.event(
        "the event drain-failed FOREIGN_CORDON",
        SOON,
        failed(DrainFailure::ForeignCordon),
    )
    .await?;
    case.replied(&command, &Reply::Ack).await?;
    let (unschedulable, _) = case.cordon_now().await?;
    expect(unschedulable, "that the foreign cordon stays", || {
        "the node is schedulable".to_owned()
    })
}

async fn other_uid(stage: &Stage) -> Result<()> {
    let mut case = Case::without_record(stage).await?;
    case.attempt.node_uid = "44444444-4444-4444-8444-444444444444".parse()?;
    case.store(|_| ()).await?;
    let command = case.drain().await?;
    case.event("the event drain-failed NODE_GONE", SOON, failed(DrainFailure::NodeGone))
        .await?;
    case.replied(&command, &Reply::Ack).await?;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })
}

async fn being_deleted(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.change_node(json!({ "metadata": { "finalizers": ["conformance.example/kept"] } }))
        .await?;
    case.nodes().delete(case.node.as_str(), &Default::default()).await?;
    let command = case.drain().await?;
    case.event("the event drain-failed NODE_GONE", SOON, failed(DrainFailure::NodeGone))
        .await?;
    case.replied(&command, &Reply::Ack).await?;
    expect(case.patches().is_empty(), "no change of the node", || {
        shown(&case.patches())
    })?;
    case.change_node(json!({ "metadata": { "finalizers": null } })).await
}

async fn ack_after_event(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let command = case.drain().await?;
    let (event, ..) = case.drained().await?;
    let (ack, ..) = case.replied(&command, &Reply::Ack).await?;
    expect(event < ack, "the event drained before +ACK", || {
        "+ACK before it".to_owned()
    })
}

async fn message_ids(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.drain().await?;
    case.drained().await?;
    case.uncordon().await?;
    let uncordoned = |fact: &Fact| matches!(fact, Fact::Uncordoned { .. }).then_some(());
    case.event("the event uncordoned", Duration::from_secs(30), uncordoned)
        .await?;
    let published = case.published();
    let mut random = BTreeSet::new();
    for ((_, _, event), (_, _, message)) in case.events()?.into_iter().zip(&published) {
        let kind = event.fact.kind();
        let id = message.message_id();
        let found = || format!("{kind} with {id:?}");
        match id {
            Some(id) => {
                let part = random_part(id, &event);
                expect(part.is_some(), "the message id of the contract", found)?;
                let is_new = part.is_some_and(|part| random.insert(part.to_owned()));
                expect(is_new, "a random part that no other event has", found)?;
            }
            None => expect(event.message_id_begin().is_none(), "a message id", found)?,
        }
        expect(
            event.attempt == case.attempt.attempt,
            "the attempt's id in each event",
            || format!("{event:?}"),
        )?;
    }
    Ok(())
}
