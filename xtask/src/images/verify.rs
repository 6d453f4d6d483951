//! Builds everything a second time, elsewhere, and compares: a user with the source can then prove
//! that an image was made of it.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use super::assemble::{Image, Part};
use super::compile::Place;
use super::push::Destination;
use super::registry::Registry;
use super::tree::Tree;
use super::{Plan, build, sbom, table};
use crate::tools;

/// Builds here and in a copy of the working tree that shares no build with it.
pub(crate) fn run(plan: &Plan) -> Result<()> {
    let mut copy = Tree::copy("verify")?;
    let elsewhere = Place {
        tree: copy.root(),
        target: copy.folder.join("target"),
    };
    println!("== here");
    let first = build(plan, &Place::here())?;
    println!("== again, in {}", copy.folder.display());
    let again = Plan {
        out: copy.folder.join("images"),
        ..plan.clone()
    };
    let second = build(&again, &elsewhere)?;

    let mut differences = Vec::new();
    for (one, other) in first.iter().zip(&second) {
        differences.extend(compare(one, other)?);
        if plan.sbom {
            for part in &one.parts {
                let name = sbom::file(one.service, part.arch);
                differences.extend(files(&name, &plan.out.join(&name), &again.out.join(&name))?);
            }
        }
    }
    if differences.is_empty() {
        print!("\n{}\n", table(&first));
        pushed(&first, &copy.folder.join("images.yaml"))?;
        for image in &first {
            println!("  the same twice: {} {}", image.service.name, image.digest);
        }
        return Ok(());
    }
    copy.keep();
    bail!(
        "the second build differs:\n  {}\n  the copy is kept in {}",
        differences.join("\n  "),
        copy.folder.display()
    );
}

/// Pushes them to a registry of our own; fails unless the registry knows them by the same digests.
fn pushed(images: &[Image], snippet: &Path) -> Result<()> {
    let crane = tools::ensure_crane()?;
    let registry = Registry::start(&crane)?;
    let destination = Destination::new(&format!("{}/verify", registry.address), "verify", false)?;
    destination.push(&crane, images, snippet).map(drop)
}

/// The differences between two images that should be the same.
fn compare(one: &Image, other: &Image) -> Result<Vec<String>> {
    if one.digest == other.digest {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for (part, twin) in one.parts.iter().zip(&other.parts) {
        let name = |part: &Part| format!("{} for {}", one.service.binary, part.arch.name());
        found.extend(files(&name(part), &part.binary, &twin.binary)?);
    }
    if found.is_empty() {
        let name = one.service.name;
        found.push(format!(
            "{name}: the binaries are equal, the images made of them are not: {} and {}",
            one.digest, other.digest
        ));
    }
    Ok(found)
}

/// The first difference between two files, if there is one.
fn files(name: &str, one: &Path, other: &Path) -> Result<Option<String>> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    Ok(difference(&read(one)?, &read(other)?).map(|how| format!("{name}: {how}")))
}

fn difference(one: &[u8], other: &[u8]) -> Option<String> {
    let at = one.iter().zip(other).position(|(a, b)| a != b);
    match at {
        None if one.len() == other.len() => None,
        None => Some(format!(
            "{} and {} bytes, equal as far as both go",
            one.len(),
            other.len()
        )),
        Some(at) => Some(format!(
            "{} and {} bytes, different from byte {at} on",
            one.len(),
            other.len()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn a_difference_is_reported_with_its_place() {
        assert_eq!(difference(b"same", b"same"), None);
        assert_eq!(
            difference(b"same", b"sane").unwrap(),
            "4 and 4 bytes, different from byte 2 on"
        );
        assert_eq!(
            difference(b"same", b"same!").unwrap(),
            "4 and 5 bytes, equal as far as both go"
        );
    }
}
