//! Names that come near a mistyped one.

/// More would be a list again.
const NAMES_MAX: usize = 3;

/// The nearest names, nearest first: those that contain what was typed, and those that differ
/// from it in a few letters only.
pub(super) fn names<'a>(typed: &str, all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let far = typed.chars().count() / 3 + 1;
    let rated = all.map(|name| {
        let distance = distance(typed, name);
        (
            if name.contains(typed) {
                distance.min(far)
            } else {
                distance
            },
            name,
        )
    });
    let mut near: Vec<_> = rated.filter(|(distance, _)| *distance <= far).collect();
    near.sort_unstable();
    near.into_iter().take(NAMES_MAX).map(|(_, name)| name).collect()
}

/// How many letters have to be put in, taken out or changed (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (line, letter) in from.chars().enumerate() {
        let mut left = line + 1;
        let mut next = vec![left];
        for (other, above) in to.chars().zip(row.windows(2)) {
            let &[diagonal, above] = above else { continue };
            left = (diagonal + usize::from(letter != other)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_counted_in_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", "abc"), 0);
    }

    #[test]
    fn a_slip_of_the_finger_finds_its_node() {
        let all = [
            "control-plane",
            "worker-1",
            "worker-2",
            "ip-10-0-0-7.eu-west-1.compute.internal",
        ];
        assert_eq!(names("wroker-1", all.into_iter()), ["worker-1", "worker-2"]);
        assert_eq!(
            names("ip-10-0-0-7", all.into_iter()),
            ["ip-10-0-0-7.eu-west-1.compute.internal"]
        );
        assert!(names("gateway", all.into_iter()).is_empty());
    }
}
