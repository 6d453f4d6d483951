//! A NATS server that knows its users by JWTs of an operator's account, and files of credentials for it.

use std::time::Duration;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator with one account, which may use JetStream.
#[derive(Debug)]
pub struct Operator {
    key: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

impl Operator {
    /// Makes the keys.
    #[must_use]
    pub fn new() -> Self {
        Self {
            key: KeyPair::new_operator(),
            system: KeyPair::new_account(),
            account: KeyPair::new_account(),
        }
    }

    /// The configuration of its servers.
    pub fn config(&self) -> Result<String> {
        let unlimited = json!({
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true, "conn": -1,
            "leaf": -1, "mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1,
        });
        let mut system = unlimited.clone();
        if let Some(limits) = system.as_object_mut() {
            limits.retain(|name, _| !["mem_storage", "disk_storage", "streams", "consumer"].contains(&name.as_str()));
        }
        let account = |key: &KeyPair, limits: &Value| {
            let nats = json!({ "type": "account", "version": 2, "limits": limits });
            jwt(&self.key, &key.public_key(), None, &nats)
        };
        Ok(format!(
            "trusted_keys: {}\nsystem_account: {}\nresolver: MEMORY\nresolver_preload: {{\n  {}: {}\n  {}: {}\n}}\n",
            self.key.public_key(),
            self.system.public_key(),
            self.system.public_key(),
            account(&self.system, &system)?,
            self.account.public_key(),
            account(&self.account, &unlimited)?,
        ))
    }

    /// A file of credentials of a new user, as `nsc` writes it, which lasts so long.
    pub fn credentials(&self, lasts: Duration) -> Result<String> {
        let user = KeyPair::new_user();
        let ends = Timestamp::now().checked_add(lasts)?.as_second();
        let nats = json!({ "type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1 });
        Ok(format!(
            "-----BEGIN NATS USER JWT-----\n{}\n------END NATS USER JWT------\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            jwt(&self.account, &user.public_key(), Some(ends), &nats)?,
            user.seed()?
        ))
    }
}

impl Default for Operator {
    fn default() -> Self {
        Self::new()
    }
}

/// A JWT of NATS about this subject, signed by this key.
fn jwt(issuer: &KeyPair, subject: &str, ends: Option<i64>, nats: &Value) -> Result<String> {
    let mut claims = json!({
        "jti": uuid::Uuid::new_v4().to_string(),
        "iat": Timestamp::now().as_second(),
        "iss": issuer.public_key(),
        "sub": subject,
        "name": subject,
        "nats": nats,
    });
    if let (Some(ends), Some(claims)) = (ends, claims.as_object_mut()) {
        claims.insert("exp".to_owned(), ends.into());
    }
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = issuer.sign(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
