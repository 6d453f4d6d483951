//! The driver of the drainer's state machines, as in `drainer/src/drive.rs`.

use bellwether_drainer_core::{Action, ApiFault, CommandEnd, Conclusion, NodeRead, Refusal, RequestId, Watched};
use bellwether_proto::{Fact, NodeEvent};
use jiff::Timestamp;

use crate::happening::Happening;
use crate::job::{Job, JobFact, JobId, Stage};
use crate::moment::{Ms, SECOND, moment};
use crate::setup::Way;
use crate::world::{World, tell};

impl World {
    pub(crate) fn job_hears(&mut self, id: JobId, fact: JobFact) {
        let runs = if let JobFact::FirstRead(record) = fact {
            self.job_begins(id, record)
        } else {
            let now = self.at(0);
            if let Some(job) = self.jobs.get_mut(&id) {
                hand_over(job, fact, now);
            }
            true
        };
        if runs {
            self.job_runs(id);
        } else {
            self.jobs.remove(&id);
        }
    }

    pub(crate) fn job_wakes(&mut self, id: JobId, token: u32) {
        if let Some(job) = self.jobs.get_mut(&id).filter(|job| job.token == token) {
            job.wakes_at = Ms::MAX;
            self.job_runs(id);
        }
    }

    /// Carries out what the machine wants, until it waits or the command is settled.
    fn job_runs(&mut self, id: JobId) {
        let now = self.at(0);
        loop {
            let Some(job) = self.jobs.get_mut(&id) else { return };
            let Some(machine) = job.stage.machine() else { return };
            match machine.poll_action(now) {
                Some(Action::Finish(end)) => {
                    if let Stage::Concluding(_) = job.stage {
                        self.settle(id, &end);
                        return;
                    }
                    let conclusion = Conclusion::new(job.command.clone(), end.clone(), now);
                    job.watches_node = false;
                    job.watches_pods = false;
                    job.stage = Stage::Concluding(Box::new(conclusion));
                    tell!(self, "job {id}: {end:?}");
                }
                Some(action) => self.job_acts(id, action),
                None => break,
            }
        }
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let due = job
            .stage
            .machine()
            .and_then(|machine| machine.poll_timeout())
            .map_or(Ms::MAX, moment);
        if due < Ms::MAX && due != job.wakes_at {
            job.token += 1;
            job.wakes_at = due;
            let (delay, token) = ((due - self.now).max(1), job.token);
            self.enter(delay, Happening::JobWakes(id, token));
        }
    }

    fn job_acts(&mut self, id: JobId, action: Action) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (node, attempt) = (job.node, job.command.attempt.clone());
        let (delay, fact) = match action {
            Action::Finish(_) | Action::Log(_) | Action::Throttle(_) | Action::Trace(_) => return,
            Action::ReadRecord(request) => {
                let (delay, record) = self.record_for_drainer(node);
                (delay, JobFact::Record(request, record))
            }
            Action::ReadNode(request) => {
                let read = match &self.cluster.nodes[node] {
                    _ if self.api_is_away() => NodeRead::Failed(ApiFault::Unavailable("no answer".to_owned())),
                    Some(object) => NodeRead::Found(object.for_drainer()),
                    None => NodeRead::Absent,
                };
                (self.delay(Way::Api), JobFact::NodeRead(request, read))
            }
            Action::PatchNode(request, patch) => {
                let delay = self.delay(Way::Api);
                if self.random.chance(500) {
                    self.enter(delay, Happening::Patch(id, node, request, Box::new(patch)));
                    return;
                }
                let patched = self.patch(node, &patch);
                (delay, JobFact::NodePatched(request, patched))
            }
            Action::StoreFact(request, fact) => {
                if let Fact::Drained { .. } = fact {
                    self.referee
                        .drain_concluded(self.now, node, attempt.attempt, attempt.generation);
                }
                self.publish(id, Some(request), fact);
                return;
            }
            Action::SendProgress(progress) => {
                self.publish(id, None, Fact::DrainProgressed(progress));
                return;
            }
            Action::WatchNode => {
                let listed = self.cluster.nodes[node]
                    .as_ref()
                    .map(|object| Watched::Listed(object.for_drainer()));
                let events = [Some(Watched::ListStarted), listed, Some(Watched::ListEnded)];
                let facts = events.into_iter().flatten().map(JobFact::Node).collect();
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.watches_node = true;
                }
                self.send_to_job(id, Way::NodeToDrainer, JobFact::Several(facts));
                return;
            }
            Action::WatchPods => {
                let name = &self.names[node];
                let listed = self.cluster.pods[node]
                    .iter()
                    .map(|pod| JobFact::Pod(Watched::Listed(pod.view(name))));
                let mut facts = vec![JobFact::Pod(Watched::ListStarted)];
                facts.extend(listed);
                facts.push(JobFact::Pod(Watched::ListEnded));
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.watches_pods = true;
                }
                self.send_to_job(id, Way::PodsToDrainer, JobFact::Several(facts));
                return;
            }
            Action::ListPods(request) => {
                let pods = if self.api_is_away() {
                    Err(ApiFault::Unavailable("no answer".to_owned()))
                } else {
                    Ok(self.cluster.pods[node]
                        .iter()
                        .map(|pod| pod.view(&self.names[node]))
                        .collect())
                };
                (self.delay(Way::Api), JobFact::PodsListed(request, pods))
            }
            // The worlds have no policy, so no drain deletes a pod.
            Action::Evict(pod, _) | Action::Delete(pod) => {
                let delay = self.delay(Way::Api);
                if self.random.chance(500) {
                    self.enter(delay, Happening::Evict(id, node, pod.uid));
                    return;
                }
                let answer = self.evict(node, &pod.uid);
                (delay, JobFact::Evicted(pod.uid, answer))
            }
        };
        self.enter(delay, Happening::JobHears(id, Box::new(fact)));
    }

    /// An event of a drainer sets out.
    fn publish(&mut self, id: JobId, request: Option<RequestId>, fact: Fact) {
        let Some(job) = self.jobs.get(&id) else { return };
        let event = NodeEvent {
            node: self.names[job.node].clone(),
            attempt: job.command.attempt.attempt,
            generation: job.command.attempt.generation,
            at: self.at(0),
            source: format!("drainer {}", job.drainer),
            fact,
        };
        let wait = if self.nats_is_away() {
            self.until_back(self.bus.away_until)
        } else {
            0
        };
        let delay = wait + self.delay(Way::Nats);
        let happening = Happening::EventArrives {
            job: Some((id, request)),
            event: Box::new(event),
            confirmed: !self.random.chance(self.setup.lost_acks),
        };
        self.enter(delay, happening);
    }

    /// An event reaches the stream. An event that is not confirmed is published again.
    pub(crate) fn event_arrives(
        &mut self,
        job: Option<(JobId, Option<RequestId>)>,
        event: Box<NodeEvent>,
        confirmed: bool,
    ) {
        let is_alive = job.is_none_or(|(id, _)| self.jobs.contains_key(&id));
        let is_progress = matches!(job, Some((_, None)));
        let is_lost = self.nats_is_away() || (!is_alive && self.random.chance(500));
        let is_dropped = is_progress && self.random.chance(self.setup.lost_hints);
        if !is_lost && !is_dropped {
            // A drain that another drainer continues is another job.
            let writer = format!("{:?}", job.map(|(id, _)| id));
            self.bus.publish((*event).clone(), &writer, self.now);
            self.offer_events();
        }
        match job {
            Some((id, None)) => self.job_hears(id, JobFact::ProgressSent),
            Some((id, Some(request))) if confirmed && !is_lost => self.job_hears(id, JobFact::Stored(request)),
            // Tried again: NATS was away, or its confirmation was lost.
            _ if is_alive => {
                let again = self.random.between(100, 2_000);
                let delay = (self.bus.away_until - self.now).max(0) + again;
                self.enter(
                    delay,
                    Happening::EventArrives {
                        job,
                        event,
                        confirmed: true,
                    },
                );
            }
            _ => (),
        }
    }

    /// The verdict on the command's message.
    fn settle(&mut self, id: JobId, end: &CommandEnd) {
        let Some(job) = self.jobs.remove(&id) else { return };
        let again = match end {
            CommandEnd::Drained { .. }
            | CommandEnd::DrainFailed { .. }
            | CommandEnd::Uncordoned { .. }
            | CommandEnd::PermitLost { .. }
            | CommandEnd::Interrupted => None,
            CommandEnd::UncordonFailed { .. } => Some(5 * SECOND),
            CommandEnd::Postponed { reason } => match reason {
                Refusal::Stale(_) => None,
                Refusal::Behind(_) => Some(SECOND),
                Refusal::Unreadable(_) | Refusal::Malformed(_) => Some(5 * SECOND),
            },
        };
        match again {
            None if self.random.chance(self.setup.lost_acks) && !self.is_quiet() => {
                self.enter(super::lead::ACK_WAIT, Happening::CommandAgain(job.place, job.number));
            }
            None => self.bus.acknowledge(job.place, job.number),
            Some(delay) => self.enter(delay, Happening::CommandAgain(job.place, job.number)),
        }
    }
}

fn hand_over(job: &mut Job, fact: JobFact, now: Timestamp) {
    let Some(machine) = job.stage.machine() else {
        return;
    };
    match fact {
        JobFact::FirstRead(_) => (),
        JobFact::Record(id, record) => machine.handle_record(id, record),
        JobFact::NodeRead(id, read) => machine.handle_node_read(now, id, read),
        JobFact::NodePatched(id, patched) => machine.handle_node_patched(now, id, patched),
        JobFact::PodsListed(id, pods) => machine.handle_pods_listed(now, id, pods),
        JobFact::Stored(id) => machine.handle_stored(id),
        JobFact::ProgressSent => machine.handle_progress_sent(),
        JobFact::Evicted(uid, answer) => machine.handle_answer(now, &uid, answer),
        JobFact::Node(event) => machine.handle_node(event),
        JobFact::Pod(event) => machine.handle_pod(event),
        JobFact::Hint => machine.handle_record_hint(),
        JobFact::Several(facts) => facts.into_iter().for_each(|fact| hand_over(job, fact, now)),
    }
}
