//! Files on which a connection depends, to NATS or to a collector of traces: credentials, headers, certificate authorities.
//!
//! Each try to connect reads them, so that a new content needs no restart. A file that cannot be used is a state to wait
//! in and no reason to end: kubelets bring the files of Secrets and ConfigMaps minutes after the pod has started. No
//! text here holds anything of the content.

use std::fmt;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// No such file is longer: a bundle of all public authorities has 220 KiB. A wrong file does not fill the memory.
const BYTES_MAX: u64 = 1024 * 1024;

/// How long a read may take. A file of a pod is in memory; one on a network that hangs must not hold up the try to
/// connect, which NATS's client ends after five seconds without a cause.
const READ_TIMEOUT: Duration = Duration::from_secs(4);

/// A file, and the flag that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedFile {
    flag: &'static str,
    path: PathBuf,
}

/// A file that cannot be used, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag} {}: the file {fault}", path.display())]
pub(crate) struct FileError {
    flag: &'static str,
    path: PathBuf,
    fault: Fault,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There is none.
    Missing,
    /// It is a directory or a device.
    NoFile,
    /// The system refuses to read it.
    Unreadable(String),
    /// It has no content, or blanks only.
    Empty,
    /// It is longer than any right one.
    TooLong,
    /// Its content is not what the flag names; with what is wrong.
    Malformed(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str(
                "is missing: does the pod mount its volume, and has the Secret or ConfigMap of the volume this key?",
            ),
            Self::NoFile => f.write_str("is a directory or a device: name a file"),
            Self::Unreadable(error) => write!(f, "cannot be read ({error}): may the user of the service read it?"),
            Self::Empty => f.write_str("is empty: fill the Secret or ConfigMap that it comes from"),
            Self::TooLong => write!(f, "is longer than {} KiB: is it the right one?", BYTES_MAX / 1024),
            Self::Malformed(wrong) => write!(f, "{wrong}"),
        }
    }
}

impl NamedFile {
    pub(crate) fn new(flag: &'static str, path: &Path) -> Self {
        let path = path.to_owned();
        Self { flag, path }
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The content as it is now, which is neither empty nor too long.
    pub(crate) async fn read(&self) -> Result<Vec<u8>, FileError> {
        let path = self.path.clone();
        // On a thread of its own: a file that hangs must not stop an agent's only thread.
        let reading = tokio::task::spawn_blocking(move || read(&path));
        match tokio::time::timeout(READ_TIMEOUT, reading).await {
            Ok(Ok(Ok(content))) => Ok(content),
            Ok(Ok(Err(fault))) => Err(self.error(fault)),
            Ok(Err(error)) => Err(self.error(Fault::Unreadable(error.to_string()))),
            Err(_) => {
                let error = format!("no answer within {} s", READ_TIMEOUT.as_secs());
                Err(self.error(Fault::Unreadable(error)))
            }
        }
    }

    /// The same as text.
    pub(crate) async fn read_text(&self) -> Result<String, FileError> {
        let content = self.read().await?;
        String::from_utf8(content).map_err(|_| self.error(Fault::Malformed("holds bytes that are no text (UTF-8)")))
    }

    /// The content is not what the flag names.
    pub(crate) fn malformed(&self, wrong: &'static str) -> FileError {
        self.error(Fault::Malformed(wrong))
    }

    pub(crate) fn error(&self, fault: Fault) -> FileError {
        FileError {
            flag: self.flag,
            path: self.path.clone(),
            fault,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Fault> {
    let fault = |error: std::io::Error| {
        if error.kind() == ErrorKind::NotFound {
            Fault::Missing
        } else {
            Fault::Unreadable(error.to_string())
        }
    };
    // Before it is opened: opening a pipe waits for its writer.
    if !std::fs::metadata(path).map_err(fault)?.is_file() {
        return Err(Fault::NoFile);
    }
    let mut content = Vec::new();
    let file = std::fs::File::open(path).map_err(fault)?;
    file.take(BYTES_MAX + 1).read_to_end(&mut content).map_err(fault)?;
    if u64::try_from(content.len()).is_ok_and(|bytes| bytes > BYTES_MAX) {
        return Err(Fault::TooLong);
    }
    if content.trim_ascii().is_empty() {
        return Err(Fault::Empty);
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, content: &[u8]) -> NamedFile {
        let path = folder.join("token");
        std::fs::write(&path, content).unwrap();
        NamedFile::new("--nats-token", &path)
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_used_is_named_with_its_flag_and_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let missing = NamedFile::new("--nats-token", &folder.path().join("none"));
        let text = missing.read_text().await.unwrap_err().to_string();
        let begin = format!(
            "--nats-token {}/none: the file is missing: does",
            folder.path().display()
        );
        assert!(text.starts_with(&begin), "{text}");
        let directory = NamedFile::new("--nats-token", folder.path());
        assert_eq!(directory.read().await.unwrap_err().fault, Fault::NoFile);
        for (content, fault) in [
            (b"".as_slice(), Fault::Empty),
            (b" \r\n\n", Fault::Empty),
            (&[0xff, 0xfe], Fault::Malformed("holds bytes that are no text (UTF-8)")),
            (&[b'x'; 1024 * 1024 + 1], Fault::TooLong),
        ] {
            let found = file(folder.path(), content).read_text().await.unwrap_err();
            assert_eq!(found.fault, fault);
        }
        let longest = file(folder.path(), &[b'x'; 1024 * 1024]);
        assert!(longest.read_text().await.is_ok());
    }

    #[tokio::test]
    async fn each_read_gives_the_content_of_that_moment() {
        let folder = tempfile::tempdir().unwrap();
        let token = file(folder.path(), b"one");
        assert_eq!(token.read_text().await.unwrap(), "one");
        file(folder.path(), b"two");
        assert_eq!(token.read_text().await.unwrap(), "two");
        std::fs::remove_file(token.path()).unwrap();
        assert_eq!(token.read_text().await.unwrap_err().fault, Fault::Missing);
    }
}
