//! The events in a NATS of the user: a leaf connection of ours carries them there, and nothing back.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::{Client, Subscriber};
use bellwether_proto::account::Account;
use bellwether_proto::permission::Role;
use bellwether_proto::subject;
use futures_util::StreamExt as _;
use rig::accounts::{Access, Accounts, User};
use rig::nats::Nats;
use rig::place::Place;
use rig::ports::free_port;
use rig::wait;

use crate::trust::{covers, published};

const DEADLINE: Duration = Duration::from_secs(30);

/// Ours, whose leaf connection is bound to an account, and the user's.
struct Servers {
    ours: Nats,
    users: Nats,
    places: [Place; 2],
}

impl Servers {
    async fn start(account: Account) -> Result<Self> {
        let places = [Place::new()?, Place::new()?];
        let [at_ours, at_users] = &places;
        let port = free_port()?;
        let listener = format!("leafnodes {{ listen: \"127.0.0.1:{port}\" }}\n");
        let users = Nats::start_bare(at_users, &listener).await?;
        let remote = format!(
            "leafnodes {{ remotes: [ {{ url: \"nats://127.0.0.1:{port}\", account: {} }} ] }}\n",
            account.as_str()
        );
        let access = Access::new(at_ours, Accounts::Two, &["n1"])?;
        let ours = Nats::start_with(at_ours, access, &remote).await?;
        Ok(Self { ours, users, places })
    }

    /// Publishes an event in ours until it arrives at the user's.
    async fn event_arrives(&self, drainer: &Client, events: &mut Subscriber) -> Result<()> {
        wait::until("an event to arrive", DEADLINE, async || {
            drainer.publish(drained(), "event".into()).await?;
            drainer.flush().await?;
            let event = tokio::time::timeout(Duration::from_millis(500), events.next()).await;
            let event = event
                .context("none has arrived")?
                .context("the subscription has ended")?;
            ensure!(event.subject.as_str() == drained(), "{}", event.subject);
            Ok(())
        })
        .await
    }
}

/// An event of a drainer.
fn drained() -> String {
    subject::ALL_EVENTS.replacen('*', "n1", 1).replace('*', "drained")
}

/// The subjects that arrive in the account of the control services when the user's side publishes to every subject of the contract.
async fn reached(account: Account) -> Result<Vec<String>> {
    let servers = Servers::start(account).await?;
    let drainer = servers.ours.client_of(&User::control(Role::Drainer)).await?;
    let stranger = async_nats::connect(servers.users.own_url()).await?;
    let mut events = stranger.subscribe(subject::ALL_EVENTS).await?;
    servers.event_arrives(&drainer, &mut events).await?;

    let rig = servers.ours.client().await?;
    let mut all = rig.subscribe(">").await?;
    rig.flush().await?;
    for subject in published()? {
        stranger.publish(subject, "forged".into()).await?;
    }
    stranger.flush().await?;
    // The leaf connection has carried something in the other direction since.
    servers.event_arrives(&drainer, &mut events).await?;
    let mut reached = Vec::new();
    // That nothing arrives can only be waited for.
    while let Ok(Some(message)) = tokio::time::timeout(Duration::from_secs(1), all.next()).await {
        if message.payload == "forged" {
            reached.push(message.subject.to_string());
        }
    }
    servers.places.iter().for_each(Place::finish);
    Ok(reached)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_in_a_nats_of_the_user_and_nothing_comes_back() -> Result<()> {
    assert_eq!(reached(Account::Events).await?, Vec::<String>::new());
    Ok(())
}

/// So the story above would notice what comes back.
#[tokio::test(flavor = "multi_thread")]
async fn bound_to_the_account_of_the_control_services_a_leaf_connection_would_do_harm() -> Result<()> {
    let reached = reached(Account::Control).await?;
    assert!(
        reached.iter().any(|it| covers(subject::ALL_COMMANDS, it)),
        "{reached:?}"
    );
    Ok(())
}
