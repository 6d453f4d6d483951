//! Three servers: each judges as one does, also with one dead, and no foreign server gets a route.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use async_nats::Subscriber;
use bellwether_proto::subject;
use futures_util::{FutureExt as _, StreamExt as _};
use rig::accounts::{Access, Accounts};
use rig::authority::Authority;
use rig::nats::Nats;
use rig::nats_cluster::{self, Peers};
use rig::place::Place;
use rig::ports::free_port;
use rig::{wait, world};

use super::{DEADLINE, NODES, attack, judges_by_the_lists, state, token, with_state};

async fn three(place: &Place) -> Result<(Nats, Peers)> {
    nats_cluster::start(place, Access::new(place, Accounts::Two, &NODES)?, "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_three_servers_judges_by_the_lists_also_with_one_dead() -> Result<()> {
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let (first, peers) = three(&place).await?;
    for server in [&first].into_iter().chain(&peers.servers) {
        judges_by_the_lists(server).await?;
    }
    first.kill9();
    for server in &peers.servers {
        judges_by_the_lists(server).await?;
    }
    place.finish();
    Ok(())
}

/// An answer may come over a route: the rule that stops one that leads elsewhere holds there too.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_one_node_does_no_harm_on_three_servers_also_with_one_dead() -> Result<()> {
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let (first, peers) = three(&place).await?;
    let [second, third] = &peers.servers;
    let jetstream = with_state(third, 3).await?;
    for server in [second, third] {
        let harmed = attack(server, &jetstream).await?;
        ensure!(harmed.is_empty(), "{}: {harmed:#?}", server.process.name());
        first.kill9();
        wait::until("the streams to be led", DEADLINE, async || {
            state(&jetstream).await.map(drop)
        })
        .await?;
    }
    place.finish();
    Ok(())
}

/// A server that would like a route, with this block of TLS in its own configuration. It trusts every certificate.
async fn rogue(place: &Place, route: u16, scheme: &str, tls: &str) -> Result<Nats> {
    let listen = free_port()?;
    let cluster = format!(
        "server_name: rogue\ncluster {{\n  name: rig\n  listen: 127.0.0.1:{listen}\n  \
         routes: [{scheme}://127.0.0.1:{route}]\n{tls}}}\n"
    );
    Nats::start_with(place, Access::new(place, Accounts::Two, &NODES)?, &cluster).await
}

fn tls(certificate: &Path, key: &Path) -> String {
    format!("  tls {{ cert_file: {certificate:?}, key_file: {key:?}, insecure: true }}\n")
}

/// Publishes a record of n1 on the foreign server.
async fn forge(rogue: &Nats) -> Result<()> {
    let client = rogue.client().await?;
    client
        .publish(subject::attempt_record(&token("n1")?), "forged".into())
        .await?;
    Ok(client.flush().await?)
}

/// Whether what is published on the foreign server arrives.
async fn arrives(rogue: &Nats, heard: &mut Subscriber) -> Result<bool> {
    forge(rogue).await?;
    Ok(heard.next().now_or_never().flatten().is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_our_certificate_gets_no_route_and_delivers_nothing() -> Result<()> {
    /// Each of its tries takes one second.
    const TRIES: usize = 3;
    let _turn = world::turn().await?;
    let place = Place::new()?;
    let (first, peers) = three(&place).await?;
    let client = first.client().await?;
    let mut heard = client.subscribe(subject::all_attempt_records()).await?;
    client.flush().await?;

    let elsewhere = Place::new()?;
    let (certificate, key) = (elsewhere.path().join("rogue.crt"), elsewhere.path().join("rogue.key"));
    Authority::new("rig")?.certify(&certificate, &key)?;
    for (scheme, tls) in [("nats", String::new()), ("tls", tls(&certificate, &key))] {
        let place = Place::new()?;
        let refused = || first.process.output().matches("TLS route handshake error").count();
        let before = refused();
        let rogue = rogue(&place, peers.route, scheme, &tls).await?;
        wait::until("the server to refuse", DEADLINE, async || {
            ensure!(!arrives(&rogue, &mut heard).await?, "a record has come over the route");
            ensure!(refused() >= before + TRIES, "{} tries", refused() - before);
            Ok(())
        })
        .await?;
        let known = first.client().await?.server_info().connect_urls;
        ensure!(known.len() == 3, "{scheme}: the server knows {known:?}");
        ensure!(
            !arrives(&rogue, &mut heard).await?,
            "{scheme}: a record has come over the route"
        );
        place.finish();
    }

    // That it is an attack: a server with our certificate gets a route, and what it says counts.
    let access = first.access()?;
    let certificate = access.certificate();
    let ours = tls(&certificate, &certificate.with_extension("key"));
    let rogue = rogue(&elsewhere, peers.route, "tls", &ours).await?;
    wait::until("the record of a server with our certificate", DEADLINE, async || {
        ensure!(arrives(&rogue, &mut heard).await?, "it has not come");
        Ok(())
    })
    .await
    .context("a server with our certificate")?;
    elsewhere.finish();
    place.finish();
    Ok(())
}
