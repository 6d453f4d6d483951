//! The search: every state that can be reached, each looked at once, on all processors.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::Hash as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bellwether_proto::Attempt;
use jiff::Timestamp;

use crate::digest::Digest;
use crate::referee;
use crate::state::State;
use crate::step::{Act, Step, acts, apply, follow, is_quiet, mishaps};

/// The way to a state: its last step and the way before.
#[derive(Debug)]
struct Way {
    step: Option<Step>,
    before: Option<Arc<Self>>,
}

/// What a search found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) states: usize,
    pub(crate) steps: usize,
    /// A way for each fault.
    pub(crate) faults: BTreeMap<String, Vec<Step>>,
}

fn digest(state: &State) -> u128 {
    let mut digest = Digest::new();
    state.hash(&mut digest);
    digest.0
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shards of the set of known states, so that threads seldom wait for each other.
const SHARDS: usize = 64;

pub(crate) struct Search {
    /// By digest: the most mishaps that were left when the state was reached.
    known: Vec<Mutex<BTreeMap<u128, u8>>>,
    waiting: Mutex<Vec<(State, Arc<Way>)>>,
    /// States that wait or are looked at.
    open: AtomicUsize,
    steps: AtomicUsize,
    faults: Mutex<BTreeMap<String, Vec<Step>>>,
    states_max: usize,
    horizon: Timestamp,
    total: AtomicUsize,
}

impl Search {
    /// Looks at every state that can be reached from `root`; time passes up to `horizon`.
    pub(crate) fn run(root: &State, threads: usize, states_max: usize, horizon: Timestamp) -> Found {
        let search = Self {
            known: (0..SHARDS).map(|_| Mutex::default()).collect(),
            waiting: Mutex::default(),
            open: AtomicUsize::new(0),
            steps: AtomicUsize::new(0),
            faults: Mutex::default(),
            states_max,
            horizon,
            total: AtomicUsize::new(0),
        };
        let way = Arc::new(Way {
            step: None,
            before: None,
        });
        search.reach(root.clone(), way);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| search.work());
            }
        });
        Found {
            states: search.known.iter().map(|shard| locked(shard).len()).sum(),
            steps: search.steps.load(Ordering::Relaxed),
            faults: std::mem::take(&mut *locked(&search.faults)),
        }
    }

    fn reach(&self, state: State, way: Arc<Way>) {
        let digest = digest(&state);
        let left = state.mishaps_left;
        let shard = usize::try_from(digest % 64).unwrap_or(0);
        {
            let mut known = locked(&self.known[shard]);
            if known.get(&digest).is_some_and(|known| *known >= left) {
                return;
            }
            known.insert(digest, left);
        }
        if self.states_max == self.total.fetch_add(1, Ordering::Relaxed) {
            self.fault("More states than are allowed".into(), &way, None);
        }
        self.open.fetch_add(1, Ordering::SeqCst);
        locked(&self.waiting).push((state, way));
    }

    fn work(&self) {
        while self.open.load(Ordering::SeqCst) > 0 {
            let next = locked(&self.waiting).pop();
            let Some((state, way)) = next else {
                std::thread::yield_now();
                continue;
            };
            if self.total.load(Ordering::Relaxed) <= self.states_max {
                self.expand(state, &way);
            }
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn expand(&self, mut state: State, way: &Arc<Way>) {
        let possible = acts(&state, self.horizon);
        if is_quiet(&possible) {
            referee::judge_quiet(&mut state);
            if let Some(fault) = state.fault.take() {
                self.fault(fault, way, None);
                return;
            }
        }
        let mut next = Vec::new();
        for act in possible {
            follow(&state, act, &mut next);
        }
        if state.mishaps_left > 0 {
            for mishap in mishaps(&state) {
                follow(&state, Act::Mishap(mishap), &mut next);
            }
        }
        self.steps.fetch_add(next.len(), Ordering::Relaxed);
        for (step, mut state) in next {
            state.done = 0;
            if let Some(fault) = state.fault.take() {
                self.fault(fault, way, Some(step));
                continue;
            }
            let way = Arc::new(Way {
                step: Some(step),
                before: Some(Arc::clone(way)),
            });
            self.reach(state, way);
        }
    }

    fn fault(&self, fault: String, way: &Arc<Way>, last: Option<Step>) {
        let mut steps: Vec<Step> = last.into_iter().collect();
        let mut way = Some(way);
        while let Some(at) = way {
            steps.extend(at.step);
            way = at.before.as_ref();
        }
        steps.reverse();
        let mut faults = locked(&self.faults);
        // One way for each kind, whatever the node.
        let fault = fault.replace(|letter: char| letter.is_ascii_digit(), "?");
        let known = faults.get(&fault).map(Vec::len);
        if known.is_none_or(|known| steps.len() < known) {
            faults.insert(fault, steps);
        }
    }
}

/// The way to a fault, a line a step, with what the step changes in records.
pub(crate) fn tell(root: &State, steps: &[Step]) -> String {
    let mut state = root.clone();
    let mut lines = String::new();
    for step in steps {
        let before = state.records.clone();
        state = apply(&state, *step).0;
        state.done = 0;
        let seconds = state.now.duration_since(root.now).as_secs();
        let Step(act, beside) = step;
        write!(lines, "  {seconds:>4} s  {act:?}").unwrap();
        if *beside != crate::step::Beside::Nothing {
            write!(lines, " [{beside:?}]").unwrap();
        }
        for (name, record) in &state.records {
            if before.get(name) != Some(record) {
                write!(lines, "; {name}: {}", brief(record)).unwrap();
            }
        }
        lines.push('\n');
    }
    lines
}

fn brief(record: &Attempt) -> String {
    let Attempt {
        phase,
        generation,
        slot_held,
        ending,
        ..
    } = record;
    let cause = ending.as_ref().map_or("", |ending| ending.cause.as_str());
    let slot = if *slot_held { "" } else { ", no slot" };
    format!("{} {generation} {cause}{slot}", phase.as_str())
}
