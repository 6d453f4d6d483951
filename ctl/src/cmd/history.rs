//! `history [NODE]`: the audit trail, and whether it is whole.

use std::process::ExitCode;

use bellwether_proto::to_timestamp;
use bellwether_proto::wire::ReadHistoryRequest;
use bellwether_proto::wire::read_history_response::Part;

use crate::args::{ConnectArgs, HistoryArgs};
use crate::connect::{Client, Fleet, chain};
use crate::history::{self, Asked, Listing, Printer, Trail, Verification};
use crate::{out, time};

/// How many events one answer has: a page of some 20 MB, which is shown before the next one is asked for.
const PAGE_MAX: u32 = 20_000;

pub(super) async fn run(connect: &ConnectArgs, args: &HistoryArgs) -> anyhow::Result<ExitCode> {
    let now = time::now();
    let asked = Asked {
        node: args.node.as_ref().map(ToString::to_string),
        since: args.since.map(|since| since.instant(now)),
        until: args.until.map(|until| until.instant(now)),
    };
    let mut fleet = Fleet::open(connect).await?;
    if args.verify {
        // The chain of a node is verified alone.
        let orders = asked.node.is_none();
        let mut verification = Verification::new(orders);
        read(&mut fleet, &asked, orders, &mut verification, |_| Ok(())).await?;
        let verdicts = verification.finish();
        out::show(&history::verdicts(&verdicts, args.output)?)?;
        return Ok(if verdicts.iter().all(history::Verdict::holds) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        });
    }
    let mut printer = Printer::new(args.output);
    let mut listing = Listing::new(asked.clone());
    let show = |listing: &mut Listing| -> anyhow::Result<()> {
        out::show(&printer.page(&listing.page())?)?;
        Ok(())
    };
    read(&mut fleet, &asked, true, &mut listing, show).await?;
    out::show(&printer.end())?;
    Ok(ExitCode::SUCCESS)
}

/// Reads a trail, page by page. `turned` is called after each.
pub(super) async fn read<T: Trail>(
    fleet: &mut Fleet,
    asked: &Asked,
    orders: bool,
    trail: &mut T,
    mut turned: impl FnMut(&mut T) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut request = ReadHistoryRequest {
        node: asked.node.clone().unwrap_or_default(),
        orders,
        since: asked.since.map(to_timestamp),
        until: asked.until.map(to_timestamp),
        after_place: 0,
        events_max: PAGE_MAX,
    };
    // Bounded by the events of the stream: each page ends behind the one before.
    loop {
        let next = read_page(fleet, &request, trail).await?;
        turned(trail)?;
        match next {
            None => return Ok(()),
            Some(place) if place > request.after_place => request.after_place = place,
            Some(_) => anyhow::bail!(
                "the audit trail has more events than this scheduler sends: upgrade it, or ask for one node after the other"
            ),
        }
    }
}

/// Reads one page. Returns the place behind which the next one begins; none: this is the last.
async fn read_page(
    fleet: &mut Fleet,
    request: &ReadHistoryRequest,
    trail: &mut impl Trail,
) -> anyhow::Result<Option<u64>> {
    let ask = async |mut client: Client| client.read_history(request.clone()).await;
    let mut parts = fleet.call(ask).await?;
    // Bounded by the scheduler, which ends the stream.
    loop {
        match parts.message().await {
            Ok(Some(part)) => match part.part {
                // Those of the first page count: events that were stored later are beyond them.
                Some(Part::Before(head)) if request.after_place == 0 => trail.before(&head),
                Some(Part::Before(_)) | None => {}
                Some(Part::Event(event)) => trail.event(event),
                Some(Part::After(head)) => trail.after(&head),
                Some(Part::Cut(cut)) => return Ok(Some(cut.place)),
            },
            Ok(None) => return Ok(None),
            Err(status) if status.message().is_empty() => anyhow::bail!("the audit trail: {}", chain(&status)),
            Err(status) => anyhow::bail!("the audit trail: {}", status.message()),
        }
    }
}
