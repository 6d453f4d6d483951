//! The drain check: questions and answers.

use std::time::{Duration, Instant};

use anyhow::Result;
use bellwether_proto::{CheckDrain, DrainForecast, DrainVerdict, NodeName, subject};
use jiff::Timestamp;
use rig::wait;
use serde_json::json;

use crate::case::{Case, packed};
use crate::check::{Check, expect};
use crate::observe::shown;
use crate::stage::Stage;
use rig::front::Fault;

const CANNOT: &str = "`CANNOT`: two budgets select one pod";
const NEVER: &str = "its `observedGeneration` is not below its `generation`, `desiredHealthy` ≥ `expectedPods` > 0, and \
    `disruptionsAllowed` is 0.";
const NOT_NOW: &str = "or `disruptionsAllowed` is 0; or `disruptionsAllowed` is less than the pods of this node and of the \
    nodes in `beside` that ask it together, if any of the latter do.";
const IN_TIME: &str = "A drainer **must** answer within 6 s, with `DRAIN_VERDICT_UNKNOWN` if it cannot look.";

pub(super) fn checks() -> Vec<Check<Stage>> {
    vec![
        Check::must("D-ASK-01", IN_TIME, |stage| Box::pin(in_time(stage))),
        Check::must("D-ASK-02", "It reads, changes nothing, and needs no record", |stage| {
            Box::pin(changes_nothing(stage))
        }),
        Check::may("D-ASK-03", CANNOT, |stage| Box::pin(two_budgets(stage))),
        Check::may("D-ASK-04", NEVER, |stage| Box::pin(never(stage))),
        Check::may("D-ASK-05", NOT_NOW, |stage| Box::pin(not_now(stage))),
        Check::may("D-ASK-06", NOT_NOW, |stage| Box::pin(beside(stage))),
        Check::may(
            "D-ASK-07",
            "`CAN`: otherwise, also if a budget lets the pods go only in turns.",
            |stage| Box::pin(in_turns(stage)),
        ),
        Check::must(
            "D-ASK-08",
            "A question that cannot be decoded, or names another node than its subject, has no answer.",
            |stage| Box::pin(no_answer(stage)),
        ),
        Check::must("D-ASK-09", IN_TIME, |stage| Box::pin(unknown(stage))).alone(),
    ]
}

/// Publishes a question about the node; returns the answer.
async fn ask(case: &Case<'_>, beside: Vec<NodeName>) -> Result<DrainForecast> {
    let question = CheckDrain {
        node: case.node.clone(),
        asked_at: Timestamp::now(),
        beside,
    };
    let (from, at) = (case.stage.ledger.len(), Instant::now());
    let (headers, body) = packed(&question);
    case.tell(subject::drain_question(&case.node.token()), headers, body)
        .await?;
    let subject = subject::drain_answer(&case.node.token());
    let (at_answer, answer) = wait::until("the answer", Duration::from_secs(10), async || {
        let answers = case.stage.ledger.all(from, |entry| {
            entry.published().filter(|message| message.subject == subject).cloned()
        });
        let answer = answers.into_iter().next().map(|(_, at, message)| (at, message));
        answer.ok_or_else(|| anyhow::anyhow!("there is none"))
    })
    .await?;
    let after = at_answer.duration_since(at);
    expect(after <= Duration::from_secs(6), "an answer within 6 s", || {
        format!("after {after:?}")
    })?;
    let forecast: DrainForecast = answer.decode()?;
    let same = forecast.node == question.node && forecast.asked_at == question.asked_at;
    expect(same, "node and asked_at of the question", || format!("{forecast:?}"))?;
    Ok(forecast)
}

async fn verdict(case: &Case<'_>, beside: Vec<NodeName>, wanted: DrainVerdict) -> Result<()> {
    let found = ask(case, beside).await?;
    expect(found.verdict == wanted, &format!("{wanted:?}"), || format!("{found:?}"))
}

async fn in_time(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    verdict(&case, vec![], DrainVerdict::Can).await
}

async fn changes_nothing(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    case.pod("web", json!({})).await?;
    verdict(&case, vec![], DrainVerdict::Can).await?;
    let mut changes = case.requests();
    changes.retain(|(_, _, it)| it.method != "GET");
    expect(changes.is_empty(), "no change", || shown(&changes))
}

async fn two_budgets(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("one", "web", 1).await?;
    case.budget("two", "web", 1).await?;
    verdict(&case, vec![], DrainVerdict::Cannot).await
}

async fn never(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("all", "web", 0).await?;
    let status = json!({ "desiredHealthy": 1, "expectedPods": 1, "currentHealthy": 1 });
    case.allow(&format!("all-{}", case.tag), status).await?;
    verdict(&case, vec![], DrainVerdict::Cannot).await
}

async fn not_now(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    case.pod("web", json!({})).await?;
    case.budget("tight", "web", 0).await?;
    verdict(&case, vec![], DrainVerdict::NotNow).await
}

async fn beside(stage: &Stage) -> Result<()> {
    let (case, other) = (Case::without_record(stage).await?, Case::without_record(stage).await?);
    let app = json!({ "metadata": { "labels": { "app": format!("web-{}", case.tag) } } });
    case.pod("web", json!({})).await?;
    other.pod("web", app).await?;
    case.budget("shared", "web", 1).await?;
    verdict(&case, vec![], DrainVerdict::Can).await?;
    verdict(&case, vec![other.node.clone()], DrainVerdict::NotNow).await
}

async fn in_turns(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    let app = json!({ "metadata": { "labels": { "app": format!("web-{}", case.tag) } } });
    for name in ["web", "second", "third"] {
        case.pod(name, app.clone()).await?;
    }
    case.budget("turns", "web", 1).await?;
    verdict(&case, vec![], DrainVerdict::Can).await
}

async fn no_answer(stage: &Stage) -> Result<()> {
    let (case, other) = (Case::without_record(stage).await?, Case::without_record(stage).await?);
    let from = stage.ledger.len();
    let question = CheckDrain {
        node: other.node.clone(),
        asked_at: Timestamp::now(),
        beside: vec![],
    };
    let (headers, body) = packed(&question);
    let subject = subject::drain_question(&case.node.token());
    case.tell(subject.clone(), headers.clone(), body).await?;
    case.tell(subject, headers, b"\xff\xff".to_vec()).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let own = [&case, &other].map(|case| subject::drain_answer(&case.node.token()));
    let answers = stage.ledger.all(from, |entry| {
        entry
            .published()
            .filter(|message| own.contains(&message.subject))
            .cloned()
    });
    expect(answers.is_empty(), "no answer", || format!("{answers:?}"))
}

async fn unknown(stage: &Stage) -> Result<()> {
    let case = Case::without_record(stage).await?;
    case.pod("web", json!({})).await?;
    let _silence = stage.front.inject(|it| (!it.is_watch()).then_some(Fault::Silence));
    verdict(&case, vec![], DrainVerdict::Unknown).await
}
