//! Questions to git about this repository.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::cache;

/// Runs git in the workspace; returns its output, without the line's end.
pub(crate) fn git(args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(args)
        .current_dir(cache::workspace())
        .output()
        .context("cannot run `git`: install it (https://git-scm.com, or your distribution)")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        bail!("`git {}` failed: {}", args.join(" "), text.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
