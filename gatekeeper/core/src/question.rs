//! A question of a NATS server: may this client connect?

use std::num::NonZeroU64;

use nkeys::{KeyPair, KeyPairType};
use serde::{Deserialize, Serialize};

use crate::jwt::{self, Claims};
use crate::refusal::Refusal;

/// The subject on which NATS servers ask, in the account of the gatekeepers.
pub const SUBJECT: &str = "$SYS.REQ.USER.AUTH";

/// The audience and the type of the claims.
const AUDIENCE: &str = "nats-authorization-request";
const TYPE: &str = "authorization_request";

/// What the server signs.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Request {
    server_id: ServerId,
    user_nkey: String,
    #[serde(default)]
    client_info: ClientInfo,
    connect_opts: ConnectOptions,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct ServerId {
    id: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct ClientInfo {
    #[serde(default)]
    id: u64,
    #[serde(default)]
    host: String,
    #[serde(default)]
    name: String,
}

#[derive(Clone, Serialize, Deserialize)]
struct ConnectOptions {
    #[serde(default)]
    auth_token: String,
}

impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("ConnectOptions")
    }
}

/// A connection of a client to a server.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// The key of the server, of this start.
    pub server: String,
    /// The server's number of the connection.
    pub number: NonZeroU64,
}

/// A question whose signature is a NATS server's.
#[derive(Clone, PartialEq, Eq)]
pub struct Question {
    /// The server that asks, and alone may use the answer.
    pub server: String,
    /// The client's connection, if the server numbers it.
    pub connection: Option<Connection>,
    /// The key that the server has made up for this client. The answer has to name it, so it fits no other question.
    pub user: String,
    /// The client's address and name as the server states them, for the log; the name is the client's own word.
    pub client: String,
    /// The client's token; empty without one.
    pub token: String,
}

impl std::fmt::Debug for Question {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Question")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// Longest name or address of a client in the log.
const NAME_CHARS_MAX: usize = 64;

/// A text of a client for the log. Any client can make a key of a server's kind and state an address of its own.
fn short(text: &str) -> String {
    text.chars()
        .filter(|it| !it.is_control())
        .take(NAME_CHARS_MAX)
        .collect()
}

impl Question {
    /// Reads a message of a server that is configured for this issuer.
    ///
    /// # Errors
    /// [`Refusal::QuestionMalformed`], which cannot be answered either, or [`Refusal::OtherKeys`].
    pub fn read(message: &[u8], issuer: &str) -> Result<Self, Refusal> {
        let malformed = Refusal::QuestionMalformed;
        let text = std::str::from_utf8(message).map_err(|_| malformed)?;
        let Claims {
            aud, iss, sub, nats, ..
        } = jwt::decode::<Request>(text, KeyPairType::Server).map_err(|_| malformed)?;
        let user = KeyPair::from_public_key(&nats.user_nkey).map_err(|_| malformed)?;
        let is_user = user.key_pair_type() == KeyPairType::User;
        if aud != AUDIENCE || nats.kind != TYPE || nats.server_id.id != iss || !is_user {
            return Err(malformed);
        }
        if sub != issuer {
            return Err(Refusal::OtherKeys);
        }
        Ok(Self {
            connection: NonZeroU64::new(nats.client_info.id).map(|number| Connection {
                server: iss.clone(),
                number,
            }),
            server: iss,
            user: nats.user_nkey,
            client: format!("{} at {}", short(&nats.client_info.name), short(&nats.client_info.host)),
            token: nats.connect_opts.auth_token,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn asked(server: &KeyPair, change: impl FnOnce(&mut serde_json::Value), issuer: &str) -> String {
        let mut content = serde_json::json!({
            "server_id": { "name": "nats-0", "id": server.public_key() },
            "user_nkey": KeyPair::new_user().public_key(),
            "client_info": { "host": "10.0.0.7", "name": "bellwether-sentinel\n", "kind": "Client" },
            "connect_opts": { "auth_token": "secret", "protocol": 1 },
            "type": TYPE, "version": 2,
        });
        change(&mut content);
        let claims = Claims {
            aud: AUDIENCE.to_owned(),
            exp: 9,
            jti: String::new(),
            iat: 3,
            iss: String::new(),
            sub: issuer.to_owned(),
            nats: content,
        };
        jwt::encode(claims, server).unwrap()
    }

    #[test]
    fn a_question_is_read_with_its_server_its_user_and_its_token() {
        let server = KeyPair::new_server();
        let question = Question::read(asked(&server, |_| (), "ours").as_bytes(), "ours").unwrap();
        assert_eq!(question.server, server.public_key());
        assert_eq!(
            (&*question.token, &*question.client),
            ("secret", "bellwether-sentinel at 10.0.0.7")
        );
        assert!(!format!("{question:?}").contains("secret"));
    }

    #[test]
    fn neither_the_name_nor_the_address_of_a_client_fills_or_breaks_a_line_of_the_log() {
        let change = |it: &mut serde_json::Value| {
            it["client_info"]["name"] = format!("a\n{}", "b".repeat(9_000)).into();
            it["client_info"]["host"] = format!("\u{1b}[2J{}", "c".repeat(9_000)).into();
        };
        let question = Question::read(asked(&KeyPair::new_server(), change, "ours").as_bytes(), "ours").unwrap();
        assert_eq!(question.client, format!("a{} at [2J{}", "b".repeat(63), "c".repeat(61)));
    }

    #[test]
    fn a_question_for_another_issuer_is_one_of_other_keys() {
        let message = asked(&KeyPair::new_server(), |_| (), "theirs");
        assert_eq!(Question::read(message.as_bytes(), "ours"), Err(Refusal::OtherKeys));
    }

    #[test]
    fn a_question_that_names_another_server_another_type_or_no_user_is_malformed() {
        type Change = fn(&mut serde_json::Value);
        let changes: [(&str, Change); 4] = [
            ("server", |it| {
                it["server_id"]["id"] = KeyPair::new_server().public_key().into()
            }),
            ("type", |it| it["type"] = "user".into()),
            ("account", |it| {
                it["user_nkey"] = KeyPair::new_account().public_key().into()
            }),
            ("none", |it| it["user_nkey"] = "".into()),
        ];
        for (named, change) in changes {
            let message = asked(&KeyPair::new_server(), change, "ours");
            let read = Question::read(message.as_bytes(), "ours");
            assert_eq!(read, Err(Refusal::QuestionMalformed), "{named}");
        }
        let by_account = asked(&KeyPair::new_account(), |_| (), "ours");
        let read = Question::read(by_account.as_bytes(), "ours");
        assert_eq!(read, Err(Refusal::QuestionMalformed), "signed by an account");
        assert_eq!(Question::read(b"\xff", "ours"), Err(Refusal::QuestionMalformed));
    }

    proptest! {
        // Each case makes keys and signs, which takes a tenth of a second in a debug build.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn a_question_of_any_content_is_refused_or_has_a_short_client_and_hides_its_token(
            host in any::<String>(),
            name in "\\PC{0,200}|[\\x00-\\x1f]{0,9}",
            token in "[A-Z]{8,40}",
        ) {
            let change = |it: &mut serde_json::Value| {
                it["client_info"] = serde_json::json!({ "host": host, "name": name });
                it["connect_opts"]["auth_token"] = token.clone().into();
            };
            let message = asked(&KeyPair::new_server(), change, "ours");
            let question = Question::read(message.as_bytes(), "ours").unwrap();
            prop_assert!(question.client.chars().count() <= 2 * NAME_CHARS_MAX + " at ".len());
            prop_assert!(!question.client.chars().any(char::is_control));
            let shown = format!("{question:?}");
            prop_assert!(!shown.contains(&token) || name.contains(&token) || host.contains(&token));
            for cut in 1..=40 {
                prop_assert!(Question::read(message.as_bytes().get(cut..).unwrap(), "ours").is_err());
            }
        }
    }
}
