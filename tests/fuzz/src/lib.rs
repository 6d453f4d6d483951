//! Every decoder of bytes that others write, each with what has to hold whatever the bytes are.
//!
//! A target is a function of bytes: it decodes them as a service does, and panics if a promise is broken. `cargo xtask fuzz`
//! feeds it with bytes that libFuzzer makes after the paths that they take; the test `replay` feeds it with the files of
//! `corpus/NAME`, among them each input that once broke a promise.
//!
//! Promises of all decoders: no panic; an error that has one line, is short and shows no secret; what decodes is encoded
//! to the same meaning; limits of size hold. Time is libFuzzer's limit (`-timeout`), and that of the test.

// The modules of executables bring their own tests, which run where they belong.
#![cfg(not(test))]
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a broken promise is a panic, which libFuzzer and the test report with its input"
)]

// The modules of executables are read as they are, and name this crate as the services do.
extern crate kube_core as kube;

mod cluster;
pub mod corpus;
mod foreign;
mod judge;
mod target;

/// One decoder.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: that of its folder in `corpus`.
    pub name: &'static str,
    /// Decodes. True if the bytes were taken, false if they were refused.
    ///
    /// # Panics
    /// A promise is broken.
    pub run: fn(&[u8]) -> bool,
}

/// Every target.
pub const TARGETS: [Target; 20] = [
    Target {
        name: "bus",
        run: target::bus::run,
    },
    Target {
        name: "recording",
        run: target::recording::run,
    },
    Target {
        name: "signature",
        run: target::signature::run,
    },
    Target {
        name: "keys",
        run: target::keys::run,
    },
    Target {
        name: "ids",
        run: target::ids::run,
    },
    Target {
        name: "question",
        run: target::question::run,
    },
    Target {
        name: "token",
        run: target::token::run,
    },
    Target {
        name: "review",
        run: target::review::run,
    },
    Target {
        name: "seed",
        run: target::seed::run,
    },
    Target {
        name: "credentials",
        run: target::credentials::run,
    },
    Target {
        name: "host",
        run: target::host::run,
    },
    Target {
        name: "http",
        run: target::http::run,
    },
    Target {
        name: "node",
        run: target::node::run,
    },
    Target {
        name: "drain",
        run: target::drain::run,
    },
    Target {
        name: "eviction",
        run: target::eviction::run,
    },
    Target {
        name: "prometheus",
        run: target::prometheus::run,
    },
    Target {
        name: "check",
        run: target::check::run,
    },
    Target {
        name: "policy",
        run: target::policy::run,
    },
    Target {
        name: "migrate",
        run: target::migrate::run,
    },
    Target {
        name: "notify",
        run: target::notify::run,
    },
];

/// The target of this name.
#[must_use]
pub fn named(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
