//! What a trial reads off the ledger about its own node.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bellwether_proto::{DrainFailure, Fact, NodeEvent, subject};
use rig::wait;
use serde_json::Value;

use crate::case::{Case, SOON, Sent};
use crate::check::{expect, miss};
use crate::ledger::{Entry, Published};
use crate::tap;
use rig::front::Request;

/// A reply to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Ack,
    /// With its delay; zero is none.
    Nak(Duration),
    Term,
    InProgress,
    /// None of the protocol.
    Unknown(String),
}

impl Reply {
    fn parse(payload: &[u8]) -> Self {
        let text = String::from_utf8_lossy(payload).trim().to_owned();
        let (word, rest) = text.split_once(' ').unwrap_or((&text, ""));
        match word {
            "" | "+ACK" | "+OK" | "+NXT" => Self::Ack,
            "-NAK" => {
                let delay: Value = serde_json::from_str(rest).unwrap_or_default();
                Self::Nak(Duration::from_nanos(
                    delay.get("delay").and_then(Value::as_u64).unwrap_or(0),
                ))
            }
            "+TERM" => Self::Term,
            "+WPI" => Self::InProgress,
            _ => Self::Unknown(text),
        }
    }
}

/// An entry of the ledger, with its place and its time.
pub(crate) type At<T> = (usize, Instant, T);

impl Case<'_> {
    /// All replies to a command so far.
    pub(crate) fn replies(&self, command: &Sent) -> Vec<At<Reply>> {
        let start = tap::replies();
        self.stage.ledger.all(command.from, |entry| {
            let message = entry.published()?;
            let (_, numbers) = message.subject.split_once(&start)?;
            let sequence: u64 = numbers.split('.').nth(1)?.parse().ok()?;
            (sequence == command.sequence).then(|| Reply::parse(&message.payload))
        })
    }

    /// Waits for the first reply that is no mere progress.
    pub(crate) async fn settled(&self, command: &Sent, within: Duration) -> Result<At<Reply>> {
        wait::until("the command to be settled", within, async || {
            let mut replies = self.replies(command).into_iter();
            let settled = replies.find(|(_, _, reply)| *reply != Reply::InProgress);
            settled.ok_or_else(|| anyhow::anyhow!("there is no reply beside +WPI"))
        })
        .await
    }

    /// Waits for the first reply that is no mere progress, which has to be this one.
    pub(crate) async fn replied(&self, command: &Sent, wanted: &Reply) -> Result<At<Reply>> {
        let reply = self.settled(command, SOON).await?;
        if reply.2 == *wanted {
            return Ok(reply);
        }
        Err(miss(&format!("the reply {wanted:?}"), format!("{:?}", reply.2)))
    }

    /// Waits for a first `-NAK` with about this delay.
    pub(crate) async fn delayed(&self, command: &Sent, seconds: std::ops::RangeInclusive<f64>) -> Result<()> {
        let (_, _, reply) = self.settled(command, SOON).await?;
        match &reply {
            Reply::Nak(delay) if seconds.contains(&delay.as_secs_f64()) => Ok(()),
            Reply::Nak(_) | Reply::Ack | Reply::Term | Reply::InProgress | Reply::Unknown(_) => Err(miss(
                &format!("-NAK with a delay of {} to {} s", seconds.start(), seconds.end()),
                format!("{reply:?}"),
            )),
        }
    }

    /// All events about the node so far, as they were published.
    pub(crate) fn published(&self) -> Vec<At<Published>> {
        let all = subject::events_of(&self.node.token());
        let start = all.trim_end_matches('*').to_owned();
        self.stage.ledger.all(self.from, |entry| {
            let message = entry.published()?;
            message.subject.starts_with(&start).then(|| message.clone())
        })
    }

    /// The same as messages of the contract. An event that breaks the contract is an error.
    pub(crate) fn events(&self) -> Result<Vec<At<NodeEvent>>> {
        let mut events = Vec::new();
        for (index, at, message) in self.published() {
            let event: NodeEvent = message.decode()?;
            let own = subject::event(&event.node.token(), &event.fact);
            if own != message.subject {
                return Err(miss(
                    &format!("the event on {own}"),
                    format!("one on {}", message.subject),
                ));
            }
            events.push((index, at, event));
        }
        Ok(events)
    }

    /// The kinds of all events so far.
    pub(crate) fn kinds(&self) -> Result<Vec<&'static str>> {
        Ok(self.events()?.iter().map(|(_, _, event)| event.fact.kind()).collect())
    }

    /// Waits for an event for which `choose` gives a value.
    pub(crate) async fn event<T>(
        &self,
        awaited: &str,
        within: Duration,
        choose: impl Fn(&Fact) -> Option<T>,
    ) -> Result<At<T>> {
        wait::until(awaited, within, async || {
            let events = self.events()?;
            let kinds: Vec<_> = events.iter().map(|(_, _, event)| event.fact.kind()).collect();
            let mut found = events
                .into_iter()
                .filter_map(|(index, at, event)| Some((index, at, choose(&event.fact)?)));
            found.next().ok_or_else(|| anyhow::anyhow!("the events are {kinds:?}"))
        })
        .await
    }

    /// Waits for the event `cordoned`.
    pub(crate) async fn cordoned(&self) -> Result<At<()>> {
        self.event("the event cordoned", SOON, |fact| {
            matches!(fact, Fact::Cordoned).then_some(())
        })
        .await
    }

    /// Waits for the event `drain-failed` with the code of a drain whose time is over.
    pub(crate) async fn timed_out(&self) -> Result<At<()>> {
        let is_timeout = |fact: &Fact| {
            let Fact::DrainFailed { failure, .. } = fact else {
                return None;
            };
            (*failure == DrainFailure::Timeout).then_some(())
        };
        self.event("the event drain-failed TIMEOUT", SOON, is_timeout).await
    }

    /// Waits for the event `drained`.
    pub(crate) async fn drained(&self) -> Result<At<()>> {
        self.event("the event drained", SOON, drained).await
    }

    /// Waits for the event `uncordoned`; returns whether the node stays unschedulable by it.
    pub(crate) async fn uncordoned(&self) -> Result<At<bool>> {
        let uncordoned = |fact: &Fact| {
            if let Fact::Uncordoned { left_unschedulable } = fact {
                Some(*left_unschedulable)
            } else {
                None
            }
        };
        self.event("the event uncordoned", SOON, uncordoned).await
    }

    /// Whether `drained` was published.
    pub(crate) fn is_drained(&self) -> Result<bool> {
        Ok(self.kinds()?.contains(&"drained"))
    }

    /// All requests so far that are about the node or its pods.
    pub(crate) fn requests(&self) -> Vec<At<Request>> {
        self.stage.ledger.all(self.from, |entry| self.own(entry))
    }

    fn own(&self, entry: &Entry) -> Option<Request> {
        let request = entry.request()?;
        let own = request.path.contains(&self.tag) || request.query.contains(&self.tag);
        own.then(|| request.clone())
    }

    pub(crate) fn node_path(&self) -> String {
        format!("/api/v1/nodes/{}", self.node)
    }

    /// All requests so far that change the node.
    pub(crate) fn patches(&self) -> Vec<At<Request>> {
        let path = self.node_path();
        let all = self.requests().into_iter();
        all.filter(|(_, _, it)| it.path.starts_with(&path) && it.method != "GET")
            .collect()
    }

    /// All reads of the Node object so far, watches left out.
    pub(crate) fn node_reads(&self) -> Vec<At<Request>> {
        let path = self.node_path();
        let all = self.requests().into_iter();
        let is_read = |it: &Request| it.is("GET", &path) || (it.is("GET", "/api/v1/nodes") && !it.is_watch());
        all.filter(|(_, _, it)| is_read(it)).collect()
    }

    /// The record was read between the read of the node and the first change of it.
    pub(crate) fn read_record_before_first_patch(&self) -> Result<()> {
        let patches = self.patches();
        let (patch, ..) = patches.first().context("no patch")?;
        let reads = self.node_reads();
        let read = reads.iter().rev().find(|(index, ..)| index < patch);
        let (read, ..) = read.context("the node was not read before the patch")?;
        expect(
            between(&self.record_reads(), *read, *patch),
            "a read of the record between the read of the node and the patch",
            || "none there".to_owned(),
        )
    }

    /// All evictions of the node's pods so far.
    pub(crate) fn evictions(&self) -> Vec<At<Request>> {
        self.requests()
            .into_iter()
            .filter(|(_, _, it)| it.is_eviction())
            .collect()
    }

    /// All evictions so far of the pod whose name begins so.
    pub(crate) fn evictions_of(&self, name: &str) -> Vec<At<Request>> {
        let part = format!("/pods/{name}-{}/", self.tag);
        self.evictions()
            .into_iter()
            .filter(|(_, _, it)| it.path.contains(&part))
            .collect()
    }

    /// All consistent lists so far of pods, of the node or of all: from the store and not from a cache.
    pub(crate) fn pod_lists(&self) -> Vec<At<Request>> {
        let from_store = |it: &Request| it.parameter("resourceVersion").is_none_or(|version| version.is_empty());
        let of_node =
            |it: &Request| it.query.is_empty() || !it.query.contains("fieldSelector") || it.query.contains(&self.tag);
        self.stage.ledger.all(self.from, |entry| {
            let it = entry.request()?;
            (it.is("GET", "/api/v1/pods") && !it.is_watch() && from_store(it) && of_node(it)).then(|| it.clone())
        })
    }

    /// All reads of the attempt record so far from the leader of its stream.
    pub(crate) fn record_reads(&self) -> Vec<At<()>> {
        let (reads, subject) = (tap::leader_reads(), self.record_subject());
        self.stage.ledger.all(self.from, |entry| {
            let message = entry.published()?;
            if message.subject != reads {
                return None;
            }
            let query: Value = serde_json::from_slice(&message.payload).ok()?;
            (query.get("last_by_subj").and_then(Value::as_str) == Some(subject.as_str())).then_some(())
        })
    }

    /// Waits until there are so many entries of a kind; returns all of them.
    pub(crate) async fn count<T>(
        &self,
        awaited: &str,
        count: usize,
        within: Duration,
        look: impl Fn() -> Vec<At<T>>,
    ) -> Result<Vec<At<T>>> {
        wait::until(awaited, within, async || {
            let all = look();
            anyhow::ensure!(all.len() >= count, "there are {}", all.len());
            Ok(all)
        })
        .await
    }
}

/// Chooses the event `drained`.
pub(crate) fn drained(fact: &Fact) -> Option<()> {
    matches!(fact, Fact::Drained { .. }).then_some(())
}

/// Whether an index lies between two others.
pub(crate) fn between<T>(all: &[At<T>], after: usize, before: usize) -> bool {
    all.iter().any(|(index, _, _)| (after..before).contains(index))
}

/// What is shown of requests.
pub(crate) fn shown(requests: &[At<Request>]) -> String {
    if requests.is_empty() {
        return "no such request".to_owned();
    }
    let lines = requests.iter().map(|(_, _, it)| {
        let code = it.code.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
        format!("{} {} {} ({code})", it.method, it.path, it.body)
    });
    lines.collect::<Vec<_>>().join("; ")
}
