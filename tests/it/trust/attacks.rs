//! Attacks by clients without a name, by what a client subscribes to, and by consumers.

use anyhow::{Context as _, Result, ensure};
use async_nats::{ConnectError, ConnectErrorKind, ConnectOptions};
use bellwether_proto::limit::AGENT_BYTES_MAX;
use bellwether_proto::permission::Role;
use bellwether_proto::stream::{EVENTS_STREAM, STREAMS};
use bellwether_proto::subject;
use rig::accounts::{PASSWORD, RIG, User};
use rig::nats::Nats;
use rig::place::Place;
use rig::raw_client::{RawClient, RawMessage};
use rig::wait;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::{DEADLINE, NODES, agent, harm, state, token, with_state};

#[tokio::test(flavor = "multi_thread")]
async fn no_client_gets_in_without_a_name_its_password_and_tls() -> Result<()> {
    let place = Place::new()?;
    let nats = Nats::start(&place, &NODES).await?;
    let trusting = |options: ConnectOptions| -> Result<ConnectOptions> {
        Ok(options.add_root_certificates(nats.access()?.authorities()))
    };
    for options in [
        ConnectOptions::new(),
        ConnectOptions::with_user_and_password(RIG.to_owned(), "wrong".to_owned()),
        ConnectOptions::with_user_and_password("sentinel.n3".to_owned(), PASSWORD.to_owned()),
    ] {
        let error = trusting(options)?.connect(nats.url()).await.err();
        let kind = error.as_ref().map(ConnectError::kind);
        ensure!(kind == Some(ConnectErrorKind::AuthorizationViolation), "{error:?}");
    }
    ensure!(nats.violations().len() == 3, "{:?}", nats.violations());
    // Without TLS the server reads no name at all.
    let mut plain = BufReader::new(TcpStream::connect(("127.0.0.1", nats.port())).await?);
    let mut greeting = String::new();
    plain.read_line(&mut greeting).await?;
    let connect = json!({ "user": RIG, "pass": PASSWORD, "verbose": false, "pedantic": false });
    plain
        .write_all(format!("CONNECT {connect}\r\nPING\r\n").as_bytes())
        .await?;
    let mut answer = Vec::new();
    // However it ends the connection.
    plain.read_to_end(&mut answer).await.ok();
    let answer = String::from_utf8_lossy(&answer);
    ensure!(!answer.contains("PONG"), "{answer}");
    place.finish();
    Ok(())
}

/// Where the answers to this client arrive.
fn inbox(user: &User<'_>) -> String {
    format!("_INBOX.{}", user.name())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_hears_the_answers_to_another_one_nor_answers_in_place_of_the_server() -> Result<()> {
    let place = Place::new()?;
    let nats = Nats::start(&place, &NODES).await?;
    let users = User::all(&NODES);
    let mut clients = Vec::new();
    for user in &users {
        let mut client = RawClient::connect(&nats, user).await?;
        let others = users.iter().filter(|other| *other != user).map(inbox);
        let others = others.flat_map(|inbox| [format!("{inbox}.>"), format!("{inbox}.*"), format!("{inbox}.1")]);
        let wide = ["_INBOX.>", "_INBOX.*.>", "_INBOX.*.*.>", "*.>", ">"].map(str::to_owned);
        for subject in others.chain(wide) {
            let refusal = client.subscribe(&subject).await?;
            ensure!(refusal.is_some(), "{} may listen at {subject}", user.name());
            let refusal = client
                .publish(&subject.replace(['>', '*'], "1"), &RawMessage::default())
                .await?;
            ensure!(refusal.is_some(), "{} may answer at {subject}", user.name());
        }
        let own = client.subscribe(&format!("{}.>", inbox(user))).await?;
        ensure!(own.is_none(), "{own:?}");
        clients.push((inbox(user), client));
    }
    for (inbox, client) in &mut clients {
        let reply = format!("{inbox}.1");
        let question = RawMessage {
            reply: &reply,
            ..RawMessage::default()
        };
        let refusal = client.publish("$JS.API.INFO", &question).await?;
        ensure!(refusal.is_none(), "{refusal:?}");
        wait::until("the answer", DEADLINE, async || {
            client.flush().await?;
            ensure!(!client.received.is_empty(), "there is none");
            Ok(())
        })
        .await?;
    }
    for (inbox, client) in &mut clients {
        client.flush().await?;
        ensure!(
            client.received == [format!("{inbox}.1")],
            "{inbox}: {:?}",
            client.received
        );
    }
    place.finish();
    Ok(())
}

/// The creator of a consumer chooses where it delivers to: for JetStream, any subject.
async fn deliver_elsewhere(nats: &Nats, user: &User<'_>) -> Result<usize> {
    let mut client = RawClient::connect(nats, user).await?;
    let node = token("n2")?;
    let mut taken = 0;
    for stream in &STREAMS {
        for target in [
            subject::attempt_record(&node),
            subject::sentinel_record(&node),
            subject::drain_command(&node),
        ] {
            let name = "spy";
            let bare = format!("$JS.API.CONSUMER.CREATE.{}", stream.name);
            for subject in [
                bare.clone(),
                format!("$JS.API.CONSUMER.CREATE.{}.{name}", stream.name),
                format!("$JS.API.CONSUMER.CREATE.{}.{name}.{}", stream.name, target),
                format!("$JS.API.CONSUMER.DURABLE.CREATE.{}.{name}", stream.name),
            ] {
                // By this subject the server draws a name.
                let config = if subject == bare {
                    json!({ "deliver_subject": target, "ack_policy": "none" })
                } else {
                    json!({ "durable_name": name, "name": name, "deliver_subject": target, "ack_policy": "none" })
                };
                let body = json!({ "stream_name": stream.name, "config": config }).to_string();
                let message = RawMessage {
                    body: body.as_bytes(),
                    ..RawMessage::default()
                };
                taken += usize::from(client.publish(&subject, &message).await?.is_none());
            }
        }
    }
    Ok(taken)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_scheduler_chooses_where_a_consumer_delivers_to() -> Result<()> {
    let place = Place::new()?;
    let nats = Nats::start(&place, &NODES).await?;
    let jetstream = with_state(&nats, 1).await?;
    let before = state(&jetstream).await?;
    for user in [
        agent(Role::Sentinel),
        agent(Role::Rebooter),
        User::control(Role::Drainer),
    ] {
        let taken = deliver_elsewhere(&nats, &user).await?;
        ensure!(taken == 0, "{} may create consumers", user.name());
    }
    let after = state(&jetstream).await?;
    let harmed = harm(&before, &after);
    ensure!(harmed.is_empty(), "{harmed:?}");
    // That it is an attack.
    deliver_elsewhere(&nats, &User::control(Role::Scheduler)).await?;
    wait::until("the consumer to be there", DEADLINE, async || {
        let after = state(&jetstream).await?;
        ensure!(
            harm(&before, &after).iter().any(|it| it.starts_with("consumer ")),
            "{after:?}"
        );
        Ok(())
    })
    .await?;
    place.finish();
    Ok(())
}

/// With the largest messages that agents may send, twice as many as the stream keeps of one kind for one node.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_floods_its_events_displaces_none_of_another_node() -> Result<()> {
    let place = Place::new()?;
    let nats = Nats::start(&place, &NODES).await?;
    let jetstream = with_state(&nats, 1).await?;
    let before = state(&jetstream).await?;
    let kept = EVENTS_STREAM.per_subject.context("no limit")?.unsigned_abs();
    let flooding = agent(Role::Rebooter);
    let mut client = RawClient::connect(&nats, &flooding).await?;
    // With room for the headers, which count.
    let body = vec![b'x'; AGENT_BYTES_MAX - 64];
    let events = subject::events_of(&token("n1")?).replace('*', "");
    let own = flooding.role.permissions("n1").publish;
    let kinds: Vec<&String> = own.iter().filter(|it| it.starts_with(&events)).collect();
    ensure!(kinds.len() == 3, "{kinds:?}");
    for subject in &kinds {
        for _ in 0..2 * kept {
            let message = RawMessage {
                body: &body,
                ..RawMessage::default()
            };
            let refusal = client.publish(subject, &message).await?;
            ensure!(refusal.is_none(), "{refusal:?}");
        }
    }
    wait::until("the flood to be stored", DEADLINE, async || {
        let after = state(&jetstream).await?;
        for subject in &kinds {
            let (count, _) = after.get(*subject).copied().unwrap_or_default();
            ensure!(count as u64 == kept, "{subject}: {count} messages");
        }
        let harmed = harm(&before, &after);
        ensure!(harmed.is_empty(), "{harmed:?}");
        Ok(())
    })
    .await?;
    // A longer message ends the connection, and is not stored.
    let before = state(&jetstream).await?;
    let body = vec![b'x'; AGENT_BYTES_MAX + 1];
    let longer = RawMessage {
        body: &body,
        ..RawMessage::default()
    };
    let subject = kinds.first().context("a kind")?;
    let sent = client.publish(subject, &longer).await;
    ensure!(!matches!(sent, Ok(None)), "a longer message is taken");
    ensure!(state(&jetstream).await? == before, "a longer message is stored");
    let mut stream = jetstream.get_stream(EVENTS_STREAM.name).await?;
    let (stored, limit) = (stream.info().await?.state.bytes, EVENTS_STREAM.max_bytes);
    let limit = limit.context("no limit")?.unsigned_abs();
    ensure!(stored < limit / 8, "{stored} of {limit} bytes");
    place.finish();
    Ok(())
}
