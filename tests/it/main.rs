//! Integration tests: the real parts together, in the rig. One binary, because each one would be
//! linked for seconds.

#![expect(
    clippy::disallowed_methods,
    reason = "tests are the outside world: they read the clock that everyone else is given"
)]

mod alerts;
mod audit;
mod blind;
mod boots;
mod budgets;
mod canaries;
mod check;
mod clocks;
mod collector;
mod conditions;
mod conformance;
mod control_plane;
mod crashes;
mod credentials;
mod denials;
mod deploy;
mod drain_check;
mod events;
mod failures;
mod fleet;
mod full;
mod gatekeeper;
mod gates;
mod inputs;
mod journey;
mod killed;
mod kinds;
mod leadership;
mod leaf;
mod leash;
mod messages;
mod methods;
mod metrics;
mod migrate;
mod narrow;
mod needs;
mod network;
mod notify;
mod orders;
mod parts;
mod policies;
mod prometheus;
mod recording;
mod replicas;
mod reports;
mod returns;
mod rights;
mod rivals;
mod settings;
mod signatures;
mod signs;
mod silence;
mod skew;
mod smoke;
mod taints;
mod three;
mod timeouts;
mod traces;
mod trust;
mod turns;
mod two_users;
mod views;
mod volumes;
mod windows;
