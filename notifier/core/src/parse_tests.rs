//! Which files are refused, and what a file leaves open.

use jiff::SignedDuration;

use crate::settings::{ConfigError, Settings};

fn parse(fields: &str) -> Result<Settings, ConfigError> {
    Settings::parse(&format!(
        "{{ {fields} targets: [{{ name: a, webhook: {{ url: 'https://x.example/' }} }}] }}"
    ))
}

#[test]
fn an_attempt_is_stuck_before_it_is_forgotten_also_in_a_file_that_is_older_than_the_field() {
    let stuck_after = |fields| parse(fields).unwrap().stuck_after;
    assert_eq!(stuck_after(""), SignedDuration::from_hours(2));
    assert_eq!(stuck_after("maxAge: 4h,"), SignedDuration::from_hours(2));
    assert_eq!(stuck_after("maxAge: 1h,"), SignedDuration::from_mins(30));
    assert_eq!(
        stuck_after("maxAge: 1h, stuckAfter: 59m,"),
        SignedDuration::from_mins(59)
    );
    let error = parse("maxAge: 1h, stuckAfter: 1h,").unwrap_err();
    assert_eq!(error.field, "stuckAfter");
}

#[test]
fn the_name_of_the_cluster_has_a_limit_in_characters() {
    let named = |length| parse(&format!("cluster: '{}',", "ü".repeat(length)));
    assert_eq!(named(64).unwrap().cluster.chars().count(), 64);
    let error = named(65).unwrap_err();
    assert_eq!(error.field, "cluster");
    assert!(error.problem.contains("64"), "{error}");
}
