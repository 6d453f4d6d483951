//! Files that are too long to be read in one go.

use super::Finding;
use super::source::Source;

/// A file has at most so many lines (CONTRIBUTING.md).
const LINES_MAX: usize = 500;

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut found = vec![];
    for source in sources {
        let lines = source.text.lines().count();
        if lines > LINES_MAX {
            found.push(Finding {
                key: format!("length {}", source.path),
                message: format!("{}: {lines} lines, at most {LINES_MAX}: split the file", source.path),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, check};
    use crate::tidy::source::Source;

    #[test]
    fn a_file_of_one_line_too_many_is_found() {
        let file = |lines: usize| Source::new("a/src/b.rs", &"\n".repeat(lines)).unwrap();
        assert!(check(&[file(LINES_MAX)]).is_empty());
        let found = check(&[file(LINES_MAX + 1)]);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].message.contains("a/src/b.rs: 501 lines"),
            "{}",
            found[0].message
        );
    }
}
