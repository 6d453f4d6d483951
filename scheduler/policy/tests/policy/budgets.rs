//! The amounts of a budget.

use bellwether_policy::{Budget, RebootPolicy};
use serde_json::{Value, json};

fn budget(spec: &Value) -> Budget {
    let policy = RebootPolicy::read("p".into(), &json!({ "budget": spec }));
    policy.terms.unwrap().budget
}

#[test]
fn a_share_is_rounded_down_and_never_none() {
    for (max, all, expected, is_raised) in [
        (json!(2), 0, 2, false),
        (json!("10%"), 0, 1, true),
        (json!("10%"), 9, 1, true),
        (json!("10%"), 10, 1, false),
        (json!("10%"), 19, 1, false),
        (json!("10%"), 20, 2, false),
        (json!("100%"), 7, 7, false),
        (json!("1%"), 5_000, 50, false),
    ] {
        let amount = budget(&json!({ "maxUnavailable": max })).max_unavailable.unwrap();
        assert_eq!(
            (amount.of(all), amount.is_raised(all)),
            (expected, is_raised),
            "{max} of {all}"
        );
        assert_eq!(amount.to_string(), max.to_string().replace('"', ""));
    }
}

#[test]
fn a_policy_without_budget_has_no_limit_of_its_own() {
    let policy = RebootPolicy::read("p".into(), &json!({}));
    assert_eq!(policy.terms.unwrap().budget, Budget::default());
}

#[test]
fn the_limits_of_a_topology_are_read() {
    let spec = json!({ "topology": [{ "key": "zone", "maxUnavailable": "25%", "maxDomains": 2 }] });
    let topology = &budget(&spec).topology[0];
    let max = topology.max_unavailable.map(|max| max.to_string());
    let domains = topology.max_domains.map(std::num::NonZeroU32::get);
    assert_eq!(
        (&*topology.key, max.as_deref(), domains),
        ("zone", Some("25%"), Some(2))
    );
}
