//! The folder a rig lives in: state, fake hosts, and one log file per process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::{Process, Program};

/// The rig's own temporary folder.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    /// Removes the folder when dropped; taken out to keep the folder.
    guard: Mutex<Option<TempDir>>,
}

impl Place {
    /// Makes the folder.
    pub fn new() -> Result<Self> {
        let guard = tempfile::Builder::new()
            .prefix("bellwether-")
            .tempdir()
            .context("cannot make a temporary folder")?;
        let place = Self {
            folder: guard.path().to_path_buf(),
            guard: Mutex::new(Some(guard)),
        };
        place.folder("logs")?;
        Ok(place)
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// A folder in it, made when missing.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(path)
    }

    /// A file in it with this content.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Starts a process whose state, if it needs any, goes to the folder `name`, and whose output
    /// goes to `logs/<name>.log`.
    pub fn start(
        &self,
        name: &str,
        path: PathBuf,
        args: Vec<String>,
        env: BTreeMap<String, String>,
    ) -> Result<Process> {
        Process::start(Program {
            name: name.to_owned(),
            path,
            args,
            env,
            home: self.folder(name)?,
            log: self.folder.join("logs").join(format!("{name}.log")),
        })
    }

    /// Leaves the folder where it is when the rig ends, for people to look at; returns it.
    pub fn keep(&self) -> &Path {
        let guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(guard) = guard {
            let _kept = guard.keep();
        }
        &self.folder
    }
}
