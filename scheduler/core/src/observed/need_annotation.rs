//! Needs by annotation: a policy names annotations, and a Node that carries one needs a reboot.
//!
//! The sentinel knows nothing of Kubernetes, so its report lacks these needs. They are added to the report as further
//! probes, by the rules by which a sentinel merges its own: a need of one probe is a need of the host, and without one a
//! probe that shows neither leaves the need unknown.
//!
//! Only the program or operator that set an annotation removes it, and the record of the last reboot knows which ones that
//! reboot has served: none of these is a need again until a view of this boot shows the Node without it. Every other one is
//! a new need under every leader, whenever it is first looked at. Until the record knows, as after a reboot by a version
//! before this list, one that is there at the first look counts as served.

use std::collections::BTreeMap;

use bellwether_policy::NeedAnnotation;
use bellwether_proto::{
    Attempt, BootId, HostReport, NeedReport, ProbeNeed, ProbeOutcome, ProbeReport, Problem, ProblemCode, RebootNeed,
    ServedAnnotation,
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

/// What the annotations of a node ask for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Asking {
    /// No annotation asks for a reboot.
    #[default]
    Nothing,
    /// The need of the node consists of annotations that the last reboot has served, and of nothing else.
    Again,
    /// An annotation asks for a reboot that none has served yet.
    Reboot,
}

impl Asking {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's")]
    pub(super) fn is_nothing(&self) -> bool {
        *self == Self::Nothing
    }
}

/// What the last reboot of a node has served.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Served<'a> {
    /// No reboot of ours began this boot.
    Nothing,
    /// The record does not know.
    Unknown,
    /// These.
    These(&'a [ServedAnnotation]),
}

impl<'a> Served<'a> {
    /// What the reboot that began this boot has served.
    pub(crate) fn in_boot(attempt: Option<&'a Attempt>, boot: &BootId) -> Self {
        let last = attempt.and_then(|attempt| attempt.last_reboot.as_ref());
        match last.filter(|last| last.boot_id == *boot) {
            None => Self::Nothing,
            Some(last) => last.served_annotations.as_deref().map_or(Self::Unknown, Self::These),
        }
    }

    fn contains(self, key: &str, carried: &Carried) -> bool {
        match self {
            Self::Nothing => false,
            Self::Unknown => carried.undated,
            Self::These(all) => all
                .iter()
                .any(|served| served.key == key && served.value == carried.value),
        }
    }
}

/// What the annotations of a node add to the report of its sentinel.
pub(crate) struct Added {
    pub(crate) need: NeedReport,
    pub(crate) probes: Vec<ProbeReport>,
    pub(crate) asking: Asking,
}

/// The need of the sentinel's report and its probes, with those of the annotations. None: the policy of the node names no annotation.
pub(super) fn with_annotations(
    stored: &StoredReport<HostReport>,
    node: &NodeView,
    named: &[NeedAnnotation],
    served: Served<'_>,
    sights: &mut Sights,
    now: Timestamp,
) -> Option<Added> {
    if named.is_empty() {
        return None;
    }
    let report = &stored.report;
    // The sight of an annotation that no policy names at this moment stays: the policy may be exchanged.
    sights.retain(|_, sight| sight.boot == report.boot_id);
    let mut need = report.need.clone();
    let mut probes = report.probes.clone();
    let mut asking = Asking::Nothing;
    // Needs that were served neither make a new one older nor keep an attempt alive whose own need is gone.
    let mut again = NeedReport::NotRequired;
    for annotation in named {
        let outcome = match look(annotation, stored, node, served, sights, now) {
            Look::Carried(carried) => {
                let is_served = served.contains(&annotation.key, &carried);
                let outcome = ProbeOutcome::Required(carried.need(annotation, is_served));
                if is_served {
                    again = merged(again, &outcome, carried.first_since);
                } else {
                    need = merged(need, &outcome, carried.first_since);
                    asking = Asking::Reboot;
                }
                outcome
            }
            Look::Absent => ProbeOutcome::NotRequired,
            Look::Unknown => {
                let outcome = ProbeOutcome::Unknown(unread(annotation));
                need = merged(need, &outcome, now);
                outcome
            }
        };
        probes.push(ProbeReport {
            name: annotation.to_string(),
            kind: KIND.to_owned(),
            outcome,
        });
    }
    if need == NeedReport::NotRequired && again != NeedReport::NotRequired {
        (need, asking) = (again, Asking::Again);
    }
    Some(Added { need, probes, asking })
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
    served: Served<'_>,
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
            // Another value continues the need of the one before, unless a reboot has ended that.
            first_since: other
                .and_then(Option::as_ref)
                .filter(|before| !served.contains(&annotation.key, before))
                .map_or(now, |before| before.first_since),
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
    fn need(&self, annotation: &NeedAnnotation, is_served: bool) -> ProbeNeed {
        let printable = |letter: char| if letter.is_control() { ' ' } else { letter };
        let value: String = self.value.chars().take(VALUE_CHARS_MAX).map(printable).collect();
        ProbeNeed {
            since: self.since,
            reasons: vec![format!("annotation {}={value}", annotation.key)],
            undated: self.undated || is_served,
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
