//! Runs the checks and prints what they found.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::timeout;

use crate::check::{Check, Level, Manner, Miss};

/// The longest check lasts two minutes.
const CHECK_MAX: Duration = Duration::from_secs(240);

/// How one check ended.
struct Outcome {
    level: Level,
    passed: bool,
}

/// Prints the checks.
pub(crate) fn list<S>(checks: &[Check<S>]) {
    for check in checks {
        println!("{:<14} {:<4}  {}", check.id, check.level, one_line(check.sentence));
    }
}

/// Runs the checks, so many of them at once; returns whether all passed that a program must pass.
pub(crate) async fn run<S>(stage: &S, checks: &[Check<S>], at_once: usize) -> bool {
    let started = Instant::now();
    let beside = checks.iter().filter(|check| check.manner == Manner::Beside);
    let alone = checks.iter().filter(|check| check.manner == Manner::Alone);
    let mut outcomes: Vec<Outcome> = stream::iter(beside.map(|check| one(stage, check)))
        .buffer_unordered(at_once)
        .collect()
        .await;
    for check in alone {
        outcomes.push(one(stage, check).await);
    }
    println!();
    for level in [Level::Must, Level::May, Level::Open] {
        let of_level = outcomes.iter().filter(|outcome| outcome.level == level);
        let (passed, all) = (
            of_level.clone().filter(|outcome| outcome.passed).count(),
            of_level.count(),
        );
        if all > 0 {
            println!("{level}: {passed} of {all} checks passed");
        }
    }
    println!("{:.0} s", started.elapsed().as_secs_f32());
    outcomes
        .iter()
        .all(|outcome| outcome.passed || outcome.level != Level::Must)
}

async fn one<S>(stage: &S, check: &Check<S>) -> Outcome {
    let started = Instant::now();
    let result = timeout(CHECK_MAX, (check.trial)(stage)).await;
    let result = result.unwrap_or_else(|_| Err(anyhow::anyhow!("the check did not end within {CHECK_MAX:?}")));
    let word = match (&result, check.level) {
        (Ok(()), _) => "pass",
        (Err(_), Level::Must) => "FAIL",
        (Err(_), Level::May | Level::Open) => "no",
    };
    let seconds = started.elapsed().as_secs_f32();
    println!(
        "{word:<4}  {:<14} {:<4} {seconds:>5.1} s  {}",
        check.id,
        check.level,
        one_line(check.sentence)
    );
    if let Err(error) = &result {
        match error.downcast_ref::<Miss>() {
            Some(Miss { expected, observed }) => {
                println!("      expected: {expected}\n      observed: {observed}");
            }
            None => println!("      observed: {error:#}"),
        }
    }
    Outcome {
        level: check.level,
        passed: result.is_ok(),
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
