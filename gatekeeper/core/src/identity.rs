//! The client's role and node, from the API server's review of the token.

use std::collections::BTreeMap;
use std::str::FromStr;

use bellwether_proto::NodeName;
use bellwether_proto::permission::Role;
use k8s_openapi::api::authentication::v1::{TokenReviewStatus, UserInfo};

use crate::refusal::Refusal;
use crate::token::AUDIENCE;

/// What the user name of a ServiceAccount begins with.
const USER_PREFIX: &str = "system:serviceaccount:";

/// The facts that the API server adds to the user of a token that is bound to a pod.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// A ServiceAccount: namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountName {
    namespace: String,
    name: String,
}

impl FromStr for AccountName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_name = |part: &str| {
            let allowed = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || ['-', '.'].contains(&it);
            !part.is_empty() && part.len() <= 253 && part.chars().all(allowed)
        };
        match text.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && is_name(name) => Ok(Self {
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            }),
            _ => Err("is no ServiceAccount; write it as NAMESPACE/NAME".to_owned()),
        }
    }
}

/// The ServiceAccount of each role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table(BTreeMap<AccountName, Role>);

impl Table {
    /// The table.
    ///
    /// # Errors
    /// A ServiceAccount has two roles.
    pub fn new(rows: impl IntoIterator<Item = (AccountName, Role)>) -> Result<Self, String> {
        let mut table = BTreeMap::new();
        for (account, role) in rows {
            let name = format!("{}/{}", account.namespace, account.name);
            if let Some(other) = table.insert(account, role) {
                let (one, other) = (role.as_str(), other.as_str());
                return Err(format!(
                    "ServiceAccount {name} cannot be both of the {other} and of the {one}: give each its own"
                ));
            }
        }
        Ok(Self(table))
    }

    fn role(&self, user: &str) -> Option<Role> {
        let (namespace, name) = user.strip_prefix(USER_PREFIX)?.split_once(':')?;
        let account = AccountName {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        self.0.get(&account).copied()
    }
}

/// A client that the API server has identified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its role.
    pub role: Role,
    /// Its node: always that of an agent.
    pub node: Option<NodeName>,
    /// Its pod, for the log.
    pub pod: String,
}

impl Identity {
    /// Reads the API server's review.
    ///
    /// # Errors
    /// The token is not accepted, not for us, of no role, of no pod, or, if it is an agent's, of no node.
    pub fn read(review: &TokenReviewStatus, table: &Table) -> Result<Self, Refusal> {
        if review.authenticated != Some(true) {
            return Err(Refusal::TokenRefused);
        }
        // An API server that does not know audiences would leave the list out and accept its own tokens.
        let audiences = review.audiences.as_deref().unwrap_or_default();
        if !audiences.iter().any(|audience| audience == AUDIENCE) {
            return Err(Refusal::AudienceWrong);
        }
        let user = review.user.as_ref().ok_or(Refusal::AccountUnknown)?;
        let role = table
            .role(user.username.as_deref().unwrap_or_default())
            .ok_or(Refusal::AccountUnknown)?;
        // A token that is bound to a Node alone names a node too.
        fact(user, POD_UID).ok_or(Refusal::PodMissing)?;
        let pod = fact(user, POD_NAME).ok_or(Refusal::PodMissing)?;
        let node = match role {
            Role::Sentinel | Role::Rebooter => {
                let node = fact(user, NODE_NAME).and_then(|name| name.parse().ok());
                Some(node.ok_or(Refusal::NodeMissing)?)
            }
            Role::Drainer | Role::Scheduler | Role::Notifier => None,
        };
        Ok(Self {
            role,
            node,
            pod: pod.to_owned(),
        })
    }
}

/// The one value of a fact; none also if there are several.
fn fact<'a>(user: &'a UserInfo, key: &str) -> Option<&'a str> {
    match user.extra.as_ref()?.get(key)?.as_slice() {
        [value] if !value.is_empty() => Some(value),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn table() -> Table {
        let rows = [
            ("bellwether-agents/sentinel", Role::Sentinel),
            ("bellwether-agents/rebooter", Role::Rebooter),
            ("bellwether/drainer", Role::Drainer),
            ("bellwether/scheduler", Role::Scheduler),
            ("bellwether/notifier", Role::Notifier),
        ];
        Table::new(rows.map(|(account, role)| (account.parse().unwrap(), role))).unwrap()
    }

    fn reviewed(user: &str, facts: &[(&str, &str)]) -> TokenReviewStatus {
        let extra = facts.iter().map(|(key, value)| {
            let key = format!("authentication.kubernetes.io/{key}");
            (key, vec![(*value).to_owned()])
        });
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(vec![AUDIENCE.to_owned()]),
            user: Some(UserInfo {
                username: Some(user.to_owned()),
                extra: Some(extra.collect()),
                ..UserInfo::default()
            }),
            ..TokenReviewStatus::default()
        }
    }

    const SENTINEL: &str = "system:serviceaccount:bellwether-agents:sentinel";
    const BOUND: [(&str, &str); 3] = [
        ("pod-name", "sentinel-x"),
        ("pod-uid", "u"),
        ("node-name", "n1.example"),
    ];

    #[test]
    fn an_agent_has_the_role_of_its_account_and_the_node_of_its_pod() {
        let identity = Identity::read(&reviewed(SENTINEL, &BOUND), &table()).unwrap();
        assert_eq!(identity.role, Role::Sentinel);
        assert_eq!(identity.node, Some("n1.example".parse().unwrap()));
        let drainer = reviewed("system:serviceaccount:bellwether:drainer", &BOUND);
        let drainer = Identity::read(&drainer, &table()).unwrap();
        assert_eq!((drainer.role, drainer.node), (Role::Drainer, None));
    }

    #[test]
    fn a_review_without_a_fact_is_refused_with_its_code() {
        let without = |name: &str| {
            let facts: Vec<_> = BOUND.into_iter().filter(|(key, _)| *key != name).collect();
            reviewed(SENTINEL, &facts)
        };
        let change = |change: fn(&mut TokenReviewStatus)| {
            let mut review = reviewed(SENTINEL, &BOUND);
            change(&mut review);
            review
        };
        for (review, refusal) in [
            (change(|it| it.authenticated = Some(false)), Refusal::TokenRefused),
            (change(|it| it.authenticated = None), Refusal::TokenRefused),
            (change(|it| it.audiences = None), Refusal::AudienceWrong),
            (
                change(|it| it.audiences = Some(vec!["api".to_owned()])),
                Refusal::AudienceWrong,
            ),
            (change(|it| it.user = None), Refusal::AccountUnknown),
            (
                reviewed("system:serviceaccount:other:sentinel", &BOUND),
                Refusal::AccountUnknown,
            ),
            (
                reviewed("system:serviceaccount:bellwether-agents:sentinel:x", &BOUND),
                Refusal::AccountUnknown,
            ),
            (reviewed("bellwether-agents:sentinel", &BOUND), Refusal::AccountUnknown),
            (reviewed("system:node:n1", &BOUND), Refusal::AccountUnknown),
            (
                reviewed("system:serviceaccount:default:default", &BOUND),
                Refusal::AccountUnknown,
            ),
            (without("pod-uid"), Refusal::PodMissing),
            (without("pod-name"), Refusal::PodMissing),
            (without("node-name"), Refusal::NodeMissing),
            (reviewed(SENTINEL, &[("node-name", "n1")]), Refusal::PodMissing),
            (
                reviewed(SENTINEL, &[BOUND[0], BOUND[1], ("node-name", "*")]),
                Refusal::NodeMissing,
            ),
        ] {
            assert_eq!(Identity::read(&review, &table()), Err(refusal), "{review:?}");
        }
    }

    #[test]
    fn one_account_cannot_have_two_roles() {
        let account: AccountName = "a/b".parse().unwrap();
        let refused = Table::new([(account.clone(), Role::Drainer), (account, Role::Sentinel)]).unwrap_err();
        assert!(refused.contains("a/b"), "{refused}");
        for wrong in ["sentinel", "a/", "/b", "a/b/c", "a/B", "a:b/c"] {
            assert!(wrong.parse::<AccountName>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn no_node_name_leads_to_rights_for_more_than_one_node(name in "\\PC{1,40}") {
            let facts = [BOUND[0], BOUND[1], ("node-name", name.as_str())];
            if let Ok(identity) = Identity::read(&reviewed(SENTINEL, &facts), &table()) {
                let token = identity.node.unwrap().token();
                prop_assert!(!token.as_str().contains(['*', '>', '.', ' ']), "{token:?}");
            }
        }
    }
}
