//! All other pods: they are evicted, with every loss on record (D10).

use super::class::{Class, Risk};
use super::view::PodView;

pub(super) fn class(pod: &PodView) -> Class {
    let mut risks = Vec::new();
    if pod.controller.is_none() {
        risks.push(Risk::NoController);
    }
    if pod.has_scratch_data {
        risks.push(Risk::ScratchData);
    }
    Class::Evictable { risks }
}
