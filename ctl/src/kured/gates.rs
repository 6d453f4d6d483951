//! kured's blockers as gates of a policy: alerts of Prometheus, and pods on the node.

use bellwether_policy::{AlertsSpec, GatesSpec, PodsSpec, PrometheusSpec};

use super::fault::Fault;
use super::flag::Flag;
use super::label_selector;
use super::settings::Settings;

/// How many selectors a policy takes.
const SELECTORS_MAX: usize = 8;

/// As in kured, a server that cannot be asked and pods that cannot be listed keep nodes from rebooting.
const BLOCK: &str = "Block";

/// The gates of these settings; none without blockers.
///
/// # Errors
/// A value that a gate cannot express.
pub(crate) fn translate(settings: &Settings) -> Result<Option<GatesSpec>, Vec<Fault>> {
    let gates = GatesSpec {
        prometheus: alerts(settings).map_err(|fault| vec![fault])?.into_iter().collect(),
        pods: pods(settings)?,
        ..GatesSpec::default()
    };
    Ok((gates != GatesSpec::default()).then_some(gates))
}

/// One gate for each selector, since a pod of any of them blocks.
fn pods(settings: &Settings) -> Result<Vec<PodsSpec>, Vec<Fault>> {
    let flag = format!("--{}", Flag::BlockingPodSelector.name());
    let selectors = settings.list(Flag::BlockingPodSelector);
    if selectors.len() > SELECTORS_MAX {
        let message = format!(
            "{} selectors, and a policy takes {SELECTORS_MAX}: join some, as in `app in (a, b)`",
            selectors.len()
        );
        return Err(vec![Fault::new(flag, message)]);
    }
    let mut faults = Vec::new();
    let mut gates = Vec::new();
    for (index, text) in selectors.iter().enumerate() {
        match label_selector::parse(text) {
            Some(selector) => gates.push(PodsSpec {
                name: format!("pods-{}", index + 1),
                selector,
                namespaces: Vec::new(),
                on_error: BLOCK.to_owned(),
            }),
            None => faults.push(Fault::new(
                flag.as_str(),
                format!("`{text}` is no selector that a policy can express: write conditions such as app=ci or tier in (a, b)"),
            )),
        }
    }
    if faults.is_empty() { Ok(gates) } else { Err(faults) }
}

/// The alerts that block; none without a server.
fn alerts(settings: &Settings) -> Result<Option<PrometheusSpec>, Fault> {
    let url = settings.text(Flag::PrometheusUrl);
    if url.is_empty() {
        return Ok(None);
    }
    if url.contains('@') {
        // The text of the policy's own fault would show the password.
        return Err(Fault::new(
            "--prometheus-url",
            "it has a user and a password, which belong into a Secret: take them out of a copy of the manifest, give \
             the copy by --file, and add basicAuth to the gate (docs/gates.md)",
        ));
    }
    let filter = Some(settings.text(Flag::AlertFilterRegexp)).filter(|filter| !filter.is_empty());
    let (ignore, only) = if settings.is_on(Flag::AlertFilterMatchOnly) {
        (None, filter)
    } else {
        (filter, None)
    };
    Ok(Some(PrometheusSpec {
        name: "alerts".to_owned(),
        url,
        alerts: Some(AlertsSpec {
            ignore,
            only,
            firing_only: settings.is_on(Flag::AlertFiringOnly),
            ..AlertsSpec::default()
        }),
        query: None,
        bearer_token_file: None,
        basic_auth: None,
        ca_file: None,
        timeout: "10s".to_owned(),
        on_error: BLOCK.to_owned(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kured::source::{Arg, Source};

    fn gates(args: &[&str]) -> Result<Option<GatesSpec>, Vec<Fault>> {
        let source = Source {
            args: args.iter().map(|arg| Arg::from(*arg)).collect(),
            ..Source::default()
        };
        translate(&Settings::read(&source).unwrap())
    }

    fn filter(args: &[&str]) -> (Option<String>, Option<String>, bool) {
        let url = ["--prometheus-url=http://prometheus:9090"];
        let gates = gates(&[&url, args].concat()).unwrap().unwrap();
        let alerts = gates.prometheus[0].alerts.clone().unwrap();
        (alerts.ignore, alerts.only, alerts.firing_only)
    }

    #[test]
    fn the_three_filters_of_alerts_are_those_of_the_gate() {
        let name = || Some("^Watchdog$".to_owned());
        let regexp = "--alert-filter-regexp=^Watchdog$";
        assert_eq!(filter(&[]), (None, None, false));
        assert_eq!(filter(&[regexp]), (name(), None, false));
        assert_eq!(filter(&[regexp, "--alert-filter-match-only"]), (None, name(), false));
        assert_eq!(
            filter(&["--alert-filter-match-only", "--alert-firing-only"]),
            (None, None, true)
        );
        assert_eq!(
            gates(&[regexp]).unwrap(),
            None,
            "kured ignores filters without a server"
        );
    }

    #[test]
    fn each_selector_of_pods_is_a_gate_of_its_own() {
        let found = gates(&[
            "--blocking-pod-selector=app=ci,tier=x",
            "--blocking-pod-selector=job in (a, b)",
        ]);
        let pods = found.unwrap().unwrap().pods;
        let names: Vec<&str> = pods.iter().map(|pods| pods.name.as_str()).collect();
        assert_eq!(names, ["pods-1", "pods-2"]);
        assert_eq!(pods[0].selector.match_labels.len(), 2);
        assert_eq!(pods[1].selector.match_expressions[0].values, ["a", "b"]);
    }

    #[test]
    fn what_no_gate_can_express_is_named_and_a_password_is_not_shown() {
        let faults = gates(&["--blocking-pod-selector=", "--blocking-pod-selector=cores>4"]).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults[1].to_string().starts_with("--blocking-pod-selector: `cores>4`"),
            "{faults:?}"
        );
        assert!(
            gates(&["--blocking-pod-selector=a=1"; 9]).unwrap_err()[0]
                .message
                .starts_with("9 selectors")
        );
        let fault = gates(&["--prometheus-url=http://anna:geheim@prometheus"])
            .unwrap_err()
            .remove(0);
        assert!(!fault.to_string().contains("geheim"), "{fault}");
    }
}
