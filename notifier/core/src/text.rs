//! The length of texts: each target has a limit, above which it refuses the whole message.

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::cut;

    proptest! {
        #[test]
        fn a_text_is_kept_or_cut_to_the_limit(text in "\\PC{0,60}", limit in 3_usize..80) {
            let cut = cut(&text, limit);
            prop_assert!(cut.len() <= limit);
            prop_assert!(cut == text || (text.len() > limit && cut.ends_with('…')));
        }
    }
}
