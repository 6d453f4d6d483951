//! `cargo xtask tidy`: rules of this repository that no stock tool knows.
//!
//! It reads files and nothing else: no tool, no network, and an answer within a second.

mod circles;
mod exceptions;
mod length;
mod modules;
mod rules;
mod rust;
mod source;
mod subjects;
mod words;

use anyhow::{Result, bail};

use exceptions::Exceptions;

pub(crate) const HELP: &str = "\
Check rules of this repository that no stock tool knows.

Usage: cargo xtask tidy [--write]
       cargo xtask tidy --words FOLDER

Checks:
  length    No file of more than 500 lines
  circles   No circle between the files of a crate
  rules     No number of a rule, such as D34, that no page defines
  subjects  No text of subjects, streams and buckets outside proto
  words     Words that stand for a term of the glossary: their number may only fall

What is known and still to be fixed stands in xtask/tidy-exceptions.txt, each with its reason.

Options:
  --write         Record the number of listed words in xtask/tidy-words.txt, if it has fallen
  --words FOLDER  List each place of a listed word in a top folder, or in `.`
";

/// A place where a rule is broken.
#[derive(Debug)]
struct Finding {
    /// How an exception names it: the check and the file.
    key: String,
    /// The place, the fault, and what to do.
    message: String,
}

pub(crate) fn run(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        [] => check(),
        ["--write"] => words::write(&source::without_tidy(source::read_all()?)),
        ["--words", folder] => {
            let sources = source::without_tidy(source::read_all()?);
            let places = words::places(&sources, folder.trim_end_matches('/'));
            places.iter().for_each(|place| println!("{place}"));
            println!("{} listed words in {folder}", places.len());
            Ok(())
        }
        _ => bail!("tidy takes --write, or --words and a folder, and not {args:?}"),
    }
}

/// Fails if a check finds something new, after all findings are shown.
pub(crate) fn check() -> Result<()> {
    let exceptions = Exceptions::read()?;
    let all = source::read_all()?;
    let mut findings = length::check(&all);
    findings.extend(circles::check(&all, |key| exceptions.has(key)));
    let others = source::without_tidy(all);
    findings.extend(rules::check(&others));
    findings.extend(subjects::check(&others)?);
    let left = exceptions.apply(findings);
    if !left.is_empty() {
        bail!("tidy: {} findings\n  {}", left.len(), left.join("\n  "));
    }
    words::check(&others)?;
    println!("  {} files are tidy", others.len());
    Ok(())
}
