//! What each image is made of, as CycloneDX: the crates by `cargo cyclonedx`, and the two libraries
//! that cargo does not know of, the C library and Rust's own.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::arch::Toolchain;
use super::compile::rustc;
use super::service::Service;
use crate::git::git;
use crate::{crates, progress};

const VERSION: &str = "0.5.9";

/// Writes `<out>/<service>.cdx.json` for each of `services`. `tree` is a copy of the working tree:
/// the tool writes beside the manifests that it reads.
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
    progress::run(
        "listing what the images are made of",
        &mut command,
        &tree.join("cyclonedx.log"),
    )?;
    let linked = [c_library(toolchain)?, rust_library()?];
    for service in services {
        let made = tree.join(service.name).join(format!("{}.cdx.json", service.package));
        let text = fs::read_to_string(&made).with_context(|| format!("cannot read {}", made.display()))?;
        let text = complete(&text, tree, &linked).with_context(|| format!("{} is unexpected", made.display()))?;
        let path = out.join(format!("{}.cdx.json", service.name));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Adds the libraries of the machine, and takes the machine's paths out.
fn complete(text: &str, tree: &Path, linked: &[(String, String)]) -> Result<String> {
    let text = text.replace(&tree.display().to_string(), "/bellwether");
    let mut bom: Value = serde_json::from_str(&text)?;
    let components = bom.get_mut("components").and_then(Value::as_array_mut);
    components
        .context("it has no list \"components\"")?
        .extend(linked.iter().map(|(name, version)| {
            let purl = format!("pkg:generic/{name}@{version}");
            json!({
                "type": "library", "bom-ref": purl, "name": name, "version": version,
                "scope": "required", "purl": purl,
            })
        }));
    Ok(serde_json::to_string_pretty(&bom)? + "\n")
}

/// Name and version of the C library that is linked in.
fn c_library(toolchain: &Toolchain) -> Result<(String, String)> {
    if toolchain.target.ends_with("musl") {
        // Rust brings its own.
        let version = rustc_version(&rustc(&["--version"])?)?;
        return Ok(("musl-of-rust".to_owned(), version));
    }
    let output = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .context("cannot run `getconf`, which says the version of the C library")?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let Some((name, version)) = text.split_once(' ') else {
        bail!("`getconf GNU_LIBC_VERSION` said {text:?} and not a name and a version");
    };
    Ok((name.to_owned(), version.to_owned()))
}

/// Name and version of Rust's standard library.
fn rust_library() -> Result<(String, String)> {
    Ok(("rust-std".to_owned(), rustc_version(&rustc(&["--version"])?)?))
}

fn rustc_version(text: &str) -> Result<String> {
    let version = text.split(' ').nth(1);
    Ok(version
        .with_context(|| format!("`rustc --version` said {text:?}"))?
        .to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::{complete, rustc_version};

    #[test]
    fn a_list_of_crates_gets_the_other_libraries_and_loses_the_paths() {
        let text = r#"{"components":[{"name":"a","bom-ref":"path+file:///tmp/x/tree/a#0.1.0"}]}"#;
        let linked = [("glibc".to_owned(), "2.36".to_owned())];
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
