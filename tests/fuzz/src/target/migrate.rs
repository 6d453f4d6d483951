//! kured's manifest or chart values: what is translated is a policy that is understood.

use bellwether_check::Kured;
use jiff::Timestamp;
use serde_json::Value;

use crate::foreign::document;
use crate::foreign::kured::{file, plan::Traces, translate};
use crate::judge;

/// More than any report on one kured; an input has a few kilobytes.
const REPORT_BYTES_MAX: usize = 1024 * 1024;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let Ok(objects) = document::objects(text) else {
        return false;
    };
    let is_kured = |object: &Value| Kured::read(object, Timestamp::UNIX_EPOCH).is_ok_and(|kured| kured.is_some());
    let mut taken = false;
    for (origin, source) in file::kureds(&objects, is_kured).unwrap_or_default() {
        match source.and_then(|source| translate::plan(&source)) {
            Ok(plan) => {
                taken = true;
                let policy = plan.policy_yaml().expect("a policy has a text");
                let read = document::policies(&policy).expect("the text is YAML");
                assert_eq!(read.len(), 1, "{policy}");
                assert!(read[0].terms.is_ok(), "{}\n{policy}", read[0].faults());
                let overlay = plan.overlay.yaml().expect("the settings have a text");
                document::objects(&overlay).expect("the settings are YAML");
                let report = plan.report(&origin, &Traces::NotLooked).expect("a report");
                assert!(report.len() <= REPORT_BYTES_MAX, "{} bytes", report.len());
                report.lines().for_each(judge::plain);
                let json = plan.json(&origin, &Traces::NotLooked);
                serde_json::from_str::<Value>(&json).expect("JSON");
            }
            Err(faults) => {
                assert!(!faults.is_empty());
                faults.iter().for_each(|fault| judge::plain(&fault.to_string()));
            }
        }
    }
    taken
}
