//! Messages that come twice, late, broken or from the wrong mouth do nothing but be counted.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::HeaderMap;
use bellwether_proto::stream::{COMMANDS_STREAM, DRAINERS};
use bellwether_proto::subject::Topic;
use bellwether_proto::{
    Attempt, AttemptId, AttemptRef, DrainNode, DrainProgress, Fact, Generation, HostReport, Message, NeedReport,
    NodeEvent, NodeUid, Phase, Problem, ProblemCode, RebootNeed, RebooterReport, UncordonNode, encode, header, subject,
};
use jiff::{SignedDuration, Timestamp};
use rig::bus::Bus;
use rig::record::node_state;
use rig::record_keys::{self, EXPECTED, Signer};
use rig::services::ServicesOptions;
use rig::wait;
use rig::workload::Workload;
use rig::world::{World, WorldOptions};

use crate::fleet::{DEADLINE, Fleet};

async fn publish(fleet: &Fleet, subject: String, headers: HeaderMap, payload: Vec<u8>) -> Result<()> {
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    let is_record = matches!(Topic::parse(&subject), Some(Topic::Attempt(_)));
    if is_record && !payload.is_empty() && headers.get(EXPECTED).is_none() {
        // These stories are about what a scheduler says; of a record that none has signed: signatures.rs.
        let signer = Signer::with(record_keys::signing_key(&fleet.world.client()).await?);
        return signer.store(&jetstream, subject, headers, payload).await.map(drop);
    }
    jetstream
        .publish_with_headers(subject, headers, payload.into())
        .await?
        .await?;
    Ok(())
}

async fn say<M: Message>(fleet: &Fleet, subject: String, message: &M) -> Result<()> {
    let encoded = encode(message);
    let mut headers = HeaderMap::new();
    for (name, value) in encoded.headers {
        headers.insert(name, value);
    }
    publish(fleet, subject, headers, encoded.payload).await
}

async fn all_commands_are_settled(fleet: &Fleet) -> Result<()> {
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    wait::until_equal("commands that are queued", DEADLINE, 0, async || {
        let stream = jetstream.get_stream(COMMANDS_STREAM.name).await?;
        Ok(stream.get_info().await?.state.messages)
    })
    .await
}

/// An id is used up for the whole stream, by a client that may write any one subject of it.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_id_another_client_foresees_is_stored_all_the_same() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 1,
        ..WorldOptions::default()
    })
    .await?;
    let node = world.host(0)?.name().to_owned();
    let db = Workload::new("db").on_node(&node);
    world.create(&db.deployment()?).await?;
    world.create(&db.min_available(1)?).await?;
    world.wait_ready_pods("db", 1).await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    fleet.upgrade_all()?;
    let attempt = fleet.in_phase(&node, Phase::Draining).await?;
    let event = NodeEvent {
        node: attempt.node.clone(),
        attempt: attempt.id,
        generation: attempt.generation,
        at: Timestamp::now(),
        source: "another client".to_owned(),
        fact: Fact::DrainProgressed(DrainProgress::default()),
    };
    for end in ["", ":"] {
        let encoded = encode(&event);
        let id = format!("{}:{}:drained{end}", attempt.id, attempt.generation);
        let mut headers = HeaderMap::new();
        headers.insert(header::MESSAGE_ID, id);
        for (name, value) in encoded.headers {
            headers.insert(name, value);
        }
        let subject = subject::event(&attempt.node.token(), &event.fact);
        publish(&fleet, subject, headers, encoded.payload).await?;
    }
    fleet.world.kubectl()?.run(&["delete", "pdb", "db"], "").await?;
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    let events = Bus::connect(&fleet.world.nats).await?.events(&node).await?;
    let drained = |event: &&NodeEvent| matches!(event.fact, Fact::Drained { .. });
    let drained: Vec<_> = events.iter().filter(drained).map(|it| it.generation).collect();
    ensure!(
        drained == [attempt.generation],
        "{drained:?}, not {:?}",
        attempt.generation
    );
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_comes_twice_or_late_does_nothing() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let host = fleet.world.host(0)?;
    host.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(&[fleet.world.host(0)?]).await?;
    let attempt = fleet.attempt(host.name()).await?.context("a record")?;
    let token = attempt.node.token();
    for generation in [attempt.generation, Generation(1)] {
        let order = AttemptRef {
            generation,
            ..AttemptRef::from(&attempt)
        };
        let drain = DrainNode {
            attempt: order.clone(),
            not_after: Timestamp::now().checked_add(SignedDuration::from_mins(5))?,
        };
        let uncordon = UncordonNode { attempt: order };
        for _ in 0..2 {
            say(&fleet, subject::drain_command(&token), &drain).await?;
            say(&fleet, subject::uncordon_command(&token), &uncordon).await?;
            all_commands_are_settled(&fleet).await?;
        }
    }
    // A write that the stream rejects is heard by the rebooter all the same: a hint, not an order.
    let order = Attempt {
        phase: Phase::Rebooting,
        boot_before: host.boot_id().parse()?,
        reboot_not_after: Some(Timestamp::now().checked_add(SignedDuration::from_mins(5))?),
        ..attempt.clone()
    };
    let mut headers = HeaderMap::new();
    let encoded = encode(&order);
    for (name, value) in encoded.headers {
        headers.insert(name, value);
    }
    headers.insert("Nats-Expected-Last-Sequence", "1");
    let rejected = publish(&fleet, subject::attempt_record(&token), headers, encoded.payload).await;
    ensure!(rejected.is_err(), "the stream took it");
    wait::steadily("nothing happens", Duration::from_secs(3), async || {
        Ok(host.reboot_orders() == 1 && fleet.nodes.cordons(host.name()) == 1)
    })
    .await?;
    assert!(!node_state(&fleet.world.node(host.name()).await?).cordoned);
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drainer_takes_a_command_at_once_after_each_crash_of_nats() -> Result<()> {
    /// A fifth of the time for which a request for messages is open, which the crash has made void.
    const AT_ONCE: Duration = Duration::from_secs(2);
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let drainer = fleet.services.drainers.first().context("a drainer")?;
    let token = fleet
        .world
        .host(0)?
        .name()
        .parse::<bellwether_proto::NodeName>()?
        .token();
    let rejected = "bellwether_drainer_commands_rejected_total{reason=\"Malformed\"}";
    for crash in 1..=4 {
        fleet.world.nats.kill9();
        fleet.world.nats.restart().await?;
        drainer.wait_ready().await?;
        let garbage = b"\xff\xff\xff not protobuf".to_vec();
        publish(&fleet, subject::drain_command(&token), HeaderMap::new(), garbage).await?;
        let since = std::time::Instant::now();
        wait::until("the drainer to take the command", DEADLINE, async || {
            let count = drainer.metric(rejected).await.unwrap_or_default();
            ensure!(count >= f64::from(crash), "{count} commands");
            Ok(())
        })
        .await?;
        let took = since.elapsed();
        ensure!(
            took < AT_ONCE,
            "the drainer took the command {took:?} after crash {crash}"
        );
    }
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_messages_and_reports_in_another_nodes_name_are_rejected_and_the_fleet_rolls() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    // It listens before the false report is sent: the next true report replaces it.
    let leader = fleet.services.leader(&fleet.world).await?;
    let (one, two) = (fleet.world.host(0)?, fleet.world.host(1)?);
    let token = one.name().parse::<bellwether_proto::NodeName>()?.token();
    let garbage = b"\xff\xff\xff not protobuf".to_vec();
    let absent = "absent".parse()?;
    let drained = Fact::Drained {
        pods_gone: 0,
        pods_left: 0,
        pods_returning: 0,
        message: String::new(),
        report: None,
    };
    let records = [subject::drain_command(&token), subject::uncordon_command(&token)];
    for subject in records {
        publish(&fleet, subject, HeaderMap::new(), garbage.clone()).await?;
    }
    publish(
        &fleet,
        subject::event(&absent, &drained),
        HeaderMap::new(),
        garbage.clone(),
    )
    .await?;
    publish(&fleet, subject::rebooter_record(&absent), HeaderMap::new(), garbage).await?;
    // In the name of the first, the second says that it needs a reboot.
    let lie = HostReport {
        node: two.name().parse()?,
        boot_id: two.boot_id().parse()?,
        reported_at: Timestamp::now(),
        booted_at: None,
        refresh_interval: SignedDuration::from_mins(5),
        need: NeedReport::Required(RebootNeed {
            since: Timestamp::now(),
            first_since: Timestamp::now(),
            reasons: vec![],
            trace: None,
            undated: false,
        }),
        kernel_running: String::new(),
        kernel_installed: None,
        os: String::new(),
        agent_version: String::new(),
        probes: Vec::new(),
        services_to_restart: Vec::new(),
    };
    say(&fleet, subject::sentinel_record(&token), &lie).await?;
    wait::until("the leader to have rejected them", DEADLINE, async || {
        let rejected = leader.metric("bellwether_scheduler_messages_rejected_total").await?;
        ensure!(rejected >= 3.0, "{rejected} are rejected");
        Ok(())
    })
    .await?;
    all_commands_are_settled(&fleet).await?;
    wait::steadily("no host reboots", Duration::from_secs(1), async || {
        Ok(one.reboot_orders() + two.reboot_orders() == 0)
    })
    .await?;
    fleet.upgrade_all()?;
    fleet.all_rolled(1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_code_of_a_newer_version_is_shown_with_its_message_and_counted() -> Result<()> {
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    let leader = fleet.services.leader(&fleet.world).await?;
    let host = fleet.world.host(0)?;
    // The test speaks in its place.
    fleet.services.agents_of(&host)?.rebooter.process.kill9();
    let node: bellwether_proto::NodeName = host.name().parse()?;
    let report = RebooterReport {
        node: node.clone(),
        boot_id: host.boot_id().parse()?,
        reported_at: Timestamp::now(),
        refresh_interval: SignedDuration::from_mins(5),
        method: "logind".to_owned(),
        problem: Some(Problem::new(ProblemCode::Unknown(9999), "the firmware is locked")),
        agent_version: "9.0.0".to_owned(),
        record_keys: None,
        boot: None,
        kinds: Vec::new(),
        soft_reboots: None,
    };
    say(&fleet, subject::rebooter_record(&node.token()), &report).await?;
    host.upgrade_kernel("6.12.48")?;
    wait::until("the problem to be shown", DEADLINE, async || {
        let story = fleet.services.ctl_ok(&["explain", host.name()]).await?;
        ensure!(
            story.contains("PreflightFailed") && story.contains("the firmware is locked"),
            "{story}"
        );
        let counted = leader
            .metric("bellwether_scheduler_unknown_problem_codes_total")
            .await?;
        ensure!(counted >= 1.0, "{counted} are counted");
        Ok(())
    })
    .await?;
    assert_eq!(host.reboot_orders(), 0);
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_cannot_be_read_keeps_its_node_out_and_says_so() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default().set("BELLWETHER_SLOTS", "2")).await?;
    let (broken, other) = (fleet.world.host(0)?, fleet.world.host(1)?);
    let token = broken.name().parse::<bellwether_proto::NodeName>()?.token();
    publish(&fleet, subject::attempt_record(&token), HeaderMap::new(), b"?".to_vec()).await?;
    fleet.upgrade_all()?;
    fleet.rebooted_once(&[other]).await?;
    wait::until("the reason to be reported", DEADLINE, async || {
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(status.contains("cannot be read"), "{status}");
        Ok(())
    })
    .await?;
    assert_eq!(broken.reboot_orders(), 0);
    // A person deletes it, as a key-value tool does; that is noticed without a restart.
    let mut deletion = HeaderMap::new();
    deletion.insert("KV-Operation", "DEL");
    publish(&fleet, subject::attempt_record(&token), deletion, vec![]).await?;
    fleet.rebooted_once(&[broken]).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_on_the_subject_of_another_kind_or_node_is_rejected_and_moves_no_attempt() -> Result<()> {
    let world = World::start(WorldOptions {
        nodes: 2,
        ..WorldOptions::default()
    })
    .await?;
    world.block_drain(0).await?;
    let fleet = Fleet::start_in(world, ServicesOptions::default().without_drain_checks()).await?;
    let (host, other) = (fleet.world.host(0)?, fleet.world.host(1)?);
    host.upgrade_kernel("6.12.48")?;
    let attempt = fleet.in_phase(host.name(), Phase::Draining).await?;
    wait::eventually("our cordon", DEADLINE, async || {
        Ok(fleet.nodes.cordons(host.name()) == 1)
    })
    .await?;
    let drained = NodeEvent {
        node: attempt.node.clone(),
        attempt: attempt.id,
        generation: attempt.generation,
        at: Timestamp::now(),
        source: "test 0".to_owned(),
        fact: Fact::Drained {
            pods_gone: 1,
            pods_left: 0,
            pods_returning: 0,
            message: String::new(),
            report: None,
        },
    };
    let started = Fact::RebootStarted {
        boot_id: attempt.boot_before.clone(),
        method: "logind".to_owned(),
    };
    let token = attempt.node.token();
    let leader = fleet.services.leader(&fleet.world).await?;
    say(&fleet, subject::event(&token, &started), &drained).await?;
    say(&fleet, subject::event(&other.name().parse()?, &drained.fact), &drained).await?;
    wait::until("the leader to have rejected them", DEADLINE, async || {
        let rejected = leader.metric("bellwether_scheduler_messages_rejected_total").await?;
        ensure!(rejected >= 2.0, "{rejected} are rejected");
        Ok(())
    })
    .await?;
    wait::steadily("the node still to be draining", Duration::from_secs(2), async || {
        let now = fleet.attempt(host.name()).await?.context("a record")?;
        Ok(now.generation == attempt.generation && host.reboot_orders() == 0)
    })
    .await?;
    let story = fleet.services.ctl_ok(&["explain", host.name()]).await?;
    ensure!(!story.contains("test 0"), "a misplaced event is shown: {story}");
    // The same event on its own subject is believed.
    say(&fleet, subject::event(&token, &drained.fact), &drained).await?;
    wait::eventually("the order to reboot", DEADLINE, async || Ok(host.reboot_orders() == 1)).await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_another_node_at_a_nodes_key_neither_cordons_nor_reboots_the_node() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    fleet.services.leader(&fleet.world).await?;
    let (host, other) = (fleet.world.host(0)?, fleet.world.host(1)?);
    // The scheduler starts nothing by itself, and rolls back no attempt for want of a need.
    fleet
        .services
        .ctl_ok(&["pause", "--reason", "a record by hand"])
        .await?;
    host.need_reboot(&["linux-image"])?;
    wait::until("the need to be known", DEADLINE, async || {
        let status = fleet.services.ctl_ok(&["status"]).await?;
        ensure!(status.contains("paused by"), "{status}");
        Ok(())
    })
    .await?;
    let node_uid = fleet.world.node(host.name()).await?.metadata.uid.context("a UID")?;
    let node_uid: NodeUid = node_uid.parse()?;
    let command = AttemptRef {
        node: host.name().parse()?,
        attempt: AttemptId::new(&node_uid, Generation(1), Timestamp::now()),
        node_uid,
        generation: Generation(1),
    };
    let key = subject::attempt_record(&command.node.token());
    let soon = Timestamp::now().checked_add(SignedDuration::from_mins(5))?;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse()?;
    let own = Attempt {
        deadline: Some(soon),
        ..Attempt::new(command.clone(), host.boot_id().parse()?, Timestamp::now(), trace)
    };
    let foreign = Attempt {
        node: other.name().parse()?,
        ..own.clone()
    };

    let order = Attempt {
        phase: Phase::Rebooting,
        drained_at: Some(Timestamp::now()),
        reboot_not_after: Some(soon),
        generation: Generation(2),
        ..foreign.clone()
    };
    say(&fleet, key.clone(), &order).await?;
    let rebooter = fleet.services.agents_of(&host)?.rebooter;
    wait::until("the rebooter to have refused", DEADLINE, async || {
        let metrics = rebooter.metrics().await?;
        let refused = metrics
            .lines()
            .any(|line| line.contains("refusals_total{") && line.contains("reason=\"OtherNode\""));
        ensure!(refused, "{metrics}");
        Ok(())
    })
    .await?;
    assert_eq!(host.reboot_orders(), 0);

    say(&fleet, key.clone(), &foreign).await?;
    let drain = DrainNode {
        attempt: command.clone(),
        not_after: soon,
    };
    say(&fleet, subject::drain_command(&command.node.token()), &drain).await?;
    let jetstream = async_nats::jetstream::new(fleet.world.nats.client().await?);
    wait::until("the drainer to have put the command off", DEADLINE, async || {
        let stream = jetstream.get_stream(COMMANDS_STREAM.name).await?;
        let delivered = stream.consumer_info(DRAINERS).await?.delivered.consumer_sequence;
        ensure!(delivered >= 2, "it was delivered {delivered} times");
        Ok(())
    })
    .await?;
    assert_eq!(fleet.nodes.cordons(host.name()), 0);
    // The same record with its own node authorises the same command.
    say(&fleet, key, &own).await?;
    wait::eventually("our cordon", DEADLINE, async || {
        Ok(fleet.nodes.cordons(host.name()) == 1)
    })
    .await?;
    fleet.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_exist_is_named_in_the_error() -> Result<()> {
    let fleet = Fleet::start(1, ServicesOptions::default()).await?;
    fleet.services.leader(&fleet.world).await?;
    for verb in ["explain", "cancel"] {
        let name = "node-x.rig";
        let output = fleet.services.ctl(&[verb, name]).await?;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && errors.contains(name), "{verb}: {errors}");
    }
    fleet.finish()
}
