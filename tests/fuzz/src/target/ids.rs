//! Names and ids as text: each is what it was, or is refused with a short error.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use bellwether_gatekeeper_core::AccountName;
use bellwether_policy::calendar::{CronExpression, Weekdays, parse_zone};
use bellwether_proto::signature::KeyId;
use bellwether_proto::{AttemptId, BootId, NodeName, NodeToken, NodeUid, TraceParent, readiness};
use bellwether_scheduler_core::LockHolder;
use jiff::Timestamp;

use crate::judge;

pub(crate) fn run(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let mut taken = name(text);
    taken |= kept::<NodeToken>(text) | kept::<NodeUid>(text) | kept::<BootId>(text) | kept::<AttemptId>(text);
    taken |= kept::<TraceParent>(text) | kept::<KeyId>(text) | text.parse::<AccountName>().is_ok();
    taken |= text.parse::<Weekdays>().is_ok() | text.parse::<CronExpression>().is_ok() | parse_zone(text).is_ok();
    readyz(text);
    lock(text);
    taken
}

fn name(text: &str) -> bool {
    let Ok(name) = text.parse::<NodeName>() else {
        return false;
    };
    let token = name.token();
    assert_eq!(token.name(), name, "two nodes have one token");
    assert!(
        !token.as_str().contains(['.', '*', '>', ' ']),
        "{token} is no token of a subject"
    );
    kept::<NodeName>(text)
}

/// An id that is read is written as a text that means the same.
fn kept<I: FromStr<Err: Display> + Display + PartialEq + Debug>(text: &str) -> bool {
    match text.parse::<I>() {
        Ok(id) => {
            let written = id.to_string();
            judge::plain(&written);
            assert_eq!(written.parse::<I>().ok(), Some(id));
            true
        }
        Err(error) => {
            judge::error(&error);
            false
        }
    }
}

/// The answer of a pod to `/readyz`: a line with a code is read as it was written.
fn readyz(body: &str) {
    for part in readiness::parse(body) {
        if let Some(code) = part.code {
            let again = readiness::parse(&code.line(&part.message));
            assert!(again.len() == 1 && again[0].code == Some(code), "{again:?}");
        }
    }
}

/// kured's lock.
fn lock(text: &str) {
    for holder in LockHolder::read(text).unwrap_or_default() {
        judge::error(&holder);
        let (early, late) = (holder.is_expired(Timestamp::MIN), holder.is_expired(Timestamp::MAX));
        assert!(late || !early, "a lock that had expired is held again");
    }
}
