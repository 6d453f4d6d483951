//! Pure rules that the cores of two agents share: no clock, no input or output.

pub mod due;
