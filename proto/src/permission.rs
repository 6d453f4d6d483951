//! What each role may publish and subscribe to in NATS: what its client sends, and no more.
//!
//! Plain data, for whoever writes the users of a NATS server. The page `proto/README.md` shows
//! [`render`], and a test compares the two.

use crate::stream::{
    ATTEMPTS_STREAM, COMMANDS_STREAM, CONSUMERS, ConsumerStart, DRAINERS_CONSUMER, EVENTS_STREAM, HOSTS_STREAM,
    NOTIFIER_CONSUMER, SCHEDULER_CONSUMER, STREAMS,
};
use crate::subject::{self, DRAINER_EVENTS, FLEET, FLEET_EVENTS, REBOOTER_EVENTS, SCHEDULER_EVENTS};

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
    /// The notifier.
    Notifier,
}

/// Subjects, possibly with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permissions {
    /// What the role publishes, requests included.
    pub publish: Vec<String>,
    /// What the role subscribes to.
    pub subscribe: Vec<String>,
}

/// What an agent does with its server, besides subscribing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    /// Its name.
    pub(crate) name: &'static str,
    /// The subject.
    pub(crate) subject: String,
    /// The subject is of one node.
    pub(crate) own: bool,
}

impl Use {
    /// Of one node.
    pub(crate) fn own(name: &'static str, subject: String) -> Self {
        let own = true;
        Self { name, subject, own }
    }

    /// Of no node.
    pub(crate) fn shared(name: &'static str, subject: String) -> Self {
        let own = false;
        Self { name, subject, own }
    }
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] = [
        Self::Sentinel,
        Self::Rebooter,
        Self::Drainer,
        Self::Scheduler,
        Self::Notifier,
    ];

    /// The role's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sentinel => "sentinel",
            Self::Rebooter => "rebooter",
            Self::Drainer => "drainer",
            Self::Scheduler => "scheduler",
            Self::Notifier => "notifier",
        }
    }

    /// What the role needs. `node` is the token of the agent's node; the other roles have none.
    /// All but the agents need [`set_up`] too.
    #[must_use]
    pub fn permissions(self, node: &str) -> Permissions {
        let used = self.uses(node).into_iter().map(|it| it.subject).collect();
        let (publish, subscribe) = match self {
            Self::Sentinel => (used, vec![]),
            Self::Rebooter => (used, vec![format!("$KV.{}.{node}", crate::stream::ATTEMPTS)]),
            Self::Drainer => {
                let mut publish = vec![INFO.to_owned()];
                publish.extend(events("*", &DRAINER_EVENTS));
                publish.push(message_get(ATTEMPTS_STREAM.name));
                publish.push(next(DRAINERS_CONSUMER.stream, DRAINERS_CONSUMER.name));
                publish.extend(acks(DRAINERS_CONSUMER.stream, DRAINERS_CONSUMER.name));
                publish.push(subject::ALL_DRAIN_ANSWERS.to_owned());
                let subscribe = vec![
                    format!("$KV.{}.*", crate::stream::ATTEMPTS),
                    subject::ALL_DRAIN_QUESTIONS.to_owned(),
                ];
                (publish, subscribe)
            }
            Self::Scheduler => {
                let mut publish = vec![
                    INFO.to_owned(),
                    format!("$KV.{}.*", crate::stream::ATTEMPTS),
                    subject::ALL_COMMANDS.to_owned(),
                    subject::ALL_DRAIN_QUESTIONS.to_owned(),
                ];
                publish.extend(events("*", &SCHEDULER_EVENTS));
                publish.extend(events(FLEET, &FLEET_EVENTS));
                publish.push(subject::order_changed());
                publish.push(direct_get(COMMANDS_STREAM.name, ">"));
                for stream in [HOSTS_STREAM.name, ATTEMPTS_STREAM.name, EVENTS_STREAM.name] {
                    publish.push(message_get(stream));
                    publish.push(ordered_consumer(stream));
                    publish.extend(["CREATE", "DELETE", "MSG.NEXT"].map(|verb| consumer(verb, stream)));
                }
                publish.extend(acks(SCHEDULER_CONSUMER.stream, SCHEDULER_CONSUMER.name));
                (publish, vec![subject::ALL_DRAIN_ANSWERS.to_owned()])
            }
            Self::Notifier => {
                let mut publish = vec![INFO.to_owned()];
                publish.push(next(NOTIFIER_CONSUMER.stream, NOTIFIER_CONSUMER.name));
                publish.extend(acks(NOTIFIER_CONSUMER.stream, NOTIFIER_CONSUMER.name));
                (publish, vec![])
            }
        };
        let inbox = match self {
            Self::Sentinel | Self::Rebooter => subject::inbox_of_agent(self.as_str(), node),
            Self::Drainer | Self::Scheduler | Self::Notifier => subject::inbox(self.as_str(), None),
        };
        Permissions {
            publish,
            subscribe: [vec![format!("{inbox}.>")], subscribe].concat(),
        }
    }

    /// What an agent does with its server, besides subscribing. The other roles have no such list: nothing maps their
    /// subjects.
    pub(crate) fn uses(self, node: &str) -> Vec<Use> {
        let info = Use::shared("info", INFO.to_owned());
        match self {
            Self::Sentinel => {
                let record = format!("$KV.{}.{node}.sentinel", crate::stream::HOSTS);
                let read = direct_get(HOSTS_STREAM.name, &record);
                vec![info, Use::own("store", record), Use::own("read", read)]
            }
            Self::Rebooter => {
                let store = format!("$KV.{}.{node}.rebooter", crate::stream::HOSTS);
                let read = direct_get(ATTEMPTS_STREAM.name, &format!("$KV.{}.{node}", crate::stream::ATTEMPTS));
                let mut uses = vec![info, Use::own("store", store)];
                uses.extend(REBOOTER_EVENTS.map(|kind| Use::own(kind, subject::event_of(node, kind))));
                uses.push(Use::own("read", read));
                // This one reads any record of the bucket.
                uses.push(Use::shared("read-current", message_get(ATTEMPTS_STREAM.name)));
                uses
            }
            Self::Drainer | Self::Scheduler | Self::Notifier => vec![],
        }
    }
}

/// Which server and JetStream this is.
const INFO: &str = "$JS.API.INFO";

/// What services of the control plane publish to set up JetStream; with `manage` false, to verify it only.
#[must_use]
pub fn set_up(manage: bool) -> Vec<String> {
    let verify = ["$JS.API.STREAM.INFO.*", "$JS.API.CONSUMER.INFO.*.*"].map(str::to_owned);
    let streams = STREAMS.map(|stream| format!("$JS.API.STREAM.CREATE.{}", stream.name));
    // One that nothing waits for is created by the schedulers alone, by a right of their own.
    let waited_for = CONSUMERS.iter().filter(|it| it.start != ConsumerStart::Next);
    let consumers = waited_for.map(|it| format!("$JS.API.CONSUMER.CREATE.{}.{}", it.stream, it.name));
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

/// Replies to messages of a consumer; newer servers may put two tokens, domain and account, before the stream.
fn acks(stream: &str, consumer: &str) -> [String; 2] {
    ["", "*.*."].map(|before| format!("$JS.ACK.{before}{stream}.{consumer}.>"))
}

/// The scheduler's watches make ordered consumers without a name: the server draws one. Only a consumer that replaces one
/// that was lost is created by name.
fn ordered_consumer(stream: &str) -> String {
    format!("$JS.API.CONSUMER.CREATE.{stream}")
}

/// Of those consumers, whose names are random.
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
        for role in [Role::Sentinel, Role::Rebooter, Role::Drainer, Role::Notifier] {
            let written = role.permissions("n1").publish;
            let forbidden = |it: &&String| it.starts_with("$KV.bellwether_attempts") || it.contains(".cmd.");
            assert_eq!(written.iter().find(forbidden), None, "{role:?}");
        }
    }

    #[test]
    fn the_notifier_may_take_and_settle_its_messages_and_write_nothing() {
        let Permissions { publish, .. } = Role::Notifier.permissions("");
        for subject in publish {
            let reads = ["$JS.API.INFO", "$JS.API.CONSUMER.MSG.NEXT.", "$JS.ACK."];
            assert!(reads.iter().any(|begin| subject.starts_with(begin)), "{subject}");
        }
    }

    #[test]
    fn the_users_of_a_nats_with_passwords_have_each_right() {
        let file = include_str!("../../deploy/components/nats-password/accounts.conf");
        for role in Role::ALL {
            let Permissions { publish, subscribe } = role.permissions_in_account("*");
            for subject in publish.into_iter().chain(subscribe) {
                let line = format!("        {subject:?}\n");
                assert!(file.contains(&line), "{role:?}: {subject}");
            }
        }
    }
}
