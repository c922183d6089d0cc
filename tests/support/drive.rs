//! One simulated life: the log, an engine, a store that may refuse, a reader that may be killed at any moment.
//!
//! All of it is single-threaded and drawn from one seed. The harness remembers what was read, and
//! forgets with the engine what a crash made it forget; the oracle is asked about just that.

use std::collections::BTreeMap;
use std::sync::Arc;

use streamgauge::engine::{Engine, EngineConfig};
use streamgauge::model::{
    Began, Input, Limits, MICROS_PER_SECOND, Positions, SourceKey, SourceOpen, SourceState, Tail, Timestamp,
};
use streamgauge::snapshot::{Durable, FlowView, Snapshot};

use super::record::{Seen, Workload, batch};
use super::rng::Rng;
use super::store::{Handed, MemoryStore};
use super::{compare, durable, oracle, script};

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

/// What has been read of one partition.
#[derive(Clone, Debug, Default)]
struct Track {
    began: Option<Began>,
    next: u64,
    read: Vec<(u64, u64)>,
    gaps: Vec<(u64, u64)>,
}

/// What a reader of this process knows of a partition.
#[derive(Clone, Debug, Default)]
struct Reader {
    opened: bool,
    gone: bool,
    blocked_until: Option<Timestamp>,
}

/// A life in progress.
pub struct Life<'w> {
    world: &'w Workload,
    keys: Vec<Arc<SourceKey>>,
    rng: Rng,
    faults: Faults,
    /// World time.
    pub now: Timestamp,
    engine: Engine,
    store: MemoryStore,
    durable: Option<(Positions, Arc<Durable>, Vec<Track>)>,
    pending: Option<(Handed, Vec<Track>)>,
    tracks: Vec<Track>,
    readers: Vec<Reader>,
    /// Crashes so far.
    pub crashes: u32,
    /// Comparisons with the oracle so far, and those left out because the engine said that it is not exact.
    pub looks: (u32, u32),
    /// All that the engines of this life were told, in order.
    pub script: Vec<Input>,
    /// What went wrong.
    pub differences: Vec<String>,
}

/// The configuration of a world.
pub fn config(world: &Workload) -> EngineConfig {
    EngineConfig { flows: world.flows.clone(), limits: Limits::default(), seed: 7 }
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
            looks: (0, 0),
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
            f.totals.events > 0 && f.watermark.is_none_or(|w| age(w) > 600 * MICROS_PER_SECOND || age(w) < 0)
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

    fn caught_up(&self) -> bool {
        (0..self.keys.len()).all(|i| {
            let p = &self.world.partitions[i];
            !p.exists(self.now) || (self.readers[i].opened && self.tracks[i].next >= p.end(self.now))
        })
    }

    /// One visit of the reader to a partition.
    fn read(&mut self, i: usize) {
        let partition = &self.world.partitions[i];
        let now = self.now;
        if !partition.exists(now) {
            self.say_gone(i);
            return;
        }
        if let Some(until) = self.readers[i].blocked_until {
            if now < until {
                return;
            }
            self.readers[i].blocked_until = None;
            self.say(i, SourceState::Reading);
        }
        self.discover();
        let stored = self.durable.as_ref().is_some_and(|(p, ..)| p.sources.iter().any(|s| s.key == *self.keys[i]));
        if !stored {
            return; // the first position must be durable before the first read
        }
        let (start, next) = (partition.log_start(now), self.tracks[i].next);
        if start > next {
            self.feed(Input::Gap(Arc::clone(&self.keys[i]), next, start, now));
            self.tracks[i].gaps.push((next, start));
            self.tracks[i].next = start;
        }
        let next = self.tracks[i].next;
        let limit = *self.rng.pick(&[1, 3, 20, 500]);
        let (records, to) = partition.fetch(now, next, limit);
        if to > next {
            self.feed(Input::Batch(batch(&self.keys[i], next, to, records, now)));
            self.tracks[i].read.push((next, to));
            self.tracks[i].next = to;
        }
        let end = partition.end(now);
        if to >= end && self.rng.chance(0.7) {
            let tail =
                Tail { source: Arc::clone(&self.keys[i]), next: to, end: end.max(to), log_start: start, at: now };
            self.feed(Input::Tail(tail));
            if self.rng.chance(0.2) {
                self.say(i, SourceState::AtEnd);
            }
        }
    }

    /// A reader opens all that it finds before it reads anything.
    fn discover(&mut self) {
        let mut found: Vec<usize> = (0..self.keys.len()).collect();
        found.retain(|&i| !self.readers[i].opened && self.world.partitions[i].exists(self.now));
        self.rng.shuffle(&mut found);
        found.into_iter().for_each(|i| self.open(i));
    }

    fn open(&mut self, i: usize) {
        let partition = &self.world.partitions[i];
        let stored = self.durable.as_ref().and_then(|(p, ..)| p.sources.iter().find(|s| s.key == *self.keys[i]));
        let (next, began) = match stored {
            Some(s) => (s.next, s.began),
            None if partition.latest => (partition.end(self.now), Began::Middle(self.now)),
            None => (0, Began::Beginning),
        };
        let log_start = partition.log_start(self.now);
        let open = SourceOpen {
            source: Arc::clone(&self.keys[i]),
            incarnation: partition.incarnation.clone(),
            next,
            log_start,
            began,
            role: partition.role,
            append_time: partition.append_time,
            at: self.now,
        };
        self.feed(Input::Open(open));
        self.readers[i].opened = true;
        let track = &mut self.tracks[i];
        track.began = Some(began);
        track.next = next;
        if log_start > next {
            track.gaps.push((next, log_start));
            track.next = log_start;
        }
    }

    fn say_gone(&mut self, i: usize) {
        let known = self.tracks[i].began.is_some();
        if known && !self.readers[i].gone {
            self.readers[i].gone = true;
            self.say(i, SourceState::Gone);
        }
    }

    fn block(&mut self, i: usize) {
        if self.readers[i].opened && self.world.partitions[i].exists(self.now) {
            let seconds = self.rng.between(1, 40);
            self.readers[i].blocked_until = Some(self.now.plus(seconds * MICROS_PER_SECOND));
            self.say(i, SourceState::Unreachable("no leader".into()));
        }
    }

    /// Reads all that there is at `until`, and confirms every end there.
    pub fn catch_up(&mut self, until: i64) {
        self.now = Timestamp(until);
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        for _ in 0..200 {
            self.readers.iter_mut().for_each(|r| r.blocked_until = None);
            self.rng.shuffle(&mut order);
            for &i in &order {
                self.read(i);
            }
            self.checkpoint(0.0);
            if self.caught_up() {
                break;
            }
        }
        for &i in &order {
            let p = &self.world.partitions[i];
            if p.exists(self.now) {
                let (next, end) = (self.tracks[i].next, p.end(self.now).max(self.tracks[i].next));
                self.say(i, SourceState::AtEnd);
                let log_start = p.log_start(self.now);
                self.feed(Input::Tail(Tail { source: Arc::clone(&self.keys[i]), next, end, log_start, at: self.now }));
            } else {
                self.say_gone(i);
            }
        }
        // A partition that is gone holds nothing back after 10 s: give the clock a little of that.
        for _ in 0..2 {
            self.snapshot();
            if self.readers.iter().any(|r| r.gone) {
                self.now = self.now.plus(11 * MICROS_PER_SECOND);
                self.confirm();
            }
        }
    }

    fn confirm(&mut self) {
        for i in 0..self.keys.len() {
            let p = &self.world.partitions[i];
            if p.exists(self.now) {
                let (next, log_start) = (self.tracks[i].next, p.log_start(self.now));
                self.feed(Input::Tail(Tail {
                    source: Arc::clone(&self.keys[i]),
                    next,
                    end: next,
                    log_start,
                    at: self.now,
                }));
            }
        }
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
        self.looks.0 += 1;
        let put_away = |f: &Arc<FlowView>| {
            f.totals.truncated > 0 || f.inexact.as_ref().is_some_and(|i| !i.reason.contains("expired"))
        };
        if self.faults.lenient && snapshot.flows.iter().any(put_away) {
            self.looks.1 += 1; // it says itself that it is not exact, and why
        } else {
            found.extend(compare::snapshot(&snapshot, &oracle.at(&watermark)));
            if !found.is_empty() {
                found.extend(snapshot.flows.iter().map(|f| format!("{} {:?}", f.name, f.totals)));
                let reasons = snapshot.flows.iter().filter_map(|f| Some(f.inexact.as_ref()?.reason.clone()));
                let reasons: std::collections::BTreeSet<String> = reasons.collect();
                found[0] = format!("{} {reasons:?}", found[0]);
            }
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
    fn checkpoint(&mut self, refuses: f64) {
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
    fn feed(&mut self, input: Input) {
        script::feed(&mut self.engine, &input);
        self.script.push(input);
    }

    fn say(&mut self, i: usize, state: SourceState) {
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
