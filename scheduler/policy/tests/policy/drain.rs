//! How nodes are drained: the meaning of the fields, and each mistake with its field and the remedy.

use bellwether_policy::{Drain, MemberOrder, OnTimeout, RebootPolicy, VolumeOrder};
use jiff::SignedDuration;
use serde_json::{Value, json};

fn read(spec: &Value) -> RebootPolicy {
    RebootPolicy::read("p".into(), &json!({ "drain": spec }))
}

#[test]
fn a_node_is_restored_unless_its_policy_says_otherwise() {
    let absent = RebootPolicy::read("p".into(), &json!({})).terms.unwrap().drain;
    assert_eq!(absent, Drain::default());
    assert_eq!((absent.timeout, absent.on_timeout), (None, OnTimeout::Restore));
    let given = read(&json!({ "timeout": "1h30m", "onTimeout": "Force" }))
        .terms
        .unwrap()
        .drain;
    assert_eq!(given.timeout, Some(SignedDuration::from_mins(90)));
    assert_eq!(given.on_timeout, OnTimeout::Force);
    let shown = given.to_string();
    assert!(shown.contains("1h 30m") && shown.contains("DELETED"), "{shown}");
}

#[test]
fn the_orders_of_pods_are_those_of_the_policy_and_shown() {
    let absent = read(&json!({})).terms.unwrap().drain;
    assert_eq!(
        (absent.volumes, absent.stateful_sets),
        (VolumeOrder::Together, MemberOrder::Together)
    );
    assert_eq!(absent.detach_wait, None);
    let spec = json!({ "detachWait": "5m", "volumes": "Serial", "statefulSets": "OneAtATime" });
    let given = read(&spec).terms.unwrap().drain;
    assert_eq!(
        (given.volumes, given.stateful_sets),
        (VolumeOrder::Serial, MemberOrder::OneAtATime)
    );
    assert_eq!(given.detach_wait, Some(SignedDuration::from_mins(5)));
    let shown = given.to_string();
    for words in ["5m at most for volumes", "one after the other", "one at a time"] {
        assert!(shown.contains(words), "{shown}");
    }
    let waits = read(&json!({ "loadBalancerWait": "30s", "timeout": "1m" }))
        .terms
        .unwrap()
        .drain;
    assert_eq!(waits.load_balancer_wait, Some(SignedDuration::from_secs(30)));
    assert!(
        waits
            .to_string()
            .contains("external load balancers, and evicts 30s later"),
        "{waits}"
    );
    let delayed = read(&json!({ "rebootDelay": "2m" })).terms.unwrap().drain;
    assert_eq!(delayed.reboot_delay, Some(SignedDuration::from_mins(2)));
    assert!(delayed.to_string().contains("ordered 2m later"), "{delayed}");
    let none = read(&json!({ "detachWait": "0s" })).terms.unwrap().drain;
    assert_eq!(none.detach_wait, Some(SignedDuration::ZERO));
}

#[test]
fn each_mistake_names_its_field_and_the_remedy() {
    for (spec, field, remedy) in [
        (
            json!({ "timeout": "soon" }),
            "timeout: `soon`",
            "write hours and minutes",
        ),
        (json!({ "timeout": "30s" }), "timeout: 30s", "write a longer one"),
        (json!({ "timeout": "25h" }), "timeout: 25h", "write a shorter one"),
        (json!({ "detachWait": "7m" }), "detachWait: 7m", "write a shorter one"),
        (
            json!({ "rebootDelay": "61m" }),
            "rebootDelay: 1h 1m",
            "write a shorter one",
        ),
        (
            json!({ "loadBalancerWait": "11m" }),
            "loadBalancerWait: 11m",
            "write a shorter one",
        ),
        (
            json!({ "loadBalancerWait": "31s", "timeout": "1m" }),
            "loadBalancerWait: 31s",
            "more than half of spec.drain.timeout",
        ),
    ] {
        let faults = read(&spec).terms.unwrap_err();
        assert_eq!(faults.len(), 1, "{spec}: {faults:?}");
        let text = faults[0].to_string();
        assert!(
            text.starts_with(&format!("spec.drain.{field}")) && text.contains(remedy),
            "{text}"
        );
    }
    let faults = read(&json!({ "onTimeout": "Ignore" })).terms.unwrap_err();
    assert!(faults[0].to_string().contains("Restore"), "{faults:?}");
}
