//! Wrong surroundings: a service names each with its remedy, and does nothing meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bellwether_proto::account::Account;
use bellwether_proto::permission::Role;
use rig::accounts::User;
use rig::nats::Nats;
use rig::place::Place;
use rig::process::Process;
use rig::service::Service;
use rig::{ports, tools, wait, world};
use serde_json::json;

pub(crate) const SERVICES: [&str; 4] = [
    "bellwether-sentinel",
    "bellwether-scheduler",
    "bellwether-drainer",
    "bellwether-rebooter",
];

/// Their roles.
const ROLES: [Role; 4] = [Role::Sentinel, Role::Scheduler, Role::Drainer, Role::Rebooter];

const DEADLINE: Duration = Duration::from_secs(30);

/// A service with all its settings, and the changes of a test.
pub(crate) fn start(place: &Place, binary: &str, change: &[(&str, &str)]) -> Result<Process> {
    let host = rig::host::Host::new(&place.folder("hosts")?, binary, rig::host::Behaviour::default())?;
    let root = host.root().display().to_string();
    let mut env: BTreeMap<String, String> = BTreeMap::new();
    let mut set = |name: &str, value: String| drop(env.insert(name.to_owned(), value));
    set("BELLWETHER_ADMIN_ADDRESS", format!("127.0.0.1:{}", ports::free_port()?));
    set("BELLWETHER_API_ADDRESS", format!("127.0.0.1:{}", ports::free_port()?));
    set("BELLWETHER_NODE_NAME", "node-1".to_owned());
    set("BELLWETHER_IDENTITY", "scheduler-1".to_owned());
    set("BELLWETHER_HOST_ROOT", root.clone());
    set("BELLWETHER_PROC_ROOT", format!("{root}/proc"));
    set("KUBECONFIG", no_api_server(place)?.display().to_string());
    for (name, value) in change {
        set(name, (*value).to_owned());
    }
    place.start(binary, tools::binary(binary)?, vec![], env)
}

/// A kubeconfig whose API server does not run: a service that looks for one finds nothing, and has to
/// report that in time. Written once: a service of this test may be reading it.
fn no_api_server(place: &Place) -> Result<PathBuf> {
    const NAME: &str = "none.kubeconfig";
    let path = place.path().join(NAME);
    if path.is_file() {
        return Ok(path);
    }
    let kubeconfig = json!({
        "current-context": "none",
        "clusters": [{ "name": "none", "cluster": { "server": "http://127.0.0.1:9" } }],
        "users": [{ "name": "none", "user": {} }],
        "contexts": [{ "name": "none", "context": { "cluster": "none", "user": "none" } }],
    });
    place.file(NAME, kubeconfig.to_string())
}

/// The log of a service that gives up.
async fn log_of_failed(service: &Process) -> Result<String> {
    wait::until(&format!("{} to give up", service.name()), DEADLINE, async || {
        ensure!(service.exited().is_some_and(|it| !it.success()), "it has not");
        Ok(())
    })
    .await?;
    Ok(service.output())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_server_that_is_too_old_is_refused_with_its_version() -> Result<()> {
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let nats = Nats::start_old(&place, &["node-1"]).await?;
    for (binary, role) in SERVICES.into_iter().zip(ROLES) {
        let node = if role.account() == Account::Nodes { "node-1" } else { "" };
        let settings = nats.settings(&User { role, node });
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let service = start(&place, binary, &settings)?;
        let log = log_of_failed(&service).await?;
        assert!(log.contains("at least 2.11 is needed"), "{binary}: {log}");
    }
    place.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_server_that_cannot_be_reached_is_waited_for_by_name() -> Result<()> {
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let url = format!("nats://127.0.0.1:{}", ports::free_port()?);
    let services: Vec<Process> = SERVICES
        .into_iter()
        .map(|binary| start(&place, binary, &[("BELLWETHER_NATS_URL", &url)]))
        .collect::<Result<_>>()?;
    for service in &services {
        service
            .while_running(
                "the service to name the server that it waits for",
                DEADLINE,
                async || {
                    let log = service.output();
                    ensure!(log.contains("Waiting for NATS") && log.contains(&url), "{log}");
                    Ok(())
                },
            )
            .await?;
    }
    place.finish();
    Ok(())
}

/// A server with one user, in an account without JetStream.
const NO_JETSTREAM: &str = "accounts { plain { users = [{ user: anna, password: right }] } }\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_server_that_refuses_is_waited_for_with_its_reason() -> Result<()> {
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let nats = Nats::start_bare(&place, NO_JETSTREAM).await?;
    let url = nats.url();
    // Only the right password leads so far that JetStream is missed.
    for (password, reason) in [("wrong", "authorization violation"), ("right", "JetStream refuses")] {
        let file = place.file("password", format!("{password}\n"))?.display().to_string();
        let mut services = vec![];
        for binary in SERVICES {
            let admin_port = ports::free_port()?;
            let admin = format!("127.0.0.1:{admin_port}");
            let change = [
                ("BELLWETHER_NATS_URL", &*url),
                ("BELLWETHER_NATS_USER", "anna"),
                ("BELLWETHER_NATS_PASSWORD", &*file),
                ("BELLWETHER_ADMIN_ADDRESS", &*admin),
            ];
            services.push(Service {
                process: Arc::new(start(&place, binary, &change)?),
                admin_port,
                api_port: None,
            });
        }
        for service in services {
            let awaited = format!("{} to report {reason:?}", service.process.name());
            service
                .process
                .while_running(&awaited, DEADLINE, async || {
                    let (status, ready) = service.get("/readyz").await?;
                    let log = service.process.output();
                    ensure!(status == 503 && ready.contains(reason), "{status} {ready}");
                    // A part that nothing has looked at yet has no fault that an operator could look for.
                    ensure!(!ready.contains("the API server has not answered yet"), "{ready}");
                    ensure!(log.contains("Waiting for NATS") && log.contains(reason), "{log}");
                    Ok(())
                })
                .await?;
        }
    }
    place.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_an_address_is_refused_and_never_shown() -> Result<()> {
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let change = [(
        "BELLWETHER_NATS_URL",
        "nats://nats-0:4222,nats://anna:secret@nats-1:4222",
    )];
    for binary in SERVICES {
        let service = start(&place, binary, &change)?;
        let log = log_of_failed(&service).await?;
        ensure!(
            log.contains("leave it at nats://nats-0:4222,nats://nats-1:4222"),
            "{log}"
        );
        ensure!(log.contains("--nats-password") && !log.contains("secret"), "{log}");
    }
    place.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_value_in_the_environment_is_named_with_its_flag() -> Result<()> {
    let _turn = world::turn().await?;
    let place = Place::new()?;
    for (binary, name, value, flag) in [
        (
            "bellwether-sentinel",
            "BELLWETHER_NODE_NAME",
            "Not_A_Node",
            "--node-name",
        ),
        ("bellwether-scheduler", "BELLWETHER_SLOTS", "many", "--slots"),
        (
            "bellwether-drainer",
            "BELLWETHER_MANAGE_STREAMS",
            "perhaps",
            "--manage-streams",
        ),
        (
            "bellwether-rebooter",
            "BELLWETHER_REBOOT_METHOD",
            "hammer",
            "--reboot-method",
        ),
        (
            "bellwether-rebooter",
            "BELLWETHER_REBOOT_ESCALATION",
            "signal=1s",
            "--reboot-escalation",
        ),
    ] {
        let service = start(&place, binary, &[(name, value)])?;
        let log = log_of_failed(&service).await?;
        assert!(log.contains(flag) && log.contains(value), "{binary}: {log}");
    }
    place.finish();
    Ok(())
}
