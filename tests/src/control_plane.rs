//! A real Kubernetes control plane without kubelets: etcd, API server, controller manager,
//! scheduler.
//!
//! A fake API server would only repeat our own beliefs. Disruption budgets, eviction
//! answers, leases, CRD validation and RBAC are exactly where drain tools break.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kube::Client;
use tonic::codegen::http::Request;

use crate::identity::{self, Access};
use crate::place::Place;
use crate::ports::free_port;
use crate::process::{Process, Program};
use crate::tools::tool;

/// How long a part may take to answer: seconds on two idle cores, more when they are busy.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The file below a place with the administrator's access.
const ADMIN_KUBECONFIG: &str = "admin.kubeconfig";

/// The controllers that the rig needs; the others would only cost time at the start.
const CONTROLLERS: &str = "daemonset-controller,\
    deployment-controller,disruption-controller,garbage-collector-controller,job-controller,\
    namespace-controller,node-lifecycle-controller,pod-garbage-collector-controller,\
    replicaset-controller,resourcequota-controller,serviceaccount-controller,\
    statefulset-controller,\
    taint-eviction-controller,validatingadmissionpolicy-status-controller";

/// The controllers that pods on real kubelets need beside those: the API server's certificate, endpoints of Services
/// for kube-proxy, volumes, and quotas that are counted.
const NODE_CONTROLLERS: &str = "endpointslice-controller,persistentvolume-binder-controller,\
    persistentvolume-protection-controller,persistentvolumeclaim-protection-controller,\
    resourcequota-controller,root-ca-certificate-publisher-controller";

/// Answered requests of ServiceAccounts, watches as soon as they begin; those of the rig itself
/// are of no interest.
const AUDIT_POLICY: &str = r#"{
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{ "level": "Metadata", "userGroups": ["system:serviceaccounts"] }, { "level": "None" }]
}"#;

/// The differences when real kubelets join.
#[derive(Clone, Debug)]
pub struct RealNodes {
    /// The address at which machines find the API server's port.
    pub address: Ipv4Addr,
    /// The socket of a proxy that takes the API server to the kubelets' ports.
    pub egress: PathBuf,
    /// Further users: token, user, group.
    pub users: Vec<[String; 3]>,
}

/// The running control plane.
pub struct ControlPlane {
    /// The store. Killing it is what "the API server is away" looks like from below.
    pub etcd: Process,
    /// The API server.
    pub api_server: Process,
    /// All controllers, with a node monitor of seconds.
    pub controller_manager: Process,
    /// Places pods on nodes.
    pub scheduler: Process,
    audit_log: PathBuf,
    access: Access,
    admin_token: String,
    admin_kubeconfig: PathBuf,
    admin: Client,
}

/// A second etcd and API server beside a [`ControlPlane`], with the state of an earlier moment and the same
/// certificate and tokens: what the control plane is once its etcd was restored from a snapshot.
pub struct RestoredApi {
    etcd: Program,
    api_server: Program,
    access: Access,
}

/// The running part of a [`RestoredApi`].
pub struct RunningApi {
    _etcd: Process,
    _api_server: Process,
    /// Where the API server is.
    pub access: Access,
    /// A client that may do everything.
    pub admin: Client,
}

impl ControlPlane {
    /// Starts all four and waits until the API server answers. `node_grace` is how long a node may
    /// be silent before it counts as not ready.
    pub async fn start(place: &Place, node_grace: Duration) -> Result<Self> {
        Self::start_for(place, node_grace, None).await
    }

    /// Starts a control plane that real kubelets may join, and that is as strict with them and
    /// their pods as any.
    pub async fn start_for_real_nodes(place: &Place, node_grace: Duration, nodes: &RealNodes) -> Result<Self> {
        Self::start_for(place, node_grace, Some(nodes)).await
    }

    async fn start_for(place: &Place, node_grace: Duration, nodes: Option<&RealNodes>) -> Result<Self> {
        let tokens = identity::StaticTokens::new();
        let ApiParts {
            etcd,
            api_server,
            access,
            admin,
            audit_log,
        } = start_api_server(place, &tokens, nodes).await?;
        let kubeconfig = |name: &str, token: &str| place.file(&format!("{name}.kubeconfig"), access.kubeconfig(token));
        let admin_kubeconfig = place.file(ADMIN_KUBECONFIG, access.kubeconfig(&tokens.admin))?;

        let manager = kubeconfig("kube-controller-manager", &tokens.controller_manager)?;
        let mut args = vec![
            format!("--kubeconfig={}", manager.display()),
            match nodes {
                Some(_) => format!("--controllers={CONTROLLERS},{NODE_CONTROLLERS}"),
                None => format!("--controllers={CONTROLLERS}"),
            },
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--node-monitor-period=1s".to_owned(),
            format!("--node-monitor-grace-period={}ms", node_grace.as_millis()),
            // A rig is small: an outage of half its nodes must not switch off the node monitor.
            "--unhealthy-zone-threshold=1".to_owned(),
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=500".to_owned(),
        ];
        // Pods trust the API server by it.
        args.extend(nodes.map(|_| format!("--root-ca-file={}", access.certificate().display())));
        let path = tool("kube-controller-manager")?;
        let controller_manager = place.start("kube-controller-manager", path, args, env())?;

        let config = kubeconfig("kube-scheduler", &tokens.scheduler)?;
        let args = vec![
            format!("--kubeconfig={}", config.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            "--kube-api-qps=500".to_owned(),
            "--kube-api-burst=500".to_owned(),
        ];
        let scheduler = place.start("kube-scheduler", tool("kube-scheduler")?, args, env())?;

        Ok(Self {
            etcd,
            api_server,
            controller_manager,
            scheduler,
            audit_log,
            access,
            admin_token: tokens.admin,
            admin_kubeconfig,
            admin,
        })
    }

    /// The requests of ServiceAccounts so far, a JSON object a line.
    #[must_use]
    pub fn audit_log(&self) -> &Path {
        &self.audit_log
    }

    /// A client that may do everything.
    #[must_use]
    pub fn admin(&self) -> Client {
        self.admin.clone()
    }

    /// A kubeconfig file that may do everything, for kubectl.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &PathBuf {
        &self.admin_kubeconfig
    }

    /// Where the API server is and how to trust it, to make further kubeconfig files.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Takes a snapshot of the store, to be started later as a restored control plane.
    pub fn snapshot(&self, place: &Place) -> Result<RestoredApi> {
        let data = place.folder("etcd")?.join("data");
        let copy = place.folder("etcd-restored")?.join("data");
        // As a disk is after a crash: etcd recovers from that by its log.
        self.etcd.pause()?;
        let copied = copy_folder(&data, &copy);
        self.etcd.resume()?;
        copied?;
        let (client_url, peer_url) = (loopback_url()?, loopback_url()?);
        let mut etcd = self.etcd.program();
        etcd.rename("etcd-restored");
        etcd.replace_arg("--data-dir", &copy.display().to_string());
        for flag in ["--listen-client-urls", "--advertise-client-urls"] {
            etcd.replace_arg(flag, &client_url);
        }
        for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
            etcd.replace_arg(flag, &peer_url);
        }
        etcd.replace_arg("--initial-cluster", &format!("rig={peer_url}"));
        let port = free_port()?;
        let mut api_server = self.api_server.program();
        api_server.rename("kube-apiserver-restored");
        api_server.replace_arg("--secure-port", &port.to_string());
        api_server.replace_arg("--etcd-servers", &client_url);
        let audit = place.folder("audit")?.join("audit-restored.log");
        api_server.replace_arg("--audit-log-path", &audit.display().to_string());
        Ok(RestoredApi {
            etcd,
            api_server,
            access: self.access.through(port),
        })
    }

    /// Starts the API server of a snapshot beside this one.
    pub async fn start_restored(&self, snapshot: RestoredApi) -> Result<RunningApi> {
        let etcd = Process::start(snapshot.etcd)?;
        let api_server = Process::start(snapshot.api_server)?;
        let admin = wait_for_api(&snapshot.access, &self.admin_token, &api_server).await?;
        Ok(RunningApi {
            _etcd: etcd,
            _api_server: api_server,
            access: snapshot.access,
            admin,
        })
    }

    /// All four processes.
    #[must_use]
    pub fn processes(&self) -> [&Process; 4] {
        [&self.etcd, &self.api_server, &self.controller_manager, &self.scheduler]
    }
}

/// The store and the API server.
struct ApiParts {
    etcd: Process,
    api_server: Process,
    access: Access,
    admin: Client,
    audit_log: PathBuf,
}

/// Starts etcd and an API server without controllers and scheduler, so that no object changes but by the caller and its
/// services. The ServiceAccount of the default namespace, without which there are no pods, is the caller's to make.
/// Returns the administrator's kubeconfig file beside it.
pub async fn start_api(place: &Place) -> Result<(RunningApi, PathBuf)> {
    let tokens = identity::StaticTokens::new();
    let parts = start_api_server(place, &tokens, None).await?;
    let admin_kubeconfig = place.file(ADMIN_KUBECONFIG, parts.access.kubeconfig(&tokens.admin))?;
    let running = RunningApi {
        _etcd: parts.etcd,
        _api_server: parts.api_server,
        access: parts.access,
        admin: parts.admin,
    };
    Ok((running, admin_kubeconfig))
}

async fn start_api_server(
    place: &Place,
    tokens: &identity::StaticTokens,
    nodes: Option<&RealNodes>,
) -> Result<ApiParts> {
    let etcd_url = format!("http://127.0.0.1:{}", free_port()?);
    let etcd = start_etcd(place, &etcd_url)?;

    let port = free_port()?;
    let (private, public) = identity::new_key_pem()?;
    let private = place.file("service-account.key", private)?;
    let public = place.file("service-account.pub", public)?;
    let mut users = tokens.to_csv();
    for [token, user, group] in nodes.into_iter().flat_map(|nodes| &nodes.users) {
        users.push_str(&format!("{token},{user},{user},{group}\n"));
    }
    let token_file = place.file("tokens.csv", users)?;
    let certs = place.folder("certs")?;
    let audit_policy = place.file("audit-policy.json", AUDIT_POLICY)?;
    let audit_log = place.folder("audit")?.join("audit.log");
    let mut args = vec![
        "--bind-address=127.0.0.1".to_owned(),
        format!("--secure-port={port}"),
        format!("--etcd-servers={etcd_url}"),
        format!("--cert-dir={}", certs.display()),
        format!("--service-account-key-file={}", public.display()),
        format!("--service-account-signing-key-file={}", private.display()),
        "--service-account-issuer=https://rig.bellwether.dev".to_owned(),
        format!("--token-auth-file={}", token_file.display()),
        "--authorization-mode=Node,RBAC".to_owned(),
        // Many clients of one rig share the loopback address; none is to be slowed down.
        "--enable-priority-and-fairness=false".to_owned(),
        // Each request with its user: shows which rights are used.
        format!("--audit-policy-file={}", audit_policy.display()),
        format!("--audit-log-path={}", audit_log.display()),
    ];
    args.extend(match nodes {
        Some(nodes) => real_node_args(place, nodes)?,
        None => vec![
            "--advertise-address=127.0.0.1".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            // As on every cluster; who may be privileged is up to Pod Security.
            "--allow-privileged=true".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
        ],
    });
    let api_server = place.start("kube-apiserver", tool("kube-apiserver")?, args, env())?;

    let access = Access::new(port, certs.join("apiserver.crt"));
    let admin = wait_for_api(&access, &tokens.admin, &api_server).await?;
    Ok(ApiParts {
        etcd,
        api_server,
        access,
        admin,
        audit_log,
    })
}

fn real_node_args(place: &Place, nodes: &RealNodes) -> Result<Vec<String>> {
    let egress = serde_json::json!({
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{ "name": "cluster", "connection": {
            "proxyProtocol": "HTTPConnect",
            "transport": { "uds": { "udsName": nodes.egress } },
        }}],
    });
    let egress = place.file("egress.json", egress.to_string())?;
    Ok(vec![
        // Its own certificate names this address, and so does the Service `kubernetes`.
        format!("--advertise-address={}", nodes.address),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--egress-selector-config-file={}", egress.display()),
    ])
}

fn start_etcd(place: &Place, url: &str) -> Result<Process> {
    let peer_url = format!("http://127.0.0.1:{}", free_port()?);
    let data = place.folder("etcd")?.join("data");
    let args = vec![
        "--name=rig".to_owned(),
        format!("--data-dir={}", data.display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={peer_url}"),
        format!("--initial-advertise-peer-urls={peer_url}"),
        format!("--initial-cluster=rig={peer_url}"),
        // Nothing in here has to outlive the machine.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ];
    place.start("etcd", tool("etcd")?, args, BTreeMap::new())
}

fn loopback_url() -> Result<String> {
    Ok(format!("http://127.0.0.1:{}", free_port()?))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_folder(&source, &target)?;
        } else {
            std::fs::copy(&source, &target).with_context(|| format!("cannot copy {}", source.display()))?;
        }
    }
    Ok(())
}

/// Small stacks of garbage collection matter less than two busy cores.
fn env() -> BTreeMap<String, String> {
    BTreeMap::from([("GOGC".to_owned(), "200".to_owned())])
}

async fn wait_for_api(access: &Access, token: &str, api_server: &Process) -> Result<Client> {
    let awaited = "the API server to be ready";
    api_server
        .while_running(awaited, START_DEADLINE, async || {
            // Its certificate is made while it starts.
            let client = access.client(token).await?;
            let request = Request::get("/readyz").body(Vec::new())?;
            client.request_text(request).await.context("it does not answer yet")?;
            Ok(client)
        })
        .await
}
