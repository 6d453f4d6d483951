//! Numbers of rules, such as D34, that no page of this repository defines: a reader cannot look them up.

use std::collections::BTreeSet;

use super::Finding;
use super::rust::is_word;
use super::source::{Language, Source, numbered};

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let pages = sources.iter().filter(|source| source.language == Language::Markdown);
    let defined: BTreeSet<String> = pages
        .flat_map(|page| page.text.lines().filter_map(definition))
        .collect();
    let mut found = vec![];
    for source in sources {
        for (number, line) in source.prose().into_iter().flat_map(numbered) {
            for rule in rules(line).into_iter().filter(|rule| !defined.contains(rule)) {
                found.push(Finding {
                    key: format!("rules {}", source.path),
                    message: format!(
                        "{}:{number}: {rule} is defined on no page: write the rule itself",
                        source.path
                    ),
                });
            }
        }
    }
    found
}

/// The rules that a line names.
fn rules(line: &str) -> Vec<String> {
    // Most lines have neither.
    if !line.contains(['D', 'd']) {
        return vec![];
    }
    let words: Vec<&str> = line.split(|c| !is_word(c)).filter(|word| !word.is_empty()).collect();
    let is_number = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let short = words
        .iter()
        .filter(|word| word.strip_prefix('D').is_some_and(is_number));
    let long = words.windows(2).filter_map(|pair| match pair {
        [word, number] if word.eq_ignore_ascii_case("defect") && is_number(number) => Some(format!("Defect {number}")),
        _ => None,
    });
    short.map(|&word| word.to_owned()).chain(long).collect()
}

/// The rule that a line of a page defines: a heading, a list item or a row of a table that begins with
/// the rule's number.
fn definition(line: &str) -> Option<String> {
    let text = line.trim_start();
    if !text.starts_with(['#', '|', '-', '*']) {
        return None;
    }
    let text = text.trim_start_matches(|c: char| !is_word(c));
    let first = rules(text).into_iter().next()?;
    text.starts_with(&first).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tidy::source::Source;

    fn found(rust: &str, page: &str) -> Vec<String> {
        let sources = [
            Source::new("a/src/b.rs", rust).unwrap(),
            Source::new("docs/rules.md", page).unwrap(),
        ];
        check(&sources).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn a_rule_that_no_page_defines_is_found() {
        let rust = "// A name comes back (D34).\n\n/// Defect 6, D2.\nfn f() { panic!(\"D33: long\") }\n";
        let found = found(rust, "As D34 says.\n");
        // The page names the rule too, which defines nothing.
        for place in [
            "a/src/b.rs:1: D34 ",
            "a/src/b.rs:3: D2 ",
            "a/src/b.rs:3: Defect 6 ",
            "a/src/b.rs:4: D33 ",
            "docs/rules.md:1: D34 ",
        ] {
            assert!(found.iter().any(|it| it.starts_with(place)), "{place}: {found:?}");
        }
    }

    #[test]
    fn a_rule_that_a_page_defines_is_fine() {
        for page in [
            "### D34: names come back\n",
            "| D34 | names come back |\n",
            "- **D34** names\n",
        ] {
            assert_eq!(found("// D34\n", page), Vec::<String>::new(), "{page}");
        }
    }

    #[test]
    fn a_name_that_only_looks_like_a_rule_is_none() {
        assert_eq!(
            found("// D4s_v5, D, 3D, D-Bus, 0xD34, a defect\n", ""),
            Vec::<String>::new()
        );
    }
}
