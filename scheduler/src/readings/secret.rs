//! Files of secrets that policies name, such as tokens. They are read for each query, so a secret that is renewed
//! counts from the next query on.
//!
//! A policy names files below one folder and nothing else: else a user who may write policies could have the
//! scheduler send its own token to any server.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Where the secret of the gates is mounted.
pub(crate) const DEFAULT_FOLDER: &str = "/etc/bellwether/gates";

/// How large a file may be: far more than a token or the certificates of all public authorities.
const BYTES_MAX: u64 = 1 << 20;

/// The content of a file in `folder`. A mounted secret is in memory, so that reading it does not wait.
///
/// # Errors
/// The text names the file and the remedy.
pub(super) fn read(folder: &Path, file: &str) -> Result<String, String> {
    let path = folder.join(file);
    let shown = path.display();
    let mut text = String::new();
    let read = File::open(&path).and_then(|file| file.take(BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_) if text.trim().is_empty() => Err(format!("the file {shown} is empty: put the value into the secret")),
        Ok(_) => Ok(text),
        Err(error) => Err(format!(
            "the file {shown} cannot be read ({error}): add it to the secret that the scheduler mounts there"
        )),
    }
}

/// The content of a file that has one line.
///
/// # Errors
/// As [`read`].
pub(super) fn read_line(folder: &Path, file: &str) -> Result<String, String> {
    let text = read(folder, file)?;
    let line = text.trim();
    // It would end up in a header.
    if line.chars().any(char::is_control) {
        let shown = folder.join(file);
        return Err(format!("the file {} has more than one line", shown.display()));
    }
    Ok(line.to_owned())
}
