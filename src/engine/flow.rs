//! One flow: its names, its books, its windows, and what waits in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::model::{Limits, Timestamp};
use crate::snapshot::{FlowView, Inexact};

use super::exemplar::Exemplars;
use super::overflow::{Bound, Overflow};
use super::points::Points;
use super::rules::{Declared, NO_STAGE, Rules, StageId};
use super::series::Series;
use super::settled::Settled;
use super::window::Seconds;

/// Where everything beyond a bound is folded into.
pub const OTHER: &str = "other";

/// Most stages of a flow: stage numbers are stored in 8 bits, and two are taken.
const MAX_STAGES: usize = 250;

/// Most hops of a flow: histogram numbers are stored in 16 bits, three per hop.
const MAX_HOPS: usize = 20_000;

/// Reasons kept why numbers are not exact: the first ones.
const REASONS: usize = 4;

/// Stages that are found faster by comparing than by hashing.
const FEW_STAGES: usize = 8;

type Hasher = foldhash::fast::FixedState;

/// Cut time of a transaction's start, its key (so that the order does not depend on where it lies), its slot.
pub type Waiting = (i64, u64, u32);

/// Counters since the state began. Signed, because a correction takes back what it adds elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names are those of the snapshot and of docs/SEMANTICS.md")]
pub struct Totals {
    pub events: i64,
    pub started: i64,
    pub in_flight: i64,
    pub outcomes: [i64; 5],
    pub recovered: i64,
    pub joined: i64,
    pub open_ended: i64,
    pub after_end: i64,
    pub evicted: i64,
    pub unexplained: i64,
    pub duplicates: i64,
    pub late: i64,
    pub truncated: i64,
    pub negative: i64,
}

impl Totals {
    /// How far the books are from balancing: 0, or there is a defect of ours.
    #[must_use]
    pub fn imbalance(&self) -> i64 {
        let accounted = self.in_flight + self.open_ended + self.evicted + self.unexplained;
        self.started - self.outcomes.iter().sum::<i64>() - accounted
    }
}

/// One stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Name.
    pub name: String,
    /// Events by status.
    pub events: [i64; 5],
    /// Transactions waiting here.
    pub waiting: i64,
    /// Of those, longer than the deadline.
    pub stuck: i64,
    /// Learned deadline, microseconds.
    pub learned: Option<i64>,
}

/// One hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hop {
    /// From stage.
    pub from: StageId,
    /// To stage.
    pub to: StageId,
    /// How often it was made.
    pub made: i64,
}

/// Which transactions have to be looked at again at the next tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Revisit {
    /// None.
    #[default]
    Nothing,
    /// Those past their deadline: a hole may explain what they lack.
    Verdicts,
    /// All: they may have begun before reading did.
    Everything,
}

/// What is stored of a flow.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    /// Name.
    pub name: String,
    /// The configuration under which the numbers were made.
    pub declared: Declared,
    /// Stages by number.
    pub stages: Vec<Stage>,
    /// Hops by number.
    pub hops: Vec<Hop>,
    /// Counters.
    pub totals: Totals,
    /// Streams in which it was seen, each with the least cut at which it was.
    pub streams: BTreeMap<u16, i64>,
    /// Its watermark.
    pub watermark: Option<i64>,
    /// First second in which it was seen.
    pub first: Option<i64>,
    /// Events that end a transaction.
    pub ends: i64,
    /// Since when and why numbers may be inexact.
    pub inexact: Option<(i64, Vec<String>)>,
    /// Starts up to this cut time may have begun before reading did.
    pub joined_until: Option<i64>,
    /// Watermark at which stage deadlines were learned last, in units of [`super::lifecycle::LEARN_EVERY`].
    pub learned_at: i64,
    /// Which transactions have to be looked at again, because a stream or a hole came to light.
    pub revisit: Revisit,
    /// Durable counters.
    pub settled: Settled,
    /// Real transactions behind the percentiles.
    pub exemplars: Exemplars,
}

/// One flow.
#[derive(Debug)]
pub struct Flow {
    /// What is stored.
    pub state: State,
    /// Its configuration in stage numbers.
    pub rules: Rules,
    /// Stream in which it was seen last, and the least cut at which it was seen there.
    pub last_stream: (u16, i64),
    /// Cluster and name of the streams in which it was seen, in order.
    pub streams: Arc<[(Arc<str>, Arc<str>)]>,
    /// Nothing of the flow that is cut before it will be read any more, microseconds: what lies long enough before it
    /// is forgotten. It never goes back. `None`: nothing is forgotten yet.
    pub forgotten: Option<i64>,
    /// Seconds and rolling windows.
    pub seconds: Seconds,
    /// Charts.
    pub points: Points,
    /// Transactions to look at once the watermark reaches a second.
    pub timers: BTreeMap<i64, Vec<u32>>,
    /// Transactions in flight by start; entries whose transaction has moved on are skipped when they surface.
    pub oldest: BinaryHeap<Reverse<Waiting>>,
    /// Stuck transactions by start.
    pub stuck: BTreeSet<Waiting>,
    /// Partitions that do not hold back the watermark because they cannot be read.
    pub left_out: Vec<u16>,
    /// Seconds from it on are partial where they are complete.
    pub partial_from: i64,
    /// Not yet in a checkpoint.
    pub unsaved: bool,
    /// Not yet in a view.
    pub changed: bool,
    /// The newest view.
    pub view: Arc<FlowView>,
    stage_index: HashMap<String, StageId, Hasher>,
    hop_index: HashMap<(StageId, StageId), u16, Hasher>,
    max_stages: usize,
    max_hops: usize,
    series: Series,
    /// What was folded into `other` since the engine last asked.
    pub overflow: Overflow,
}

/// Seed of the transactions of a flow.
#[must_use]
pub fn seed_of(name: &str, seed: u64) -> u64 {
    xxh3_64_with_seed(name.as_bytes(), seed)
}

impl Flow {
    /// A flow that was never seen.
    #[must_use]
    pub fn new(name: &str, declared: Declared, limits: &Limits, series: &Series) -> Self {
        let state = State { name: name.to_owned(), declared, ..State::default() };
        Self::with_state(state, limits, series)
    }

    /// A flow as it was stored.
    #[must_use]
    pub fn with_state(state: State, limits: &Limits, series: &Series) -> Self {
        series.add(state.stages.len() + state.hops.len());
        let stage_index = state.stages.iter().enumerate().map(|(i, s)| (s.name.clone(), i as StageId)).collect();
        let hop_index = state.hops.iter().enumerate().map(|(i, h)| ((h.from, h.to), i as u16)).collect();
        let mut flow = Self {
            last_stream: (u16::MAX, i64::MAX),
            streams: Arc::default(),
            rules: Rules::new(&Declared::default(), |_| 0),
            forgotten: None,
            seconds: Seconds::new(limits.history_1s_seconds),
            points: Points::new(limits),
            timers: BTreeMap::new(),
            oldest: BinaryHeap::new(),
            stuck: BTreeSet::new(),
            left_out: Vec::new(),
            partial_from: i64::MAX,
            unsaved: true,
            changed: true,
            view: Arc::default(),
            stage_index,
            hop_index,
            max_stages: limits.stages_per_flow.clamp(1, MAX_STAGES),
            max_hops: limits.hops_per_flow.clamp(1, MAX_HOPS),
            series: series.clone(),
            overflow: Overflow::default(),
            state,
        };
        flow.declare(flow.state.declared.clone());
        flow
    }

    /// The first event comes. Until then the flow was empty up to the watermark of everything that was read, and nobody
    /// could know from where its own events would come: from a stream, say, that is read from its beginning.
    pub fn begin(&mut self, limits: &Limits, forgotten: Option<i64>) {
        self.state.watermark = None;
        self.forgotten = forgotten;
        self.seconds = Seconds::new(limits.history_1s_seconds);
        self.points = Points::new(limits);
    }

    /// Takes over a configuration. What was counted under another one must be taken back before.
    pub fn declare(&mut self, declared: Declared) {
        self.rules = Rules::new(&declared, |name| self.stage_within(name, true));
        self.state.declared = declared;
        self.unsaved = true;
        self.changed = true;
    }

    /// Looks at transactions again at the next tick.
    pub fn revisit(&mut self, which: Revisit) {
        self.state.revisit = self.state.revisit.max(which);
        self.unsaved = true;
    }

    /// Number of a stage. Beyond the bounds all are `other`.
    pub fn stage(&mut self, name: &str) -> StageId {
        self.stage_within(name, false)
    }

    /// Stages that the configuration names are bounded by it: they do not ask whether there is room for a series.
    fn stage_within(&mut self, name: &str, declared: bool) -> StageId {
        let few = &self.state.stages[..self.state.stages.len().min(FEW_STAGES)];
        if let Some(found) = few.iter().position(|s| s.name == name) {
            return found as StageId;
        }
        if let Some(found) = self.stage_index.get(name) {
            return *found;
        }
        let full = match self.state.stages.len() >= self.max_stages {
            true => Some(Bound::StagesPerFlow),
            false => (!declared && !self.series.has_room()).then_some(Bound::Series),
        };
        if let Some(bound) = full {
            self.overflow.add(bound, 1);
            if let Some(other) = self.stage_index.get(OTHER) {
                return *other;
            }
        }
        let name = if full.is_some() { OTHER } else { name };
        self.series.add(1);
        let number = self.state.stages.len() as StageId;
        self.state.stages.push(Stage { name: name.to_owned(), ..Stage::default() });
        self.stage_index.insert(name.to_owned(), number);
        number
    }

    /// Number of a hop. Beyond the bounds all hops are one, from `other` to `other`.
    pub fn hop(&mut self, from: StageId, to: StageId) -> u16 {
        if let Some(found) = self.hop_index.get(&(from, to)) {
            return *found;
        }
        let (from, to) = if self.hops_full().is_some() { (NO_STAGE, NO_STAGE) } else { (from, to) };
        if let Some(found) = self.hop_index.get(&(from, to)) {
            return *found;
        }
        self.series.add(1);
        self.state.hops.push(Hop { from, to, made: 0 });
        let number = self.state.hops.len() as u16 - 1;
        self.hop_index.insert((from, to), number);
        number
    }

    /// Counts `n` of a hop; below zero takes back.
    pub fn count_hop(&mut self, number: u16, n: i32) {
        let hop = &mut self.state.hops[usize::from(number)];
        hop.made += i64::from(n);
        if let (NO_STAGE, 1.., Some(bound)) = (hop.from, n, self.hops_full()) {
            self.overflow.add(bound, 1);
        }
    }

    fn hops_full(&self) -> Option<Bound> {
        match self.state.hops.len() >= self.max_hops {
            true => Some(Bound::HopsPerFlow),
            false => (!self.series.has_room()).then_some(Bound::Series),
        }
    }

    /// Name of a stage.
    #[must_use]
    pub fn stage_name(&self, stage: StageId) -> &str {
        self.state.stages.get(usize::from(stage)).map_or(OTHER, |s| &s.name)
    }

    /// The deadline of a stage, microseconds, and whether it was learned.
    #[must_use]
    pub fn deadline(&self, stage: StageId) -> Option<(i64, bool)> {
        let configured = self.rules.deadlines.iter().find(|(s, _)| *s == stage);
        configured
            .map(|(_, d)| (*d, false))
            .or_else(|| Some((self.state.stages.get(usize::from(stage))?.learned?, true)))
    }

    /// True while nothing says how a transaction of this flow ends.
    #[must_use]
    pub fn never_ends(&self) -> bool {
        !self.rules.can_end
    }

    /// True where its events belong to transactions.
    #[must_use]
    pub fn transactional(&self) -> bool {
        self.state.totals.started > 0
    }

    /// Numbers may be inexact from `cut` on.
    pub fn inexact(&mut self, cut: i64, reason: &str) {
        let (since, reasons) = self.state.inexact.get_or_insert((cut, Vec::new()));
        *since = cut.min(*since);
        if reasons.len() < REASONS && reasons.iter().all(|r| r != reason) {
            reasons.push(reason.to_owned());
        }
        (self.unsaved, self.changed) = (true, true);
    }

    /// The same for readers.
    #[must_use]
    pub fn inexact_view(&self) -> Option<Inexact> {
        self.state.inexact.as_ref().map(|(at, reasons)| Inexact { at: Timestamp(*at), reason: reasons.join("; ") })
    }
}
