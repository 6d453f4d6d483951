//! For which processors images are built: this machine's always, the other where Rust and a linker
//! for it are installed.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use object::elf::{EM_AARCH64, EM_X86_64};

use crate::cache;

/// A processor architecture, as images name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arch {
    Amd64,
    Arm64,
}

/// How to compile for one architecture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Toolchain {
    pub(crate) arch: Arch,
    /// Rust's name of the target.
    pub(crate) target: &'static str,
    /// The C compiler that links; `None` is the machine's own.
    pub(crate) linker: Option<String>,
}

impl Arch {
    const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// Its name in images.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Its number in the header of a binary.
    pub(crate) fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => EM_X86_64,
            Self::Arm64 => EM_AARCH64,
        }
    }

    /// Whether this machine has it.
    pub(crate) fn is_host(self) -> bool {
        match self {
            Self::Amd64 => env::consts::ARCH == "x86_64",
            Self::Arm64 => env::consts::ARCH == "aarch64",
        }
    }

    /// Rust targets that will do, and the C compiler that each needs on a foreign machine.
    fn candidates(self) -> [(&'static str, &'static str); 2] {
        match self {
            Self::Amd64 => [
                ("x86_64-unknown-linux-gnu", "x86_64-linux-gnu-gcc"),
                ("x86_64-unknown-linux-musl", "x86_64-linux-musl-gcc"),
            ],
            Self::Arm64 => [
                ("aarch64-unknown-linux-gnu", "aarch64-linux-gnu-gcc"),
                ("aarch64-unknown-linux-musl", "aarch64-linux-musl-gcc"),
            ],
        }
    }

    /// The toolchain that is missing on this machine, and how to install it.
    fn remedy(self) -> String {
        let [(gnu, gnu_gcc), (musl, musl_gcc)] = self.candidates();
        format!(
            "install Rust's target and a C compiler for it: `rustup target add {gnu}` with {gnu_gcc} \
             (Debian: gcc-{}), or {musl} with {musl_gcc}",
            gnu_gcc.trim_end_matches("-gcc").replace('_', "-")
        )
    }
}

/// The toolchains of this machine; prints each architecture that is skipped. Foreign ones only if `foreign`.
pub(crate) fn detect(foreign: bool) -> Result<Vec<Toolchain>> {
    let mut found = Vec::new();
    for arch in Arch::ALL.into_iter().filter(|arch| foreign || arch.is_host()) {
        match choose(arch, arch.is_host(), &has_target, &linker_for)? {
            Some(toolchain) => found.push(toolchain),
            None if arch.is_host() => bail!("cannot build for {}: {}", arch.name(), arch.remedy()),
            None => println!("  SKIPPED: no image for {}: {}", arch.name(), arch.remedy()),
        }
    }
    if found.is_empty() {
        bail!(
            "images are built on x86_64 and aarch64, and this is {}",
            env::consts::ARCH
        );
    }
    Ok(found)
}

/// The first candidate that is complete.
fn choose(
    arch: Arch,
    host: bool,
    has_target: &dyn Fn(&str) -> Result<bool>,
    linker_for: &dyn Fn(&str, &str) -> Option<String>,
) -> Result<Option<Toolchain>> {
    for (target, gcc) in arch.candidates() {
        if !has_target(target)? {
            continue;
        }
        let linker = linker_for(target, gcc);
        if host || linker.is_some() {
            let linker = linker.filter(|_| !host);
            return Ok(Some(Toolchain { arch, target, linker }));
        }
    }
    Ok(None)
}

/// Whether Rust's standard library for `target` is installed.
fn has_target(target: &str) -> Result<bool> {
    let output = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", target])
        .current_dir(cache::workspace())
        .output()
        .context("cannot run `rustc`")?;
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(output.status.success() && Path::new(&folder).is_dir())
}

/// The linker that the environment sets for `target`, or else `gcc` if it is on the PATH.
fn linker_for(target: &str, gcc: &str) -> Option<String> {
    if let Ok(linker) = env::var(linker_variable(target)) {
        return Some(linker);
    }
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).any(|folder| folder.join(gcc).is_file());
    found.then(|| gcc.to_owned())
}

/// The variable by which cargo takes the linker for `target`.
pub(crate) fn linker_variable(target: &str) -> String {
    format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    use super::{Arch, choose, linker_variable};

    const GNU: &str = "aarch64-unknown-linux-gnu";
    const MUSL: &str = "aarch64-unknown-linux-musl";

    #[test]
    fn a_foreign_architecture_needs_both_the_target_and_a_linker() {
        let nothing = |_: &str, _: &str| None;
        let gcc = |_: &str, gcc: &str| Some(gcc.to_owned());
        let with = |targets: &'static [&str]| move |target: &str| Ok(targets.contains(&target));

        assert_eq!(choose(Arch::Arm64, false, &with(&[]), &gcc).unwrap(), None);
        assert_eq!(choose(Arch::Arm64, false, &with(&[GNU]), &nothing).unwrap(), None);
        let found = choose(Arch::Arm64, false, &with(&[GNU, MUSL]), &gcc).unwrap().unwrap();
        assert_eq!(
            (found.target, found.linker.as_deref()),
            (GNU, Some("aarch64-linux-gnu-gcc"))
        );
        let found = choose(Arch::Arm64, false, &with(&[MUSL]), &gcc).unwrap().unwrap();
        assert_eq!(
            (found.target, found.linker.as_deref()),
            (MUSL, Some("aarch64-linux-musl-gcc"))
        );
    }

    #[test]
    fn the_machine_s_own_architecture_is_linked_by_its_own_compiler() {
        let own = choose(Arch::Arm64, true, &|_| Ok(true), &|_, gcc| Some(gcc.to_owned()));
        assert_eq!(own.unwrap().unwrap().linker, None);
    }

    #[test]
    fn the_remedy_names_packages_that_exist() {
        let remedy = Arch::Arm64.remedy();
        assert!(
            remedy.contains("rustup target add aarch64-unknown-linux-gnu"),
            "{remedy}"
        );
        assert!(remedy.contains("gcc-aarch64-linux-gnu"), "{remedy}");
        assert!(Arch::Amd64.remedy().contains("gcc-x86-64-linux-gnu"));
    }

    #[test]
    fn the_linker_s_variable_is_cargo_s() {
        assert_eq!(linker_variable(GNU), "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER");
    }
}
