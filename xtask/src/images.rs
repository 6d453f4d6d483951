//! `cargo xtask images`: container images of the services and of `kubectl reboots`, without a
//! container daemon.
//!
//! An image holds one static binary and nothing else. Where its source, its compiler and its tools
//! are the same, so is its digest.

mod arch;
mod assemble;
mod compile;
mod elf;
mod layout;
mod push;
mod registry;
mod sbom;
mod service;
mod tree;
mod verify;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::git::git;
use crate::{cache, tools};
use assemble::{Assembler, Image};
use compile::Place;
use push::Destination;
pub(crate) use service::in_cluster;
use service::{Origin, SERVICES, Service};
use tree::Tree;

pub(crate) const HELP: &str = "\
Build the container images: one static binary each, without a container daemon.

Usage: cargo xtask images [options]

Writes for each service an image (a folder in OCI layout) and <service>.<arch>.cdx.json (its
parts, CycloneDX). Builds for this machine's architecture, and for the other one where Rust's target
and a linker for it are installed; with both, an image is a multi-architecture index.

Options:
  --only LIST    Only these, separated by commas, such as sentinel,ctl; an unknown name lists all
  --out DIR      Where to write them [default: <target>/images]
  --push NAME    Push them to NAME/<service>, such as registry.example.com/team/bellwether; writes
                 images.yaml, the part of an overlay that names them by digest
  --tag TAG      Tag to push [default: the version]
  --insecure     Push over plain HTTP, or to a registry without a trusted certificate
  --source URL   Where the source is, for the label org.opencontainers.image.source
  --no-sbom      Do not list the parts of the images
  --verify       Build a second time from a copy of the tree elsewhere, compare the digests, and push
                 to a registry on loopback, which has to report the same digests
";

/// The images to build.
#[derive(Clone)]
pub(crate) struct Plan {
    /// Where images and lists go.
    pub(crate) out: PathBuf,
    pub(crate) services: Vec<&'static Service>,
    pub(crate) source: Option<String>,
    /// Whether to list the parts of the images.
    pub(crate) sbom: bool,
    /// Whether to build for the other architecture too, where that is possible.
    pub(crate) foreign: bool,
}

impl Default for Plan {
    /// Everything, into the target folder.
    fn default() -> Self {
        Self {
            out: cache::target_dir().join("images"),
            services: SERVICES.iter().collect(),
            source: None,
            sbom: true,
            foreign: true,
        }
    }
}

/// The use of the images.
enum Then {
    Leave,
    Push(Destination),
    Verify,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let (plan, then) = parse(args)?;
    match then {
        Then::Verify => verify::run(&plan),
        Then::Leave => {
            let images = ensure(&plan)?;
            print!("\n{}", table(&images));
            println!(
                "\nThey are in {}. To push them: --push REGISTRY/PREFIX",
                plan.out.display()
            );
            Ok(())
        }
        Then::Push(destination) => {
            let images = ensure(&plan)?;
            print!("\n{}\n", table(&images));
            let snippet = plan.out.join("images.yaml");
            let text = destination.push(&tools::ensure_crane()?, &images, &snippet)?;
            println!("\n{text}\nThis is in {}.", snippet.display());
            Ok(())
        }
    }
}

/// Builds the images that have changed.
pub(crate) fn ensure(plan: &Plan) -> Result<Vec<Image>> {
    build(plan, &Place::here())
}

/// Compiles the binary of the image of this name for this machine; returns its path.
pub(crate) fn binary(name: &str) -> Result<PathBuf> {
    let (services, toolchains) = (service::parse(name)?, arch::detect(false)?);
    let (Some(service), Some(toolchain)) = (services.first(), toolchains.first()) else {
        bail!("there is no image {name:?} for this machine");
    };
    let label = format!("compiling {} as for its image", service.binary);
    Place::here().compile(service, toolchain, &label)
}

fn build(plan: &Plan, place: &Place) -> Result<Vec<Image>> {
    let crane = tools::ensure_crane()?;
    let toolchains = arch::detect(plan.foreign)?;
    fs::create_dir_all(&plan.out).with_context(|| format!("cannot create {}", plan.out.display()))?;
    let origin = Origin {
        source: plan.source.clone(),
        revision: revision(),
    };
    let mut assembler = Assembler::new(crane, plan.out.clone());
    let mut images = Vec::new();
    let total = plan.services.len() * toolchains.len();
    for service in &plan.services {
        let mut binaries = Vec::new();
        for toolchain in &toolchains {
            let number = images.len() * toolchains.len() + binaries.len() + 1;
            let arch = toolchain.arch.name();
            let label = format!("[{number} of {total}] compiling {} for {arch}", service.binary);
            binaries.push((toolchain.arch, place.compile(service, toolchain, &label)?));
        }
        let labels = service.labels(&place.tree, &origin)?;
        images.push(assembler.image(service, &binaries, &labels)?);
    }
    if plan.sbom {
        let tree =
            Tree::copy("sbom").context("the list of crates is made in a copy of the tree; --no-sbom leaves it out")?;
        for toolchain in &toolchains {
            sbom::write(&tree.root(), &plan.services, toolchain, &plan.out)?;
        }
    } else {
        // An older list would be one of another image.
        for (service, toolchain) in plan
            .services
            .iter()
            .flat_map(|it| toolchains.iter().map(move |to| (it, to)))
        {
            fs::remove_file(plan.out.join(sbom::file(service, toolchain.arch))).ok();
        }
    }
    Ok(images)
}

/// The commit that is built; none outside a repository.
fn revision() -> Option<String> {
    let commit = git(&["rev-parse", "HEAD"]).ok()?;
    let changed = git(&["status", "--porcelain"]).ok()?;
    let mark = if changed.is_empty() { "" } else { "-dirty" };
    Some(format!("{commit}{mark}"))
}

fn parse(args: &[String]) -> Result<(Plan, Then)> {
    let mut plan = Plan::default();
    let (mut repository, mut tag, mut insecure, mut verify) = (None, None, false, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value after it"));
        match arg.as_str() {
            "--only" => plan.services = service::parse(value()?)?,
            // Relative to the folder where the user typed the command.
            "--out" => plan.out = std::env::current_dir()?.join(value()?),
            "--push" => repository = Some(value()?),
            "--tag" => tag = Some(value()?),
            "--insecure" => insecure = true,
            "--source" => plan.source = Some(value()?.clone()),
            "--no-sbom" => plan.sbom = false,
            "--verify" => verify = true,
            other => bail!("images knows no argument {other:?}; see `cargo xtask images --help`"),
        }
    }
    let then = match (repository, verify) {
        (Some(_), true) => bail!("--verify compares and pushes nothing: leave out --push"),
        (Some(repository), false) => {
            let version = env!("CARGO_PKG_VERSION");
            Then::Push(Destination::new(
                repository,
                tag.map_or(version, String::as_str),
                insecure,
            )?)
        }
        (None, _) if tag.is_some() || insecure => bail!("--tag and --insecure are for --push"),
        (None, true) => Then::Verify,
        (None, false) => Then::Leave,
    };
    Ok((plan, then))
}

fn table(images: &[Image]) -> String {
    let mut text = format!(
        "{:<10} {:<6} {:>9} {:>9}  {}\n",
        "IMAGE", "ARCH", "BINARY", "PULLED", "DIGEST"
    );
    for image in images {
        for part in &image.parts {
            text += &format!(
                "{:<10} {:<6} {:>9} {:>9}  {}\n",
                image.service.name,
                part.arch.name(),
                megabytes(part.size),
                megabytes(part.compressed),
                image.digest
            );
        }
    }
    text
}

fn megabytes(bytes: u64) -> String {
    let hundredths = (bytes + 5_000) / 10_000;
    format!("{}.{:02} MB", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::{Plan, SERVICES, Then, megabytes, parse};

    fn parsed(args: &[&str]) -> anyhow::Result<(Plan, Then)> {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        parse(&args)
    }

    #[test]
    fn without_arguments_everything_is_built_and_left() {
        let (plan, then) = parsed(&[]).unwrap();
        assert_eq!(plan.services.len(), SERVICES.len());
        assert!(plan.sbom && plan.out.ends_with("images"));
        assert!(matches!(then, Then::Leave));
    }

    #[test]
    fn a_push_has_the_version_as_its_tag_unless_another_is_given() {
        let tag = |args: &[&str]| match parsed(args).unwrap().1 {
            Then::Push(destination) => (destination.tag, destination.insecure),
            Then::Leave | Then::Verify => panic!("no push"),
        };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        assert_eq!(tag(&["--push", "localhost/b"]), (version, false));
        assert_eq!(
            tag(&["--insecure", "--tag", "x", "--push", "localhost/b"]),
            ("x".to_owned(), true)
        );
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        for (args, named) in [
            (&["--tag", "x"][..], "--push"),
            (&["--insecure"], "--push"),
            (&["--verify", "--push", "localhost/b"], "--verify"),
            (&["--only"], "needs a value"),
            (&["--service", "ctl"], "--service"),
            (&["--only", "centinel"], "sentinel"),
        ] {
            let error = parsed(args).err().unwrap().to_string();
            assert!(error.contains(named), "{args:?}: {error}");
        }
    }

    #[test]
    fn sizes_are_rounded_to_hundredths() {
        assert_eq!(megabytes(5_738_616), "5.74 MB");
        assert_eq!(megabytes(4_999), "0.00 MB");
        assert_eq!(megabytes(2_130_000), "2.13 MB");
    }
}
