//! `cargo xtask crd`: the CustomResourceDefinition of `RebootPolicy` in `deploy/base`.
//!
//! The types in `scheduler/policy` are the one source. The file made of them is committed, since users apply
//! `deploy/base` without building anything; `cargo xtask lint` refuses a file that differs from the types.

use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value as Json;

use crate::cache;
use crate::step::as_from_a_shell;

pub(crate) const HELP: &str = "\
Write the CustomResourceDefinition of RebootPolicy, made from the types in scheduler/policy.

Usage: cargo xtask crd [--check]

Writes deploy/base/crd.yaml.

Options:
  --check  Write nothing; fail if the file differs from the types
";

/// The file, from the workspace's root.
const FILE: &str = "deploy/base/crd.yaml";

const HEADER: &str = "\
# The resource RebootPolicy: docs/policy.md. Written by `cargo xtask crd` from the types in scheduler/policy; change
# those, and run the command.
";

/// Prints the definition as JSON.
const PRINT: [&str; 9] = [
    "run",
    "--quiet",
    "--locked",
    "--package",
    "bellwether-policy",
    "--features",
    "schema",
    "--bin",
    "crd",
];

pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] => write(),
        ["--check"] => check(),
        _ => bail!("crd takes --check or no argument, and not {args:?}"),
    }
}

fn write() -> Result<()> {
    let path = cache::workspace().join(FILE);
    fs::write(&path, made()?).with_context(|| format!("cannot write {}", path.display()))?;
    println!("  {FILE} is written");
    Ok(())
}

/// Fails if the committed file is not what the types give.
pub(crate) fn check() -> Result<()> {
    let path = cache::workspace().join(FILE);
    let committed = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    compare(&committed, &made()?)?;
    println!("  {FILE} is that of the types in scheduler/policy");
    Ok(())
}

fn compare(committed: &str, made: &str) -> Result<()> {
    if committed == made {
        return Ok(());
    }
    let pairs = committed.lines().zip(made.lines());
    let same = pairs.take_while(|(committed, made)| committed == made).count();
    bail!(
        "{FILE} differs from the types in scheduler/policy, first in line {}: run `cargo xtask crd` and commit the file",
        same + 1
    );
}

/// The content of the file by the types.
fn made() -> Result<String> {
    let mut cargo = Command::new("cargo");
    as_from_a_shell(&mut cargo)
        .args(PRINT)
        .current_dir(cache::workspace())
        .stderr(Stdio::inherit());
    let output = cargo.output().context("cannot start cargo")?;
    let shown = PRINT.join(" ");
    ensure!(output.status.success(), "`cargo {shown}` failed ({})", output.status);
    let definition = serde_json::from_slice(&output.stdout);
    text(&definition.with_context(|| format!("`cargo {shown}` printed no JSON"))?)
}

fn text(definition: &Json) -> Result<String> {
    let yaml = serde_saphyr::to_string(definition).context("the definition cannot be written as YAML")?;
    Ok(format!("{HEADER}{yaml}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Json, compare, text};

    #[test]
    fn a_file_that_differs_is_refused_with_its_line_and_the_remedy() {
        assert!(compare("a\nb\n", "a\nb\n").is_ok());
        for (committed, line) in [("a\nc\n", "line 2"), ("a\n", "line 2"), ("a\nb\nc\n", "line 3")] {
            let error = compare(committed, "a\nb\n").unwrap_err().to_string();
            assert!(
                error.contains(line) && error.contains("run `cargo xtask crd`"),
                "{error}"
            );
        }
    }

    /// Patterns, crontabs and rules are full of characters that mean something in YAML.
    #[test]
    fn a_text_is_read_back_as_it_was() {
        let definition = json!({
            "pattern": r"^([0-9]+(\.[0-9]+)?(s|m|h))+$",
            "description": "Saturday is \"0 2 * * SAT#3\": see `22:00`.",
            "rule": "has(self.days) ? !has(self.cron) : has(self.cron)",
            "default": "no",
            "long": "word ".repeat(60).trim_end(),
        });
        let read: Json = serde_saphyr::from_str(&text(&definition).unwrap()).unwrap();
        assert_eq!(read, definition);
    }
}
