//! The meaning of a `RebootPolicy`.

use std::sync::Arc;

use jiff::SignedDuration;
use serde::Deserialize;

use crate::brakes::Brakes;
use crate::budget::Budget;
use crate::calendar::{Blackout, Calendar, Cron, Weekly, Window};
use crate::canaries::Canaries;
use crate::drain::Drain;
use crate::duration::duration;
use crate::fault::Fault;
use crate::gates::{Gates, gates_of};
use crate::labels::LabelSelector;
use crate::needs::{NeedAnnotation, annotations_of};
use crate::selector::Selector;
use crate::service::BackInService;
use crate::spec::{Approval, BlackoutSpec, ControlPlaneTurn, RebootMode, RebootPolicySpec, WaitingTaint, WindowSpec};

/// A policy by name, with the terms that it sets, or the mistakes in them.
#[derive(Debug, Clone)]
pub struct RebootPolicy {
    /// The name of the resource.
    pub name: Arc<str>,
    /// The nodes that the policy is for. With a mistake in the selector: every node, since any of them may be meant.
    pub selector: Selector,
    /// The greater number goes first.
    pub priority: i32,
    /// The terms; the mistakes, in the order of the fields, if the policy has any. Such a policy still governs its
    /// nodes, which are not rebooted.
    pub terms: Result<Terms, Vec<Fault>>,
}

/// What a policy without mistakes sets.
#[derive(Debug, Clone)]
pub struct Terms {
    /// When nodes may start.
    pub calendar: Calendar,
    /// The time that a node needs before the end of an opening; none: by the last drain of the node.
    pub start_margin: Option<SignedDuration>,
    /// Annotations that ask for a reboot of the node that carries them.
    pub need_annotations: Vec<NeedAnnotation>,
    /// What keeps a node from starting though a window is open.
    pub gates: Gates,
    /// How nodes are drained.
    pub drain: Drain,
    /// What has to be back before a node is uncordoned after its reboot.
    pub back_in_service: BackInService,
    /// Limits beyond which reboots stop.
    pub brakes: Brakes,
    /// How many nodes may be disrupted at once.
    pub budget: Budget,
    /// The nodes that reboot first, if there are such.
    pub canaries: Option<Canaries>,
    /// Whether an operator has to approve reboots.
    pub approval: Approval,
    /// The taint of the policy's nodes that wait.
    pub waiting_taint: WaitingTaint,
    /// When nodes of the control plane go.
    pub control_plane: ControlPlaneTurn,
    /// How nodes are rebooted.
    pub reboot_kind: RebootMode,
}

impl RebootPolicy {
    /// Reads a policy from the resource's field `spec`, whatever that holds. A policy that cannot be read as a whole
    /// is refused; its selector and priority count all the same if they can be read, so that such a policy stops its
    /// own nodes and no others.
    #[must_use]
    pub fn read(name: Arc<str>, spec: &serde_json::Value) -> Self {
        match RebootPolicySpec::deserialize(spec) {
            Ok(spec) => Self::new(name, &spec),
            Err(error) => {
                let scope = Scope::deserialize(spec).unwrap_or_default();
                let mut faults = vec![Fault::new("spec", format!("{error}: {UNREADABLE}"))];
                Self {
                    name,
                    selector: selector_of(scope.node_selector.as_ref(), &mut faults),
                    priority: scope.priority,
                    terms: Err(faults),
                }
            }
        }
    }

    /// The meaning of a policy.
    #[must_use]
    pub fn new(name: Arc<str>, spec: &RebootPolicySpec) -> Self {
        let mut faults = Vec::new();
        let selector = selector_of(spec.node_selector.as_ref(), &mut faults);
        let mut windows = Vec::new();
        for (index, window) in spec.windows.iter().enumerate() {
            windows.extend(or_note(
                window_of(window, &format!("spec.windows[{index}]")).map(Some),
                &mut faults,
            ));
        }
        let mut blackouts = Vec::new();
        for (index, blackout) in spec.blackouts.iter().enumerate() {
            blackouts.extend(or_note(
                blackout_of(blackout, &format!("spec.blackouts[{index}]")).map(Some),
                &mut faults,
            ));
        }
        let margin = spec.start_margin.as_deref();
        let margin = margin
            .map(|text| duration(text, "spec.startMargin", MARGIN_MAX))
            .transpose();
        let start_margin = or_note(margin.map_err(|fault| vec![fault]), &mut faults);
        let need_annotations = annotations_of(spec.needs.as_ref(), &mut faults);
        let gates = spec.gates.as_ref().map(|gates| gates_of(gates, "spec.gates"));
        let gates = or_note(gates.transpose().map(Option::unwrap_or_default), &mut faults);
        let drain = Drain::read(spec.drain.as_ref(), &mut faults);
        let back_in_service = BackInService::read(spec.back_in_service.as_ref(), &mut faults);
        let brakes = Brakes::read(spec.brakes.as_ref(), &mut faults);
        let budget = spec.budget.as_ref().map(|budget| Budget::new(budget, "spec.budget"));
        let budget = budget.map_or_else(Budget::default, |budget| or_note(budget, &mut faults));
        let canaries = spec.canaries.as_ref();
        let canaries = canaries.map(|canaries| Canaries::read(canaries, &mut faults));
        Self {
            name,
            selector,
            priority: spec.priority,
            terms: if faults.is_empty() {
                Ok(Terms {
                    calendar: Calendar::new(windows, blackouts),
                    start_margin,
                    need_annotations,
                    gates,
                    drain,
                    back_in_service,
                    brakes,
                    budget,
                    canaries,
                    approval: spec.approval,
                    waiting_taint: spec.waiting_taint,
                    control_plane: spec.control_plane,
                    reboot_kind: spec.reboot_kind,
                })
            } else {
                Err(faults)
            },
        }
    }

    /// The mistakes in one line, for operators; empty if there are none.
    #[must_use]
    pub fn faults(&self) -> String {
        let faults = self.terms.as_ref().err().map(Vec::as_slice).unwrap_or_default();
        let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
        texts.join("; ")
    }
}

/// What says which nodes a policy is for, of a policy that may have fields of a newer version.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Scope {
    node_selector: Option<LabelSelector>,
    priority: i32,
}

/// The remedy for a spec that this version cannot read.
const UNREADABLE: &str = "correct the field, or run a scheduler of the version that the resource's schema is of";

/// With a mistake: every node.
fn selector_of(spec: Option<&LabelSelector>, faults: &mut Vec<Fault>) -> Selector {
    let selector = spec.map(|spec| Selector::new(spec, "spec.nodeSelector"));
    selector.map_or_else(Selector::default, |selector| or_note(selector, faults))
}

/// The value, or its default with the mistakes noted.
fn or_note<T: Default>(result: Result<T, Vec<Fault>>, faults: &mut Vec<Fault>) -> T {
    result.unwrap_or_else(|mut found| {
        faults.append(&mut found);
        T::default()
    })
}

fn window_of(spec: &WindowSpec, path: &str) -> Result<Window, Vec<Fault>> {
    let is_weekly = !spec.days.is_empty() || spec.start.is_some() || spec.end.is_some();
    let is_cron = spec.cron.is_some() || spec.duration.is_some();
    let one = |fault| Err(vec![fault]);
    let missing = |field: &str, with: &str| Fault::new(format!("{path}.{field}"), format!("missing: {with}"));
    if is_weekly && is_cron {
        return one(Fault::new(
            path,
            "days, start and end exclude cron and duration: write two windows, or remove one kind",
        ));
    }
    if is_cron {
        return match (&spec.cron, &spec.duration) {
            (Some(cron), Some(duration)) => Cron::parse(cron, duration, &spec.time_zone)
                .map(Window::from)
                .map_err(|error| vec![of_calendar(path, &error)]),
            (None, _) => one(missing(
                "cron",
                "the times at which the window opens, such as \"0 2 * * SAT#3\"",
            )),
            (_, None) => one(missing("duration", "how long the window is open, such as 4h")),
        };
    }
    match (&spec.start, &spec.end) {
        (Some(start), Some(end)) => Weekly::parse(&spec.days, start, end, &spec.time_zone)
            .map(Window::from)
            .map_err(|error| vec![of_calendar(path, &error)]),
        (None, None) if spec.days.is_empty() => one(Fault::new(
            path,
            "empty: write days, start and end, or cron and duration",
        )),
        (None, _) => one(missing("start", "the time at which the window opens, such as 22:00")),
        (_, None) => one(missing("end", "the time at which the window shuts, such as 04:00")),
    }
}

fn blackout_of(spec: &BlackoutSpec, path: &str) -> Result<Blackout, Vec<Fault>> {
    Blackout::parse(&spec.from, &spec.to, &spec.time_zone, &spec.reason)
        .map_err(|error| vec![of_calendar(path, &error)])
}

/// The text of an error of the calendar begins with the field's name.
fn of_calendar(path: &str, error: &crate::calendar::CalendarError) -> Fault {
    let field = error.field().as_str();
    let text = error.to_string();
    let message = text.strip_prefix(&format!("{field}: ")).unwrap_or(&text);
    Fault::new(format!("{path}.{field}"), message)
}

/// Longest margin: that of the longest window with a cron.
const MARGIN_MAX: SignedDuration = Cron::DURATION_MAX;
