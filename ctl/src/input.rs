//! Texts that the user names: files, and standard input as `-`.

use std::io::Read as _;
use std::path::Path;
use std::{fs, io};

/// Reads all of it.
pub(crate) fn read(file: &Path) -> io::Result<String> {
    if file.as_os_str() == "-" {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(file)
}
