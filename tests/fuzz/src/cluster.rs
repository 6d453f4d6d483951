//! The scheduler's readers of Kubernetes objects, as they are in its executable.

#[allow(dead_code, unreachable_pub, reason = "the scheduler uses more of it")]
#[path = "../../../scheduler/src/cluster/node.rs"]
pub(crate) mod node;
#[allow(dead_code, reason = "as above")]
#[path = "../../../scheduler/src/cluster/object.rs"]
pub(crate) mod object;
#[path = "../../../scheduler/src/cluster/order.rs"]
pub(crate) mod order;
#[path = "../../../scheduler/src/cluster/owner.rs"]
pub(crate) mod owner;
