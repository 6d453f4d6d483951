//! The checks of a drainer, by the sections of its page.

mod answers;
mod ask;
mod cordon;
mod decode;
mod evict;
mod load_balancers;
mod permit;
mod pods;
mod proof;
mod races;
mod rights;
mod settle;
mod signature;
mod start;
mod taint;
mod uncordon;

use crate::check::Check;
use crate::stage::Stage;

/// All checks of a drainer, by id within each section.
pub(crate) fn checks() -> Vec<Check<Stage>> {
    let sections = [
        start::checks(),
        permit::checks(),
        decode::checks(),
        cordon::checks(),
        load_balancers::checks(),
        evict::checks(),
        answers::checks(),
        pods::checks(),
        proof::checks(),
        uncordon::checks(),
        taint::checks(),
        ask::checks(),
        races::checks(),
        settle::checks(),
        signature::checks(),
        // Last: it looks back on all.
        rights::checks(),
    ];
    sections.into_iter().flatten().collect()
}
