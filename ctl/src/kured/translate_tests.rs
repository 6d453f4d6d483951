//! Every flag of kured has its verdict, and docs/kured.md says the same.

use bellwether_policy::WaitingTaint;

use super::*;
use crate::kured::source::Arg;

/// For each flag: arguments that give it a value that is not the default, and where its counterpart is.
fn sample(flag: Flag) -> (&'static [&'static str], Counterpart) {
    use Counterpart::{None, Policy, Setting, Unneeded};
    match flag {
        Flag::NodeId => (&["--node-id=n1"], Unneeded),
        Flag::Period => (&["--period=10m"], Unneeded),
        Flag::RebootSentinel => (&["--reboot-sentinel=/var/run/reboot-needed"], Setting),
        Flag::RebootSentinelCommand => (&["--reboot-sentinel-command=needs-restarting -r"], None),
        Flag::RebootCommand => (&["--reboot-command=/usr/local/bin/kexec-reboot"], Setting),
        Flag::RebootMethod => (&["--reboot-method=signal"], Unneeded),
        Flag::RebootSignal => (&["--reboot-method=signal", "--reboot-signal=15"], None),
        Flag::RebootDelay => (&["--reboot-delay=1m"], Policy),
        Flag::ForceReboot => (&["--force-reboot"], None),
        Flag::DrainDelay => (&["--drain-delay=1m"], None),
        Flag::DrainTimeout => (&["--drain-timeout=10m"], Setting),
        Flag::DrainGracePeriod => (&["--drain-grace-period=60"], None),
        Flag::DrainPodSelector => (&["--drain-pod-selector=app=web"], None),
        Flag::SkipWaitForDeleteTimeout => (&["--skip-wait-for-delete-timeout=60"], None),
        Flag::DsNamespace => (&["--ds-namespace=ops"], Unneeded),
        Flag::DsName => (&["--ds-name=reboots"], Unneeded),
        Flag::LockAnnotation => (&["--lock-annotation=example.com/kured-node-lock"], Unneeded),
        Flag::LockTtl => (&["--lock-ttl=30m"], Unneeded),
        Flag::LockReleaseDelay => (&["--lock-release-delay=5m"], Setting),
        Flag::Concurrency => (&["--concurrency=3"], Setting),
        Flag::PrometheusUrl => (&["--prometheus-url=http://prometheus:9090"], Policy),
        Flag::AlertFilterRegexp => (
            &["--prometheus-url=http://p", "--alert-filter-regexp=^Watchdog$"],
            Policy,
        ),
        Flag::AlertFilterMatchOnly => (&["--prometheus-url=http://p", "--alert-filter-match-only"], Policy),
        Flag::AlertFiringOnly => (&["--prometheus-url=http://p", "--alert-firing-only=true"], Policy),
        Flag::BlockingPodSelector => (&["--blocking-pod-selector=app=ci"], Policy),
        Flag::RebootDays => (&["--reboot-days=mo,tu"], Policy),
        Flag::StartTime => (&["--start-time=2am"], Policy),
        Flag::EndTime => (&["--end-time=6am"], Policy),
        Flag::TimeZone => (&["--time-zone=Europe/Berlin", "--reboot-days=mo"], Policy),
        Flag::PreferNoScheduleTaint => (&["--prefer-no-schedule-taint=weave.works/kured-node-reboot"], Policy),
        Flag::AnnotateNodes => (&["--annotate-nodes"], Setting),
        Flag::PreRebootNodeLabels => (&["--pre-reboot-node-labels=a=1"], Setting),
        Flag::PostRebootNodeLabels => (&["--post-reboot-node-labels=a=2"], Setting),
        Flag::NotifyUrl => (&["--notify-url=slack://token-a/token-b/token-c"], None),
        Flag::SlackHookUrl => (&["--slack-hook-url=https://hooks.slack.com/services/token/b/c"], None),
        Flag::SlackUsername => (&["--slack-username=bot"], Unneeded),
        Flag::SlackChannel => (&["--slack-channel=#ops"], Unneeded),
        Flag::MessageTemplateDrain => (&["--notify-url=x://y", "--message-template-drain=D %s"], None),
        Flag::MessageTemplateReboot => (&["--notify-url=x://y", "--message-template-reboot=R %s"], None),
        Flag::MessageTemplateUncordon => (&["--notify-url=x://y", "--message-template-uncordon=U %s"], None),
        Flag::LogFormat => (&["--log-format=json"], Unneeded),
        Flag::MetricsHost => (&["--metrics-host=127.0.0.1"], Unneeded),
        Flag::MetricsPort => (&["--metrics-port=9100"], Unneeded),
    }
}

fn translated(args: &[&str]) -> Plan {
    let source = Source {
        name: "kured".to_owned(),
        args: args.iter().map(|arg| Arg::from(*arg)).collect(),
        tolerates_all: true,
        ..Source::default()
    };
    plan(&source).unwrap()
}

fn of_flag(plan: &Plan, flag: Flag) -> &FlagPlan {
    let mut flags = plan.flags.iter();
    flags.find(|found| found.flag == flag.name()).unwrap()
}

#[test]
fn each_of_the_43_flags_has_the_counterpart_that_the_table_says() {
    for flag in Flag::ALL.iter().copied() {
        let (args, counterpart) = sample(flag);
        let plan = translated(args);
        let found = of_flag(&plan, flag);
        assert_eq!(found.counterpart, counterpart, "{}: {}", found.flag, found.text);
        assert!(!found.text.is_empty(), "{}", found.flag);
        // The name of the counterpart is where it says.
        let is_default = flag == Flag::PreferNoScheduleTaint && plan.spec.waiting_taint == WaitingTaint::default();
        let is_set = !plan.spec.windows.is_empty() || plan.spec.gates.is_some() || plan.spec.drain.is_some();
        let in_policy = is_set || is_default;
        assert_eq!(in_policy, counterpart == Counterpart::Policy, "{}", found.flag);
        let asks = matches!(
            flag,
            Flag::PrometheusUrl | Flag::AlertFilterRegexp | Flag::AlertFilterMatchOnly | Flag::AlertFiringOnly
        );
        assert_eq!(plan.overlay.asks_prometheus, asks, "{}", found.flag);
        let has_settings = !plan.overlay.is_empty() && !asks;
        assert_eq!(has_settings, counterpart == Counterpart::Setting, "{}", found.flag);
    }
}

#[test]
fn the_page_lists_the_flags_in_order_with_the_same_counterparts() {
    let page = include_str!("../../../docs/kured.md");
    let listed: Vec<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `--")?.split('|').map(str::trim);
            let flag = cells.next()?.strip_suffix('`')?;
            Some((flag.to_owned(), cells.next()?.to_owned()))
        })
        .collect();
    let expected: Vec<(String, String)> = Flag::ALL
        .iter()
        .map(|flag| {
            let counterpart = serde_json::to_value(sample(*flag).1).unwrap();
            (flag.name().to_owned(), counterpart.as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn no_output_shows_a_credential() {
    let plan = translated(&[
        "--notify-url=slack://token-a/token-b/token-c",
        "--slack-hook-url=https://x/token-d",
    ]);
    let traces = crate::kured::plan::Traces::NotLooked;
    for text in [plan.report("kured", &traces).unwrap(), plan.json("kured", &traces)] {
        assert!(text.contains("(not shown)") && !text.contains("token"), "{text}");
    }
}

#[test]
fn the_field_of_the_notifier_for_a_url_is_that_of_its_service() {
    for (flag, url, end) in [
        (
            Flag::NotifyUrl,
            "smtp://u:token@m:587/?from=a@b&to=c@d",
            "takes such URLs as email.urlFile",
        ),
        (
            Flag::NotifyUrl,
            "'smtp://u:token@m:587/?from=a@b&to=c@d'",
            "takes such URLs as email.urlFile",
        ),
        (
            Flag::NotifyUrl,
            "slack://hook:token@webhook",
            "takes such URLs as slack.urlFile",
        ),
        (
            Flag::NotifyUrl,
            "slack://xoxb:token@C1",
            "as slack.tokenFile and slack.channel",
        ),
        (
            Flag::NotifyUrl,
            "generic://x.example/token",
            "takes such URLs as webhook.urlFile",
        ),
        (
            Flag::NotifyUrl,
            "telegram://token@telegram",
            "make a target of its own kind there",
        ),
        (
            Flag::SlackHookUrl,
            "https://hooks.slack.com/services/token",
            "takes such URLs as slack.urlFile",
        ),
    ] {
        let plan = translated(&[&format!("--{}={url}", flag.name())]);
        let text = &of_flag(&plan, flag).text;
        assert!(text.ends_with(end) && !text.contains("token@"), "{url}: {text}");
    }
}

#[test]
fn flags_that_kured_ignores_beside_others_are_not_needed() {
    for (args, flag) in [
        (
            &["--reboot-sentinel=/x/y", "--reboot-sentinel-command=true"][..],
            Flag::RebootSentinel,
        ),
        (
            &["--reboot-method=signal", "--reboot-command=/bin/false"],
            Flag::RebootCommand,
        ),
        (&["--reboot-signal=15"], Flag::RebootSignal),
        (&["--alert-firing-only"], Flag::AlertFiringOnly),
        (&["--message-template-drain=D %s"], Flag::MessageTemplateDrain),
    ] {
        let plan = translated(args);
        let found = of_flag(&plan, flag);
        assert!(found.text.starts_with("kured ignores it"), "{args:?}: {}", found.text);
        assert_eq!(found.counterpart, Counterpart::Unneeded);
        assert!(plan.overlay.is_empty(), "{args:?}");
    }
}

#[test]
fn commands_that_do_what_logind_does_need_no_setting() {
    for command in [
        "/usr/bin/systemctl reboot",
        "systemctl reboot",
        "/sbin/reboot",
        "/sbin/shutdown -r now",
    ] {
        let plan = translated(&[&format!("--reboot-command={command}")]);
        assert_eq!(
            of_flag(&plan, Flag::RebootCommand).counterpart,
            Counterpart::Unneeded,
            "{command}"
        );
        assert!(plan.overlay.is_empty(), "{command}");
    }
    let relative = translated(&["--reboot-command=kexec-reboot"]);
    assert_eq!(of_flag(&relative, Flag::RebootCommand).counterpart, Counterpart::None);
}

#[test]
fn times_beyond_the_limits_of_a_setting_are_cut_and_that_is_reported() {
    let plan = translated(&["--drain-timeout=48h", "--lock-release-delay=100ms"]);
    let yaml = plan.overlay.yaml().unwrap();
    assert!(
        yaml.contains("BELLWETHER_DRAIN_TIMEOUT=24h") && yaml.contains("BELLWETHER_SOAK=1s"),
        "{yaml}"
    );
    for flag in [Flag::DrainTimeout, Flag::LockReleaseDelay] {
        assert!(of_flag(&plan, flag).text.contains("nearest time that is allowed"));
    }
}

#[test]
fn the_delay_of_a_reboot_is_that_of_the_policy_up_to_an_hour() {
    for (arg, delay) in [("90s", "1m30s"), ("100ms", "1s"), ("2h", "1h")] {
        let plan = translated(&[&format!("--reboot-delay={arg}")]);
        let drain = plan.spec.drain.as_ref().unwrap();
        assert_eq!(drain.reboot_delay.as_deref(), Some(delay));
        let text = &of_flag(&plan, Flag::RebootDelay).text;
        assert!(text.contains(&format!("rebootDelay: {delay}")), "{text}");
        assert_eq!(text.contains("the longest that is allowed"), arg == "2h", "{text}");
    }
    assert_eq!(translated(&["--reboot-delay=0"]).spec.drain, None);
}

#[test]
fn a_window_no_longer_than_a_drain_gets_a_margin_that_lets_nodes_start() {
    let margin = |args: &[&str]| translated(args).spec.start_margin;
    assert_eq!(
        margin(&["--start-time=2:00", "--end-time=2:30"]).as_deref(),
        Some("15m")
    );
    assert_eq!(
        margin(&["--start-time=2:00", "--end-time=3:00", "--drain-timeout=2h"]).as_deref(),
        Some("30m")
    );
    assert_eq!(margin(&["--start-time=2:00", "--end-time=3:00"]), None);
    assert_eq!(margin(&[]), None);
}

#[test]
fn a_value_that_shapes_the_plan_has_to_be_known() {
    let hidden = |text: &str| Arg {
        text: text.to_owned(),
        is_hidden: true,
    };
    let source = Source {
        args: vec![hidden("--concurrency="), hidden("--notify-url=")],
        ..Source::default()
    };
    let faults = plan(&source).unwrap_err();
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0]
            .to_string()
            .starts_with("--concurrency: its value is in a Secret"),
        "{faults:?}"
    );
}

#[test]
fn what_makes_no_valid_policy_is_refused_with_its_field() {
    let source = Source {
        args: vec![Arg::from("--time-zone=Europe/Belin"), Arg::from("--reboot-days=mo")],
        ..Source::default()
    };
    let faults = plan(&source).unwrap_err();
    assert!(
        faults[0].to_string().starts_with("spec.windows[0].timeZone: "),
        "{faults:?}"
    );
}

#[test]
fn a_long_name_is_cut_to_that_of_a_policy() {
    let source = Source {
        name: format!("{}-tail", "a".repeat(62)),
        ..Source::default()
    };
    assert_eq!(plan(&source).unwrap().name, "a".repeat(62));
}

#[test]
fn the_policy_has_a_name_that_kubernetes_takes_whatever_that_of_the_daemon_set_is() {
    for (of_daemon_set, of_policy) in [
        ("kured", "kured"),
        ("", "kured"),
        ("-.", "kured"),
        ("Kured: x\n", "uredx"),
        ("kured-é-eu.", "kured--eu"),
    ] {
        assert_eq!(policy_name(of_daemon_set), of_policy, "{of_daemon_set:?}");
    }
    let long = format!("{}-more", "a".repeat(NAME_MAX - 1));
    assert_eq!(policy_name(&long), "a".repeat(NAME_MAX - 1));
}

#[test]
fn a_label_with_which_the_drainer_would_not_start_is_not_translated() {
    let plan = translated(&[
        "--pre-reboot-node-labels=node.kubernetes.io/exclude-from-external-load-balancers=true",
        "--post-reboot-node-labels=phase=rebooted",
    ]);
    let verdicts: Vec<_> = plan.flags.iter().map(|flag| (flag.flag, flag.counterpart)).collect();
    assert_eq!(
        verdicts,
        [
            ("pre-reboot-node-labels", Counterpart::None),
            ("post-reboot-node-labels", Counterpart::Setting),
        ]
    );
    assert!(
        plan.flags[0].text.contains("drain.loadBalancerWait"),
        "{}",
        plan.flags[0].text
    );
    let overlay = plan.overlay.yaml().unwrap();
    assert!(
        !overlay.contains("PRE_REBOOT") && overlay.contains("POST_REBOOT"),
        "{overlay}"
    );
}
