//! What a process takes, as the kernel counts it in `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The memory of a process, in KiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) rss: u64,
    /// Resident at most, since its start.
    pub(crate) peak: u64,
    /// Resident, shared pages counted by the number of processes that share them.
    pub(crate) pss: u64,
    /// Written, so that no other process can share it and no file brings it back.
    pub(crate) dirty: u64,
}

/// What a thread has used since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Used {
    /// Nanoseconds of a core.
    cpu: u64,
    /// How often it was woken after it had waited.
    wakes: u64,
}

/// The work of a process over a time in which it is looked at often, so that threads that end meanwhile count too.
#[derive(Debug, Default)]
pub(crate) struct Work {
    at_first: BTreeMap<u32, Used>,
    at_last: BTreeMap<u32, Used>,
}

/// Looks at the memory of a process.
pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let (status, smaps) = (read(pid, "status")?, read(pid, "smaps_rollup")?);
    Ok(Memory {
        rss: kib(&smaps, "Rss:")?,
        peak: kib(&status, "VmHWM:")?,
        pss: kib(&smaps, "Pss:")?,
        dirty: kib(&smaps, "Private_Dirty:")?,
    })
}

/// How many bytes the file has that a process runs.
pub(crate) fn binary_bytes(pid: u32) -> Result<u64> {
    let link = format!("/proc/{pid}/exe");
    let file = fs::metadata(&link).with_context(|| format!("cannot follow {link}"))?;
    Ok(file.len())
}

impl Work {
    /// Looks at all threads.
    pub(crate) fn look(&mut self, pid: u32) -> Result<()> {
        let is_first = self.at_last.is_empty();
        let folder = format!("/proc/{pid}/task");
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {folder}"))? {
            let path = entry?.path();
            let thread = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            let thread: u32 = thread.with_context(|| format!("{} is no thread", path.display()))?;
            // A thread may end between two reads.
            let Some(used) = used(&path) else { continue };
            self.at_last.insert(thread, used);
            if is_first {
                self.at_first.insert(thread, used);
            }
        }
        Ok(())
    }

    /// Seconds of a core since the first look.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let nanos = self.sum(|used| used.cpu);
        std::time::Duration::from_nanos(nanos).as_secs_f64()
    }

    /// Wake-ups since the first look.
    pub(crate) fn wakes(&self) -> u64 {
        self.sum(|used| used.wakes)
    }

    /// How much was added since the first look; a thread that came later began with nothing.
    fn sum(&self, field: impl Fn(&Used) -> u64) -> u64 {
        let added = self.at_last.iter().map(|(thread, last)| {
            let first = self.at_first.get(thread).copied().unwrap_or_default();
            field(last).saturating_sub(field(&first))
        });
        added.sum()
    }
}

fn used(thread: &Path) -> Option<Used> {
    let schedule = fs::read_to_string(thread.join("schedstat")).ok()?;
    let status = fs::read_to_string(thread.join("status")).ok()?;
    parse_used(&schedule, &status)
}

/// The first number of `schedstat` is the time on a core.
fn parse_used(schedule: &str, status: &str) -> Option<Used> {
    let cpu = schedule.split_whitespace().next()?.parse().ok()?;
    let wakes = number(status, "voluntary_ctxt_switches:")?;
    Some(Used { cpu, wakes })
}

fn read(pid: u32, file: &str) -> Result<String> {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
}

fn kib(text: &str, field: &str) -> Result<u64> {
    number(text, field).with_context(|| format!("no {field} in /proc"))
}

/// The number behind the name of a field, which begins its line.
fn number(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Used, Work, kib, parse_used};

    #[test]
    fn a_field_is_found_by_its_whole_name() {
        let text = "Pss_Dirty:  7 kB\nPss:   42 kB\nnonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t3\n";
        assert_eq!(kib(text, "Pss:").unwrap(), 42);
        assert!(kib(text, "Rss:").is_err());
        assert_eq!(parse_used("1500 20 3\n", text), Some(Used { cpu: 1500, wakes: 3 }));
    }

    #[test]
    fn threads_that_came_or_ended_meanwhile_count_with_what_they_added() {
        let used = |cpu, wakes| Used { cpu, wakes };
        let work = Work {
            at_first: [(1, used(1_000_000_000, 10)), (2, used(5_000_000_000, 5))].into(),
            at_last: [
                (1, used(1_500_000_000, 14)),
                (2, used(5_000_000_000, 5)),
                (3, used(250_000_000, 2)),
            ]
            .into(),
        };
        assert_eq!(work.wakes(), 6);
        assert!((work.cpu_seconds() - 0.75).abs() < 1e-9);
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let pid = std::process::id();
        let memory = super::memory(pid).unwrap();
        assert!(memory.rss > 0 && memory.peak >= memory.dirty, "{memory:?}");
        assert!(super::binary_bytes(pid).unwrap() > 0);
        let mut work = Work::default();
        work.look(pid).unwrap();
        work.look(pid).unwrap();
        assert!(!work.at_first.is_empty());
    }
}
