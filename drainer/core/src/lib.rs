//! The deciding core of the drainer: whether a node may be cordoned, which pod is evicted when, and
//! when the node may be called drained.
//!
//! The core is pure: no clock, no NATS, no Kubernetes client, no randomness. Kubernetes objects come
//! in as plain data, the time comes in as an argument, and actions come out. The driver
//! (`drainer/src/drive.rs`) carries the actions out and returns each answer as a fact.
//!
//! ```text
//! command   the command that a state machine carries out
//! permit    does the attempt's record still authorise the command?
//! node      the view of a Node object; cordon decides on it, edit changes it step by step
//! budget    the views of disruption budgets, and what a pod asks of them
//! namespace the owners of Namespaces, who answer for their pods
//! volume    the views of volumes, and which are attached to a node
//! stateful_set  the views of StatefulSets, and the turns of their members
//! terms     what counts where no policy states otherwise
//! pod       one file for each class of pod, and their order
//! plan      which pod is evicted when, and what blocks the drain
//! answer    the meaning of each answer of the API server to an eviction
//! grace     tells a passing 403 from a missing right
//! guard     the annotations that keep autoscalers off a node
//! drain     the state machine of a drain; proof is its last stage
//! uncordon  the state machine of an uncordon
//! taint     the taint of nodes that wait for their reboot
//! check     whether a node can be drained, before anything is touched
//! conclusion  the state machine of a command's last step: the event about its end
//! machine   the contract between the state machines and their driver
//! ```

pub mod action;
pub mod answer;
pub mod backoff;
pub mod budget;
pub mod check;
pub mod command;
pub mod conclusion;
pub mod cordon;
pub mod drain;
mod edit;
pub mod fault;
pub mod grace;
pub mod guard;
pub mod machine;
mod marks;
pub mod namespace;
pub mod node;
pub mod permit;
pub mod plan;
pub mod pod;
pub mod request;
mod set_marks;
pub mod stateful_set;
pub mod taint;
mod terms;
mod timers;
pub mod uncordon;
pub mod volume;
pub mod watched;

pub use action::{Action, CommandEnd, HeldBack, Notice};
pub use answer::Answer;
pub use command::{Command, Task};
pub use conclusion::Conclusion;
pub use drain::{Drain, DrainOrder, DrainSettings};
pub use fault::ApiFault;
pub use grace::ForbiddenGrace;
pub use guard::Guards;
pub use machine::Machine;
pub use marks::NodeMarks;
pub use node::{NodePatched, NodeRead, NodeView};
pub use permit::{RecordView, Refusal};
pub use pod::{DaemonSetKinds, NodePod, OwnerKind, PodView};
pub use request::RequestId;
pub use set_marks::SetMarks;
pub use uncordon::Uncordon;
pub use watched::{Looked, Unseen, WatchTarget, Watched};
