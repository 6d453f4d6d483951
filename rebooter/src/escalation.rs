//! The escalation of a call that the host does not obey: calls by other methods, one after the other.
//!
//! Owned by `run.rs`, which reads the record before each step. The ladder decides which step is due. A host that hangs in its
//! shutdown often has no network any more, so while the record cannot be read, the one that was read last counts.

use anyhow::Context as _;
use bellwether_chassis::{chain, clock};
use bellwether_proto::{Attempt, setting};
use bellwether_rebooter_core::guard::{Acted, Own};
use bellwether_rebooter_core::ladder::{Climb, Ladder, Next};
use tokio::time::Instant;

use crate::args::{Args, MethodName};
use crate::error::CallError;
use crate::reboot::{Call, Method};

/// The methods of the ladder, and the way up of the present order.
#[derive(Debug)]
pub(crate) struct Escalation {
    ladder: Ladder<MethodName>,
    methods: Vec<Method>,
    climb: Option<(Climb, Instant)>,
    /// The record as it was read last; none: there was none that a scheduler has signed.
    last_read: Option<Box<Attempt>>,
}

impl Escalation {
    /// The escalation of these arguments.
    ///
    /// # Errors
    /// A step could not be taken. Asked at the start: a step that the pod's rights do not permit would come to light at the
    /// worst moment.
    pub(crate) async fn start(args: &Args) -> anyhow::Result<Self> {
        let ladder = args.reboot_escalation.0.clone();
        let methods: Vec<_> = ladder
            .steps()
            .iter()
            .map(|step| Method::new(step.method, args))
            .collect();
        for method in &methods {
            let (setting, name) = (setting::REBOOT_ESCALATION, method.name());
            let possible = method.preflight().await;
            possible.with_context(|| format!("--reboot-escalation ({setting}): the step {name} is not possible"))?;
        }
        Ok(Self {
            ladder,
            methods,
            climb: None,
            last_read: None,
        })
    }

    /// This process has called for the reboot: the time of the steps begins.
    pub(crate) fn begin(&mut self, record: &Attempt) {
        self.climb = Some((Climb::new(record), Instant::now()));
        self.note(Some(record));
    }

    /// Takes up the way of a process before this one, if there is none of this order yet: the time of the steps begins.
    pub(crate) fn adopt(&mut self, adopted: Climb, record: &Attempt) {
        let is_under_way = self.climb.as_ref().is_some_and(|(own, _)| own.is_same(&adopted));
        if !is_under_way && !self.ladder.steps().is_empty() {
            self.climb = Some((adopted, Instant::now()));
            self.note(Some(record));
        }
    }

    /// Whether the way up was taken up from a process before this one.
    pub(crate) fn is_adopted(&self) -> bool {
        self.climb.as_ref().is_some_and(|(climb, _)| climb.is_adopted)
    }

    /// Takes note of the record as it is stored now; none: there is none that a scheduler has signed.
    pub(crate) fn note(&mut self, record: Option<&Attempt>) {
        // Kept only while there is a way up.
        self.last_read = record.filter(|_| self.climb.is_some()).cloned().map(Box::new);
    }

    /// What is due while the record cannot be read.
    pub(crate) fn next_unread(&self, own: &Own) -> Next {
        self.last_read
            .as_ref()
            .map_or(Next::Over, |record| self.next(record, own))
    }

    /// What is due, by this record.
    pub(crate) fn next(&self, record: &Attempt, own: &Own) -> Next {
        self.climb.as_ref().map_or(Next::Over, |(climb, called)| {
            climb.next(&self.ladder, record, own, called.elapsed(), clock::now())
        })
    }

    /// Takes this step, whatever its call returns. Returns the name of its method, and the call as one of this process.
    pub(crate) async fn take(&mut self, step: usize) -> Option<(&'static str, Acted)> {
        let (climb, _) = self.climb.as_mut()?;
        // Before the call: what comes after it may never happen.
        climb.taken = step + 1;
        let acted = Acted {
            attempt: climb.attempt,
            boot_id: climb.boot_id.clone(),
        };
        let method = self.methods.get(step)?;
        let name = method.name();
        tracing::warn!(method = name, "Host still runs: rebooting it by the next method");
        match method.reboot(Call::Full).await {
            Ok(()) => tracing::info!(method = name, "Reboot accepted"),
            Err(CallError::NotArrived(error) | CallError::Unclear(error)) => {
                tracing::error!(method = name, error = chain(&error), "Call to reboot failed");
            }
        }
        Some((name, acted))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[tokio::test]
    async fn a_step_that_is_not_possible_stops_the_start_with_its_flag() {
        let start = async |command: &str| {
            let own = [
                "--reboot-escalation",
                "command=3m",
                "--host-namespaces=false",
                "--reboot-command",
                command,
            ];
            let args = Args::try_parse_from(["rebooter", "--node-name", "n1"].iter().chain(&own)).unwrap();
            Escalation::start(&args).await
        };
        let error = format!("{:#}", start("/nowhere/reboot").await.unwrap_err());
        assert!(
            error.contains("--reboot-escalation") && error.contains("/nowhere/reboot"),
            "{error}"
        );
        assert!(start("/bin/sh -c true").await.is_ok());
    }
}
