//! `kubectl reboots notify`: what targets get is shown without a cluster, and the notifier itself tries them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use bellwether_proto::setting;
use rig::hook::{Answer, Hook};
use rig::ports::free_port;
use rig::{tools, world};
use serde_json::json;

use super::{SECRET, Stage};

/// kubectl as far as `notify test` needs it: runs the notifier's program where the files of its pod are.
fn kubectl(stage: &Stage, config: &Path) -> Result<std::path::PathBuf> {
    let notifier = tools::binary("bellwether-notifier")?;
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *'exec deployment/notifier --container notifier -- /bellwether-notifier test'*) ;; *) exit 9 ;; esac\n\
         while [ \"$1\" != -- ]; do shift; done\nshift 2\n{}='{}' exec '{}' \"$@\"\n",
        setting::NOTIFIER_CONFIG,
        config.display(),
        notifier.display()
    );
    let folder = stage.place.folder("bin")?;
    let file = folder.join("kubectl");
    std::fs::write(&file, script)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))?;
    Ok(folder)
}

fn run(folder: &Path, args: &[&str]) -> Result<(Output, String)> {
    let mut command = Command::new(tools::binary("kubectl-reboots")?);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.display()));
    command.args(["notify"]).args(args);
    let output = tokio::task::block_in_place(|| command.output())?;
    let text = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    let text = text.concat();
    ensure!(!text.contains(SECRET), "a secret is shown: {text}");
    Ok((output, text))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_needs_no_secret_and_a_test_reports_what_each_target_answers() -> Result<()> {
    let _turn = world::turn().await?;
    let stage = Stage::start().await?;
    let hook = Hook::start()?;
    let url = stage.secret("url", &hook.url(&format!("/{SECRET}")))?;
    let config = json!({
        "cluster": "east",
        "targets": [
            { "name": "team", "mattermost": { "urlFile": url } },
            { "name": "gone", "webhook": { "url": format!("http://127.0.0.1:{}/{SECRET}", free_port()?) } },
        ],
    });
    let file = stage.place.file("notifier.yaml", config.to_string())?;
    let name = file.display().to_string();
    let folder = kubectl(&stage, &file)?;

    let (output, text) = run(&folder, &["preview", "--config", &name, "--target", "team"])?;
    ensure!(output.status.success(), "{text}");
    for part in [
        "=== team: DrainBlocked, warning",
        "POST the URL in targets[0].mattermost.urlFile",
        "Warning: [east] node-1: the drain is blocked (disruption budget shop/web of team-shop)",
        "=== team: WindowTooShort, warning",
    ] {
        ensure!(text.contains(part), "{part}: {text}");
    }
    // A digest has no steps.
    ensure!(!text.contains("=== gone") && !text.contains("DrainStarted"), "{text}");
    ensure!(hook.requests().is_empty(), "a preview sends nothing");

    let wrong = stage
        .place
        .file("wrong.yaml", json!({ "targets": [{ "name": "a" }] }).to_string())?;
    let (output, text) = run(&folder, &["preview", "--config", &wrong.display().to_string()])?;
    ensure!(
        !output.status.success() && text.contains("targets[0]: has no kind"),
        "{text}"
    );

    let (output, text) = run(&folder, &["test", "--target", "team"])?;
    ensure!(
        output.status.success() && text == "team: delivered (HTTP status 200)\n",
        "{text}"
    );
    let requests = hook.requests();
    let [request] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    assert!(
        request.field("text").starts_with("[east] This is a test message"),
        "{request:?}"
    );

    // Each target is tried, whatever the others answer.
    hook.answer(Answer::status(403));
    let (output, text) = run(&folder, &["test"])?;
    ensure!(!output.status.success(), "{text}");
    for part in [
        "team: NotAuthorized (HTTP status 403): ",
        "gone: Unreachable (http://127.0.0.1:",
    ] {
        ensure!(text.contains(part), "{part}: {text}");
    }
    let (output, text) = run(&folder, &["test", "--target", "teem"])?;
    ensure!(
        !output.status.success() && text.contains("choose among team, gone"),
        "{text}"
    );
    stage.finish()
}
