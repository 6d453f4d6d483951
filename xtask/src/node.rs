//! The parts that only `cargo xtask test node` needs: kubelet, an emulator, and the disk of a machine.
//!
//! The recipe is `tests/node/image`; this file decides whether this machine can follow it, runs its
//! steps, and keeps the result in the cache for each state of recipe and kubelet. A machine that cannot
//! follow the recipe is reported with its reason; nothing is left out quietly.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{cache, progress, tools};

/// Where the recipe is.
const RECIPE: &str = "tests/node/image";

/// Says where the Debian archive is.
const MIRROR_ENV: &str = "BELLWETHER_DEBIAN_MIRROR";

/// The steps of the recipe, and whether a failure may be the archive's: a package that is missing today,
/// or does not fit to another one.
const STEPS: [(&str, bool); 3] = [("emulator", true), ("packages", true), ("disk", false)];

/// Whether this machine can run other machines.
pub(crate) enum Readiness {
    Ready,
    /// This machine cannot, for this reason; nothing was built.
    Not(String),
}

/// Makes this machine ready if that is possible.
pub(crate) fn ensure() -> Result<Readiness> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(Readiness::Not(
            "the machines are x86-64 Linux, and so has to be this one".to_owned(),
        ));
    }
    let recipe = cache::workspace().join(RECIPE);
    let needed = Needed::read(&recipe)?;
    let mut missing = needed.missing();
    if !missing.is_empty() && is_root() && is_ci() && find("apt-get").is_some() {
        install(&missing)?;
        missing = needed.missing();
    }
    if !missing.is_empty() {
        let programs: Vec<&str> = missing.iter().map(|(program, _)| program.as_str()).collect();
        return Ok(Readiness::Not(format!(
            "{} not installed. On Debian or Ubuntu: sudo {}",
            programs.join(", "),
            install_line(&missing).join(" ")
        )));
    }
    let programs = tools::ensure_node()?;
    tools::ensure_crane()?;
    let name = entry_name(&recipe, &programs)?;
    let mirror = mirror();
    if !cache::has(&name)? {
        if !is_root() {
            let why = "the machine's disk is not built yet, and that needs root once: run this as root";
            return Ok(Readiness::Not(why.to_owned()));
        }
        if mirror.is_none() {
            return Ok(Readiness::Not(format!(
                "the machine's disk is made of Debian packages: set {MIRROR_ENV} to the address of a Debian archive"
            )));
        }
    }
    let mirror = mirror.unwrap_or_default();
    match cache::entry(&name, |folder| build(&recipe, folder, &programs, &mirror)) {
        Ok(image) => {
            tools::link_node_image(&image)?;
            Ok(Readiness::Ready)
        }
        Err(error) => match error.downcast::<ArchiveFailed>() {
            Ok(failed) => Ok(Readiness::Not(format!("{failed:#}"))),
            Err(error) => Err(error),
        },
    }
}

/// The archive's packages do not make a machine today, which is no fault of the code under test.
#[derive(Debug)]
struct ArchiveFailed(anyhow::Error);

impl std::fmt::Display for ArchiveFailed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "the Debian archive does not give the machine's packages: {:#}",
            self.0
        )
    }
}

impl std::error::Error for ArchiveFailed {}

/// Runs the recipe.
fn build(recipe: &Path, folder: &Path, programs: &Path, mirror: &str) -> Result<()> {
    for (step, is_archive) in STEPS {
        let mut command = Command::new(recipe.join("build"));
        command.arg(step).arg(folder).arg(programs).arg(mirror);
        let label = format!("building the test machine: {step}");
        let done = progress::run(&label, &mut command, &folder.join(format!("{step}.log")));
        if let Err(error) = done {
            // Half a machine is of no use, and has hundreds of megabytes.
            fs::remove_dir_all(folder.join("root")).ok();
            return Err(if is_archive { ArchiveFailed(error).into() } else { error });
        }
    }
    Ok(())
}

/// Programs that have to be installed, and the Debian package of each.
struct Needed(Vec<(String, String)>);

impl Needed {
    fn read(recipe: &Path) -> Result<Self> {
        let path = recipe.join("needed");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let pairs = lines.map(|line| {
            let (program, package) = line
                .split_once(' ')
                .with_context(|| format!("{line:?}: write `<program> <package>`"))?;
            Ok((program.to_owned(), package.to_owned()))
        });
        pairs.collect::<Result<_>>().map(Self)
    }

    fn missing(&self) -> Vec<&(String, String)> {
        self.0.iter().filter(|(program, _)| find(program).is_none()).collect()
    }
}

fn install_line<'a>(missing: &[&'a (String, String)]) -> Vec<&'a str> {
    let mut line = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
    line.extend(missing.iter().map(|(_, package)| package.as_str()));
    line
}

/// A machine of a CI may be changed: installs the missing programs.
fn install(missing: &[&(String, String)]) -> Result<()> {
    for line in [vec!["apt-get", "update"], install_line(missing)] {
        println!("$ {}", line.join(" "));
        let (program, args) = line.split_first().context("a line has a program")?;
        let status = Command::new(program)
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .with_context(|| format!("cannot start {program}"))?;
        if !status.success() {
            // The caller looks again, and reports the programs that are missing then.
            println!("`{}` failed ({status})", line.join(" "));
        }
    }
    Ok(())
}

/// The same for the same recipe and programs.
fn entry_name(recipe: &Path, programs: &Path) -> Result<String> {
    let mut parts = vec![programs.as_os_str().as_encoded_bytes().to_vec()];
    read_all(recipe, &mut parts)?;
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(format!("node-image-{}", cache::fingerprint(&parts)))
}

/// The address of a Debian archive: the one in the environment, or the one of this machine's packages.
fn mirror() -> Option<String> {
    if let Ok(mirror) = std::env::var(MIRROR_ENV) {
        return Some(mirror);
    }
    let format = [
        "indextargets",
        "--format",
        "$(REPO_URI)",
        "ORIGIN: Debian",
        "LABEL: Debian",
    ];
    let output = Command::new("apt-get").args(format).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned)
}

/// Names, modes and contents of all files below a folder, in an order that does not change.
fn read_all(folder: &Path, parts: &mut Vec<Vec<u8>>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_all(&path, parts)?;
            continue;
        }
        let mode = fs::metadata(&path)?.permissions().mode();
        let Ok(name) = path.strip_prefix(cache::workspace()) else {
            bail!("{} is outside the workspace", path.display());
        };
        parts.push(format!("{} {}", name.display(), mode & 0o111 != 0).into_bytes());
        parts.push(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
    }
    Ok(())
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Some users do not have these in their PATH; programs of the administrator are there.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    folders.map(|folder| folder.join(program)).find(|it| it.is_file())
}

fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout == b"0\n")
}

#[cfg(test)]
mod tests {
    use super::{Needed, RECIPE, STEPS};
    use crate::cache;

    #[test]
    fn the_recipe_has_every_step_that_is_run() {
        let recipe = cache::workspace().join(RECIPE);
        let script = std::fs::read_to_string(recipe.join("build")).unwrap();
        for (step, _) in STEPS {
            assert!(script.contains(&format!("\n{step}() {{\n")), "{step}");
        }
        assert!(!Needed::read(&recipe).unwrap().0.is_empty());
    }

    #[test]
    fn a_needed_program_has_a_package() {
        assert!(Needed::parse("mke2fs\n").is_err());
        assert_eq!(Needed::parse("# why\nmke2fs e2fsprogs\n").unwrap().0.len(), 1);
    }
}
