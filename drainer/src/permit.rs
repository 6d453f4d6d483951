//! The permit: an order is carried out only while the attempt's record agrees with it.
//!
//! The record is the authority; a command is a hint to look there. It is read before each
//! step that cannot be taken back, and watched while the drainer works. This file owns the
//! rule and the reading; it never writes a record.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bellwether_chassis::{Bus, clock};
use bellwether_proto::stream::ATTEMPTS_STREAM;
use bellwether_proto::{Attempt, AttemptId, Generation, NodeName, NodeUid, Phase, subject};
use futures_util::StreamExt as _;
use jiff::Timestamp;

use crate::error::PermitError;

/// How often the record is read without a hint: hints may get lost.
const READ_INTERVAL: Duration = Duration::from_secs(5);
/// How long one reading may take.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// For so long evictions go on although the record cannot be read; then they rest. A restart
/// of a NATS server takes less. Steps that a newer phase could undo do not have this grace.
const UNREADABLE_MAX: Duration = Duration::from_secs(30);

/// What was ordered, checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Order {
    pub(crate) node: NodeName,
    pub(crate) node_uid: NodeUid,
    pub(crate) attempt: AttemptId,
    pub(crate) generation: Generation,
    pub(crate) deed: Deed,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Deed {
    /// Cordon and empty the node.
    Drain {
        /// When it must be over.
        not_after: Timestamp,
    },
    /// Take the attempt's cordon away.
    Uncordon,
}

/// The permit for one order.
#[derive(Debug)]
pub(crate) struct Permit {
    pub(crate) order: Order,
    bus: Bus,
    subject: String,
    seen_valid: Mutex<Timestamp>,
}

impl Permit {
    /// Nothing is permitted yet: read it first.
    pub(crate) fn new(bus: Bus, order: Order) -> Self {
        let subject = subject::attempt_record(&order.node.token());
        Self {
            order,
            bus,
            subject,
            seen_valid: Mutex::new(Timestamp::UNIX_EPOCH),
        }
    }

    /// Reads the record now; it agrees, or else.
    pub(crate) async fn read(&self) -> Result<Attempt, PermitError> {
        let asked_at = clock::now();
        let reading = self.bus.read_current(ATTEMPTS_STREAM.name, self.subject.clone());
        let record = match tokio::time::timeout(READ_TIMEOUT, reading).await {
            Ok(record) => record?.filter(|record| !record.deleted),
            Err(_) => return Err(PermitError::Silent),
        };
        let attempt = record.map(|record| record.decode::<Attempt>()).transpose()?;
        let attempt = judge(&self.order, attempt)?;
        *self.seen_valid.lock().unwrap_or_else(PoisonError::into_inner) = asked_at;
        Ok(attempt)
    }

    /// Reads the record for one more batch of evictions. While it cannot be read, what was read
    /// not long ago stands.
    pub(crate) async fn confirm(&self) -> Result<(), PermitError> {
        let Err(error) = self.read().await else { return Ok(()) };
        let seen = *self.seen_valid.lock().unwrap_or_else(PoisonError::into_inner);
        let age = Duration::try_from(clock::now().duration_since(seen)).unwrap_or(Duration::MAX);
        let unread = matches!(error, PermitError::Unreadable(_) | PermitError::Silent);
        if !unread || age > UNREADABLE_MAX {
            return Err(error);
        }
        tracing::debug!(%error, "What was last read of the record stands");
        Ok(())
    }

    /// Returns when the order is over for good, and not before.
    pub(crate) async fn lost(&self) -> PermitError {
        let hints = match self.bus.hints(self.subject.clone()).await {
            Ok(hints) => hints.map(|_| ()).left_stream(),
            Err(error) => {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "No hints of the record, it is read by the clock"
                );
                futures_util::stream::pending().right_stream()
            }
        };
        let mut hints = hints.chain(futures_util::stream::pending());
        let mut interval = tokio::time::interval(READ_INTERVAL);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = hints.next() => (),
                _ = interval.tick() => (),
            }
            match self.read().await {
                Ok(_) => (),
                Err(error) if error.is_final() => return error,
                Err(error) => tracing::debug!(%error, "Permit unknown"),
            }
        }
    }
}

/// Does the record agree with the order? Time is no part of it: who drains minds `not_after` itself.
fn judge(order: &Order, record: Option<Attempt>) -> Result<Attempt, PermitError> {
    let Some(record) = record else {
        return Err(PermitError::Behind("there is none".to_owned()));
    };
    // Generations grow per node, over attempts: one number orders all that ever was on it.
    if record.generation < order.generation {
        return Err(PermitError::Behind(format!(
            "generation {} before {}",
            record.generation, order.generation
        )));
    }
    let stale = |why: String| Err(PermitError::Stale(why));
    if record.id != order.attempt {
        return stale(format!("it is of attempt {}", record.id));
    }
    if record.generation != order.generation {
        return stale(format!("generation {} after {}", record.generation, order.generation));
    }
    if record.node_uid != order.node_uid {
        return stale(format!("it is of the node with UID {}", record.node_uid));
    }
    let fits = match order.deed {
        Deed::Drain { .. } => record.phase == Phase::Draining,
        // Also when it has failed: a stuck cordon is asked for until it is away.
        Deed::Uncordon => matches!(record.phase, Phase::Uncordoning | Phase::RollingBack | Phase::Failed),
    };
    if !fits {
        return stale(format!("its phase is {}", record.phase.as_str()));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d1_only_the_record_that_ordered_it_permits_a_drain() {
        let drain = order(Deed::Drain {
            not_after: Timestamp::MAX,
        });
        assert!(judge(&drain, Some(record(|_| ()))).is_ok());
        for phase in Phase::ALL {
            let agrees = judge(&drain, Some(record(|record| record.phase = phase))).is_ok();
            assert_eq!(agrees, phase == Phase::Draining, "{phase:?}");
        }
    }

    #[test]
    fn defect_17_a_command_of_an_older_generation_or_another_attempt_is_stale() {
        let drain = order(Deed::Drain {
            not_after: Timestamp::MAX,
        });
        let other = AttemptId::new(&"u".parse().unwrap(), Generation(3), Timestamp::MAX);
        let changes: [fn(&mut Attempt, AttemptId); 3] = [
            |record, _| record.generation = Generation(4),
            |record, other| record.id = other,
            // Defect 20, D43.
            |record, _| record.node_uid = "v".parse().unwrap(),
        ];
        for change in changes {
            let judged = judge(&drain, Some(record(|record| change(record, other))));
            assert!(judged.unwrap_err().is_final());
        }
    }

    #[test]
    fn a_record_that_lags_behind_the_command_is_awaited() {
        let drain = order(Deed::Drain {
            not_after: Timestamp::MAX,
        });
        for lagging in [None, Some(record(|record| record.generation = Generation(2)))] {
            let error = judge(&drain, lagging).unwrap_err();
            assert!(matches!(error, PermitError::Behind(_)), "{error}");
            assert!(!error.is_final());
        }
    }

    #[test]
    fn an_uncordon_is_permitted_on_the_way_back_and_while_stuck() {
        for phase in Phase::ALL {
            let agrees = judge(&order(Deed::Uncordon), Some(record(|record| record.phase = phase))).is_ok();
            let wanted = matches!(phase, Phase::Uncordoning | Phase::RollingBack | Phase::Failed);
            assert_eq!(agrees, wanted, "{phase:?}");
        }
    }

    fn order(deed: Deed) -> Order {
        let record = record(|_| ());
        Order {
            node: record.node,
            node_uid: record.node_uid,
            attempt: record.id,
            generation: record.generation,
            deed,
        }
    }

    fn record(change: impl FnOnce(&mut Attempt)) -> Attempt {
        let node_uid: NodeUid = "u".parse().unwrap();
        let mut record = Attempt {
            id: AttemptId::new(&node_uid, Generation(3), Timestamp::UNIX_EPOCH),
            node: "n1".parse().unwrap(),
            node_uid,
            generation: Generation(3),
            phase: Phase::Draining,
            deadline: None,
            boot_before: "b".parse().unwrap(),
            boot_after: None,
            kernel_before: String::new(),
            kernel_after: None,
            need_since: Timestamp::UNIX_EPOCH,
            reasons: Vec::new(),
            cordoned_at: None,
            drained_at: None,
            reboot_not_after: None,
            reboot_started_at: None,
            ending: None,
            slot_held: true,
            failures_in_row: 0,
            retry_not_before: None,
            trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
                .parse()
                .unwrap(),
            need_span: None,
            history: Vec::new(),
        };
        change(&mut record);
        record
    }
}
