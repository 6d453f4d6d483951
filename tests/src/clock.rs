//! The clock of the machine that a process believes to run on: wrong, or set by the test while the process runs.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::place::Place;
use crate::tools;

/// A clock of its own for the processes that are started with its settings.
#[derive(Debug)]
pub struct Clock {
    file: File,
    library: PathBuf,
    path: PathBuf,
}

impl Clock {
    /// A clock that is right, of this name.
    pub fn new(place: &Place, name: &str) -> Result<Self> {
        let path = place.file(&format!("{name}.clock"), 0_i64.to_ne_bytes())?;
        Ok(Self {
            file: OpenOptions::new().write(true).open(&path)?,
            library: tools::binary("libbellwether_clock.so")?,
            path,
        })
    }

    /// Environment of a process that reads this clock.
    #[must_use]
    pub fn settings(&self) -> [(&str, &str); 2] {
        [
            ("LD_PRELOAD", self.library.to_str().unwrap_or_default()),
            ("BELLWETHER_CLOCK", self.path.to_str().unwrap_or_default()),
        ]
    }

    /// Sets the clock this far ahead of the machine's.
    pub fn ahead(&self, by: Duration) -> Result<()> {
        self.set(i64::try_from(by.as_secs())?)
    }

    /// Sets the clock this far behind the machine's.
    pub fn behind(&self, by: Duration) -> Result<()> {
        self.set(-i64::try_from(by.as_secs())?)
    }

    fn set(&self, seconds: i64) -> Result<()> {
        Ok(self.file.write_all_at(&seconds.to_ne_bytes(), 0)?)
    }
}
