//! Accounts of a NATS server, so that an agent can do nothing but what its role does for its own node.
//!
//! Permissions for subjects alone do not keep one node from another in a single account: a server never checks the reply
//! subject of a request, and JetStream stores its answers wherever that subject leads. So the agents are in an account of
//! their own, without streams. **One** service export joins the two: an answer that would come through the export a second
//! time is dropped by the server. Mappings on both sides translate, so that agents use the subjects of the contract and
//! know nothing of accounts. Permissions of agents are judged after the mapping, so they name the form in between.
//!
//! A third account has the events alone, for readers who are no part of Bellwether: nothing leads from there into the others.

use std::fmt::Write as _;

use crate::limit::AGENT_BYTES_MAX;
use crate::permission::{Permissions, Role, Use, set_up};
use crate::stream::ATTEMPTS;
use crate::subject::ALL_EVENTS;

/// An account of the NATS server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// Of the streams, the schedulers, the drainers and the notifier.
    Control,
    /// Of the agents on the nodes; without streams.
    Nodes,
    /// Of readers of the events: no role of the contract is in there.
    Events,
}

impl Account {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Control, Self::Nodes, Self::Events];

    /// Its name in the server's configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Control => "BELLWETHER",
            Self::Nodes => "BELLWETHER_NODES",
            Self::Events => "BELLWETHER_EVENTS",
        }
    }

    /// Its entry in the block `accounts` of a server's configuration. `more` are further lines of the entry, such as users.
    #[must_use]
    pub fn definition(self, more: &str) -> String {
        let [control, nodes, events] = Self::ALL.map(Self::as_str);
        let records = format!("$KV.{ATTEMPTS}.*");
        let joined = match self {
            Self::Control => format!(
                "  jetstream: enabled\n  exports: [\n    {{ service: \"{UP}.>\", accounts: [{nodes}] }}\n    \
                 {{ stream: \"{records}\", accounts: [{nodes}] }}\n    \
                 {{ stream: \"{ALL_EVENTS}\", accounts: [{events}] }}\n  ]\n"
            ),
            // The rights of a single user may carry such a limit too, but a server does not heed those of a callout.
            Self::Nodes => format!(
                "  limits: {{ max_payload: {AGENT_BYTES_MAX} }}\n  imports: [\n    {{ service: {{ account: {control}, subject: \"{UP}.>\" }} }}\n    \
                 {{ stream: {{ account: {control}, subject: \"{records}\" }} }}\n  ]\n"
            ),
            Self::Events => {
                format!("  imports: [ {{ stream: {{ account: {control}, subject: \"{ALL_EVENTS}\" }} }} ]\n")
            }
        };
        format!("{}: {{\n{joined}{}{more}}}\n", self.as_str(), self.mappings())
    }

    /// The block `mappings` of the account, if it has one.
    fn mappings(self) -> String {
        let mut mappings = String::new();
        for crossing in crossings() {
            let (from, to) = match self {
                Self::Control => (crossing.up, crossing.subject),
                Self::Nodes => (crossing.subject, crossing.up),
                Self::Events => return String::new(),
            };
            // Writing to a text does not fail.
            writeln!(mappings, "    \"{from}\": \"{}\"", to.replace('*', "{{wildcard(1)}}")).ok();
        }
        format!("  mappings: {{\n{mappings}  }}\n")
    }
}

impl Role {
    /// The account that the role's clients are in.
    #[must_use]
    pub fn account(self) -> Account {
        match self {
            Self::Sentinel | Self::Rebooter => Account::Nodes,
            Self::Drainer | Self::Scheduler | Self::Notifier => Account::Control,
        }
    }

    /// What the role needs in [its account](Self::account), with the set-up of JetStream. `node` is the token of the agent's
    /// node; the other roles have none.
    ///
    /// The scheduler alone creates streams and consumers: the creator of a consumer chooses the subject to deliver to.
    #[must_use]
    pub fn permissions_in_account(self, node: &str) -> Permissions {
        let mut contract = self.permissions(node);
        match self.account() {
            Account::Control => {
                contract.publish.extend(set_up(self == Self::Scheduler));
                contract
            }
            // No role is in the account of the events.
            Account::Nodes | Account::Events => Permissions {
                publish: self
                    .uses(node)
                    .iter()
                    .map(|it| up(self, node, it.name, it.own))
                    .collect(),
                subscribe: contract.subscribe,
            },
        }
    }
}

/// The beginning of the subjects in between.
const UP: &str = "bellwether.up";

/// A subject of the contract, and the subject in between that stands for it; `*` for the node.
#[derive(Debug, PartialEq, Eq)]
struct Crossing {
    subject: String,
    up: String,
}

/// Without a role where there is no node: both agents use the same subject, which has one mapping.
fn up(role: Role, node: &str, name: &str, own: bool) -> String {
    if own {
        format!("{UP}.node.{node}.{}.{name}", role.as_str())
    } else {
        format!("{UP}.any.{name}")
    }
}

fn crossings() -> Vec<Crossing> {
    let mut crossings = Vec::new();
    for role in Role::ALL.into_iter().filter(|role| role.account() == Account::Nodes) {
        for Use { name, subject, own } in role.uses("*") {
            let up = up(role, "*", name, own);
            let crossing = Crossing { subject, up };
            if !crossings.contains(&crossing) {
                crossings.push(crossing);
            }
        }
    }
    crossings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_page_of_the_protocol_shows_the_accounts() {
        let page = include_str!("../README.md");
        let block = format!(
            "```text\n{}```\n",
            Account::ALL.map(|account| account.definition("")).concat()
        );
        assert!(
            page.contains(&block),
            "proto/README.md, Two accounts, has to show:\n{block}"
        );
    }

    #[test]
    fn each_subject_has_one_mapping_and_no_mapping_leads_to_two() {
        let crossings = crossings();
        let subjects: BTreeSet<&str> = crossings.iter().map(|it| it.subject.as_str()).collect();
        let ups: BTreeSet<&str> = crossings.iter().map(|it| it.up.as_str()).collect();
        assert_eq!(
            (subjects.len(), ups.len()),
            (crossings.len(), crossings.len()),
            "{crossings:#?}"
        );
    }

    #[test]
    fn an_agent_needs_no_subject_in_its_account_that_is_not_of_its_node_or_of_no_node() {
        for role in [Role::Sentinel, Role::Rebooter] {
            for subject in role.permissions_in_account("n1").publish {
                let own = format!("{UP}.node.n1.{}.", role.as_str());
                assert!(
                    subject.starts_with(&own) || subject.starts_with(&format!("{UP}.any.")),
                    "{subject}"
                );
                assert!(!subject.contains(['*', '>']), "{subject}");
            }
        }
    }

    #[test]
    fn nothing_leads_out_of_the_account_of_the_events() {
        let definition = Account::Events.definition("");
        assert!(
            !definition.contains("exports") && !definition.contains("service"),
            "{definition}"
        );
        assert!(Role::ALL.iter().all(|role| role.account() != Account::Events));
    }

    #[test]
    fn only_the_account_of_the_control_services_has_streams() {
        assert!(Account::Control.definition("").contains("jetstream: enabled"));
        assert!(!Account::Nodes.definition("").contains("jetstream"));
        assert!(!Account::Events.definition("").contains("jetstream"));
        for account in Account::ALL {
            assert!(
                account.definition("  users: []\n").ends_with("  users: []\n}\n"),
                "{account:?}"
            );
        }
    }
}
