//! Circles between the files of a crate: none of their files can be understood, tested or moved alone.
//!
//! A module and its own children belong together: it uses them, and they use its types. So the ways up
//! and the ways down are each fine, and never count in the same circle.

use std::collections::{BTreeMap, VecDeque};

use super::Finding;
use super::modules::{Direction, Edge, edges};
use super::source::Source;

/// `is_excepted` takes the key of a finding. A use that is excepted closes no circle for the others.
pub(super) fn check(sources: &[Source], is_excepted: impl Fn(&str) -> bool) -> Vec<Finding> {
    let edges = edges(sources);
    let mut found: BTreeMap<String, Finding> = BTreeMap::new();
    for left_out in [Direction::Up, Direction::Down] {
        let whole: Vec<&Edge> = edges.iter().filter(|edge| edge.direction != left_out).collect();
        let rest = whole.iter().copied().filter(|edge| !is_excepted(&key(edge)));
        let (whole, rest) = (Graph::new(whole.iter().copied()), Graph::new(rest));
        for edge in edges.iter().filter(|edge| edge.direction != left_out) {
            let graph = if is_excepted(&key(edge)) { &whole } else { &rest };
            if let Some(back) = graph.shortest(&edge.to, &edge.from) {
                found.entry(key(edge)).or_insert_with(|| finding(edge, &back));
            }
        }
    }
    found.into_values().collect()
}

fn key(edge: &Edge) -> String {
    format!("circles {} -> {}", edge.from, edge.to)
}

/// One use that closes a circle, with the way back.
fn finding(edge: &Edge, back: &[&str]) -> Finding {
    Finding {
        key: key(edge),
        message: format!(
            "{}:{} closes a circle: {} -> {}",
            edge.from,
            edge.place,
            edge.from,
            back.join(" -> ")
        ),
    }
}

/// The files that each file uses.
struct Graph<'a>(BTreeMap<&'a str, Vec<&'a str>>);

impl<'a> Graph<'a> {
    fn new(edges: impl Iterator<Item = &'a Edge>) -> Self {
        let mut graph: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for edge in edges {
            graph.entry(&edge.from).or_default().push(&edge.to);
        }
        Self(graph)
    }

    /// The files on the shortest way from one file to another, with both.
    fn shortest(&self, from: &'a str, to: &'a str) -> Option<Vec<&'a str>> {
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::from([(from, from)]);
        let mut next = VecDeque::from([from]);
        while let Some(at) = next.pop_front() {
            if at == to {
                let mut way = vec![to];
                while let Some(before) = way
                    .last()
                    .and_then(|at| came_from.get(at))
                    .filter(|it| Some(*it) != way.last())
                {
                    way.push(before);
                }
                way.reverse();
                return Some(way);
            }
            for used in self.0.get(at).into_iter().flatten() {
                if !came_from.contains_key(used) {
                    came_from.insert(used, at);
                    next.push_back(used);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Source;

    /// The keys of what is found in a crate of these files.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let file = |(path, text): &(&str, &str)| Source::new(&format!("a/src/{path}"), text).unwrap();
        let sources: Vec<Source> = files.iter().map(file).collect();
        check(&sources, |_| false)
            .into_iter()
            .map(|finding| finding.key)
            .collect()
    }

    const ROOT: (&str, &str) = ("lib.rs", "mod one;\nmod two;\nmod three;\n");

    #[test]
    fn two_files_that_use_each_other_are_found() {
        let keys = found(&[
            ROOT,
            ("one.rs", "use crate::two::Two;\n"),
            ("two.rs", "fn f() { super::one::g::<u8>() }\n"),
        ]);
        assert_eq!(
            keys,
            [
                "circles a/src/one.rs -> a/src/two.rs",
                "circles a/src/two.rs -> a/src/one.rs"
            ]
        );
    }

    #[test]
    fn one_excepted_use_opens_the_whole_circle() {
        let sources = [
            ROOT,
            ("one.rs", "use crate::two::Two;\n"),
            ("two.rs", "use crate::one::One;\n"),
        ]
        .map(|(path, text)| Source::new(&format!("a/src/{path}"), text).unwrap());
        let excepted = "circles a/src/one.rs -> a/src/two.rs";
        let keys: Vec<String> = check(&sources, |key| key == excepted)
            .into_iter()
            .map(|finding| finding.key)
            .collect();
        // Still found, so that its exception is known to be needed.
        assert_eq!(keys, [excepted]);
    }

    #[test]
    fn a_circle_over_three_files_is_found_with_its_way() {
        let sources = [
            ("lib.rs", ROOT.1),
            ("one.rs", "use crate::{two::{self, Two}};\n"),
            ("two.rs", "\nuse crate::three::Three as Other;\n"),
            ("three.rs", "use super::one::*;\n"),
        ]
        .map(|(path, text)| Source::new(&format!("a/src/{path}"), text).unwrap());
        let messages: Vec<String> = check(&sources, |_| false)
            .into_iter()
            .map(|finding| finding.message)
            .collect();
        let wanted = "a/src/two.rs:2: crate::three::Three closes a circle: a/src/two.rs -> a/src/three.rs -> \
                      a/src/one.rs -> a/src/two.rs";
        assert!(messages.iter().any(|message| message == wanted), "{messages:#?}");
        assert_eq!(messages.len(), 3);
    }

    #[test]
    fn a_name_that_a_module_exports_again_belongs_to_its_own_file() {
        let files = [
            ROOT,
            ("one.rs", "pub(crate) use part::Part;\nmod part;\n"),
            ("one/part.rs", "use crate::two::Two;\n"),
            ("two.rs", "use crate::one::Part;\n"),
        ];
        let keys = found(&files);
        assert!(
            keys.contains(&"circles a/src/two.rs -> a/src/one/part.rs".to_owned()),
            "{keys:?}"
        );
    }

    #[test]
    fn a_circle_through_a_child_is_found() {
        let down = found(&[
            ROOT,
            ("one.rs", "mod part;\nfn f() { part::g() }\n"),
            ("one/part.rs", "use crate::two::Two;\n"),
            ("two.rs", "use crate::one::One;\n"),
        ]);
        assert!(
            down.contains(&"circles a/src/two.rs -> a/src/one.rs".to_owned()),
            "{down:?}"
        );
        let up = found(&[
            ROOT,
            ("one.rs", "pub mod part;\nuse crate::two::Two;\n"),
            ("one/part.rs", "use super::One;\n"),
            ("two.rs", "use crate::one::part::Part;\n"),
        ]);
        assert!(
            up.contains(&"circles a/src/two.rs -> a/src/one/part.rs".to_owned()),
            "{up:?}"
        );
    }

    #[test]
    fn a_module_and_its_child_may_use_each_other() {
        let files = [
            ROOT,
            ("one.rs", "mod part;\nuse part::Part;\n"),
            ("one/part.rs", "use super::One;\nuse crate::two::Two;\n"),
            ("two.rs", ""),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }

    #[test]
    fn what_only_tests_use_counts_nothing() {
        let files = [
            ROOT,
            ("one.rs", "use crate::two::Two;\n"),
            (
                "two.rs",
                "#[cfg(test)]\nmod tests { use crate::one::One; }\n#[cfg(test)]\n#[path = \"x.rs\"]\nmod more;\n\
                 // crate::one::One\n",
            ),
        ];
        assert_eq!(found(&files), Vec::<String>::new());
    }
}
