//! A trial of the targets: one marked message to each, by the way of all messages, and what each answers. It reads no event and
//! keeps nothing, so it may run beside the service.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use bellwether_chassis::clock;
use bellwether_notifier_core::{Answer, Fault, Notification, Target, form, rehearsal};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::error::SendError;
use crate::{deliver, run, secret};

/// How long the whole trial takes at most: a mailing of 16 recipients may take two minutes, and `kubectl reboots notify test`
/// waits for one, with the way to the pod.
const LIMIT: Duration = Duration::from_secs(45);

/// Runs the trial of all targets, or of the one with this name. Success: each has taken its message.
pub(crate) fn run(config: &Path, only: Option<&str>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tried = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        let tried = runtime.block_on(try_all(config, only));
        // The look-up of a name cannot be stopped, and is not waited for.
        runtime.shutdown_background();
        tried
    });
    match tried {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // A reader that is gone needs no error.
            writeln!(io::stderr(), "error: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn try_all(config: &Path, only: Option<&str>) -> anyhow::Result<bool> {
    let settings = run::configuration(config).with_context(|| format!("--config {}", config.display()))?;
    let message = rehearsal::trial(&settings, clock::now());
    let names: Vec<&str> = settings.targets.iter().map(|target| target.name.as_str()).collect();
    if let Some(name) = only.filter(|name| !names.contains(name)) {
        anyhow::bail!(
            "--target: no target has the name {name:?}: choose among {}",
            names.join(", ")
        );
    }
    // At once: one that hangs takes its time, and not that of the others.
    let mut trials = JoinSet::new();
    for target in &settings.targets {
        if only.is_none_or(|name| name == target.name) {
            trials.spawn(try_one(target.clone(), message.clone(), LIMIT));
        }
    }
    let mut is_taken = true;
    while let Some(tried) = trials.join_next().await {
        let (lines, taken) = tried?;
        is_taken &= taken;
        io::stdout().lock().write_all(lines.as_bytes())?;
    }
    Ok(is_taken)
}

/// What the target answers within the limit.
async fn try_one(target: Target, message: Notification, limit: Duration) -> (String, bool) {
    let mut lines = String::new();
    let tried = timeout(limit, try_recipients(&target, &message, &mut lines)).await;
    let is_taken = tried.unwrap_or_else(|_| {
        let fault = Fault::Timeout;
        let found = format!("not finished within {limit:?}");
        lines.push_str(&format!(
            "{}: {} ({found}): {}\n",
            target.name,
            fault.as_str(),
            fault.remedy()
        ));
        false
    });
    (lines, is_taken)
}

/// What the target answers for each of its recipients, until one try fails at the target itself. True: it has taken all.
async fn try_recipients(target: &Target, message: &Notification, lines: &mut String) -> bool {
    let resolved = match secret::resolved(target).await {
        Ok(resolved) => resolved,
        Err(SendError { fault, detail }) => {
            let (name, code, remedy) = (&target.name, fault.as_str(), fault.remedy());
            lines.push_str(&format!("{name}: {code} ({detail}): {remedy}\n"));
            return false;
        }
    };
    let mut is_taken = true;
    for recipient in 0..resolved.recipients() {
        let draft = form::draft(&resolved, message, None);
        let (answer, found) = deliver::send_once(&resolved, draft, false, recipient).await;
        let found = found.unwrap_or_default();
        let place = resolved.recipient_field(recipient);
        let place = place.map(|field| format!(", {field}")).unwrap_or_default();
        let name = format!("{}{place}", target.name);
        match answer {
            Answer::Delivered { .. } => lines.push_str(&format!("{name}: delivered ({found})\n")),
            Answer::Refused(fault) => {
                is_taken = false;
                lines.push_str(&format!("{name}: {} ({found}): {}\n", fault.as_str(), fault.remedy()));
            }
            Answer::Failed { fault, .. } => {
                lines.push_str(&format!("{name}: {} ({found}): {}\n", fault.as_str(), fault.remedy()));
                return false;
            }
            Answer::ThreadGone => {
                lines.push_str(&format!("{name}: ({found}) the target does not know the thread\n"));
                return false;
            }
        }
    }
    is_taken
}

#[cfg(test)]
mod tests {
    use bellwether_notifier_core::Settings;

    use super::*;

    #[test]
    fn a_target_that_is_not_finished_in_time_is_named() {
        // It is connected, and nothing answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let config = format!("{{ targets: [{{ name: a, webhook: {{ url: '{url}' }} }}] }}");
        let settings = Settings::parse(&config).unwrap();
        let message = rehearsal::trial(&settings, clock::now());
        let target = settings.targets.first().unwrap().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let trial = try_one(target, message, Duration::from_millis(50));
        let (lines, is_taken) = runtime.unwrap().block_on(trial);
        assert!(lines.starts_with("a: Timeout (not finished within 50ms): "), "{lines}");
        assert!(!is_taken);
    }

    #[test]
    fn a_file_that_names_no_recipients_is_a_fault_of_its_target() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "smtp://u:T0PSECRET@mail.example.com/?from=b@example.com").unwrap();
        let path = file.path().display();
        let config = format!("{{ targets: [{{ name: a, email: {{ urlFile: '{path}' }} }}] }}");
        let settings = Settings::parse(&config).unwrap();
        let message = rehearsal::trial(&settings, clock::now());
        let target = settings.targets.first().unwrap().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (lines, is_taken) = runtime.unwrap().block_on(try_one(target, message, LIMIT));
        let start = format!(
            "a: SecretUnusable (targets[0].email.urlFile ({path}): the content needs 1 to 16 addresses in to: "
        );
        assert!(lines.starts_with(&start) && lines.lines().count() == 1, "{lines}");
        assert!(!is_taken && !lines.contains("T0PSECRET"), "{lines}");
    }
}
