//! The folder a rig lives in: state, fake hosts, and one log file per process.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Context as _, Result};
use tempfile::TempDir;

use crate::process::{Process, Program};

/// How much of each log is shown when a test fails: on a machine that is gone afterwards this is
/// all there is.
const LOG_LINES: usize = 25;

/// The rig's own temporary folder. End a test with [`Place::finish`]: a place that is dropped without
/// that belongs to a failed test, so it keeps its files and shows the end of each log.
#[derive(Debug)]
pub struct Place {
    folder: PathBuf,
    /// Removes the folder when dropped.
    guard: Option<TempDir>,
    finished: AtomicBool,
    /// A place that does not finish keeps its files without showing the end of each log.
    quiet: AtomicBool,
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
            guard: Some(guard),
            finished: AtomicBool::new(false),
            quiet: AtomicBool::new(false),
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

    /// A file in it with this content; see [`replace`].
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let path = self.folder.join(name);
        replace(&path, content)?;
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

    /// Shows no log if the place does not finish: for a rig of a hundred processes.
    pub fn be_quiet(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }

    /// The test has passed: the folder goes with the place.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take()
            && !self.finished.load(Ordering::Relaxed)
        {
            let lines = if self.quiet.load(Ordering::Relaxed) {
                0
            } else {
                LOG_LINES
            };
            keep_logs(&guard.keep(), lines);
        }
    }
}

/// Writes a file in one step: a reader of the path meanwhile finds either the whole old content or
/// the whole new one.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    // Two writers of one file must not share a temporary name either.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(format!(".{}-{number}.new", std::process::id()));
    fs::write(&fresh, content)
        .and_then(|()| fs::rename(&fresh, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[allow(clippy::print_stderr, reason = "the test harness shows it with the failed test")]
fn keep_logs(folder: &Path, shown: usize) {
    eprintln!("\nthe rig did not finish; its files are kept in {}", folder.display());
    // Large, and of no use to a reader.
    fs::remove_dir_all(folder.join("etcd")).ok();
    if shown == 0 {
        return;
    }
    let logs = fs::read_dir(folder.join("logs"));
    let mut logs: Vec<PathBuf> = logs.into_iter().flatten().flatten().map(|it| it.path()).collect();
    logs.sort();
    for log in logs {
        let text = fs::read(&log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        eprintln!("\n--- {} ({} lines)", log.display(), lines.len());
        for line in lines.iter().skip(lines.len().saturating_sub(shown)) {
            eprintln!("{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::{Place, replace};

    #[test]
    fn a_place_that_does_not_finish_keeps_its_logs() {
        let place = Place::new().unwrap();
        let folder = place.path().to_path_buf();
        fs::write(folder.join("logs/service.log"), "the reason\n").unwrap();
        drop(place);
        let log = fs::read_to_string(folder.join("logs/service.log"));
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(log.unwrap(), "the reason\n");
    }

    #[test]
    fn a_place_that_finishes_leaves_nothing() {
        let place = Place::new().unwrap();
        let folder = place.path().to_path_buf();
        place.finish();
        drop(place);
        assert!(!folder.exists());
    }

    #[test]
    fn a_reader_never_finds_a_file_in_the_middle_of_a_rewrite() {
        let place = Place::new().unwrap();
        // Large, so that a write in place would take many system calls.
        let (one, other) = ("1".repeat(1 << 20), "2".repeat(1 << 20));
        let path = place.file("file", &one).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..50 {
                    replace(&path, &other).unwrap();
                    replace(&path, &one).unwrap();
                }
                done.store(true, Ordering::Relaxed);
            });
            while !done.load(Ordering::Relaxed) {
                let text = fs::read_to_string(&path).unwrap();
                assert!(text == one || text == other, "{} bytes, mixed or cut", text.len());
            }
        });
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 2, "logs and the file");
        place.finish();
    }
}
