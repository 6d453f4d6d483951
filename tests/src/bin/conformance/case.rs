//! One trial's part of the stage: a node of its own with its pods, and the scripted scheduler of its attempt.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_nats::HeaderMap;
use bellwether_proto::mark::CORDONED_FOR;
use bellwether_proto::{
    Attempt, AttemptId, AttemptRef, DrainNode, Generation, Message, NodeName, NodeUid, Phase, UncordonNode, encode,
    subject,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use rig::record_keys::EXPECTED;
use rig::workload::NAMESPACE;
use serde_json::{Value, json};

use crate::stage::Stage;

/// Longer than what is awaited takes on busy cores, with a debug build and other trials beside.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// Longer than any trial lasts.
pub(crate) const LONG: Duration = Duration::from_secs(600);

/// A command as it was stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// Its place in the stream, which its replies name.
    pub(crate) sequence: u64,
    /// The end of the ledger before.
    pub(crate) from: usize,
    pub(crate) at: Instant,
}

/// The part of one trial.
pub(crate) struct Case<'s> {
    pub(crate) stage: &'s Stage,
    pub(crate) node: NodeName,
    pub(crate) attempt: AttemptRef,
    /// The end of the ledger before the trial.
    pub(crate) from: usize,
    /// In the name of each object of this trial, and of no other one.
    pub(crate) tag: String,
}

impl<'s> Case<'s> {
    /// Creates a node, whose attempt is in phase Draining.
    pub(crate) async fn new(stage: &'s Stage) -> Result<Self> {
        let case = Self::without_record(stage).await?;
        case.store(|_| ()).await?;
        Ok(case)
    }

    /// Creates a node without a record of an attempt.
    pub(crate) async fn without_record(stage: &'s Stage) -> Result<Self> {
        let tag = format!("c{:03}", stage.number());
        let from = stage.ledger.len();
        let node = create_node(stage, &format!("{tag}.conf"), json!({})).await?;
        let uid: NodeUid = node.uid().context("a node without a UID")?.parse()?;
        let generation = Generation(7);
        let attempt = AttemptRef {
            node: node.name_any().parse()?,
            attempt: AttemptId::new(&uid, generation, Timestamp::now()),
            node_uid: uid,
            generation,
        };
        Ok(Self {
            stage,
            node: attempt.node.clone(),
            attempt,
            from,
            tag,
        })
    }

    /// The record of the attempt, in phase Draining.
    pub(crate) fn draining(&self) -> Result<Attempt> {
        let (attempt, now) = (self.attempt.clone(), Timestamp::now());
        let trace = format!(
            "00-{:032x}-{:016x}-01",
            u128::from(attempt.generation.0),
            attempt.generation.0
        );
        let mut record = Attempt::new(
            attempt,
            "11111111-1111-4111-8111-111111111111".parse()?,
            now,
            trace.parse()?,
        );
        record.deadline = Some(now.checked_add(SignedDuration::from_mins(30))?);
        Ok(record)
    }

    /// Stores the record with a change.
    pub(crate) async fn store(&self, change: impl FnOnce(&mut Attempt)) -> Result<()> {
        let mut record = self.draining()?;
        change(&mut record);
        let (headers, body) = packed(&record);
        self.publish(self.record_subject(), headers, body).await.map(drop)
    }

    /// Lets the record move on, as a scheduler does that rolls back.
    pub(crate) async fn roll_back(&self) -> Result<()> {
        self.store(|record| {
            record.generation = record.generation.next();
            record.phase = Phase::RollingBack;
        })
        .await
    }

    /// The marker of a deleted record.
    pub(crate) async fn delete_record(&self) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert("KV-Operation", "PURGE");
        headers.insert("Nats-Rollup", "sub");
        self.publish(self.record_subject(), headers, vec![]).await.map(drop)
    }

    pub(crate) fn record_subject(&self) -> String {
        subject::attempt_record(&self.node.token())
    }

    /// Publishes to a stream, a record with its signature; returns the sequence of the message.
    pub(crate) async fn publish(&self, subject: String, headers: HeaderMap, payload: Vec<u8>) -> Result<u64> {
        if subject == self.record_subject() && headers.get(EXPECTED).is_none() && !payload.is_empty() {
            let jetstream = self.stage.bus.jetstream();
            return self.stage.signer.store(jetstream, subject, headers, payload).await;
        }
        self.publish_unsigned(subject, headers, payload).await
    }

    /// Publishes to a stream; returns the sequence of the message.
    pub(crate) async fn publish_unsigned(&self, subject: String, headers: HeaderMap, payload: Vec<u8>) -> Result<u64> {
        let ack = self
            .stage
            .bus
            .jetstream()
            .publish_with_headers(subject, headers, payload.into());
        Ok(ack.await?.await?.sequence)
    }

    /// Publishes what no stream stores.
    pub(crate) async fn tell(&self, subject: String, headers: HeaderMap, payload: Vec<u8>) -> Result<()> {
        let client = self.stage.bus.jetstream().client();
        client.publish_with_headers(subject, headers, payload.into()).await?;
        Ok(client.flush().await?)
    }

    /// Sends a command as it is.
    pub(crate) async fn send_raw(&self, subject: String, headers: HeaderMap, payload: Vec<u8>) -> Result<Sent> {
        let (from, at) = (self.stage.ledger.len(), Instant::now());
        let sequence = self.publish(subject, headers, payload).await?;
        Ok(Sent { sequence, from, at })
    }

    /// Sends a command of the contract.
    pub(crate) async fn send<M: Message>(&self, subject: String, command: &M) -> Result<Sent> {
        let (headers, payload) = packed(command);
        self.send_raw(subject, headers, payload).await
    }

    /// Commands the drain, to be over after this time.
    pub(crate) async fn drain_within(&self, time: Duration) -> Result<Sent> {
        let command = self.drain_command(time)?;
        self.send(subject::drain_command(&self.node.token()), &command).await
    }

    /// Commands the drain, with more time than it takes.
    pub(crate) async fn drain(&self) -> Result<Sent> {
        self.drain_within(LONG).await
    }

    pub(crate) fn drain_command(&self, time: Duration) -> Result<DrainNode> {
        Ok(DrainNode {
            attempt: self.attempt.clone(),
            not_after: Timestamp::now().checked_add(SignedDuration::try_from(time)?)?,
        })
    }

    /// Lets the record permit the uncordon, and commands it.
    pub(crate) async fn uncordon(&self) -> Result<Sent> {
        self.uncordon_in(Phase::RollingBack).await
    }

    /// The same in this phase.
    pub(crate) async fn uncordon_in(&self, phase: Phase) -> Result<Sent> {
        let attempt = AttemptRef {
            generation: self.attempt.generation.next(),
            ..self.attempt.clone()
        };
        self.store(|record| {
            record.generation = attempt.generation;
            record.phase = phase;
        })
        .await?;
        self.send(subject::uncordon_command(&self.node.token()), &UncordonNode { attempt })
            .await
    }

    /// The Node object; none if there is none.
    pub(crate) async fn object(&self) -> Result<Option<Node>> {
        Ok(self.nodes().get_opt(self.node.as_str()).await?)
    }

    pub(crate) fn nodes(&self) -> Api<Node> {
        Api::all(self.stage.client.clone())
    }

    /// Changes the Node object, as an operator or another program does.
    pub(crate) async fn change_node(&self, patch: Value) -> Result<()> {
        let (nodes, patch) = (self.nodes(), Patch::Merge(patch));
        let done = nodes.patch(self.node.as_str(), &PatchParams::default(), &patch).await;
        done.map(drop).context("cannot change the node")
    }

    /// Lets the node carry the cordon of this attempt already.
    pub(crate) async fn carry_cordon(&self) -> Result<()> {
        let mark = self.attempt.attempt.to_string();
        self.change_node(json!({
            "metadata": { "annotations": { CORDONED_FOR: mark } }, "spec": { "unschedulable": true },
        }))
        .await
    }

    /// Whether the node is unschedulable, and its mark.
    pub(crate) async fn cordon_now(&self) -> Result<(bool, Option<String>)> {
        let node = self.object().await?.context("the node is gone")?;
        let unschedulable = node.spec.as_ref().and_then(|spec| spec.unschedulable).unwrap_or(false);
        Ok((unschedulable, node.annotations().get(CORDONED_FOR).cloned()))
    }

    /// The pods' namespace.
    pub(crate) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.stage.client.clone(), NAMESPACE)
    }

    /// Runs a pod of a ReplicaSet on the node, with changes of its object. Its name is its label `app`, and begins with
    /// `name`.
    pub(crate) async fn pod(&self, name: &str, changes: Value) -> Result<Pod> {
        let name = format!("{name}-{}", self.tag);
        let mut pod = json!({
            "metadata": {
                "name": name, "namespace": NAMESPACE, "labels": { "app": name },
                "ownerReferences": [owner("apps/v1", "ReplicaSet", "set")],
            },
            "spec": {
                "nodeName": self.node.as_str(),
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": false,
                "containers": [{ "name": "app", "image": "rig.bellwether.dev/app:1" }],
            },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        });
        merge(&mut pod, &changes);
        let namespace = pod
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let pods: Api<Pod> = Api::namespaced(self.stage.client.clone(), &namespace);
        let object: Pod = serde_json::from_value(pod.clone())?;
        let created = pods.create(&PostParams::default(), &object).await;
        created.with_context(|| format!("cannot create the pod {name}"))?;
        let status = json!({ "status": pod.get("status") });
        let done = pods
            .patch_status(&name, &PatchParams::default(), &Patch::Strategic(status))
            .await;
        done.with_context(|| format!("cannot write the status of {name}"))
    }

    /// Whether a pod of this beginning of its name is still there.
    pub(crate) async fn has_pod(&self, name: &str) -> Result<bool> {
        Ok(self.pods().get_opt(&format!("{name}-{}", self.tag)).await?.is_some())
    }

    /// Lets a pod end that lasts.
    pub(crate) async fn end_pod(&self, name: &str) -> Result<()> {
        let name = format!("{name}-{}", self.tag);
        self.pods()
            .delete(&name, &DeleteParams::default().grace_period(0))
            .await
            .map(drop)?;
        Ok(())
    }

    /// A disruption budget of the pod of this name, with room for so many evictions, as its controller would state it.
    pub(crate) async fn budget(&self, name: &str, pod: &str, allowed: i32) -> Result<()> {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.stage.client.clone(), NAMESPACE);
        let name = format!("{name}-{}", self.tag);
        let app = format!("{pod}-{}", self.tag);
        let budget = serde_json::from_value(json!({
            "metadata": { "name": name },
            "spec": { "minAvailable": 1, "selector": { "matchLabels": { "app": app } } },
        }))?;
        budgets.create(&PostParams::default(), &budget).await?;
        self.allow(&name, json!({ "disruptionsAllowed": allowed })).await
    }

    /// Lets the budget of this name have room for so many evictions.
    pub(crate) async fn allow_budget(&self, name: &str, allowed: i32) -> Result<()> {
        self.allow(
            &format!("{name}-{}", self.tag),
            json!({ "disruptionsAllowed": allowed }),
        )
        .await
    }

    /// Writes the status of a budget, as its controller does.
    pub(crate) async fn allow(&self, name: &str, changes: Value) -> Result<()> {
        let budgets: Api<PodDisruptionBudget> = Api::namespaced(self.stage.client.clone(), NAMESPACE);
        let mut status = json!({
            "observedGeneration": 1, "disruptionsAllowed": 0, "currentHealthy": 2, "desiredHealthy": 1,
            "expectedPods": 2, "disruptedPods": null,
        });
        merge(&mut status, &changes);
        let patch = Patch::Merge(json!({ "status": status }));
        budgets.patch_status(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }
}

/// Creates a Node object, Ready as its kubelet would report.
pub(crate) async fn create_node(stage: &Stage, name: &str, changes: Value) -> Result<Node> {
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let mut node = json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } },
        "spec": { "taints": [{ "key": "example.com/kept", "value": "yes", "effect": "NoExecute" }] },
    });
    merge(&mut node, &changes);
    nodes
        .create(&PostParams::default(), &serde_json::from_value(node)?)
        .await?;
    let status = json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
    Ok(nodes
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await?)
}

/// An owner that is the controller of a pod.
pub(crate) fn owner(version: &str, kind: &str, name: &str) -> Value {
    json!({ "apiVersion": version, "kind": kind, "name": name, "uid": "22222222-2222-4222-8222-222222222222", "controller": true })
}

/// Headers and body of a message.
pub(crate) fn packed<M: Message>(message: &M) -> (HeaderMap, Vec<u8>) {
    let encoded = encode(message);
    let mut headers = HeaderMap::new();
    for (key, value) in encoded.headers {
        headers.insert(key, value);
    }
    (headers, encoded.payload)
}

/// Puts the fields of an object into another one, and of its objects too; a null removes a field.
fn merge(into: &mut Value, from: &Value) {
    let (Some(target), Some(fields)) = (into.as_object_mut(), from.as_object()) else {
        into.clone_from(from);
        return;
    };
    for (key, value) in fields {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
