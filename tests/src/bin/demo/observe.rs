//! Where a user looks while the fleet rolls: at the services alone, or with Prometheus and a collector beside them.

use anyhow::Result;
use bellwether_proto::setting;
use rig::collector::Collector;
use rig::scraper::{self, Scraper};
use rig::service::Service;
use rig::services::{Services, ServicesOptions};
use rig::world::World;

/// A question that the dashboard asks too, and that has an answer while nodes wait.
const EXAMPLE: &str = "max by (reason) (bellwether_nodes_waiting) > 0";

/// The services with this collector.
pub(crate) fn send_traces_to(collector: &Collector, options: ServicesOptions) -> ServicesOptions {
    let authority = collector.authority().display().to_string();
    options
        .set(setting::OTLP_ENDPOINT, &collector.url())
        .set(setting::OTLP_CERTIFICATE, &authority)
}

/// Starts Prometheus with the alerts of the deploy folder, and shows where it and the collector are.
pub(crate) async fn start(world: &World, services: &Services, collector: &Collector) -> Result<Scraper> {
    let prometheus = Scraper::start(&world.place, services, &scraper::rules_of_deploy()?).await?;
    // Its pages are no part of the Go module, so these are addresses of its API.
    println!(
        "metrics   curl -G {}/api/v1/query --data-urlencode 'query={EXAMPLE}'",
        prometheus.url()
    );
    println!("alerts    {}/api/v1/alerts", prometheus.url());
    println!(
        "traces    {}   a batch of spans a line, as OTLP in JSON",
        collector.file().display()
    );
    Ok(prometheus)
}

/// Shows what the services have by themselves.
pub(crate) fn show_services(world: &World, leader: &Service, is_observed: bool) {
    println!("leader    http://127.0.0.1:{}/metrics   and /readyz", leader.admin_port);
    println!("logs      {}", world.place.path().join("logs").display());
    if !is_observed {
        println!("With --observe, Prometheus and a collector of traces run beside them.");
    }
    println!();
}
