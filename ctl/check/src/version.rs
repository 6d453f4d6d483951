//! Versions as operators, programs and tags of images write them.

/// A version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
}

impl Version {
    /// Reads `v1.36.3`, `2.12.8-alpine` or `1.30`; `None` if it is no version.
    pub(crate) fn read(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('v').unwrap_or(text);
        let numbers = bare.split(['-', '+', '_']).next()?;
        let mut numbers = numbers.split('.').map(|number| number.parse().ok());
        let (major, minor) = (numbers.next()??, numbers.next()??);
        let patch = numbers.next().flatten().unwrap_or_default();
        Some(Self { major, minor, patch })
    }

    /// How many minor versions lie between; more than any if the major differs.
    pub(crate) fn minors_apart(self, other: Self) -> u64 {
        if self.major == other.major {
            self.minor.abs_diff(other.minor)
        } else {
            u64::MAX
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_operators_write_them() {
        let read = |text| Version::read(text).map(|it| (it.major, it.minor, it.patch));
        assert_eq!(read("v1.36.3"), Some((1, 36, 3)));
        assert_eq!(read("2.12.8-alpine"), Some((2, 12, 8)));
        assert_eq!(read("1.30"), Some((1, 30, 0)));
        for other in ["", "dev", "latest", "7"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
