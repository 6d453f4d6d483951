//! Answers the question whether a node can be drained: reads, and changes nothing.
//!
//! Each question reaches one drainer. A question that is lost, or whose answer is, is asked again.

use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::core_message::CoreMessage;
use bellwether_chassis::{Bus, Chassis, chain};
use bellwether_drainer_core::check::{Known, NodePods, forecast};
use bellwether_drainer_core::{DaemonSetKinds, NodePod};
use bellwether_proto::subject::{self, ALL_DRAIN_QUESTIONS, DRAINERS_GROUP, Topic};
use bellwether_proto::{CheckDrain, DrainForecast, NodeName, encode};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kube::Client;

use crate::error::CommandError;
use crate::kube::budgets::KnownBudgets;
use crate::kube::namespaces::KnownOwners;
use crate::kube::pods;
use crate::kube::volumes::KnownVolumes;
use crate::metrics::{Metrics, Rejection};

/// How many questions are answered at once, and how many nodes are listed at once for each: the API server answers from
/// its cache, but decoding the pods of a node takes milliseconds.
const AT_ONCE: usize = 4;

/// How long one answer may take; below the time that the scheduler waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What answers take.
#[derive(Clone)]
pub(crate) struct Checks {
    pub(crate) bus: Bus,
    pub(crate) client: Client,
    pub(crate) budgets: KnownBudgets,
    pub(crate) volumes: KnownVolumes,
    pub(crate) owners: KnownOwners,
    pub(crate) daemon_sets: DaemonSetKinds,
    pub(crate) metrics: Metrics,
    pub(crate) source: String,
}

impl Checks {
    /// Answers questions until the service stops.
    pub(crate) async fn serve(self, chassis: Chassis) -> anyhow::Result<()> {
        let questions = self.bus.subscribe(ALL_DRAIN_QUESTIONS.to_owned(), Some(DRAINERS_GROUP));
        let questions = questions.await.context("subscribe to questions about drains")?;
        let questions = questions.take_until(chassis.stop.cancelled());
        questions
            .for_each_concurrent(AT_ONCE, |message| self.answer(message))
            .await;
        Ok(())
    }

    async fn answer(&self, message: CoreMessage) {
        let question = match question_of(&message.subject, || message.decode()) {
            Ok(question) => question,
            Err(error) => {
                self.metrics.rejected(Rejection::from(&error));
                tracing::error!(subject = message.subject, error = chain(&error), "Question rejected");
                return;
            }
        };
        let answer = match tokio::time::timeout(TIMEOUT, self.look(&question)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(reason)) => DrainForecast::unknown(&question, &self.source, reason),
            Err(_) => {
                let reason = format!("the API server has not answered within {} s", TIMEOUT.as_secs());
                DrainForecast::unknown(&question, &self.source, reason)
            }
        };
        self.metrics.checked(answer.verdict);
        tracing::debug!(node = %answer.node, verdict = answer.verdict.as_str(), findings = ?answer.findings, "Drain checked");
        let subject = subject::drain_answer(&question.node.token());
        if let Err(error) = self.bus.publish_unstored(subject, encode(&answer)).await {
            tracing::debug!(error = format!("{error:#}"), "Answer could not be sent");
        }
    }

    async fn look(&self, question: &CheckDrain) -> Result<DrainForecast, String> {
        let pods = self.pods_of(&question.node).await?;
        let mut beside = question.beside.clone();
        beside.retain(|node| *node != question.node);
        let beside = stream::iter(beside).map(|node| async move {
            let pods = self.pods_of(&node).await?;
            let node = node.to_string();
            Ok::<_, String>(NodePods { node, pods })
        });
        let beside: Vec<NodePods> = beside.buffered(AT_ONCE).try_collect().await?;
        // After the pods: a budget that has changed meanwhile counts as it is now.
        let budgets = self.budgets.borrow().clone().map_err(|unseen| unseen.reason)?;
        let volumes = self.volumes.all();
        let owners = self.owners.borrow().clone().unwrap_or_default();
        let known = Known {
            budgets: &budgets,
            volumes: volumes.as_ref().ok(),
            owners: &owners,
        };
        Ok(forecast(question, &self.source, &pods, &beside, known))
    }

    async fn pods_of(&self, node: &NodeName) -> Result<Vec<NodePod>, String> {
        let listed = pods::list_cached(self.client.clone(), node).await;
        let listed = listed.map_err(|fault| format!("the pods of node {node} cannot be listed: {fault}"))?;
        let pods = listed
            .iter()
            .filter_map(|pod| NodePod::on_node(pod, node.as_str(), &self.daemon_sets));
        Ok(pods.collect())
    }
}

fn question_of(
    subject: &str,
    decode: impl FnOnce() -> Result<CheckDrain, bellwether_proto::WireError>,
) -> Result<CheckDrain, CommandError> {
    let Some(Topic::DrainQuestion(token)) = Topic::parse(subject) else {
        return Err(CommandError::Unknown {
            subject: subject.to_owned(),
        });
    };
    let question = decode()?;
    subject::same_node(&token, &question.node)?;
    Ok(question)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn a_question_names_the_node_of_its_subject() {
        let question = |node: &str| CheckDrain {
            node: node.parse().unwrap(),
            asked_at: Timestamp::UNIX_EPOCH,
            beside: vec![],
        };
        let subject = subject::drain_question(&"n1".parse().unwrap());
        assert_eq!(question_of(&subject, || Ok(question("n1"))), Ok(question("n1")));
        let refused = question_of(&subject, || Ok(question("n2")));
        assert!(matches!(refused, Err(CommandError::OtherNode(_))), "{refused:?}");
        let refused = question_of(&subject.replace("drain", "reboot"), || unreachable!());
        assert!(matches!(refused, Err(CommandError::Unknown { .. })), "{refused:?}");
    }
}
