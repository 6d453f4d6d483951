//! What follows from the code of a problem that an agent reports: severity, finding, remedy.

use bellwether_proto::ProblemCode;

use crate::code::Code;
use crate::finding::Severity;

/// How bad a problem is.
pub(super) fn severity(code: ProblemCode) -> Severity {
    if code == ProblemCode::ShutdownInhibited {
        // An upgrade ends by itself, and the reboot waits for it as it should.
        Severity::Warning
    } else {
        Severity::Problem
    }
}

/// The finding of a problem; `unknown` if the agent gives no code, or one that this version does not know.
pub(super) fn finding(code: ProblemCode, unknown: Code) -> Code {
    match code {
        ProblemCode::HostDirectoryUnreadable => Code::HostDirectoryUnreadable,
        ProblemCode::SentinelFileUnreadable => Code::SentinelFileUnreadable,
        ProblemCode::SentinelFileNotAFile => Code::SentinelFileNotAFile,
        ProblemCode::ProbeAborted => Code::ProbeAborted,
        ProblemCode::ProbeFailed => Code::ProbeFailed,
        ProblemCode::BusUnreachable => Code::BusUnreachable,
        ProblemCode::BusAccessDenied => Code::BusAccessDenied,
        ProblemCode::LogindCallFailed => Code::LogindCallFailed,
        ProblemCode::RebootNotPermitted => Code::RebootNotPermitted,
        ProblemCode::ShutdownInhibited => Code::ShutdownInhibited,
        ProblemCode::RebootMethodTimedOut => Code::RebootMethodTimedOut,
        ProblemCode::RebootCommandNotRunnable => Code::RebootCommandNotRunnable,
        ProblemCode::RebootCommandFailed => Code::RebootCommandFailed,
        ProblemCode::RebootAlreadyCalled => Code::RebootAlreadyCalled,
        ProblemCode::RebootNotProvable => Code::RebootNotProvable,
        ProblemCode::SignalNotPermitted => Code::SignalNotPermitted,
        ProblemCode::RebootKindNotPossible => Code::RebootKindNotPossible,
        ProblemCode::KexecNotLoaded => Code::KexecNotLoaded,
        ProblemCode::Unclassified | ProblemCode::Unknown(_) => unknown,
    }
}

/// The remedy for a problem that the agent in this pod reports.
pub(super) fn remedy(code: ProblemCode, namespace: &str, pod: &str) -> String {
    match code {
        ProblemCode::BusAccessDenied => {
            let patch =
                r#"{"spec":{"template":{"spec":{"securityContext":{"appArmorProfile":{"type":"Unconfined"}}}}}}"#;
            format!("kubectl -n {namespace} patch daemonset rebooter -p '{patch}'")
        }
        ProblemCode::BusUnreachable => {
            "mount the host's /run/dbus, as deploy/base/rebooter.yaml does; on the host: systemctl status dbus; \
             without logind: BELLWETHER_REBOOT_METHOD=command"
                .to_owned()
        }
        ProblemCode::ShutdownInhibited => "wait until it has ended; on the host: systemd-inhibit --list".to_owned(),
        ProblemCode::HostDirectoryUnreadable => {
            "mount the host's /var/run, as deploy/base/sentinel.yaml does".to_owned()
        }
        ProblemCode::RebootAlreadyCalled => {
            format!("reboot the host by hand; or let the rebooter call again: kubectl -n {namespace} delete pod {pod}")
        }
        ProblemCode::SignalNotPermitted => {
            "add deploy/components/reboot-signal to your overlay: the rebooter needs hostPID and uid 0".to_owned()
        }
        ProblemCode::RebootNotProvable => {
            "keep the agents off nodes that are containers: affinity in deploy/base/rebooter.yaml".to_owned()
        }
        ProblemCode::KexecNotLoaded => {
            "on the host: kexec -l with the newest kernel, after each kernel update; or rebootKind: Full in its policy"
                .to_owned()
        }
        ProblemCode::RebootKindNotPossible => "set rebootKind: Full in the policy of the node".to_owned(),
        ProblemCode::SentinelFileUnreadable
        | ProblemCode::SentinelFileNotAFile
        | ProblemCode::ProbeAborted
        | ProblemCode::ProbeFailed
        | ProblemCode::LogindCallFailed
        | ProblemCode::RebootNotPermitted
        | ProblemCode::RebootMethodTimedOut
        | ProblemCode::RebootCommandNotRunnable
        | ProblemCode::RebootCommandFailed
        | ProblemCode::Unclassified
        | ProblemCode::Unknown(_) => format!("kubectl -n {namespace} logs {pod} --tail=20"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_and_its_finding_have_one_name() {
        for code in ProblemCode::ALL {
            assert_eq!(finding(*code, Code::HostNotProbed).as_str(), code.as_str());
        }
        for code in [ProblemCode::Unclassified, ProblemCode::Unknown(99)] {
            assert_eq!(finding(code, Code::HostNotRebootable), Code::HostNotRebootable);
        }
    }
}
