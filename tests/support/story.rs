//! Small logs told by hand, played to an engine in any order and to the oracle at once.
//!
//! Times are seconds after [`EPOCH`]; streams have record times that the broker assigned, unless told
//! otherwise, so that the cut of a record is the time that the story gives it.

use std::sync::Arc;

use streamgauge::engine::{Engine, EngineConfig};
use streamgauge::model::{Began, FlowSpec, Limits, Outcome, Role, SourceKey, SourceOpen, SourceState, Tail, Timestamp};
use streamgauge::snapshot::{FlowView, Snapshot};

use super::compare;
use super::generate::EPOCH;
use super::oracle::{Expected, Oracle};
use super::record::{Partition, Record, Seen, Workload, batch, source};
use super::store::{Handed, MemoryStore};

/// A moment of a story.
pub fn at(seconds: f64) -> Timestamp {
    Timestamp(EPOCH * 1_000_000 + (seconds * 1e6).round() as i64)
}

/// A flow from literals; `timeout` in seconds.
pub fn flow(name: &str, stages: &[&str], ends_at: &[&str], timeout: Option<u64>) -> FlowSpec {
    let texts = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect();
    FlowSpec {
        name: name.to_owned(),
        stages: texts(stages),
        ends_at: texts(ends_at),
        timeout: timeout.map(std::time::Duration::from_secs),
        stage_deadlines: Vec::new(),
    }
}

/// An event of flow `checkout`: cut and event time at `seconds`, an id of its own.
pub fn event(seconds: f64, transaction: &str, stage: &str) -> Record {
    Record {
        record_time: Some(at(seconds)),
        event_time: Some(at(seconds)),
        id: format!("{transaction}/{stage}/{seconds}"),
        transaction: transaction.to_owned(),
        flow: "checkout".to_owned(),
        stage: stage.to_owned(),
        ..Record::default()
    }
}

/// The same with an outcome.
pub fn ending(seconds: f64, transaction: &str, stage: &str, outcome: Outcome) -> Record {
    Record { outcome: Some(outcome), ..event(seconds, transaction, stage) }
}

/// A log in memory and an engine that reads it as it is told.
pub struct Story {
    /// The log.
    pub world: Workload,
    /// The engine.
    pub engine: Engine,
    /// Its store.
    pub store: MemoryStore,
    next: Vec<u64>,
    began: Vec<Option<Began>>,
    first: Vec<u64>,
}

impl Story {
    /// Nothing written, nothing read.
    pub fn new(flows: Vec<FlowSpec>) -> Self {
        let world = Workload { flows, partitions: Vec::new(), begins: at(0.0), ends: at(0.0) };
        let engine = Engine::new(Self::config(&world));
        Self { world, engine, store: MemoryStore::default(), next: Vec::new(), began: Vec::new(), first: Vec::new() }
    }

    fn config(world: &Workload) -> EngineConfig {
        EngineConfig { flows: world.flows.clone(), limits: Limits::default(), seed: 1, ..EngineConfig::default() }
    }

    /// A partition with these records, in this order; its number.
    pub fn partition(&mut self, stream: &str, records: Vec<Record>) -> usize {
        let before = |p: &&Partition| &*p.key.stream == stream && p.key.generation == 0;
        let number = self.world.partitions.iter().filter(before).count() as u32;
        self.partition_at(source(stream, 0, number), records)
    }

    /// The same with a key of choice.
    pub fn partition_at(&mut self, key: SourceKey, records: Vec<Record>) -> usize {
        let dead = key.stream.ends_with("dlq");
        self.world.partitions.push(Partition {
            incarnation: format!("{}/{}", key.stream, key.generation),
            key,
            role: if dead { Role::Dlq } else { Role::Events },
            append_time: true,
            created: at(0.0),
            deleted: None,
            latest: false,
            records: Vec::new(),
            expiry: Vec::new(),
        });
        self.next.push(0);
        self.began.push(None);
        self.first.push(0);
        let i = self.next.len() - 1;
        self.write(i, records);
        i
    }

    /// Appends records.
    pub fn write(&mut self, i: usize, records: Vec<Record>) {
        let log = &mut self.world.partitions[i].records;
        for mut record in records {
            record.position = log.last().map_or(0, |r| r.position + 1).max(record.position);
            log.push(record);
        }
    }

    /// Opens a partition at its beginning, or where the engine stands.
    pub fn open(&mut self, i: usize) {
        self.open_at(i, None);
    }

    /// Opens a partition, for the first time at its present end.
    pub fn open_latest(&mut self, i: usize, now: Timestamp) {
        self.open_at(i, Some(now));
    }

    fn open_at(&mut self, i: usize, latest: Option<Timestamp>) {
        let p = &self.world.partitions[i];
        let key = Arc::new(p.key.clone());
        let known = self.engine.positions().sources.iter().find(|s| s.key == p.key).map(|s| (s.next, s.began));
        let end = p.records.last().map_or(0, |r| r.position + 1);
        let (next, began) = known.unwrap_or_else(|| latest.map_or((0, Began::Beginning), |t| (end, Began::Middle(t))));
        self.next[i] = next;
        if known.is_none() {
            self.first[i] = next;
        }
        self.began[i] = Some(began);
        self.engine.open(&SourceOpen {
            source: key,
            incarnation: p.incarnation.clone(),
            next,
            log_start: 0,
            began,
            role: p.role,
            append_time: p.append_time,
            at: latest.unwrap_or(at(0.0)),
        });
    }

    /// Reads up to `count` records.
    pub fn read(&mut self, i: usize, count: usize) {
        if self.began[i].is_none() {
            self.open(i);
        }
        let p = &self.world.partitions[i];
        let (from, to) = (p.records.partition_point(|r| r.position < self.next[i]), p.records.len());
        let records = &p.records[from..to.min(from.saturating_add(count))];
        if let Some(last) = records.last() {
            let to = last.position + 1;
            self.engine.apply(&batch(
                &Arc::new(p.key.clone()),
                self.next[i],
                to,
                records,
                last.record_time.unwrap_or(at(0.0)),
            ));
            self.next[i] = to;
        }
    }

    /// Confirms that nothing more was written until `now`, on every partition that was opened, and looks.
    pub fn confirm(&mut self, now: Timestamp) -> Arc<Snapshot> {
        for (i, p) in self.world.partitions.iter().enumerate().filter(|(i, _)| self.began[*i].is_some()) {
            let key = Arc::new(p.key.clone());
            if p.deleted.is_some() {
                self.engine.state(&key, &SourceState::Gone, now);
                continue;
            }
            self.engine.state(&key, &SourceState::AtEnd, now);
            let next = self.next[i];
            self.engine.tail(&Tail { source: key, next, end: next, log_start: 0, at: now });
        }
        self.engine.tick(now)
    }

    /// Makes everything durable.
    pub fn checkpoint(&mut self) -> Handed {
        let handed = Handed::from(self.engine.checkpoint());
        self.store.commit(&handed.changes);
        handed
    }

    /// `kill -9`, and an engine from what is durable.
    pub fn kill(&mut self) {
        self.engine = self.store.restore(Self::config(&self.world));
        self.began.iter_mut().for_each(|b| *b = None);
    }

    /// What was read so far.
    pub fn seen(&self) -> Vec<Seen> {
        let opened = self.world.partitions.iter().enumerate().filter_map(|(i, p)| Some((i, p, self.began[i]?)));
        opened
            .map(|(i, p, began)| {
                let read = |r: &&Record| (self.first[i]..self.next[i]).contains(&r.position);
                Seen { began, records: p.records.iter().filter(read).cloned().collect(), ..p.read_whole() }
            })
            .collect()
    }

    /// The oracle's opinion at the watermarks of a snapshot.
    pub fn expected(&self, snapshot: &Snapshot) -> Expected {
        let seen = self.seen();
        let oracle = Oracle::new(&self.world.flows, &seen, Limits::default().history_1s_seconds);
        oracle.at(&|name| snapshot.flows.iter().find(|f| f.name == name).and_then(|f| f.watermark))
    }

    /// Confirms, compares with the oracle, and hands out flow `checkout`.
    ///
    /// # Panics
    /// Where the two disagree.
    pub fn agreed(&mut self, now: Timestamp) -> Arc<FlowView> {
        let snapshot = self.confirm(now);
        let found = compare::snapshot(&snapshot, &self.expected(&snapshot));
        assert!(found.is_empty(), "engine and oracle differ:\n{}", found.join("\n"));
        let flow = snapshot.flows.iter().find(|f| f.name == "checkout").expect("flow checkout");
        assert!(flow.watermark.is_some_and(|w| w.since(now) > -5_000_000), "watermark {:?} at {now:?}", flow.watermark);
        Arc::clone(flow)
    }
}

/// Every order of `0..n`.
pub fn orders(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut out = Vec::new();
    for shorter in orders(n - 1) {
        for place in 0..=shorter.len() {
            let mut order = shorter.clone();
            order.insert(place, n - 1);
            out.push(order);
        }
    }
    out
}
