//! What becomes of each flag of kured, with the reason. docs/kured.md has the same for readers.

use bellwether_policy::Drain;
use bellwether_proto::NodeLabel;
use jiff::SignedDuration;
use serde::Serialize;

use super::flag::Flag;
use super::place::SentinelFile;
use super::settings::Settings;
use super::source::Source;
use super::value::short;

/// Where the counterpart of a flag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) enum Counterpart {
    /// In the policy.
    #[serde(rename = "policy")]
    Policy,
    /// In a setting of a service, by an overlay.
    #[serde(rename = "setting")]
    Setting,
    /// Nothing has to be set for the same effect.
    #[serde(rename = "not needed")]
    Unneeded,
    /// Bellwether has none.
    #[serde(rename = "none")]
    None,
}

/// The counterpart of a flag, and why or which.
pub(crate) type Verdict = (Counterpart, String);

/// Longest and shortest time that the scheduler's settings take.
const TIME_MIN: SignedDuration = SignedDuration::from_secs(1);
const TIME_MAX: SignedDuration = SignedDuration::from_hours(24);

/// A time within the limits of the scheduler's settings.
pub(crate) fn limited(time: SignedDuration) -> SignedDuration {
    time.clamp(TIME_MIN, TIME_MAX)
}

/// The signal by which systemd reboots.
const SIGRTMIN_5: i64 = 39;

/// Words of commands that do what logind does.
const LIKE_LOGIND: [&[&str]; 4] = [
    &["systemctl", "reboot"],
    &["reboot"],
    &["shutdown", "-r", "now"],
    &["init", "6"],
];

/// How the rebooter reboots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Method {
    /// Through logind, the default.
    Logind,
    /// By this command, which begins with an absolute path.
    Command(String),
    /// The rebooter has no such method.
    None,
}

/// The method that does the same.
pub(crate) fn method(settings: &Settings) -> Method {
    if settings.text(Flag::RebootMethod) == "signal" {
        return match settings.number(Flag::RebootSignal) {
            Some(SIGRTMIN_5) => Method::Logind,
            Some(_) | None => Method::None,
        };
    }
    let command = settings.text(Flag::RebootCommand);
    let mut words: Vec<&str> = command.split_whitespace().collect();
    if let Some(program) = words.first_mut() {
        *program = program.rsplit('/').next().unwrap_or_default();
    }
    if LIKE_LOGIND.contains(&words.as_slice()) {
        Method::Logind
    } else if command.starts_with('/') {
        Method::Command(command)
    } else {
        Method::None
    }
}

/// The verdict on a flag that is given and differs from its default.
pub(crate) fn of(flag: Flag, settings: &Settings, source: &Source) -> Verdict {
    use Counterpart::{None, Policy, Setting, Unneeded};
    let unless = |condition: bool, ignored: &str, verdict: Verdict| {
        if condition {
            verdict
        } else {
            (Unneeded, format!("kured ignores it {ignored}"))
        }
    };
    let has_alerts = !settings.text(Flag::PrometheusUrl).is_empty();
    let notifies = settings.changed().any(|(flag, _)| flag.is_secret());
    let signals = settings.text(Flag::RebootMethod) == "signal";
    let (counterpart, text) = match flag {
        Flag::NodeId => (Unneeded, "the manifests name the node"),
        Flag::Period => (
            Unneeded,
            "the sentinel watches the file, and the scheduler decides at every change",
        ),
        Flag::RebootSentinel => return sentinel(settings, source),
        Flag::RebootSentinelCommand => (
            None,
            "no service runs a command on the host to look: take a probe of docs/probes.md, or let a timer of the host \
             write the sentinel file; until then no node reports a need",
        ),
        Flag::RebootCommand => return unless(!signals, "beside --reboot-method=signal", command(settings)),
        Flag::RebootMethod => return by_signal(settings),
        Flag::RebootSignal => return unless(signals, "without --reboot-method=signal", by_signal(settings)),
        Flag::RebootDelay => return delayed(settings),
        Flag::ForceReboot => (
            None,
            "no node reboots without a complete drain: a node whose drain fails is uncordoned and tried again later",
        ),
        Flag::DrainDelay => (
            None,
            "nothing waits between the slot and the cordon; spec.drain.loadBalancerWait keeps the pods after the cordon, \
             while load balancers stop to use the node",
        ),
        Flag::DrainTimeout => return drain_timeout(settings),
        Flag::DrainGracePeriod => (None, "each pod has the grace period of its own spec"),
        Flag::DrainPodSelector => (
            None,
            "every pod is evicted; a pod that carries the annotation bellwether.dev/stays: \"true\" stays",
        ),
        Flag::SkipWaitForDeleteTimeout => (
            None,
            "a node is drained when its pods are gone; `kubectl reboots explain` names a pod that does not end",
        ),
        Flag::DsNamespace | Flag::DsName | Flag::LockAnnotation => (
            Unneeded,
            "there is no lock on a DaemonSet: attempts are records in NATS",
        ),
        Flag::LockTtl => (
            Unneeded,
            "each phase of an attempt has a deadline, and a deleted node frees its slot",
        ),
        Flag::LockReleaseDelay => return release_delay(settings),
        Flag::Concurrency => return concurrency(settings),
        Flag::PrometheusUrl => (Policy, ALERTS),
        Flag::AlertFilterRegexp | Flag::AlertFilterMatchOnly | Flag::AlertFiringOnly => {
            return unless(has_alerts, "without --prometheus-url", (Policy, ALERTS.to_owned()));
        }
        Flag::BlockingPodSelector => (Policy, "spec.gates.pods"),
        Flag::RebootDays | Flag::StartTime | Flag::EndTime | Flag::TimeZone => (Policy, "spec.windows"),
        Flag::PreferNoScheduleTaint => (
            Policy,
            "spec.waitingTaint, which is on by default; the taint is bellwether.dev/waits-for-reboot",
        ),
        Flag::AnnotateNodes => (
            Setting,
            "BELLWETHER_DRAINER_ANNOTATE_NODES of the drainer: from the cordon to its end, not while the node waits",
        ),
        Flag::PreRebootNodeLabels | Flag::PostRebootNodeLabels => return labels(flag, settings),
        Flag::NotifyUrl | Flag::SlackHookUrl => return (None, notified(&settings.text(flag))),
        Flag::SlackUsername | Flag::SlackChannel => (Unneeded, "kured reads it and uses it nowhere"),
        Flag::MessageTemplateDrain | Flag::MessageTemplateReboot | Flag::MessageTemplateUncordon => {
            return unless(
                notifies,
                "without --notify-url",
                (None, "not translated: the notifier has messages of its own".to_owned()),
            );
        }
        Flag::LogFormat => (Unneeded, "JSON is the default; BELLWETHER_LOG_FORMAT=text changes it"),
        Flag::MetricsHost | Flag::MetricsPort => (Unneeded, "each pod serves /metrics at port 8080 of its own address"),
    };
    (counterpart, text.to_owned())
}

const ALERTS: &str = "spec.gates.prometheus, and components/prometheus-gates";

fn sentinel(settings: &Settings, source: &Source) -> Verdict {
    if !settings.text(Flag::RebootSentinelCommand).is_empty() {
        let ignored = "kured ignores it beside --reboot-sentinel-command";
        return (Counterpart::Unneeded, ignored.to_owned());
    }
    match SentinelFile::at(&settings.text(Flag::RebootSentinel), source) {
        Some(file) if file.path == SentinelFile::DEFAULT => {
            let same = format!("on the host it is {}, the default", file.path);
            (Counterpart::Unneeded, same)
        }
        Some(file) => (
            Counterpart::Setting,
            format!("BELLWETHER_SENTINEL_FILE={} of the agents", file.path),
        ),
        None => (Counterpart::None, "it is no absolute path of a file".to_owned()),
    }
}

fn command(settings: &Settings) -> Verdict {
    match method(settings) {
        Method::Logind => (
            Counterpart::Unneeded,
            "the rebooter asks logind for the same".to_owned(),
        ),
        Method::Command(command) => (
            Counterpart::Setting,
            format!("BELLWETHER_REBOOT_COMMAND={command} of the agents, and components/reboot-command"),
        ),
        Method::None => (
            Counterpart::None,
            "the rebooter runs commands with an absolute path only: write the path, and translate again".to_owned(),
        ),
    }
}

fn by_signal(settings: &Settings) -> Verdict {
    match method(settings) {
        Method::Logind => (
            Counterpart::Unneeded,
            "the rebooter asks logind, which starts the same reboot, and needs no privilege".to_owned(),
        ),
        Method::Command(_) | Method::None => (
            Counterpart::None,
            "the rebooter sends no signals: it asks logind, or runs a command (components/reboot-command)".to_owned(),
        ),
    }
}

fn drain_timeout(settings: &Settings) -> Verdict {
    let time = settings.duration(Flag::DrainTimeout);
    let limited = limited(time);
    let cut = if limited == time {
        ""
    } else {
        ", the nearest time that is allowed"
    };
    let text = format!("BELLWETHER_DRAIN_TIMEOUT={} of the scheduler{cut}", short(limited));
    (Counterpart::Setting, text)
}

/// kured's delay of the reboot, as far as a policy may have it.
pub(crate) fn reboot_delay(settings: &Settings) -> Option<SignedDuration> {
    let delay = settings.duration(Flag::RebootDelay);
    // A policy has whole seconds.
    let whole = SignedDuration::from_secs(delay.as_secs() + i64::from(delay.subsec_nanos() > 0));
    (delay > SignedDuration::ZERO).then(|| whole.min(Drain::REBOOT_DELAY_MAX))
}

fn delayed(settings: &Settings) -> Verdict {
    let asked = settings.duration(Flag::RebootDelay);
    let cut = if asked > Drain::REBOOT_DELAY_MAX {
        ", the longest that is allowed"
    } else {
        ""
    };
    let delay = short(reboot_delay(settings).unwrap_or_default());
    let text =
        format!("spec.drain.rebootDelay: {delay}{cut}; after it the node is drained again, for pods that have come");
    (Counterpart::Policy, text)
}

fn release_delay(settings: &Settings) -> Verdict {
    let time = settings.duration(Flag::LockReleaseDelay);
    let limited = limited(time);
    let cut = if limited == time {
        ""
    } else {
        ", the nearest time that is allowed"
    };
    let text = format!(
        "BELLWETHER_SOAK={} of the scheduler{cut}; the node has to stay Ready for as long",
        short(limited)
    );
    (Counterpart::Setting, text)
}

fn concurrency(settings: &Settings) -> Verdict {
    match settings.number(Flag::Concurrency) {
        Some(nodes) if nodes > 1 => (
            Counterpart::Setting,
            format!(
                "BELLWETHER_SLOTS={nodes} of the scheduler, and spec.budget; nodes that are down or cordoned take a slot too"
            ),
        ),
        Some(_) | None => (Counterpart::Unneeded, "one node at a time is the default".to_owned()),
    }
}

/// The field of the notifier that names a file with this URL. Shows nothing of the URL, which is empty if it is not known.
fn notified(url: &str) -> String {
    // As kured does before it uses the URL.
    let url = url.trim_matches(['"', '\'']);
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let field = match scheme {
        "" => "",
        "slack" if rest.starts_with("xoxb") => " as slack.tokenFile and slack.channel",
        "slack" => " as slack.urlFile",
        "https" if rest.starts_with("hooks.slack.com/") => " as slack.urlFile",
        "discord" => " as discord.urlFile",
        "mattermost" => " as mattermost.urlFile",
        "smtp" => " as email.urlFile",
        "generic" | "generic+https" | "generic+http" | "https" | "http" => " as webhook.urlFile",
        _ => {
            return "not translated: the notifier of docs/notifications.md, off by default, takes no URL of this service: make a \
                    target of its own kind there"
                .to_owned();
        }
    };
    format!("not translated: the notifier of docs/notifications.md, off by default, takes such URLs{field}")
}

/// The drainer does not start with a label that it may not set.
fn labels(flag: Flag, settings: &Settings) -> (Counterpart, String) {
    let refused = settings
        .list(flag)
        .iter()
        .find_map(|label| label.parse::<NodeLabel>().err());
    if let Some(error) = refused {
        return (Counterpart::None, format!("not translated: {error}"));
    }
    let text = if flag == Flag::PreRebootNodeLabels {
        "BELLWETHER_DRAINER_PRE_REBOOT_NODE_LABELS of the drainer: set with the cordon"
    } else {
        "BELLWETHER_DRAINER_POST_REBOOT_NODE_LABELS of the drainer: set with the end of the cordon"
    };
    (Counterpart::Setting, text.to_owned())
}
