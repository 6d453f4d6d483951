//! The probe of a command: its result, as a unit of the host wrote it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bellwether_chassis::{HostArgs, clock};
use bellwether_sentinel_core::preset::{self, Preset};
use bellwether_sentinel_core::{Finding, Sight};
use jiff::Timestamp;

use crate::error::ProbeError;
use crate::host::read_begin;

/// Where the units of the host write, a path of the host.
const FOLDER: &str = "/var/run/bellwether";

/// Longest result: the unit keeps the last 12 KiB of the output. A longer one has lost its last line here, and is a problem.
const RESULT_BYTES_MAX: u64 = 16 * 1024;

#[derive(Debug)]
pub(crate) struct Command {
    host: HostArgs,
    file: PathBuf,
    preset: Preset,
    max_age: Duration,
}

impl Command {
    pub(super) fn new(host: HostArgs, name: &str, preset: Preset, max_age: Duration) -> Self {
        Self {
            host,
            file: Path::new(FOLDER).join(name),
            preset,
            max_age,
        }
    }

    pub(super) fn look(&self) -> Sight {
        let read = self.host.locate(&self.file).and_then(|path| {
            let written = Timestamp::try_from(fs::metadata(&path)?.modified()?);
            let text = read_begin(&path, RESULT_BYTES_MAX)?;
            Ok((written.map_err(std::io::Error::other)?, text))
        });
        match read {
            Ok((written, text)) => match preset::too_old(written, clock::now(), self.max_age) {
                Some(problem) => Finding::Unknown(problem).into(),
                None => self.preset.sight(&text),
            },
            Err(source) => ProbeError::Result {
                path: self.file.clone(),
                source,
            }
            .finding()
            .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
    use std::process::Stdio;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_result_counts_once_it_is_there_and_as_long_as_it_is_fresh() {
        let root = tempfile::tempdir().unwrap();
        let host = HostArgs {
            host_root: root.path().to_owned(),
            proc_root: root.path().to_owned(),
        };
        let probe = Command::new(host, "zypper", Preset::Zypper, HOUR);
        problem(&probe, "has the host's timer run");

        let folder = root.path().join("var/run/bellwether");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("zypper");
        fs::write(&file, "exit=102\n").unwrap();
        assert!(matches!(probe.look().finding, Finding::Required(_)));
        fs::write(&file, "exit=0\n").unwrap();
        assert_eq!(probe.look().finding, Finding::NotRequired);

        let old = fs::metadata(&file).unwrap().modified().unwrap() - 2 * HOUR;
        File::options()
            .write(true)
            .open(&file)
            .unwrap()
            .set_modified(old)
            .unwrap();
        problem(&probe, "does the host's timer still run");

        // A sparse gigabyte: the last line is behind all that is read.
        let result = File::create(&file).unwrap();
        result.set_len(1 << 30).unwrap();
        result.write_at(b"\nexit=102\n", 1 << 30).unwrap();
        problem(&probe, "no last line");
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        problem(&probe, "cannot be read");
    }

    #[test]
    fn the_script_of_the_host_leaves_what_the_probe_reads_whatever_the_command_does() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/host/probe.sh");
        let root = tempfile::tempdir().unwrap();
        let (folder, bin) = (root.path().join("var/run/bellwether"), root.path().join("bin"));
        fs::create_dir(&bin).unwrap();
        let look = |preset: Preset, tool: Option<&str>| {
            let file = bin.join(preset.as_str());
            match tool {
                Some(body) => {
                    fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
                    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
                }
                None => fs::remove_file(&file).unwrap_or_default(),
            }
            let status = std::process::Command::new("sh")
                .args([script, preset.as_str()])
                .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
                .env("BELLWETHER_PROBE_FOLDER", &folder)
                .env("BELLWETHER_PROBE_LIMIT", "1")
                .status();
            assert!(status.unwrap().success());
            let host = HostArgs {
                host_root: root.path().to_owned(),
                proc_root: root.path().to_owned(),
            };
            Command::new(host, preset.as_str(), preset, HOUR).look().finding
        };
        let dnf = "[ \"$LC_ALL $*\" = 'C needs-restarting -r' ] || exit 9\n\
                   echo '  * kernel'; echo 'Reboot is required to fully utilize these updates.'; exit 1";
        let Finding::Required(shown) = look(Preset::Dnf, Some(dnf)) else {
            panic!("no need")
        };
        assert_eq!(shown.reasons, ["kernel"]);
        assert!(matches!(look(Preset::Zypper, Some("exit 102")), Finding::Required(_)));
        assert!(matches!(look(Preset::RpmOstree, Some("exit 77")), Finding::Required(_)));
        // Behind the state of the kernel come the services: several hundred of them still leave it in the result.
        let services = "for service in $(seq 200); do echo NEEDRESTART-SVC: service-$service.service; done";
        let state = |state| format!("[ \"$*\" = '-b -k -l' ] || exit 9\necho NEEDRESTART-KSTA: {state}\n{services}");
        assert!(matches!(
            look(Preset::Needrestart, Some(&state(3))),
            Finding::Required(_)
        ));
        assert_eq!(look(Preset::Needrestart, Some(&state(1))), Finding::NotRequired);
        assert_eq!(look(Preset::Zypper, Some("exit 0")), Finding::NotRequired);
        for (tool, words) in [
            (None, "was not found"),
            (Some("sleep 60"), "took too long"),
            // Without an end, far more than fits: the last words stay, and the time ends it.
            (Some("while :; do echo 'Reboot is required'; done"), "took too long"),
            (Some("echo broken; exit 3"), "broken"),
        ] {
            let Finding::Unknown(problem) = look(Preset::Zypper, tool) else {
                panic!("no problem: {words}")
            };
            assert!(problem.message.contains(words), "{}", problem.message);
            assert!(fs::metadata(folder.join("zypper")).unwrap().len() <= 12 * 1024);
        }
    }

    #[test]
    fn a_host_whose_disk_is_full_leaves_a_problem_and_no_need() {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/host/probe.sh");
        let root = tempfile::tempdir().unwrap();
        let (folder, bin) = (root.path().join("var/run/bellwether"), root.path().join("bin"));
        fs::create_dir(&bin).unwrap();
        fs::create_dir_all(&folder).unwrap();
        // A need of before, and a tool that finds none now.
        fs::write(folder.join("zypper"), "exit=102\n").unwrap();
        let tool = bin.join("zypper");
        fs::write(&tool, "#!/bin/sh\nexit 0\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
        // No byte can be written to a file, as on a full disk.
        let line = format!("ulimit -f 0; exec sh {script} zypper");
        std::process::Command::new("sh")
            .args(["-c", &line])
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .env("BELLWETHER_PROBE_FOLDER", &folder)
            // Where the tests' own output is a file, the shell's words about the limit would end the shell.
            .stderr(Stdio::null())
            .status()
            .unwrap();
        let host = HostArgs {
            host_root: root.path().to_owned(),
            proc_root: root.path().to_owned(),
        };
        problem(&Command::new(host, "zypper", Preset::Zypper, HOUR), "no last line");
    }

    fn problem(probe: &Command, words: &str) {
        let Finding::Unknown(problem) = probe.look().finding else {
            panic!("no problem: {words}")
        };
        assert!(problem.message.contains(words), "{}", problem.message);
    }
}
