//! A small world around the engine: logs of several partitions, written and read in any order.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::*;
use crate::model::{
    Batch, Began, BlobKey, Event, Kind, Outcome, Role, SourceKey, SourceOpen, Status, Tail, TextSpan, Timestamp,
};
use crate::snapshot::{FlowView, Snapshot};

/// Where time begins in these worlds: a whole second, minute and hour.
pub const T0: i64 = 1_800_000_000;

/// One record, in seconds after [`T0`].
#[derive(Clone, Debug)]
pub struct Rec {
    pub cut: f64,
    pub time: Option<f64>,
    pub id: String,
    pub tx: String,
    pub flow: &'static str,
    pub stage: String,
    pub status: Status,
    pub outcome: Option<Outcome>,
    pub started: Option<f64>,
    pub redrive: u8,
    pub kind: Kind,
}

/// A record of transaction `tx` at `stage`, appended and made at second `cut`.
pub fn rec(tx: &str, stage: &str, cut: f64) -> Rec {
    Rec {
        cut,
        time: Some(cut),
        id: String::new(),
        tx: tx.to_owned(),
        flow: "f",
        stage: stage.to_owned(),
        status: Status::Ok,
        outcome: None,
        started: None,
        redrive: 0,
        kind: Kind::Event,
    }
}

impl Rec {
    pub fn id(self, id: &str) -> Self {
        Self { id: id.to_owned(), ..self }
    }
    pub fn ends(self, outcome: Outcome) -> Self {
        Self { outcome: Some(outcome), ..self }
    }
    pub fn made(self, time: f64) -> Self {
        Self { time: Some(time), ..self }
    }
}

pub fn at(seconds: f64) -> Timestamp {
    Timestamp(T0 * 1_000_000 + (seconds * 1e6).round() as i64)
}

pub fn key(stream: &str, partition: u32) -> Arc<SourceKey> {
    Arc::new(SourceKey { cluster: "main".into(), stream: stream.into(), generation: 0, partition })
}

/// A batch of records at consecutive positions.
pub fn batch(source: &Arc<SourceKey>, from: u64, records: &[Rec]) -> Batch {
    let mut text = String::new();
    let mut span = |s: &str| {
        let start = text.len() as u32;
        text.push_str(s);
        TextSpan { start, len: s.len() as u32 }
    };
    let event = |(i, r): (usize, &Rec)| Event {
        position: from + i as u64,
        record_time: Some(at(r.cut)),
        event_time: r.time.map(at),
        started_at: r.started.map(at),
        id: span(&r.id),
        transaction: span(&r.tx),
        flow: span(r.flow),
        stage: span(&r.stage),
        status: r.status,
        outcome: r.outcome,
        redrive: r.redrive,
        kind: r.kind,
        ..Event::default()
    };
    let events: Vec<Event> = records.iter().enumerate().map(event).collect();
    let observed = at(records.last().map_or(0.0, |r| r.cut) + 0.01);
    let to = from + records.len() as u64;
    Batch { source: Arc::clone(source), from, to, events, text, observed, leader_epoch: 1 }
}

pub fn opening(key: &Arc<SourceKey>, role: Role, next: u64, began: Began) -> SourceOpen {
    SourceOpen {
        source: Arc::clone(key),
        incarnation: format!("{}/{}", key.stream, key.generation),
        next,
        log_start: 0,
        began,
        role,
        append_time: true,
        at: at(0.0),
    }
}

pub struct World {
    pub engine: Engine,
    pub config: EngineConfig,
    pub blobs: BTreeMap<BlobKey, Vec<u8>>,
    next: BTreeMap<Arc<SourceKey>, u64>,
}

impl World {
    pub fn new(flows: Vec<FlowSpec>) -> Self {
        Self::with(EngineConfig { flows, ..EngineConfig::default() })
    }

    pub fn with(config: EngineConfig) -> Self {
        Self { engine: Engine::new(config.clone()), config, blobs: BTreeMap::new(), next: BTreeMap::new() }
    }

    pub fn open(&mut self, key: &Arc<SourceKey>, role: Role) {
        self.open_at(key, role, 0, Began::Beginning);
    }

    /// Opens a partition whose record times are the producers' or the log's.
    pub fn open_with(&mut self, key: &Arc<SourceKey>, append_time: bool) {
        self.engine.open(&SourceOpen { append_time, ..opening(key, Role::Events, 0, Began::Beginning) });
        self.next.entry(Arc::clone(key)).or_insert(0);
    }

    pub fn open_at(&mut self, key: &Arc<SourceKey>, role: Role, next: u64, began: Began) {
        self.engine.open(&opening(key, role, next, began));
        self.next.entry(Arc::clone(key)).or_insert(next);
    }

    pub fn read(&mut self, key: &Arc<SourceKey>, records: &[Rec]) {
        let next = self.next.get_mut(key).expect("opened before");
        self.engine.apply(&batch(key, *next, records));
        *next += records.len() as u64;
    }

    /// Everything is read; the clock stands so that the watermark is at `seconds`.
    pub fn watermark(&mut self, seconds: f64) -> Arc<Snapshot> {
        for (key, next) in &self.next {
            let (at, log_start) = (at(seconds + 2.0), 0);
            self.engine.tail(&Tail { source: Arc::clone(key), next: *next, end: *next, log_start, at });
        }
        let snapshot = self.engine.tick(at(seconds + 2.0));
        assert_eq!(snapshot.engine.books_error, None);
        snapshot
    }

    pub fn flow(&mut self, name: &str, seconds: f64) -> Arc<FlowView> {
        let snapshot = self.watermark(seconds);
        Arc::clone(snapshot.flows.iter().find(|f| f.name == name).expect("the flow was seen"))
    }

    pub fn checkpoint(&mut self) -> Checkpoint {
        let checkpoint = self.engine.checkpoint();
        for (key, bytes) in &checkpoint.changes.puts {
            self.blobs.insert(*key, bytes.to_vec());
        }
        for key in &checkpoint.changes.deletes {
            self.blobs.remove(key);
        }
        checkpoint
    }

    /// What a process that was killed right after the last checkpoint comes back with.
    pub fn restored(&self) -> Engine {
        let mut restore = Restore::new(self.config.clone());
        self.blobs.iter().for_each(|(key, bytes)| restore.blob(*key, bytes));
        restore.finish().expect("blobs of a checkpoint")
    }
}

pub fn spec(stages: &[&str], ends_at: &[&str], timeout: Option<u64>) -> FlowSpec {
    let strings = |v: &[&str]| v.iter().map(|s| (*s).to_owned()).collect();
    FlowSpec {
        name: "f".to_owned(),
        stages: strings(stages),
        ends_at: strings(ends_at),
        timeout: timeout.map(std::time::Duration::from_secs),
        stage_deadlines: vec![],
    }
}
