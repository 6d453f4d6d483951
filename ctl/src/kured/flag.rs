//! The flags of kured 1.23: their names, types and defaults. docs/kured.md lists them in this order.

use super::value::{Kind, Value};

macro_rules! flags {
    ($($name:ident = $text:literal, $kind:ident, $default:literal;)+) => {
        /// A flag of kured.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Flag { $(#[doc = $text] $name,)+ }

        impl Flag {
            /// Every flag, in the order of docs/kured.md.
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name, without dashes in front.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The type.
            pub(crate) fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)+ }
            }

            fn default_text(self) -> &'static str {
                match self { $(Self::$name => $default,)+ }
            }
        }
    };
}

flags! {
    NodeId = "node-id", Text, "";
    Period = "period", Duration, "1h";
    RebootSentinel = "reboot-sentinel", Text, "/var/run/reboot-required";
    RebootSentinelCommand = "reboot-sentinel-command", Text, "";
    RebootCommand = "reboot-command", Text, "/bin/systemctl reboot";
    RebootMethod = "reboot-method", Text, "command";
    RebootSignal = "reboot-signal", Int, "39";
    RebootDelay = "reboot-delay", Duration, "0";
    ForceReboot = "force-reboot", Bool, "false";
    DrainDelay = "drain-delay", Duration, "0";
    DrainTimeout = "drain-timeout", Duration, "0";
    DrainGracePeriod = "drain-grace-period", Int, "-1";
    DrainPodSelector = "drain-pod-selector", Text, "";
    SkipWaitForDeleteTimeout = "skip-wait-for-delete-timeout", Int, "0";
    DsNamespace = "ds-namespace", Text, "kube-system";
    DsName = "ds-name", Text, "kured";
    LockAnnotation = "lock-annotation", Text, "weave.works/kured-node-lock";
    LockTtl = "lock-ttl", Duration, "0";
    LockReleaseDelay = "lock-release-delay", Duration, "0";
    Concurrency = "concurrency", Int, "1";
    PrometheusUrl = "prometheus-url", Text, "";
    AlertFilterRegexp = "alert-filter-regexp", Text, "";
    AlertFilterMatchOnly = "alert-filter-match-only", Bool, "false";
    AlertFiringOnly = "alert-firing-only", Bool, "false";
    BlockingPodSelector = "blocking-pod-selector", Array, "";
    RebootDays = "reboot-days", Slice, "su,mo,tu,we,th,fr,sa";
    StartTime = "start-time", Text, "0:00";
    EndTime = "end-time", Text, "23:59:59";
    TimeZone = "time-zone", Text, "UTC";
    PreferNoScheduleTaint = "prefer-no-schedule-taint", Text, "";
    AnnotateNodes = "annotate-nodes", Bool, "false";
    PreRebootNodeLabels = "pre-reboot-node-labels", Slice, "";
    PostRebootNodeLabels = "post-reboot-node-labels", Slice, "";
    NotifyUrl = "notify-url", Text, "";
    SlackHookUrl = "slack-hook-url", Text, "";
    SlackUsername = "slack-username", Text, "kured";
    SlackChannel = "slack-channel", Text, "";
    MessageTemplateDrain = "message-template-drain", Text, "Draining node %s";
    MessageTemplateReboot = "message-template-reboot", Text, "Rebooting node %s";
    MessageTemplateUncordon = "message-template-uncordon", Text, "Node %s rebooted & uncordoned successfully!";
    LogFormat = "log-format", Text, "text";
    MetricsHost = "metrics-host", Text, "";
    MetricsPort = "metrics-port", Int, "8080";
}

impl Flag {
    /// The flag of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|flag| flag.name() == name)
    }

    /// The environment variable that kured reads for the flag.
    pub(crate) fn variable(self) -> String {
        format!("KURED_{}", self.name().to_uppercase().replace('-', "_"))
    }

    /// The value that holds if the flag is not given.
    pub(crate) fn default(self) -> Value {
        if self.kind() == Kind::Array {
            return Value::List(Vec::new());
        }
        Value::parse(self.kind(), self.default_text()).unwrap_or(Value::Hidden)
    }

    /// Whether the value is a credential, which no output may show.
    pub(crate) fn is_secret(self) -> bool {
        matches!(self, Self::NotifyUrl | Self::SlackHookUrl)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kured_has_43_flags_and_each_default_can_be_read() {
        assert_eq!(Flag::ALL.len(), 43);
        for flag in Flag::ALL {
            assert_ne!(flag.default(), Value::Hidden, "{}", flag.name());
            assert_eq!(Flag::named(flag.name()), Some(*flag));
        }
        assert_eq!(
            Flag::SkipWaitForDeleteTimeout.variable(),
            "KURED_SKIP_WAIT_FOR_DELETE_TIMEOUT"
        );
    }
}
