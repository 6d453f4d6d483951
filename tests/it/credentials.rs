//! Credentials and authorities that change while the services run, and files that are missing, empty or wrong.
//!
//! No service ends or is restarted in any of these stories.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bellwether_proto::readiness::{self, NotReady, Part, ReadinessCode};
use bellwether_proto::setting;
use futures_util::future::try_join_all;
use rig::authority::Authority;
use rig::nats::Nats;
use rig::nats_operator::Operator;
use rig::place::{Place, replace};
use rig::service::Service;
use rig::{ports, wait, world};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::inputs::{SERVICES, start};

/// The longest wait between two tries, twice: one try may have begun before the file was changed.
const BACK: Duration = Duration::from_secs(20);

/// Services of all four kinds with these settings.
fn start_all(place: &Place, settings: &[(&str, String)]) -> Result<Vec<Service>> {
    let one = |binary: &str| {
        let admin_port = ports::free_port()?;
        let admin = (setting::ADMIN_ADDRESS, format!("127.0.0.1:{admin_port}"));
        let settings: Vec<_> = settings
            .iter()
            .chain([&admin])
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Ok(Service {
            process: Arc::new(start(place, binary, &settings)?),
            admin_port,
            api_port: None,
        })
    };
    SERVICES.into_iter().map(one).collect()
}

/// What keeps this service from NATS. None: it is connected, and JetStream answers.
async fn trouble(service: &Service) -> Result<Option<NotReady>> {
    let (_, body) = service.get("/readyz").await?;
    let nats = Part::Nats.as_str();
    Ok(readiness::parse(&body).into_iter().find(|it| it.part == nats))
}

/// Waits until all of them are connected, without a restart.
async fn all_connected(services: &[Service], awaited: &str) -> Result<()> {
    try_join_all(services.iter().map(|service| {
        let awaited = format!("{} to be connected {awaited}", service.process.name());
        async move {
            let look = async || {
                let trouble = trouble(service).await?;
                ensure!(trouble.is_none(), "{trouble:?}");
                // A service that has not tried yet reports no trouble either.
                ensure!(
                    service.process.output().contains("Connected to NATS"),
                    "it has not tried yet"
                );
                Ok(())
            };
            service.process.while_running(&awaited, BACK, look).await
        }
    }))
    .await
    .map(drop)
}

/// How many connections of this service have ended.
fn ended(service: &Service) -> usize {
    service.process.output().matches("Connection to NATS lost").count()
}

/// Waits until all of them report this code with these words, in `/readyz` and in the log.
async fn all_report(services: &[Service], code: ReadinessCode, words: &[&str]) -> Result<()> {
    try_join_all(services.iter().map(|service| async move {
        let awaited = format!("{} to report {code:?} with {words:?}", service.process.name());
        let look = async || {
            let trouble = trouble(service).await?;
            let found = trouble
                .as_ref()
                .is_some_and(|it| it.code == Some(code) && words.iter().all(|word| it.message.contains(word)));
            ensure!(found, "{trouble:?}");
            let log = service.process.output();
            ensure!(
                words.iter().all(|word| log.contains(word)),
                "the log does not say it: {log}"
            );
            Ok(())
        };
        service.process.while_running(&awaited, BACK, look).await
    }))
    .await
    .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_password_or_token_brings_the_services_back_without_a_restart() -> Result<()> {
    let _turn = world::turn().await?;
    for flag in [setting::NATS_PASSWORD, setting::NATS_TOKEN] {
        let place = Place::new()?;
        let config = |secret: &str| match flag {
            setting::NATS_TOKEN => format!("authorization {{ token: {secret:?} }}\n"),
            _ => format!("authorization {{ users = [{{ user: anna, password: {secret:?} }}] }}\n"),
        };
        let nats = Nats::start_bare(&place, &config("first")).await?;
        let file = place.file("secret", "first\n")?;
        let mut settings = vec![(setting::NATS_URL, nats.url()), (flag, file.display().to_string())];
        if flag == setting::NATS_PASSWORD {
            settings.push((setting::NATS_USER, "anna".to_owned()));
        }
        let services = start_all(&place, &settings)?;
        all_connected(&services, "at first").await?;

        place.file("nats.conf", config("second"))?;
        nats.process.reload()?;
        all_report(
            &services,
            ReadinessCode::NatsAuthRefused,
            &["authorization violation", "--nats-token"],
        )
        .await?;
        replace(&file, "second\n")?;
        all_connected(&services, "by the second secret").await?;

        // In the right order there is no time without NATS but that of a new connection.
        let before: Vec<usize> = services.iter().map(ended).collect();
        replace(&file, "third\n")?;
        place.file("nats.conf", config("third"))?;
        nats.process.reload()?;
        for (service, before) in services.iter().zip(before) {
            wait::until("the connection to end", BACK, async || {
                let ended = ended(service);
                ensure!(ended > before, "{ended} connections have ended");
                Ok(())
            })
            .await?;
        }
        all_connected(&services, "by the third secret").await?;
        for service in &services {
            let log = service.process.output();
            ensure!(
                !["first", "second", "third"].iter().any(|secret| log.contains(secret)),
                "{log}"
            );
        }
        place.finish();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_are_replaced_by_those_in_the_file() -> Result<()> {
    /// Long enough for four services to connect on busy cores.
    const LASTS: Duration = Duration::from_secs(12);
    const LONG: Duration = Duration::from_secs(3600);
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let operator = Operator::new();
    let nats = Nats::start_bare(&place, &operator.config()?).await?;
    let file = place.file("nats.creds", operator.credentials(LASTS)?)?;
    let settings = [
        (setting::NATS_URL, nats.url()),
        (setting::NATS_CREDENTIALS, file.display().to_string()),
    ];
    let services = start_all(&place, &settings)?;
    all_connected(&services, "at first").await?;

    all_report(&services, ReadinessCode::NatsAuthRefused, &["authorization violation"]).await?;
    for service in &services {
        let log = service.process.output();
        ensure!(log.contains("Credentials of NATS have expired"), "{log}");
        ensure!(
            !log.contains("NATS server refuses") && !log.contains("Connection to NATS lost"),
            "{log}"
        );
    }
    // The new ones last a moment too; those after them are in the file in time, as a kubelet brings tokens.
    replace(&file, operator.credentials(LASTS)?)?;
    all_connected(&services, "by the new credentials").await?;
    // A connection that begins in the second in which its credentials end is ended at once, and counts too.
    let ended = |service: &Service| service.process.output().matches("ended with its credentials").count();
    let before: Vec<usize> = services.iter().map(ended).collect();
    replace(&file, operator.credentials(LONG)?)?;
    for (service, before) in services.iter().zip(before) {
        wait::until("the connection to end with its credentials", BACK, async || {
            ensure!(ended(service) > before, "it has not");
            Ok(())
        })
        .await?;
    }
    all_connected(&services, "by the credentials in time").await?;
    place.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_missing_empty_or_wrong_is_waited_for_by_name() -> Result<()> {
    use ReadinessCode::NatsCredentialsUnusable;
    let _turn = world::turn().await?;
    let operator = Operator::new();
    let right = operator.credentials(Duration::from_secs(3600))?;
    let users = "authorization { users = [{ user: anna, password: right }] }\n".to_owned();
    let token = "authorization { token: right }\n".to_owned();
    let operated = operator.config()?;
    for (name, flag, argument, config, right, wrong, fault) in [
        (
            "users",
            setting::NATS_PASSWORD,
            "--nats-password",
            users,
            "right\n",
            right.as_str(),
            "more than one line",
        ),
        (
            "token",
            setting::NATS_TOKEN,
            "--nats-token",
            token,
            "right\n",
            "two words",
            "holds blanks",
        ),
        (
            "operator",
            setting::NATS_CREDENTIALS,
            "--nats-credentials",
            operated,
            &*right,
            "right",
            "no credentials",
        ),
    ] {
        let place = Place::new()?;
        let nats = Nats::start_bare(&place, &config).await?;
        let file = place.path().join(name);
        let path = file.display().to_string();
        let mut settings = vec![(setting::NATS_URL, nats.url()), (flag, path.clone())];
        if flag == setting::NATS_PASSWORD {
            settings.push((setting::NATS_USER, "anna".to_owned()));
        }
        let services = start_all(&place, &settings)?;
        all_report(&services, NatsCredentialsUnusable, &[argument, &path, "is missing"]).await?;
        replace(&file, "")?;
        all_report(&services, NatsCredentialsUnusable, &[argument, &path, "is empty"]).await?;
        replace(&file, wrong)?;
        all_report(&services, NatsCredentialsUnusable, &[argument, &path, fault]).await?;
        replace(&file, right)?;
        all_connected(&services, "by the right file").await?;
        // Later, too: the file is gone, and so is the connection.
        std::fs::remove_file(&file)?;
        nats.restart().await?;
        all_report(&services, NatsCredentialsUnusable, &[argument, &path, "is missing"]).await?;
        replace(&file, right)?;
        all_connected(&services, "by the file that is back").await?;
        place.finish();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_is_missing_or_exchanged_needs_no_restart() -> Result<()> {
    use ReadinessCode::{NatsAuthorityUnusable, NatsTlsFailed};
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let (old, new) = (Authority::new("old")?, Authority::new("new")?);
    let (certificate, key) = (place.path().join("server.crt"), place.path().join("server.key"));
    old.certify(&certificate, &key)?;
    let config = format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n");
    let nats = Nats::start_bare(&place, &config).await?;
    let file = place.path().join("ca.crt");
    let settings = [
        (setting::NATS_URL, nats.url().replace("nats://", "tls://")),
        (setting::NATS_CA, file.display().to_string()),
    ];
    let services = start_all(&place, &settings)?;
    let path = file.display().to_string();
    all_report(&services, NatsAuthorityUnusable, &["--nats-ca", &path, "is missing"]).await?;
    replace(&file, "")?;
    all_report(&services, NatsAuthorityUnusable, &["--nats-ca", &path, "is empty"]).await?;
    replace(&file, "garbage")?;
    all_report(
        &services,
        NatsAuthorityUnusable,
        &["--nats-ca", &path, "no certificate in PEM"],
    )
    .await?;
    replace(&file, old.certificate())?;
    all_connected(&services, "by the old authority").await?;

    // The server changes first: its clients do not trust it until they know the new authority.
    new.certify(&certificate, &key)?;
    nats.restart().await?;
    all_report(&services, NatsTlsFailed, &["--nats-ca"]).await?;
    replace(&file, new.certificate())?;
    all_connected(&services, "by the new authority").await?;

    // In the right order: both authorities for a while.
    replace(&file, [old.certificate(), new.certificate()].concat())?;
    old.certify(&certificate, &key)?;
    nats.restart().await?;
    all_connected(&services, "by either authority").await?;
    place.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_ends_each_connection_at_once_is_not_stormed() -> Result<()> {
    /// What a client without growing waits would reach within three seconds.
    const CONNECTIONS: usize = 15;
    const WITHIN: Duration = Duration::from_secs(20);
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("nats://{}", listener.local_addr()?);
    let service = start(&place, "bellwether-sentinel", &[(setting::NATS_URL, &url)])?;
    let accepted = async {
        for _ in 0..CONNECTIONS {
            let (mut client, _) = listener.accept().await?;
            client
                .write_all(b"INFO {\"server_id\":\"x\",\"version\":\"2.12.0\",\"max_payload\":1048576}\r\n")
                .await?;
            // Its CONNECT and PING.
            let mut buffer = [0; 4096];
            ensure!(client.read(&mut buffer).await? > 0, "the client has gone");
            client.write_all(b"PONG\r\n").await?;
        }
        Ok(())
    };
    let stormed = tokio::time::timeout(WITHIN, accepted).await;
    ensure!(
        stormed.is_err(),
        "{stormed:?}: {CONNECTIONS} connections within {WITHIN:?}"
    );
    ensure!(service.is_running(), "the service has ended");
    place.finish();
    Ok(())
}
