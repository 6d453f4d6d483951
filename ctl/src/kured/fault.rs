//! A setting of kured that cannot be read or translated.

use std::fmt;

use super::text::plain;

/// A setting at fault, with the remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The flag, variable or field, such as `--start-time`.
    pub(crate) setting: String,
    /// What is wrong, and the remedy.
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(setting: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            setting: setting.into(),
            message: message.into(),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", plain(&self.setting), plain(&self.message))
    }
}
