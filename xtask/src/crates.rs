//! Tools that come as crates: compiled into the cache, once.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::{cache, progress};

/// Compiles the program `name` of the crate of that name; returns its path.
pub(crate) fn tool(name: &str, version: &str, flags: &[&str]) -> Result<String> {
    let parts = [name.as_bytes(), version.as_bytes(), &flags.join(" ").into_bytes()];
    let entry = format!("{name}-{version}-{}", cache::fingerprint(&parts));
    let folder = cache::entry(&entry, |folder: &Path| {
        let mut command = Command::new("cargo");
        command
            .args(["install", "--locked", "--version", version, "--root"])
            .arg(folder)
            .args(flags)
            .arg(name)
            // Outside the workspace, whose settings are not meant for it.
            .current_dir(folder)
            .env_remove("CARGO_TARGET_DIR");
        let label = format!("compiling {name} {version}");
        progress::run(&label, &mut command, &folder.join("install.log"))
    })?;
    Ok(folder.join("bin").join(name).to_string_lossy().into_owned())
}
