//! The checks of a removal.

pub(crate) mod before;
pub(crate) mod reading;
pub(crate) mod traces;
