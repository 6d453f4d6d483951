//! The table of spans on the page about traces, against the names in the code.

use std::collections::BTreeSet;

use bellwether_proto::{Phase, attribute, span, span_event};

const PAGE: &str = include_str!("../../docs/tracing.md");

/// What stands between backticks.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The names in the rows of the table below a heading.
fn rows(heading: &str) -> Vec<&str> {
    let mut sections = PAGE.split("\n## ").filter_map(|section| section.split_once('\n'));
    let section = sections.find(|(found, _)| *found == heading);
    let rows = section.map(|(_, text)| text.lines()).into_iter().flatten();
    rows.filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect()
}

#[test]
fn the_page_has_a_row_for_each_event_of_a_span_and_no_other() {
    assert_eq!(rows("Events"), span_event::ALL);
}

#[test]
fn the_page_has_a_row_for_each_span_and_no_other() {
    let rows = rows("Spans");
    let phases = [
        Phase::Draining,
        Phase::Rebooting,
        Phase::Verifying,
        Phase::Uncordoning,
        Phase::Soaking,
        Phase::RollingBack,
    ];
    let known: BTreeSet<&str> = span::ALL.iter().copied().chain(phases.map(Phase::as_str)).collect();
    assert_eq!(rows.iter().copied().collect::<BTreeSet<_>>(), known);
    assert_eq!(rows.len(), known.len(), "a span has two rows");
}

#[test]
fn the_page_names_each_attribute_and_no_other() {
    let named = code(PAGE).filter(|word| word.starts_with("bellwether.") || word.starts_with("k8s."));
    let known: BTreeSet<&str> = attribute::ALL.iter().copied().collect();
    assert_eq!(named.collect::<BTreeSet<_>>(), known);
}
