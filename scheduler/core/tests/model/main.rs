//! An exhaustive model of the core: every course of a small fleet with few mishaps.
//!
//! **What a state is.** The core ([`bellwether_scheduler_core::Fleet`], the code itself), the stored records, the Node
//! objects with their hosts and agents, the queue of commands with the drainers that have taken one, and every
//! message that is late. From each state every possible step is taken; a state that was reached before
//! is not taken up again, so a search ends when there is no new state.
//!
//! **What a step is.** A part does its next work (a drainer cordons, empties, uncordons; a rebooter
//! announces and calls; a kubelet registers; the agents report), a late message arrives, a mishap happens, or time
//! passes. A message arrives at once, unless it is late: that is a mishap. So is all else that is not the plain
//! course ([`step::Mishap`], [`step::Beside`]). The scheduler may die between any two of its stores and commands.
//!
//! **Time** passes only to the core's own next timeout, and only while no part that is not slow has work: the core
//! notes every instant that it compares with, so nothing changes between. Slow work may be done at
//! any later instant, or never. Views are late by less than `Policy::VIEW_LAG_MAX`, since the driver loads again when
//! a watch is silent, and announcements of calls by less than `Policy::RESUME_GRACE` of one scheduler. A drainer's look at the record
//! and its change are one step; a rebooter's second look and its announcement are one, its call another.
//!
//! **What makes the search finite.** The number of mishaps, and a horizon of time ([`Scene`]) beyond the
//! end of each attempt (with one mishap: beyond the second try). Instants, generations and attempt ids stay as they
//! are: courses that do the same works in another order meet in the same state, which a renaming would not improve.
//! Two states are the same if all is equal on which a decision depends ([`digest`]): texts are left out. The names
//! of nodes are in the order of the queue, so no symmetry of nodes is used.
//!
//! **What the bound means.** Every fault that needs at most so many mishaps on so many nodes with so many slots,
//! within the horizon, is found: in every order of all works up to the last mishap, and after it with
//! nodes that work in turn, each with its own works in every order. The referee judges each state from the truth of
//! hosts and Node objects, and each quiet state, in which only time is left to pass, by what has to have moved; it
//! shares no code with the core.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_types,
    reason = "a test that panics has failed, prints how much it has looked at, and measures how long that took"
)]

mod digest;
mod leader;
mod parts;
mod referee;
mod search;
mod state;
mod step;

use std::process::ExitCode;
use std::time::Instant;

use jiff::SignedDuration;
use search::{Search, tell};
use state::{State, start};

/// A fleet, and how many mishaps may happen.
struct Scene {
    nodes: usize,
    slots: u32,
    control_plane: bool,
    mishaps: u8,
    /// How long each course is followed, in seconds.
    horizon: i64,
}

const fn scene(nodes: usize, slots: u32, control_plane: bool, mishaps: u8, horizon: i64) -> Scene {
    Scene {
        horizon,
        nodes,
        slots,
        control_plane,
        mishaps,
    }
}

/// Seconds, not minutes.
const SCENES: [Scene; 5] = [
    scene(3, 2, false, 1, 220),
    scene(3, 2, false, 2, 10),
    scene(3, 2, true, 1, 220),
    scene(2, 1, false, 2, 100),
    scene(1, 1, false, 3, 65),
];

/// More states than a test may take, by far.
const STATES_MAX: usize = 20_000_000;

const HELP: &str = "model [NODES SLOTS CONTROL_PLANE(0|1) MISHAPS SECONDS]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Result<Vec<u8>, _> = args.iter().map(|arg| arg.parse()).collect();
    let mut failed = false;
    match numbers.as_deref() {
        Ok([nodes, slots, control_plane, mishaps, horizon]) => {
            let (nodes, slots, horizon) = (usize::from(*nodes), u32::from(*slots), i64::from(*horizon));
            failed |= search(&scene(nodes, slots, *control_plane > 0, *mishaps, horizon));
        }
        // The arguments of a test binary: a filter that is not for this one, or options of the harness.
        _ if args
            .iter()
            .any(|arg| !arg.starts_with('-') && !"model".contains(arg.as_str())) =>
        {
            println!("{HELP}")
        }
        _ => {
            for scene in &SCENES {
                failed |= search(scene);
            }
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Searches one scene, and prints the shortest way found to each fault. True if there is one.
fn search(scene: &Scene) -> bool {
    let began = Instant::now();
    let mut root = State::new(scene.nodes, scene.slots, scene.control_plane, scene.mishaps);
    root.load();
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let found = Search::run(
        &root,
        threads,
        STATES_MAX,
        start() + SignedDuration::from_secs(scene.horizon),
    );
    println!(
        "{} nodes{}, {} slots, at most {} mishaps, {} s: {} states, {} steps, {:.1} s, {} kinds of fault",
        scene.nodes,
        if scene.control_plane {
            " of the control plane"
        } else {
            ""
        },
        scene.slots,
        scene.mishaps,
        scene.horizon,
        found.states,
        found.steps,
        began.elapsed().as_secs_f32(),
        found.faults.len(),
    );
    for (fault, steps) in &found.faults {
        println!("\n{fault}\n{}", tell(&root, steps));
    }
    !found.faults.is_empty()
}
