//! The rig: a real control plane, one real NATS server or three, and simulated hosts, for tests and the demo.
//!
//! [`World`](world::World) puts it all together; everything it starts is a child process on
//! loopback that dies with the rig. Simulated are only the parts that a machine without kubelets
//! lacks: hosts ([`host`]) and their kubelets ([`kubelet`]).

#![allow(
    clippy::disallowed_methods,
    reason = "the rig is the outside world: it reads the clock that Kubernetes would read"
)]

pub mod accounts;
pub mod authority;
pub mod bus;
pub mod clock;
pub mod collector;
pub mod control_plane;
pub mod findings;
pub mod front;
pub mod gate;
pub mod hook;
pub mod host;
mod http;
pub mod identity;
pub mod kubectl;
pub mod kubelet;
mod listener;
pub mod logind;
pub mod machines;
pub mod mail;
pub mod namespaces;
pub mod nats;
pub mod nats_cluster;
pub mod nats_front;
pub mod nats_operator;
pub mod otlp;
pub mod place;
pub mod ports;
pub mod process;
pub mod prometheus;
pub mod proxy;
pub mod raw_client;
pub mod record;
pub mod record_keys;
pub mod scraper;
pub mod service;
pub mod services;
pub mod spans;
pub mod streams;
mod tls;
pub mod tools;
pub mod vm;
pub mod wait;
pub mod webhook;
pub mod workload;
pub mod world;
