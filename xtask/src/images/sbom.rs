//! The list of the parts of each image, as CycloneDX: the crates by `cargo cyclonedx`, and the two libraries
//! that cargo does not know of, the C library and Rust's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::arch::{Arch, Toolchain};
use super::compile::rustc;
use super::service::Service;
use crate::git::git;
use crate::{crates, progress};

const VERSION: &str = "0.5.9";

/// The file with the list of one image.
pub(crate) fn file(service: &Service, arch: Arch) -> String {
    format!("{}.{}.cdx.json", service.name, arch.name())
}

/// Writes the lists of `services` for one architecture. `tree` is a copy of the working tree: the tool
/// writes beside the manifests that it reads.
pub(crate) fn write(tree: &Path, services: &[&Service], toolchain: &Toolchain, out: &Path) -> Result<()> {
    // Without optimisation: quicker to compile, and it checks what it writes.
    let program = crates::tool("cargo-cyclonedx", VERSION, &["--debug"])?;
    let mut command = Command::new(program);
    command
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5"])
        .args(["--target", toolchain.target, "--manifest-path"])
        .arg(tree.join("Cargo.toml"))
        .current_dir(tree)
        // The commit's time instead of now, and no random serial number.
        .env(
            "SOURCE_DATE_EPOCH",
            git(&["log", "-1", "--format=%ct"]).unwrap_or_else(|_| "0".to_owned()),
        );
    let label = format!("listing what the images for {} are made of", toolchain.arch.name());
    progress::run(&label, &mut command, &tree.join("cyclonedx.log"))?;
    let linked = [c_library(toolchain)?, rust_library()?];
    for service in services {
        let made = tree.join(service.name).join(format!("{}.cdx.json", service.package));
        let text = fs::read_to_string(&made).with_context(|| format!("cannot read {}", made.display()))?;
        let text = complete(&text, tree, &linked).with_context(|| format!("{} is unexpected", made.display()))?;
        let path = out.join(file(service, toolchain.arch));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// A library that cargo does not know of.
struct Library {
    name: &'static str,
    version: String,
    /// The name by which scanners find the library.
    purl: String,
}

impl Library {
    fn new(name: &'static str, version: String) -> Self {
        let purl = format!("pkg:generic/{name}@{version}");
        Self { name, version, purl }
    }
}

/// Adds the libraries of the machine, and takes the machine's paths out.
fn complete(text: &str, tree: &Path, linked: &[Library]) -> Result<String> {
    let text = text.replace(&tree.display().to_string(), "/bellwether");
    let mut bom: Value = serde_json::from_str(&text)?;
    let components = bom.get_mut("components").and_then(Value::as_array_mut);
    let components = components.context("there is no list \"components\"")?;
    components.extend(linked.iter().map(|Library { name, version, purl }| {
        json!({
            "type": "library", "bom-ref": purl, "name": name, "version": version,
            "scope": "required", "purl": purl,
        })
    }));
    Ok(serde_json::to_string_pretty(&bom)? + "\n")
}

/// The C library that is linked in.
fn c_library(toolchain: &Toolchain) -> Result<Library> {
    if toolchain.target.ends_with("musl") {
        // Rust brings its own.
        return Ok(Library::new("musl-of-rust", rustc_version(&rustc(&["--version"])?)?));
    }
    if let Some(library) = debian_library(toolchain) {
        return Ok(library);
    }
    if toolchain.linker.is_some() {
        // The other compiler brought the library and does not report its version.
        return Ok(Library::new("glibc", "unknown".to_owned()));
    }
    let output = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .context("cannot run `getconf`, which says the version of the C library")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let Some(("glibc", version)) = text.split_once(' ') else {
        bail!("`getconf GNU_LIBC_VERSION` printed {text:?} and not a name and a version");
    };
    Ok(Library::new("glibc", version.to_owned()))
}

/// The same where Debian's tools know the package, with the revision that security fixes change.
fn debian_library(toolchain: &Toolchain) -> Option<Library> {
    let arch = toolchain.arch.name();
    let package = match toolchain.linker {
        Some(_) => format!("libc6-dev-{arch}-cross"),
        None => "libc6-dev".to_owned(),
    };
    let output = Command::new("dpkg-query")
        .args(["--show", "--showformat=${Version}", &package])
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let version = String::from_utf8(output.stdout).ok().filter(|it| !it.is_empty())?;
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let distribution = release
        .lines()
        .find_map(|line| line.strip_prefix("ID="))?
        .trim_matches('"');
    let purl = format!("pkg:deb/{distribution}/{package}@{version}?arch={arch}");
    Some(Library {
        name: "glibc",
        version,
        purl,
    })
}

/// Rust's standard library.
fn rust_library() -> Result<Library> {
    Ok(Library::new("rust-std", rustc_version(&rustc(&["--version"])?)?))
}

fn rustc_version(text: &str) -> Result<String> {
    let version = text.split(' ').nth(1);
    Ok(version
        .with_context(|| format!("`rustc --version` printed {text:?}"))?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::{Library, complete, rustc_version};

    #[test]
    fn a_list_of_crates_gets_the_other_libraries_and_loses_the_paths() {
        let text = r#"{"components":[{"name":"a","bom-ref":"path+file:///tmp/x/tree/a#0.1.0"}]}"#;
        let linked = [Library::new("glibc", "2.36".to_owned())];
        let text = complete(text, Path::new("/tmp/x/tree"), &linked).unwrap();
        let bom: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(bom["components"][0]["bom-ref"], "path+file:///bellwether/a#0.1.0");
        assert_eq!(bom["components"][1]["purl"], "pkg:generic/glibc@2.36");
        assert!(complete("{}", Path::new("/"), &[]).is_err());
    }

    #[test]
    fn the_compiler_s_version_is_its_second_word() {
        assert_eq!(rustc_version("rustc 1.95.0 (59807616e 2026-04-14)").unwrap(), "1.95.0");
        assert!(rustc_version("rustc").is_err());
    }
}
