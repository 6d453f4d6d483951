//! Leadership by a Kubernetes Lease: reads, watches and writes the Lease as `election.rs` decides.
//!
//! The Lease only keeps the replicas out of each other's way. Safety is elsewhere: every write
//! of a record demands that no other replica has written since (see `bus/store.rs`), so of two replicas
//! that both think they lead, one fails at its next step and reloads.

use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::{Backoff, Chassis, Retry, clock};
use bellwether_proto::mark::LEASE;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::SignedDuration;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::cluster::client::FIELD_MANAGER;
use crate::cluster::election::{Election, Step};
use crate::cluster::list_watch::WATCH_SECONDS;

/// How long a release may take, with all its tries: a pod that stops has 30 s for everything. A Lease that
/// is not released ends by itself.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// A watch that ends sooner than this after its begin has failed, whatever the API server calls the end.
const WATCH_MIN: Duration = Duration::from_secs(1);

/// This replica's part in the election. Dropped, the election ends, and a Lease of this replica is released.
pub(crate) struct Leadership {
    leads_until: watch::Receiver<Option<Instant>>,
    orders: mpsc::Sender<Order>,
}

/// Leads no more, and releases the Lease.
struct Order {
    /// How long the other replicas have the first turn. None: this replica takes no part any more.
    aside: Option<Duration>,
    done: oneshot::Sender<()>,
}

/// Takes part in the election.
///
/// # Errors
/// The API server refuses to show the Lease.
pub(crate) async fn join(
    chassis: &Chassis,
    client: Client,
    namespace: &str,
    identity: &str,
    duration: SignedDuration,
) -> anyhow::Result<Leadership> {
    let duration = Duration::try_from(duration).context("--lease-duration")?;
    let (publish, leads_until) = watch::channel(None);
    // One order at a time: each is awaited.
    let (orders, inbox) = mpsc::channel(1);
    let mut candidate = Candidate {
        leases: Api::namespaced(client, namespace),
        election: Election::new(identity.to_owned(), duration),
        watch: None,
        request_timeout: duration / 3,
        // Of the time to renew, so many pauses fit in that no failure of a moment ends the leading.
        retry: Retry::with(
            "take part in the election",
            Backoff::between(duration / 12, duration / 12),
        ),
        publish,
    };
    match candidate.read().await {
        Err(error) if error.is_refusal() => {
            return Err(error).with_context(|| format!("take part in the election in namespace {namespace}"));
        }
        read => candidate.note(read),
    }
    chassis.spawn("election", candidate.run(inbox));
    Ok(Leadership { leads_until, orders })
}

impl Leadership {
    /// Returns when this replica leads.
    ///
    /// # Errors
    /// The election has ended by itself.
    pub(crate) async fn gained(&mut self) -> anyhow::Result<()> {
        let leads = |until: &Option<Instant>| until.is_some_and(|until| Instant::now() < until);
        self.leads_until
            .wait_for(leads)
            .await
            .context("the election has ended by itself")?;
        Ok(())
    }

    /// Returns when this replica leads no more, by its own clock: it needs no answer of the API server. Polled
    /// before other work, it notices at once that the process was stopped for longer than the Lease lasts.
    pub(crate) async fn lost(&mut self) {
        loop {
            let Some(until) = *self.leads_until.borrow_and_update() else {
                return;
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(until) => {
                    // A renewal may have been stored at the last moment.
                    if *self.leads_until.borrow() == Some(until) {
                        return;
                    }
                }
                changed = self.leads_until.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    /// Releases the Lease, and leaves the next turn to the other replicas for this long.
    pub(crate) async fn step_aside(&self, aside: Duration) {
        self.order(Some(aside)).await;
    }

    /// Releases the Lease and leaves the election. A standby that watches the Lease leads at once.
    pub(crate) async fn leave(self) {
        self.order(None).await;
    }

    async fn order(&self, aside: Option<Duration>) {
        let (done, finished) = oneshot::channel();
        // Without an election there is nothing to release.
        if self.orders.send(Order { aside, done }).await.is_ok() {
            finished.await.ok();
        }
    }
}

type LeaseWatch = BoxStream<'static, kube::Result<WatchEvent<Lease>>>;

/// The driver of the election.
struct Candidate {
    leases: Api<Lease>,
    election: Election,
    /// While this replica waits for another's Lease: its watch, and since when.
    watch: Option<(LeaseWatch, Instant)>,
    /// How long one request may take. Two of them fit between two renewals' times and the end of leading.
    request_timeout: Duration,
    retry: Retry,
    publish: watch::Sender<Option<Instant>>,
}

impl Candidate {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>) -> anyhow::Result<()> {
        loop {
            let until = self.election.leads_until();
            self.publish.send_if_modified(|published| {
                let changed = *published != until;
                *published = until;
                changed
            });
            match self.election.step(Instant::now()) {
                Step::Wait(at) => tokio::select! {
                    order = orders.recv() => {
                        let aside = order.as_ref().and_then(|order| order.aside);
                        self.obey(aside).await;
                        let Some(order) = order else { return Ok(()) };
                        // The leading loop may have stopped waiting.
                        order.done.send(()).ok();
                        if aside.is_none() {
                            return Ok(());
                        }
                    }
                    () = tokio::time::sleep_until(at) => (),
                    // After a failed request a watch would fail as well, again and again, and wait for nothing.
                    () = self.change(), if until.is_none() && !self.election.is_outdated() => (),
                },
                Step::Read => {
                    let read = self.read().await;
                    self.note(read);
                }
                step @ (Step::Create | Step::Write) => {
                    let written = self.write(step).await;
                    self.note(written);
                }
            }
        }
    }

    async fn obey(&mut self, aside: Option<Duration>) {
        // From this moment on this replica does not lead, whether or not the release succeeds.
        self.publish.send_replace(None);
        if tokio::time::timeout(RELEASE_TIMEOUT, self.release()).await.is_err() {
            tracing::warn!("The Lease could not be released in time");
        }
        self.election.step_aside(aside.map(|aside| Instant::now() + aside));
    }

    fn note(&mut self, result: Result<(), RequestError>) {
        match result {
            Ok(()) => self.retry.worked(),
            Err(error) => {
                let pause = self.retry.failed(&error);
                self.election.failed(Instant::now() + pause);
            }
        }
    }

    async fn read(&mut self) -> Result<(), RequestError> {
        // Its events would be older than the Lease that is read now.
        self.watch = None;
        let lease = in_time(self.request_timeout, self.leases.get_opt(LEASE)).await?;
        self.election.observe(lease, Instant::now());
        Ok(())
    }

    /// Creates or writes the Lease with this replica as its holder.
    async fn write(&mut self, step: Step) -> Result<(), RequestError> {
        self.watch = None;
        let sent_at = Instant::now();
        let (version, spec) = self.election.claim(clock::now());
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(LEASE.to_owned()),
                resource_version: version,
                ..ObjectMeta::default()
            },
            spec: Some(spec),
        };
        let stored = if step == Step::Create {
            let params = PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PostParams::default()
            };
            in_time(self.request_timeout, self.leases.create(&params, &lease)).await
        } else {
            // Keeps fields that this version does not know; the version in it makes it a compare-and-swap.
            patch(&self.leases, self.request_timeout, &lease).await
        };
        match stored {
            Ok(lease) => self.election.stored(lease, sent_at, Instant::now()),
            Err(error) if error.is_conflict() => self.election.conflicted(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits until another writer changes the Lease, or it has to be read again.
    async fn change(&mut self) {
        let opened = match self.open_watch().await {
            Ok(opened) => opened,
            Err(error) => return self.note(Err(error)),
        };
        let Some((watch, _)) = &mut self.watch else { return };
        let lease = loop {
            match watch.next().await {
                Some(Ok(WatchEvent::Added(lease) | WatchEvent::Modified(lease))) => break Some(Some(lease)),
                Some(Ok(WatchEvent::Deleted(_))) => break Some(None),
                Some(Ok(WatchEvent::Bookmark(_))) => (),
                // The server ends each watch after a while, and an interrupted one is as good as ended.
                Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => break None,
            }
        };
        let now = Instant::now();
        match lease {
            Some(lease) => self.election.observe(lease, now),
            None if opened.elapsed() < WATCH_MIN => self.note(Err(RequestError::WatchEnded)),
            None => self.election.conflicted(),
        }
    }

    /// Since when the Lease is watched; from now on if it was not.
    async fn open_watch(&mut self) -> Result<Instant, RequestError> {
        if let Some((_, opened)) = &self.watch {
            return Ok(*opened);
        }
        let only = WatchParams::default()
            .fields(&format!("metadata.name={LEASE}"))
            .timeout(WATCH_SECONDS);
        let version = self.election.version().unwrap_or_default().to_owned();
        let stream = in_time(self.request_timeout, self.leases.watch(&only, &version)).await?;
        let opened = Instant::now();
        self.watch = Some((stream.boxed(), opened));
        Ok(opened)
    }

    /// Gives the Lease back, if it is in this replica's name.
    async fn release(&mut self) {
        // Bounded by the caller's limit of time; each conflict is another writer's success.
        loop {
            let Some(version) = self.election.held_version() else {
                return;
            };
            let lease = Lease {
                metadata: ObjectMeta {
                    resource_version: Some(version.to_owned()),
                    ..ObjectMeta::default()
                },
                spec: Some(LeaseSpec {
                    // As client-go releases a Lease; the other fields stay as they are.
                    holder_identity: Some(String::new()),
                    renew_time: Some(MicroTime(clock::now())),
                    ..LeaseSpec::default()
                }),
            };
            match patch(&self.leases, self.request_timeout, &lease).await {
                Ok(lease) => self.election.observe(Some(lease), Instant::now()),
                Err(error) => {
                    let pause = self.retry.failed(&error);
                    if !error.is_conflict() {
                        tokio::time::sleep(pause).await;
                    }
                    if self.read().await.is_err() {
                        tokio::time::sleep(pause).await;
                    }
                }
            }
        }
    }
}

async fn patch(leases: &Api<Lease>, limit: Duration, lease: &Lease) -> Result<Lease, RequestError> {
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    in_time(limit, leases.patch(LEASE, &params, &Patch::Merge(lease))).await
}

async fn in_time<T>(limit: Duration, request: impl Future<Output = kube::Result<T>>) -> Result<T, RequestError> {
    match tokio::time::timeout(limit, request).await {
        Ok(answer) => answer.map_err(RequestError::Failed),
        Err(_) => Err(RequestError::Silent(limit)),
    }
}

/// Why the API server did not show, store or watch the Lease.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("Lease {LEASE}")]
    Failed(#[source] kube::Error),
    #[error("Lease {LEASE}: the API server has not answered for {0:?}")]
    Silent(Duration),
    #[error("Lease {LEASE}: the API server ends its watch at once")]
    WatchEnded,
}

impl RequestError {
    /// The API server does not permit the request.
    fn is_refusal(&self) -> bool {
        self.has_code(&[401, 403])
    }

    /// Another writer was first, or has deleted the Lease.
    fn is_conflict(&self) -> bool {
        self.has_code(&[404, 409])
    }

    fn has_code(&self, codes: &[u16]) -> bool {
        matches!(self, Self::Failed(kube::Error::Api(status)) if codes.contains(&status.code))
    }
}
