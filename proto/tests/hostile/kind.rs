//! The types of messages on the bus, and a valid sample of each.

use std::fmt::Debug;
use std::path::Path;
use std::sync::LazyLock;

use bellwether_proto::limit::PAYLOAD_BYTES_MAX;
use bellwether_proto::{
    Attempt, CheckDrain, DrainFinding, DrainFindingKind, DrainForecast, DrainNode, DrainVerdict, EventHash, EventLink,
    FleetControl, FleetEvent, FleetFact, FleetOrder, HostReport, Message, NodeEvent, NodeName, OrderChange,
    OrderChanged, OrderKind, OrderScope, PolicyQueue, Queues, RebooterReport, TaintNode, UncordonNode,
    UndrainableNodes, WireError, decode_body, encode,
};
use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};

use crate::file::File;

/// Every type.
pub(crate) const KINDS: [Kind; 12] = [
    kind::<HostReport>(),
    kind::<RebooterReport>(),
    kind::<Attempt>(),
    kind::<FleetControl>(),
    kind::<DrainNode>(),
    kind::<UncordonNode>(),
    kind::<TaintNode>(),
    kind::<CheckDrain>(),
    kind::<DrainForecast>(),
    kind::<NodeEvent>(),
    kind::<FleetEvent>(),
    kind::<OrderChanged>(),
];

/// One type of message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kind {
    /// Its full protobuf name.
    pub(crate) name: &'static str,
    /// Decodes bytes. A message that decodes is encoded and decoded again, and has to be the same. Returns the
    /// bytes of the second encoding.
    pub(crate) read_again: fn(&[u8]) -> Result<Vec<u8>, WireError>,
}

const fn kind<M: Message + PartialEq + Debug>() -> Kind {
    Kind {
        name: M::TYPE,
        read_again: read_again::<M>,
    }
}

fn read_again<M: Message + PartialEq + Debug>(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    let message: M = decode_body(bytes)?;
    let encoded = encode(&message).payload;
    assert!(
        encoded.len() <= PAYLOAD_BYTES_MAX,
        "{} has {} bytes",
        M::TYPE,
        encoded.len()
    );
    match decode_body::<M>(&encoded) {
        Ok(again) => assert_eq!(again, message),
        Err(error) => panic!("{message:?} was written and is not read: {error}"),
    }
    Ok(encoded)
}

/// A valid message.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// The name of its file.
    pub(crate) name: String,
    /// Its type.
    pub(crate) kind: Kind,
    /// Its content.
    pub(crate) message: DynamicMessage,
}

impl Sample {
    /// Its body.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.message.encode_to_vec()
    }
}

/// Every sample of a message on the bus, as today's `.proto` files describe it.
pub(crate) fn samples() -> Vec<Sample> {
    static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(read_samples);
    SAMPLES.clone()
}

/// Messages that the previous release did not know: at the next release their files are among the others.
fn since_the_previous_release(pool: &DescriptorPool) -> [Sample; 5] {
    let node: NodeName = "node-1.rig".parse().unwrap();
    let command = TaintNode {
        node: node.clone(),
        node_uid: "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa".parse().unwrap(),
        present: true,
        not_after: jiff::Timestamp::UNIX_EPOCH,
    };
    let question = CheckDrain {
        node: node.clone(),
        asked_at: jiff::Timestamp::UNIX_EPOCH,
        beside: vec![node.clone()],
    };
    let event_node = node.clone();
    let queue = PolicyQueue {
        policy: "nights".to_owned(),
        nodes: 7,
        oldest_since: jiff::Timestamp::UNIX_EPOCH,
        oldest_node: node.clone(),
        code: "Paused".to_owned(),
        message: "paused by an operator".to_owned(),
        left_over: 2,
        left_over_nodes: vec!["node-2.rig".to_owned(), "node-3.rig".to_owned()],
        opening_ends_at: Some(jiff::Timestamp::UNIX_EPOCH),
    };
    let undrainable = UndrainableNodes {
        policy: "nights".to_owned(),
        owner: "team-shop".to_owned(),
        nodes: 3,
        first_node: node.clone(),
        message: "a budget never allows that".to_owned(),
    };
    let event = FleetEvent {
        at: jiff::Timestamp::UNIX_EPOCH,
        source: "scheduler 0.1.0".to_owned(),
        fact: FleetFact::QueuesChanged(Queues {
            policies: vec![queue],
            undrainable: vec![undrainable],
        }),
    };
    let answer = DrainForecast {
        node,
        asked_at: jiff::Timestamp::UNIX_EPOCH,
        verdict: DrainVerdict::Can,
        pods_to_go: 3,
        pods_staying: 2,
        takes: Some(jiff::SignedDuration::from_secs(30)),
        findings: vec![DrainFinding {
            kind: DrainFindingKind::BudgetInTurns,
            object: "PodDisruptionBudget shop/web".to_owned(),
            sentence: "one after the other".to_owned(),
            namespace_owners: vec!["team-shop".to_owned()],
        }],
        source: "drainer 0.1.0".to_owned(),
    };
    let order = FleetOrder {
        kind: OrderKind::Skip,
        scope: OrderScope::Node(event_node.clone()),
        by: "anna".to_owned(),
        reason: "disks".to_owned(),
        since: jiff::Timestamp::UNIX_EPOCH,
        until: None,
    };
    let changed = OrderChanged {
        at: jiff::Timestamp::UNIX_EPOCH,
        source: "scheduler 0.1.0".to_owned(),
        link: Some(EventLink {
            sequence: 2,
            previous: Some(EventHash::of(b"1")),
        }),
        change: OrderChange::Given,
        by: "ben".to_owned(),
        reason: "later".to_owned(),
        given: Some(order.clone()),
        ended: vec![order],
        node: Some(event_node),
    };
    [
        sample(pool, "order-changed", &changed),
        sample(pool, "taint-node", &command),
        sample(pool, "check-drain", &question),
        sample(pool, "drain-forecast", &answer),
        sample(pool, "event-queues-changed", &event),
    ]
}

fn sample<M: Message + PartialEq + Debug>(pool: &DescriptorPool, name: &str, message: &M) -> Sample {
    let descriptor = pool.get_message_by_name(M::TYPE).unwrap();
    Sample {
        name: name.to_owned(),
        kind: kind::<M>(),
        message: DynamicMessage::decode(descriptor, encode(message).payload.as_slice()).unwrap(),
    }
}

fn read_samples() -> Vec<Sample> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["host", "attempt", "command", "check", "event"].map(|name| format!("bellwether/v1/{name}.proto"));
    let pool = DescriptorPool::from_file_descriptor_set(protox::compile(files, [root]).unwrap()).unwrap();
    let mut samples = Vec::new();
    for entry in std::fs::read_dir(root.join("tests/golden/previous")).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_stem().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.extension().is_none_or(|extension| extension != "txt") || name == "names" {
            continue;
        }
        let file: File = std::fs::read_to_string(&path).unwrap().parse().unwrap();
        // Messages without headers travel by gRPC.
        if file.headers.is_empty() {
            continue;
        }
        let kind = KINDS.into_iter().find(|kind| kind.name == file.kind);
        let kind = kind.unwrap_or_else(|| panic!("{name}: {} is not tried", file.kind));
        let descriptor = pool.get_message_by_name(&file.kind).unwrap();
        samples.push(Sample {
            name: name.to_owned(),
            kind,
            message: DynamicMessage::decode(descriptor, file.body.as_slice()).unwrap(),
        });
    }
    samples.extend(since_the_previous_release(&pool));
    samples.sort_by(|one, other| one.name.cmp(&other.name));
    samples
}
