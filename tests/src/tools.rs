//! Finds programs: the real servers built by `cargo xtask tools`, and this workspace's own.
//!
//! Both are looked for beside the running binary, so a rig in `target/debug` uses the services of
//! `target/debug`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The folder that cargo builds into.
pub fn target() -> Result<PathBuf> {
    let profile = profile_dir()?;
    Ok(profile.parent().unwrap_or(&profile).to_path_buf())
}

/// A server or tool that `cargo xtask tools` has built, such as `etcd`.
pub fn tool(name: &str) -> Result<PathBuf> {
    let path = target()?.join("tools").join(name);
    if !path.is_file() {
        bail!(
            "{name} is not built yet, run `cargo xtask tools` (looked at {})",
            path.display()
        );
    }
    Ok(path)
}

/// A binary of this workspace, such as `sentinel`.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = profile_dir()?.join(name);
    if !path.is_file() {
        bail!(
            "{name} is not built yet, run `cargo build --workspace --bins` (looked at {})",
            path.display()
        );
    }
    Ok(path)
}

/// A program of this machine, such as `mke2fs`: those of the administrator are not in everybody's `PATH`.
pub fn installed(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|it| it.is_file()));
    found.with_context(|| format!("{name} is not installed: see `cargo xtask test --help`"))
}

/// The repository's root folder.
#[must_use]
pub fn repository() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// `<target>/debug` or the like: the folder of the running binary, without cargo's `deps`.
fn profile_dir() -> Result<PathBuf> {
    let running = std::env::current_exe().context("cannot tell where this program is")?;
    let folder = running.parent().context("this program is in no folder")?;
    let profile = if folder.ends_with("deps") {
        folder.parent()
    } else {
        Some(folder)
    };
    Ok(profile.context("this program is in no target folder")?.to_path_buf())
}
