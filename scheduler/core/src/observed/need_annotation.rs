//! Needs by annotation: a policy names annotations, and a Node that carries one needs a reboot.
//!
//! The sentinel knows nothing of Kubernetes, so its report lacks these needs. They are added to the report as further
//! probes, by the rules by which a sentinel merges its own: a need of one probe is a need of the host, and without one a
//! probe that shows neither leaves the need unknown.
//!
//! Only the program or operator that set an annotation removes it. So one that is there from the first look of a boot on may
//! be the one that the last reboot served: it is undated, and not served again. It is a new need once it was gone in this
//! boot, or has another value.

use std::collections::BTreeMap;

use bellwether_policy::NeedAnnotation;
use bellwether_proto::{
    BootId, HostReport, NeedReport, ProbeNeed, ProbeOutcome, ProbeReport, Problem, ProblemCode, RebootNeed,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::encoding::as_text;
use crate::observed::{NodeView, StoredReport};

/// The kind of these probes, for operators.
const KIND: &str = "annotation";
/// Longest part of a value that a reason repeats, in characters.
const VALUE_CHARS_MAX: usize = 64;

/// What the views of a node have shown of one annotation in one boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sight {
    #[serde(with = "as_text")]
    boot: BootId,
    /// The newest view: the Node carries it; none: it does not.
    carried: Option<Carried>,
}

/// An annotation that a node carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Carried {
    value: String,
    /// Since when it has this value, by the host's clock.
    since: Timestamp,
    /// Since when a view of this boot has shown it.
    first_since: Timestamp,
    /// No view of this boot was without this value.
    undated: bool,
}

/// The sights of the annotations of a node, by annotation.
pub(crate) type Sights = BTreeMap<String, Sight>;

/// The need of the sentinel's report and its probes, with those of the annotations. None: the policy of the node names no annotation.
pub(super) fn with_annotations(
    stored: &StoredReport<HostReport>,
    node: &NodeView,
    named: &[NeedAnnotation],
    sights: &mut Sights,
    now: Timestamp,
) -> Option<(NeedReport, Vec<ProbeReport>)> {
    if named.is_empty() {
        return None;
    }
    let report = &stored.report;
    // The sight of an annotation that no policy names at this moment stays: the policy may be exchanged.
    sights.retain(|_, sight| sight.boot == report.boot_id);
    let mut need = report.need.clone();
    let mut probes = report.probes.clone();
    for annotation in named {
        let outcome = look(annotation, stored, node, sights, now);
        let (outcome, first_since) = match outcome {
            Look::Carried(carried) => (ProbeOutcome::Required(carried.need(annotation)), carried.first_since),
            Look::Absent => (ProbeOutcome::NotRequired, now),
            Look::Unknown => (ProbeOutcome::Unknown(unread(annotation)), now),
        };
        need = merged(need, &outcome, first_since);
        probes.push(ProbeReport {
            name: annotation.to_string(),
            kind: KIND.to_owned(),
            outcome,
        });
    }
    Some((need, probes))
}

/// An annotation that a policy has named is there, or was at the last look, in this boot.
pub(super) fn is_carried(sights: &Sights, boot: &BootId) -> bool {
    let mut sights = sights.values();
    sights.any(|sight| sight.boot == *boot && sight.carried.is_some())
}

/// No instant of the past lies in the future: the clock may have been set back.
pub(super) fn clamp(sights: &mut Sights, now: Timestamp) {
    for carried in sights.values_mut().filter_map(|sight| sight.carried.as_mut()) {
        carried.first_since = carried.first_since.min(now);
    }
}

enum Look {
    Carried(Carried),
    Absent,
    /// No view has been read for this annotation yet.
    Unknown,
}

fn look(
    annotation: &NeedAnnotation,
    stored: &StoredReport<HostReport>,
    node: &NodeView,
    sights: &mut Sights,
    now: Timestamp,
) -> Look {
    let Some(value) = node.annotations.get(&annotation.key) else {
        return Look::Unknown;
    };
    let boot = stored.report.boot_id.clone();
    let asking = value.as_ref().filter(|value| annotation.asks(value));
    let before = sights.get(&annotation.to_string());
    let carried = asking.map(|value| match before.map(|sight| &sight.carried) {
        Some(Some(carried)) if carried.value == *value => carried.clone(),
        other => Carried {
            value: value.clone(),
            since: began(stored, now),
            first_since: other
                .and_then(Option::as_ref)
                .map_or(now, |carried| carried.first_since),
            undated: other.is_none(),
        },
    });
    let look = carried.clone().map_or(Look::Absent, Look::Carried);
    sights.insert(annotation.to_string(), Sight { boot, carried });
    look
}

/// This instant by the host's clock, and not before its boot: a report that came late makes that clock look behind.
fn began(stored: &StoredReport<HostReport>, now: Timestamp) -> Timestamp {
    let by_host = now.checked_add(stored.clock_ahead()).unwrap_or(now);
    stored.report.booted_at.map_or(by_host, |booted| by_host.max(booted))
}

impl Carried {
    fn need(&self, annotation: &NeedAnnotation) -> ProbeNeed {
        let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
        let value: String = self.value.chars().take(VALUE_CHARS_MAX).map(printable).collect();
        ProbeNeed {
            since: self.since,
            reasons: vec![format!("annotation {}={value}", annotation.key)],
            undated: self.undated,
            kernel_change: None,
        }
    }
}

fn unread(annotation: &NeedAnnotation) -> Problem {
    let message = format!("the annotation {} of the Node is being read", annotation.key);
    Problem::new(ProblemCode::ProbeFailed, message)
}

/// As the sentinel merges the results of its probes.
fn merged(all: NeedReport, outcome: &ProbeOutcome, first_since: Timestamp) -> NeedReport {
    match (all, outcome) {
        (all, ProbeOutcome::NotRequired) => all,
        (NeedReport::NotRequired, ProbeOutcome::Unknown(problem)) => NeedReport::Unknown(problem.clone()),
        (all @ (NeedReport::Required(_) | NeedReport::Unknown(_)), ProbeOutcome::Unknown(_)) => all,
        (NeedReport::NotRequired | NeedReport::Unknown(_), ProbeOutcome::Required(need)) => {
            NeedReport::Required(RebootNeed {
                since: need.since,
                first_since,
                reasons: need.reasons.clone(),
                trace: None,
                undated: need.undated,
            })
        }
        (NeedReport::Required(mut all), ProbeOutcome::Required(need)) => {
            // What is known to have begun in this boot counts more than what may be older.
            if all.undated == need.undated {
                all.since = all.since.max(need.since);
            } else if all.undated {
                all.since = need.since;
            }
            all.undated &= need.undated;
            all.first_since = all.first_since.min(first_since);
            all.reasons.extend(need.reasons.iter().cloned());
            NeedReport::Required(all)
        }
    }
}
