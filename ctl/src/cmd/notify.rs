//! `notify`: what the notifier's targets would get, from a configuration file; and a test message by the notifier itself,
//! which alone has the secrets and the way to its targets.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bellwether_notifier_core::rehearsal::{Sample, rehearse};
use bellwether_notifier_core::{Kind, Settings, shown};
use jiff::Timestamp;
use tokio::time::timeout;

use crate::args::{ConnectArgs, NotifyPreviewArgs, NotifyTestArgs};
use crate::kubectl::{self, Kubectl};
use crate::time::now;
use crate::{input, out};

/// The notifier's trial ends after 45 seconds, and kubectl needs some to reach the pod.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Shows the messages of one rollout to each target.
pub(crate) fn preview(args: &NotifyPreviewArgs) -> anyhow::Result<ExitCode> {
    let name = args.config.display();
    let text = input::read(&args.config).with_context(|| format!("--config {name}"))?;
    let settings = Settings::parse(&text).with_context(|| format!("--config {name}"))?;
    out::show(&previewed(&settings, args, now())?)?;
    Ok(ExitCode::SUCCESS)
}

fn previewed(settings: &Settings, args: &NotifyPreviewArgs, now: Timestamp) -> anyhow::Result<String> {
    let names: Vec<&str> = settings.targets.iter().map(|target| target.name.as_str()).collect();
    if let Some(name) = args.target.as_deref().filter(|name| !names.contains(name)) {
        bail!(
            "--target: no target has the name {name:?}: choose among {}",
            names.join(", ")
        );
    }
    let kind = args.kind.as_deref().map(kind_of).transpose()?;
    let mut text = String::new();
    for (place, target) in settings.targets.iter().enumerate() {
        if args.target.as_ref().is_some_and(|name| *name != target.name) {
            continue;
        }
        let sample = Sample {
            policy: &args.policy,
            owner: &args.owner,
        };
        let messages = rehearse(settings, place, sample, now);
        let messages = messages
            .into_iter()
            .filter(|it| kind.is_none_or(|kind| kind == it.notification.kind));
        let mut is_empty = true;
        for message in messages {
            is_empty = false;
            let notification = &message.notification;
            let (kind, severity) = (notification.kind.as_str(), notification.severity.as_str());
            let request = shown(target, &message.draft);
            writeln!(text, "=== {}: {kind}, {severity}\n{request}", target.name)?;
        }
        if is_empty {
            let name = &target.name;
            writeln!(
                text,
                "=== {name}: no message; routes and style of the target leave out all of these\n"
            )?;
        }
    }
    Ok(text)
}

fn kind_of(name: &str) -> anyhow::Result<Kind> {
    if name == Kind::Test.as_str() {
        bail!("--kind: {name:?} is the message of `kubectl reboots notify test`, and no rollout has one");
    }
    let kinds = || Kind::ALL.into_iter().filter(|kind| *kind != Kind::Test);
    let names = || kinds().map(Kind::as_str).collect::<Vec<_>>().join(", ");
    let kind = kinds().find(|kind| kind.as_str() == name);
    kind.with_context(|| format!("--kind: {name:?} is none: choose among {}", names()))
}

/// Has the notifier send its test message.
pub(crate) async fn test(connect: &ConnectArgs, args: &NotifyTestArgs) -> anyhow::Result<ExitCode> {
    let mut command = Kubectl::new(connect).command(&connect.namespace);
    // A container that a cluster injects may be the default one.
    command.args(["exec", "deployment/notifier", "--container", "notifier", "--"]);
    command.args(["/bellwether-notifier", "test"]);
    if let Some(target) = &args.target {
        command.arg("--target").arg(target);
    }
    let output = timeout(TEST_TIMEOUT, command.output())
        .await
        .with_context(|| format!("the notifier gave no answer within {TEST_TIMEOUT:?}"))?
        .context(kubectl::MISSING)?;
    out::show(&String::from_utf8_lossy(&output.stdout))?;
    if output.status.success() {
        return Ok(ExitCode::SUCCESS);
    }
    let words = String::from_utf8_lossy(&output.stderr);
    if output.stdout.is_empty() {
        bail!(
            "no test in the notifier of namespace {}: {}",
            connect.namespace,
            words.trim()
        );
    }
    if let Some(remarks) = remarks(&words) {
        out::note(&remarks);
    }
    Ok(ExitCode::FAILURE)
}

/// What stands on standard error beside the line by which kubectl reports that a target has not taken its message.
fn remarks(words: &str) -> Option<String> {
    let is_exit = |line: &str| line.starts_with("command terminated with exit code");
    let lines: Vec<&str> = words
        .lines()
        .filter(|line| !is_exit(line) && !line.trim().is_empty())
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "
targets:
  - name: team
    slack: { urlFile: /secrets/url }
  - name: failures
    webhook: { url: 'https://x.example/path' }
routes:
  - targets: [team]
    kinds: [DrainBlocked, RolloutEnded]
  - targets: [failures]
    policies: [days]
";

    fn args() -> NotifyPreviewArgs {
        NotifyPreviewArgs {
            config: "notifier.yaml".into(),
            target: None,
            kind: None,
            policy: "nights".to_owned(),
            owner: "team-shop".to_owned(),
        }
    }

    fn text(args: &NotifyPreviewArgs) -> anyhow::Result<String> {
        previewed(&Settings::parse(CONFIG)?, args, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn each_target_is_shown_with_what_routes_lead_there_and_one_without_a_message_is_named() {
        let all = text(&args()).unwrap();
        for part in [
            "=== team: DrainBlocked, warning\nPOST the URL in targets[0].slack.urlFile (/secrets/url)\n",
            "{\"text\":\"Warning: node-1: the drain is blocked (disruption budget shop/web of team-shop)\\n",
            "=== failures: no message",
        ] {
            assert!(all.contains(part), "{part}: {all}");
        }
        assert!(!all.contains("DrainStarted"), "{all}");
        let days = NotifyPreviewArgs {
            policy: "days".to_owned(),
            kind: Some("Rebooted".to_owned()),
            ..args()
        };
        let shown = text(&days).unwrap();
        assert!(
            shown.contains("=== failures: Rebooted, info") && !shown.contains("DrainStarted"),
            "{shown}"
        );
    }

    #[test]
    fn a_target_or_kind_that_there_is_not_is_refused_with_those_that_there_are() {
        let wrong = NotifyPreviewArgs {
            target: Some("teem".to_owned()),
            ..args()
        };
        assert!(
            text(&wrong)
                .unwrap_err()
                .to_string()
                .ends_with("choose among team, failures")
        );
        let wrong = NotifyPreviewArgs {
            kind: Some("Blocked".to_owned()),
            ..args()
        };
        let error = text(&wrong).unwrap_err().to_string();
        assert!(error.contains("DrainBlocked") && !error.contains("Test"), "{error}");
        let test = NotifyPreviewArgs {
            kind: Some("Test".to_owned()),
            ..args()
        };
        assert!(
            text(&test)
                .unwrap_err()
                .to_string()
                .contains("kubectl reboots notify test")
        );
    }

    #[test]
    fn what_kubectl_says_beside_the_exit_code_is_not_lost() {
        assert_eq!(remarks("command terminated with exit code 1\n"), None);
        let lost = "error: lost connection to pod\n\ncommand terminated with exit code 137\n";
        assert_eq!(remarks(lost).as_deref(), Some("error: lost connection to pod"));
    }
}
