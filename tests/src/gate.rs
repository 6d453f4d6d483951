//! Gatekeepers, each beside a NATS server of its own, on a real API server: with ServiceAccounts, nodes and pods to which
//! tokens are bound.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::ConnectOptions;
use bellwether_proto::readiness::{self, ReadinessCode};
use bellwether_proto::setting;
use k8s_openapi::api::authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Node, Pod, Secret, ServiceAccount};
use kube::api::{DeleteParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::control_plane::{RunningApi, start_api};
use crate::identity::{Access, service_account_kubeconfig};
use crate::kubectl::Kubectl;
use crate::nats::Nats;
use crate::place::Place;
use crate::ports::free_port;
use crate::proxy::Proxy;
use crate::service::Service;
use crate::services::{AGENTS, NAMESPACE};
use crate::world::World;
use crate::{tools, wait};

/// The audience of the clients' tokens.
pub const AUDIENCE: &str = "bellwether-nats";
/// The nodes.
pub const NODES: [&str; 2] = ["n1", "n2"];

const DEADLINE: Duration = Duration::from_secs(60);

/// The ServiceAccounts: those of the manifests, and one that is not of Bellwether.
const ACCOUNTS: [(&str, &str); 6] = [
    (AGENTS, "sentinel"),
    (AGENTS, "rebooter"),
    (NAMESPACE, "scheduler"),
    (NAMESPACE, "drainer"),
    (NAMESPACE, "nats"),
    ("default", "default"),
];

/// What a token is bound to.
#[derive(Clone, Copy, Debug)]
pub enum Bound<'a> {
    /// Nothing.
    Unbound,
    /// A pod.
    Pod(&'a Pod),
    /// A node alone.
    Node(&'a str),
}

/// An API server with the gatekeepers' rights and objects.
pub struct Cluster {
    /// A client that may do everything.
    pub admin: Client,
    access: Access,
    kubeconfig: PathBuf,
    /// Its own API server, if it has one.
    _api: Option<RunningApi>,
    /// The folder with logs and state.
    pub place: Place,
}

/// A gatekeeper with the server beside it.
pub struct Gate {
    /// The gatekeeper.
    pub gatekeeper: Service,
    /// The server.
    pub nats: Nats,
    /// The gatekeeper's way to the API server.
    pub api: Proxy,
}

impl Cluster {
    /// Starts it with two nodes, and furnishes it.
    pub async fn start() -> Result<Self> {
        // The only provider in the tree; another test may have been first.
        rustls::crypto::ring::default_provider().install_default().ok();
        let place = Place::new()?;
        let (api, kubeconfig) = start_api(&place).await?;
        let cluster = Self {
            admin: api.admin.clone(),
            access: api.access.clone(),
            kubeconfig,
            _api: Some(api),
            place,
        };
        cluster.furnish().await?;
        let nodes: Api<Node> = Api::all(cluster.admin.clone());
        for name in NODES {
            let node = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
            nodes.create(&PostParams::default(), &node).await?;
        }
        Ok(cluster)
    }

    /// The same in a world, with its API server and its nodes.
    pub async fn beside(world: &World) -> Result<Self> {
        let cluster = Self {
            admin: world.client(),
            access: world.control_plane.access().clone(),
            kubeconfig: world.control_plane.admin_kubeconfig().clone(),
            _api: None,
            place: Place::new()?,
        };
        cluster.furnish().await?;
        Ok(cluster)
    }

    /// Creates the namespaces and accounts of the manifests, and all of `deploy/components/nats/gatekeeper` but workloads.
    async fn furnish(&self) -> Result<()> {
        let mut objects = String::new();
        for namespace in [NAMESPACE, AGENTS] {
            objects.push_str(&format!(
                "---\napiVersion: v1\nkind: Namespace\nmetadata: {{ name: {namespace} }}\n"
            ));
        }
        for (namespace, name) in ACCOUNTS {
            objects.push_str(&format!(
                "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {{ name: {name}, namespace: {namespace} }}\n"
            ));
        }
        let kubectl = self.kubectl()?;
        kubectl.run(&["apply", "-f", "-"], &objects).await?;
        kubectl
            .run(&["apply", "-f", "deploy/components/nats/gatekeeper/rights.yaml"], "")
            .await
            .map(drop)
    }

    /// kubectl as admin.
    pub fn kubectl(&self) -> Result<Kubectl> {
        Ok(Kubectl::new(self.kubeconfig.clone(), self.place.folder("kubectl")?))
    }

    /// The Secret of the keys.
    pub async fn secret(&self) -> Result<Secret> {
        let secrets: Api<Secret> = Api::namespaced(self.admin.clone(), NAMESPACE);
        Ok(secrets.get("bellwether-gate").await?)
    }

    /// Creates a pod of this ServiceAccount on this node.
    pub async fn pod(&self, account: (&str, &str), name: &str, node: Option<&str>) -> Result<Pod> {
        let (namespace, account) = account;
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), namespace);
        let pod = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": {
                "serviceAccountName": account,
                "nodeName": node,
                // As the namespace of the control services demands.
                "securityContext": { "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } },
                "containers": [{
                    "name": "pod",
                    "image": "pod",
                    "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
                }],
            },
        }))?;
        Ok(pods.create(&PostParams::default(), &pod).await?)
    }

    /// Deletes a pod; no kubelet has to be waited for.
    pub async fn delete(&self, pod: &Pod) -> Result<()> {
        let pods: Api<Pod> = Api::namespaced(self.admin.clone(), &pod.namespace().unwrap_or_default());
        pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
            .await?;
        let name = pod.name_any();
        wait::until("the pod to be gone", DEADLINE, async || {
            ensure!(pods.get_opt(&name).await?.is_none(), "it is there");
            Ok(())
        })
        .await
    }

    /// A token from the API server.
    pub async fn token(&self, account: (&str, &str), audience: &str, bound: Bound<'_>) -> Result<String> {
        token(&self.admin, account, audience, bound).await
    }

    /// A token as the kubelet projects it into a pod.
    pub async fn projected(&self, account: (&str, &str), pod: &Pod) -> Result<String> {
        self.token(account, AUDIENCE, Bound::Pod(pod)).await
    }

    /// Starts a gatekeeper of this name without its server, which would be on this port.
    pub async fn gatekeeper(&self, name: &str, nats: u16, settings: &[(&str, &str)]) -> Result<(Service, Proxy)> {
        let api = Proxy::start(self.access.port())?;
        let access = self.access.through(api.port());
        let folder = self.place.folder(&format!("{name}-access"))?;
        let kubeconfig = service_account_kubeconfig(&self.admin, &access, NAMESPACE, "nats", &folder).await?;
        let admin_port = free_port()?;
        let mut env = BTreeMap::new();
        let mut set = |name: &str, value: String| drop(env.insert(name.to_owned(), value));
        set("KUBECONFIG", kubeconfig.display().to_string());
        set(setting::NATS_URL, format!("tls://127.0.0.1:{nats}"));
        set(setting::ADMIN_ADDRESS, format!("127.0.0.1:{admin_port}"));
        set(setting::LOG_FORMAT, "text".to_owned());
        set(setting::SERVER_DIR, self.folder(name)?.display().to_string());
        set(setting::SERVER_NAMES, "nats,*.nats.bellwether.svc".to_owned());
        set(setting::GATE_INTERVAL, "1s".to_owned());
        for (name, value) in settings {
            set(name, (*value).to_owned());
        }
        let process = self
            .place
            .start(name, tools::binary("bellwether-gatekeeper")?, vec![], env)?;
        let gatekeeper = Service {
            process: Arc::new(process),
            admin_port,
            api_port: None,
        };
        Ok((gatekeeper, api))
    }

    /// The folder of the server's files of the gatekeeper of this name.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        self.place.folder(&format!("{name}-files"))
    }

    /// Starts a gatekeeper with a server; returns when it is ready.
    pub async fn gate(&self, settings: &[(&str, &str)]) -> Result<Gate> {
        let port = free_port()?;
        let (gatekeeper, api) = self.gatekeeper("gatekeeper", port, settings).await?;
        let nats = self.server("gatekeeper", port, vec![], "").await?;
        gatekeeper.wait_ready().await?;
        Ok(Gate { gatekeeper, nats, api })
    }

    /// Starts the server beside the gatekeeper of this name, once its files are there. `cluster` is the content of the
    /// block, `others` are the ports of the other servers.
    pub async fn server(&self, name: &str, port: u16, others: Vec<u16>, cluster: &str) -> Result<Nats> {
        let files = self.folder(name)?;
        wait::until("the files of the server", DEADLINE, async || {
            ensure!(files.join("gate.conf").is_file(), "there are none");
            Ok(())
        })
        .await?;
        let cluster = match cluster {
            "" => String::new(),
            _ => format!("cluster {{\n{cluster}\n  include '{name}-files/routes.conf'\n}}\n"),
        };
        let config = format!("server_name: {name}-nats\n{cluster}include '{name}-files/gate.conf'\n");
        let server = format!("{name}-nats");
        let config = self.place.file(&format!("{server}.conf"), config)?;
        let nats = Nats::launch(&self.place, (&server, "nats-server"), port, others, None, &config)?;
        nats.wait_ready().await?;
        Ok(nats)
    }

    /// Options of a client that trusts the authority as the ConfigMap of its namespace has it.
    pub async fn trusting(&self, namespace: &str) -> Result<ConnectOptions> {
        let maps: Api<ConfigMap> = Api::namespaced(self.admin.clone(), namespace);
        let map = maps.get("bellwether-nats-ca").await?;
        let authority = map
            .data
            .and_then(|mut data| data.remove("ca.crt"))
            .context("no authority")?;
        let file = self.place.file(&format!("{namespace}-ca.crt"), authority)?;
        Ok(ConnectOptions::new().require_tls(true).add_root_certificates(file))
    }

    /// The test has passed.
    pub fn finish(self) {
        self.place.finish();
    }
}

/// A token from the API server.
pub async fn token(client: &Client, account: (&str, &str), audience: &str, bound: Bound<'_>) -> Result<String> {
    let (kind, name, uid) = match bound {
        Bound::Unbound => ("", String::new(), None),
        Bound::Pod(pod) => ("Pod", pod.name_any(), pod.uid()),
        Bound::Node(node) => {
            let nodes: Api<Node> = Api::all(client.clone());
            ("Node", node.to_owned(), nodes.get(node).await?.uid())
        }
    };
    let object = (!kind.is_empty()).then(|| BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some(kind.to_owned()),
        name: Some(name),
        uid,
    });
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            bound_object_ref: object,
            expiration_seconds: Some(3600),
        },
        ..TokenRequest::default()
    };
    let (namespace, account) = account;
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    let answer = accounts
        .create_token_request(account, &PostParams::default(), &request)
        .await?;
    Ok(answer.status.context("an answer without a token")?.token)
}

impl Gate {
    /// How often the gatekeeper has refused with this code.
    pub async fn refusals(&self, code: &str) -> Result<f64> {
        let name = format!("bellwether_gatekeeper_refusals_total{{code=\"{code}\"}}");
        Ok(self.gatekeeper.metric(&name).await.unwrap_or(0.0))
    }
}

/// Waits until a service reports this code in `/readyz`; returns its message.
pub async fn reports(service: &Service, code: ReadinessCode) -> Result<String> {
    wait::until(&format!("the code {}", code.as_str()), DEADLINE, async || {
        let (_, body) = service.get("/readyz").await?;
        let found = readiness::parse(&body).into_iter().find(|it| it.code == Some(code));
        Ok(found.with_context(|| format!("it is {body}"))?.message)
    })
    .await
}
