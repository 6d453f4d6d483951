//! Lint tools that come as ready-made Python wheels, pinned by hash in
//! `xtask/tools/wheels/requirements.txt`: seconds instead of minutes of compiling.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{cache, progress};

/// Installs the wheels into the cache, once; returns the folder with their programs.
pub(crate) fn ensure() -> Result<PathBuf> {
    let how = "install Python 3 with pip (https://www.python.org/downloads, or your \
               distribution's packages python3 and python3-pip)";
    let pip = Command::new("python3").args(["-m", "pip", "--version"]).output();
    match pip {
        Ok(output) if output.status.success() => {}
        Ok(_) => bail!("python3 is there but its pip is not: {how}"),
        Err(error) => bail!("cannot run `python3` ({error}): {how}"),
    }
    let pins = cache::workspace().join("xtask/tools/wheels/requirements.txt");
    let text = fs::read(&pins).with_context(|| format!("cannot read {}", pins.display()))?;
    let folder = cache::entry(&format!("wheels-{}", cache::fingerprint(&[&text])), |folder| {
        let mut command = Command::new("python3");
        command
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--no-deps"])
            .args(["--only-binary", ":all:", "--require-hashes", "--target"])
            .arg(folder)
            .arg("--requirement")
            .arg(&pins);
        progress::run("installing typos and buf", &mut command, &folder.join("pip.log"))
    })?;
    Ok(folder.join("bin"))
}
