//! The notifier's configuration with its templates: what is taken gives each message a form within its limits.

use bellwether_notifier_core::rehearsal::{Sample, rehearse};
use bellwether_notifier_core::{Draft, Settings, shown};
use bellwether_proto::owner_of;
use jiff::Timestamp;

use crate::judge;

/// A template of 16 KiB that repeats its fields, each of a few hundred bytes: a body is no flood.
const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let settings = match Settings::parse(text) {
        Ok(settings) => settings,
        Err(error) => {
            judge::error(&error);
            return false;
        }
    };
    // An owner of any text: the first line that may be one.
    let owner = text.lines().find_map(owner_of).unwrap_or("team-shop");
    let sample = Sample {
        policy: "nights",
        owner,
    };
    for (place, target) in settings.targets.iter().enumerate() {
        for message in rehearse(&settings, place, sample, Timestamp::UNIX_EPOCH) {
            if let Draft::Post(post) = &message.draft {
                assert!(post.body.len() <= BODY_BYTES_MAX, "{} bytes", post.body.len());
                if post.content_type == "application/json" {
                    serde_json::from_str::<serde_json::Value>(&post.body).expect("JSON");
                }
            }
            drop(shown(target, &message.draft));
        }
    }
    true
}
