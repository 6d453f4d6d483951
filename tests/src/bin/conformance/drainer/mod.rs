//! The checks of a drainer, by the sections of its page.

mod answers;
mod cordon;
mod decode;
mod evict;
mod permit;
mod proof;
mod settle;
mod start;
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
        evict::checks(),
        answers::checks(),
        proof::checks(),
        uncordon::checks(),
        settle::checks(),
    ];
    sections.into_iter().flatten().collect()
}
