//! The stage of a drainer: a real API server without controllers, a real NATS server, and between them and the program
//! under trial what observes and disturbs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bellwether_proto::permission::Role;
use bellwether_proto::stream::STREAMS;
use bellwether_proto::{PublicKeys, setting};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use rig::accounts::{Access, Accounts, User};
use rig::bus::Bus;
use rig::control_plane::{self, RunningApi};
use rig::identity::service_account_kubeconfig;
use rig::kubectl::Kubectl;
use rig::nats::Nats;
use rig::place::Place;
use rig::ports::free_port;
use rig::proxy::Proxy;
use rig::record_keys::Signer;
use rig::service::Service;
use rig::services::NAMESPACE;
use rig::workload::NAMESPACE as DEFAULT;
use rig::{tools, wait};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::ledger::{Ledger, What};
use crate::tap::Tap;
use rig::front::{Front, Observer, Request};

/// A pod with this annotation does not end by itself.
pub(crate) const LASTS: &str = "conformance.bellwether.dev/lasts";

/// A kind of controllers whose pods stay by a setting.
pub(crate) const DAEMON_SET_KIND: &str = "conformance.example/NodeSet";

/// How often the kubelet looks for pods that have to end.
const KUBELET_TICK: Duration = Duration::from_millis(100);

/// A program that is built from nothing on busy cores has started by then.
const READY_DEADLINE: Duration = Duration::from_secs(60);

/// What runs as the drainer.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<String>,
}

/// The observer of the front: notes each request in the ledger, after all that was published before it.
struct Noted {
    ledger: Ledger,
    tap: Tap,
}

impl Observer for Noted {
    fn arrives(&self) -> BoxFuture<'_, Result<()>> {
        self.tap.catch_up().boxed()
    }

    fn begins(&self, request: Request) -> usize {
        self.ledger.add(What::Request(request))
    }

    fn answered(&self, number: usize, code: u16) {
        self.ledger.amend(number, |request| {
            request.answered = Some(Instant::now());
            request.code = Some(code);
        });
    }

    fn closed(&self, number: usize) {
        self.ledger
            .amend(number, |request| request.dropped = request.code.is_none());
    }
}

/// Everything that runs.
pub(crate) struct Stage {
    pub(crate) service: Service,
    pub(crate) front: Front,
    pub(crate) ledger: Ledger,
    pub(crate) bus: Bus,
    pub(crate) nats: Nats,
    /// Signs the records.
    pub(crate) signer: Signer,
    /// The program's way to NATS.
    pub(crate) nats_way: Proxy,
    /// May do everything, and takes another way than the program.
    pub(crate) client: Client,
    pub(crate) tap: Tap,
    /// The streams that were missing when the program reported for the first time that it is ready.
    pub(crate) missing_when_ready: Vec<&'static str>,
    numbers: AtomicU32,
    _tasks: JoinSet<()>,
    _api: RunningApi,
    /// The folder with logs and state. It goes after all that writes into it.
    pub(crate) place: Place,
}

impl Stage {
    /// Starts all of it, and waits until the program is ready.
    pub(crate) async fn start(command: &Command) -> Result<Self> {
        rustls::crypto::ring::default_provider().install_default().ok();
        let place = Place::new()?;
        // The set-up is a part of the contract that a drainer is tried by; no scheduler runs beside it.
        let access = Access::new(&place, Accounts::TwoForDrainers, &[""; 0])?;
        let nats = Nats::start_with(&place, access, "");
        let ((api, admin_kubeconfig), nats) = tokio::try_join!(control_plane::start_api(&place), nats)?;
        let client = api.admin.clone();
        let kubectl = Kubectl::new(admin_kubeconfig, place.folder("kubectl")?);
        kubectl.apply_rights(&tools::repository().join("deploy/base")).await?;
        service_account(&client, DEFAULT).await?;

        let mut tasks = JoinSet::new();
        let ledger = Ledger::default();
        let tap = Tap::start(&nats, ledger.clone(), &mut tasks).await?;
        let certificate = api.access.certificate();
        let noted = Noted {
            ledger: ledger.clone(),
            tap: tap.clone(),
        };
        let front = Front::start(api.access.port(), certificate, Arc::new(noted))?;
        let nats_way = Proxy::start(nats.port())?;
        let bus = Bus::connect(&nats).await?;
        tasks.spawn(kubelet(client.clone()));

        let access = api.access.through(front.port());
        let kubeconfig = service_account_kubeconfig(&client, &access, NAMESPACE, "drainer", place.path()).await?;
        let admin_port = free_port()?;
        let signer = Signer::new(1)?;
        let keys = place.file("keys", PublicKeys::of([signer.key()]).to_string())?;
        let own = [
            ("KUBECONFIG", kubeconfig.display().to_string()),
            (setting::NATS_URL, format!("tls://127.0.0.1:{}", nats_way.port())),
            (setting::ADMIN_ADDRESS, format!("127.0.0.1:{admin_port}")),
            (setting::RECORD_KEYS, keys.display().to_string()),
            (setting::LOG_FORMAT, "text".to_owned()),
            (setting::DRAINER_DAEMON_SET_KINDS, DAEMON_SET_KIND.to_owned()),
        ];
        let mut env = nats.settings(&User::control(Role::Drainer));
        env.extend(own.map(|(key, value)| (key.to_owned(), value)));
        let process = place.start("program", command.program.clone(), command.args.clone(), env)?;
        let service = Service {
            process: Arc::new(process),
            admin_port,
            api_port: None,
        };
        let mut stage = Self {
            service,
            front,
            ledger,
            bus,
            nats,
            signer,
            nats_way,
            client,
            tap,
            missing_when_ready: vec![],
            numbers: AtomicU32::new(1),
            _tasks: tasks,
            _api: api,
            place,
        };
        stage.wait_ready().await?;
        stage.missing_when_ready = stage.missing_streams().await;
        wait::until("the streams to be there", READY_DEADLINE, async || {
            let missing = stage.missing_streams().await;
            anyhow::ensure!(missing.is_empty(), "there is no {missing:?}");
            Ok(())
        })
        .await?;
        Ok(stage)
    }

    /// Waits until the program reports that it is ready.
    pub(crate) async fn wait_ready(&self) -> Result<()> {
        wait::until("the program to be ready", READY_DEADLINE, async || {
            anyhow::ensure!(self.service.process.exited().is_none(), "it ended");
            self.service.get("/readyz").await.and_then(|(status, body)| {
                anyhow::ensure!(status == 200, "/readyz answers {status} {}", body.trim());
                Ok(())
            })
        })
        .await
        .with_context(|| format!("see {}", self.service.process.log().display()))
    }

    async fn missing_streams(&self) -> Vec<&'static str> {
        let mut missing = Vec::new();
        for stream in STREAMS {
            if self.bus.jetstream().get_stream(stream.name).await.is_err() {
                missing.push(stream.name);
            }
        }
        missing
    }

    /// The file of the keys that the program knows.
    pub(crate) fn key_file(&self) -> PathBuf {
        self.place.path().join("keys")
    }

    /// A number that no other check has.
    pub(crate) fn number(&self) -> u32 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Everything has been tried: the folder goes, and the program's output stays; returns where.
    pub(crate) fn finish(&self) -> Result<PathBuf> {
        let folder = tools::target()?.join("conformance");
        std::fs::create_dir_all(&folder)?;
        let kept = folder.join("drainer.log");
        std::fs::copy(self.service.process.log(), &kept).context("cannot keep the output of the program")?;
        self.place.finish();
        Ok(kept)
    }
}

/// Makes the ServiceAccount that the API server gives to pods of a namespace, as a controller does elsewhere.
pub(crate) async fn service_account(client: &Client, namespace: &str) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let account: ServiceAccount = serde_json::from_value(json!({ "metadata": { "name": "default" } }))?;
    wait::until("the default ServiceAccount", READY_DEADLINE, async || {
        match accounts.create(&PostParams::default(), &account).await {
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            other => Ok(other.map(drop)?),
        }
    })
    .await
}

/// The stand-in for all kubelets: ends the pods that have a deletion timestamp.
async fn kubelet(client: Client) {
    let pods: Api<Pod> = Api::all(client.clone());
    let mut ticks = interval(KUBELET_TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Ends with the stage.
    loop {
        ticks.tick().await;
        let Ok(list) = pods.list(&ListParams::default()).await else {
            continue;
        };
        let ends = |pod: &&Pod| pod.metadata.deletion_timestamp.is_some() && !pod.annotations().contains_key(LASTS);
        for pod in list.items.iter().filter(ends) {
            let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap_or_default());
            // Another round follows.
            api.delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
                .await
                .ok();
        }
    }
}
