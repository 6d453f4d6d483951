//! Runs one slow command quietly while a line on the terminal shows the time that has passed.
//!
//! The command's own output goes to a file and is shown only when it fails.

use std::fs::{self, File};
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often the child is looked at; short, so that quick commands stay quick.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How often a log that is not a terminal gets a sign of life.
const PLAIN_INTERVAL: Duration = Duration::from_secs(20);
/// Longer than the slowest of them has ever taken, on two busy cores; what takes longer hangs.
const LIMIT: Duration = Duration::from_secs(40 * 60);
/// How much of a failed command's output is shown.
const TAIL_LINES: usize = 40;

/// Runs `command` to its end, ticking `label` with the seconds that have passed.
pub(crate) fn run(label: &str, command: &mut Command, log: &Path) -> Result<()> {
    let started = Instant::now();
    let output = File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {program}"))?;
    let mut ticker = Ticker::new(label);
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            ticker.done(started.elapsed(), false);
            bail!("{label} has not ended within {LIMIT:?}; see {}", log.display());
        }
        ticker.tick(started.elapsed());
        std::thread::sleep(POLL_INTERVAL);
    };
    ticker.done(started.elapsed(), status.success());
    if !status.success() {
        let text = fs::read_to_string(log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines.iter().skip(lines.len().saturating_sub(TAIL_LINES));
        for line in tail {
            eprintln!("    {line}");
        }
        bail!("{label} failed ({status})");
    }
    Ok(())
}

/// One line that is rewritten in place on a terminal, or repeated now and then in a log.
struct Ticker<'a> {
    label: &'a str,
    terminal: bool,
    shown: Option<Duration>,
}

impl<'a> Ticker<'a> {
    fn new(label: &'a str) -> Self {
        let terminal = std::io::stdout().is_terminal();
        if !terminal {
            println!("  {label} ...");
        }
        Self {
            label,
            terminal,
            shown: None,
        }
    }

    fn tick(&mut self, elapsed: Duration) {
        let interval = if self.terminal {
            Duration::from_secs(1)
        } else {
            PLAIN_INTERVAL
        };
        let shown = self.shown.unwrap_or_default();
        if elapsed < shown + interval {
            return;
        }
        self.shown = Some(elapsed);
        if self.terminal {
            print!("\r  {} ... {} s ", self.label, elapsed.as_secs());
            // A lost progress line is no reason to stop a build.
            drop(std::io::stdout().flush());
        } else {
            println!("  {} ... {} s so far", self.label, elapsed.as_secs());
        }
    }

    fn done(&self, elapsed: Duration, success: bool) {
        let start = if self.terminal { "\r" } else { "" };
        let end = if success { "done" } else { "FAILED" };
        println!("{start}  {} ... {end} in {:.1} s ", self.label, elapsed.as_secs_f32());
    }
}
