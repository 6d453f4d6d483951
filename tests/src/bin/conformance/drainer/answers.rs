//! What the API server may answer to an eviction or to the cordon, and what follows.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bellwether_proto::{DrainFailure, Fact};
use serde_json::{Value, json};

use crate::case::{Case, SOON};
use crate::check::{Check, expect};
use crate::observe::{drained, shown};
use crate::stage::{LASTS, Stage};
use rig::front::Request;
use rig::front::{Answer, Fault, Injection};

const NOT_GONE: &str = "the pod is gone; a pod that watch or list still show then is not";
const BUSY: &str = "| another 429 | the API server is busy: all evictions of this process rest | `retryAfterSeconds`, at \
    least 1 s, doubled in a row, at most 30 s;";
const PASSING: &str = "An API server that has just started forbids everything for a while, so one `403` proves nothing";
const FINAL: &str = "a right is missing once the same thing was forbidden for 60 s without another answer about it in \
    between";
const DENIED: &str = "denied by a webhook or policy, which chooses the code: a webhook's 404 does not mean that the pod is \
    gone, nor a policy's 403 that a right is missing";
const ANY: &str = "| any other, or none within 20 s | unknown | 1 s, doubled up to 30 s |";

/// Longer than the longest pause between two tries, and the time to drain after it.
const AFTER_PAUSES: Duration = Duration::from_secs(90);

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-ANSWER-01", NOT_GONE, |stage| Box::pin(wrong_404(stage))),
        Check::must("D-ANSWER-02", "| another 409 | conflict | 1 s |", |stage| {
            Box::pin(conflict(stage))
        }),
        Check::must(
            "D-ANSWER-03",
            "| 429 with the cause `DisruptionBudget` | blocked by a disruption budget |",
            |stage| Box::pin(blocked(stage)),
        ),
        Check::must("D-ANSWER-04", BUSY, |stage| Box::pin(retry_after(stage))).alone(),
        Check::may("D-ANSWER-05", BUSY, |stage| Box::pin(all_rest(stage))).alone(),
        Check::must("D-ANSWER-06", PASSING, |stage| Box::pin(passing_403(stage))),
        Check::must("D-ANSWER-07", FINAL, |stage| Box::pin(final_403(stage))).slow(),
        Check::must(
            "D-ANSWER-08",
            "| 403 with the cause `NamespaceTerminating` | the pod goes with its namespace | 10 s |",
            |stage| Box::pin(namespace_ends(stage)),
        ),
        Check::must("D-ANSWER-09", DENIED, |stage| Box::pin(denied(stage))).slow(),
        Check::must("D-ANSWER-10", ANY, |stage| Box::pin(server_errors(stage))),
        Check::must(
            "D-ANSWER-11",
            "and do not wait longer than 20 s for the answer to a request",
            |stage| Box::pin(silence(stage)),
        )
        .slow(),
        Check::must("D-ANSWER-12", ANY, |stage| Box::pin(lost(stage))),
        Check::must("D-ANSWER-13", PASSING, |stage| Box::pin(cordon_forbidden(stage))),
        Check::must(
            "D-ANSWER-14",
            "until `not_after` (drain) or for 20 s (uncordon)",
            |stage| Box::pin(cordon_lost(stage)),
        ),
    ]
}

/// Gives the first evictions of a trial's pods these faults, one each.
fn first_evictions(case: &Case<'_>, faults: Vec<Fault>) -> Injection {
    let (tag, next) = (case.tag.clone(), AtomicU32::new(0));
    case.stage.front.inject(move |it| {
        if !it.is_eviction() || !it.path.contains(&tag) {
            return None;
        }
        let number = next.fetch_add(1, Ordering::Relaxed);
        faults.get(usize::try_from(number).ok()?).cloned()
    })
}

fn status(code: u16, reason: &str, message: &str) -> Fault {
    Fault::Answer(Answer::new(code, reason, message))
}

/// One pod, whose first evictions have these faults, is evicted in the end; returns its evictions.
async fn survives(stage: &Stage, faults: Vec<Fault>) -> Result<Vec<(usize, Instant, Request)>> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    let count = faults.len();
    let _faults = first_evictions(&case, faults);
    case.drain().await?;
    case.event("the event drained", AFTER_PAUSES, drained).await?;
    let evictions = case.evictions();
    expect(evictions.len() > count, "another try after each fault", || {
        shown(&evictions)
    })?;
    expect(
        !case.has_pod("web").await?,
        "that the pod is gone before drained",
        || "it is still there".to_owned(),
    )?;
    Ok(evictions)
}

async fn wrong_404(stage: &Stage) -> Result<()> {
    survives(stage, vec![status(404, "NotFound", "pods \"web\" not found")])
        .await
        .map(drop)
}

async fn conflict(stage: &Stage) -> Result<()> {
    survives(
        stage,
        vec![status(
            409,
            "Conflict",
            "please apply your changes to the latest version",
        )],
    )
    .await
    .map(drop)
}

async fn blocked(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("tight", "web", 0).await?;
    case.drain().await?;
    case.cordoned().await?;
    tokio::time::sleep(Duration::from_secs(4)).await;
    let tries = case.evictions().len();
    expect(tries <= 4, "no more than a try a second", || {
        format!("{tries} tries in 4 s")
    })?;
    expect(
        case.has_pod("web").await? && !case.is_drained()?,
        "the pod and no event drained",
        || "another state".to_owned(),
    )?;
    case.allow_budget("tight", 1).await?;
    case.event("the event drained", AFTER_PAUSES, drained).await.map(drop)
}

fn busy(seconds: u32) -> Fault {
    let answer = Answer::new(429, "TooManyRequests", "the server has received too many requests");
    let details = json!({ "retryAfterSeconds": seconds });
    Fault::Answer(answer.retry_after(seconds).details(details))
}

async fn retry_after(stage: &Stage) -> Result<()> {
    let evictions = survives(stage, vec![busy(4)]).await?;
    let [(_, first, _), (_, second, _), ..] = evictions.as_slice() else {
        return expect(false, "two tries", || shown(&evictions));
    };
    let pause = second.duration_since(*first);
    expect(pause >= Duration::from_millis(3900), "no further try for 4 s", || {
        format!("one after {pause:?}")
    })
}

async fn all_rest(stage: &Stage) -> Result<()> {
    let (one, other) = (Case::new(stage).await?, Case::new(stage).await?);
    one.pod("web", json!({})).await?;
    other.pod("web", json!({})).await?;
    let _fault = first_evictions(&one, vec![busy(5)]);
    one.drain().await?;
    let first = one.count("the first eviction", 1, SOON, || one.evictions()).await?;
    other.drain().await?;
    let others = other
        .count("the eviction on the other node", 1, SOON, || other.evictions())
        .await?;
    let ((_, first, _), (_, second, _)) = (first.first().context("none")?, others.first().context("none")?);
    let pause = second.duration_since(*first);
    one.drained().await?;
    other.drained().await?;
    expect(
        pause >= Duration::from_secs(4),
        "that evictions of other nodes rest too",
        || format!("one after {pause:?}"),
    )
}

fn forbidden() -> Fault {
    status(
        403,
        "Forbidden",
        "pods \"web\" is forbidden: User \"x\" cannot create resource \"pods/eviction\"",
    )
}

async fn passing_403(stage: &Stage) -> Result<()> {
    survives(stage, vec![forbidden(), forbidden()]).await.map(drop)
}

fn is_forbidden(fact: &Fact) -> Option<()> {
    matches!(
        fact,
        Fact::DrainFailed {
            failure: DrainFailure::Forbidden,
            ..
        }
    )
    .then_some(())
}

async fn final_403(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    let _faults = first_evictions(&case, vec![forbidden(); 200]);
    let command = case.drain().await?;
    let (_, at, ()) = case
        .event(
            "the event drain-failed FORBIDDEN",
            Duration::from_secs(150),
            is_forbidden,
        )
        .await?;
    let after = at.duration_since(command.at);
    expect(after >= Duration::from_secs(60), "the event after 60 s", || {
        format!("after {after:?}")
    })
}

async fn namespace_ends(stage: &Stage) -> Result<()> {
    let cause = json!({ "causes": [{ "reason": "NamespaceTerminating", "message": "it ends" }] });
    let answer = Answer::new(
        403,
        "Forbidden",
        "unable to create new content in namespace x because it is being terminated",
    );
    survives(stage, vec![Fault::Answer(answer.details(cause))])
        .await
        .map(drop)
}

async fn denied(stage: &Stage) -> Result<()> {
    let webhook = "admission webhook \"guard.example.com\" denied the request: not now";
    let policy = "pods \"web\" is forbidden: ValidatingAdmissionPolicy 'guard' with binding 'guard' denied request: no";
    survives(
        stage,
        vec![status(404, "NotFound", webhook), status(403, "Forbidden", policy)],
    )
    .await
    .map(drop)
}

async fn server_errors(stage: &Stage) -> Result<()> {
    let faults = vec![
        status(500, "InternalError", "the store is away"),
        status(
            504,
            "Timeout",
            "request did not complete within requested timeout - context deadline exceeded",
        ),
        status(503, "ServiceUnavailable", "no"),
    ];
    survives(stage, faults).await.map(drop)
}

async fn silence(stage: &Stage) -> Result<()> {
    let evictions = survives(stage, vec![Fault::Silence]).await?;
    expect(
        evictions.first().is_some_and(|(_, _, it)| it.dropped),
        "that the request is given up",
        || shown(&evictions),
    )
}

async fn lost(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    case.pod("web", json!({})).await?;
    let _fault = first_evictions(&case, vec![Fault::LoseAnswer]);
    case.drain().await?;
    case.event("the event drained", AFTER_PAUSES, drained).await?;
    expect(
        !case.has_pod("web").await?,
        "that the pod is gone before drained",
        || "it is still there".to_owned(),
    )
}

/// Gives the first changes of a trial's node these faults, one each.
fn first_patches(case: &Case<'_>, faults: Vec<Fault>) -> Injection {
    let (path, next) = (case.node_path(), AtomicU32::new(0));
    case.stage.front.inject(move |it| {
        if it.method == "GET" || it.path != path {
            return None;
        }
        let number = next.fetch_add(1, Ordering::Relaxed);
        faults.get(usize::try_from(number).ok()?).cloned()
    })
}

async fn cordon_forbidden(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let no = status(
        403,
        "Forbidden",
        "nodes \"x\" is forbidden: User \"x\" cannot patch resource \"nodes\"",
    );
    let _faults = first_patches(&case, vec![no.clone(), no]);
    case.drain().await?;
    case.event("the event drained", AFTER_PAUSES, drained).await.map(drop)
}

async fn cordon_lost(stage: &Stage) -> Result<()> {
    let case = Case::new(stage).await?;
    let annotations: Value = json!({ LASTS: "" });
    case.pod("web", json!({ "metadata": { "annotations": annotations } }))
        .await?;
    let _faults = first_patches(&case, vec![status(504, "Timeout", "no"), Fault::LoseAnswer]);
    case.drain().await?;
    case.cordoned().await?;
    case.end_pod("web").await?;
    case.event("the event drained", AFTER_PAUSES, drained).await.map(drop)
}
