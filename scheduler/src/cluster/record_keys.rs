//! The keys that sign records, in a Secret, and their public parts, in a ConfigMap of each namespace that verifies.
//!
//! The manifests bring all three empty. The leader fills them, makes a new key when the newest one has served for its
//! lifetime, and looks again and again. A Secret that no scheduler wrote is not overwritten.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bellwether_chassis::admin::Health;
use bellwether_chassis::kubernetes::filled::{Content, FilledMap, FilledSecret, ObjectError};
use bellwether_chassis::{chain, clock};
use bellwether_proto::readiness::{Part, ReadinessCode};
use bellwether_proto::signature::{KEY_BYTES, KEY_FILE};
use bellwether_proto::{KeyId, PublicKeys, SigningKey};
use bellwether_scheduler_core::record_keys::{KeyRing, StoredKeys};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The name of the Secret and of both ConfigMaps.
const NAME: &str = "bellwether-record-keys";

/// The key of the Secret that is there until the records of a release before signatures are signed.
const ADOPTS: &str = "adopts";

/// How often another writer may be first within one look. There are few schedulers, and each writes once.
const CONFLICTS_MAX: usize = 5;

/// How long `/readyz` shows a fault: the leader looks twice as often, and a replica that does not lead any more knows
/// nothing of the present.
const SHOWN_FOR: Duration = Duration::from_secs(60);

/// The keys to lead with.
#[derive(Debug, Clone)]
pub(crate) struct RecordKeys {
    /// Signs.
    pub(crate) signing: Arc<SigningKey>,
    /// Verify what is stored.
    pub(crate) public: PublicKeys,
    /// Records without any signature count, and are signed: this release is new here.
    pub(crate) adopts: bool,
}

/// Looks after the Secret and the ConfigMaps, while this replica leads.
pub(crate) struct KeyKeeper {
    secret: FilledSecret,
    maps: [FilledMap; 2],
    lifetime: SignedDuration,
    notice: SignedDuration,
    health: Health,
    /// The public keys that were in all ConfigMaps at the last look, and since when.
    published: Option<(PublicKeys, Timestamp)>,
    /// The keys of the last look.
    last: Option<RecordKeys>,
}

/// What the Secret holds.
struct Read {
    keys: StoredKeys,
    adopts: bool,
    content: Content,
}

impl RecordKeys {
    /// Whether a leader with these keys has to load again to work with the others.
    pub(crate) fn is_outdated_by(&self, newer: &Self) -> bool {
        self.signing.id() != newer.signing.id()
    }
}

impl KeyKeeper {
    pub(crate) fn new(
        client: &Client,
        namespaces: [&str; 2],
        lifetime: SignedDuration,
        notice: SignedDuration,
        health: Health,
    ) -> Self {
        let [own, _] = namespaces;
        Self {
            secret: FilledSecret::new(client.clone(), own, NAME),
            maps: namespaces.map(|namespace| FilledMap::new(client.clone(), namespace, NAME, KEY_FILE)),
            lifetime,
            notice,
            health,
            published: None,
            last: None,
        }
    }

    /// The keys to lead with now; makes and publishes what is missing. Where the Secret cannot be read or written, or holds
    /// something else, those of the last look: an API server that is away costs no lead. `/readyz` shows the reason.
    ///
    /// # Errors
    /// There was no look before, or the Secret was emptied and could not be filled.
    pub(crate) async fn keys(&mut self) -> anyhow::Result<RecordKeys> {
        match self.look().await {
            Ok(keys) => {
                self.last = Some(keys.clone());
                Ok(keys)
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "Keys of records could not be looked at");
                self.last.clone().ok_or(error)
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<RecordKeys> {
        let found = self.ring().await;
        let (ring, adopts) = match found {
            Ok(found) => {
                self.health.ready(Part::Keys);
                found
            }
            Err(error) => {
                let message = format!("{error:#}");
                self.health
                    .not_ready_for(ReadinessCode::RecordKeysMissing, message, SHOWN_FOR);
                return Err(error);
            }
        };
        let public = ring.public();
        self.publish(&public).await;
        let now = clock::now();
        let published_at = self.published.as_ref().map(|(_, since)| *since);
        let signing = ring.signing(self.notice, published_at, now);
        let signing = Arc::new(signing.context("no key pair follows from the Secret")?);
        Ok(RecordKeys {
            signing,
            public,
            adopts,
        })
    }

    /// Takes note that every record is signed: from now on one without a signature does not count.
    pub(crate) async fn adopted(&mut self) -> anyhow::Result<()> {
        if let Some(last) = &mut self.last {
            last.adopts = false;
        }
        let read = self.read().await?;
        if read.adopts {
            let adopts = BTreeMap::from([(ADOPTS, None)]);
            self.secret.write(&read.content, &adopts).await?;
            tracing::info!(secret = self.secret.shown(), "Records of the release before are signed");
        }
        Ok(())
    }

    async fn ring(&mut self) -> anyhow::Result<(KeyRing, bool)> {
        for _ in 0..CONFLICTS_MAX {
            let read = self.read().await?;
            let now = clock::now();
            let (ring, adopts, change) = match read.keys {
                StoredKeys::Malformed(why) => {
                    let shown = self.secret.shown();
                    bail!("{shown} cannot be used: {why}: put its old content back, or empty it to have new keys made");
                }
                StoredKeys::Empty => {
                    // An operator's word: the keys of the last look count no more.
                    self.last = None;
                    // Nothing was ever published: a first start, beside records that carry no signature yet. Where keys
                    // were published, an operator has emptied the Secret, and nothing but the new keys counts.
                    let adopts = self.nothing_is_published().await?;
                    (KeyRing::new(random()?, now), adopts, "Secret filled with a first key")
                }
                StoredKeys::Keys(ring) if ring.is_due(self.lifetime, now) => {
                    (ring.with(random()?, now), read.adopts, "New key made")
                }
                StoredKeys::Keys(ring) => return Ok((ring, read.adopts)),
            };
            let data = BTreeMap::from([
                (KEY_FILE, Some(ring.to_secret().into_bytes())),
                (ADOPTS, adopts.then(|| b"true".to_vec())),
            ]);
            match self.secret.write(&read.content, &data).await {
                Ok(()) => {
                    let keys = ids(&ring.public());
                    tracing::info!(secret = self.secret.shown(), keys, "{change}");
                    return Ok((ring, adopts));
                }
                // Another scheduler was first: look again.
                Err(ObjectError::Conflict { .. }) => (),
                Err(error) => return Err(error.into()),
            }
        }
        bail!(
            "{} changes at each look: how many schedulers lead?",
            self.secret.shown()
        )
    }

    async fn read(&self) -> Result<Read, ObjectError> {
        let content = self.secret.read().await?;
        Ok(Read {
            keys: StoredKeys::read(content.data.get(KEY_FILE).map(Vec::as_slice)),
            adopts: content.data.get(ADOPTS).is_some_and(|bytes| !bytes.is_empty()),
            content,
        })
    }

    async fn nothing_is_published(&self) -> Result<bool, ObjectError> {
        for map in &self.maps {
            if map.read().await?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Brings the public keys into each ConfigMap that has others. A reader whose ConfigMap cannot be written obeys nothing,
    /// and states that.
    async fn publish(&mut self, public: &PublicKeys) {
        let text = public.to_string();
        let (mut failed, mut written) = (Vec::new(), false);
        for map in &self.maps {
            match map.ensure(&text).await {
                Ok(changed) => written |= changed,
                Err(error) => failed.push(chain(&error)),
            }
        }
        if !failed.is_empty() {
            let found = failed.join("; ");
            let code = ReadinessCode::RecordKeysNotPublished;
            tracing::warn!(
                code = code.as_str(),
                error = found,
                "Keys of records are not published to all readers"
            );
            self.health.not_ready_for(code, found, SHOWN_FOR);
            self.published = None;
            return;
        }
        let is_known = self.published.as_ref().is_some_and(|(known, _)| known == public);
        if written {
            tracing::info!(keys = ids(public), "Keys of records published");
        }
        if written || !is_known {
            // Found as they have to be: another leader has published them, at the earliest when they were made.
            let since = if written { clock::now() } else { Timestamp::MIN };
            self.published = Some((public.clone(), since));
        }
    }
}

fn random() -> anyhow::Result<[u8; KEY_BYTES]> {
    let mut bytes = [0; KEY_BYTES];
    let filled = SystemRandom::new().fill(&mut bytes);
    filled.ok().context("the machine gives no random bytes")?;
    Ok(bytes)
}

fn ids(keys: &PublicKeys) -> String {
    let ids: Vec<String> = keys.ids().map(|id: KeyId| id.to_string()).collect();
    ids.join(",")
}
