//! Every mistake in a policy names its field and the remedy.

use bellwether_policy::RebootPolicy;
use proptest::prelude::*;
use serde_json::{Value, json};

fn faults(spec: &Value) -> Vec<String> {
    let policy = RebootPolicy::read("p".into(), spec);
    let faults = policy.terms.err().unwrap_or_default();
    faults.iter().map(ToString::to_string).collect()
}

fn weekly() -> Value {
    json!({ "days": ["Sat"], "start": "22:00", "end": "04:00", "timeZone": "Europe/Berlin" })
}

#[test]
fn a_policy_without_mistakes_has_terms() {
    let spec = json!({
        "windows": [weekly(), { "cron": "0 2 * * SUN#3", "duration": "4h" }],
        "blackouts": [{ "from": "2026-12-20", "to": "2027-01-06", "reason": "holidays" }],
        "startMargin": "1h30m",
    });
    let terms = RebootPolicy::read("p".into(), &spec).terms.unwrap();
    assert_eq!(terms.start_margin.unwrap().as_mins(), 90);
    let windows: Vec<_> = terms.calendar.windows().iter().map(ToString::to_string).collect();
    assert_eq!(windows.len(), 2);
    assert!(windows[1].contains("UTC"), "the default zone: {windows:?}");
    assert_eq!(terms.calendar.blackouts()[0].reason(), "holidays");
    let none = RebootPolicy::read("p".into(), &json!({})).terms.unwrap();
    assert_eq!(none.start_margin, None);
    assert!(
        none.calendar
            .state_at("2026-01-01T00:00:00Z".parse().unwrap())
            .is_open()
    );
}

#[test]
fn each_mistake_names_its_field_and_the_remedy() {
    let window = |window: Value| json!({ "windows": [weekly(), window] });
    let selector = |expression: Value| json!({ "nodeSelector": { "matchExpressions": [expression] } });
    let budget = |budget: Value| json!({ "budget": budget });
    let topology = |topology: Value| json!({ "budget": { "topology": topology } });
    for (spec, field, remedy) in [
        (budget(json!({})), "spec.budget: ", "maxUnavailable, topology or rampUp"),
        (
            budget(json!({ "maxUnavailable": 0 })),
            "spec.budget.maxUnavailable: ",
            "pause the fleet",
        ),
        (
            budget(json!({ "maxUnavailable": "0%" })),
            "spec.budget.maxUnavailable: ",
            "pause the fleet",
        ),
        (
            budget(json!({ "maxUnavailable": -1 })),
            "spec.budget.maxUnavailable: ",
            "from 1 on",
        ),
        (
            budget(json!({ "maxUnavailable": 5_000_000_000_i64 })),
            "spec.budget.maxUnavailable: ",
            "out of range",
        ),
        (
            budget(json!({ "maxUnavailable": "101%" })),
            "spec.budget.maxUnavailable: ",
            "from 1% to 100%",
        ),
        (
            budget(json!({ "maxUnavailable": "300%" })),
            "spec.budget.maxUnavailable: ",
            "from 1% to 100%",
        ),
        (
            budget(json!({ "maxUnavailable": "2" })),
            "spec.budget.maxUnavailable: ",
            "a number such as 2",
        ),
        (
            topology(json!([{ "key": "zone" }])),
            "spec.budget.topology[0]: ",
            "maxDomains",
        ),
        (
            topology(json!([{ "key": "", "maxDomains": 1 }])),
            "spec.budget.topology[0].key: ",
            "name a label",
        ),
        (
            topology(json!([{ "key": "zone", "maxDomains": 0 }])),
            "spec.budget.topology[0].maxDomains: ",
            "from 1 on",
        ),
        (
            topology(json!([{ "key": "zone", "maxDomains": 1 }, { "key": "zone", "maxUnavailable": 1 }])),
            "spec.budget.topology[1].key: ",
            "into one",
        ),
        (
            topology(json!(
                ["a", "b", "c", "d", "e"].map(|key| json!({ "key": key, "maxDomains": 1 }))
            )),
            "spec.budget.topology: ",
            "remove some",
        ),
        (
            window(json!({ "days": ["Sat"], "start": "5pm", "end": "04:00" })),
            "spec.windows[1].start: ",
            "17:00",
        ),
        (
            window(json!({ "days": ["Sit"], "start": "05:00", "end": "6:00" })),
            "spec.windows[1].days: ",
            "Mon-Fri",
        ),
        (
            window(json!({ "start": "05:00", "end": "06:00" })),
            "spec.windows[1].days: ",
            "list at least one",
        ),
        (
            window(json!({ "days": ["Sat"], "end": "06:00" })),
            "spec.windows[1].start: missing",
            "22:00",
        ),
        (
            window(json!({ "days": ["Sat"], "start": "06:00" })),
            "spec.windows[1].end: missing",
            "04:00",
        ),
        (
            window(json!({ "cron": "0 2 * * *" })),
            "spec.windows[1].duration: missing",
            "4h",
        ),
        (
            window(json!({ "duration": "4h" })),
            "spec.windows[1].cron: missing",
            "SAT#3",
        ),
        (
            window(json!({ "cron": "0 2 30 2 *", "duration": "4h" })),
            "spec.windows[1].cron: ",
            "never fires",
        ),
        (
            window(json!({ "cron": "0 2 * * *", "duration": "4h", "days": ["Sat"] })),
            "spec.windows[1]: ",
            "two windows",
        ),
        (
            window(json!({ "timeZone": "UTC" })),
            "spec.windows[1]: empty",
            "days, start and end",
        ),
        (
            window(json!({ "days": ["Sat"], "start": "05:00", "end": "06:00", "timeZone": "Europe/Bonn" })),
            "spec.windows[1].timeZone: ",
            "Europe/Berlin",
        ),
        (
            json!({ "blackouts": [{ "from": "2027-01-06", "to": "2026-12-20" }] }),
            "spec.blackouts[0].to: ",
            "exchange the two",
        ),
        (json!({ "startMargin": "soon" }), "spec.startMargin: ", "20m"),
        (json!({ "startMargin": "-5m" }), "spec.startMargin: ", "0s"),
        (json!({ "startMargin": "169h" }), "spec.startMargin: ", "shorter"),
        (
            selector(json!({ "key": "a", "operator": "In" })),
            "spec.nodeSelector.matchExpressions[0].values: ",
            "at least one",
        ),
        (
            selector(json!({ "key": "a", "operator": "Exists", "values": ["b"] })),
            "spec.nodeSelector.matchExpressions[0].values: ",
            "leave values out",
        ),
        (
            selector(json!({ "key": "a", "operator": "Like", "values": ["b"] })),
            "spec.nodeSelector.matchExpressions[0].operator: ",
            "write In, NotIn",
        ),
        (
            selector(json!({ "key": "", "operator": "Exists" })),
            "spec.nodeSelector.matchExpressions[0].key: ",
            "name a label",
        ),
        (
            json!({ "brakes": { "minInterval": "a day" } }),
            "spec.brakes.minInterval: ",
            "20m",
        ),
        (
            json!({ "brakes": { "minInterval": "2161h" } }),
            "spec.brakes.minInterval: ",
            "shorter",
        ),
        (
            json!({ "brakes": { "maxRebootsPerDay": 1 } }),
            "spec.brakes.maxRebootsPerDay: ",
            "minInterval: 24h",
        ),
        (
            json!({ "brakes": { "maxRebootsPerDay": 11 } }),
            "spec.brakes.maxRebootsPerDay: ",
            "between 2 and 10",
        ),
        (
            json!({ "brakes": { "maxFailures": 0 } }),
            "spec.brakes.maxFailures: ",
            "between 1 and 100",
        ),
        (
            json!({ "brakes": { "cohort": { "maxFailures": 101 } } }),
            "spec.brakes.cohort.maxFailures: ",
            "between 1 and 100",
        ),
        (
            json!({ "brakes": { "cohort": { "labels": [] } } }),
            "spec.brakes.cohort.labels: ",
            "leave labels out",
        ),
        (
            json!({ "brakes": { "cohort": { "labels": ["zone", ""] } } }),
            "spec.brakes.cohort.labels[1]: ",
            "name a label",
        ),
        (
            json!({ "brakes": { "cohort": { "labels": ["zone", "type", "zone"] } } }),
            "spec.brakes.cohort.labels[2]: ",
            "remove one",
        ),
        (
            json!({ "canaries": { "nodeSelector": {} } }),
            "spec.canaries.nodeSelector: selects every node",
            "the few nodes",
        ),
        (
            json!({ "canaries": { "nodeSelector": { "matchExpressions": [{ "key": "a", "operator": "In" }] } } }),
            "spec.canaries.nodeSelector.matchExpressions[0].values: ",
            "at least one",
        ),
        (
            json!({ "canaries": { "nodeSelector": { "matchLabels": { "a": "b" } }, "soak": "-1h" } }),
            "spec.canaries.soak: ",
            "0s",
        ),
        (
            json!({ "canaries": { "nodeSelector": { "matchLabels": { "a": "b" } }, "soak": "745h" } }),
            "spec.canaries.soak: ",
            "shorter",
        ),
        (
            json!({ "canaries": { "soak": "1h" } }),
            "spec: missing field `nodeSelector`",
            "correct the field",
        ),
        (
            json!({ "window": [] }),
            "spec: unknown field `window`",
            "correct the field",
        ),
        (
            json!({ "windows": "always" }),
            "spec: invalid type",
            "correct the field",
        ),
    ] {
        let faults = faults(&spec);
        assert_eq!(faults.len(), 1, "{spec}: {faults:?}");
        assert!(
            faults[0].starts_with(field) && faults[0].contains(remedy),
            "{}",
            faults[0]
        );
    }
}

#[test]
fn brakes_have_defaults_and_limits_that_are_no_mistake() {
    let brakes = |spec: Value| RebootPolicy::read("p".into(), &spec).terms.unwrap().brakes;
    let none = brakes(json!({}));
    assert_eq!((none.min_interval, none.reboots_per_day_max), (None, 3));
    assert_eq!(brakes(json!({ "brakes": {} })), none);
    assert_eq!((none.failures_max, none.cohort), (None, None));
    let cohort = brakes(json!({ "brakes": { "cohort": {}, "maxFailures": 100 } }));
    assert_eq!(cohort.failures_max, Some(100));
    let cohort = cohort.cohort.unwrap();
    assert_eq!(cohort.failures_max, 2);
    assert_eq!(
        cohort.labels,
        [
            "bellwether.dev/kernel-version",
            "node.kubernetes.io/instance-type",
            "topology.kubernetes.io/zone"
        ]
    );
    let longest = brakes(json!({ "brakes": { "minInterval": "2160h", "maxRebootsPerDay": 10 } }));
    assert_eq!(
        (longest.min_interval.unwrap().as_hours(), longest.reboots_per_day_max),
        (2160, 10)
    );
    assert_eq!(
        brakes(json!({ "brakes": { "maxRebootsPerDay": 2 } })).reboots_per_day_max,
        2
    );
}

#[test]
fn canaries_soak_for_an_hour_unless_the_policy_says_otherwise() {
    let canaries = |soak: Option<&str>| {
        let mut canaries = json!({ "nodeSelector": { "matchLabels": { "canary": "yes" } } });
        if let Some(soak) = soak {
            canaries["soak"] = json!(soak);
        }
        let terms = RebootPolicy::read("p".into(), &json!({ "canaries": canaries }))
            .terms
            .unwrap();
        let canaries = terms.canaries.unwrap();
        (canaries.selector.to_string(), canaries.soak.as_mins())
    };
    assert_eq!(canaries(None), ("canary=yes".to_owned(), 60));
    assert_eq!(canaries(Some("0s")).1, 0);
    assert_eq!(canaries(Some("744h")).1, 744 * 60);
}

#[test]
fn conditions_that_exclude_each_other_are_a_mistake() {
    let all = |expressions: Value| json!({ "nodeSelector": { "matchLabels": { "pool": "a" }, "matchExpressions": expressions } });
    for (expressions, contradicts) in [
        (json!([{ "key": "pool", "operator": "In", "values": ["b", "c"] }]), true),
        (
            json!([{ "key": "pool", "operator": "In", "values": ["a", "c"] }]),
            false,
        ),
        (json!([{ "key": "pool", "operator": "NotIn", "values": ["a"] }]), true),
        (json!([{ "key": "pool", "operator": "NotIn", "values": ["b"] }]), false),
        (json!([{ "key": "pool", "operator": "DoesNotExist" }]), true),
        (json!([{ "key": "pool", "operator": "Exists" }]), false),
        (
            json!([{ "key": "x", "operator": "DoesNotExist" }, { "key": "x", "operator": "Exists" }]),
            true,
        ),
        (json!([{ "key": "x", "operator": "DoesNotExist" }]), false),
    ] {
        let faults = faults(&all(expressions.clone()));
        assert_eq!(!faults.is_empty(), contradicts, "{expressions}: {faults:?}");
    }
}

#[test]
fn all_mistakes_are_listed_at_once() {
    let spec = json!({
        "windows": [{ "days": ["Sat"], "start": "5pm", "end": "04:00" }],
        "blackouts": [{ "from": "soon", "to": "2026-12-20" }],
        "startMargin": "soon",
    });
    let policy = RebootPolicy::read("p".into(), &spec);
    let text = policy.faults();
    assert_eq!(text.matches("; spec.").count(), 2, "{text}");
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(vec![
            "22:00",
            "Mon-Fri",
            "0 2 * * SUN#3",
            "4h",
            "10%",
            "P9999Y",
            "-1s",
            "Local"
        ])
        .prop_map(Value::from),
    ];
    let fields = vec![
        "windows",
        "days",
        "start",
        "end",
        "cron",
        "duration",
        "timeZone",
        "blackouts",
        "from",
        "to",
        "startMargin",
        "budget",
        "maxUnavailable",
        "gates",
        "prometheus",
        "name",
        "url",
        "query",
        "canaries",
        "soak",
        "nodeSelector",
        "matchLabels",
        "brakes",
        "minInterval",
        "drain",
        "timeout",
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        let field = prop::sample::select(fields.clone()).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(field, inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn a_spec_of_any_form_has_terms_or_mistakes_on_one_line(spec in any_value()) {
        let found = faults(&spec);
        let policy = RebootPolicy::read("p".into(), &spec);
        prop_assert_eq!(policy.terms.is_err(), !found.is_empty());
        prop_assert!(!found.concat().chars().any(char::is_control), "{:?}", found);
    }
}
