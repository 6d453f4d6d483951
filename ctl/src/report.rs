//! The report over the audit trail: how long each node needed a reboot, how often it was rebooted, and how that ended. Pure
//! functions.

use std::collections::BTreeMap;

use bellwether_check::text::{between, instant};
use bellwether_proto::wire;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::args::TrailForm;
use crate::history::{Entry, csv, json};
use crate::render;
use crate::time::{age, full};
use crate::vocabulary::or_nothing;

/// What a node came to in a span of time.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NodeReport {
    node: String,
    /// Attempts that ended as Done.
    reboots: u32,
    /// Attempts that ended otherwise, by the cause of each.
    failures: BTreeMap<&'static str, u32>,
    /// How long the node needed a reboot that it then got, from the first report of the need until it was proved back: of all
    /// reboots together, in seconds.
    exposure_seconds: i64,
    /// The same of the longest one.
    longest_exposure_seconds: i64,
    /// Since when it needs one now.
    needed_since: Option<Timestamp>,
    /// The kernel that runs, by its last report; or after its last reboot, if the node is gone.
    kernel: Option<String>,
    /// When its last reboot was proved and over.
    last_reboot: Option<Timestamp>,
}

/// The reports, while the trail is read.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// Attempts count that ended at this time or later.
    since: Option<Timestamp>,
    nodes: BTreeMap<String, NodeReport>,
    /// Since when a reboot was needed, by attempts that have not ended.
    needs: BTreeMap<String, Timestamp>,
}

impl Reports {
    /// Of what ended at this time or later.
    pub(crate) fn new(since: Option<Timestamp>) -> Self {
        Self {
            since,
            ..Self::default()
        }
    }

    /// Takes the next event of the trail.
    pub(crate) fn take(&mut self, entry: &Entry) {
        let Some(attempt) = &entry.attempt else { return };
        if let Some(since) = entry.start.as_ref().and_then(|start| start.need_first_since) {
            self.needs.insert(attempt.clone(), since);
        }
        let need = match entry.end {
            Some(_) => self.needs.remove(attempt),
            None => None,
        };
        if self.since.is_none_or(|since| entry.time >= since) {
            let report = self.nodes.entry(entry.node.clone()).or_default();
            report.take(entry, need);
        }
    }

    /// The reports of all nodes that are in the cluster, or have an event in the span.
    pub(crate) fn finish(mut self, fleet: &wire::ListNodesResponse, node: Option<&str>) -> Vec<NodeReport> {
        for status in fleet
            .nodes
            .iter()
            .filter(|status| node.is_none_or(|node| status.node == node))
        {
            let report = self.nodes.entry(status.node.clone()).or_default();
            report.needed_since = instant(status.required_since).filter(|_| status.reboot_required);
            report.kernel = Some(status.kernel_running.clone()).filter(|kernel| !kernel.is_empty());
        }
        let named = self
            .nodes
            .into_iter()
            .map(|(node, report)| NodeReport { node, ..report });
        named.collect()
    }
}

impl NodeReport {
    fn take(&mut self, entry: &Entry, need: Option<Timestamp>) {
        let Some(end) = &entry.end else { return };
        if entry.phase != Some(bellwether_proto::Phase::Done.as_str()) {
            let failures = self.failures.entry(entry.cause.unwrap_or("Unknown")).or_default();
            *failures = failures.saturating_add(1);
            return;
        }
        self.reboots = self.reboots.saturating_add(1);
        self.last_reboot = Some(entry.time);
        self.kernel.clone_from(&end.kernel_after);
        if let Some(need) = need.or(end.need_since) {
            let exposure = entry.time.duration_since(need).max(SignedDuration::ZERO).as_secs();
            self.exposure_seconds = self.exposure_seconds.saturating_add(exposure);
            self.longest_exposure_seconds = self.longest_exposure_seconds.max(exposure);
        }
    }

    fn failures(&self) -> String {
        let failures = self.failures.iter().map(|(cause, count)| match count {
            1 => (*cause).to_owned(),
            count => format!("{count} {cause}"),
        });
        failures.collect::<Vec<_>>().join(" ")
    }
}

/// The reports in this form.
pub(crate) fn text(reports: &[NodeReport], form: TrailForm, now: Timestamp) -> anyhow::Result<String> {
    const COLUMNS: [&str; 8] = [
        "NODE",
        "REBOOTS",
        "FAILURES",
        "EXPOSURE",
        "LONGEST",
        "NEEDED",
        "LAST REBOOT",
        "KERNEL",
    ];
    const FOR_SPREADSHEETS: [&str; 8] = [
        "NODE",
        "REBOOTS",
        "FAILURES",
        "EXPOSURE SECONDS",
        "LONGEST EXPOSURE SECONDS",
        "NEEDED SINCE",
        "LAST REBOOT",
        "KERNEL",
    ];
    let row = |report: &NodeReport, span: &dyn Fn(i64) -> String, needed: String| {
        [
            report.node.clone(),
            report.reboots.to_string(),
            report.failures(),
            span(report.exposure_seconds),
            span(report.longest_exposure_seconds),
            needed,
            report.last_reboot.map(|at| full(Some(at))).unwrap_or_default(),
            report.kernel.clone().unwrap_or_default(),
        ]
    };
    match form {
        TrailForm::Json => json(&reports, "nodes"),
        TrailForm::Csv => {
            let needed = |report: &NodeReport| report.needed_since.map(|at| full(Some(at))).unwrap_or_default();
            let rows = reports
                .iter()
                .map(|report| row(report, &|seconds| seconds.to_string(), needed(report)));
            Ok(csv(&FOR_SPREADSHEETS, rows))
        }
        TrailForm::Table => {
            let span = |seconds: i64| match Timestamp::UNIX_EPOCH.checked_add(SignedDuration::from_secs(seconds)) {
                Ok(end) if seconds > 0 => between(Timestamp::UNIX_EPOCH, end),
                Ok(_) | Err(_) => String::new(),
            };
            let rows = reports.iter().map(|report| {
                let needed = report
                    .needed_since
                    .map(|_| age(report.needed_since, now))
                    .unwrap_or_default();
                row(report, &span, needed).iter().map(|cell| or_nothing(cell)).collect()
            });
            Ok(render::table(&COLUMNS, rows))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::trail_of_reboots;

    fn fleet() -> wire::ListNodesResponse {
        let status = |node: &str| wire::NodeStatus {
            node: node.to_owned(),
            reboot_required: true,
            required_since: Some(prost_types::Timestamp {
                seconds: 9000,
                nanos: 0,
            }),
            kernel_running: "6.12.50".to_owned(),
            ..Default::default()
        };
        wire::ListNodesResponse {
            nodes: vec![status("worker-1"), status("worker-2")],
            ..Default::default()
        }
    }

    fn of(fleet: &wire::ListNodesResponse, since: Option<Timestamp>) -> Vec<NodeReport> {
        let mut reports = Reports::new(since);
        for entry in trail_of_reboots() {
            reports.take(&entry);
        }
        reports.finish(fleet, None)
    }

    #[test]
    fn a_report_counts_reboots_failures_and_the_time_from_a_need_to_its_end() {
        let reports = of(&fleet(), None);
        let now = Timestamp::from_second(9060).unwrap();
        assert_eq!(
            text(&reports, TrailForm::Csv, now).unwrap(),
            "node,reboots,failures,exposure_seconds,longest_exposure_seconds,needed_since,last_reboot,kernel\n\
             worker-1,2,Operator,780,600,1970-01-01T02:30:00Z,1970-01-01T01:00:00Z,6.12.50\n\
             worker-2,0,,0,0,1970-01-01T02:30:00Z,,6.12.50\n"
        );
        let table = text(&reports, TrailForm::Table, now).unwrap();
        assert!(
            table.contains("worker-1   2         Operator   13m        10m       60s"),
            "{table}"
        );
    }

    #[test]
    fn a_report_of_a_span_counts_what_ended_in_it_with_all_of_its_exposure() {
        let since = Timestamp::from_second(3000).unwrap();
        let reports = of(&wire::ListNodesResponse::default(), Some(since));
        let [report] = reports.as_slice() else {
            panic!("{reports:?}")
        };
        assert_eq!((report.reboots, report.exposure_seconds), (1, 180));
        assert_eq!(report.kernel.as_deref(), Some("6.12.49"));
    }
}
