//! Counts words that stand where a term of the glossary belongs (CONTRIBUTING.md, plain language).
//!
//! The count of each folder is committed. The sum may only fall: a change that adds such a word fails,
//! and one that removes a word has to record that, so that the word cannot come back.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};

use super::source::{Language, Source, numbered};
use crate::cache;

/// Each with its forms, lower case; of two words the second one has to follow the first.
const WORDS: [(&str, Option<&str>); 15] = [
    ("anew", None),
    ("go", Some("on")),
    ("goes", Some("on")),
    ("going", Some("on")),
    ("went", Some("on")),
    ("mend", None),
    ("mended", None),
    ("mends", None),
    ("nobody", None),
    ("people", None),
    ("said", None),
    ("seen", None),
    ("somebody", None),
    ("told", None),
    ("whoever", None),
];

/// The committed counts.
const FILE: &str = "xtask/tidy-words.txt";

const HEADER: &str = "\
# How often the words of xtask/src/tidy/words.rs occur in each folder. The sum may only fall.
# Written by `cargo xtask tidy --write`; `cargo xtask tidy --words <folder>` lists the places.
";

/// How many words each folder has.
type Counts = BTreeMap<String, usize>;

/// Fails unless the counts are those that are committed.
pub(super) fn check(sources: &[Source]) -> Result<()> {
    compare(&count(sources), &committed()?)
}

fn compare(now: &Counts, committed: &Counts) -> Result<()> {
    let mut grown = vec![];
    for (folder, count) in now {
        let before = committed.get(folder).copied().unwrap_or(0);
        if *count > before {
            grown.push(format!(
                "{folder}: {count} listed words, {before} so far; `cargo xtask tidy --words {folder}` lists them"
            ));
        }
    }
    ensure!(
        grown.is_empty(),
        "use the words of the glossary (CONTRIBUTING.md), or after a move between folders run \
         `cargo xtask tidy --write`:\n  {}",
        grown.join("\n  ")
    );
    ensure!(
        now == committed,
        "there are fewer listed words than {FILE} says: run `cargo xtask tidy --write` and commit it"
    );
    Ok(())
}

/// Writes the counts, unless their sum has grown.
pub(super) fn write(sources: &[Source]) -> Result<()> {
    let now = count(sources);
    let path = path();
    if path.is_file() {
        may_replace(&committed()?, &now)?;
    }
    fs::write(&path, text(&now)).with_context(|| format!("cannot write {}", path.display()))
}

fn may_replace(committed: &Counts, now: &Counts) -> Result<()> {
    let sum = |counts: &Counts| counts.values().sum::<usize>();
    let (before, after) = (sum(committed), sum(now));
    ensure!(
        after <= before,
        "{after} listed words instead of {before}: the sum may only fall"
    );
    Ok(())
}

/// Every place in a folder where a listed word stands.
pub(super) fn places(sources: &[Source], folder: &str) -> Vec<String> {
    let mut places = vec![];
    for source in sources.iter().filter(|source| folder_of(&source.path) == folder) {
        for (number, line) in views(source).into_iter().flat_map(numbered) {
            for word in listed(line) {
                places.push(format!("{}:{number}: {word}", source.path));
            }
        }
    }
    places
}

fn count(sources: &[Source]) -> Counts {
    let mut counts = Counts::new();
    for source in sources {
        let found: usize = views(source)
            .into_iter()
            .flat_map(str::lines)
            .map(|line| listed(line).len())
            .sum();
        if found > 0 {
            *counts.entry(folder_of(&source.path).to_owned()).or_default() += found;
        }
    }
    counts
}

/// Names in code count too: a reader meets them as words.
fn views(source: &Source) -> Vec<&str> {
    let mut views = source.prose();
    if source.language == Language::Rust {
        views.push(&source.rust.code);
    }
    views
}

/// The top folder: within it, text may move freely.
fn folder_of(path: &str) -> &str {
    path.split_once('/').map_or(".", |(folder, _)| folder)
}

/// The listed words in a line.
fn listed(line: &str) -> Vec<&'static str> {
    let words = words(line);
    let mut found = vec![];
    for (at, word) in words.iter().enumerate() {
        let next = words
            .get(at + 1)
            .filter(|next| next.follows)
            .map(|next| next.text.as_str());
        let is_listed = |entry: &(&str, Option<&str>)| entry.0 == word.text && (entry.1.is_none() || entry.1 == next);
        found.extend(WORDS.iter().find(|entry| is_listed(entry)).map(|entry| entry.0));
    }
    found
}

struct Word {
    text: String,
    /// Only a blank is between this word and the one before.
    follows: bool,
}

/// The words of a line, lower case; names such as `was_told` and `LastSeen` are several.
fn words(line: &str) -> Vec<Word> {
    let mut words: Vec<Word> = vec![];
    let (mut previous, mut gap) = (' ', 0);
    // Most lines of a view are blank.
    for c in line.trim().chars() {
        if c.is_alphanumeric() {
            let is_hump = c.is_uppercase() && previous.is_lowercase();
            match words.last_mut() {
                Some(word) if gap == 0 && !is_hump => word.text.extend(c.to_lowercase()),
                Some(_) | None => words.push(Word {
                    text: c.to_lowercase().collect(),
                    follows: gap == 1 && previous == ' ',
                }),
            }
            gap = 0;
        } else {
            gap += 1;
        }
        previous = c;
    }
    words
}

fn text(counts: &Counts) -> String {
    let lines: String = counts
        .iter()
        .map(|(folder, count)| format!("{folder} {count}\n"))
        .collect();
    format!("{HEADER}{lines}")
}

fn committed() -> Result<Counts> {
    let path = path();
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).context(FILE)
}

fn parse(text: &str) -> Result<Counts> {
    let mut counts = Counts::new();
    for (number, line) in numbered(text).filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let Some((folder, count)) = line.split_once(' ') else {
            bail!("line {number}: write `<folder> <count>`");
        };
        let count = count.parse().with_context(|| format!("line {number}: {count:?}"))?;
        counts.insert(folder.to_owned(), count);
    }
    Ok(counts)
}

fn path() -> PathBuf {
    cache::workspace().join(FILE)
}

#[cfg(test)]
mod tests {
    use super::{Counts, compare, count, listed, may_replace, parse, places, text};
    use crate::tidy::source::Source;

    fn counts(list: &[(&str, usize)]) -> Counts {
        list.iter()
            .map(|(folder, count)| ((*folder).to_owned(), *count))
            .collect()
    }

    #[test]
    fn words_are_found_in_comments_strings_names_and_pages() {
        let rust = "// Nobody waits.\nfn was_told(last: LastSeen) { print(\"it goes on\") }\n";
        let sources = [
            Source::new("a/src/b.rs", rust).unwrap(),
            Source::new("README.md", "People, anew.\n").unwrap(),
        ];
        assert_eq!(count(&sources), counts(&[(".", 2), ("a", 4)]));
        let found = places(&sources, "a");
        assert!(found.contains(&"a/src/b.rs:2: told".to_owned()), "{found:?}");
        assert!(found.contains(&"a/src/b.rs:1: nobody".to_owned()), "{found:?}");
    }

    #[test]
    fn a_word_inside_another_one_does_not_count() {
        assert_eq!(
            listed("unseen recommend renewed MANEW go once, put `go` on the PATH; go, on"),
            Vec::<&str>::new()
        );
    }

    #[test]
    fn more_words_than_committed_are_refused() {
        let committed = counts(&[("a", 3), ("b", 1)]);
        assert!(compare(&committed, &committed).is_ok());
        let error = compare(&counts(&[("a", 4), ("b", 0)]), &committed).unwrap_err();
        assert!(error.to_string().contains("a: 4 listed words, 3 so far"), "{error}");
        let error = compare(&counts(&[("a", 3), ("b", 1), ("c", 1)]), &committed).unwrap_err();
        assert!(error.to_string().contains("c: 1 listed words, 0 so far"), "{error}");
    }

    #[test]
    fn fewer_words_have_to_be_recorded() {
        let error = compare(&counts(&[("a", 2)]), &counts(&[("a", 3)])).unwrap_err();
        assert!(error.to_string().contains("--write"), "{error}");
    }

    #[test]
    fn words_may_move_between_folders_but_their_sum_may_not_grow() {
        let committed = counts(&[("a", 3), ("b", 1)]);
        assert!(may_replace(&committed, &counts(&[("a", 1), ("b", 3)])).is_ok());
        assert!(may_replace(&committed, &counts(&[("a", 4), ("b", 1)])).is_err());
    }

    #[test]
    fn the_counts_are_read_as_they_were_written() {
        let counts = counts(&[(".", 2), ("a", 4)]);
        assert_eq!(parse(&text(&counts)).unwrap(), counts);
        assert!(parse("a\n").is_err());
    }
}
