//! Which file of a crate uses which other file of it, by the paths in its code.
//!
//! A module is a file. Code that is only compiled for tests is left out. A name that a module exports
//! again (`pub use`) belongs to the file that defines it.

use std::collections::{BTreeMap, BTreeSet};

use super::rust::is_word;
use super::source::{Language, Source};

/// A path of a module from the root of its crate, such as `["images", "arch"]`.
type ModulePath = Vec<String>;

/// How the user and the used file stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// From a module to its own child, or the child's child.
    Down,
    /// From a module to its parent, or the parent's parent.
    Up,
    /// All else.
    Aside,
}

/// One file uses another one.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) direction: Direction,
    /// Where, as `line: path`.
    pub(super) place: String,
}

/// All uses between files of all crates, one for each pair of files.
pub(super) fn edges(sources: &[Source]) -> Vec<Edge> {
    let rust = sources.iter().filter(|source| source.language == Language::Rust);
    let files: BTreeMap<&str, &Source> = rust.map(|source| (source.path.as_str(), source)).collect();
    let roots = files.keys().filter(|path| is_root(path));
    roots.flat_map(|root| Crate::load(root, &files).edges()).collect()
}

/// Whether a file is where the compiler begins: a library, a program, or a collection of tests.
fn is_root(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        [.., "main.rs" | "lib.rs"] | [.., "src", "bin", _] | [.., "tests" | "benches" | "examples", _]
    )
}

struct Module {
    file: String,
    tokens: Vec<Token>,
    /// Names that it exports again, with the path that they stand for.
    exported: BTreeMap<String, ModulePath>,
}

struct Crate(BTreeMap<ModulePath, Module>);

impl Crate {
    /// Reads the files that belong to the crate of this root.
    fn load(root: &str, files: &BTreeMap<&str, &Source>) -> Self {
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let mut modules = BTreeMap::new();
        let mut next = vec![(ModulePath::new(), root.to_owned(), folder)];
        while let Some((path, file, folder)) = next.pop() {
            let Some(source) = files.get(file.as_str()) else {
                continue;
            };
            let tokens = without_tests(tokens(&source.rust.code));
            for name in declared(&tokens) {
                let below = format!("{folder}/{name}");
                let child = [format!("{below}.rs"), format!("{below}/mod.rs")]
                    .into_iter()
                    .find(|file| files.contains_key(file.as_str()));
                let path = [path.as_slice(), &[name]].concat();
                next.extend(child.map(|file| (path, file, below)));
            }
            let exported = exported(&tokens);
            modules.insert(path, Module { file, tokens, exported });
        }
        Self(modules)
    }

    fn edges(&self) -> Vec<Edge> {
        let mut seen = BTreeSet::new();
        let mut edges = vec![];
        for (path, module) in &self.0 {
            for used in paths(&module.tokens) {
                let Some(target) = self.resolve(path, &used.segments, 0) else {
                    continue;
                };
                let direction = match (target.starts_with(path), path.starts_with(&target)) {
                    (true, true) => continue,
                    (true, false) => Direction::Down,
                    (false, true) => Direction::Up,
                    (false, false) => Direction::Aside,
                };
                let Some(to) = self.0.get(&target) else {
                    continue;
                };
                if seen.insert((module.file.clone(), to.file.clone())) {
                    edges.push(Edge {
                        from: module.file.clone(),
                        to: to.file.clone(),
                        direction,
                        place: format!("{}: {}", used.line, used.segments.join("::")),
                    });
                }
            }
        }
        edges
    }

    /// The module that a path in `from` leads to; none if it leaves the crate.
    fn resolve(&self, from: &ModulePath, segments: &[String], depth: usize) -> Option<ModulePath> {
        let (first, mut rest) = segments.split_first()?;
        let mut at = match first.as_str() {
            "crate" => vec![],
            "self" => from.clone(),
            "super" => from.split_last()?.1.to_vec(),
            child => {
                let path = [from.as_slice(), &[child.to_owned()]].concat();
                self.0.contains_key(&path).then_some(path)?
            }
        };
        while let Some((segment, after)) = rest.split_first() {
            let child = [at.as_slice(), std::slice::from_ref(segment)].concat();
            if segment == "super" {
                at.pop()?;
            } else if self.0.contains_key(&child) {
                at = child;
            } else {
                let exported = self.0.get(&at).and_then(|module| module.exported.get(segment));
                // Bounded, since names may be exported in a circle.
                return match exported {
                    Some(target) if depth < 8 => Some(self.resolve(&at, target, depth + 1).unwrap_or(at)),
                    Some(_) | None => Some(at),
                };
            }
            rest = after;
        }
        Some(at)
    }
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    line: usize,
}

/// Words, `::`, and single signs.
fn tokens(code: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = vec![];
    let (mut line, mut previous) = (1, ' ');
    for c in code.chars() {
        let joins = is_word(c) && is_word(previous) || c == ':' && previous == ':';
        match tokens.last_mut() {
            Some(token) if joins && token.text != "::" => token.text.push(c),
            Some(_) | None if !c.is_whitespace() => tokens.push(Token {
                text: c.to_string(),
                line,
            }),
            Some(_) | None => {}
        }
        line += usize::from(c == '\n');
        previous = c;
    }
    tokens
}

/// Leaves out each item that is compiled for tests only.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const FOR_TESTS: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = vec![];
    let mut rest = tokens.as_slice();
    while let Some((first, after)) = rest.split_first() {
        let begins = rest.iter().zip(FOR_TESTS).filter(|(token, text)| token.text == *text);
        if begins.count() == FOR_TESTS.len() {
            rest = after_item(rest.get(FOR_TESTS.len()..).unwrap_or_default());
        } else {
            kept.push(first.clone());
            rest = after;
        }
    }
    kept
}

/// What follows an item: it ends with `;`, or with the `}` of its body.
fn after_item(tokens: &[Token]) -> &[Token] {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text.as_str() {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && matches!(token.text.as_str(), ";" | "}") {
            return tokens.get(at + 1..).unwrap_or_default();
        }
    }
    &[]
}

/// The modules that a file declares as files of their own.
fn declared(tokens: &[Token]) -> Vec<String> {
    let declarations = tokens.windows(3).filter_map(|three| match three {
        [word, name, end] if word.text == "mod" && end.text == ";" => Some(name.text.clone()),
        _ => None,
    });
    declarations.collect()
}

/// A path in the code.
struct Used {
    segments: Vec<String>,
    line: usize,
}

/// All paths, of `use` and elsewhere.
fn paths(tokens: &[Token]) -> Vec<Used> {
    let mut found = vec![];
    let mut previous = "";
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        let begins = !matches!(previous, "::" | "." | "in" | "$") && token.text.starts_with(is_word);
        previous = token.text.as_str();
        if begins && after.first().is_some_and(|next| next.text == "::") {
            let mut all = vec![];
            rest = tree(rest, &mut vec![], &mut all);
            found.extend(all.into_iter().map(|(segments, _)| Used {
                segments,
                line: token.line,
            }));
        } else {
            rest = after;
        }
    }
    found
}

/// What a file exports again, each name with its path.
fn exported(tokens: &[Token]) -> BTreeMap<String, ModulePath> {
    let mut all = vec![];
    let mut previous = "";
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        // `pub use` or `pub(crate) use`.
        if token.text == "use" && matches!(previous, "pub" | ")") {
            tree(after, &mut vec![], &mut all);
        }
        previous = token.text.as_str();
        rest = after;
    }
    all.into_iter()
        .filter_map(|(path, name)| Some((name.or_else(|| path.last().cloned())?, path)))
        .collect()
}

/// A path, and the name that `as` gives it.
type Named = (ModulePath, Option<String>);

/// Reads one path, or a tree of paths with a common beginning; returns what follows.
fn tree<'a>(mut rest: &'a [Token], above: &mut ModulePath, found: &mut Vec<Named>) -> &'a [Token] {
    let depth = above.len();
    let mut name = None;
    while let Some((token, after)) = rest.split_first() {
        match token.text.as_str() {
            "{" if above.len() > depth => {
                rest = group(after, above, found);
                above.truncate(depth);
                return rest;
            }
            word if word.starts_with(is_word) => {
                above.push(word.to_owned());
                rest = after;
            }
            // A glob, or the type arguments of a call.
            _ => break,
        }
        match rest {
            [next, after @ ..] if next.text == "::" => rest = after,
            [next, alias, after @ ..] if next.text == "as" => {
                name = Some(alias.text.clone());
                rest = after;
                break;
            }
            _ => break,
        }
    }
    if above.len() > depth {
        found.push((above.clone(), name));
    }
    above.truncate(depth);
    rest
}

/// Reads the paths between braces; returns what follows the closing one.
fn group<'a>(mut rest: &'a [Token], above: &mut ModulePath, found: &mut Vec<Named>) -> &'a [Token] {
    while let Some((token, after)) = rest.split_first() {
        rest = match token.text.as_str() {
            "}" => return after,
            word if word.starts_with(is_word) => tree(rest, above, found),
            _ => after,
        };
    }
    rest
}
