//! No client of the bus can do more than its role: all pairs of a client and a subject, and attacks that permissions for
//! subjects alone do not stop.

mod attacks;
mod three;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{self, Context};
use bellwether_proto::account::Account;
use bellwether_proto::permission::{Role, set_up};
use bellwether_proto::stream::{ATTEMPTS_STREAM, CONSUMERS, HOSTS_STREAM, STREAMS};
use bellwether_proto::{Attempt, Message as _, NodeToken, header, subject};
use futures_util::TryStreamExt as _;
use rig::accounts::{Access, Accounts, User};
use rig::nats::Nats;
use rig::place::Place;
use rig::raw_client::{RawClient, RawMessage};
use rig::{streams, wait};

const NODES: [&str; 2] = ["n1", "n2"];

/// Longer than servers take to vote after one of them has died.
const DEADLINE: Duration = Duration::from_secs(60);

/// The agent of the first node.
fn agent(role: Role) -> User<'static> {
    User { role, node: "n1" }
}

fn token(node: &str) -> Result<NodeToken> {
    Ok(node.parse()?)
}

/// Whether the server's rule for wildcards has this subject.
pub(crate) fn covers(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some(wanted), Some(token)) if wanted == "*" || wanted == token => (),
            _ => return false,
        }
    }
}

/// A subject without wildcards that the pattern has.
fn concrete(pattern: &str) -> String {
    let tokens = pattern.split('.').map(|token| match token {
        "*" => "n2",
        ">" => "x.y",
        token => token,
    });
    tokens.collect::<Vec<_>>().join(".")
}

/// The subjects of the agents in the contract, each with the one in between.
pub(crate) fn mapped() -> Vec<(String, String)> {
    let agents = User::all(&NODES)
        .into_iter()
        .filter(|user| user.role.account() == Account::Nodes);
    let pairs = agents.flat_map(|user| {
        user.role
            .permissions(user.node)
            .publish
            .into_iter()
            .zip(user.permissions().publish)
    });
    pairs.collect()
}

/// What each role may publish in the words of the contract and of its account, for each node, and what none may.
pub(crate) fn published() -> Result<BTreeSet<String>> {
    let mut subjects = BTreeSet::new();
    for user in User::all(&NODES) {
        subjects.extend(user.role.permissions(user.node).publish);
        subjects.extend(user.permissions().publish);
    }
    subjects.extend(set_up(true));
    subjects.extend(STREAMS.iter().flat_map(|it| {
        ["DELETE", "PURGE", "UPDATE", "SNAPSHOT", "RESTORE", "MSG.DELETE"]
            .map(|verb| format!("$JS.API.STREAM.{verb}.{}", it.name))
    }));
    for node in NODES {
        subjects.insert(subject::attempt_record(&token(node)?));
    }
    subjects.insert(subject::control_record());
    let others = ["$SYS.REQ.SERVER.PING", "_INBOX.x.y", "bellwether.up.node.n1.x.y", "x"];
    subjects.extend(others.map(str::to_owned));
    Ok(subjects.iter().map(|it| concrete(it)).collect())
}

fn subscribed() -> Result<BTreeSet<String>> {
    let mut subjects = published()?;
    for user in User::all(&NODES) {
        subjects.extend(user.permissions().subscribe);
    }
    subjects.extend([subject::all_attempt_records(), subject::all_host_records()]);
    let others = [">", "bellwether.>", "bellwether.up.>", "$JS.>", "$SYS.>", "_INBOX.n2.>"];
    subjects.extend(others.map(str::to_owned));
    Ok(subjects)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_role_may_do_what_its_list_has_and_nothing_else() -> Result<()> {
    let place = Place::new()?;
    let nats = Nats::start(&place, &NODES).await?;
    judges_by_the_lists(&nats).await?;
    place.finish();
    Ok(())
}

/// Tries all pairs of a client and a subject on this server.
async fn judges_by_the_lists(nats: &Nats) -> Result<()> {
    let mut wrong = Vec::new();
    let mut cells = 0;
    for user in User::all(&NODES) {
        let permissions = user.permissions();
        let mut may_publish = permissions.publish.clone();
        for (subject, up) in mapped() {
            // The server judges what the subject is mapped to in the account of the client.
            let (from, to) = match user.role.account() {
                Account::Control => (up, subject),
                Account::Nodes => (subject, up),
                Account::Events => continue,
            };
            if permissions.publish.iter().any(|it| covers(it, &to)) {
                may_publish.push(from);
            }
        }
        let mut client = RawClient::connect(nats, &user).await?;
        for subject in published()? {
            let may = may_publish.iter().any(|it| covers(it, &subject));
            let refusal = client.publish(&subject, &RawMessage::default()).await?;
            cells += 1;
            if refusal.is_none() != may {
                wrong.push(format!(
                    "{} publishes to {subject}, may: {may}, answer: {refusal:?}",
                    user.name()
                ));
            }
        }
        for subject in subscribed()? {
            let may = permissions.subscribe.iter().any(|it| covers(it, &subject));
            let refusal = client.subscribe(&subject).await?;
            cells += 1;
            if refusal.is_none() != may {
                wrong.push(format!(
                    "{} subscribes to {subject}, may: {may}, answer: {refusal:?}",
                    user.name()
                ));
            }
        }
    }
    ensure!(wrong.is_empty(), "{wrong:#?}");
    ensure!(cells > 600, "{cells} pairs of a client and a subject");
    Ok(())
}

/// The streams as scheduler and drainer make them, with a record of each kind for both nodes.
async fn with_state(nats: &Nats, replicas: usize) -> Result<Context> {
    let jetstream = jetstream::new(nats.client().await?);
    streams::create(&jetstream, replicas).await?;
    for consumer in &CONSUMERS {
        let config = jetstream::consumer::pull::Config {
            durable_name: Some(consumer.name.to_owned()),
            ..Default::default()
        };
        jetstream.create_consumer_on_stream(config, consumer.stream).await?;
    }
    let mut subjects = vec![subject::control_record()];
    for node in NODES {
        let token = token(node)?;
        subjects.push(subject::attempt_record(&token));
        subjects.push(subject::sentinel_record(&token));
        subjects.push(subject::rebooter_record(&token));
        subjects.push(subject::drain_command(&token));
        subjects.push(concrete(&subject::events_of(&token)));
    }
    for subject in subjects {
        // A server hears of a new stream that another one leads a moment later.
        wait::until("the stream to store", DEADLINE, async || {
            let stored = jetstream.publish(subject.clone(), "state".into()).await?;
            Ok(stored.await.map(drop)?)
        })
        .await?;
    }
    Ok(jetstream)
}

/// How many messages are stored, and the sequence of the newest one.
type Stored = (usize, u64);

/// What all streams hold of each subject, and each consumer's name.
async fn state(jetstream: &Context) -> Result<BTreeMap<String, Stored>> {
    let mut state = BTreeMap::new();
    for definition in &STREAMS {
        let stream = jetstream.get_stream(definition.name).await?;
        ensure!(
            stream.cached_info().config.allow_rollup == definition.rollup,
            "{} is changed",
            definition.name
        );
        let subjects: Vec<_> = stream.info_with_subjects(">").await?.try_collect().await?;
        for (subject, count) in subjects {
            let newest = stream.get_last_raw_message_by_subject(&subject).await?;
            state.insert(subject, (count, newest.sequence));
        }
        let mut names = stream.consumer_names();
        while let Some(name) = names.try_next().await? {
            state.insert(format!("consumer {name}"), (1, 0));
        }
    }
    Ok(state)
}

/// What changed that the agents of n1 may not write.
fn harm<'a>(before: &'a BTreeMap<String, Stored>, after: &'a BTreeMap<String, Stored>) -> BTreeSet<&'a String> {
    let own = [Role::Sentinel, Role::Rebooter]
        .map(|role| role.permissions("n1").publish)
        .concat();
    let subjects = before.keys().chain(after.keys());
    let changed = subjects.filter(|subject| before.get(*subject) != after.get(*subject));
    changed.filter(|subject| !own.contains(subject)).collect()
}

/// Subjects that an attacker would like the server to publish its answer to: all that another client may write, and what
/// harms streams and consumers.
fn targets() -> Result<BTreeSet<String>> {
    let mut targets = published()?;
    targets.extend(
        CONSUMERS
            .iter()
            .map(|it| format!("$JS.API.CONSUMER.DELETE.{}.{}", it.stream, it.name)),
    );
    targets.extend(
        STREAMS
            .iter()
            .map(|it| format!("$JS.API.CONSUMER.CREATE.{}.spy", it.name)),
    );
    Ok(targets)
}

/// Headers that make a server do more than store the message.
fn headers(target: &str) -> [Vec<(&str, &str)>; 6] {
    [
        vec![(header::TYPE, Attempt::TYPE)],
        vec![("Nats-Rollup", "all")],
        vec![("Nats-Rollup", "sub"), ("KV-Operation", "PURGE")],
        vec![("Nats-Trace-Dest", target)],
        vec![("Nats-Schedule", "@every 1s"), ("Nats-Schedule-Target", target)],
        vec![("Nats-TTL", "1s")],
    ]
}

/// What the agents of n1 change that is not of n1, by all that they may publish, all targets and all headers.
async fn attack(nats: &Nats, jetstream: &Context) -> Result<Vec<String>> {
    let mut harmed = Vec::new();
    let targets = targets()?;
    let read = serde_json::json!({ "last_by_subj": subject::attempt_record(&token("n2")?) }).to_string();
    for role in Role::ALL.into_iter().filter(|role| role.account() == Account::Nodes) {
        let user = User { role, node: "n1" };
        let mut client = RawClient::connect(nats, &user).await?;
        for subject in [role.permissions("n1").publish, user.permissions().publish].concat() {
            let before = state(jetstream).await?;
            for target in &targets {
                for headers in headers(target) {
                    for body in ["", &read] {
                        let message = RawMessage {
                            reply: target,
                            headers: &headers,
                            body: body.as_bytes(),
                        };
                        client.publish(&subject, &message).await?;
                    }
                }
            }
            let Ok(after) = state(jetstream).await else {
                harmed.push(format!("{} by {subject}: a stream is gone", user.name()));
                return Ok(harmed);
            };
            let changed = harm(&before, &after).into_iter();
            harmed.extend(changed.map(|changed| format!("{} by {subject}: {changed}", user.name())));
        }
    }
    Ok(harmed)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_one_node_does_no_harm_by_reply_subjects_or_headers() -> Result<()> {
    let place = Place::new()?;
    let nats = Nats::start(&place, &NODES).await?;
    let jetstream = with_state(&nats, 1).await?;
    let harmed = attack(&nats, &jetstream).await?;
    assert!(harmed.is_empty(), "{harmed:#?}");
    place.finish();
    Ok(())
}

/// Why there are two accounts, and that the attack is one.
#[tokio::test(flavor = "multi_thread")]
async fn in_a_single_account_the_rights_of_one_node_suffice_to_harm_all() -> Result<()> {
    let place = Place::new()?;
    let access = Access::new(&place, Accounts::One, &NODES)?;
    let nats = Nats::start_with(&place, access, "").await?;
    let jetstream = with_state(&nats, 1).await?;
    let harmed = attack(&nats, &jetstream).await?;
    assert!(!harmed.is_empty());
    place.finish();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_hears_what_its_node_is_ordered_and_reaches_its_own_records() -> Result<()> {
    let place = Place::new()?;
    let nats = Nats::start(&place, &NODES).await?;
    let jetstream = with_state(&nats, 1).await?;
    let mut rebooter = RawClient::connect(&nats, &agent(Role::Rebooter)).await?;
    let (own, other) = (
        subject::attempt_record(&token("n1")?),
        subject::attempt_record(&token("n2")?),
    );
    rebooter.subscribe(&own).await?;
    for record in [&own, &other] {
        jetstream.publish(record.clone(), "order".into()).await?.await?;
    }
    rebooter.flush().await?;
    assert_eq!(rebooter.received, [own.as_str()]);

    let sentinel = jetstream::new(nats.client_of(&agent(Role::Sentinel)).await?);
    let report = subject::sentinel_record(&token("n1")?);
    let stored = sentinel.publish(report.clone(), "report".into()).await?.await?;
    assert_eq!(stored.stream, HOSTS_STREAM.name);
    let hosts = sentinel.get_stream_no_info(HOSTS_STREAM.name).await?;
    assert_eq!(hosts.direct_get_last_for_subject(report).await?.payload, "report");

    let rebooter = jetstream::new(nats.client_of(&agent(Role::Rebooter)).await?);
    let attempts = rebooter.get_stream_no_info(ATTEMPTS_STREAM.name).await?;
    assert_eq!(attempts.direct_get_last_for_subject(&own).await?.payload, "order");
    assert_eq!(attempts.get_last_raw_message_by_subject(&own).await?.payload, "order");
    let info = rebooter.client().request("$JS.API.INFO", "".into()).await?;
    let info: serde_json::Value = serde_json::from_slice(&info.payload)?;
    info.pointer("/api/level").context("the level of JetStream")?;
    place.finish();
    Ok(())
}
