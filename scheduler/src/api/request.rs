//! Checks the fields of requests: beyond this file a wrong value cannot exist.

use bellwether_proto::NodeName;

use crate::error::Refusal;
use crate::message::Reply;

/// Longest text of an operator, in characters: the record and every status repeat it.
const TEXT_MAX: usize = 500;

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
    line("by", by)
}

/// The reason for an order; may be empty.
pub(super) fn reason(reason: String) -> Reply<String> {
    line("reason", reason)
}

/// One line of text, which ends up in records, logs and terminals.
fn line(field: &'static str, text: String) -> Reply<String> {
    if text.chars().count() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(invalid(
            field,
            format!("has to be one line of at most {TEXT_MAX} characters"),
        ));
    }
    Ok(text)
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
            (reason("x".repeat(TEXT_MAX + 1)).map(drop), "reason"),
        ] {
            assert!(
                matches!(&refused, Err(Refusal::InvalidField { field, .. }) if *field == name),
                "{refused:?}"
            );
        }
    }

    #[test]
    fn the_longest_text_in_any_script_is_taken_and_a_reason_may_be_empty() {
        assert!(reason("ä".repeat(TEXT_MAX)).is_ok());
        assert!(reason(String::new()).is_ok());
        assert!(operator("mira".into()).is_ok());
    }
}
