//! The notifier against real HTTP servers on loopback: each message arrives once, over crashes of notifier and target,
//! and whatever a target answers.

mod forms;
mod owners;
mod preview;
mod waits;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::consumer::{self, AckPolicy, pull};
use async_nats::jetstream::{self, Context};
use bellwether_proto::permission::Role;
use bellwether_proto::stream::{EVENTS_STREAM, NOTIFIER_CONSUMER};
use bellwether_proto::{
    AttemptId, Encoded, Fact, FleetEvent, FleetFact, Generation, NodeEvent, Phase, PolicyQueue, Queues, encode,
    setting, subject,
};
use jiff::Timestamp;
use rig::accounts::User;
use rig::hook::{Answer, Hook, Request};
use rig::nats::Nats;
use rig::place::Place;
use rig::ports::free_port;
use rig::process::Process;
use rig::service::Service;
use rig::services::ServicesOptions;
use rig::{streams, tools, wait, world};
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};
use crate::metrics;

/// In the URL and in the token of each target: no log, metric or message may hold it.
const SECRET: &str = "T0PSECRET";

/// A NATS with events, a notifier, and the files of its targets' secrets.
struct Stage {
    place: Place,
    nats: Nats,
    jetstream: Context,
}

impl Stage {
    async fn start() -> Result<Self> {
        // Short, so that what a killed process had is handed out again soon.
        Self::with_ack_wait(Duration::from_secs(3)).await
    }

    async fn with_ack_wait(ack_wait: Duration) -> Result<Self> {
        let place = Place::new()?;
        let nats = Nats::start(&place, &["n1"]).await?;
        let jetstream = jetstream::new(nats.client().await?);
        streams::create(&jetstream, 1).await?;
        let filters = NOTIFIER_CONSUMER.filters.iter().map(|it| (*it).to_owned());
        let config = pull::Config {
            durable_name: Some(NOTIFIER_CONSUMER.name.to_owned()),
            ack_policy: AckPolicy::Explicit,
            ack_wait,
            max_ack_pending: NOTIFIER_CONSUMER.max_ack_pending,
            filter_subjects: filters.collect(),
            ..pull::Config::default()
        };
        jetstream.create_consumer_on_stream(config, EVENTS_STREAM.name).await?;
        Ok(Self { place, nats, jetstream })
    }

    fn secret(&self, name: &str, content: &str) -> Result<PathBuf> {
        self.place.file(name, content)
    }

    fn notifier(&self, config: &serde_json::Value) -> Result<Service> {
        notifier(&self.place, &self.nats, config)
    }

    /// Publishes that an attempt of this node has a fact.
    async fn publish(&self, node: &str, fact: Fact) -> Result<()> {
        let event = NodeEvent {
            node: node.parse()?,
            attempt: AttemptId::new(&node.parse()?, Generation(1), Timestamp::UNIX_EPOCH),
            generation: Generation(1),
            at: Timestamp::now(),
            source: "a test".to_owned(),
            fact,
        };
        let subject = subject::event(&event.node.token(), &event.fact);
        self.store(subject, encode(&event)).await
    }

    /// Publishes that these queues wait for reboots.
    async fn publish_queues(&self, policies: Vec<PolicyQueue>) -> Result<()> {
        let queues = Queues {
            policies,
            ..Queues::default()
        };
        let event = FleetEvent {
            at: Timestamp::now(),
            source: "a test".to_owned(),
            fact: FleetFact::QueuesChanged(queues),
        };
        self.store(subject::queues_changed(), encode(&event)).await
    }

    async fn store(&self, subject: String, encoded: Encoded) -> Result<()> {
        let mut headers = async_nats::HeaderMap::new();
        for (name, value) in encoded.headers {
            headers.insert(name, value);
        }
        let stored = self
            .jetstream
            .publish_with_headers(subject, headers, encoded.payload.into());
        stored.await?.await?;
        Ok(())
    }

    /// What NATS knows of the notifier's events.
    async fn consumer(&self) -> Result<consumer::Info> {
        let consumer = self
            .jetstream
            .get_consumer_from_stream::<pull::Config, _, _>(NOTIFIER_CONSUMER.name, EVENTS_STREAM.name)
            .await?;
        Ok(consumer.get_info().await?)
    }

    async fn all_events_are_settled(&self) -> Result<()> {
        wait::until_equal("events that are not settled", DEADLINE, (0, 0), async || {
            let info = self.consumer().await?;
            Ok((info.num_pending, info.num_ack_pending))
        })
        .await
    }

    fn finish(self) -> Result<()> {
        let violations = self.nats.violations();
        ensure!(violations.is_empty(), "NATS refused: {violations:?}");
        self.place.finish();
        Ok(())
    }
}

fn notifier(place: &Place, nats: &Nats, config: &serde_json::Value) -> Result<Service> {
    let admin_port = free_port()?;
    let mut env: BTreeMap<String, String> = nats.settings(&User::control(Role::Notifier));
    let config = place.file("notifier.yaml", config.to_string())?;
    let state = place.folder("notifier-state")?;
    for (name, value) in [
        (setting::ADMIN_ADDRESS, format!("127.0.0.1:{admin_port}")),
        (setting::LOG_FORMAT, "text".to_owned()),
        (setting::NOTIFIER_CONFIG, config.display().to_string()),
        (setting::NOTIFIER_STATE, state.display().to_string()),
    ] {
        env.insert(name.to_owned(), value);
    }
    let process = place.start("notifier", tools::binary("bellwether-notifier")?, vec![], env)?;
    Ok(Service {
        process: Arc::new(process),
        admin_port,
        api_port: None,
    })
}

fn entered(to: Phase) -> Fact {
    Fact::PhaseChanged {
        from: None,
        to,
        message: format!("because of <{}> & co", to.as_str()),
        link: None,
        cause: None,
        detail: None,
    }
}

/// Waits until a target was asked so often for this kind of message about this node.
async fn asked(hook: &Hook, times: usize, node: &str, kind: &str) -> Result<Vec<Request>> {
    let awaited = format!("{times} requests about {kind} of {node}");
    wait::until(&awaited, DEADLINE, async || {
        let requests = hook.requests();
        let fitting = requests
            .iter()
            .filter(|it| it.field("kind") == kind && it.field("node") == node);
        let fitting: Vec<Request> = fitting.cloned().collect();
        ensure!(fitting.len() == times, "{} of {requests:?}", fitting.len());
        Ok(fitting)
    })
    .await
}

/// Waits until a metric of the notifier, named without their prefix, counts.
async fn counts(notifier: &Service, metric: &str) -> Result<()> {
    let name = format!("bellwether_notifier_{metric}");
    wait::until(&format!("{name} to count"), DEADLINE, async || {
        ensure!(notifier.metric(&name).await? >= 1.0);
        Ok(())
    })
    .await
}

/// Waits until one message about a node holds this text.
async fn holds_once(hook: &Hook, text: &str) -> Result<()> {
    wait::until(&format!("one message with {text:?}"), DEADLINE, async || {
        let requests = hook.requests();
        let count = requests.iter().filter(|it| it.field("text").contains(text)).count();
        ensure!(count == 1, "{count} of {requests:?}");
        Ok(())
    })
    .await
}

fn no_secret(process: &Process) -> Result<()> {
    ensure!(!process.output().contains(SECRET), "the log shows a secret");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_arrives_once_while_notifier_and_targets_are_killed() -> Result<()> {
    let _turn = world::turn().await?;
    let stage = Stage::start().await?;
    let (mut hook, slack) = (Hook::start()?, Hook::start()?);
    let url = stage.secret("hook-url", &hook.url(&format!("/{SECRET}\n")))?;
    let slack_url = stage.secret("slack-url", &slack.url(&format!("/services/{SECRET}")))?;
    let token = stage.secret("token", &format!("Bearer {SECRET}"))?;
    let config = json!({
        "cluster": "test",
        "targets": [
            { "name": "hook", "perMinute": 600, "webhook": {
                "urlFile": url,
                "headers": [{ "name": "Authorization", "valueFile": token }],
            } },
            { "name": "slack", "perMinute": 600, "style": "each", "slack": { "urlFile": slack_url } },
        ],
    });
    let notifier = stage.notifier(&config)?;
    notifier.wait_ready().await?;

    stage.publish("n1", entered(Phase::Draining)).await?;
    let first = asked(&hook, 1, "n1", "DrainStarted").await?;
    let first = first.first().context("a request")?;
    assert_eq!(first.path, format!("/{SECRET}"));
    assert_eq!(first.header("authorization"), Some(format!("Bearer {SECRET}").as_str()));
    assert_eq!(first.field("cluster"), "test");
    assert_eq!(first.field("detail"), "because of <Draining> & co");
    holds_once(&slack, "because of &lt;Draining&gt; &amp; co").await?;
    stage.all_events_are_settled().await?;

    // While the notifier is away.
    notifier.process.kill9();
    stage.publish("n1", entered(Phase::RollingBack)).await?;
    notifier.process.restart()?;
    asked(&hook, 1, "n1", "RolledBack").await?;
    holds_once(&slack, "rolled back").await?;
    stage.all_events_are_settled().await?;

    // While a target is away; the other one does not wait for it.
    hook.stop().await;
    stage.publish("n1", entered(Phase::Failed)).await?;
    holds_once(&slack, "Failure: [test] n1: the reboot failed").await?;
    let failed = r#"bellwether_notifier_tries_failed_total{target="hook",code="Unreachable"}"#;
    wait::until("a try that failed", DEADLINE, async || {
        ensure!(notifier.metric(failed).await? > 0.0);
        Ok(())
    })
    .await?;
    hook.restart().await?;
    asked(&hook, 1, "n1", "AttemptFailed").await?;
    stage.all_events_are_settled().await?;

    // Between delivery and acknowledgement: one target has taken it, the other one holds it.
    hook.answer(Answer::Hang);
    stage.publish("n2", entered(Phase::Draining)).await?;
    holds_once(&slack, "n2 is drained").await?;
    let held = asked(&hook, 1, "n2", "DrainStarted").await?;
    let taken = r#"bellwether_notifier_messages_delivered_total{target="slack"}"#;
    wait::until("the delivery to be kept", DEADLINE, async || {
        // Of this process, since its start: two of n1, and this one.
        ensure!(notifier.metric(taken).await? >= 3.0);
        Ok(())
    })
    .await?;
    notifier.process.kill9();
    hook.answer(Answer::status(200));
    notifier.process.restart()?;
    // The target that held it may have taken it: the key shows that both are one message.
    let again = asked(&hook, 2, "n2", "DrainStarted").await?;
    let key = |requests: &[Request]| {
        requests
            .last()
            .and_then(|it| it.header("idempotency-key").map(str::to_owned))
    };
    assert_eq!(key(&held), key(&again));
    assert!(key(&again).context("a key")?.ends_with(":DrainStarted"));
    stage.all_events_are_settled().await?;
    holds_once(&slack, "n2 is drained").await?;
    for text in [
        "n1 is drained",
        "rolled back",
        "the reboot failed",
        "A rollout of reboots began",
    ] {
        holds_once(&slack, text).await?;
    }
    no_secret(&notifier.process)?;
    ensure!(!notifier.metrics().await?.contains(SECRET), "a metric shows a secret");
    notifier.process.terminate(DEADLINE).await?;
    stage.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_of_a_target_has_its_consequence_and_no_message_keeps_the_next_one() -> Result<()> {
    let _turn = world::turn().await?;
    let stage = Stage::start().await?;
    let hook = Hook::start()?;
    let config = json!({
        // Above the eight seconds of a target that hangs.
        "giveUpAfter": "12s",
        "targets": [{ "name": "hook", "perMinute": 600, "webhook": {
            "url": hook.url("/path"),
            "contentType": "application/vnd.test+json",
            "template": "{\"kind\": \"{{ kind }}\", \"node\": \"{{node}}\", \"all\": [\"{{ summary }}\", \"{{ detail }}\"]}",
        } }],
        "routes": [{ "targets": ["hook"], "minSeverity": "critical" }],
    });
    let notifier = stage.notifier(&config)?;
    notifier.wait_ready().await?;
    let failed = async |node: &str| stage.publish(node, entered(Phase::Failed)).await;
    let metric = async |name: &str, code: &str| {
        counts(&notifier, &format!("{name}_total{{target=\"hook\",code=\"{code}\"}}")).await
    };

    // Below the route's severity.
    stage.publish("n0", entered(Phase::Draining)).await?;
    hook.answer_next([400].map(Answer::status));
    failed("n1").await?;
    metric("messages_dropped", "MessageRefused").await?;

    hook.answer_next([500, 503].map(Answer::status));
    failed("n2").await?;
    let asked_again = asked(&hook, 3, "n2", "AttemptFailed").await?;
    let sent = asked_again.last().context("a request")?;
    assert_eq!(sent.header("content-type"), Some("application/vnd.test+json"));
    assert_eq!(sent.json()?["all"][0], "n2: the reboot failed");
    metric("tries_failed", "ServerFault").await?;

    hook.answer_next([Answer::Status(429, "Retry-After: 3\r\n", String::new())]);
    failed("n3").await?;
    let asked_again = asked(&hook, 2, "n3", "AttemptFailed").await?;
    let [first, second] = asked_again.as_slice() else {
        panic!("{asked_again:?}");
    };
    assert!(
        second.at.duration_since(first.at) >= Duration::from_secs(3),
        "{asked_again:?}"
    );
    metric("tries_failed", "TooMany").await?;

    hook.answer_next([Answer::Hang]);
    failed("n4").await?;
    asked(&hook, 2, "n4", "AttemptFailed").await?;
    metric("tries_failed", "Timeout").await?;

    hook.answer(Answer::status(404));
    failed("n5").await?;
    metric("messages_dropped", "NotFound").await?;
    hook.answer(Answer::status(200));
    failed("n6").await?;
    asked(&hook, 1, "n6", "AttemptFailed").await?;

    stage.all_events_are_settled().await?;
    asked(&hook, 1, "n1", "AttemptFailed").await?;
    ensure!(
        hook.requests().iter().all(|it| it.field("node") != "n0"),
        "a message below the severity"
    );
    let log = notifier.process.output();
    for word in ["MessageRefused", "n5: the reboot failed", "renew the URL in the Secret"] {
        assert!(log.contains(word), "{word}: {log}");
    }
    metrics::of_notifier_are_those_of_the_page(&notifier).await?;
    stage.finish()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_is_one_thread_of_a_bot_and_ends_with_its_digest() -> Result<()> {
    let fleet = Fleet::start(2, ServicesOptions::default()).await?;
    let slack = Hook::start()?;
    slack.answer(Answer::Status(200, "", json!({ "ok": true, "ts": "17.5" }).to_string()));
    let token = fleet.world.place.file("token", format!("xoxb-{SECRET}"))?;
    let config = json!({
        "rolloutGap": "20s",
        "targets": [{ "name": "bot", "perMinute": 600, "slack": {
            "tokenFile": token, "channel": "C17", "apiUrl": slack.url("/api/chat.postMessage"),
        } }],
    });
    // The schedulers have created its consumer.
    let notifier = notifier(&fleet.world.place, &fleet.world.nats, &config)?;
    notifier.wait_ready().await?;
    fleet.upgrade_all()?;
    fleet.rebooted_once(&fleet.world.hosts()).await?;
    holds_once(&slack, "2 of 2 nodes rebooted").await?;
    let requests = slack.requests();
    let (first, rest) = requests.split_first().context("a request")?;
    assert_eq!(
        first.header("authorization"),
        Some(format!("Bearer xoxb-{SECRET}").as_str())
    );
    assert_eq!(
        (first.field("channel").as_str(), first.field("thread_ts").as_str()),
        ("C17", "")
    );
    assert!(first.field("text").contains("A rollout of reboots began"), "{first:?}");
    for request in rest {
        assert_eq!(request.field("thread_ts"), "17.5", "{request:?}");
    }
    for node in fleet.world.hosts() {
        holds_once(&slack, &format!("{} has rebooted", node.name())).await?;
        holds_once(&slack, &format!("{} reboots now", node.name())).await?;
    }
    no_secret(&notifier.process)?;
    fleet.finish()
}
