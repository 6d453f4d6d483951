//! What `cargo xtask test node` needs beside the rest: QEMU, kubelet, and the disk of a machine.
//!
//! QEMU comes, and the disk is made, from the packages of a Debian archive; the disk by the recipe in
//! `tests/node/image`. Both are made once for each state of recipe and kubelet, and kept in the cache.
//! Where they cannot be made or run, somebody is told so; nothing is left out quietly.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{cache, progress, tools};

/// The Debian release that the machine runs; the recipe names packages that come from elsewhere.
const RELEASE: &str = "trixie";

/// Says where the Debian archive is.
const MIRROR_ENV: &str = "BELLWETHER_DEBIAN_MIRROR";

/// Size of the machine's disk, most of which is never written.
const DISK: &str = "3G";

/// Programs that have to be installed, and the Debian package of each.
const NEEDED: [(&str, &str); 2] = [("mke2fs", "e2fsprogs"), ("mmdebstrap", "mmdebstrap")];

/// QEMU's programs and their packages. Not this machine's own, whose release may be old: without hardware
/// help 10.0 starts processes three times as fast as 7.2 does.
const QEMU: [(&str, &str); 2] = [("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils")];

/// Runs a program of another Debian, with that one's libraries, from the folder beside it.
const LAUNCHER: &str = r#"#!/bin/sh
root=$(dirname "$(readlink -f "$0")")/emulator/usr
exec "$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu" \
    "$root/bin/$(basename "$0")" "$@"
"#;

/// Whether this machine can run other machines.
pub(crate) enum Readiness {
    Ready,
    /// It cannot, for this reason; nothing was built.
    Not(String),
}

/// Makes ready what can be made ready.
pub(crate) fn ensure() -> Result<Readiness> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Ok(Readiness::Not(
            "the machines are x86-64 Linux, and so has to be this one".to_owned(),
        ));
    }
    let mut missing = missing();
    if !missing.is_empty() && is_root() && is_ci() && find("apt-get").is_some() {
        install(&missing)?;
        missing = self::missing();
    }
    if !missing.is_empty() {
        let programs: Vec<&str> = missing.iter().map(|(program, _)| *program).collect();
        return Ok(Readiness::Not(format!(
            "{} not installed. On Debian or Ubuntu: sudo {}",
            programs.join(", "),
            install_line(&missing).join(" ")
        )));
    }
    let programs = tools::ensure_node()?;
    tools::ensure_crane()?;
    let recipe = cache::workspace().join("tests/node/image");
    let name = entry_name(&recipe, &programs)?;
    if !cache::has(&name)? {
        if !is_root() {
            let why = "the machine's disk is not built yet, and that needs root once: run this as root";
            return Ok(Readiness::Not(why.to_owned()));
        }
        if mirror().is_none() {
            return Ok(Readiness::Not(format!(
                "the machine's disk is made of Debian packages, and it is not known where they are: set {MIRROR_ENV} \
                 to the address of a Debian archive"
            )));
        }
    }
    match cache::entry(&name, |folder| build(&recipe, &programs, folder)) {
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

/// The archive's packages do not make a machine today: one is missing, or does not fit to another. That
/// is no fault of what is to be tested.
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

fn missing() -> Vec<(&'static str, &'static str)> {
    NEEDED
        .into_iter()
        .filter(|(program, _)| find(program).is_none())
        .collect()
}

fn install_line(missing: &[(&'static str, &'static str)]) -> Vec<&'static str> {
    let mut line = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
    line.extend(missing.iter().map(|(_, package)| *package));
    line
}

/// A machine of a CI is nobody's own: what is missing may be installed.
fn install(missing: &[(&'static str, &'static str)]) -> Result<()> {
    for line in [vec!["apt-get", "update"], install_line(missing)] {
        println!("$ {}", line.join(" "));
        let (program, args) = line.split_first().context("a line has a program")?;
        let status = Command::new(program)
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .status()
            .with_context(|| format!("cannot start {program}"))?;
        if !status.success() {
            // What is missing then is said by whoever looks again.
            println!("`{}` failed ({status})", line.join(" "));
        }
    }
    Ok(())
}

/// The same for the same recipe, of which this file is a part, and programs.
fn entry_name(recipe: &Path, programs: &Path) -> Result<String> {
    let mut parts = vec![
        include_bytes!("node.rs").to_vec(),
        programs.as_os_str().as_encoded_bytes().to_vec(),
    ];
    read_all(recipe, &mut parts)?;
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    Ok(format!("node-image-{}", cache::fingerprint(&parts)))
}

fn build(recipe: &Path, programs: &Path, folder: &Path) -> Result<()> {
    let step = |label: &str, command: &mut Command| progress::run(label, command, &folder.join(format!("{label}.log")));
    let packages = QEMU.map(|(_, package)| package);
    let mut unpack = debootstrap("extract", &packages, &folder.join("emulator"), &[RELEASE])?;
    step("emulator", &mut unpack).map_err(ArchiveFailed)?;
    for (program, _) in QEMU {
        let path = folder.join(program);
        fs::write(&path, LAUNCHER)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    }

    let packages = recipe.join("packages");
    let packages = fs::read_to_string(&packages).with_context(|| format!("cannot read {}", packages.display()))?;
    let packages: Vec<&str> = packages.lines().filter(|line| !line.starts_with('#')).collect();
    let root = folder.join("root");
    let suites = [RELEASE, &format!("{RELEASE}-backports"), "sid"];
    let mut unpack = debootstrap("minbase", &packages, &root, &suites)?;
    if let Err(error) = step("packages of the machine", &mut unpack) {
        // Half a machine, of hundreds of megabytes, which nobody will want.
        fs::remove_dir_all(&root).ok();
        return Err(ArchiveFailed(error).into());
    }

    let mut copy = Command::new("cp");
    copy.args(["--recursive", "--no-preserve=ownership"])
        .arg(recipe.join("root/."))
        .arg(&root);
    step("files of the machine", &mut copy)?;
    for name in ["kubelet", "kube-proxy"] {
        fs::copy(programs.join(name), root.join("usr/local/bin").join(name))
            .with_context(|| format!("cannot copy {name}"))?;
    }
    fs::create_dir(root.join("seed"))?;
    fs::copy(recipe.join("prepare"), root.join("prepare"))?;
    let inside = |line: &[&str]| -> Result<Command> {
        let mut command = program("chroot")?;
        command
            .arg(&root)
            .args(line)
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        Ok(command)
    };
    step("settings of the machine", &mut inside(&["/prepare"])?)?;
    // The archive moves on, so what was taken is kept: it is the first thing to compare when another
    // machine's image behaves in another way.
    step("versions of the machine", &mut inside(&["dpkg-query", "-W"])?)?;
    fs::remove_file(root.join("prepare"))?;

    for (prefix, name) in [("vmlinuz-", "vmlinuz"), ("initrd.img-", "initrd")] {
        let found = fs::read_dir(root.join("boot"))?.filter_map(Result::ok);
        let mut found = found.filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix));
        let found = found.next().with_context(|| format!("the machine has no {prefix}*"))?;
        fs::copy(found.path(), folder.join(name))?;
    }
    fs::copy(root.join("bin/busybox"), folder.join("busybox"))?;
    let mut disk = program("mke2fs")?;
    disk.args(["-q", "-t", "ext4", "-d"])
        .arg(&root)
        .arg(folder.join("root.img"))
        .arg(DISK);
    step("disk of the machine", &mut disk)?;
    fs::remove_dir_all(&root)?;
    Ok(())
}

/// Puts Debian packages into a folder.
fn debootstrap(variant: &str, packages: &[&str], root: &Path, suites: &[&str]) -> Result<Command> {
    let mirror = mirror().context("the Debian archive is not known any more")?;
    // A mirror that stands still will do: what is built from it is kept for long anyway.
    let source = |suite: &&str| format!("deb [check-valid-until=no] {mirror} {suite} main");
    let mut command = program("mmdebstrap")?;
    command
        .args(["--mode=root", &format!("--variant={variant}")])
        .arg("--aptopt=APT::Install-Recommends \"false\"")
        // A mirror that is being updated, or is busy for a moment.
        .arg("--aptopt=Acquire::Retries \"3\"")
        .arg(format!("--aptopt=APT::Default-Release \"{RELEASE}\""))
        .arg(format!("--include={}", packages.join(",")))
        .arg(RELEASE)
        .arg(root)
        .args(suites.iter().map(source));
    Ok(command)
}

/// Where Debian's packages come from: whoever says so, or where this machine gets its own.
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
    // Not in everybody's PATH, and all the same there.
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin"), PathBuf::from("/sbin")]);
    folders.map(|folder| folder.join(program)).find(|it| it.is_file())
}

/// Starts a program that was found to be installed.
fn program(name: &str) -> Result<Command> {
    let path = find(name).with_context(|| format!("{name} is not installed any more"))?;
    Ok(Command::new(path))
}

fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|value| value == "true")
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output();
    output.is_ok_and(|output| output.stdout == b"0\n")
}
