//! A role's account and permissions: those of the contract, in the form that the server judges.

use bellwether_proto::NodeName;
use bellwether_proto::permission::{Permissions, Role, set_up};

/// The account of this role's clients.
pub(crate) fn account(_role: Role) -> &'static str {
    "BELLWETHER"
}

/// The entries of all roles' accounts in the server's configuration.
pub(crate) fn accounts() -> String {
    "BELLWETHER: { jetstream: enabled }\n".to_owned()
}

/// What clients of this role may publish and subscribe to. An agent without a node may do nothing.
pub(crate) fn permissions(role: Role, node: Option<&NodeName>) -> Permissions {
    let mut permissions = match (role, node) {
        (Role::Sentinel | Role::Rebooter, None) => Permissions {
            publish: vec![],
            subscribe: vec![],
        },
        (Role::Sentinel | Role::Rebooter, Some(node)) => role.permissions(node.token().as_str()),
        (Role::Drainer | Role::Scheduler, _) => role.permissions(""),
    };
    match role {
        Role::Sentinel | Role::Rebooter => (),
        Role::Drainer => permissions.publish.extend(set_up(false)),
        Role::Scheduler => permissions.publish.extend(set_up(true)),
    }
    permissions
}
