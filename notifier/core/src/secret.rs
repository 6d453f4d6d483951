//! Names of files with secrets. Their contents are the driver's.

use std::fmt;
use std::path::{Path, PathBuf};

/// A file with a secret, and the field that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secret {
    /// The place in the configuration.
    pub field: String,
    /// The file.
    pub path: PathBuf,
}

impl Secret {
    /// The file at this path, which this field names.
    #[must_use]
    pub fn new(field: &str, path: impl AsRef<Path>) -> Self {
        Self {
            field: field.to_owned(),
            path: path.as_ref().to_owned(),
        }
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.field, self.path.display())
    }
}
