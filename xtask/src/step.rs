//! The steps of `test` and `lint`: each shown with its time, the first failure stops.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use crate::cache;

/// Runs steps one after the other and remembers how long each took.
pub(crate) struct Steps {
    started: Instant,
    done: Vec<(String, Duration)>,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Runs a command with its output shown, in the workspace's root. Its failure names the
    /// command, ready to be pasted into a shell.
    pub(crate) fn command(&mut self, name: &str, env: &[(&str, &str)], argv: &[&str]) -> Result<()> {
        let (program, args) = argv.split_first().context("a step without a command")?;
        let vars = env.iter().map(|(key, value)| format!("{key}={value:?} "));
        let shown = format!("{}{}", vars.collect::<String>(), argv.join(" "));
        self.work(name, || {
            println!("$ {shown}");
            let status = as_from_a_shell(&mut Command::new(program))
                .args(args)
                .envs(env.iter().copied())
                .current_dir(cache::workspace())
                .status()
                .map_err(|error| anyhow!("cannot start {program}: {error}"))?;
            if !status.success() {
                bail!("step {name:?} failed ({status}); repeat it with:\n  {shown}");
            }
            Ok(())
        })
    }

    /// Runs `work` as the step `name`.
    pub(crate) fn work<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let started = Instant::now();
        println!("\n== {name}");
        let value = work()?;
        let took = started.elapsed();
        println!("== {name}: ok in {:.1} s", took.as_secs_f32());
        self.done.push((name.to_owned(), took));
        Ok(value)
    }

    /// Sums up at the end.
    pub(crate) fn finish(self, verb: &str) {
        println!(
            "\n{verb}: all steps ok in {:.1} s",
            self.started.elapsed().as_secs_f32()
        );
        for (name, took) in &self.done {
            println!("  {:>7.1} s  {name}", took.as_secs_f32());
        }
    }
}

/// The command without what cargo has set in the environment about this very program, as which it runs. Build scripts look at
/// these variables, that of ring among them: with another value cargo would compile ring again, and all that is above it, which
/// is nearly everything, at each change between `cargo xtask` and cargo itself.
pub(crate) fn as_from_a_shell(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let is_of_package = |prefix: &&str| name.to_string_lossy().starts_with(*prefix);
        // CARGO without the package tells cargo-machete that cargo has called it as a subcommand.
        if name == "CARGO" || ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(is_of_package) {
            command.env_remove(&name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_step_knows_the_package_of_this_program() {
        let variables = ["CARGO", "CARGO_PKG_NAME", "CARGO_PKG_VERSION", "CARGO_MANIFEST_DIR"];
        for variable in variables {
            assert!(std::env::var_os(variable).is_some(), "cargo sets no {variable}");
        }
        let mut command = Command::new("env");
        let output = as_from_a_shell(&mut command).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        for variable in variables {
            let is_set = text.lines().any(|line| line.starts_with(&format!("{variable}=")));
            assert!(!is_set, "{text}");
        }
        assert!(text.contains("PATH="), "{text}");
    }
}
