//! kured's settings, and what does the same here: read from a manifest, from chart values or from the cluster.
//!
//! All of it is pure. `flag` lists the flags, `command_line` and `settings` read them as kured does, `source` finds
//! them in objects, `translate` makes a [`plan::Plan`], and `traces` lists what kured leaves on nodes.

pub(crate) mod chart;
pub(crate) mod command_line;
pub(crate) mod fault;
pub(crate) mod file;
pub(crate) mod flag;
pub(crate) mod gates;
pub(crate) mod label_selector;
pub(crate) mod manifest;
pub(crate) mod overlay;
pub(crate) mod place;
pub(crate) mod plan;
pub(crate) mod selector;
pub(crate) mod settings;
pub(crate) mod source;
pub(crate) mod text;
pub(crate) mod time_of_day;
pub(crate) mod traces;
pub(crate) mod translate;
pub(crate) mod value;
pub(crate) mod verdict;
pub(crate) mod window;
