//! Pods whose owner asks by annotation that they stay.

use super::class::{Class, StayReason};
use super::view::PodView;

pub(super) fn class(pod: &PodView) -> Option<Class> {
    pod.asks_to_stay.then_some(Class::Stays(StayReason::Annotated))
}
