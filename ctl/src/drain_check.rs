//! Forecasts of drains as text and JSON: pure functions.

use std::collections::BTreeMap;

use bellwether_check::text::NOTHING;
use bellwether_proto::wire::{self, DrainForecast, DrainVerdict};
use bellwether_proto::{DrainFinding, DrainFindingKind, DrainVerdict as Verdict, from_duration};
use jiff::SignedDuration;
use serde::Serialize;

use crate::render;

/// How many nodes one line names.
const NODES_NAMED_MAX: usize = 5;

/// The node could be drained now.
pub(crate) fn can(forecast: &DrainForecast) -> bool {
    forecast.verdict() == DrainVerdict::Can
}

/// The forecast of a node whose check failed, for this reason.
pub(crate) fn unknown(node: &str, reason: String) -> DrainForecast {
    let finding = wire::DrainFinding {
        kind: wire::DrainFindingKind::NotChecked.into(),
        object: String::new(),
        sentence: reason,
        namespace_owners: Vec::new(),
    };
    DrainForecast {
        node: node.to_owned(),
        verdict: DrainVerdict::Unknown.into(),
        findings: vec![finding],
        ..DrainForecast::default()
    }
}

/// A line for each node, then each finding once, with the nodes that it is about.
pub(crate) fn table(forecasts: &[DrainForecast]) -> String {
    if forecasts.is_empty() {
        return "No nodes.\n".to_owned();
    }
    let rows = forecasts.iter().map(|forecast| {
        let blocker = forecast.findings.iter().find(|finding| blocks(finding.kind));
        vec![
            forecast.node.clone(),
            words(forecast.verdict()).to_owned(),
            if forecast.verdict() == DrainVerdict::Unknown {
                NOTHING.to_owned()
            } else {
                forecast.pods_to_go.to_string()
            },
            takes(forecast).map_or_else(|| NOTHING.to_owned(), |takes| format!("{takes:#}")),
            blocker.map_or_else(|| NOTHING.to_owned(), |finding| kind(finding.kind)),
        ]
    });
    let mut text = render::table(&["NODE", "DRAIN", "PODS", "WITHIN", "BLOCKER"], rows);
    text.push_str(&findings(forecasts));
    text
}

/// The findings of all nodes, those that block first; alike ones of several nodes in one line.
fn findings(forecasts: &[DrainForecast]) -> String {
    let mut of_each: BTreeMap<(DrainFindingKind, &str), (Vec<&str>, &wire::DrainFinding)> = BTreeMap::new();
    for forecast in forecasts {
        for finding in &forecast.findings {
            // Findings about one object are alike, those about the node only if their sentences are.
            let about = if finding.object.is_empty() {
                &finding.sentence
            } else {
                &finding.object
            };
            let key = (DrainFindingKind::from_wire(finding.kind), about.as_str());
            let (nodes, _) = of_each.entry(key).or_insert_with(|| (Vec::new(), finding));
            nodes.push(&forecast.node);
        }
    }
    let mut text = String::new();
    for ((kind, about), (nodes, finding)) in of_each {
        let (named, more) = nodes.split_at(nodes.len().min(NODES_NAMED_MAX));
        let more = match more.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let remark = if kind.verdict() == Verdict::Can { "note: " } else { "" };
        let is_of_first = nodes.len() > 1 && about != finding.sentence;
        let and_so_on = if is_of_first { " (on the first of them)" } else { "" };
        let nodes = format!("{}{more}", named.join(", "));
        let sentence = DrainFinding::from_wire(finding.clone());
        text.push_str(&format!("\n{nodes}: {remark}{sentence}{and_so_on}\n"));
    }
    text
}

/// The forecasts for programs.
pub(crate) fn json(forecasts: &[DrainForecast]) -> anyhow::Result<String> {
    let forecasts: Vec<Forecast<'_>> = forecasts.iter().map(Forecast::from).collect();
    let mut text = serde_json::to_string_pretty(&forecasts)?;
    text.push('\n');
    Ok(text)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Forecast<'a> {
    node: &'a str,
    verdict: String,
    pods_to_go: u32,
    pods_staying: u32,
    within_seconds: Option<i64>,
    findings: Vec<Finding<'a>>,
    source: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    kind: String,
    blocks: bool,
    object: &'a str,
    message: &'a str,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    namespace_owners: &'a [String],
}

impl<'a> From<&'a DrainForecast> for Forecast<'a> {
    fn from(forecast: &'a DrainForecast) -> Self {
        let findings = forecast.findings.iter().map(|finding| Finding {
            kind: kind(finding.kind),
            blocks: blocks(finding.kind),
            object: &finding.object,
            message: &finding.sentence,
            namespace_owners: &finding.namespace_owners,
        });
        Self {
            node: &forecast.node,
            verdict: match forecast.verdict() {
                DrainVerdict::Unspecified => format!("Unknown({})", forecast.verdict),
                DrainVerdict::Can => Verdict::Can.as_str().to_owned(),
                DrainVerdict::NotNow => Verdict::NotNow.as_str().to_owned(),
                DrainVerdict::Cannot => Verdict::Cannot.as_str().to_owned(),
                DrainVerdict::Unknown => Verdict::Unknown.as_str().to_owned(),
            },
            pods_to_go: forecast.pods_to_go,
            pods_staying: forecast.pods_staying,
            within_seconds: takes(forecast).map(|takes| takes.as_secs()),
            findings: findings.collect(),
            source: &forecast.source,
        }
    }
}

fn words(verdict: DrainVerdict) -> &'static str {
    match verdict {
        DrainVerdict::Can => "can",
        DrainVerdict::NotNow => "not now",
        DrainVerdict::Cannot => "cannot",
        DrainVerdict::Unknown | DrainVerdict::Unspecified => "unknown",
    }
}

fn takes(forecast: &DrainForecast) -> Option<SignedDuration> {
    forecast.takes.and_then(from_duration)
}

fn kind(number: i32) -> String {
    DrainFindingKind::from_wire(number).word()
}

fn blocks(number: i32) -> bool {
    DrainFindingKind::from_wire(number).verdict() > Verdict::Can
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::{CheckDrain, DrainForecast as Typed, Message as _};
    use jiff::Timestamp;

    fn forecast(node: &str, verdict: Verdict, findings: &[DrainFindingKind]) -> DrainForecast {
        let question = CheckDrain {
            node: node.parse().unwrap(),
            asked_at: Timestamp::UNIX_EPOCH,
            beside: vec![],
        };
        let findings = findings.iter().map(|kind| DrainFinding {
            kind: *kind,
            object: "PodDisruptionBudget shop/web".to_owned(),
            sentence: format!("{} of {node}", kind.word()),
            namespace_owners: match kind.verdict() {
                Verdict::Cannot => vec!["team-shop".to_owned()],
                Verdict::Can | Verdict::NotNow | Verdict::Unknown => Vec::new(),
            },
        });
        let forecast = Typed {
            verdict,
            takes: (verdict == Verdict::Can).then(|| SignedDuration::from_secs(93)),
            pods_to_go: 12,
            findings: findings.collect(),
            ..Typed::unknown(&question, "drainer 0.1.0", String::new())
        };
        forecast.to_wire()
    }

    #[test]
    fn alike_findings_of_several_nodes_are_one_line_and_blockers_come_first() {
        use DrainFindingKind::{BudgetInTurns, BudgetNeverAllows};
        let forecasts = [
            forecast("n1", Verdict::Can, &[BudgetInTurns]),
            forecast("n2", Verdict::Cannot, &[BudgetNeverAllows]),
            forecast("n3", Verdict::Cannot, &[BudgetNeverAllows]),
        ];
        let expected = "\
NODE   DRAIN    PODS   WITHIN   BLOCKER
n1     can      12     1m 33s   -
n2     cannot   12     -        BudgetNeverAllows
n3     cannot   12     -        BudgetNeverAllows

n2, n3: BudgetNeverAllows of n2 (owner team-shop) (on the first of them)

n1: note: BudgetInTurns of n1
";
        assert_eq!(table(&forecasts), expected);
        assert!(can(&forecasts[0]) && !can(&forecasts[1]));
    }

    #[test]
    fn findings_about_a_node_are_merged_only_if_their_sentences_are_alike() {
        let forecasts = ["n1", "n2", "n3"].map(|node| {
            let reason = if node == "n3" { "the node is gone" } else { "no drainer" };
            unknown(node, reason.to_owned())
        });
        let text = table(&forecasts);
        assert!(
            text.ends_with("\nn1, n2: no drainer\n\nn3: the node is gone\n"),
            "{text}"
        );
    }

    #[test]
    fn the_names_of_fields_stay_as_they_are() {
        let json = json(&[forecast("n1", Verdict::Can, &[DrainFindingKind::BudgetInTurns])]).unwrap();
        let expected = serde_json::json!([{
            "node": "n1", "verdict": "Can", "podsToGo": 12, "podsStaying": 0, "withinSeconds": 93,
            "findings": [{
                "kind": "BudgetInTurns", "blocks": false, "object": "PodDisruptionBudget shop/web",
                "message": "BudgetInTurns of n1",
            }],
            "source": "drainer 0.1.0",
        }]);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), expected);
    }
}
