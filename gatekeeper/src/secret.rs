//! The seed of all keys, from a Secret that the manifests bring empty.
//!
//! The first gatekeeper fills it. A Secret with any content is never overwritten.

use std::time::Duration;

use bellwether_chassis::kubernetes::filled::{Content, FilledSecret, ObjectError};
use bellwether_chassis::{Backoff, Chassis, chain, clock};
use bellwether_gatekeeper_core::{Seed, Stored};
use bellwether_proto::readiness::{Part, ReadinessCode};
use kube::Client;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The remedy wherever the keys in use are not those of the Secret.
const ROTATE: &str =
    "restart the NATS pods one after the other to work with the Secret's keys, or put the old content back";

/// The Secret.
#[derive(Clone)]
pub(crate) struct SeedSecret {
    secret: FilledSecret,
}

impl SeedSecret {
    pub(crate) fn new(client: Client, namespace: &str, name: &str) -> Self {
        Self {
            secret: FilledSecret::new(client, namespace, name),
        }
    }

    /// The seed, for which this waits as long as it takes. None: the service has to stop. The keys are ready when the
    /// caller has written the server's files.
    pub(crate) async fn obtain(&self, chassis: &Chassis) -> Option<Seed> {
        // Waits are short: a NATS server waits for them with all its clients.
        let mut backoff = Backoff::up_to(Duration::from_secs(5));
        let mut logged = String::new();
        loop {
            let (code, why) = match self.read_or_fill().await {
                Ok(Stored::Seed(seed)) => {
                    chassis.health.ready(Part::Kubernetes);
                    chassis.health.ready(Part::Rights);
                    return Some(seed);
                }
                Ok(Stored::Malformed(why)) => {
                    chassis.health.ready(Part::Kubernetes);
                    (ReadinessCode::KeysMalformed, self.malformed(&why))
                }
                // Another gatekeeper was first: look again.
                Ok(Stored::Empty) | Err(ObjectError::Conflict { .. }) => continue_soon(),
                Err(error) => (error.code(ReadinessCode::KeysMissing), chain(&error)),
            };
            chassis.health.not_ready(code, why.clone());
            if why != logged {
                tracing::warn!(code = code.as_str(), error = why, "No keys yet, trying again");
                logged = why;
            }
            if !chassis.sleep(backoff.after_failure()).await {
                return None;
            }
        }
    }

    /// Compares the Secret with the seed in use, and changes nothing. True: it is the same.
    pub(crate) async fn compare(&self, chassis: &Chassis, used: &Seed) -> bool {
        let (code, why) = match self.read().await {
            Ok((Stored::Seed(seed), _)) if seed == *used => {
                chassis.health.ready(Part::Kubernetes);
                chassis.health.ready(Part::Keys);
                return true;
            }
            Ok((Stored::Seed(_), _)) => (
                ReadinessCode::KeysChanged,
                format!("{} holds other keys than those in use: {ROTATE}", self.secret.shown()),
            ),
            Ok((Stored::Empty, _)) => (
                ReadinessCode::KeysChanged,
                format!("{} was emptied: {ROTATE}", self.secret.shown()),
            ),
            Ok((Stored::Malformed(why), _)) => (ReadinessCode::KeysMalformed, self.malformed(&why)),
            Err(error) => (error.code(ReadinessCode::KeysMissing), chain(&error)),
        };
        tracing::warn!(code = code.as_str(), error = why, "Keys are not those of the Secret");
        chassis.health.not_ready(code, why);
        false
    }

    fn malformed(&self, why: &str) -> String {
        format!(
            "{} cannot be used: {why}: put its old content back, or empty it and restart the NATS pods",
            self.secret.shown()
        )
    }

    async fn read(&self) -> Result<(Stored, Content), ObjectError> {
        let content = self.secret.read().await?;
        let stored = Stored::read(content.data.iter().map(|(key, value)| (key.as_str(), value.as_slice())));
        Ok((stored, content))
    }

    async fn read_or_fill(&self) -> Result<Stored, ObjectError> {
        let (stored, content) = self.read().await?;
        if stored != Stored::Empty {
            return Ok(stored);
        }
        let mut bytes = [0; 32];
        if SystemRandom::new().fill(&mut bytes).is_err() {
            return Ok(Stored::Malformed("the machine gives no random bytes".to_owned()));
        }
        let data = Seed::new(bytes, clock::now()).data();
        let data = data
            .iter()
            .map(|(key, value)| (key.as_str(), Some(value.clone())))
            .collect();
        self.secret.write(&content, &data).await?;
        tracing::info!(secret = self.secret.shown(), "Secret filled with new keys");
        // As it is stored now.
        Ok(self.read().await?.0)
    }
}

/// What another gatekeeper's write means until the next look.
fn continue_soon() -> (ReadinessCode, String) {
    (
        ReadinessCode::KeysMissing,
        "another gatekeeper writes the keys at this moment".to_owned(),
    )
}
