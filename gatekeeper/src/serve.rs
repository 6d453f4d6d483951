//! A question from its message to its answer.
//!
//! Each has a task of its own, so that a slow API server delays no client whose token is known. A question whose client
//! waits no longer is dropped before it costs anything: else the answers to those who have gone would keep out those who
//! are there.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_nats::{Client as Nats, Message, Subject, Subscriber};
use bellwether_chassis::{Chassis, chain, clock};
use bellwether_gatekeeper_core::{Admitted, Grant, Identity, Keys, Known, Question, Refusal, Table, grant, token};
use bellwether_proto::readiness::{Part, ReadinessCode};
use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::metrics::Metrics;
use crate::review;

/// The server waits for 1.8 s; an answer takes its time too.
const WAITS_MAX: SignedDuration = SignedDuration::from_millis(1500);

/// Requests to the API server at once: enough to have a thousand tokens reviewed within seconds, few enough for its
/// limits of a client.
const REVIEWS_MAX: usize = 32;

/// Questions at once. More cannot be answered before their clients have gone.
const QUESTIONS_MAX: usize = 8 * 1024;

/// How long `/readyz` shows a fault that a client's token showed, after the last one.
const SHOWN: Duration = Duration::from_secs(120);

/// Answers questions.
pub(crate) struct Gate {
    pub(crate) chassis: Chassis,
    pub(crate) nats: Nats,
    pub(crate) client: Client,
    pub(crate) keys: Keys,
    pub(crate) table: Table,
    pub(crate) metrics: Metrics,
    pub(crate) known: Mutex<Known>,
    pub(crate) admitted: Mutex<Admitted>,
    pub(crate) reviews: Semaphore,
}

/// How many reviews may be under way.
pub(crate) fn places() -> Semaphore {
    Semaphore::new(REVIEWS_MAX)
}

impl Gate {
    /// Answers until the service stops.
    pub(crate) async fn serve(self: Arc<Self>, mut questions: Subscriber) -> anyhow::Result<()> {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                message = questions.next() => {
                    let Some(message) = message else {
                        anyhow::bail!("the subscription to the server's questions has ended");
                    };
                    if tasks.len() >= QUESTIONS_MAX {
                        self.metrics.stale();
                        continue;
                    }
                    let (gate, asked) = (Arc::clone(&self), clock::now());
                    tasks.spawn(async move { gate.handle(message, asked).await });
                }
                Some(_) = tasks.join_next(), if !tasks.is_empty() => (),
                () = self.chassis.stop.cancelled() => return Ok(()),
            }
        }
    }

    async fn handle(&self, message: Message, asked: Timestamp) {
        let Some(reply) = message.reply else {
            self.metrics.refused(Refusal::QuestionMalformed);
            return;
        };
        let question = match Question::read(&message.payload, &self.keys.issuer.public_key()) {
            Ok(question) => question,
            Err(refusal) => {
                // There is no one whom an answer could reach.
                self.metrics.refused(refusal);
                tracing::warn!(
                    code = refusal.as_str(),
                    "Question cannot be answered: {}",
                    refusal.explained()
                );
                return;
            }
        };
        if let Some(grant) = self.granted_before(&question) {
            self.metrics.kept();
            self.answer(&question, Ok(&grant), reply).await;
            return;
        }
        let Some(decided) = self.decide(&question, asked).await else {
            self.metrics.stale();
            return;
        };
        self.record(&question, &decided);
        let decided = decided.as_ref().map_err(|refusal| *refusal);
        self.answer(&question, decided, reply).await;
    }

    /// What a connection has that a server asks about again, as it has read its files.
    fn granted_before(&self, question: &Question) -> Option<Grant> {
        let connection = question.connection.as_ref()?;
        locked(&self.admitted).find(connection, clock::now()).cloned()
    }

    fn record(&self, question: &Question, decided: &Result<Grant, Refusal>) {
        match decided {
            Ok(grant) => {
                self.metrics.admitted(grant.identity.role);
                let Identity { role, node, pod } = &grant.identity;
                let node = node.as_ref().map(ToString::to_string);
                tracing::info!(role = role.as_str(), node, pod, until = %grant.until, client = question.client, "Client admitted");
                if let Some(connection) = question.connection.clone() {
                    locked(&self.admitted).remember(connection, grant.clone(), clock::now());
                }
            }
            Err(refusal) => {
                self.metrics.refused(*refusal);
                self.show(*refusal);
                let remedy = refusal.explained();
                tracing::warn!(
                    code = refusal.as_str(),
                    client = question.client,
                    remedy,
                    "Client refused"
                );
            }
        }
    }

    async fn answer(&self, question: &Question, decided: Result<&Grant, Refusal>, reply: Subject) {
        let answer = grant::answer(question, decided, &self.keys.issuer, clock::now());
        let sent = match answer {
            Ok(answer) => self
                .nats
                .publish(reply, answer.into())
                .await
                .map_err(|error| chain(&error)),
            Err(error) => Err(chain(&error)),
        };
        if let Err(error) = sent {
            tracing::warn!(error, "Answer was not sent");
        }
    }

    /// None: the client waits no longer.
    async fn decide(&self, question: &Question, asked: Timestamp) -> Option<Result<Grant, Refusal>> {
        let stated = match token::read(&question.token) {
            Ok(stated) => stated,
            Err(refusal) => return Some(Err(refusal)),
        };
        let remembered = locked(&self.known).find(&question.token, clock::now()).cloned();
        let identity = if let Some(identity) = remembered {
            self.metrics.remembered();
            Ok(identity)
        } else {
            let place = tokio::time::timeout(WAITS_MAX.unsigned_abs(), self.reviews.acquire())
                .await
                .ok()?
                .ok()?;
            if is_stale(asked) {
                return None;
            }
            let identity = self.identify(&question.token).await;
            drop(place);
            identity
        };
        if is_stale(asked) {
            return None;
        }
        Some(identity.and_then(|identity| Grant::until(identity, stated.expires, clock::now())))
    }

    async fn identify(&self, token: &str) -> Result<Identity, Refusal> {
        let begun = clock::now();
        let reviewed = tokio::time::timeout(review::TIMEOUT, review::review(&self.client, token)).await;
        let reviewed = match reviewed {
            Ok(Ok(reviewed)) => reviewed,
            Ok(Err(error)) => {
                let code = error.code(ReadinessCode::KubernetesUnreachable);
                self.chassis.health.not_ready_for(code, chain(&error), SHOWN);
                return Err(Refusal::ReviewFailed);
            }
            Err(_) => {
                let why = format!("the API server has not reviewed a token for {:?}", review::TIMEOUT);
                self.chassis
                    .health
                    .not_ready_for(ReadinessCode::KubernetesUnreachable, why, SHOWN);
                return Err(Refusal::ReviewFailed);
            }
        };
        self.metrics.reviewed(clock::now().duration_since(begun).as_secs_f64());
        self.chassis.health.ready(Part::Kubernetes);
        let identity = Identity::read(&reviewed, &self.table)?;
        locked(&self.known).remember(token, identity.clone(), clock::now());
        Ok(identity)
    }

    /// Faults of the installation rather than of one client.
    fn show(&self, refusal: Refusal) {
        let code = match refusal {
            Refusal::TokenExpired => ReadinessCode::ClockWrong,
            Refusal::NodeMissing => ReadinessCode::TokensWithoutNode,
            Refusal::QuestionMalformed
            | Refusal::OtherKeys
            | Refusal::TokenAbsent
            | Refusal::TokenMalformed
            | Refusal::AudienceWrong
            | Refusal::TokenRefused
            | Refusal::AccountUnknown
            | Refusal::PodMissing
            | Refusal::ReviewFailed => return,
        };
        self.chassis.health.not_ready_for(code, refusal.explained(), SHOWN);
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_stale(asked: Timestamp) -> bool {
    clock::now().duration_since(asked) > WAITS_MAX
}
