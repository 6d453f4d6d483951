//! The driver: starts the parts, takes commands, answers with facts.
//!
//! It owns the connections and the number of drains at once. What is true of a pod, a cordon
//! or a record is decided elsewhere; here it only becomes a fact and a verdict.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::{Bus, Chassis, Record, Verdict, clock, consume, kubernetes, nats, propagate, stream};
use bellwether_proto::stream::DRAINERS_CONSUMER;
use bellwether_proto::{Fact, attribute};
use jiff::Timestamp;
use tokio::sync::{Semaphore, watch};
use tracing::{Instrument as _, Span};

use crate::args::Args;
use crate::error::{DrainError, PermitError, UncordonError};
use crate::evict::Throttle;
use crate::metrics::{Metrics, Outcome, Why};
use crate::permit::{Deed, Order, Permit};
use crate::report::Report;
use crate::rights::{self, Rights};
use crate::tools::{KubeClient, Tools};
use crate::{cordon, drain, wire};

/// Places besides those of the drains, so that drains that wait for hours never keep a node
/// from being uncordoned.
const UNCORDONS: usize = 16;
/// When a drain for which there is no place is looked at again, here or by another replica.
const NO_PLACE: Duration = Duration::from_secs(2);
/// When an order that is worked on already is looked at again, in case that work is dropped.
const SAME_ORDER: Duration = Duration::from_secs(10);
/// For so long an uncordon is tried before it is reported as failed.
const UNCORDON_TRIES: Duration = Duration::from_secs(20);
/// When an uncordon that failed is tried again.
const UNCORDON_AGAIN: Duration = Duration::from_secs(5);
/// So long after a command its record may seem older than it is; later the record was lost.
const RECORD_LAG_MAX: Duration = Duration::from_secs(60);

/// Runs until the service stops.
pub(crate) async fn run(chassis: Chassis, args: &Args) -> anyhow::Result<()> {
    let metrics = Metrics::register(&chassis);
    let (client, _) = kubernetes::client().await?;
    let bus = nats::connect(&chassis, &args.chassis).await?;
    if !stream::set_up(&chassis, &bus, &args.streams).await {
        return Ok(());
    }
    let (tell_rights, mut rights) = watch::channel(Rights::Unknown);
    chassis.spawn(
        "rights",
        rights::look_after(chassis.clone(), client.clone(), tell_rights),
    );
    rights
        .wait_for(|rights| *rights != Rights::Unknown)
        .await
        .context("wait for the Kubernetes API server")?;

    let concurrency = usize::from(args.concurrency);
    let drainer = Arc::new(Drainer {
        source: format!("{} {}", chassis.service.name, chassis.service.version),
        tools: Tools {
            client: KubeClient(client),
            metrics,
            throttle: Throttle::default(),
            evictions_per_node: usize::from(args.evictions_per_node),
        },
        places: Semaphore::new(concurrency),
        under_way: Orders::default(),
        bus: bus.clone(),
        rights,
    });
    tracing::info!(concurrency, "Ready for commands");
    let places = concurrency.saturating_add(UNCORDONS);
    consume::consume(
        &chassis,
        &bus,
        &args.streams,
        &DRAINERS_CONSUMER,
        places,
        move |record| Arc::clone(&drainer).handle(record),
    )
    .await
}

/// What every command is handled with.
struct Drainer {
    bus: Bus,
    tools: Tools,
    rights: watch::Receiver<Rights>,
    places: Semaphore,
    under_way: Orders,
    source: String,
}

/// The orders that this process works on.
type Orders = Arc<Mutex<HashSet<Order>>>;

/// The only turn on one order in this process. After NATS was away a command comes a second
/// time while the first is still worked on; twice the watching would do no harm, but no good either.
struct Turn {
    orders: Orders,
    order: Order,
}

impl Turn {
    fn take(orders: &Orders, order: &Order) -> Option<Self> {
        let mut taken = orders.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(order.clone()).then(|| Self {
            orders: Arc::clone(orders),
            order: order.clone(),
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        taken.remove(&self.order);
    }
}

impl Drainer {
    async fn handle(self: Arc<Self>, record: Record) -> Verdict {
        let order = match wire::order(&record) {
            Ok(order) => order,
            Err(error) => {
                self.tools.metrics.rejected(Why::from(&error));
                let error = bellwether_chassis::chain(&error);
                tracing::error!(subject = record.subject, error, "Command rejected");
                return Verdict::Terminate;
            }
        };
        let Some(_turn) = Turn::take(&self.under_way, &order) else {
            return Verdict::RetryAfter(SAME_ORDER);
        };
        let _place = match order.deed {
            Deed::Drain { .. } => match self.places.try_acquire() {
                Ok(place) => Some(place),
                Err(_) => return Verdict::RetryAfter(clock::jitter(NO_PLACE)),
            },
            Deed::Uncordon => None,
        };
        Box::pin(self.obey(order, record.stored_at)).await
    }

    /// Carries the order out for as long as its permit stands.
    async fn obey(&self, order: Order, ordered_at: Timestamp) -> Verdict {
        let permit = Permit::new(self.bus.clone(), order);
        let attempt = match permit.read().await {
            Ok(attempt) => attempt,
            Err(error) => return self.not_permitted(&permit.order, &error, ordered_at),
        };
        let span = span_of(&permit.order);
        propagate::set_parent(&span, attempt.trace);
        let started = clock::now();
        let work = async {
            let report = Report {
                bus: self.bus.clone(),
                source: self.source.clone(),
                order: permit.order.clone(),
            };
            let (outcome, verdict) = tokio::select! {
                ended = self.carry_out(&permit, &report) => ended,
                error = permit.lost() => {
                    tracing::info!(node = %permit.order.node, why = %error, "Stopped, the attempt has moved on");
                    (Outcome::MovedOn, error.verdict())
                }
            };
            close(&Span::current(), outcome);
            match permit.order.deed {
                Deed::Drain { .. } => {
                    let seconds = clock::now().duration_since(started).as_secs_f64();
                    self.tools.metrics.drain_ended(outcome, seconds);
                }
                Deed::Uncordon => self.tools.metrics.uncordon_ended(outcome),
            }
            verdict
        };
        work.instrument(span).await
    }

    /// Without a permit nothing is done, and nothing is said but in the log.
    fn not_permitted(&self, order: &Order, error: &PermitError, ordered_at: Timestamp) -> Verdict {
        let age = Duration::try_from(clock::now().duration_since(ordered_at)).unwrap_or_default();
        let lost = matches!(error, PermitError::Behind(_)) && age > RECORD_LAG_MAX;
        let why = bellwether_chassis::chain(error);
        let (node, attempt, generation) = (&order.node, &order.attempt, &order.generation);
        if error.is_final() || lost {
            self.tools.metrics.rejected(Why::Stale);
            tracing::info!(%node, %attempt, %generation, why, "Stale command dropped");
            return Verdict::Ack;
        }
        tracing::warn!(%node, %attempt, %generation, why, "Command postponed");
        error.verdict()
    }

    async fn carry_out(&self, permit: &Permit, report: &Report) -> (Outcome, Verdict) {
        match permit.order.deed {
            Deed::Drain { not_after } => {
                let _under_way = self.tools.metrics.under_way();
                self.drain(permit, report, not_after).await
            }
            Deed::Uncordon => self.uncordon(permit, report).await,
        }
    }

    async fn drain(&self, permit: &Permit, report: &Report, not_after: Timestamp) -> (Outcome, Verdict) {
        let node = &permit.order.node;
        let known = self.rights.borrow().clone();
        let drained = match known {
            Rights::Held => Box::pin(drain::drain(&self.tools, permit, report, not_after)).await,
            // Defect 3: said at once, so that the attempt ends with its reason.
            Rights::Missing(missing) => Err(DrainError::Forbidden(format!(
                "the drainer lacks rights in Kubernetes: {missing}"
            ))),
            Rights::Unknown => return (Outcome::Postponed, Verdict::RetryAfter(UNCORDON_AGAIN)),
        };
        match drained {
            Ok(emptied) => {
                let (pods_gone, pods_left) = (emptied.pods_gone, emptied.pods_left);
                Span::current().record(attribute::PODS_GONE, pods_gone);
                report.tell(Fact::Drained { pods_gone, pods_left }).await;
                tracing::info!(%node, pods_gone, pods_left, "Node drained");
                (Outcome::Drained, Verdict::Ack)
            }
            Err(error) => {
                let outcome = Outcome::from(&error);
                tracing::warn!(%node, %error, outcome = outcome.as_str(), "Drain ended without success");
                if let Some(fact) = error.fact() {
                    report.tell(fact).await;
                }
                let verdict = if let DrainError::Permit(error) = &error {
                    error.verdict()
                } else {
                    Verdict::Ack
                };
                (outcome, verdict)
            }
        }
    }

    async fn uncordon(&self, permit: &Permit, report: &Report) -> (Outcome, Verdict) {
        let node = &permit.order.node;
        let give_up = clock::now().saturating_add(UNCORDON_TRIES).unwrap_or(Timestamp::MAX);
        match cordon::uncordon(&self.tools.nodes(), permit, give_up).await {
            Ok(left_unschedulable) => {
                report.tell(Fact::Uncordoned { left_unschedulable }).await;
                tracing::info!(%node, left_unschedulable, "Node does not carry our cordon");
                (Outcome::Uncordoned, Verdict::Ack)
            }
            Err(UncordonError::Permit(error)) => {
                tracing::warn!(%node, error = bellwether_chassis::chain(&error), "Uncordon not permitted");
                let outcome = if error.is_final() {
                    Outcome::MovedOn
                } else {
                    Outcome::Postponed
                };
                (outcome, error.verdict())
            }
            Err(UncordonError::Api(error)) => {
                let message = error.to_string();
                tracing::error!(%node, message, "Node could not be uncordoned, trying again");
                report.tell(Fact::UncordonFailed { message }).await;
                (Outcome::Stuck, Verdict::RetryAfter(UNCORDON_AGAIN))
            }
        }
    }
}

/// One span per command. What is not known yet is recorded when the work ends.
fn span_of(order: &Order) -> Span {
    match order.deed {
        Deed::Drain { .. } => tracing::info_span!(
            "drain node",
            { attribute::NODE } = %order.node,
            { attribute::ATTEMPT } = %order.attempt,
            { attribute::PODS_GONE } = tracing::field::Empty,
            { attribute::OUTCOME } = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        ),
        Deed::Uncordon => tracing::info_span!(
            "uncordon node",
            { attribute::NODE } = %order.node,
            { attribute::ATTEMPT } = %order.attempt,
            { attribute::OUTCOME } = tracing::field::Empty,
            otel.status_code = tracing::field::Empty,
        ),
    }
}

fn close(span: &Span, outcome: Outcome) {
    span.record(attribute::OUTCOME, outcome.as_str());
    if outcome.is_failure() {
        span.record("otel.status_code", "ERROR");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::{AttemptId, Generation};

    #[test]
    fn an_order_is_worked_on_once_at_a_time() {
        let node_uid = "u".parse().unwrap();
        let order = Order {
            node: "n1".parse().unwrap(),
            attempt: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
            node_uid,
            generation: Generation(3),
            deed: Deed::Uncordon,
        };
        let orders = Orders::default();
        let first = Turn::take(&orders, &order);
        assert!(first.is_some());
        assert!(Turn::take(&orders, &order).is_none());
        drop(first);
        assert!(Turn::take(&orders, &order).is_some());
    }
}
