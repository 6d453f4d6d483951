//! Checks the fields of requests: beyond this file a wrong value cannot exist.

use bellwether_proto::NodeName;
use bellwether_proto::limit::WORD_BYTES_MAX;

use crate::error::Refusal;
use crate::message::Reply;

/// Longest reason of an operator, in characters: the record and every status repeat it.
const REASON_MAX: usize = 500;

/// The name of a node.
pub(super) fn node_name(text: &str) -> Reply<NodeName> {
    text.parse()
        .map_err(|error| invalid("node", format!("{text:?} {error}")))
}

/// The name of the operator who gives an order.
pub(super) fn operator(by: String) -> Reply<String> {
    if by.is_empty() {
        return Err(invalid(
            "by",
            "is empty: name the operator who gives the order".to_owned(),
        ));
    }
    if by.len() > WORD_BYTES_MAX || !is_line(&by) {
        return Err(invalid(
            "by",
            format!("has to be one line of at most {WORD_BYTES_MAX} bytes"),
        ));
    }
    Ok(by)
}

/// The reason for an order; may be empty.
pub(super) fn reason(reason: String) -> Reply<String> {
    if reason.chars().count() > REASON_MAX || !is_line(&reason) {
        let problem = format!("has to be one line of at most {REASON_MAX} characters");
        return Err(invalid("reason", problem));
    }
    Ok(reason)
}

/// The text ends up in records, logs and terminals.
fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn invalid(field: &'static str, problem: String) -> Refusal {
    Refusal::InvalidField { field, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_field_is_named() {
        for (refused, name) in [
            (node_name("No Such Name").map(drop), "node"),
            (operator(String::new()).map(drop), "by"),
            (operator("two\nlines".into()).map(drop), "by"),
            (reason("\u{1b}[31m".into()).map(drop), "reason"),
            (operator("x".repeat(WORD_BYTES_MAX + 1)).map(drop), "by"),
            (reason("x".repeat(REASON_MAX + 1)).map(drop), "reason"),
        ] {
            assert!(
                matches!(&refused, Err(Refusal::InvalidField { field, .. }) if *field == name),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn the_longest_text_in_any_script_is_taken_and_a_reason_may_be_empty() {
        assert!(reason("ä".repeat(REASON_MAX)).is_ok());
        assert!(operator("x".repeat(WORD_BYTES_MAX)).is_ok());
        assert!(reason(String::new()).is_ok());
        assert!(operator("mira".into()).is_ok());
    }
}
