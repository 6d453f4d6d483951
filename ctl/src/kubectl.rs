//! kubectl as a child process: the one way to Kubernetes, with the rights of the user.
//!
//! It asks and reads; it changes nothing. `create` is used for access reviews alone, which are
//! questions that the API server answers and does not store; `exec` for the notifier's test message alone.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use bellwether_check::{Collect, Failure, Gathered};
use serde::Serialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::args::ConnectArgs;

/// Lists of some thousand pods take seconds; a server that drops packets must not take for ever.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) const MISSING: &str = "cannot run kubectl: install it or give the scheduler's address by --scheduler";

/// kubectl for one cluster.
#[derive(Debug, Clone)]
pub(crate) struct Kubectl {
    context: Option<String>,
    kubeconfig: Option<PathBuf>,
}

/// What kubectl printed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    /// The objects, those of lists one by one.
    pub(crate) objects: Vec<Value>,
    /// Why these are not all. There may be objects all the same.
    pub(crate) failure: Option<Failure>,
}

impl Answer {
    /// The objects by their types.
    pub(crate) fn gathered<T: Collect>(self) -> Gathered<T> {
        Gathered::read(self.objects, self.failure)
    }

    fn read(output: &Output) -> Self {
        let mut answer = Self::default();
        let stdout = String::from_utf8_lossy(&output.stdout);
        for value in serde_json::Deserializer::from_str(&stdout).into_iter::<Value>() {
            match value {
                Ok(mut value) => match value.get_mut("items").map(Value::take) {
                    Some(Value::Array(items)) => answer.objects.extend(items),
                    Some(_) | None => answer.objects.push(value),
                },
                Err(error) => {
                    let found = format!("kubectl answered with something else than JSON: {error}");
                    answer.failure = Some(Failure::unread(found));
                    break;
                }
            }
        }
        if !output.status.success() {
            answer.failure = Some(failure(words_of(&String::from_utf8_lossy(&output.stderr))));
        }
        answer
    }
}

impl Kubectl {
    pub(crate) fn new(args: &ConnectArgs) -> Self {
        Self {
            context: args.context.clone(),
            kubeconfig: args.kubeconfig.clone(),
        }
    }

    /// kubectl for this namespace; the child ends with the value that owns it.
    pub(crate) fn command(&self, namespace: &str) -> Command {
        let mut command = Command::new("kubectl");
        command.arg("--namespace").arg(namespace);
        if let Some(context) = &self.context {
            command.arg("--context").arg(context);
        }
        if let Some(file) = &self.kubeconfig {
            command.arg("--kubeconfig").arg(file);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Asks for objects, such as `get pods`. Never fails: a failure is part of the answer.
    pub(crate) async fn ask(&self, namespace: &str, args: &[impl AsRef<OsStr>]) -> Answer {
        let mut command = self.command(namespace);
        command.args(args).arg("--output=json");
        answer(run(command, "").await)
    }

    /// Lets the API server answer access reviews.
    pub(crate) async fn review(&self, reviews: &[impl Serialize]) -> Answer {
        let mut command = self.command("default");
        command.args(["create", "--filename=-", "--output=json"]);
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": reviews });
        answer(run(command, &list.to_string()).await)
    }
}

fn answer(output: anyhow::Result<Output>) -> Answer {
    match output {
        Ok(output) => Answer::read(&output),
        Err(error) => Answer {
            objects: vec![],
            failure: Some(Failure::unread(format!("{error:#}"))),
        },
    }
}

/// A failure in kubectl's words. kubectl has no exit code for a refusal, so its text decides, and only
/// here: `Error from server (Forbidden): …`, and as the API server begins it, also within words of others.
fn failure(words: String) -> Failure {
    if words.contains("(Forbidden)") || words.contains("is forbidden") {
        Failure::forbidden(words)
    } else {
        Failure::unread(words)
    }
}

async fn run(mut command: Command, input: &str) -> anyhow::Result<Output> {
    let run = async {
        if input.is_empty() {
            return command.output().await.context(MISSING);
        }
        let mut child = command.stdin(Stdio::piped()).spawn().context(MISSING)?;
        if let Some(mut stdin) = child.stdin.take() {
            // If it does not want to read, it says why.
            stdin.write_all(input.as_bytes()).await.ok();
        }
        Ok(child.wait_with_output().await?)
    };
    timeout(ANSWER_TIMEOUT, run)
        .await
        .with_context(|| format!("kubectl gave no answer within {ANSWER_TIMEOUT:?}"))?
}

/// The messages of kubectl, without its log lines (`E1122 17:56:14.861650 …`), which repeat it at length.
pub(crate) fn words_of(stderr: &str) -> String {
    let is_log = |line: &&str| {
        let stamp = line.split(' ').next().unwrap_or_default();
        let digits = stamp.strip_prefix(['I', 'W', 'E', 'F']).unwrap_or_default();
        digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    let mut words: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_log(line))
        .collect();
    // Many objects, one refusal.
    words.dedup();
    words.join("; ")
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use bellwether_check::NamespaceObjects;

    use super::*;

    fn output(code: i32, stdout: &str, stderr: &str) -> Output {
        Output {
            status: ExitStatus::from_raw(code << 8),
            stdout: stdout.into(),
            stderr: stderr.into(),
        }
    }

    #[test]
    fn log_lines_of_kubectl_are_not_shown() {
        let stderr = "E1122 17:56:14.861650    5526 memcache.go:265] \"Unhandled Error\"\nEvery end is hard\nEvery end is hard\n";
        assert_eq!(words_of(stderr), "Every end is hard");
    }

    #[test]
    fn lists_single_objects_and_several_in_a_row_are_all_objects() {
        let list = r#"{"kind":"List","items":[{"kind":"Pod"},{"kind":"Event"}]}"#;
        let answer = Answer::read(&output(0, &format!("{list}\n{{\"kind\":\"Node\"}}\n"), ""));
        assert_eq!((answer.objects.len(), answer.failure.clone()), (3, None));
        let beside: Gathered<NamespaceObjects> = answer.gathered();
        assert_eq!((beside.objects.pods.len(), beside.objects.events.len()), (1, 1));
        assert_eq!(Answer::read(&output(0, "", "")), Answer::default(), "nothing was found");
    }

    #[test]
    fn a_refusal_is_kept_beside_the_objects_that_were_not_refused() {
        let stdout = r#"{"kind":"List","items":[{"kind":"Pod"}]}"#;
        let answer = Answer::read(&output(1, stdout, "Error from server (Forbidden): no events for you\n"));
        assert_eq!(answer.objects.len(), 1);
        let refusal = "Error from server (Forbidden): no events for you";
        assert_eq!(answer.failure, Some(Failure::forbidden(refusal)));
    }

    #[test]
    fn only_a_refusal_is_a_lack_of_rights() {
        for refused in [
            "Error from server (Forbidden): nodes is forbidden: User \"anna\" cannot list resource",
            "error: pods is forbidden: User \"anna\" cannot list resource",
        ] {
            assert_eq!(failure(refused.to_owned()), Failure::forbidden(refused));
        }
        let silent = "Unable to connect to the server: EOF";
        assert_eq!(failure(silent.to_owned()), Failure::unread(silent));
    }
}
