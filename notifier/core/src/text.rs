//! The length of texts: each target has a limit, above which it refuses the whole message. And texts without effect: names
//! and messages of the cluster are written by others than the readers of a channel.

/// The text, cut at a character to at most so many bytes; a text that was cut ends with `…`, which counts.
pub(crate) fn cut(text: &str, bytes_max: usize) -> String {
    const END: &str = "…";
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let mut end = bytes_max.saturating_sub(END.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text.get(..end).unwrap_or_default();
    format!("{kept}{END}")
}

/// The text without what chat services act on in Markdown: mentions, links and images. A character without width stands
/// between their parts, so that the text still reads the same.
pub(crate) fn inert(text: &str) -> String {
    const BREAK: char = '\u{200b}';
    let mut inert = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut word = String::new();
    while let Some(character) = rest.next() {
        inert.push(character);
        word = if character.is_alphanumeric() {
            word + &character.to_lowercase().to_string()
        } else {
            String::new()
        };
        let next = rest.peek().copied();
        let is_active = match character {
            // Users, groups, and all of a channel; also addresses.
            '@' => true,
            // A link or image, with its address in here or further below.
            ']' => matches!(next, Some('(' | '[' | ':')),
            // A link that stands for itself.
            ':' => next == Some('/'),
            _ => word == "www" && next == Some('.'),
        };
        if is_active {
            inert.push(BREAK);
        }
    }
    inert
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{cut, inert};

    proptest! {
        #[test]
        fn a_text_is_kept_or_cut_to_the_limit(text in "\\PC{0,60}", limit in 3_usize..80) {
            let cut = cut(&text, limit);
            prop_assert!(cut.len() <= limit);
            prop_assert!(cut == text || (text.len() > limit && cut.ends_with('…')));
        }
    }

    #[test]
    fn what_a_chat_service_acts_on_is_taken_apart_and_any_other_text_is_kept() {
        for (text, made) in [
            ("@channel", "@_channel"),
            ("a @all, @here", "a @_all, @_here"),
            ("[east] n1: pod (1/2)", "[east] n1: pod (1/2)"),
            ("[click](https://evil.example/)", "[click]_(https:_//evil.example/)"),
            ("![image](x)", "![image]_(x)"),
            ("[a][b]\n[b]: x", "[a]_[b]\n[b]_: x"),
            ("see WWW.evil.example", "see WWW_.evil.example"),
            ("awww. 10:30", "awww. 10:30"),
        ] {
            assert_eq!(inert(text).replace('\u{200b}', "_"), made);
        }
    }
}
