//! Compiles one binary without libraries, and the same one wherever the
//! checkout, cargo's home and the target folder are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::arch::{Toolchain, linker_variable};
use super::elf;
use super::service::{RunsOn, Service};
use crate::step::as_from_a_shell;
use crate::{cache, progress};

/// A tree of this repository and where cargo builds it.
pub(crate) struct Place {
    pub(crate) tree: PathBuf,
    pub(crate) target: PathBuf,
}

impl Place {
    /// The checkout that we are in.
    pub(crate) fn here() -> Self {
        Self {
            tree: cache::workspace(),
            target: cache::target_dir(),
        }
    }

    /// Compiles the binary of `service`; returns its path. Each service by itself: cargo would
    /// otherwise give all of them the features that one of them asks for, and the digest of one
    /// would depend on what else was built.
    pub(crate) fn compile(&self, service: &Service, toolchain: &Toolchain, label: &str) -> Result<PathBuf> {
        let logs = self.target.join("images.work");
        fs::create_dir_all(&logs).with_context(|| format!("cannot create {}", logs.display()))?;
        let mut command = Command::new("cargo");
        as_from_a_shell(&mut command)
            .args(["rustc", "--release", "--locked", "--target", toolchain.target])
            .args(["--package", service.package, "--bin", service.binary, "--"])
            .args(
                service
                    .place
                    .link_args(&self.tree)
                    .iter()
                    .map(|arg| format!("-Clink-arg={arg}")),
            )
            .current_dir(&self.tree)
            .env("CARGO_TARGET_DIR", &self.target)
            // Wins over all other ways to set flags, so a user's own settings change nothing.
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags()?.join("\x1f"));
        if let Some(linker) = &toolchain.linker {
            command.env(linker_variable(toolchain.target), linker);
        }
        let log = logs.join(format!("{}-{}.log", service.name, toolchain.arch.name()));
        progress::run(label, &mut command, &log)?;

        let binary = self.target.join(toolchain.target).join("release").join(service.binary);
        let bytes = fs::read(&binary).with_context(|| format!("cannot read {}", binary.display()))?;
        if let Err(problem) = elf::check(&bytes, toolchain.arch) {
            bail!("{} {problem}", binary.display());
        }
        if service.place == RunsOn::EachNode && toolchain.arch.is_host() {
            report_an_error(&binary)?;
        }
        Ok(binary)
    }

    fn flags(&self) -> Result<Vec<String>> {
        let sysroot = rustc(&["--print", "sysroot"])?;
        let about = rustc(&["--version", "--verbose"])?;
        let commit = about.lines().find_map(|line| line.strip_prefix("commit-hash: "));
        let home = match (env::var_os("CARGO_HOME"), env::var_os("HOME")) {
            (Some(home), _) => PathBuf::from(home),
            (None, Some(home)) => Path::new(&home).join(".cargo"),
            (None, None) => bail!("neither CARGO_HOME nor HOME is set: where does cargo keep its sources?"),
        };
        // The last one that fits counts: a folder that may lie inside another one comes after it.
        let mut renamed = vec![
            (
                Path::new(&sysroot).join("lib/rustlib/src/rust"),
                format!("/rustc/{}", commit.unwrap_or("unknown")),
            ),
            (home.clone(), "/cargo".to_owned()),
        ];
        // The registry's folder has a name that depends on how the registry is reached.
        for entry in fs::read_dir(home.join("registry/src")).into_iter().flatten() {
            renamed.push((entry?.path(), "/cargo/registry".to_owned()));
        }
        renamed.push((self.tree.clone(), "/bellwether".to_owned()));
        renamed.push((self.target.clone(), "/bellwether/target".to_owned()));
        Ok(flags(&renamed))
    }
}

/// Has an agent's binary report an error with a backtrace, for which it has no tables.
fn report_an_error(binary: &Path) -> Result<()> {
    // An address for documentation: no machine has it.
    let output = Command::new(binary)
        .args(["--node-name=none", "--admin-address=192.0.2.1:1"])
        .env("RUST_BACKTRACE", "full")
        .output()
        .with_context(|| format!("cannot run {}", binary.display()))?;
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(1) || !text.contains("192.0.2.1:1") {
        bail!(
            "{} does not report an error: {}: {text}",
            binary.display(),
            output.status
        );
    }
    Ok(())
}

/// The compiler's flags, with paths of this machine renamed.
fn flags(renamed: &[(PathBuf, String)]) -> Vec<String> {
    let fixed = [
        // The C library goes into the binary.
        "-Ctarget-feature=+crt-static",
        // At fixed addresses: nothing to relocate, so pages stay shared with the file.
        "-Crelocation-model=static",
        // The id is made of parts that are stripped later, such as paths.
        "-Clink-arg=-Wl,--build-id=none",
        // Randomness by system call: a static binary cannot look that function up at run time and
        // would read files of /dev instead.
        "--cfg=getrandom_backend=\"linux_getrandom\"",
    ];
    let renamed = renamed
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()));
    fixed.into_iter().map(str::to_owned).chain(renamed).collect()
}

/// Asks the compiler that cargo uses in this workspace.
pub(crate) fn rustc(args: &[&str]) -> Result<String> {
    let output = Command::new("rustc")
        .args(args)
        .current_dir(cache::workspace())
        .output()
        .context("cannot run `rustc`")?;
    if !output.status.success() {
        bail!(
            "`rustc {}` failed: {}",
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn what_lies_inside_another_folder_is_renamed_after_it() {
        let place = Place {
            tree: "/home/anna/bellwether".into(),
            target: "/home/anna/bellwether/target".into(),
        };
        let flags = place.flags().unwrap();
        let at = |flag: &str| flags.iter().position(|found| found == flag).unwrap();
        let tree = at("--remap-path-prefix=/home/anna/bellwether=/bellwether");
        let target = at("--remap-path-prefix=/home/anna/bellwether/target=/bellwether/target");
        let home = flags.iter().position(|flag| flag.ends_with("=/cargo")).unwrap();
        assert!(home < tree && tree < target, "{flags:?}");
    }
}
