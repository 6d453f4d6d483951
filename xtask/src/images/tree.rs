//! A copy of the working tree in a temporary folder: of what git knows or would add, and nothing else.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use crate::cache;
use crate::git::git;

/// The copy. Its folder is removed when this is dropped, unless [`Tree::keep`] was called.
pub(crate) struct Tree {
    /// The temporary folder, with room for more beside the copy.
    pub(crate) folder: PathBuf,
    kept: bool,
}

impl Tree {
    /// Copies the working tree. `name` tells folders of one run apart.
    pub(crate) fn copy(name: &str) -> Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let folder = format!("bellwether-{name}-{}-{}", std::process::id(), now.as_nanos());
        let folder = std::env::temp_dir().join(folder);
        // New and ours alone: files that another user has prepared there would be built.
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.with_context(|| format!("cannot create {}", folder.display()))?;
        let copy = Self { folder, kept: false };
        let (from, to) = (cache::workspace(), copy.root());
        for file in git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?.split('\0') {
            // A file that was deleted is known until that is committed.
            if file.is_empty() || !from.join(file).is_file() {
                continue;
            }
            let target = to.join(file);
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::copy(from.join(file), &target).with_context(|| format!("cannot copy to {}", target.display()))?;
        }
        Ok(copy)
    }

    /// The copy's root folder.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("tree")
    }

    /// Leaves the folder for the user to look at.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            eprintln!("  cannot remove {}: {error}", self.folder.display());
        }
    }
}
