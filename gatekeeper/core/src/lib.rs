//! The deciding core of the gatekeeper: pure, no clock, no input or output.
//!
//! ```text
//! seed.rs      the content of the Secret: absent, well-formed, or neither
//! keys.rs      all keys, derived from the seed
//! jwt.rs       the form of NATS's signed claims
//! question.rs  a question of a NATS server whether a client may connect
//! token.rs     the claims of a Kubernetes token that are read before the API server is asked
//! identity.rs  the client's role and node, from the API server's review of the token
//! grant.rs     the answer: the client's account, rights, limits and time; or a refusal
//! rights.rs    a role's account and permissions, from the contract
//! refusal.rs   the closed list of refusals
//! known.rs     tokens whose review is recent
//! admitted.rs  connections that were let in
//! expiring.rs  the bounded map of both
//! config.rs    the files of the NATS server
//! ```
//!
//! No part of it writes a token or a private key into a text for operators.

pub mod admitted;
pub mod config;
mod expiring;
pub mod grant;
pub mod identity;
pub mod jwt;
pub mod keys;
pub mod known;
pub mod question;
pub mod refusal;
mod rights;
pub mod seed;
pub mod token;

pub use admitted::Admitted;
pub use grant::{Grant, TIME_MAX};
pub use identity::{AccountName, Identity, Table};
pub use keys::Keys;
pub use known::Known;
pub use question::{Connection, Question};
pub use refusal::Refusal;
pub use seed::{Seed, Stored};
