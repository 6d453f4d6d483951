//! Modules of executables, which are no libraries: the same files, built here a second time.

pub(crate) mod content;
#[allow(dead_code, reason = "the command line uses more of it")]
#[path = "../../../ctl/src/policy/document.rs"]
pub(crate) mod document;
#[allow(dead_code, reason = "as above")]
pub(crate) mod kured;
pub(crate) mod prometheus;
pub(crate) mod request;
