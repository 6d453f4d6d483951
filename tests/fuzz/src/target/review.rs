//! The API server's review of a token, as JSON: the identity of a client.

use std::sync::LazyLock;

use bellwether_gatekeeper_core::{Identity, Table, token};
use bellwether_proto::permission::Role;
use k8s_openapi::api::authentication::v1::TokenReviewStatus;

use crate::judge;

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let rows = [
        ("bellwether/scheduler", Role::Scheduler),
        ("bellwether/notifier", Role::Notifier),
        ("bellwether/drainer", Role::Drainer),
        ("bellwether-agents/sentinel", Role::Sentinel),
        ("bellwether-agents/rebooter", Role::Rebooter),
    ];
    Table::new(rows.map(|(name, role)| (name.parse().expect("a name"), role))).expect("a table")
});

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(review) = serde_json::from_slice::<TokenReviewStatus>(bytes) else {
        return false;
    };
    match Identity::read(&review, &TABLE) {
        Ok(identity) => {
            assert_eq!(review.authenticated, Some(true));
            let audiences = review.audiences.unwrap_or_default();
            assert!(audiences.iter().any(|it| it == token::AUDIENCE));
            let is_agent = matches!(identity.role, Role::Sentinel | Role::Rebooter);
            assert_eq!(
                identity.node.is_some(),
                is_agent,
                "an agent has a node, and no other role"
            );
            true
        }
        Err(refusal) => {
            judge::error(&format!("{refusal:?}"));
            false
        }
    }
}
