//! The keys of records in the rig: a stand-in for the kubelets, which bring the public ones to the pods, and the
//! scheduler's own key, for stories that write records in its name.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::PublishErrorKind;
use bellwether_proto::signature::{KEY_BYTES, KEY_FILE};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{SigningKey, header};
use bellwether_scheduler_core::record_keys::StoredKeys;
use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinSet;

use crate::namespaces::{AGENTS, NAMESPACE};

/// The name of the Secret and of both ConfigMaps.
pub const NAME: &str = "bellwether-record-keys";

/// The server's header by which it stores a message only after this one.
pub const EXPECTED: &str = "Nats-Expected-Last-Sequence";

/// The mounted ConfigMaps.
#[derive(Debug)]
pub struct KeyMounts {
    folder: PathBuf,
    /// The kubelets bring nothing.
    paused: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl KeyMounts {
    /// Mounts them below this folder.
    pub fn start(client: &Client, folder: &Path) -> Result<Self> {
        let (paused, mut tasks) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for namespace in [NAMESPACE, AGENTS] {
            let file = folder.join(namespace).join(KEY_FILE);
            std::fs::create_dir_all(folder.join(namespace))?;
            let maps = Api::namespaced(client.clone(), namespace);
            tasks.spawn(mirror(maps, file, Arc::clone(&paused)));
        }
        let folder = folder.to_owned();
        Ok(Self {
            folder,
            paused,
            _tasks: tasks,
        })
    }

    /// The file in the pods of this namespace.
    #[must_use]
    pub fn file(&self, namespace: &str) -> PathBuf {
        self.folder.join(namespace).join(KEY_FILE)
    }

    /// From now on the kubelets bring no change.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::SeqCst);
    }
}

/// Keeps the file as the ConfigMap is. Ends with its set of tasks.
async fn mirror(maps: Api<ConfigMap>, file: PathBuf, paused: Arc<AtomicBool>) {
    let only = watcher::Config::default().fields(&format!("metadata.name={NAME}"));
    let mut changes = std::pin::pin!(watcher(maps, only).default_backoff().touched_objects());
    loop {
        // An error is followed by another try.
        let Ok(Some(map)) = changes.try_next().await else {
            tokio::task::yield_now().await;
            continue;
        };
        if paused.load(Ordering::SeqCst) {
            continue;
        }
        let text = map.data.unwrap_or_default().remove(KEY_FILE).unwrap_or_default();
        // As the kubelet does: a reader never finds half a file.
        let next = file.with_extension("next");
        if std::fs::write(&next, text).is_ok() {
            std::fs::rename(&next, &file).ok();
        }
    }
}

/// How often another writer may be first. Trials run beside each other, each with a few records.
const TRIES: usize = 50;

/// Stores records as a scheduler does: signed for the place that each gets.
#[derive(Debug)]
pub struct Signer {
    key: SigningKey,
}

impl Signer {
    /// With the key of this byte, made now.
    pub fn new(byte: u8) -> Result<Self> {
        let key = SigningKey::new(&[byte; KEY_BYTES], Timestamp::now());
        Ok(Self::with(key.context("no key")?))
    }

    /// With this key.
    #[must_use]
    pub fn with(key: SigningKey) -> Self {
        Self { key }
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Stores a record; returns its sequence.
    pub async fn store(
        &self,
        jetstream: &Context,
        subject: String,
        headers: HeaderMap,
        payload: Vec<u8>,
    ) -> Result<u64> {
        for _ in 0..TRIES {
            let stream = jetstream.get_stream(ATTEMPTS_STREAM.name).await?;
            let last = stream.cached_info().state.last_sequence;
            let mut signed = headers.clone();
            let signature = self.key.sign(&subject, last + 1, &payload);
            signed.insert(header::SIGNATURE, signature);
            signed.insert(EXPECTED, last.to_string());
            let ack = jetstream.publish_with_headers(subject.clone(), signed, payload.clone().into());
            match ack.await?.await {
                Ok(ack) => return Ok(ack.sequence),
                Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => (),
                Err(error) => return Err(error.into()),
            }
        }
        anyhow::bail!("others write to {} all the time", ATTEMPTS_STREAM.name)
    }
}

/// Empties the Secret and both ConfigMaps: as before the first start of a scheduler that signs.
pub async fn forget(client: &Client) -> Result<()> {
    for namespace in [NAMESPACE, AGENTS] {
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let nothing = Patch::Merge(json!({ "data": null }));
        maps.patch(NAME, &PatchParams::default(), &nothing).await?;
    }
    empty_secret(client).await
}

/// Empties the Secret, as an operator does who does not trust its keys any more.
pub async fn empty_secret(client: &Client) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let nothing = Patch::Merge(json!({ "data": null }));
    secrets.patch(NAME, &PatchParams::default(), &nothing).await?;
    Ok(())
}

/// The key that signs, of a Secret with one key.
pub async fn signing_key(client: &Client) -> Result<SigningKey> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), NAMESPACE);
    let data = secrets.get(NAME).await?.data.unwrap_or_default();
    let StoredKeys::Keys(ring) = StoredKeys::read(data.get(KEY_FILE).map(|bytes| bytes.0.as_slice())) else {
        anyhow::bail!("the Secret {NAME} holds no keys");
    };
    let now = Timestamp::now();
    let key = ring.signing(jiff::SignedDuration::ZERO, Some(now), now);
    key.context("no key follows from the Secret")
}
