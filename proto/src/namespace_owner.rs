//! Who answers for the pods of a namespace: part of the contract, since drainers read the annotation and readers of events route
//! messages by its value.

/// Annotation of a Namespace with the team that answers for its pods.
pub const OWNER: &str = "bellwether.dev/owner";

/// Longest owner: the name of a team, an address of e-mail, a channel.
pub const OWNER_BYTES_MAX: usize = 63;

/// Most owners of one blocker: more teams than one cause keeps waiting.
pub const OWNERS_MAX: usize = 10;

/// The owner that the value of [`OWNER`] names, without spaces around; none: the value is empty, too long, or has a control
/// character.
#[must_use]
pub fn owner_of(value: &str) -> Option<&str> {
    let owner = value.trim();
    let is_owner = !owner.is_empty() && owner.len() <= OWNER_BYTES_MAX && !owner.contains(char::is_control);
    is_owner.then_some(owner)
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
        for wrong in ["", " \n", "a\nb", "a\u{1b}[31m", &"a".repeat(64), &"é".repeat(32)] {
            assert_eq!(owner_of(wrong), None, "{wrong:?}");
        }
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
