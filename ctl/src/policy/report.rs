//! A policy in plain words.

use bellwether_policy::calendar::{Calendar, CalendarState, Opening};
use bellwether_policy::{
    Approval, Brakes, Canaries, ControlPlaneTurn, RampUp, RebootMode, RebootPolicy, Terms, Topology, WaitingTaint,
};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::policy::cluster::Governed;
use crate::policy::turns::Turns;

/// How many openings are shown.
const OPENINGS: usize = 5;

/// How many nodes of a policy are named.
const NAMED_MAX: usize = 5;

/// How many nodes are named in the order in which they go: those of the first days of a rollout.
const IN_ORDER_MAX: usize = 20;

/// The meaning of a policy at an instant, with times in a zone; or its mistakes.
pub(crate) fn of_policy(policy: &RebootPolicy, at: Timestamp, zone: &TimeZone) -> String {
    let mut text = format!("policy {}\n", policy.name);
    line(&mut text, "nodes", &policy.selector.to_string());
    line(&mut text, "priority", &policy.priority.to_string());
    match &policy.terms {
        Ok(terms) => of_terms(&mut text, terms, at, zone),
        Err(faults) => {
            for fault in faults {
                line(&mut text, "MISTAKE", &fault.to_string());
            }
            line(&mut text, "", "its nodes would not be rebooted");
        }
    }
    text
}

fn of_terms(text: &mut String, terms: &Terms, at: Timestamp, zone: &TimeZone) {
    let calendar = &terms.calendar;
    if calendar.windows().is_empty() {
        line(text, "window", "at any time");
    }
    for window in calendar.windows() {
        line(text, "window", &window.to_string());
    }
    for blackout in calendar.blackouts() {
        line(text, "blackout", &blackout.to_string());
    }
    for annotation in &terms.need_annotations {
        line(text, "need", &format!("also by the annotation {annotation}"));
    }
    let margin = terms.start_margin.map_or_else(
        || "twice the node's last drain; without one, the scheduler's --drain-timeout".to_owned(),
        |margin| format!("{margin:#}"),
    );
    line(text, "margin", &margin);
    for gate in &terms.gates.conditions {
        line(text, "gate", &format!("shut while the node has the condition {gate}"));
    }
    for gate in &terms.gates.taints {
        line(text, "gate", &format!("shut while the node has the taint {gate}"));
    }
    for gate in &terms.gates.prometheus {
        line(text, "gate", &format!("shut while {gate}"));
    }
    for gate in &terms.gates.pods {
        line(text, "gate", &format!("shut while {gate}"));
    }
    if let Some(Canaries { selector, soak }) = &terms.canaries {
        line(
            text,
            "canaries",
            &format!("{selector}; the other nodes start {soak:#} after the last of them"),
        );
    }
    if terms.control_plane == ControlPlaneTurn::First {
        let order = "nodes of the control plane before the workers of all policies, one at a time";
        line(text, "order", order);
    }
    line(text, "drain", &terms.drain.to_string());
    match terms.reboot_kind {
        RebootMode::Full => (),
        RebootMode::Kexec => line(text, "reboot", "by kexec; nodes that have no kernel loaded for it wait"),
        RebootMode::Soft => line(
            text,
            "reboot",
            "of user space alone; the kernel and /run stay as they are",
        ),
    }
    line(text, "back", &terms.back_in_service.to_string());
    for brake in of_brakes(&terms.brakes) {
        line(text, "brake", &brake);
    }
    if terms.approval == Approval::Manual {
        line(text, "approval", "by an operator, for each node or for the policy");
    }
    if terms.waiting_taint == WaitingTaint::None {
        line(text, "taint", "none: pods may move to nodes that reboot next");
    }
    if terms.budget.ramp_up == RampUp::FirstAlone {
        line(text, "first", "one node alone; the others once it is back in service");
    }
    if let Some(max) = terms.budget.max_unavailable {
        line(
            text,
            "budget",
            &format!("{max} of its nodes at once, within the scheduler's --slots"),
        );
    }
    for topology in &terms.budget.topology {
        line(text, "budget", &of_topology(topology));
    }
    line(text, "state", &state(calendar.state_at(at), at, zone));
    for opening in calendar
        .openings(at, OPENINGS)
        .into_iter()
        .filter(|opening| opening.end.is_some())
    {
        line(text, "opening", &span(opening, zone));
    }
    if let Some(warning) = too_short(calendar, terms.start_margin.unwrap_or_default(), at) {
        line(text, "WARNING", &warning);
    }
}

fn of_brakes(brakes: &Brakes) -> Vec<String> {
    let interval = brakes.min_interval;
    let interval = interval.map(|interval| format!("{interval:#} at least between two reboots of a node"));
    let reboots = format!(
        "a node that needs a reboot after {} within 24h is held until a cancel",
        brakes.reboots_per_day_max
    );
    let failures = brakes.failures_max;
    let failures =
        failures.map(|failures| format!("all nodes stop after the failed reboots of {failures} within 7 days"));
    let cohort = brakes.cohort.as_ref().map(|cohort| {
        let labels = cohort.labels.join(" or ");
        format!(
            "nodes with the same {labels} stop after the failed reboots of {} within 7 days",
            cohort.failures_max
        )
    });
    [interval, Some(reboots), failures, cohort]
        .into_iter()
        .flatten()
        .collect()
}

fn of_topology(topology: &Topology) -> String {
    let key = &topology.key;
    let nodes = topology
        .max_unavailable
        .map(|max| format!("{max} of the nodes with one value of {key} at once"));
    let domains = topology
        .max_domains
        .map(|max| format!("nodes of {max} of the values of {key} at once"));
    nodes.into_iter().chain(domains).collect::<Vec<_>>().join(", ")
}

fn line(text: &mut String, name: &str, value: &str) {
    text.push_str(&format!("  {name:<9} {value}\n"));
}

fn state(state: CalendarState, at: Timestamp, zone: &TimeZone) -> String {
    let now = shown(at, zone);
    match state {
        CalendarState::Open { until: None, .. } => format!("open at {now}, without an end in the next 60 days"),
        CalendarState::Open { until: Some(until), .. } => format!("open at {now}, until {}", shown(until, zone)),
        CalendarState::Shut { opens_at: None, .. } => format!("shut at {now}, and no opening in the next ten years"),
        CalendarState::Shut {
            blackout,
            opens_at: Some(opens_at),
            ..
        } => {
            let cause = if blackout.is_some() { " by a blackout" } else { "" };
            format!("shut at {now}{cause}, until {}", shown(opens_at, zone))
        }
    }
}

fn span(opening: Opening, zone: &TimeZone) -> String {
    let start = shown(opening.start, zone);
    match (opening.end, opening.duration()) {
        (Some(end), Some(duration)) => format!("{start} to {} ({duration:#})", shown(end, zone)),
        _ => format!("{start}, without an end"),
    }
}

/// An instant by the clock of a zone, with the weekday: windows are thought of in both.
fn shown(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%a %Y-%m-%d %H:%M %Z").to_string()
}

/// No opening of the coming year is long enough for a node to start.
fn too_short(calendar: &Calendar, margin: SignedDuration, at: Timestamp) -> Option<String> {
    let Some(longest) = calendar.longest_opening(at) else {
        return Some("there is no opening in the coming year: its nodes would not be rebooted".to_owned());
    };
    let duration = longest.duration()?;
    (duration < margin).then(|| {
        format!("no opening of the coming year is longer than {duration:#}, and startMargin is {margin:#}: no node would start")
    })
}

/// Which policy would govern which nodes, of a cluster or of a file.
pub(crate) fn of_nodes(place: &str, governed: &Governed) -> String {
    let mut text = format!("nodes of {place}\n");
    for (policy, nodes) in &governed.by_policy {
        line(
            &mut text,
            "governed",
            &format!("by {policy}: {}", named(nodes, NAMED_MAX)),
        );
        if let Some(turns) = governed.turns.get(policy) {
            of_turns(&mut text, policy, turns);
        }
    }
    for (node, first, second) in &governed.in_conflict {
        let conflict = format!("{node}: {first} and {second} have one priority, so the node would not be rebooted");
        line(&mut text, "CONFLICT", &conflict);
    }
    if !governed.without.is_empty() {
        let nodes = named(&governed.without, NAMED_MAX);
        line(
            &mut text,
            "WITHOUT",
            &format!("no policy is for {nodes}: not rebooted while there are policies"),
        );
    }
    text
}

fn of_turns(text: &mut String, policy: &str, turns: &Turns) {
    match turns.canaries.as_deref() {
        None => (),
        Some([]) => {
            let none = format!("no node of {policy} carries the labels of its canaries: none of them would start");
            line(text, "WARNING", &none);
        }
        Some(canaries) => line(
            text,
            "canaries",
            &format!("of {policy}: {}", named(canaries, IN_ORDER_MAX)),
        ),
    }
    let nodes = named(&turns.nodes, IN_ORDER_MAX);
    line(
        text,
        "order",
        &format!("of {policy}, if every node needed a reboot: {nodes}"),
    );
}

fn named(nodes: &[String], max: usize) -> String {
    let (shown, more) = nodes.split_at(nodes.len().min(max));
    match (nodes.len(), more.len()) {
        (0, _) => "no node".to_owned(),
        (_, 0) => shown.join(", "),
        (_, more) => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown_at(spec: &Value, at: &str) -> String {
        let policy = RebootPolicy::read("nights".into(), spec);
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        of_policy(&policy, at.parse().unwrap(), &zone)
    }

    #[test]
    fn a_policy_is_explained_with_its_next_openings_in_the_users_zone() {
        let spec = json!({
            "nodeSelector": { "matchLabels": { "pool": "a" } },
            "windows": [{ "days": ["Sat", "Sun"], "start": "22:00", "end": "04:00", "timeZone": "America/New_York" }],
            "blackouts": [{ "from": "2026-12-19", "to": "2026-12-20", "reason": "freeze" }],
            "startMargin": "20m",
            "needs": { "annotations": [{ "key": "example.com/reboot" }, { "key": "state", "value": "stale" }] },
            "gates": { "conditions": [{ "type": "DiskPressure" }], "taints": [{ "key": "example.com/work" }], "prometheus": [
                { "name": "alerts", "url": "http://p", "alerts": { "ignore": "^W", "firingOnly": true } },
                { "name": "pending", "url": "http://p", "query": "a > 1", "onError": "Allow" },
            ], "pods": [{ "name": "batch", "selector": { "matchLabels": { "job": "long" } }, "namespaces": ["shop"] }] },
            "canaries": { "nodeSelector": { "matchLabels": { "canary": "yes" } } },
            "controlPlane": "First",
            "rebootKind": "Kexec",
            "brakes": { "minInterval": "36h", "maxFailures": 4, "cohort": { "labels": ["zone", "type"] } },
        });
        let text = shown_at(&spec, "2026-12-10T12:00:00Z");
        for part in [
            "policy nights\n",
            "nodes     pool=a\n",
            "margin    20m\n",
            "need      also by the annotation example.com/reboot\n",
            "need      also by the annotation state=stale\n",
            "canaries  canary=yes; the other nodes start 1h after the last of them\n",
            "brake     36h at least between two reboots of a node\n",
            "brake     a node that needs a reboot after 3 within 24h is held until a cancel\n",
            "brake     all nodes stop after the failed reboots of 4 within 7 days\n",
            "brake     nodes with the same zone or type stop after the failed reboots of 2 within 7 days\n",
            "state     shut at Thu 2026-12-10 13:00 CET, until Sun 2026-12-13 04:00 CET\n",
            "opening   Sun 2026-12-13 04:00 CET to Sun 2026-12-13 10:00 CET (6h)\n",
            "gate      shut while the node has the condition DiskPressure=True\n",
            "gate      shut while the node has the taint example.com/work\n",
            "gate      shut while an alert of http://p is firing, but those called ^W, or http://p cannot be asked (alerts)\n",
            "gate      shut while `a > 1` at http://p gives a result (pending)\n",
            "gate      shut while a pod job=long is on the node, of shop, or its pods cannot be listed (batch)\n",
            "freeze",
            "reboot    by kexec; nodes that have no kernel loaded for it wait\n",
            "order     nodes of the control plane before the workers of all policies, one at a time\n",
            "back      once the node and its pods of DaemonSets are Ready, and no startup taint is left\n",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert_eq!(text.matches("opening ").count(), OPENINGS, "{text}");
        assert!(!text.contains("WARNING"), "{text}");
        let text = shown_at(&spec, "2026-12-19T12:00:00Z");
        assert!(text.contains("by a blackout, until"), "{text}");
    }

    #[test]
    fn a_policy_without_windows_is_always_open() {
        let text = shown_at(&json!({}), "2026-12-10T12:00:00Z");
        assert!(text.contains("every node") && text.contains("at any time"), "{text}");
        assert!(text.contains("without an end in the next 60 days"), "{text}");
        assert!(!text.contains("opening "), "{text}");
    }

    #[test]
    fn mistakes_and_windows_in_which_no_node_could_start_are_shown() {
        let wrong = json!({ "windows": [{ "cron": "0 2 * * *", "duration": "4h", "timeZone": "Mars" }] });
        let text = shown_at(&wrong, "2026-12-10T12:00:00Z");
        assert!(text.contains("MISTAKE   spec.windows[0].timeZone: "), "{text}");
        let short = json!({ "windows": [{ "cron": "0 2 * * *", "duration": "1h" }], "startMargin": "2h" });
        let text = shown_at(&short, "2026-12-10T12:00:00Z");
        assert!(
            text.contains("WARNING   no opening of the coming year is longer than 1h"),
            "{text}"
        );
        let never = json!({ "blackouts": [{ "from": "2026-01-01", "to": "2199-12-31" }] });
        let text = shown_at(&never, "2026-12-10T12:00:00Z");
        assert!(
            text.contains("WARNING   there is no opening in the coming year"),
            "{text}"
        );
    }

    #[test]
    fn the_nodes_of_a_cluster_are_named_by_policy() {
        let nodes = |count: usize| (1..=count).map(|number| format!("n{number}")).collect::<Vec<_>>();
        let governed = Governed {
            by_policy: [("a".into(), nodes(7)), ("b".into(), nodes(0)), ("c".into(), nodes(1))].into(),
            turns: [
                (
                    "a".into(),
                    Turns {
                        canaries: Some(nodes(1)),
                        nodes: nodes(22),
                    },
                ),
                (
                    "c".into(),
                    Turns {
                        canaries: Some(vec![]),
                        nodes: nodes(1),
                    },
                ),
            ]
            .into(),
            in_conflict: vec![("x".to_owned(), "a".into(), "b".into())],
            without: vec!["y".to_owned()],
        };
        let text = of_nodes("the cluster", &governed);
        for part in [
            "by a: n1, n2, n3, n4, n5 and 2 more\n",
            "canaries  of a: n1\n",
            "order     of a, if every node needed a reboot: n1, n2, n3,",
            ", n20 and 2 more\n",
            "WARNING   no node of c carries the labels of its canaries: none of them would start\n",
            "order     of c, if every node needed a reboot: n1\n",
            "by b: no node\n",
            "by c: n1\n",
            "CONFLICT  x: a and b",
            "no policy is for y",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
    }
}
