//! Where compiled tools are kept, shared by all checkouts of this repository on one machine.
//!
//! An entry is a folder whose name carries a hash of everything that went into it. It appears by
//! one rename once it is complete, so an interrupted build leaves nothing that looks complete.
//! Nothing in here is ever deleted except what an interrupted build left behind.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// Moves the cache away from `~/.cache/bellwether`.
const CACHE_ENV: &str = "BELLWETHER_CACHE";

/// The root folder of this workspace.
pub(crate) fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_path_buf()
}

/// The folder cargo builds into.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => workspace().join(dir),
        None => workspace().join("target"),
    }
}

/// Whether an entry is complete.
pub(crate) fn has(name: &str) -> Result<bool> {
    Ok(root()?.join(name).is_dir())
}

/// Returns the entry's folder, made by `build` (which fills the folder it is given) if it is not
/// there yet. Two runs at once are safe: the second waits for the first, then finds its work.
pub(crate) fn entry(name: &str, build: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let root = root()?;
    let done = root.join(name);
    if done.is_dir() {
        return Ok(done);
    }
    fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
    let _lock = lock(&root.join(format!("{name}.lock")))?;
    if done.is_dir() {
        return Ok(done);
    }
    let unfinished = root.join(format!("{name}.unfinished"));
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished).with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    fs::create_dir_all(&unfinished)?;
    build(&unfinished)?;
    fs::rename(&unfinished, &done)
        .with_context(|| format!("cannot rename {} to {}", unfinished.display(), done.display()))?;
    Ok(done)
}

/// A short name for exactly these parts: equal parts, equal name. FNV-1a, because the name has to
/// be the same for every Rust release, which the standard library's hasher does not promise; the hash
/// tells inputs apart and is no defence against an attacker.
pub(crate) fn fingerprint(parts: &[&[u8]]) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for byte in part.iter().chain(&[0]) {
            hash ^= u64::from(*byte);
            hash = hash.wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

fn root() -> Result<PathBuf> {
    if let Some(dir) = std::env::var_os(CACHE_ENV).filter(|dir| !dir.is_empty()) {
        return Ok(workspace().join(dir));
    }
    if let Some(dir) = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        return Ok(Path::new(&dir).join("bellwether"));
    }
    match std::env::var_os("HOME") {
        Some(home) if home != OsStr::new("") => Ok(Path::new(&home).join(".cache/bellwether")),
        Some(_) | None => bail!("HOME is not set: say where to keep tools with {CACHE_ENV}=<folder>"),
    }
}

fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    if file.try_lock().is_err() {
        println!("  waiting for another run that is building the same tools ...");
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::fingerprint;

    #[test]
    fn a_fingerprint_sees_where_one_part_ends() {
        assert_ne!(fingerprint(&[b"ab", b"c"]), fingerprint(&[b"a", b"bc"]));
    }

    #[test]
    fn a_fingerprint_never_changes_with_the_toolchain() {
        assert_eq!(fingerprint(&[]), "cbf29ce484222325");
    }
}
