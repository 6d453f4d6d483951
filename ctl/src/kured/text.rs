//! Texts of others in our output: without control characters, so that no value ends a comment or colours a terminal.

/// The text with control characters as escapes.
pub(crate) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for letter in text.chars() {
        if letter.is_control() {
            plain.extend(letter.escape_default());
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// The text as comments of YAML, in lines of this width.
pub(crate) fn comment(text: &str, width: usize) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in plain(text).split(' ') {
        if line.len() + word.len() >= width && line.len() > 1 {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push_str(&line);
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_comment() {
        assert_eq!(comment("a\nspec: {}", 80), "# a\\nspec: {}\n");
        assert_eq!(comment("one two three", 10), "# one two\n# three\n");
        assert_eq!(plain("\u{1b}[31m"), "\\u{1b}[31m");
    }
}
