//! Tells code, comments and strings of a Rust file apart.
//!
//! Not a parser: the compiler has accepted the file, so this needs only the rules by which a comment or
//! a literal begins and ends.

/// Three views of one file. Each has the lines of the file, with blanks where another view has text,
/// so a line number means the same in all of them.
#[derive(Debug, Default)]
pub(super) struct Rust {
    pub(super) code: String,
    pub(super) comments: String,
    pub(super) strings: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Code,
    Comment,
    Text,
}

impl Rust {
    pub(super) fn read(text: &str) -> Self {
        let mut reader = Reader {
            rest: text,
            views: Self::default(),
        };
        while !reader.rest.is_empty() {
            reader.step();
        }
        reader.views
    }
}

struct Reader<'a> {
    rest: &'a str,
    views: Rust,
}

impl Reader<'_> {
    /// Reads the code up to the next comment or literal, and that.
    fn step(&mut self) {
        let at = self.rest.find(['/', '"', '\'']).unwrap_or(self.rest.len());
        let (code, rest) = self.rest.split_at_checked(at).unwrap_or((self.rest, ""));
        self.take(at, Kind::Code);
        if rest.starts_with("//") {
            self.take(rest.find('\n').unwrap_or(rest.len()), Kind::Comment);
        } else if rest.starts_with("/*") {
            self.take(block_comment(rest), Kind::Comment);
        } else if rest.starts_with('"') {
            self.literal(match raw_hashes(code) {
                Some(hashes) => raw(rest, &hashes),
                None => quoted(rest, '"'),
            });
        } else if rest.starts_with('\'') && is_character(rest) {
            self.literal(quoted(rest, '\''));
        } else {
            self.take(1, Kind::Code);
        }
    }

    /// A literal that begins with its quote here and whose content ends at this byte. Quotes are code.
    fn literal(&mut self, end: usize) {
        self.take(1, Kind::Code);
        self.take(end.saturating_sub(1), Kind::Text);
        self.take(1, Kind::Code);
    }

    fn take(&mut self, bytes: usize, kind: Kind) {
        // Only a file that ends within a literal is shorter.
        let (text, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        self.rest = rest;
        let blank: Vec<String> = text.split('\n').map(|line| " ".repeat(line.chars().count())).collect();
        let blank = blank.join("\n");
        let views = &mut self.views;
        for (of, view) in [
            (Kind::Code, &mut views.code),
            (Kind::Comment, &mut views.comments),
            (Kind::Text, &mut views.strings),
        ] {
            view.push_str(if of == kind { text } else { &blank });
        }
    }
}

/// The length of a block comment, which may contain others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match (previous, c) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth = depth.saturating_sub(1),
            _ => {
                previous = c;
                continue;
            }
        }
        if depth == 0 {
            return at + 1;
        }
        // `/*/` opens, and does not close at once.
        previous = ' ';
    }
    text.len()
}

/// The hashes of the raw string that begins after this code, if one does.
fn raw_hashes(code: &str) -> Option<String> {
    let before = code.trim_end_matches('#');
    let word = before.rsplit(|c| !is_word(c)).next();
    // The `r` at the end of a longer word begins no raw string.
    matches!(word, Some("r" | "br" | "cr")).then(|| "#".repeat(code.len() - before.len()))
}

/// Where the content of a raw string ends that begins with a quote.
fn raw(text: &str, hashes: &str) -> usize {
    let close = format!("\"{hashes}");
    let after = text.strip_prefix('"').and_then(|content| content.find(&close));
    after.map_or(text.len(), |at| at + 1)
}

/// Where the content of a literal ends that begins with this quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at;
        }
    }
    text.len()
}

/// Whether a quote begins a character and not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::Rust;

    fn words(view: &str) -> Vec<&str> {
        view.split_whitespace().collect()
    }

    #[test]
    fn comments_and_strings_leave_the_code() {
        let rust = Rust::read("let a = \"in // text\"; // out \"there\nb /* one /* two */ three */ c\n");
        assert_eq!(words(&rust.code), ["let", "a", "=", "\"", "\";", "b", "c"]);
        assert_eq!(words(&rust.strings), ["in", "//", "text"]);
        let comments = words(&rust.comments);
        assert_eq!(comments.first(), Some(&"//"));
        assert!(
            comments.contains(&"three") && comments.contains(&"\"there"),
            "{comments:?}"
        );
    }

    #[test]
    fn escapes_raw_strings_and_lifetimes_do_not_confuse() {
        let rust = Rust::read(r##"f(r#"raw " text"#, "a \" b", b'\'', '"', br"x"); g::<'a>('b') // end"##);
        let strings = rust.strings.as_str();
        for text in ["raw \" text", "a \\\" b", "\\'", "x", "b"] {
            assert!(strings.contains(text), "{text}: {strings}");
        }
        assert!(rust.code.contains("g::<'a>('"), "{}", rust.code);
        assert_eq!(words(&rust.comments), ["//", "end"]);
    }

    #[test]
    fn a_word_that_ends_in_r_begins_no_raw_string() {
        let rust = Rust::read("for\"x\"");
        assert_eq!(rust.code.trim(), "for\" \"");
        assert_eq!(rust.strings.trim(), "x");
    }

    #[test]
    fn each_view_has_the_lines_of_the_file() {
        let text = "a\n\"b\nc\" // d\n/* e\nf */ g\n";
        let rust = Rust::read(text);
        for view in [&rust.code, &rust.comments, &rust.strings] {
            assert_eq!(view.lines().count(), text.lines().count());
        }
        assert_eq!(rust.strings.lines().nth(2).map(str::trim), Some("c"));
        assert_eq!(rust.code.lines().nth(4).map(str::trim), Some("g"));
    }

    #[test]
    fn an_unfinished_file_ends_the_reading() {
        for text in ["\"", "r#\"x", "'", "/*", "'\\"] {
            Rust::read(text);
        }
    }
}
