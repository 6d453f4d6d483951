//! When two states count as the same: when nothing differs on which a later step depends.

use std::hash::{Hash, Hasher};

use bellwether_proto::{Attempt, NodeEvent, Phase};
use bellwether_scheduler_core::{Command, NodeView, Policy};

use crate::state::{Host, Message, State};

/// A hash of 128 bits: in a search of 10^8 states two collide with a chance below 10^-22.
#[derive(Debug)]
pub(crate) struct Digest(pub(crate) u128);

impl Digest {
    pub(crate) fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn mix(&mut self, word: u64) {
        const FACTOR: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
        self.0 = (self.0 ^ u128::from(word)).wrapping_mul(FACTOR);
        self.0 ^= self.0 >> 61;
    }
}

impl Hasher for Digest {
    fn finish(&self) -> u64 {
        u64::try_from(self.0 >> 64).unwrap()
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.mix(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.mix(value);
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            now,
            hosts,
            jobs,
            late,
            records,
            loaded_at,
            ..
        } = self;
        (now, loaded_at).hash(state);
        for host in hosts {
            host.hash(state);
            let record = records.get(&host.object.name);
            record
                .into_iter()
                .for_each(|record| hash_unchecked(host, record, state));
        }
        for record in records.values() {
            hash_record(record, state);
        }
        // In no order: which drainer took its command first does not matter.
        for job in jobs {
            (job.evicts, job.slow).hash(state);
            let (kind, attempt) = match &job.command {
                Command::Drain(drain) => (0_u8, &drain.attempt),
                Command::Uncordon(uncordon) => (1, &uncordon.attempt),
            };
            (kind, attempt.attempt.bytes(), attempt.generation.0).hash(state);
        }
        for message in late {
            match message {
                Message::View(view, sent) => {
                    (0_u8, sent).hash(state);
                    hash_view(view, state);
                }
                Message::Report(node, report) => (1_u8, node, report).hash(state),
                Message::Event(event) => hash_event(2, event, state),
                Message::Copy(event) => hash_event(3, event, state),
            }
        }
    }
}

impl Hash for Host {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            object,
            given,
            reported,
            boot,
            needs_reboot,
            unfit,
            unfit_reported,
            announced,
            spent_boot,
            down_by_us,
            calls,
            drained,
            slow,
            released,
            unchecked: _,
            ready_from,
            uncordoned,
            asked_at,
            asked_until,
        } = self;
        hash_view(object, state);
        hash_view(given, state);
        (
            reported,
            boot,
            needs_reboot,
            unfit,
            unfit_reported,
            spent_boot,
            down_by_us,
        )
            .hash(state);
        (calls, slow, released, ready_from, asked_at, asked_until).hash(state);
        announced.map(|attempt| attempt.bytes()).hash(state);
        drained
            .map(|(attempt, generation)| (attempt.bytes(), generation.0))
            .hash(state);
        uncordoned.map(|generation| generation.0).hash(state);
    }
}

/// What was reported and not checked matters for the drain that the record orders only.
fn hash_unchecked<H: Hasher>(host: &Host, record: &Attempt, state: &mut H) {
    let is_open = record.phase == Phase::Draining && record.drained_at.is_none();
    for (kind, attempt, generation, at) in host.unchecked.iter().filter(|_| is_open) {
        let is_drain = *kind == "drained";
        if *attempt == record.id && (!is_drain || *generation == record.generation) {
            (kind, at).hash(state);
        }
    }
}

fn hash_view<H: Hasher>(view: &NodeView, state: &mut H) {
    (view.ready, view.ready_since, view.unschedulable, view.deleting).hash(state);
    view.cordoned_for.map(|attempt| attempt.bytes()).hash(state);
    view.boot_id.as_ref().map(|boot| boot.as_str()).hash(state);
}

fn hash_event<H: Hasher>(kind: u8, event: &NodeEvent, state: &mut H) {
    let fact = event.fact.kind();
    (kind, event.attempt.bytes(), event.generation.0, fact).hash(state);
}

/// All of a record but its texts, on which no decision depends.
fn hash_record<H: Hasher>(record: &Attempt, state: &mut H) {
    (record.id.bytes(), record.generation.0, record.phase, record.deadline).hash(state);
    (record.boot_before.as_str(), record.cordoned_at, record.drained_at).hash(state);
    (record.reboot_not_after, record.reboot_started_at, record.slot_held).hash(state);
    (record.failures_in_row, record.retry_not_before).hash(state);
    let ending = record.ending.as_ref();
    ending.map(|ending| (ending.cause, ending.rollback_cause)).hash(state);
    let last = record.last_reboot.as_ref();
    last.map(|last| (last.boot_id.as_str(), last.began_at, last.need_cleared))
        .hash(state);
    // Without a policy these decide on cancels alone.
    let often = last.is_some_and(|last| last.within(Policy::LOOP_SPAN).count() > 1);
    (often, record.failed_reboot.is_some()).hash(state);
    for entered in &record.history {
        (entered.phase, entered.at).hash(state);
    }
}
