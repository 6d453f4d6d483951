//! The closed list of codes. Programs decide by a finding's code, never by its text; `docs/findings.md`
//! and `docs/findings-agents.md` have a section for each.

use serde::{Serialize, Serializer};

/// Declares the codes once, under the page that explains them: the enum, the list of all, their names and pages.
macro_rules! codes {
    ($($page:literal: { $($(#[$doc:meta])* $code:ident,)+ })+) => {
        /// Which finding. Codes may be added; none is renamed or taken away.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $($($(#[$doc])* $code,)+)+
        }

        impl Code {
            /// All codes, in the order of their sections in the pages.
            pub const ALL: &'static [Self] = &[$($(Self::$code,)+)+];

            /// Its name, in CamelCase.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $($(Self::$code => stringify!($code),)+)+
                }
            }

            /// The page that explains this finding, from the root of the repository.
            fn page(self) -> &'static str {
                match self {
                    $($(Self::$code)|+ => $page,)+
                }
            }
        }

        /// The texts of the pages, in the order of the codes.
        #[cfg(test)]
        const PAGES: &[&str] = &[$(include_str!(concat!("../../../", $page)),)+];
    };
}

codes! {
    "docs/findings.md": {
        /// As it should be.
        InOrder,
        /// Nodes that Bellwether leaves alone, such as Windows nodes.
        NodesLeftAlone,

        /// The API server was not reached.
        KubernetesUnreachable,
        /// Kubernetes is older than the versions that Bellwether is tested against.
        KubernetesTooOld,
        /// The API server's version is not understood.
        KubernetesVersionUnknown,
        /// The user may not read something, so it was not checked.
        ReadForbidden,
        /// Something could not be read, so it was not checked.
        ReadFailed,

        /// The workload of a service is not there.
        WorkloadMissing,
        /// A workload is scaled to zero.
        WorkloadScaledToZero,
        /// No node matches the nodeSelector of a DaemonSet.
        WorkloadWithoutNodes,
        /// The API server refuses to create a workload's pods.
        PodsRefused,
        /// Pod Security refuses to create a workload's pods.
        PodsRefusedByPodSecurity,
        /// Pods of a workload are not ready.
        WorkloadNotReady,
        /// Pods of a workload are not of its newest revision yet.
        WorkloadRollingOut,

        /// A container ends again and again.
        PodCrashLooping,
        /// A container is ready now, and has ended several times lately.
        PodRestarting,
        /// A container has ended.
        PodEnded,
        /// An image cannot be pulled.
        ImageNotPulled,
        /// A Secret or ConfigMap of a pod is not there.
        PodMissesObject,
        /// A file or directory of the host that a pod mounts is not there.
        PodMissesHostPath,
        /// A container cannot be created.
        ContainerNotCreated,
        /// No node takes a pod.
        PodUnschedulable,
        /// A pod has not started yet.
        PodNotStarted,
        /// The ConfigMap with NATS's authority that a pod mounts is not filled yet.
        AuthorityNotPublished,
        /// A pod runs and is not ready.
        PodNotReady,
        /// A pod does not reach NATS.
        NatsUnreachable,
        /// NATS refuses a pod's user or credentials.
        NatsAuthRefused,
        /// A pod cannot make a TLS connection to NATS.
        NatsTlsFailed,
        /// A pod's file of credentials, password or token for NATS cannot be used.
        NatsCredentialsUnusable,
        /// A pod's file with the authority of NATS's certificate cannot be used.
        NatsAuthorityUnusable,
        /// NATS does not let a pod use JetStream.
        JetStreamUnavailable,
        /// NATS does not store what a pod writes.
        WritesNotStored,

        /// A ConfigMap with settings is not there.
        SettingsMissing,
        /// A service is not given the address of NATS.
        NatsUrlMissing,
        /// The services are given different settings.
        SettingsDiffer,

        /// A service lacks rights in Kubernetes.
        ServiceRightsMissing,
        /// The user lacks rights that `kubectl reboots` needs.
        UserRightsMissing,
        /// The component `narrow-rights` is not installed.
        RightsNotNarrowed,
        /// The component `narrow-rights` is there in part, or not as this version has it.
        NarrowRightsDiffer,

        /// No leading scheduler was reached.
        NoLeader,
        /// The leading scheduler decides nothing new.
        DecisionsStopped,
        /// An operator paused the fleet.
        FleetPaused,

        /// A namespace has no public keys of records, or something else in their place.
        RecordKeysNotPublished,
        /// Drainers and rebooters are given different keys of records.
        RecordKeysDiffer,
        /// The newest key of records is older than it may get.
        RecordKeyOld,
        /// Rebooters do not know the key that signs records.
        RecordKeyUnknown,

        /// The services are more than one minor version apart.
        VersionsApart,
        /// The services are of different versions.
        VersionsDiffer,
        /// Tags of images differ from the versions that the services report.
        ImageTagsDiffer,

        /// NATS is too old.
        NatsTooOld,
        /// NATS is older than recommended.
        NatsOutdated,
        /// NATS is outside of the cluster, so it was not checked.
        NatsNotChecked,
        /// The Service that the settings name for NATS is not there.
        NatsServiceMissing,
        /// The Service of NATS does not listen on the port that the settings name.
        NatsPortMissing,
        /// No NATS server behind the Service is ready.
        NatsNotReady,
        /// The streams want more servers than there are.
        NatsServersMissing,
        /// Some NATS servers are not ready.
        NatsServersNotReady,
        /// Each stream is on one server only, although there are several.
        StreamsNotReplicated,
        /// A gatekeeper cannot let new clients in, or could not be asked.
        GatekeeperNotReady,
        /// The agents of all nodes come to NATS as one user.
        NatsNodesShareUser,
        /// A service comes to NATS without credentials.
        NatsOpen,
        /// A service comes to NATS without TLS.
        NatsNotEncrypted,

        /// kured is in the cluster.
        KuredFound,
        /// A node holds kured's lock.
        KuredLockHeld,
        /// Another installation of Bellwether is in the cluster.
        SecondBellwether,
        /// Another tool that may reboot nodes is in the cluster.
        OtherRebootTool,
        /// Nodes are cordoned, and not by us.
        ForeignCordon,
        /// A node carries our cordon for an attempt that is not its own.
        CordonWithoutAttempt,

        /// Before a removal: the fleet is not paused.
        NotPaused,
        /// Before a removal: a node is in an attempt.
        AttemptInProgress,
        /// Before a removal: the leading scheduler cannot be asked.
        AttemptsUnknown,
        /// Before a removal: nodes carry our cordon.
        CordonLeft,
        /// Before a removal: the data of NATS goes with its namespace.
        DataLost,
        /// Some of the services are removed and others are not.
        RemovalIncomplete,
        /// Bellwether can be removed now.
        SafeToRemove,
        /// After a removal: a mark of ours is left on a node.
        MarkLeftOnNode,
        /// After a removal: an object of ours is left in the cluster.
        ObjectLeft,
        /// After a removal: a namespace is being deleted.
        NamespaceTerminating,
        /// After a removal: nothing is left.
        NothingLeft,
    }
    "docs/findings-agents.md": {
        /// Without a leading scheduler the agents were not checked.
        AgentsNotChecked,
        /// An agent has never reported.
        AgentNeverReported,
        /// An agent reports no more.
        AgentSilent,
        /// A sentinel cannot look at its host, for a reason without a code that this version knows.
        HostNotProbed,
        /// A rebooter could not reboot its host, for a reason without a code that this version knows.
        HostNotRebootable,
        /// A sentinel cannot read the directory of the sentinel file.
        HostDirectoryUnreadable,
        /// A sentinel cannot read the sentinel file.
        SentinelFileUnreadable,
        /// Something other than a file has the sentinel file's name.
        SentinelFileNotAFile,
        /// A sentinel's probe ended before it had a result.
        ProbeAborted,
        /// What a sentinel's probe reads shows neither that a reboot is required nor that none is.
        ProbeFailed,
        /// A rebooter cannot connect to the host's system bus.
        BusUnreachable,
        /// The host denies a rebooter access to the bus or to logind.
        BusAccessDenied,
        /// logind or the bus returned an error to a rebooter.
        LogindCallFailed,
        /// logind does not permit a rebooter to reboot.
        RebootNotPermitted,
        /// An inhibitor on the host blocks shutdowns now, such as a package upgrade.
        ShutdownInhibited,
        /// logind or the reboot command did not answer in time.
        RebootMethodTimedOut,
        /// The reboot command cannot be started.
        RebootCommandNotRunnable,
        /// The reboot command ended with an error.
        RebootCommandFailed,
        /// A rebooter called a reboot in this boot, and the host still runs.
        RebootAlreadyCalled,
        /// A node is a container with the boot id of the machine below: no reboot of it can be proved.
        RebootNotProvable,
        /// A rebooter cannot signal the first process of its host to reboot.
        SignalNotPermitted,
        /// A kind of reboot is not possible by a rebooter's method, or with the systemd of its host.
        RebootKindNotPossible,
        /// A host has no kernel loaded for kexec.
        KexecNotLoaded,
        /// systemd of a host shows units that have failed.
        UnitsFailed,
        /// The kubelet of a host delays shutdowns, and logind ends such a delay after its default time.
        ShutdownDelayShort,
        /// The clock of a host differs from that of NATS.
        ClockOff,
    }
}

impl Code {
    /// Where the runbook has this code's section: page and anchor, from the root of the repository.
    #[must_use]
    pub fn runbook(self) -> String {
        format!("{}#{}", self.page(), self.as_str().to_ascii_lowercase())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_have_one_section_for_each_code_in_this_order() {
        let headings = |page: &&'static str| page.lines().filter_map(|line| line.strip_prefix("### "));
        let sections: Vec<&str> = PAGES.iter().flat_map(headings).collect();
        let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(sections, codes);
    }

    /// An anchor is as GitHub and most other renderers make one of a heading of one word.
    #[test]
    fn a_runbook_is_the_page_of_the_code_and_the_anchor_of_its_section() {
        assert_eq!(Code::InOrder.runbook(), "docs/findings.md#inorder");
        assert_eq!(Code::AgentSilent.runbook(), "docs/findings-agents.md#agentsilent");
    }

    #[test]
    fn no_section_is_empty() {
        for section in PAGES.iter().flat_map(|page| page.split("\n### ").skip(1)) {
            let (code, body) = section.split_once('\n').unwrap();
            let body = body.split("\n## ").next().unwrap().trim();
            assert!(body.len() > 40, "{code}: `{body}`");
        }
    }
}
