//! One target under libFuzzer, which `cargo xtask fuzz` builds and starts.
//!
//! The environment variable `BELLWETHER_FUZZ_TARGET` names the target: all are in this one program, so that it is linked
//! once. `BELLWETHER_FUZZ_CORPUS` names the folder into which the target's corpus is written before libFuzzer reads it.
#![no_main]
#![allow(clippy::panic, reason = "a wrong setting of the environment ends the program")]

use std::path::Path;
use std::sync::LazyLock;

use bellwether_fuzz::{Target, corpus};

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("BELLWETHER_FUZZ_TARGET").unwrap_or_default();
    bellwether_fuzz::named(&name).unwrap_or_else(|| panic!("BELLWETHER_FUZZ_TARGET={name} is no target"))
});

fn write_corpus() {
    let Ok(folder) = std::env::var("BELLWETHER_FUZZ_CORPUS") else {
        return;
    };
    for (name, bytes) in corpus::of(TARGET.name) {
        let path = Path::new(&folder).join(&name);
        std::fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

libfuzzer_sys::fuzz_target!(init: write_corpus(), |bytes: &[u8]| {
    (TARGET.run)(bytes);
});
