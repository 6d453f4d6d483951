//! The files of this repository that tidy looks at.

use std::fs;

use anyhow::{Context as _, Result};

use super::rust::Rust;
use crate::cache;
use crate::git::git;

/// Written by hand in this repository, or made and committed: made files follow the rules of their makers.
const LEFT_OUT: [&str; 1] = [
    // The wire contract of the previous release, kept as it was.
    "proto/tests/golden/previous/",
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Rust,
    Markdown,
    Proto,
}

/// One file.
#[derive(Debug)]
pub(super) struct Source {
    /// From the repository's root, such as `chassis/src/bus.rs`.
    pub(super) path: String,
    pub(super) text: String,
    pub(super) language: Language,
    /// Empty unless the language is Rust.
    pub(super) rust: Rust,
}

impl Source {
    /// None for a file of another language.
    pub(super) fn new(path: &str, text: &str) -> Option<Self> {
        let language = match path.rsplit_once('.')?.1 {
            "rs" => Language::Rust,
            "md" => Language::Markdown,
            "proto" => Language::Proto,
            _ => return None,
        };
        Some(Self {
            path: path.to_owned(),
            text: text.to_owned(),
            rust: match language {
                Language::Rust => Rust::read(text),
                Language::Markdown | Language::Proto => Rust::default(),
            },
            language,
        })
    }

    /// All text that is prose: the whole file, or of Rust comments and strings.
    pub(super) fn prose(&self) -> Vec<&str> {
        match self.language {
            Language::Rust => vec![&self.rust.comments, &self.rust.strings],
            Language::Markdown | Language::Proto => vec![&self.text],
        }
    }
}

/// Reads every file that git knows or would add.
pub(super) fn read_all() -> Result<Vec<Source>> {
    let listed = git(&["ls-files", "-z", "--cached", "--others", "--exclude-standard"])?;
    let mut sources = vec![];
    for path in listed.split('\0') {
        let file = cache::workspace().join(path);
        // A file that was deleted is known until that is committed.
        if LEFT_OUT.iter().any(|left_out| path.starts_with(left_out)) || !file.is_file() {
            continue;
        }
        // Others may be no text at all.
        if Source::new(path, "").is_some() {
            let text = fs::read_to_string(&file).with_context(|| format!("cannot read {path}"))?;
            sources.extend(Source::new(path, &text));
        }
    }
    Ok(sources)
}

/// All but the code of tidy, which spells out in its lists and tests whatever it refuses.
pub(super) fn without_tidy(mut sources: Vec<Source>) -> Vec<Source> {
    sources.retain(|source| !source.path.starts_with("xtask/src/tidy"));
    sources
}

/// The numbers of the lines of a view, from 1, with their text.
pub(super) fn numbered(view: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(view.lines())
}
