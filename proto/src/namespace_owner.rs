//! Who answers for the pods of a namespace: part of the contract, since drainers read the annotation and readers of events route
//! messages by its value.

/// Annotation of a Namespace with the team that answers for its pods.
pub const OWNER: &str = "bellwether.dev/owner";

/// Longest owner: the name of a team, an address of e-mail, a channel.
pub const OWNER_BYTES_MAX: usize = 63;

/// Most owners of one blocker: more teams than one cause keeps waiting.
pub const OWNERS_MAX: usize = 10;

/// The owner that the value of [`OWNER`] names, without spaces around; none: the value is empty, too long, or has a character
/// that breaks, turns or hides a text.
#[must_use]
pub fn owner_of(value: &str) -> Option<&str> {
    let owner = value.trim();
    let is_owner = !owner.is_empty() && owner.len() <= OWNER_BYTES_MAX && !owner.contains(is_unfit);
    is_owner.then_some(owner)
}

/// Control characters, ends of lines and paragraphs, changes of direction, and characters without width.
fn is_unfit(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// How many owners one line names.
const SHOWN_MAX: usize = 3;

/// The owners in a sentence for operators, after what they answer for: ` (owner team-shop)`; empty without any.
pub(crate) fn shown(owners: &[String]) -> String {
    let (named, more) = owners.split_at(owners.len().min(SHOWN_MAX));
    let named_in_line = named.join(", ");
    match (named.len(), more.len()) {
        (0, _) => String::new(),
        (1, 0) => format!(" (owner {named_in_line})"),
        (_, 0) => format!(" (owners {named_in_line})"),
        (_, more) => format!(" (owners {named_in_line} and {more} more)"),
    }
}

/// Keeps the owners as they are, or not at all: a shortened one would be another team.
pub(crate) fn cut_owners(owners: &mut Vec<String>) {
    owners.retain(|owner| owner_of(owner) == Some(owner));
    owners.truncate(OWNERS_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_is_one_short_line() {
        for right in [
            "team-shop",
            "shop@example.com",
            "#shop",
            "Shop und Café",
            &"a".repeat(63),
        ] {
            assert_eq!(owner_of(&format!(" {right}\n")), Some(right));
        }
        let unfit = ["a\u{202e}b", "a\u{2066}b", "a\u{2028}b", "a\u{200b}b", "\u{feff}a"];
        let long = ["a".repeat(64), "é".repeat(32)];
        let long = long.iter().map(String::as_str);
        for wrong in ["", " \n", "a\nb", "a\u{1b}[31m"].into_iter().chain(unfit).chain(long) {
            assert_eq!(owner_of(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_sentence_names_the_first_owners_and_counts_the_others() {
        let of = |owners: &[&str]| shown(&owners.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&[]), "");
        assert_eq!(of(&["a"]), " (owner a)");
        assert_eq!(of(&["a", "b"]), " (owners a, b)");
        assert_eq!(of(&["a", "b", "c", "d", "e"]), " (owners a, b, c and 2 more)");
    }

    #[test]
    fn no_owner_of_another_writer_becomes_a_shorter_one() {
        let mut owners: Vec<String> = ["shop", &"a".repeat(64), " blog", ""].map(str::to_owned).into();
        cut_owners(&mut owners);
        assert_eq!(owners, ["shop"]);
        let mut many: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        cut_owners(&mut many);
        assert_eq!(many.len(), OWNERS_MAX);
    }
}
