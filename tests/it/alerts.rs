//! The alerts of the deploy folder: every metric that one of them reads is one that a service shows
//! once the service has done its work.

use std::collections::BTreeSet;
use std::fs;

use anyhow::Result;
use rig::tools;

use crate::fleet::Fleet;

/// To be called at the end of a story in which every service has done its work.
pub(crate) async fn read_only_metrics_that_exist(fleet: &Fleet) -> Result<()> {
    let file = tools::repository().join("deploy/components/metrics/alerts.yaml");
    let text = fs::read_to_string(&file)?;
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let read: BTreeSet<&str> = words.filter(|word| word.starts_with("bellwether_")).collect();
    assert!(read.len() > 5, "{read:?}");
    let mut shown = String::new();
    for service in fleet.services.schedulers.iter().chain(&fleet.services.drainers) {
        shown += &service.metrics().await?;
    }
    for metric in read {
        let mut names = shown.lines().filter_map(|line| line.split(['{', ' ']).next());
        assert!(names.any(|name| name == metric), "no service shows {metric}:\n{shown}");
    }
    Ok(())
}
