//! The fixed set of seeds. A seed that fails is repeated, with its story, by the command that its failure names.

use std::ops::Range;

use bellwether_sim::referee::OPEN;
use bellwether_sim::setup::Plot;
use bellwether_sim::{Options, Setup, run};

#[test]
fn no_seed_of_small_fleets_breaks_a_rule() {
    all_hold(0..1_200, &small());
}

#[test]
fn no_further_seed_of_small_fleets_breaks_a_rule() {
    all_hold(1_200..2_400, &small());
}

#[test]
fn no_seed_of_fleets_of_any_size_breaks_a_rule() {
    all_hold(10_000..10_100, &Options::default());
}

#[test]
fn no_seed_of_one_node_or_many_breaks_a_rule() {
    all_hold(20_000..20_100, &nodes(1));
    all_hold(20_100..20_104, &nodes(300));
}

#[test]
fn a_host_whose_need_and_preflight_change_all_the_time_is_not_drained_all_the_time() {
    all_hold(
        30_000..30_150,
        &Options {
            plot: Some(Plot::Flapping),
            nodes_max: Some(8),
            ..Options::default()
        },
    );
}

#[test]
fn a_free_node_starts_however_many_others_have_drains_that_never_end() {
    all_hold(
        40_000..40_002,
        &Options {
            plot: Some(Plot::Blocked),
            nodes: Some(20),
            slots: Some(1),
            ..Options::default()
        },
    );
}

#[test]
fn a_seed_gives_the_same_run_each_time() {
    for seed in 0..20 {
        let story = || run(Setup::new(seed, &small()), true).story;
        assert_eq!(story(), story(), "seed {seed}");
    }
}

#[test]
fn every_open_rule_names_its_issue() {
    assert!(OPEN.iter().all(|(_, issue)| issue.starts_with('#')), "{OPEN:?}");
}

fn small() -> Options {
    Options {
        nodes_max: Some(16),
        ..Options::default()
    }
}

fn nodes(nodes: usize) -> Options {
    Options {
        nodes: Some(nodes),
        steps: Some(20),
        ..Options::default()
    }
}

fn all_hold(seeds: Range<u64>, options: &Options) {
    for seed in seeds {
        let outcome = run(Setup::new(seed, options), false);
        let flags = options.flags();
        let failure = outcome
            .violation
            .map(|violation| (violation.check.as_str(), violation.message));
        assert_eq!(failure, None, "its story: cargo xtask sim --seed {seed}{flags}");
    }
}
