//! A role's account and permissions: those of the contract, in the form that the server judges.

use bellwether_proto::NodeName;
use bellwether_proto::account::Account;
use bellwether_proto::permission::{Permissions, Role};

/// The entries of all roles' accounts in the server's configuration.
pub(crate) fn accounts() -> String {
    Account::ALL.map(|account| account.definition("")).concat()
}

/// What clients of this role may publish and subscribe to. An agent without a node may do nothing.
pub(crate) fn permissions(role: Role, node: Option<&NodeName>) -> Permissions {
    match (role, node) {
        (Role::Sentinel | Role::Rebooter, None) => Permissions {
            publish: vec![],
            subscribe: vec![],
        },
        (Role::Sentinel | Role::Rebooter, Some(node)) => role.permissions_in_account(node.token().as_str()),
        (Role::Drainer | Role::Scheduler | Role::Notifier, _) => role.permissions_in_account(""),
    }
}
