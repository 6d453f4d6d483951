//! What each role may publish and subscribe to in NATS: what its client sends, and no more.
//!
//! Plain data, for whoever writes the users of a NATS server. The page `proto/README.md` shows
//! [`render`], and a test compares the two.

use crate::stream::{
    ATTEMPTS_STREAM, COMMANDS_STREAM, CONSUMERS, DRAINERS_CONSUMER, EVENTS_STREAM, HOSTS_STREAM, SCHEDULER_CONSUMER,
    STREAMS,
};
use crate::subject::{self, DRAINER_EVENTS, REBOOTER_EVENTS, SCHEDULER_EVENTS};

/// Who talks over NATS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The sentinel of one node.
    Sentinel,
    /// The rebooter of one node.
    Rebooter,
    /// A drainer.
    Drainer,
    /// A scheduler.
    Scheduler,
}

/// Subjects, possibly with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// What the role publishes, requests included.
    pub publish: Vec<String>,
    /// What the role subscribes to.
    pub subscribe: Vec<String>,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::Sentinel, Self::Rebooter, Self::Drainer, Self::Scheduler];

    /// The role's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sentinel => "sentinel",
            Self::Rebooter => "rebooter",
            Self::Drainer => "drainer",
            Self::Scheduler => "scheduler",
        }
    }

    /// What the role needs. `node` is the token of the agent's node; drainer and scheduler have none.
    /// Scheduler and drainer need [`set_up`] too.
    #[must_use]
    pub fn permissions(self, node: &str) -> Permissions {
        let (publish, subscribe) = match self {
            Self::Sentinel => {
                let own = format!("$KV.{}.{node}.sentinel", crate::stream::HOSTS);
                let read = direct_get(HOSTS_STREAM.name, &own);
                (vec![own, read], vec![])
            }
            Self::Rebooter => {
                let own = format!("$KV.{}.{node}.rebooter", crate::stream::HOSTS);
                let record = format!("$KV.{}.{node}", crate::stream::ATTEMPTS);
                let mut publish = vec![own];
                publish.extend(events(node, &REBOOTER_EVENTS));
                publish.push(direct_get(ATTEMPTS_STREAM.name, &record));
                // This one reads any record of the bucket.
                publish.push(message_get(ATTEMPTS_STREAM.name));
                (publish, vec![record])
            }
            Self::Drainer => {
                let mut publish: Vec<String> = events("*", &DRAINER_EVENTS).collect();
                publish.push(message_get(ATTEMPTS_STREAM.name));
                publish.push(next(DRAINERS_CONSUMER.stream, DRAINERS_CONSUMER.name));
                publish.push(ack(DRAINERS_CONSUMER.stream, DRAINERS_CONSUMER.name));
                publish.push(subject::ALL_DRAIN_ANSWERS.to_owned());
                let subscribe = vec![
                    format!("$KV.{}.*", crate::stream::ATTEMPTS),
                    subject::ALL_DRAIN_QUESTIONS.to_owned(),
                ];
                (publish, subscribe)
            }
            Self::Scheduler => {
                let mut publish = vec![
                    format!("$KV.{}.*", crate::stream::ATTEMPTS),
                    subject::ALL_COMMANDS.to_owned(),
                    subject::ALL_DRAIN_QUESTIONS.to_owned(),
                ];
                publish.extend(events("*", &SCHEDULER_EVENTS));
                publish.push(direct_get(COMMANDS_STREAM.name, ">"));
                for stream in [HOSTS_STREAM.name, ATTEMPTS_STREAM.name, EVENTS_STREAM.name] {
                    publish.push(message_get(stream));
                    publish.extend(["CREATE", "DELETE", "MSG.NEXT"].map(|verb| consumer(verb, stream)));
                }
                publish.push(ack(SCHEDULER_CONSUMER.stream, SCHEDULER_CONSUMER.name));
                (publish, vec![subject::ALL_DRAIN_ANSWERS.to_owned()])
            }
        };
        Permissions {
            publish: [vec!["$JS.API.INFO".to_owned()], publish].concat(),
            subscribe: [vec!["_INBOX.>".to_owned()], subscribe].concat(),
        }
    }
}

/// What scheduler and drainer publish to set up JetStream; with `manage` false, to verify it only.
#[must_use]
pub fn set_up(manage: bool) -> Vec<String> {
    let verify = ["$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.INFO.*.*"].map(str::to_owned);
    let streams = STREAMS.map(|stream| format!("$JS.API.STREAM.CREATE.{}", stream.name));
    let consumers = CONSUMERS.map(|it| format!("$JS.API.CONSUMER.CREATE.{}.{}", it.stream, it.name));
    let create = streams.into_iter().chain(consumers).filter(|_| manage);
    verify.into_iter().chain(create).collect()
}

/// The list as `proto/README.md` shows it, one subject on each line.
#[must_use]
pub fn render() -> String {
    let mut text = String::new();
    for role in Role::ALL {
        let Permissions { publish, subscribe } = role.permissions("<node>");
        section(&mut text, role.as_str(), &publish, &subscribe);
    }
    section(&mut text, "set-up, verified only", &set_up(false), &[]);
    let created: Vec<String> = set_up(true).split_off(set_up(false).len());
    section(&mut text, "set-up, created too", &created, &[]);
    text
}

fn section(text: &mut String, title: &str, publish: &[String], subscribe: &[String]) {
    text.push_str(title);
    text.push('\n');
    for (verb, subjects) in [("publish  ", publish), ("subscribe", subscribe)] {
        for subject in subjects {
            text.push_str(&format!("  {verb}  {subject}\n"));
        }
    }
}

fn events(node: &str, kinds: &[&str]) -> impl Iterator<Item = String> {
    kinds.iter().map(move |kind| subject::event_of(node, kind))
}

fn direct_get(stream: &str, subject: &str) -> String {
    format!("$JS.API.DIRECT.GET.{stream}.{subject}")
}

fn message_get(stream: &str) -> String {
    format!("$JS.API.STREAM.MSG.GET.{stream}")
}

fn next(stream: &str, consumer: &str) -> String {
    format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}")
}

fn ack(stream: &str, consumer: &str) -> String {
    format!("$JS.ACK.{stream}.{consumer}.>")
}

/// Of the consumers that the scheduler's watches make, whose names are random.
fn consumer(verb: &str, stream: &str) -> String {
    format!("$JS.API.CONSUMER.{verb}.{stream}.>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::NodeName;

    #[test]
    fn the_page_of_the_protocol_shows_what_the_code_says() {
        let page = include_str!("../README.md");
        let block = format!("```text\n{}```\n", render());
        assert!(
            page.contains(&block),
            "proto/README.md, NATS permissions, has to show:\n{block}"
        );
    }

    #[test]
    fn an_agent_may_write_for_its_own_node_only() {
        let node = "n1.example".parse::<NodeName>().unwrap().token();
        for role in [Role::Sentinel, Role::Rebooter] {
            let written = role.permissions(node.as_str()).publish;
            let ours = written.iter().filter(|it| !it.starts_with("$JS.API."));
            for subject in ours {
                assert!(subject.split('.').any(|token| token == node.as_str()), "{subject}");
                assert!(!subject.contains(['*', '>']), "{subject}");
            }
        }
    }

    #[test]
    fn only_the_scheduler_may_write_records_and_commands() {
        for role in [Role::Sentinel, Role::Rebooter, Role::Drainer] {
            let written = role.permissions("n1").publish;
            let forbidden = |it: &&String| it.starts_with("$KV.bellwether_attempts") || it.contains(".cmd.");
            assert_eq!(written.iter().find(forbidden), None, "{role:?}");
        }
    }
}
