//! The artefacts of one run: the findings of each step, for a reader who did not watch; after a failure also
//! the logs of all processes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rig::place::Place;
use rig::tools;

/// So much of a machine's console is shown at once: the end of a boot, or of a panic.
const SHOWN_LINES: usize = 40;

/// The folder of one run.
#[derive(Clone)]
pub(crate) struct Artefacts {
    folder: PathBuf,
}

impl Artefacts {
    /// An empty folder: nothing from an earlier run may pass for this one's.
    pub(crate) fn fresh() -> Result<Self> {
        let folder = tools::target()?.join("node-test");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Where it is.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a text.
    pub(crate) fn keep(&self, name: &str, text: &str) -> Result<()> {
        let path = self.folder.join(format!("{name}.txt"));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Keeps the logs of all processes of the rig, the machines' consoles among them: they exist even if
    /// no machine came up. Prints the end of the consoles, which is all that some CIs keep.
    #[allow(clippy::print_stdout, reason = "a CI keeps the output, and nothing else")]
    pub(crate) fn keep_logs(&self, place: &Place) -> Result<()> {
        let to = self.folder.join("failed-logs");
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(place.folder("logs")?)? {
            let entry = entry?;
            fs::copy(entry.path(), to.join(entry.file_name()))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with("-console.log") {
                let text = fs::read(entry.path())?;
                let text = String::from_utf8_lossy(&text);
                let lines: Vec<&str> = text.lines().collect();
                println!("== the end of {name}");
                for line in lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)) {
                    println!("   {line}");
                }
            }
        }
        Ok(())
    }
}

/// The output, or the error in its place.
pub(crate) fn or_error(result: Result<String>) -> String {
    result.unwrap_or_else(|error| format!("{error:#}\n"))
}
