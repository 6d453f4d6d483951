//! The kinds of reboot, and whether a host could be rebooted by each.

use std::fmt;

use crate::problem::Problem;
use crate::wire;

/// Which kind of reboot. See [`wire::RebootKind`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RebootKind {
    /// Through the firmware.
    #[default]
    Full,
    /// By the kernel that is loaded for kexec.
    Kexec,
    /// Of user space alone.
    Soft,
    /// Of a newer version, whose list has this number.
    Unknown(i32),
}

impl RebootKind {
    /// Every kind that this version knows beside the full reboot.
    pub const OTHERS: [Self; 2] = [Self::Kexec, Self::Soft];

    /// The word for texts, labels and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Kexec => "kexec",
            Self::Soft => "soft-reboot",
            Self::Unknown(_) => "unknown",
        }
    }

    /// The kind of a wire value.
    #[must_use]
    pub fn from_wire(value: i32) -> Self {
        match wire::RebootKind::try_from(value) {
            Ok(wire::RebootKind::Unspecified) => Self::Full,
            Ok(wire::RebootKind::Kexec) => Self::Kexec,
            Ok(wire::RebootKind::Soft) => Self::Soft,
            Err(_) => Self::Unknown(value),
        }
    }

    /// The wire value.
    #[must_use]
    pub fn to_wire(self) -> i32 {
        match self {
            Self::Full => wire::RebootKind::Unspecified.into(),
            Self::Kexec => wire::RebootKind::Kexec.into(),
            Self::Soft => wire::RebootKind::Soft.into(),
            Self::Unknown(value) => value,
        }
    }
}

impl fmt::Display for RebootKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        if let Self::Unknown(value) = self {
            write!(f, "({value})")?;
        }
        Ok(())
    }
}

/// Whether a host could be rebooted by one kind of reboot. See [`wire::KindPreflight`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindPreflight {
    /// The kind.
    pub kind: RebootKind,
    /// Why not, if so.
    pub problem: Option<Problem>,
}

impl KindPreflight {
    pub(crate) fn from_wire(wire: wire::KindPreflight) -> Self {
        Self {
            kind: RebootKind::from_wire(wire.kind),
            problem: Problem::from_wire(wire.problem, String::new()),
        }
    }

    pub(crate) fn to_wire(&self) -> wire::KindPreflight {
        wire::KindPreflight {
            kind: self.kind.to_wire(),
            problem: self.problem.as_ref().map(Problem::to_wire),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_and_an_unknown_one_survive_the_wire() {
        let unknown = RebootKind::Unknown(99);
        for kind in RebootKind::OTHERS.into_iter().chain([RebootKind::Full, unknown]) {
            assert_eq!(RebootKind::from_wire(kind.to_wire()), kind);
        }
        assert_eq!(RebootKind::from_wire(0), RebootKind::Full);
        assert_eq!(unknown.to_string(), "unknown(99)");
    }
}
