//! How pods are evicted.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bellwether_proto::{Fact, ObstacleKind};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::case::{Case, SOON};
use crate::check::{Check, expect};
use crate::observe::{Reply, between, shown};
use crate::stage::Stage;
use rig::front::Fault;

const HOW: &str = "`policy/v1` Eviction, with the pod's UID as precondition and without a grace period, so that the pod's \
    own applies; at most 10 requests of one node at once.";
const IN_FLIGHT: &str = "**When a drain is broken off, let the eviction requests in flight end.**";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must(
            "D-EVICT-01",
            "evict the pods that have to go, through the Eviction API only",
            |stage| Box::pin(eviction_only(stage)),
        ),
        Check::must("D-EVICT-02", HOW, |stage| Box::pin(body(stage))),
        Check::must("D-EVICT-03", HOW, |stage| Box::pin(at_once(stage))),
        Check::must("D-EVICT-04", IN_FLIGHT, |stage| Box::pin(in_flight(stage))),
        Check::must(
            "D-EVICT-05",
            "| deletion timestamp | wait; never evict it again |",
            |stage| Box::pin(terminating(stage)),
        ),
        Check::must(
            "D-EVICT-06",
            "At `not_after` publish `drain-failed` with `TIMEOUT`",
            |stage| Box::pin(time_over(stage)),
        ),
        Check::must(
            "D-EVICT-07",
            "once the record has moved on, stop and publish nothing",
            |stage| Box::pin(moved_on(stage)),
        ),
        Check::must("D-EVICT-08", "| each batch of evictions | read the record;", |stage| {
            Box::pin(read_before(stage))
        }),
        Check::must(
            "D-EVICT-09",
            "Do not uncordon after a failure: a command will come.",
            |stage| Box::pin(stays_cordoned(stage)),
        ),
        Check::open(
            "D-EVICT-10",
            "With `TIMEOUT` name the most important `obstacle` that will be there at the next drain too",
            |stage| Box::pin(obstacle(stage)),
        ),
    ]
}

async fn eviction_only(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("one", json!({})).await?;
    case.pod("two", json!({ "metadata": { "ownerReferences": null } }))
        .await?;
    case.drain().await?;
    case.drained().await?;
    for name in ["one", "two"] {
        expect(!case.evictions_of(name).is_empty(), "an eviction of each pod", || {
            shown(&case.evictions())
        })?;
    }
    let mut others = case.requests();
    others.retain(|(_, _, it)| it.path.contains("/pods/") && it.method != "GET" && !it.is_eviction());
    expect(others.is_empty(), "no other change of a pod", || shown(&others))
}

async fn body(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let pod = case.pod("web", json!({})).await?;
    case.drain().await?;
    case.drained().await?;
    let evictions = case.evictions();
    let (_, _, eviction) = evictions.first().context("no eviction")?;
    let text = |pointer: &str| eviction.body.pointer(pointer).and_then(Value::as_str);
    expect(text("/apiVersion") == Some("policy/v1"), "policy/v1", || {
        shown(&evictions)
    })?;
    let uid = text("/deleteOptions/preconditions/uid");
    expect(uid == pod.uid().as_deref(), "the pod's UID as precondition", || {
        shown(&evictions)
    })?;
    let grace = eviction.body.pointer("/deleteOptions/gracePeriodSeconds");
    expect(grace.is_none_or(Value::is_null), "no grace period", || {
        shown(&evictions)
    })
}

async fn at_once(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    for number in 0..14 {
        case.pod(&format!("p{number}"), json!({})).await?;
    }
    let (release, released) = watch::channel(false);
    let tag = case.tag.clone();
    let held = move |it: &rig::front::Request| {
        (it.is_eviction() && it.path.contains(&tag)).then(|| Fault::Hold(released.clone()))
    };
    let _held = stage.front.inject(held);
    case.drain().await?;
    case.count("the first eviction", 1, SOON, || case.evictions()).await?;
    // Long enough for all of them to come.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let most = case.evictions().len();
    release.send_replace(true);
    expect(most <= 10, "at most 10 at once", || most.to_string())?;
    case.drained().await.map(drop)
}

async fn in_flight(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    let (release, released) = watch::channel(false);
    let tag = case.tag.clone();
    let held = move |it: &rig::front::Request| {
        (it.is_eviction() && it.path.contains(&tag)).then(|| Fault::Hold(released.clone()))
    };
    let _held = stage.front.inject(held);
    case.drain().await?;
    case.count("the eviction", 1, SOON, || case.evictions()).await?;
    case.roll_back().await?;
    // The program learns of it by its subscription, and waits for an answer that comes soon.
    tokio::time::sleep(Duration::from_secs(3)).await;
    release.send_replace(true);
    let answered = || {
        let mut all = case.evictions();
        all.retain(|(_, _, it)| it.code.is_some() || it.dropped);
        all
    };
    let ended = case.count("the end of the eviction", 1, SOON, answered).await?;
    expect(
        ended.iter().all(|(_, _, it)| !it.dropped),
        "that the request ends with its answer",
        || "the program closed the connection".to_owned(),
    )?;
    expect(!case.is_drained()?, "no event drained", || "drained".to_owned())
}

fn lasting() -> Value {
    json!({ "metadata": { "annotations": { crate::stage::LASTS: "" } } })
}

async fn terminating(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let pod = case.pod("web", lasting()).await?;
    case.pods().delete(&pod.name_any(), &Default::default()).await?;
    case.drain().await?;
    case.cordoned().await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    expect(case.evictions().is_empty(), "no eviction", || shown(&case.evictions()))?;
    expect(!case.is_drained()?, "no event drained while the pod is there", || {
        "drained".to_owned()
    })?;
    case.end_pod("web").await?;
    case.drained().await.map(drop)
}

async fn time_over(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("none", "web", 0).await?;
    let command = case.drain_within(Duration::from_secs(6)).await?;
    let (_, at, ()) = case.timed_out().await?;
    let after = at.duration_since(command.at);
    expect(after >= Duration::from_millis(5900), "the event at `not_after`", || {
        format!("after {after:?}")
    })?;
    case.replied(&command, &Reply::Ack).await?;
    case.allow_budget("none", 1).await?;
    let before = stage.ledger.len();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut late = case.evictions();
    late.retain(|(index, ..)| *index >= before);
    expect(late.is_empty(), "no eviction after `not_after`", || shown(&late))
}

async fn moved_on(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("none", "web", 0).await?;
    let command = case.drain().await?;
    case.cordoned().await?;
    case.roll_back().await?;
    let (index, ..) = case.replied(&command, &Reply::Ack).await?;
    case.allow_budget("none", 1).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut late = case.evictions();
    late.retain(|(at, ..)| *at > index);
    expect(late.is_empty(), "no eviction once the record has moved on", || {
        shown(&late)
    })?;
    let mut kinds = case.kinds()?;
    kinds.retain(|kind| *kind != "cordoned" && *kind != "drain-progressed");
    expect(kinds.is_empty(), "no event once the record has moved on", || {
        format!("{kinds:?}")
    })
}

async fn read_before(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.drain().await?;
    case.drained().await?;
    let (patches, evictions) = (case.patches(), case.evictions());
    let (patch, ..) = patches.first().context("no patch")?;
    let (eviction, ..) = evictions.first().context("no eviction")?;
    expect(
        between(&case.record_reads(), *patch, *eviction),
        "a read of the record between cordon and eviction",
        || "none there".to_owned(),
    )
}

async fn stays_cordoned(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("none", "web", 0).await?;
    let command = case.drain_within(Duration::from_secs(4)).await?;
    case.replied(&command, &Reply::Ack).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (unschedulable, mark) = case.cordon_now().await?;
    expect(unschedulable && mark.is_some(), "the cordon of the attempt", || {
        format!("unschedulable {unschedulable}, mark {mark:?}")
    })
}

async fn obstacle(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("none", "web", 0).await?;
    case.drain_within(Duration::from_secs(5)).await?;
    let named = |fact: &Fact| {
        if let Fact::DrainFailed { obstacle, .. } = fact {
            Some(obstacle.clone())
        } else {
            None
        }
    };
    let (_, _, obstacle) = case.event("the event drain-failed", SOON, named).await?;
    let kind = obstacle.as_ref().map(|it| it.kind);
    expect(
        kind == Some(ObstacleKind::Budget),
        "the disruption budget as obstacle",
        || format!("{obstacle:?}"),
    )
}
