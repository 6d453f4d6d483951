//! From the settings of one kured to the policy and the settings of Bellwether that do the same.

use bellwether_policy::{BudgetSpec, DrainSpec, IntOrString, RebootPolicy, RebootPolicySpec};
use jiff::SignedDuration;

use super::fault::Fault;
use super::flag::Flag;
use super::overlay::Overlay;
use super::place::SentinelFile;
use super::plan::{FlagPlan, Plan};
use super::settings::Settings;
use super::source::Source;
use super::text;
use super::value::{Value, short};
use super::verdict::{self, Counterpart, Method};
use super::{gates, selector, window};

/// Flags that shape the plan, so that their values have to be known.
const NEEDED: [Flag; 17] = [
    Flag::RebootSentinel,
    Flag::RebootSentinelCommand,
    Flag::RebootCommand,
    Flag::RebootMethod,
    Flag::RebootDelay,
    Flag::DrainTimeout,
    Flag::LockReleaseDelay,
    Flag::Concurrency,
    Flag::PrometheusUrl,
    Flag::AlertFilterRegexp,
    Flag::AlertFilterMatchOnly,
    Flag::AlertFiringOnly,
    Flag::BlockingPodSelector,
    Flag::RebootDays,
    Flag::StartTime,
    Flag::EndTime,
    Flag::TimeZone,
];

/// The scheduler's default of `--drain-timeout`, which is the longest margin that a policy has by itself.
const DRAIN_TIMEOUT: SignedDuration = SignedDuration::from_mins(30);

/// Longest name of a policy.
const NAME_MAX: usize = 63;

/// The plan for one kured.
///
/// # Errors
/// The settings that kured itself refuses, and those whose values are not known or make no valid policy.
pub(crate) fn plan(source: &Source) -> Result<Plan, Vec<Fault>> {
    let settings = Settings::read(source)?;
    let hidden = NEEDED.iter().filter(|flag| settings.value(**flag) == Value::Hidden);
    let mut faults: Vec<Fault> = hidden.map(|flag| unknown(*flag)).collect();
    let windows = window::translate(&settings, source).map_err(|found| faults.extend(found));
    let gates = gates::translate(&settings).map_err(|found| faults.extend(found));
    let (Ok(windows), Ok(gates)) = (windows, gates) else {
        return Err(faults);
    };
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut notes = settings.notes.clone();
    notes.extend(windows.notes);
    let spec = RebootPolicySpec {
        node_selector: selector::of_policy(source),
        windows: windows.windows,
        blackouts: windows.blackouts,
        budget: budget(&settings),
        drain: drain(&settings),
        gates,
        start_margin: margin(&settings, windows.shortest, &mut notes),
        ..RebootPolicySpec::default()
    };
    let name = policy_name(&source.name);
    if let Err(found) = RebootPolicy::new(name.as_str().into(), &spec).terms {
        let of_policy = |fault: &bellwether_policy::Fault| Fault::new(fault.field.clone(), fault.message.clone());
        return Err(found.iter().map(of_policy).collect());
    }
    notes.extend(source.notes.iter().cloned());
    notes.extend(general(&settings, source));
    Ok(Plan {
        name,
        spec,
        meant: windows.meant,
        overlay: overlay(&settings, source),
        flags: settings
            .changed()
            // Every manifest of kured sets that one from the pod.
            .filter(|(flag, value)| (*flag, *value) != (Flag::NodeId, &Value::Hidden))
            .map(|(flag, value)| {
                let (counterpart, text) = verdict::of(flag, &settings, source);
                let value = if flag.is_secret() {
                    "(not shown)".to_owned()
                } else {
                    text::plain(&value.to_string())
                };
                FlagPlan {
                    flag: flag.name(),
                    value,
                    counterpart,
                    text: text::plain(&text),
                }
            })
            .collect(),
        notes: notes.iter().map(|note| text::plain(note)).collect(),
        settings,
    })
}

fn unknown(flag: Flag) -> Fault {
    let message = "its value is in a Secret, a ConfigMap or a field of the pod, and is not read: write the value into a \
                   copy of the manifest, and give the copy by --file";
    Fault::new(format!("--{}", flag.name()), message)
}

/// The delay of the reboot; the other settings of a drain are the scheduler's.
fn drain(settings: &Settings) -> Option<DrainSpec> {
    let delay = verdict::reboot_delay(settings)?;
    Some(DrainSpec {
        reboot_delay: Some(short(delay)),
        ..DrainSpec::default()
    })
}

/// As many nodes at once as kured; of several policies each keeps the number of its kured.
fn budget(settings: &Settings) -> Option<BudgetSpec> {
    let nodes = settings.number(Flag::Concurrency).filter(|nodes| *nodes > 1)?;
    Some(BudgetSpec {
        max_unavailable: Some(IntOrString::Int(nodes)),
        ..BudgetSpec::default()
    })
}

/// The DaemonSet's name, which may be longer than a policy's, and in a file may be missing or of any form.
fn policy_name(name: &str) -> String {
    let allowed = |letter: &char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || matches!(letter, '-' | '.');
    let plain: String = name.chars().filter(allowed).collect();
    let begin = plain.trim_start_matches(['-', '.']);
    let cut = begin.get(..NAME_MAX).unwrap_or(begin).trim_end_matches(['-', '.']);
    if cut.is_empty() { "kured" } else { cut }.to_owned()
}

/// kured starts drains until the end of its window. A policy keeps the time of a drain free before that, at first the
/// drain timeout: in a window that is no longer, no node would ever start.
fn margin(settings: &Settings, shortest: Option<SignedDuration>, notes: &mut Vec<String>) -> Option<String> {
    let timeout = settings.duration(Flag::DrainTimeout);
    let timeout = if timeout.is_zero() {
        DRAIN_TIMEOUT
    } else {
        verdict::limited(timeout)
    };
    let shortest = shortest.filter(|shortest| *shortest <= timeout)?;
    let margin = short(shortest / 2);
    notes.push(format!(
        "the window of {} is no longer than a drain may take ({}): so the policy's startMargin is {margin}, and a drain \
         that is not over at the window's end is rolled back",
        short(shortest),
        short(timeout)
    ));
    Some(margin)
}

/// What differs whichever flags are given.
fn general(settings: &Settings, source: &Source) -> Vec<String> {
    let mut notes = Vec::new();
    if settings.duration(Flag::DrainTimeout).is_zero() {
        notes.push(format!(
            "kured's drain has no limit (--drain-timeout=0); the scheduler's is {} by default, and then the node is \
             uncordoned and tried again later",
            short(DRAIN_TIMEOUT)
        ));
    }
    if !settings.text(Flag::PrometheusUrl).is_empty() {
        notes.push(
            "the scheduler may ask only what its network policy allows: components/prometheus-gates allows port 9090 of \
             the namespace monitoring; patch the policy for another place"
                .to_owned(),
        );
    }
    if settings.text(Flag::PrometheusUrl).starts_with("https://") {
        notes.push(
            "Prometheus is asked by https: the gate needs caFile with the authority of its certificate (docs/gates.md), \
             and is shut until then"
                .to_owned(),
        );
    }
    if !source.tolerates_all {
        notes.push(
            "kured's pods do not tolerate every taint, so nodes with other taints were never rebooted; Bellwether has \
             agents on every Linux node: if such nodes shall stay as they are, exclude them by the policy's nodeSelector"
                .to_owned(),
        );
    }
    notes
}

fn overlay(settings: &Settings, source: &Source) -> Overlay {
    let is_set = |flag: Flag| settings.changed().any(|(changed, _)| changed == flag);
    let mut overlay = Overlay::default();
    if let Some(slots) = settings.number(Flag::Concurrency).filter(|slots| *slots > 1) {
        overlay.scheduler("BELLWETHER_SLOTS", &slots.to_string());
    }
    for (flag, setting) in [
        (Flag::DrainTimeout, "BELLWETHER_DRAIN_TIMEOUT"),
        (Flag::LockReleaseDelay, "BELLWETHER_SOAK"),
    ] {
        if is_set(flag) {
            overlay.scheduler(setting, &short(verdict::limited(settings.duration(flag))));
        }
    }
    if is_set(Flag::AnnotateNodes) {
        overlay.scheduler("BELLWETHER_DRAINER_ANNOTATE_NODES", "true");
    }
    for (flag, setting) in [
        (Flag::PreRebootNodeLabels, "BELLWETHER_DRAINER_PRE_REBOOT_NODE_LABELS"),
        (Flag::PostRebootNodeLabels, "BELLWETHER_DRAINER_POST_REBOOT_NODE_LABELS"),
    ] {
        if is_set(flag) && verdict::of(flag, settings, source).0 == Counterpart::Setting {
            overlay.scheduler(setting, &settings.list(flag).join(","));
        }
    }
    let (sentinel, _) = verdict::of(Flag::RebootSentinel, settings, source);
    if sentinel == Counterpart::Setting
        && let Some(file) = SentinelFile::at(&settings.text(Flag::RebootSentinel), source)
    {
        overlay.agents("BELLWETHER_SENTINEL_FILE", &file.path);
        overlay.sentinel_folder = file.folder;
    }
    overlay.asks_prometheus = !settings.text(Flag::PrometheusUrl).is_empty();
    if let Method::Command(command) = verdict::method(settings) {
        overlay.agents("BELLWETHER_REBOOT_COMMAND", &command);
        overlay.runs_command = true;
    }
    overlay
}

#[cfg(test)]
#[path = "translate_tests.rs"]
mod tests;
