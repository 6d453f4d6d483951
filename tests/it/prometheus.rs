//! A real Prometheus scrapes real services with the labels of the PodMonitor: every metric of the rules and of the dashboard is a
//! series, every expression is evaluated without a warning, and alerts fire for their real faults and are silent before. The other
//! alerts need days, or faults of a machine: promtool has them (`alerts.yaml`).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bellwether_proto::{Fact, NodeName, subject};
use rig::kubelet::{READY_AFTER, TERMINATION};
use rig::scraper::{self, Scraper};
use rig::services::{AGENTS, NAMESPACE, ServicesOptions};
use rig::wait;
use rig::workload::{self, Workload};
use rig::world::{World, WorldOptions};
use serde_json::json;

use crate::fleet::{DEADLINE, Fleet};
use crate::{alerts, policies};

/// All times of the rules are so many times shorter here: an hour is ten seconds, of which each has a scrape.
const FACTOR: u64 = 360;

/// Longer than the longest of those times that a fault of this story has to last: six hours, on busy cores.
const FIRES_WITHIN: Duration = Duration::from_secs(180);

/// Alerts of which no fault is made here, each with its reason.
const NOT_LIVE: [(&str, &str); 10] = [
    (
        "BellwetherStoreFull",
        "the disk of NATS would have to be full: `it full::` has that fault",
    ),
    ("BellwetherEventsLag", "a thousand messages would have to wait"),
    (
        "BellwetherReaderHangs",
        "the leader would have to hang: `it metrics::` has that fault",
    ),
    ("BellwetherExposed", "a need would have to be two weeks old"),
    ("BellwetherExposureBurns", "a need would have to be a week old"),
    (
        "BellwetherPolicyStopped",
        "it would keep the nodes of the other faults from starting",
    ),
    ("BellwetherWindowsTooShort", "it waits for three days, 12 minutes here"),
    (
        "BellwetherDrainsUnchecked",
        "the drainers would have to be away in addition to all else",
    ),
    (
        "BellwetherDrainerBlind",
        "the API server would have to be away for the drainer alone: `it blind::` has that fault",
    ),
    (
        "BellwetherUnsettled",
        "the scheduler would have to load ten times within half an hour, five seconds here",
    ),
];

/// A text with each duration such as `5m` in milliseconds, divided by the factor.
fn shorter(duration: &str) -> Result<String> {
    let (number, unit) = duration.split_at(duration.len().saturating_sub(1));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => anyhow::bail!("a duration of another form: {duration}"),
    };
    Ok(format!("{}ms", number.parse::<u64>()? * seconds * 1000 / FACTOR))
}

/// The rules of the deploy folder with shorter times: what follows `for:`, ranges, and the hours of an attempt.
fn rules() -> Result<String> {
    const LONGEST: &str = "4 * 3600";
    let rules = scraper::rules_of_deploy()?;
    ensure!(rules.contains(LONGEST), "no {LONGEST}");
    let rules = rules.replace(LONGEST, &format!("{}", 4 * 3600 / FACTOR));
    let line = |line: &str| {
        if let Some((before, time)) = line.split_once("for: ") {
            return Ok(format!("{before}for: {}", shorter(time)?));
        }
        // A range has a digit after its bracket; a list of labels has none.
        let mut text = String::new();
        let mut rest = line;
        while let Some((before, after)) = rest.split_once('[') {
            text += before;
            text.push('[');
            rest = after;
            if let Some((range, after)) = after
                .split_once(']')
                .filter(|_| after.starts_with(|it: char| it.is_ascii_digit()))
            {
                text += &shorter(range)?;
                text.push(']');
                rest = after;
            }
        }
        Ok(text + rest)
    };
    let lines: Vec<String> = rules.lines().map(line).collect::<Result<_>>()?;
    Ok(lines.join("\n"))
}

/// Four nodes, and a Prometheus that scrapes all services.
async fn start() -> Result<(Fleet, Scraper)> {
    let options = WorldOptions {
        nodes: 4,
        ..WorldOptions::default()
    };
    let world = Box::pin(World::start(options)).await?;
    // Two pods on each node: one of them waits for the budget until the other is replaced.
    let web = Workload::new("web").replicas(8).annotate(READY_AFTER, "2s");
    world.create(&web.deployment()?).await?;
    world.create(&web.max_unavailable(1)?).await?;
    world.wait_ready_pods("web", 8).await?;
    let any = json!({ "budget": { "maxUnavailable": 4 } });
    policies::create(&world, "any", &any).await?;
    // One that is shut for a month, for no node: for its metrics.
    let today = jiff::Zoned::now().date();
    let (from, to) = (today.yesterday()?, today.saturating_add(jiff::Span::new().days(30)));
    let blackout = json!({ "from": from, "to": to, "timeZone": "UTC", "reason": "freeze" });
    let no_node = json!({ "matchLabels": { "no": "node" } });
    let shut = json!({ "nodeSelector": no_node, "blackouts": [blackout] });
    policies::create(&world, "shut", &shut).await?;
    let options = ServicesOptions::default()
        .set("BELLWETHER_SLOTS", "4")
        // A pod counts as stuck a minute after its grace.
        .set("BELLWETHER_DRAIN_TIMEOUT", "150s")
        .set("BELLWETHER_REBOOT_START_TIMEOUT", "5s")
        .set("BELLWETHER_REBOOT_TIMEOUT", "10s");
    let fleet = Fleet::start_in(world, options).await?;
    let scraper = Scraper::start(&fleet.world.place, &fleet.services, &rules()?).await?;
    Ok((fleet, scraper))
}

/// Labels of alerts that show which fault an alert is of.
const OF_FAULTS: [&str; 4] = ["cause", "part", "policy", "reason"];

/// The alerts that have fired since this instant: each by its name, and by its name with each of those labels.
async fn fired_since(scraper: &Scraper, silence: Instant) -> Result<BTreeSet<String>> {
    let seconds = silence.elapsed().as_secs().max(1);
    let labels = OF_FAULTS.join(", ");
    let range = format!("count_over_time(ALERTS{{alertstate=\"firing\"}}[{seconds}s])");
    let fired = scraper
        .query(&format!("count by (alertname, {labels}) ({range})"))
        .await?;
    let mut names = BTreeSet::new();
    for (mut labels, _) in fired {
        let name = labels.remove("alertname").context("an alert without a name")?;
        names.extend(labels.iter().map(|(label, value)| format!("{name} {label}={value}")));
        names.insert(name);
    }
    Ok(names)
}

/// Waits until these alerts have fired.
async fn fire(scraper: &Scraper, silence: Instant, awaited: &[&str]) -> Result<()> {
    wait::until(&format!("{awaited:?} to fire"), FIRES_WITHIN, async || {
        let fired = fired_since(scraper, silence).await?;
        let missing: Vec<_> = awaited.iter().filter(|name| !fired.contains(**name)).collect();
        ensure!(missing.is_empty(), "{missing:?} have not, {fired:?} have");
        Ok(())
    })
    .await
}

/// These alerts are still to come: their faults are not made yet.
async fn have_not_fired(scraper: &Scraper, silence: Instant, later: &[&str]) -> Result<()> {
    let fired = fired_since(scraper, silence).await?;
    ensure!(later.iter().all(|name| !fired.contains(*name)), "{later:?}: {fired:?}");
    Ok(())
}

/// Every metric of a rule or a panel is a series, but for these.
async fn are_series(scraper: &Scraper, expressions: &str, but: &[&str]) -> Result<()> {
    let words = expressions.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let ours: BTreeSet<&str> = words.filter(|word| word.starts_with("bellwether_")).collect();
    ensure!(ours.len() > 20, "{ours:?}");
    for metric in ours.into_iter().filter(|metric| !but.contains(metric)) {
        let found = scraper.query(&format!("count({metric})")).await?;
        ensure!(!found.is_empty(), "no service has a series {metric}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_and_panels_name_is_scraped_and_each_alert_fires_for_its_fault_and_not_before() -> Result<()> {
    let (fleet, scraper) = start().await?;
    let queries = alerts::queries_of_dashboard()?;
    let expressions = scraper::rules_of_deploy()? + &queries.join("\n");
    let nodes: Vec<_> = fleet.world.hosts();
    let [checked, stuck, unfit, lost] = nodes.as_slice() else {
        anyhow::bail!("four nodes")
    };
    // One reboot, so that everything has been done once.
    lost.upgrade_kernel("6.12.48")?;
    fleet.rebooted_once(std::slice::from_ref(lost)).await?;
    wait::until("all series", DEADLINE, async || {
        are_series(&scraper, &expressions, &["bellwether_not_ready"]).await
    })
    .await?;
    as_the_operator_labels_them(&scraper).await?;
    wait::until("silence", DEADLINE, async || {
        let alerts = scraper.alerts().await?;
        let loud: Vec<_> = alerts.iter().filter(|alert| alert.state != "inactive").collect();
        ensure!(alerts.len() > 15 && loud.is_empty(), "{loud:?} of {}", alerts.len());
        Ok(())
    })
    .await?;
    let silence = Instant::now();
    let of_alerts = scraper.alerts().await?.into_iter().map(|alert| alert.query);
    for query in of_alerts.chain(queries) {
        scraper.query(&query).await?;
    }

    // A message that no service wrote, and a policy with a mistake that the API server does not notice.
    let client = fleet.world.nats.client().await?;
    let about = checked.name().parse::<NodeName>()?.token();
    client
        .publish(subject::event(&about, &Fact::Cordoned), "nonsense".into())
        .await?;
    let nowhere = json!([{ "days": ["Sat"], "start": "22:00", "end": "04:00", "timeZone": "Mars/Olympus" }]);
    let mistaken = json!({ "nodeSelector": { "matchLabels": { "no": "node" } }, "windows": nowhere });
    policies::create(&fleet.world, "mistaken", &mistaken).await?;
    let first = ["BellwetherMessagesRejected", "BellwetherPolicyRefused policy=mistaken"];
    fire(&scraper, silence, &first).await?;
    let of_drains = [
        "BellwetherPodsStuck",
        "BellwetherAttemptStuck",
        "BellwetherDrainsBlocked",
    ];
    have_not_fired(&scraper, silence, &of_drains).await?;

    // A pod that never ends.
    let slow = Workload::new("slow")
        .on_node(stuck.name())
        .annotate(TERMINATION, "stuck");
    let slow = slow.spec("terminationGracePeriodSeconds", 1.into());
    fleet.world.create(&slow.deployment()?).await?;
    fleet.world.wait_ready_pods("slow", 1).await?;
    // A budget that can never be met: the pod's application is named `stuck`.
    fleet.world.block_drain(0).await?;
    // An agent that is missing: its node needs a reboot, which an operator's cordon delays until the agent counts as missing.
    fleet.world.set_cordon(unfit.name(), true).await?;
    fleet.services.agents_of(unfit)?.rebooter.process.kill9();
    for host in [checked, stuck, unfit] {
        host.upgrade_kernel("6.12.48")?;
    }
    fire(&scraper, silence, &of_drains).await?;
    fleet.explained(checked.name(), &["DrainBlocked"]).await?;
    have_not_fired(&scraper, silence, &["BellwetherNodeUnfit"]).await?;
    fleet.world.set_cordon(unfit.name(), false).await?;
    fire(&scraper, silence, &["BellwetherNodeUnfit reason=NoRebooter"]).await?;
    let failed = ["BellwetherNodeFailed", "BellwetherAttemptsFail cause=RebootIgnored"];
    have_not_fired(&scraper, silence, &failed).await?;
    // A host that takes the call and still runs. Last, since no node starts after a failed reboot.
    lost.behave(|it| it.ignore_reboot = true);
    lost.upgrade_kernel("6.12.49")?;
    fire(&scraper, silence, &failed).await?;

    have_not_fired(&scraper, silence, &["BellwetherNotReady", "BellwetherNoLeader"]).await?;
    fleet.world.nats.kill9();
    fire(&scraper, silence, &["BellwetherNotReady part=nats"]).await?;
    are_series(&scraper, &expressions, &[]).await?;
    fleet.world.nats.restart().await?;
    for scheduler in &fleet.services.schedulers {
        scheduler.process.kill9();
    }
    fire(&scraper, silence, &["BellwetherNoLeader"]).await?;

    // Each alert is either made here, or listed with its reason.
    let alerts = scraper.alerts().await?;
    let faults: Vec<_> = alerts.iter().filter(|alert| !alert.fault.is_empty()).collect();
    ensure!(faults.is_empty(), "{faults:?}");
    let fired = fired_since(&scraper, silence).await?;
    for alert in &alerts {
        let is_listed = NOT_LIVE.iter().any(|(name, _)| *name == alert.name);
        let has_fired = fired.contains(&alert.name);
        ensure!(is_listed || has_fired, "{} did not fire", alert.name);
    }
    // It writes into the folder that goes with the world.
    drop(scraper);
    fleet.finish()
}

/// `job` is the container, the namespace is the pod's, and a namespace that a figure is of stays.
async fn as_the_operator_labels_them(scraper: &Scraper) -> Result<()> {
    let up = scraper.query("count by (job, namespace) (up == 1)").await?;
    let found: BTreeSet<(String, String)> = up
        .into_iter()
        .map(|(mut labels, _)| {
            let mut label = |name| labels.remove(name).unwrap_or_default();
            (label("job"), label("namespace"))
        })
        .collect();
    let of = |job: &str, namespace: &str| (job.to_owned(), namespace.to_owned());
    let wanted = [
        of("drainer", NAMESPACE),
        of("rebooter", AGENTS),
        of("scheduler", NAMESPACE),
        of("sentinel", AGENTS),
    ];
    ensure!(found == wanted.into(), "{found:?}");
    let blocked = scraper.query("bellwether_drainer_budget_blocked_seconds_total").await?;
    let (labels, _) = blocked.first().context("no budget has kept a drain")?;
    let namespace = labels.get("namespace").map(String::as_str);
    ensure!(namespace == Some(workload::NAMESPACE), "{labels:?}");
    let built = scraper.query("bellwether_build_info{node!=\"\"}").await?;
    ensure!(
        built.len() == 8,
        "the agents of four nodes have the label node: {built:?}"
    );
    Ok(())
}
