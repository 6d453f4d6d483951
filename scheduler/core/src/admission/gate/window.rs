//! The policy's windows: none is open, a blackout covers them, or the opening ends before a drain of the node could.

use bellwether_policy::calendar::CalendarState;
use bellwether_policy::{Governing, RebootPolicy, Terms};
use bellwether_proto::{Attempt, Phase};
use jiff::SignedDuration;

use crate::admission::gate::{Blockers, Candidate};
use crate::admission::reason::Reason;
use crate::policy::Policy;
use crate::timers::Clock;

/// A drain may take so many times as long as the last one of its node.
const MARGIN_FACTOR: i32 = 2;

pub(super) fn gate(candidate: &Candidate<'_>) -> Option<Reason> {
    let Candidate { blockers, clock, .. } = *candidate;
    if candidate.is_urgent() {
        return None;
    }
    shut(candidate.governing, blockers, clock).or_else(|| too_short(candidate))
}

/// Why no window is open; none if one is, or the policy has none. Asked again right before the reboot is ordered.
pub(super) fn shut(governing: &Governing, blockers: &Blockers, clock: &Clock) -> Option<Reason> {
    let (policy, terms, state) = calendar(governing, blockers)?;
    if let Some(until) = state.valid_until() {
        clock.reached(until);
    }
    let CalendarState::Shut { opens_at, .. } = state else {
        return None;
    };
    let blackout = terms.calendar.blackout_of(state);
    Some(Reason::WindowShut {
        policy: policy.name.clone(),
        blackout: blackout.map(|blackout| blackout.reason().to_owned()),
        opens_at,
    })
}

/// The opening ends before a drain of the node would.
fn too_short(candidate: &Candidate<'_>) -> Option<Reason> {
    let (policy, terms, state) = calendar(candidate.governing, candidate.blockers)?;
    let CalendarState::Open { until: Some(until), .. } = state else {
        return None;
    };
    let needs = margin(terms, candidate.last, candidate.policy);
    let latest = until.checked_sub(needs).unwrap_or(until);
    candidate.clock.reached(latest).then(|| Reason::WindowTooShort {
        policy: policy.name.clone(),
        shuts_at: until,
        needs,
    })
}

/// The time that the node needs before the end of an opening: given; or by its last drain, if that led to a reboot; or
/// the longest that a drain may take. The delay between drain and reboot is no time of a drain.
pub(crate) fn margin(terms: &Terms, last: Option<&Attempt>, policy: &Policy) -> SignedDuration {
    let measured = || {
        let last = last?;
        let entered = |phase| last.history.iter().find(|entered| entered.phase == phase);
        let both = entered(Phase::Rebooting)?
            .at
            .duration_since(entered(Phase::Draining)?.at);
        let drain = both.saturating_sub(last.reboot_delay().unwrap_or_default());
        Some(drain.max(SignedDuration::ZERO).saturating_mul(MARGIN_FACTOR))
    };
    let longest = drain_timeout(Some(terms), policy);
    let needed = || {
        measured()
            .map_or(longest, |measured| measured.min(longest))
            .saturating_add(delay(Some(terms)))
    };
    terms.start_margin.unwrap_or_else(needed)
}

/// How long the drain of a node with these terms may take, with the delay of the reboot after it.
pub(crate) fn longest_drain(terms: Option<&Terms>, policy: &Policy) -> SignedDuration {
    drain_timeout(terms, policy).saturating_add(delay(terms))
}

fn drain_timeout(terms: Option<&Terms>, policy: &Policy) -> SignedDuration {
    let own = terms.and_then(|terms| terms.drain.timeout);
    own.unwrap_or(policy.drain_timeout)
}

fn delay(terms: Option<&Terms>) -> SignedDuration {
    terms.and_then(|terms| terms.drain.reboot_delay).unwrap_or_default()
}

/// The policy with its terms and the state of its calendar; none without such a policy.
fn calendar<'a>(governing: &'a Governing, blockers: &Blockers) -> Option<(&'a RebootPolicy, &'a Terms, CalendarState)> {
    let Governing::Policy(policy) = governing else {
        return None;
    };
    Some((policy, policy.terms.as_ref().ok()?, blockers.policies.state(policy)?))
}
