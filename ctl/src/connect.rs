//! Calls to whichever scheduler leads. It knows addresses and time limits, no verbs.

use std::collections::VecDeque;
use std::time::Duration;

use bellwether_proto::RefusalCode;
use bellwether_proto::wire::fleet_service_client::FleetServiceClient;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Response, Status};

use crate::args::{Address, ConnectArgs};
use crate::forward::Forward;

/// The scheduler's service, as a client sees it.
pub(crate) type Client = FleetServiceClient<Channel>;

/// A call that takes longer has failed. Without a limit on how long a stream may last.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// A host that drops packets must not use up the time of the others.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How soon a silent connection is noticed: a stream of events may be silent for hours.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Five thousand nodes with their attempts take about ten megabytes.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The leader answered that there is no such node.
    #[error("{0}")]
    NotFound(String),
    /// The leader answered, but not with what was asked for.
    #[error("the scheduler refused: {message} ({code:?})")]
    Refused {
        /// Its words.
        message: String,
        /// The kind of refusal.
        code: Code,
    },
    /// No address led to a leader.
    #[error("no leading scheduler was reached{}; {remedy}", list(tried))]
    Unreachable {
        /// Each address with what was wrong with it.
        tried: Vec<(String, String)>,
        /// What to do about it.
        remedy: &'static str,
    },
}

/// The schedulers, one of which leads.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// In front is the one that answered last.
    targets: VecDeque<Target>,
    remedy: &'static str,
    _forward: Option<Forward>,
}

#[derive(Debug)]
struct Target {
    name: String,
    endpoint: Endpoint,
    client: Option<Client>,
}

enum Problem {
    /// Another scheduler may do better.
    Elsewhere(String),
    Final(CallError),
}

impl Fleet {
    /// Prepares to reach the schedulers that were named, or the leader through kubectl.
    pub(crate) async fn open(args: &ConnectArgs) -> anyhow::Result<Self> {
        if args.scheduler.is_empty() {
            return Self::forwarded(Forward::open(args).await?);
        }
        Ok(Self {
            targets: args
                .scheduler
                .iter()
                .cloned()
                .map(|it| Target::new(it.text, it.endpoint))
                .collect(),
            remedy: "check --scheduler (BELLWETHER_SCHEDULER), or leave it out to go through `kubectl port-forward`",
            _forward: None,
        })
    }

    fn forwarded(forward: Forward) -> anyhow::Result<Self> {
        let address: Address = format!("127.0.0.1:{}", forward.port)
            .parse()
            .map_err(anyhow::Error::msg)?;
        let name = format!("pod {} (kubectl port-forward to {})", forward.pod, address.text);
        Ok(Self {
            targets: VecDeque::from([Target::new(name, address.endpoint)]),
            remedy: "another one may be about to lead: try again, or give its address by --scheduler",
            _forward: Some(forward),
        })
    }

    /// The address that answered last.
    pub(crate) fn leader(&self) -> &str {
        self.targets.front().map_or("", |target| &target.name)
    }

    /// Asks one scheduler after the other until one leads. Orders may be given twice by this;
    /// they say what shall be, so the second one changes nothing.
    pub(crate) async fn call<T>(
        &mut self,
        ask: impl AsyncFn(Client) -> Result<Response<T>, Status>,
    ) -> Result<T, CallError> {
        let mut tried = Vec::new();
        for _ in 0..self.targets.len() {
            let Some(target) = self.targets.front_mut() else { break };
            match target.call(&ask).await {
                Ok(answer) => return Ok(answer),
                Err(Problem::Final(error)) => return Err(error),
                Err(Problem::Elsewhere(problem)) => tried.push((target.name.clone(), problem)),
            }
            self.targets.rotate_left(1);
        }
        Err(CallError::Unreachable {
            tried,
            remedy: self.remedy,
        })
    }
}

impl Target {
    fn new(name: String, endpoint: Endpoint) -> Self {
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        Self {
            name,
            endpoint,
            client: None,
        }
    }

    async fn call<T>(&mut self, ask: impl AsyncFn(Client) -> Result<Response<T>, Status>) -> Result<T, Problem> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => {
                let connecting = self.endpoint.connect();
                let channel = connecting.await.map_err(|error| Problem::Elsewhere(chain(&error)))?;
                let client = Client::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
                self.client.insert(client).clone()
            }
        };
        match timeout(CALL_TIMEOUT, ask(client)).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(judge(&status)),
            Err(_) => Err(Problem::Elsewhere(format!("no answer within {CALL_TIMEOUT:?}"))),
        }
    }
}

fn judge(status: &Status) -> Problem {
    let message = status.message();
    // Only a status that arose on this side of the line has a source.
    let lost = std::error::Error::source(status).is_some();
    // A scheduler of a version before the codes sends the gRPC code alone.
    let code = RefusalCode::of(status).map_or_else(|| status.code(), RefusalCode::grpc);
    if code == Code::NotFound {
        Problem::Final(CallError::NotFound(message.to_owned()))
    } else if lost {
        Problem::Elsewhere(chain(status))
    } else if code == Code::Unavailable {
        Problem::Elsewhere(message.to_owned())
    } else {
        let message = message.to_owned();
        Problem::Final(CallError::Refused { message, code })
    }
}

/// The last link says what happened; the ones before only where.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

fn list(tried: &[(String, String)]) -> String {
    tried
        .iter()
        .map(|(name, problem)| format!("; {name}: {problem}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standby_sends_us_on_and_a_leader_has_the_last_word() {
        let standby = Status::unavailable("not the leader: scheduler-b leads");
        assert!(matches!(judge(&standby), Problem::Elsewhere(words) if words.contains("scheduler-b")));
        let unknown = Status::not_found("no such node");
        assert!(matches!(judge(&unknown), Problem::Final(CallError::NotFound(_))));
        let refusal = Status::failed_precondition("nothing to cancel");
        assert!(matches!(judge(&refusal), Problem::Final(CallError::Refused { .. })));
    }

    #[test]
    fn every_address_that_was_tried_is_named_with_the_remedy() {
        let error = CallError::Unreachable {
            tried: vec![
                ("a:9090".to_owned(), "Connection refused".to_owned()),
                ("b:9090".to_owned(), "not the leader: unknown".to_owned()),
            ],
            remedy: "check --scheduler",
        };
        assert_eq!(
            error.to_string(),
            "no leading scheduler was reached; a:9090: Connection refused; \
             b:9090: not the leader: unknown; check --scheduler"
        );
    }
}
