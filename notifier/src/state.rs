//! The file that is kept over a restart, replaced in one step.

use std::io;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use bellwether_notifier_core::State;

/// The file in its folder. Above it no state of ours is.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Where the state is kept; none: nowhere.
#[derive(Debug)]
pub(crate) struct StateFile(Option<PathBuf>);

impl StateFile {
    /// The file in this folder, which has to be writable, and its content. A file that cannot be read counts as
    /// none, and a field of another form as empty.
    pub(crate) fn open(folder: Option<&Path>) -> anyhow::Result<(Self, State)> {
        let Some(folder) = folder else {
            tracing::warn!("Without --state, a restart may repeat messages and begins new threads");
            return Ok((Self(None), State::default()));
        };
        let path = folder.join("state.json");
        let state = match read(&path) {
            Ok(state) => state,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "State not readable: messages may be repeated");
                State::default()
            }
        };
        let file = Self(Some(path));
        file.write(&state)
            .with_context(|| format!("--state {}: name a folder that may be written", folder.display()))?;
        Ok((file, state))
    }

    /// Replaces the content.
    pub(crate) fn write(&self, state: &State) -> io::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(state)?)?;
        std::fs::rename(fresh, path)
    }
}

fn read(path: &Path) -> io::Result<State> {
    if std::fs::metadata(path)?.len() > BYTES_MAX {
        return Err(io::Error::other("the file is too long"));
    }
    let (state, lost) = State::read(&std::fs::read(path)?)?;
    if !lost.is_empty() {
        let fields = lost.join(", ");
        tracing::warn!(path = %path.display(), fields, "State partly of another version: messages may be repeated");
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_kept_and_a_broken_one_counts_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let (file, state) = StateFile::open(Some(folder.path())).unwrap();
        assert_eq!(state, State::default());
        let kept: State = serde_json::from_str(r#"{"settled":["ops a:Rebooted"]}"#).unwrap();
        file.write(&kept).unwrap();
        assert_eq!(StateFile::open(Some(folder.path())).unwrap().1, kept);
        let partly = r#"{"settled":["ops a:Rebooted"],"threads":7}"#;
        std::fs::write(folder.path().join("state.json"), partly).unwrap();
        assert_eq!(StateFile::open(Some(folder.path())).unwrap().1, kept);
        std::fs::write(folder.path().join("state.json"), "{").unwrap();
        assert_eq!(StateFile::open(Some(folder.path())).unwrap().1, State::default());
    }

    #[test]
    fn a_folder_that_is_not_there_is_named_with_its_flag() {
        let folder = tempfile::tempdir().unwrap();
        let error = StateFile::open(Some(&folder.path().join("none"))).unwrap_err();
        assert!(format!("{error:#}").contains("--state"), "{error:#}");
    }
}
