//! Three NATS servers that share their streams, as `deploy/components/nats-cluster` runs them.
//!
//! Each pair has a route. That between the second and the third leads through proxies, so it alone can be late: then
//! one of the two is behind what the other leads, while both reach the first at once.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream::{self, response::Response};
use serde_json::{Value, json};

use crate::accounts::Access;
use crate::nats::Nats;
use crate::place::Place;
use crate::ports::free_port;
use crate::proxy::{Proxy, Way};
use crate::wait;

/// The names of the servers, the first one's first.
pub const NAMES: [&str; 3] = ["nats-1", "nats-2", "nats-3"];

/// The servers have to find each other and to vote, for which they take up to nine seconds.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// The second and the third server.
#[derive(Debug)]
pub struct Peers {
    /// Both, `nats-2` first.
    pub servers: [Nats; 2],
    /// The port at which the first server takes routes.
    pub route: u16,
    /// In front of the routes of both, for the other.
    ways: [Proxy; 2],
}

/// Where the servers listen.
struct Ports {
    access: Arc<Access>,
    clients: [u16; 3],
    routes: [u16; 3],
    /// Of the proxies in front of the second's and the third's routes.
    ways: [u16; 2],
}

/// Starts all three; returns when they answer as one JetStream.
pub async fn start(place: &Place, access: Access, config: &str) -> Result<(Nats, Peers)> {
    let three = || Ok::<_, anyhow::Error>([free_port()?, free_port()?, free_port()?]);
    let (clients, routes) = (three()?, three()?);
    let [route, second, third] = routes;
    let ways = [Proxy::start(second)?, Proxy::start(third)?];
    // Closed at first: else the first server might find the others through the proxies too.
    ways.iter().for_each(|way| way.set(Way::Cut));
    let ports = Ports {
        access: Arc::new(access),
        clients,
        routes,
        ways: ways.each_ref().map(Proxy::port),
    };
    let [first, second, third] = [0, 1, 2].map(|index| ports.launch(place, config, index));
    let (nats, servers) = (first?, [second?, third?]);
    wait::until("the first server to have a route to each", START_DEADLINE, async || {
        knows_all(&nats).await
    })
    .await?;
    ways.iter().for_each(|way| way.set(Way::Open));
    for server in &servers {
        wait::until("the others to have a route to each other", START_DEADLINE, async || {
            knows_all(server).await
        })
        .await?;
    }
    let jetstream = jetstream::new(nats.client().await?);
    wait::until("JetStream to have a leader", START_DEADLINE, async || {
        Ok(jetstream.query_account().await.map(drop)?)
    })
    .await?;
    Ok((nats, Peers { servers, route, ways }))
}

impl Peers {
    /// From now on each of the two hears of the other so late. Not above two seconds and a half: without a word of its
    /// leader for four, a server asks for a vote, and leaders send one each second.
    pub fn be_late(&self, time: Duration) {
        self.ways.iter().for_each(|way| way.set(Way::Late(time)));
    }
}

/// Lets this server lead JetStream itself: it assigns streams and consumers to servers.
pub async fn lead_all(nats: &Nats, server: &str) -> Result<()> {
    let client = nats.access()?.system().connect(nats.own_url()).await?;
    lead(client, "META.LEADER.STEPDOWN", server).await
}

/// Lets this server lead a stream: it has each message first.
pub async fn lead_stream(nats: &Nats, stream: &str, server: &str) -> Result<()> {
    lead(
        nats.client().await?,
        &format!("STREAM.LEADER.STEPDOWN.{stream}"),
        server,
    )
    .await
}

async fn lead(client: async_nats::Client, api: &str, server: &str) -> Result<()> {
    let mut jetstream = jetstream::new(client);
    // Without a leader no server answers.
    jetstream.set_timeout(Duration::from_secs(1));
    let awaited = format!("{server} to lead after {api}");
    wait::until(&awaited, START_DEADLINE, async || {
        let request = json!({ "placement": { "preferred": server } });
        match jetstream.request(api.to_owned(), &request).await? {
            Response::Err { error } if error.to_string().contains("already leader") => Ok(()),
            Response::Err { error } => Err(error.into()),
            Response::Ok::<Value>(answer) => bail!("the leader steps down: {answer}"),
        }
    })
    .await
}

async fn knows_all(server: &Nats) -> Result<()> {
    let client = server.access()?.rig().connect(server.own_url()).await?;
    let known = client.server_info().connect_urls;
    ensure!(known.len() == NAMES.len(), "it knows {known:?}");
    Ok(())
}

impl Ports {
    fn launch(&self, place: &Place, config: &str, index: usize) -> Result<Nats> {
        let name = *NAMES.get(index).context("no such server")?;
        let [to_second, to_third] = self.ways;
        let [first, second, third] = self.routes;
        // As the product's file: all three, so that each server knows how many there are.
        let (advertised, routes) = match index {
            0 => (first, [first, second, third]),
            1 => (to_second, [first, second, to_third]),
            _ => (to_third, [first, to_second, third]),
        };
        let [first, second, third] = routes.map(|port| format!("tls://127.0.0.1:{port}"));
        let listen = self.routes.get(index).context("no such server")?;
        let config = format!(
            "server_name: {name}
             cluster {{
               name: rig
               listen: 127.0.0.1:{listen}
               advertise: 127.0.0.1:{advertised}
               routes: [{first}, {second}, {third}]
               {}
             }}
             {}
             {config}",
            self.access.routes(),
            self.access.config(),
        );
        let config = place.file(&format!("{name}.conf"), config)?;
        let own = *self.clients.get(index).context("no such server")?;
        let others = self.clients.into_iter().filter(|port| *port != own).collect();
        Nats::launch(
            place,
            (name, "nats-server"),
            own,
            others,
            Some(Arc::clone(&self.access)),
            &config,
        )
    }
}
