//! A NATS server whose users have no more than the rights of their roles, in the two accounts of the contract.

use bellwether_proto::account::Account;
use bellwether_proto::permission::{Permissions, Role};

/// Of no worth: the servers of the rig listen on loopback, for as long as a test lasts.
pub const PASSWORD: &str = "rig";

/// The user of the rig, who may do everything in the account of the control services.
pub const RIG: &str = "rig";

/// A client of the server that has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User<'a> {
    /// Its role.
    pub role: Role,
    /// The token of its node; empty for drainer and scheduler.
    pub node: &'a str,
}

impl User<'_> {
    /// All users of a server with these nodes.
    #[must_use]
    pub fn all<'a>(nodes: &[&'a str]) -> Vec<User<'a>> {
        let mut users = Vec::new();
        for role in Role::ALL {
            match role.account() {
                Account::Nodes => users.extend(nodes.iter().map(|node| User { role, node })),
                Account::Control => users.push(User { role, node: "" }),
            }
        }
        users
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self.node {
            "" => self.role.as_str().to_owned(),
            node => format!("{}.{node}", self.role.as_str()),
        }
    }

    /// What it may publish and subscribe to, as the server judges.
    #[must_use]
    pub fn permissions(&self) -> Permissions {
        self.role.permissions_in_account(self.node)
    }
}

/// The configuration of such a server with these users; each has the same password.
#[must_use]
pub fn config(users: &[User<'_>]) -> String {
    let mut accounts = String::new();
    for account in Account::ALL {
        let mut entries = String::new();
        if account == Account::Control {
            entries.push_str(&rig());
        }
        for user in users.iter().filter(|it| it.role.account() == account) {
            entries.push_str(&entry(&user.name(), &user.permissions()));
        }
        accounts.push_str(&account.definition(&format!("  users: [\n{entries}  ]\n")));
    }
    format!("no_auth_user: \"{RIG}\"\naccounts {{\n{accounts}}}\n")
}

/// The configuration of a server with the same users in one account, each with the subjects of the contract.
#[must_use]
pub fn single(users: &[User<'_>]) -> String {
    let users: String = users
        .iter()
        .map(|user| entry(&user.name(), &user.role.permissions(user.node)))
        .collect();
    format!(
        "no_auth_user: \"{RIG}\"\nauthorization {{\n  users: [\n{}{users}  ]\n}}\n",
        rig()
    )
}

fn rig() -> String {
    format!("    {{ user: \"{RIG}\", password: \"{PASSWORD}\" }}\n")
}

fn entry(name: &str, Permissions { publish, subscribe }: &Permissions) -> String {
    format!(
        "    {{ user: \"{name}\", password: \"{PASSWORD}\", permissions: {{ publish: {{ allow: {publish:?} }}, \
         subscribe: {{ allow: {subscribe:?} }} }} }}\n"
    )
}
