//! How much processor time and memory each process takes, as the kernel counts them in `/proc`.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use anyhow::{Context as _, Result};

/// The kernel's unit of processor time in `/proc`, on all processors that Bellwether is built for.
const TICKS_PER_SECOND: f64 = 100.0;

/// One look at the processor time that some processes have used.
pub(crate) struct Sample {
    at: Instant,
    /// Seconds of one core since its start, by name.
    parts: BTreeMap<String, f64>,
    /// Seconds of all cores in which the whole machine worked.
    machine: f64,
}

/// The use of the processor between two samples.
pub(crate) struct Usage {
    /// Per cent of one core, by name.
    parts: Vec<(String, f64)>,
    /// Per cent of one core, of the whole machine.
    machine: f64,
}

impl Sample {
    /// Looks at these processes: name and process id.
    pub(crate) fn take(processes: &[(String, u32)]) -> Result<Self> {
        let of = |(name, pid): &(String, u32)| Ok((name.clone(), process_seconds(*pid)?));
        Ok(Self {
            at: Instant::now(),
            parts: processes.iter().map(of).collect::<Result<_>>()?,
            machine: machine_seconds()?,
        })
    }

    /// The use since an earlier sample. A process that is in only one of them is left out.
    pub(crate) fn since(&self, earlier: &Self) -> Usage {
        let seconds = self.at.duration_since(earlier.at).as_secs_f64();
        let percent = |now: f64, before: f64| (now - before) / seconds * 100.0;
        let both = self.parts.iter();
        let both = both.filter_map(|(name, now)| Some((name.clone(), percent(*now, *earlier.parts.get(name)?))));
        let mut parts: Vec<(String, f64)> = both.collect();
        parts.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Usage {
            parts,
            machine: percent(self.machine, earlier.machine),
        }
    }
}

impl Usage {
    /// Per cent of one core that this process took.
    pub(crate) fn of(&self, name: &str) -> Result<f64> {
        let mut parts = self.parts.iter();
        let part = parts.find(|(part, _)| part == name);
        part.map(|(_, percent)| *percent)
            .with_context(|| format!("{name} was not running all the time"))
    }

    /// One line: each process with its share, largest first, and what is left for other programs of the machine.
    pub(crate) fn line(&self) -> String {
        let known: f64 = self.parts.iter().map(|(_, percent)| percent).sum();
        let other = ("other programs".to_owned(), (self.machine - known).max(0.0));
        let all = self.parts.iter().chain([&other]);
        let all: Vec<String> = all.map(|(name, percent)| format!("{name} {percent:.1} %")).collect();
        all.join(", ")
    }
}

/// The resident memory of a process in MiB, now and at most.
pub(crate) fn memory_mib(pid: u32) -> Result<(f64, f64)> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let mib = |field: &str| -> Result<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: f64 = kib.with_context(|| format!("no {field} in {path}"))?.parse()?;
        Ok(kib / 1024.0)
    };
    Ok((mib("VmRSS:")?, mib("VmHWM:")?))
}

/// The number of cores that this machine has.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn process_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    parse_process(&text).with_context(|| format!("{path} has an unknown form"))
}

/// User and system time are the 14th and 15th field; the second one is a name in parentheses that may hold anything.
fn parse_process(text: &str) -> Option<f64> {
    let (_, after_name) = text.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

fn machine_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
    parse_machine(&text).context("/proc/stat has an unknown form")
}

/// User, nice and system time, and that of interrupts; neither idle time nor that of other machines on this one.
fn parse_machine(text: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let fields: Vec<f64> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
    let busy = [0, 1, 2, 5, 6].map(|field| fields.get(field).copied());
    let busy: Option<Vec<f64>> = busy.into_iter().collect();
    Some(busy?.iter().sum::<f64>() / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::{parse_machine, parse_process};

    #[test]
    fn a_name_with_spaces_and_parentheses_moves_no_field() {
        let text = "7 (a ) b) S 1 7 7 0 -1 4194304 9 0 0 0 250 150 0 0 20 0 1 0 5 6 7";
        assert_eq!(parse_process(text), Some(4.0));
        assert_eq!(parse_process("7 (short) S 1"), None);
    }

    #[test]
    fn neither_idle_nor_waiting_nor_stolen_time_counts_as_work() {
        let text = "cpu  100 200 300 9999 9999 10 20 9999 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(parse_machine(text), Some(6.3));
    }
}
