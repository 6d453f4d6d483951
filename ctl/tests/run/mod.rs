//! Runs the built command, with a stand-in for kubectl.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

/// A command that takes longer hangs.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The built command.
pub(crate) fn reboots(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-reboots"));
    command
        .args(args)
        .env_remove("BELLWETHER_SCHEDULER")
        .env("USER", "anna")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Its exit code, output and errors.
pub(crate) async fn run(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = tokio::time::timeout(TEST_TIMEOUT, command.output())
        .await
        .unwrap()
        .unwrap();
    (
        status.code(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

/// The script is put in place by another process: were it written by this one, a child that a
/// test beside forks at that moment would hold it open, and it could not be run ("text file busy").
#[cfg(unix)]
pub(crate) fn stand_in_for_kubectl(folder: &Path, script: &str) {
    let draft = folder.join("draft");
    std::fs::write(&draft, format!("#!/bin/sh\n{script}\n")).unwrap();
    let mut install = std::process::Command::new("install");
    let installed = install
        .args(["-m", "755"])
        .arg(draft)
        .arg(folder.join("kubectl"))
        .status();
    assert!(installed.unwrap().success());
}

/// The search path, with this folder first.
#[cfg(unix)]
pub(crate) fn path_with(folder: &Path) -> std::ffi::OsString {
    let mut folders = vec![folder.to_path_buf()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    std::env::join_paths(folders).unwrap()
}
