//! One simulated life: the log, an engine, a store that may refuse, a reader that may be killed at any moment.
//!
//! All of it is single-threaded and drawn from one seed. The harness remembers what was read, and
//! forgets with the engine what a crash made it forget; the oracle is asked about just that.

use std::collections::BTreeMap;
use std::sync::Arc;

use streamgauge::engine::{Engine, EngineConfig};
use streamgauge::model::{Input, Limits, MICROS_PER_SECOND, Positions, SourceKey, SourceState, Timestamp};
use streamgauge::snapshot::{Durable, FlowView, Snapshot};

use super::reader::{Reader, Track};
use super::record::{Seen, Workload};
use super::rng::Rng;
use super::store::{Handed, MemoryStore};
use super::{compare, durable, oracle, script};

/// Reasons for not being exact that come with a crash before long silence alone: it is read at once what was written
/// hours apart, and a flow is found in a stream in which records had expired.
const RARE: [&str; 2] =
    [script::LONG_OVER, "a record that could not be decoded touches a timeout that had been put away"];

/// How rough a life is.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Chance of a crash per step.
    pub crash: f64,
    /// Chance that a commit fails.
    pub commit: f64,
    /// Chance per step that a partition cannot be read for a while.
    pub outage: f64,
    /// Chance that a snapshot on the way is compared with the oracle.
    pub look: f64,
    /// Records may come so late (skewed clocks, outages, copies after a quarter of an hour) that the engine may say that it is not exact any more.
    pub lenient: bool,
}

impl Faults {
    /// A quiet life.
    pub const NONE: Self = Self { crash: 0.0, commit: 0.0, outage: 0.0, look: 0.0, lenient: false };

    /// Drawn from a seed.
    pub fn draw(rng: &mut Rng, lenient: bool) -> Self {
        let outage = *rng.pick(&[0.0, 0.0, 0.003]);
        Self {
            crash: *rng.pick(&[0.0, 0.002, 0.01, 0.03]),
            commit: *rng.pick(&[0.0, 0.1, 0.5]),
            outage,
            look: *rng.pick(&[0.02, 0.2]),
            lenient: lenient || outage > 0.0,
        }
    }
}

/// A life in progress.
pub struct Life<'w> {
    pub(super) world: &'w Workload,
    pub(super) keys: Vec<Arc<SourceKey>>,
    pub(super) rng: Rng,
    faults: Faults,
    /// World time.
    pub now: Timestamp,
    engine: Engine,
    store: MemoryStore,
    pub(super) durable: Option<(Positions, Arc<Durable>, Vec<Track>)>,
    pending: Option<(Handed, Vec<Track>)>,
    pub(super) tracks: Vec<Track>,
    pub(super) readers: Vec<Reader>,
    /// Crashes so far.
    pub crashes: u32,
    /// Flows that were compared with the oracle so far, and why others were left out: the engine said that they are not exact.
    pub looks: u32,
    /// Reasons by how often.
    pub left_out: BTreeMap<String, u32>,
    /// All that the engines of this life were told, in order.
    pub script: Vec<Input>,
    /// What went wrong.
    pub differences: Vec<String>,
}

/// The configuration of a world.
pub fn config(world: &Workload) -> EngineConfig {
    EngineConfig { flows: world.flows.clone(), limits: Limits::default(), seed: 7, ..EngineConfig::default() }
}

impl<'w> Life<'w> {
    /// Born at the world's beginning.
    pub fn new(world: &'w Workload, seed: u64, faults: Faults) -> Self {
        let n = world.partitions.len();
        Self {
            world,
            keys: world.partitions.iter().map(|p| Arc::new(p.key.clone())).collect(),
            rng: Rng::new(seed),
            faults,
            now: world.begins,
            engine: Engine::new(config(world)),
            store: MemoryStore::default(),
            durable: None,
            pending: None,
            tracks: vec![Track::default(); n],
            readers: vec![Reader::default(); n],
            crashes: 0,
            looks: 0,
            left_out: BTreeMap::new(),
            script: Vec::new(),
            differences: Vec::new(),
        }
    }

    /// From the first record to the last, and then on until everything is settled.
    pub fn live(&mut self) {
        let steps = 300 + 40 * self.world.partitions.iter().map(|p| p.records.len()).sum::<usize>();
        for _ in 0..steps {
            self.step();
            if !self.differences.is_empty() || (self.now > self.world.ends && self.caught_up()) {
                break;
            }
        }
        self.catch_up(self.world.ends.0.max(self.now.0) + 3 * MICROS_PER_SECOND);
        self.look("at the end");
        self.timely("at the end");
        self.catch_up(self.now.0 + 2 * 3_600 * MICROS_PER_SECOND);
        self.look("long after the end");
        self.timely("long after the end");
        self.checkpoint(0.0);
        self.checkpoint(0.0);
        if self.differences.is_empty() {
            let snapshot = self.snapshot();
            let found = durable::settled(&snapshot, &self.durable.as_ref().expect("committed twice").1);
            self.report("after everything is settled", found);
        }
    }

    /// With every end confirmed a moment ago, no watermark may lag behind for long, and none may lie ahead.
    fn timely(&mut self, when: &str) {
        let now = self.now;
        let age = |w: Timestamp| now.since(w);
        let snapshot = self.snapshot();
        let wrong = |f: &&Arc<FlowView>| {
            f.totals.events > 0 && f.watermark.is_none_or(|w| age(w) > 61 * MICROS_PER_SECOND || age(w) < 0)
        };
        let found = snapshot.flows.iter().filter(wrong);
        let found = found.map(|f| format!("{} watermark {:?} at {now:?}", f.name, f.watermark)).collect();
        self.report(when, found);
    }

    fn step(&mut self) {
        let rate = self.world.partitions.len() as f64;
        match self.rng.unit() {
            x if x < 0.25 => self.pass_time(),
            x if x < 0.75 => {
                for _ in 0..1 + self.rng.below(rate as u64) {
                    let i = self.rng.below(self.keys.len() as u64) as usize;
                    self.read(i);
                }
            }
            x if x < 0.92 => self.tick(),
            _ => self.checkpoint(self.faults.commit),
        }
        if self.rng.chance(self.faults.crash) {
            self.crash();
        }
        if self.rng.chance(self.faults.outage) {
            let i = self.rng.below(self.keys.len() as u64) as usize;
            self.block(i);
        }
    }

    fn pass_time(&mut self) {
        let next = self
            .world
            .partitions
            .iter()
            .filter_map(|p| p.records.iter().find(|r| r.visible > self.now))
            .map(|r| r.visible)
            .min();
        let idle = self.caught_up();
        self.now = match next {
            Some(next) if idle && next.since(self.now) > 1_800 * MICROS_PER_SECOND => {
                next.plus(-60 * MICROS_PER_SECOND)
            }
            None if idle => self.now.plus(MICROS_PER_SECOND),
            // A life has some hundred moments, whether it lasts seconds or an hour.
            _ => {
                let whole = self.world.ends.since(self.world.begins).min(3_600 * MICROS_PER_SECOND);
                self.now.plus(self.rng.between(1, (whole / 100).clamp(MICROS_PER_SECOND, 20 * MICROS_PER_SECOND)))
            }
        };
    }

    fn tick(&mut self) {
        if self.rng.chance(self.faults.look) {
            self.look("on the way");
        } else {
            let snapshot = self.snapshot();
            let found = balanced(&snapshot);
            self.report("on the way", found);
        }
    }

    /// Asks the oracle about what was read so far.
    pub fn look(&mut self, when: &str) {
        if !self.differences.is_empty() {
            return;
        }
        let snapshot = self.snapshot();
        let mut found = balanced(&snapshot);
        let seen = self.seen();
        let oracle = oracle::Oracle::new(&self.world.flows, &seen, Limits::default().history_1s_seconds);
        let watermark = |flow: &str| snapshot.flows.iter().find(|f| f.name == flow).and_then(|f| f.watermark);
        // A flow that says itself that it is not exact, and why, is left out; the others are not.
        let mut left_out = Vec::new();
        for flow in snapshot.flows.iter().filter(|f| f.totals.events > 0) {
            let reasons = flow.inexact.as_ref().map_or("", |i| &i.reason).split("; ");
            let reasons: Vec<&str> = reasons.filter(|r| !r.is_empty() && !r.contains("expired")).collect();
            let by_right = self.faults.lenient || reasons.iter().all(|r| RARE.contains(r));
            if reasons.is_empty() || !by_right {
                self.looks += 1;
            } else {
                left_out.push(flow.name.as_str());
                *self.left_out.entry(reasons.join("; ")).or_default() += 1;
            }
        }
        found.extend(compare::all_but(&left_out, &snapshot, &oracle.at(&watermark)));
        if !found.is_empty() {
            found.extend(snapshot.flows.iter().map(|f| format!("{} {:?}", f.name, f.totals)));
            let reasons = snapshot.flows.iter().filter_map(|f| Some(f.inexact.as_ref()?.reason.clone()));
            let reasons: std::collections::BTreeSet<String> = reasons.collect();
            found[0] = format!("{} {reasons:?}", found[0]);
        }
        self.report(when, found);
    }

    fn report(&mut self, when: &str, found: Vec<String>) {
        let at = self.now.since(self.world.begins) as f64 / 1e6;
        self.differences.extend(found.into_iter().map(|f| format!("{when}, {at:.3} s, {} crashes: {f}", self.crashes)));
    }

    /// Everything read so far, as the oracle wants it.
    pub fn seen(&self) -> Vec<Seen> {
        let read = |track: &Track, position: u64| track.read.iter().any(|&(from, to)| (from..to).contains(&position));
        (0..self.keys.len())
            .filter_map(|i| {
                let (p, track) = (&self.world.partitions[i], &self.tracks[i]);
                Some(Seen {
                    key: p.key.clone(),
                    role: p.role,
                    append_time: p.append_time,
                    began: track.began?,
                    records: p.records.iter().filter(|r| read(track, r.position)).cloned().collect(),
                    gaps: track.gaps.clone(),
                })
            })
            .collect()
    }

    /// Hands the changes to the store, which may refuse; what it refused is handed in again before anything newer.
    pub(super) fn checkpoint(&mut self, refuses: f64) {
        let (handed, tracks) = match self.pending.take() {
            Some(pending) => pending,
            None => {
                self.script.push(Input::Checkpoint);
                (Handed::from(self.engine.checkpoint()), self.tracks.clone())
            }
        };
        if self.rng.chance(refuses) {
            self.pending = Some((handed, tracks));
            return;
        }
        self.store.commit(&handed.changes);
        if let Some((_, before, _)) = &self.durable {
            let found = durable::never_decreases(before, &handed.durable);
            self.report("at a checkpoint", found);
        }
        self.durable = Some((handed.positions, handed.durable, tracks));
    }

    /// Everything that is not durable is gone.
    fn crash(&mut self) {
        self.crashes += 1;
        self.pending = None;
        self.engine = self.store.restore(config(self.world));
        let n = self.keys.len();
        self.tracks = self.durable.as_ref().map_or_else(|| vec![Track::default(); n], |(_, _, t)| t.clone());
        self.readers = vec![Reader::default(); n];
        if let Some((positions, ..)) = &self.durable {
            let restored = self.engine.positions();
            if restored != *positions {
                self.differences.push(format!("restored positions {restored:?}, stored {positions:?}"));
            }
        }
        let downtime = *self.rng.pick(&[0, 1, 30, 600]);
        self.now = self.now.plus(self.rng.between(0, downtime * MICROS_PER_SECOND));
    }

    /// The bytes of the store, for comparing two lives.
    pub fn stored(&self) -> &BTreeMap<streamgauge::store::BlobKey, Vec<u8>> {
        &self.store.blobs
    }

    /// A snapshot at this moment.
    pub fn snapshot(&mut self) -> Arc<Snapshot> {
        self.script.push(Input::Tick(self.now));
        self.engine.tick(self.now)
    }

    /// Everything that the engine is told goes this way, and is remembered.
    pub(super) fn feed(&mut self, input: Input) {
        script::feed(&mut self.engine, &input);
        self.script.push(input);
    }

    pub(super) fn say(&mut self, i: usize, state: SourceState) {
        self.feed(Input::State(Arc::clone(&self.keys[i]), state, self.now));
    }
}

/// The identity of the books, from the numbers as shown.
pub fn balanced(snapshot: &Snapshot) -> Vec<String> {
    let mut found: Vec<String> = snapshot.engine.books_error.iter().map(|e| format!("books_error {e}")).collect();
    for flow in &snapshot.flows {
        let t = &flow.totals;
        let accounted = t.outcomes.sum() + t.in_flight + t.open_ended + t.evicted + t.unexplained;
        if t.started != accounted {
            found.push(format!("{}: started {} but accounted for {accounted}: {t:?}", flow.name, t.started));
        }
    }
    found
}
