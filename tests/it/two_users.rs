//! A NATS of the user with two users: one for the agents of all nodes, one for scheduler and drainer, in the two accounts; and
//! one for the notifier.
//!
//! The configuration is a file of the deploy folder, written by hand from what the first test prints.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::Result;
use bellwether_proto::account::Account;
use bellwether_proto::permission::Role;
use bellwether_proto::{NodeName, subject};
use rig::accounts::PASSWORD;
use rig::nats::Nats;
use rig::place::Place;
use rig::tools;

use crate::trust::{covers, mapped, published};

const FILE: &str = "deploy/components/nats-password/accounts.conf";

/// A user of the file.
struct User {
    name: &'static str,
    /// The variable of the server that has its password.
    password: &'static str,
    account: Account,
    roles: &'static [Role],
    /// Of one of its roles, on some node.
    inbox: &'static str,
}

const USERS: [User; 3] = [
    User {
        name: "control",
        password: "$CONTROL_PASSWORD",
        account: Account::Control,
        roles: &[Role::Scheduler, Role::Drainer],
        inbox: "_INBOX.scheduler",
    },
    User {
        name: "notifier",
        password: "$NOTIFIER_PASSWORD",
        account: Account::Control,
        roles: &[Role::Notifier],
        inbox: "_INBOX.notifier",
    },
    User {
        name: "agents",
        password: "$AGENTS_PASSWORD",
        account: Account::Nodes,
        roles: &[Role::Sentinel, Role::Rebooter],
        inbox: "_INBOX.sentinel.n1",
    },
];

impl User {
    /// What its roles may publish and subscribe to, for every node.
    fn permissions(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let all = || self.roles.iter().map(|role| role.permissions_in_account("*"));
        let publish = all().flat_map(|it| it.publish).collect();
        let subscribe = all().flat_map(|it| it.subscribe).collect();
        (publish, subscribe)
    }

    fn entry(&self) -> String {
        let list = |subjects: &BTreeSet<String>| {
            let mut lines = String::new();
            for subject in subjects {
                // Writing to a text does not fail.
                writeln!(lines, "        {subject:?}").ok();
            }
            lines
        };
        let (publish, subscribe) = self.permissions();
        format!(
            "    {{ user: {}, password: {}, permissions: {{\n      publish: {{ allow: [\n{}      ] }}\n      \
             subscribe: {{ allow: [\n{}      ] }}\n    }} }}\n",
            self.name,
            self.password,
            list(&publish),
            list(&subscribe)
        )
    }
}

/// The block `accounts` of the file.
fn accounts() -> String {
    let mut text = String::from("accounts {\n");
    for account in Account::ALL {
        let users = USERS.iter().filter(|user| user.account == account).map(User::entry);
        let users: String = users.collect();
        let users = match users.as_str() {
            "" => users,
            users => format!("  users: [\n{users}  ]\n"),
        };
        text.push_str(&account.definition(&users));
    }
    text + "}\n"
}

fn file() -> Result<String> {
    Ok(std::fs::read_to_string(tools::repository().join(FILE))?)
}

#[test]
fn the_file_of_the_component_has_the_rights_of_the_roles_and_no_others() -> Result<()> {
    let (file, accounts) = (file()?, accounts());
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let block: String = lines.map(|line| format!("{line}\n")).collect();
    assert_eq!(block, accounts, "below its comments {FILE} has to be:\n{accounts}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_user_of_the_agents_gives_no_order_and_the_other_one_reports_for_no_node() -> Result<()> {
    let place = Place::new()?;
    let config = USERS
        .iter()
        .fold(file()?, |text, user| text.replace(user.password, PASSWORD));
    let nats = Nats::start_bare(&place, &config).await?;
    let order = subject::attempt_record(&"n1".parse::<NodeName>()?.token());
    let (mut wrong, mut orders) = (Vec::new(), Vec::new());
    for user in &USERS {
        let (allowed, _) = user.permissions();
        let client = async_nats::ConnectOptions::with_user_and_password(user.name.to_owned(), PASSWORD.to_owned())
            .custom_inbox_prefix(user.inbox)
            .connect(nats.own_url())
            .await?;
        for subject in published()? {
            // The server judges what the subject is mapped to in the account of the client.
            let judged = mapped().into_iter().find_map(|(contract, between)| match user.account {
                Account::Nodes if covers(&contract, &subject) => Some(between),
                Account::Control if covers(&between, &subject) => Some(contract),
                Account::Nodes | Account::Control | Account::Events => None,
            });
            let may = allowed
                .iter()
                .any(|it| covers(it, judged.as_deref().unwrap_or(&subject)));
            let before = nats.violations().len();
            client.publish(subject.clone(), "".into()).await?;
            // The server takes a client's messages in their order, so it has logged a refusal before it answers this.
            client.request("$JS.API.INFO", "".into()).await?;
            let refused = nats.violations().len() > before;
            if refused == may {
                wrong.push(format!(
                    "{} publishes to {subject}, may: {may}, refused: {refused}",
                    user.name
                ));
            }
            if subject == order && !refused {
                orders.push(user.name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(orders, ["control"]);
    place.finish();
    Ok(())
}
