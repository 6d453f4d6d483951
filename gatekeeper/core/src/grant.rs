//! The answer: the client's account, rights, limits and time; or a refusal.

use jiff::{SignedDuration, Timestamp};
use nkeys::KeyPair;
use serde::Serialize;

use crate::identity::Identity;
use crate::jwt::{self, Claims, JwtError, VERSION};
use crate::question::Question;
use crate::refusal::Refusal;
use crate::rights;

/// The longest time of a grant: then the client has to show a token again. Kubelets renew tokens of an hour after 48
/// minutes.
pub const TIME_MAX: SignedDuration = SignedDuration::from_hours(1);

/// No limit of its own: a server heeds none that is in an answer. Agents have that of their account.
const UNLIMITED: i64 = -1;

/// A client that may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who the client is.
    pub identity: Identity,
    /// Until when.
    pub until: Timestamp,
}

#[derive(Serialize)]
struct User {
    #[serde(rename = "pub")]
    publish: Allowed,
    #[serde(rename = "sub")]
    subscribe: Allowed,
    subs: i64,
    data: i64,
    payload: i64,
    allowed_connection_types: [&'static str; 1],
    #[serde(rename = "type")]
    kind: &'static str,
    version: u8,
}

#[derive(Serialize)]
struct Allowed {
    allow: Vec<String>,
    /// An empty list of what is allowed would allow everything.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deny: Vec<String>,
}

#[derive(Serialize)]
struct Response {
    #[serde(skip_serializing_if = "String::is_empty")]
    jwt: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    #[serde(rename = "type")]
    kind: &'static str,
    version: u8,
}

impl Grant {
    /// A grant until the end of the token, for an hour at most.
    ///
    /// # Errors
    /// The token's end is over.
    pub fn until(identity: Identity, token_expires: Timestamp, now: Timestamp) -> Result<Self, Refusal> {
        let latest = now.checked_add(TIME_MAX).unwrap_or(Timestamp::MAX);
        let until = token_expires.min(latest);
        // In whole seconds, as claims state it: an end of zero seconds would be none.
        if until.as_second() <= now.as_second() {
            return Err(Refusal::TokenExpired);
        }
        Ok(Self { identity, until })
    }
}

/// The message that answers a question.
///
/// # Errors
/// It could not be signed.
pub fn answer(
    question: &Question,
    decided: Result<&Grant, Refusal>,
    issuer: &KeyPair,
    now: Timestamp,
) -> Result<String, JwtError> {
    let (jwt, error) = match decided {
        Ok(grant) => (user(&question.user, grant, issuer, now)?, String::new()),
        Err(refusal) => (String::new(), format!("{}: {}", refusal.as_str(), refusal.explained())),
    };
    let claims = Claims {
        aud: question.server.clone(),
        exp: 0,
        jti: String::new(),
        iat: now.as_second(),
        iss: String::new(),
        sub: question.user.clone(),
        nats: Response {
            jwt,
            error,
            kind: "authorization_response",
            version: VERSION,
        },
    };
    jwt::encode(claims, issuer)
}

/// The client's rights. They carry no name: a server that has one drops the token for it, and ends the connection when it
/// reads its files again, as they have no user of that name.
fn user(key: &str, grant: &Grant, issuer: &KeyPair, now: Timestamp) -> Result<String, JwtError> {
    let Identity { role, node, .. } = &grant.identity;
    let permissions = rights::permissions(*role, node.as_ref());
    let claims = Claims {
        aud: role.account().as_str().to_owned(),
        exp: grant.until.as_second(),
        jti: String::new(),
        iat: now.as_second(),
        iss: String::new(),
        sub: key.to_owned(),
        nats: User {
            publish: allowed(permissions.publish),
            subscribe: allowed(permissions.subscribe),
            subs: UNLIMITED,
            data: UNLIMITED,
            payload: UNLIMITED,
            // No WebSocket, MQTT or leaf node.
            allowed_connection_types: ["STANDARD"],
            kind: "user",
            version: VERSION,
        },
    };
    jwt::encode(claims, issuer)
}

fn allowed(allow: Vec<String>) -> Allowed {
    let deny = if allow.is_empty() { vec![">".to_owned()] } else { vec![] };
    Allowed { allow, deny }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bellwether_proto::permission::Role;

    use crate::question::tests::asked;
    use nkeys::KeyPairType;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn identity(role: Role, node: Option<&str>) -> Identity {
        Identity {
            role,
            node: node.map(|name| name.parse().unwrap()),
            pod: "pod".to_owned(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn answered(decided: Result<&Grant, Refusal>) -> (Claims<Value>, KeyPair) {
        let (server, issuer) = (KeyPair::new_server(), KeyPair::new_account());
        let message = asked(&server, |_| (), &issuer.public_key());
        let question = Question::read(message.as_bytes(), &issuer.public_key()).unwrap();
        let text = answer(&question, decided, &issuer, at(1000)).unwrap();
        let claims: Claims<Value> = jwt::decode(&text, KeyPairType::Account).unwrap();
        assert_eq!((&claims.aud, &claims.sub), (&server.public_key(), &question.user));
        assert_eq!(claims.iss, issuer.public_key());
        (claims, issuer)
    }

    fn granted(role: Role, node: Option<&str>) -> Claims<Value> {
        let grant = Grant::until(identity(role, node), at(2000), at(1000)).unwrap();
        let (claims, issuer) = answered(Ok(&grant));
        assert_eq!(claims.nats.get("error"), None);
        let user: Claims<Value> = jwt::decode(claims.nats["jwt"].as_str().unwrap(), KeyPairType::Account).unwrap();
        assert_eq!((&user.iss, &user.sub), (&issuer.public_key(), &claims.sub));
        user
    }

    #[test]
    fn an_agent_may_write_for_its_node_only() {
        let user = granted(Role::Sentinel, Some("n1.example"));
        assert_eq!(user.exp, 2000);
        assert_eq!(user.aud, "BELLWETHER_NODES");
        assert_eq!(user.nats["allowed_connection_types"], json!(["STANDARD"]));
        let allowed = user.nats["pub"]["allow"].as_array().unwrap();
        for subject in allowed.iter().map(|it| it.as_str().unwrap()) {
            assert!(!subject.contains(['*', '>']), "{subject}");
        }
        assert!(allowed.iter().any(|it| it.as_str().unwrap().contains("n1_example")));
        assert_eq!(user.nats["bearer_token"], Value::Null);
    }

    #[test]
    fn an_agent_without_a_node_may_do_nothing() {
        let user = granted(Role::Rebooter, None);
        for way in ["pub", "sub"] {
            assert_eq!(user.nats[way], json!({ "allow": [], "deny": [">"] }));
        }
    }

    #[test]
    fn a_refusal_holds_its_code_and_no_user() {
        for refusal in Refusal::ALL {
            let (claims, _) = answered(Err(refusal));
            let error = claims.nats["error"].as_str().unwrap().to_owned();
            assert!(error.starts_with(&format!("{}: ", refusal.as_str())), "{error}");
            assert_eq!(claims.nats.get("jwt"), None);
        }
    }

    proptest! {
        #[test]
        fn no_grant_outlasts_its_token_or_an_hour_or_is_over_at_once(now in 0_i64..4_000_000_000, left in -10_000_i64..100_000) {
            let grant = Grant::until(identity(Role::Drainer, None), at(now + left), at(now));
            match grant {
                Ok(grant) => {
                    let given = grant.until.as_second() - now;
                    prop_assert!(given > 0 && given <= left.min(3600), "{given} of {left}");
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal, Refusal::TokenExpired);
                    prop_assert!(left <= 0);
                }
            }
        }
    }
}
