//! The queue of commands, and the drainers that take from it, as in `drainer/src/job.rs`.

use bellwether_drainer_core::permit::judge;
use bellwether_drainer_core::{
    Command, DaemonSetKinds, Drain, DrainOrder, DrainSettings, Machine as _, NodeMarks, RecordView, Refusal, Task,
    Uncordon,
};
use bellwether_scheduler_core::Command as Sent;

use crate::bus::Place;
use crate::happening::Happening;
use crate::job::{Job, JobFact, JobId, Stage};
use crate::moment::{Ms, SECOND, instant};
use crate::setup::Way;
use crate::world::{World, tell};

use super::lead::ACK_WAIT;

/// Evictions of one node at once.
const EVICTIONS_MAX: usize = 10;
/// Later the record of a command was lost.
const RECORD_LAG_MAX: Ms = 60 * SECOND;

fn settings() -> DrainSettings {
    DrainSettings {
        evictions_in_flight_max: EVICTIONS_MAX,
        daemon_sets: DaemonSetKinds::default(),
        marks: NodeMarks::default(),
    }
}

impl World {
    /// A scheduler's command reaches the queue.
    pub(super) fn queue_command(&mut self, node: usize, command: Sent) {
        let place = self.bus.queue(node, command, self.now);
        let delay = self.delay(Way::Commands);
        self.enter(delay, Happening::CommandOffered(place));
    }

    /// A drainer that runs takes the command.
    pub(crate) fn command_offered(&mut self, place: Place) {
        let up: Vec<usize> = (0..self.drainers.len())
            .filter(|drainer| self.drainers[*drainer].is_up)
            .collect();
        let Some(queued) = self.bus.commands.get_mut(&place).filter(|queued| !queued.is_taken) else {
            return;
        };
        // A drainer that starts asks for every command that waits.
        if up.is_empty() {
            return;
        }
        queued.is_taken = true;
        let (number, commanded_at) = (queued.number, queued.stored_at);
        let command = match &queued.command {
            Sent::Drain(drain) => Command {
                attempt: drain.attempt.clone(),
                task: Task::Drain {
                    not_after: drain.not_after,
                },
            },
            Sent::Uncordon(uncordon) => Command {
                attempt: uncordon.attempt.clone(),
                task: Task::Uncordon,
            },
        };
        let drainer = self.random.pick(&up);
        let is_claimed = self
            .jobs
            .values()
            .any(|job| job.drainer == drainer && job.command == command);
        if is_claimed {
            self.enter(10 * SECOND, Happening::CommandAgain(place, number));
            return;
        }
        self.jobs_started += 1;
        let id = self.jobs_started;
        tell!(
            self,
            "drainer {drainer}: job {id} is {:?} of {} in generation {}",
            place.1,
            self.names[place.0],
            command.attempt.generation
        );
        let job = Job {
            drainer,
            node: place.0,
            place,
            number,
            commanded_at,
            command,
            stage: Stage::Reading(self.now),
            watches_node: false,
            watches_pods: false,
            node_heard_at: 0,
            pods_heard_at: 0,
            wakes_at: Ms::MAX,
            token: 0,
        };
        self.jobs.insert(id, job);
        let (delay, record) = self.record_for_drainer(place.0);
        self.enter(delay, Happening::JobHears(id, Box::new(JobFact::FirstRead(record))));
    }

    /// A command comes again: its acknowledgement has not come in time, or a drainer has given it back.
    pub(crate) fn command_again(&mut self, place: Place, number: u64) {
        if let Some(queued) = self
            .bus
            .commands
            .get_mut(&place)
            .filter(|queued| queued.number == number)
        {
            queued.is_taken = false;
            self.command_offered(place);
        }
    }

    /// A read of the record from the stream's leader, with the time that it takes.
    pub(super) fn record_for_drainer(&mut self, node: usize) -> (Ms, RecordView) {
        if self.nats_is_away() {
            return (5 * SECOND, RecordView::Unreadable("no answer from NATS".to_owned()));
        }
        let record = self.bus.attempts[node].clone();
        (
            self.delay(Way::Nats),
            record.map_or(RecordView::Absent, RecordView::Stored),
        )
    }

    /// The first look at the record: whether the work begins.
    pub(super) fn job_begins(&mut self, id: JobId, record: RecordView) -> bool {
        let now = self.now;
        let Some(job) = self.jobs.get_mut(&id) else {
            return true;
        };
        let Stage::Reading(read_at) = job.stage else {
            return true;
        };
        let read_at = instant(read_at);
        match judge(&job.command, record) {
            Ok(record) => {
                let attempt = job.command.attempt.clone();
                job.stage = match job.command.task {
                    Task::Drain { not_after } => {
                        let order = DrainOrder {
                            attempt,
                            began_at: record.phase_since(),
                            not_after,
                            terms: record.drain_terms,
                        };
                        let mut drain = Drain::new(order, settings(), read_at);
                        // No pod of the model has a volume.
                        drain.handle_attached(Ok(vec![]));
                        Stage::Draining(Box::new(drain))
                    }
                    Task::Uncordon => {
                        let is_cordon_removed = record.cordon_removed_at.is_some();
                        Stage::Uncordoning(Box::new(Uncordon::new(
                            attempt,
                            is_cordon_removed,
                            NodeMarks::default(),
                            read_at,
                        )))
                    }
                };
                true
            }
            Err(refusal) => {
                let is_lost = matches!(refusal, Refusal::Behind(_)) && now - job.commanded_at > RECORD_LAG_MAX;
                let (place, number) = (job.place, job.number);
                if refusal.is_final() || is_lost {
                    tell!(self, "job {id}: {refusal}");
                    self.bus.acknowledge(place, number);
                } else {
                    let again = if matches!(refusal, Refusal::Behind(_)) {
                        SECOND
                    } else {
                        5 * SECOND
                    };
                    self.enter(again, Happening::CommandAgain(place, number));
                }
                false
            }
        }
    }

    pub(super) fn drainer_crashes(&mut self, drainer: usize, back_in: Ms) {
        if !self.drainers[drainer].is_up {
            return;
        }
        tell!(self, "drainer {drainer} crashes");
        self.drainers[drainer].is_up = false;
        let of_it: Vec<JobId> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.drainer == drainer)
            .map(|(id, _)| *id)
            .collect();
        for id in of_it {
            if let Some(job) = self.jobs.remove(&id) {
                self.enter(ACK_WAIT, Happening::CommandAgain(job.place, job.number));
            }
        }
        self.enter(back_in, Happening::DrainerStarts(drainer));
    }

    pub(crate) fn drainer_starts(&mut self, drainer: usize) {
        self.drainers[drainer].is_up = true;
        let waiting: Vec<Place> = self
            .bus
            .commands
            .iter()
            .filter(|(_, queued)| !queued.is_taken)
            .map(|(place, _)| *place)
            .collect();
        for place in waiting {
            self.enter(1, Happening::CommandOffered(place));
        }
    }
}
