//! Many objects, one finding: grouping, and texts about many.

/// As many names as an operator reads; the rest are counted.
const NAMES_MAX: usize = 4;

/// Objects of which the same is true, in the order in which they came: a fleet of a thousand nodes with
/// one mistake is one finding.
#[derive(Debug)]
pub(crate) struct Groups<K>(Vec<(K, Vec<String>)>);

impl<K: PartialEq> Groups<K> {
    pub(crate) fn add(&mut self, key: K, name: &str) {
        self.add_like(key, name, PartialEq::eq);
    }
}

impl<K> Groups<K> {
    pub(crate) fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds to the first group whose key is alike: that one stands for all.
    pub(crate) fn add_like(&mut self, key: K, name: &str, alike: impl Fn(&K, &K) -> bool) {
        match self.0.iter_mut().find(|(known, _)| alike(known, &key)) {
            Some((_, names)) => names.push(name.to_owned()),
            None => self.0.push((key, vec![name.to_owned()])),
        }
    }
}

impl<K> IntoIterator for Groups<K> {
    type Item = (K, Vec<String>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A text without what differs from node to node: ids, ports, processes. Each word with a digit is `#`.
/// Texts of one shape share a finding; nothing else is decided by it.
pub(crate) fn shape(text: &str) -> String {
    let mut shape = String::new();
    for word in text.split_inclusive(|letter: char| !letter.is_alphanumeric()) {
        if word.contains(|letter: char| letter.is_ascii_digit()) {
            shape.push('#');
            shape.push_str(word.trim_start_matches(char::is_alphanumeric));
        } else {
            shape.push_str(word);
        }
    }
    shape
}

/// `a, b, c, d and 9 more`.
pub(crate) fn names<T: AsRef<str>>(all: &[T]) -> String {
    let shown: Vec<&str> = all.iter().take(NAMES_MAX).map(AsRef::as_ref).collect();
    match all.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// `1 node`, `2 nodes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_are_named_by_the_first_few() {
        assert_eq!(names(&["a", "b"]), "a, b");
        assert_eq!(names(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d and 2 more");
    }

    #[test]
    fn texts_that_differ_in_ids_alone_have_one_shape() {
        let denied =
            |sender: &str, pid: u32| format!("denied; sender=\":{sender}\" (uid=0 pid={pid} comm=\"rebooter\")");
        assert_eq!(shape(&denied("1.205", 4711)), shape(&denied("1.9", 12)));
        assert_eq!(shape("dial 10.0.0.7:4222: refused"), "dial #.#.#.#:#: refused");
        assert_ne!(shape("no bus"), shape("no logind"));
        assert_eq!(shape(""), "");
    }

    #[test]
    fn equal_keys_make_one_group() {
        let mut groups = Groups::new();
        for (key, name) in [("x", "1"), ("y", "2"), ("x", "3")] {
            groups.add(key, name);
        }
        let groups: Vec<_> = groups.into_iter().collect();
        assert_eq!(
            groups,
            [("x", vec!["1".to_owned(), "3".to_owned()]), ("y", vec!["2".to_owned()])]
        );
    }
}
