//! The engine: one owner of all state. Pure: no clock, no I/O, no randomness.
//!
//! ```text
//! Batch -> dedup -> transaction table -> windows -> tick -> Snapshot
//!                                               -> checkpoint -> Changes + Positions + Durable
//! ```
//!
//! The same inputs in the same order give byte-identical checkpoints. The order in which
//! partitions are read does not change a verdict; clocks (`now`, `at`, `observed`) decide only
//! when a verdict shows.
//!
//! # Life
//!
//! ```text
//! let mut restore = Restore::new(config);
//! store.load(&mut |key, bytes| restore.blob(key, bytes))?;
//! let mut engine = restore.finish()?;              // nothing stored: a fresh engine
//! engine.restarted(now);                           // until readers say otherwise, nothing can be read
//! engine.positions();                              // for the readers
//! loop { engine.open | apply | tail | state | gap | cut;  engine.tick(now);  engine.checkpoint(); }
//! ```
//!
//! # Files, in reading order
//!
//! `times` (cut time) - `source`, `stream`, `names`, `missing`, `watermark` - `dedup`, `copies` - `rules`, `resolve` (what a set of
//! events means) - `page`, `table`, `tombstone` (where transactions live) - `ingest`, `place`, `account`,
//! `lifecycle` (how they move) - `histogram`, `ring`, `second`, `window`, `points` (what is counted when) -
//! `view`, `view_flow`, `settled`, `exemplar` (what is shown) - `blob`, `journal`, `checkpoint`, `restore`.

mod account;
mod blob;
mod checkpoint;
mod copies;
mod dedup;
mod exemplar;
mod flow;
pub mod histogram;
mod ingest;
mod journal;
mod lifecycle;
mod lookup;
mod missing;
mod names;
mod overflow;
mod page;
mod place;
mod points;
mod resolve;
mod restore;
mod ring;
mod rules;
mod second;
mod series;
mod settled;
mod source;
mod stream;
mod table;
mod times;
mod tombstone;
mod trace;
mod view;
mod view_flow;
mod watermark;
mod window;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{
    Changes, FlowSpec, Limits, LogCut, MICROS_PER_SECOND, Positions, SourceKey, SourceOpen, SourceState, Tail,
    Timestamp,
};
use crate::snapshot::{Durable, Snapshot};

pub use lookup::KEPT_SECONDS;
pub use restore::{Restore, RestoreError};
pub use trace::derived_trace_id;

use copies::Copies;
use dedup::Dedup;
use flow::Flow;
use overflow::{Bound, Overflow};
use place::Scratch;
use series::Series;
use source::{Readable, Sources};
use stream::Stream;
use table::Table;
use tombstone::Tombstones;

/// What an engine is made from.
#[derive(Clone, Debug, Default)]
pub struct EngineConfig {
    /// The flows that the configuration declares; others are learned as they come.
    pub flows: Vec<FlowSpec>,
    /// The clusters whose readers will say [`Engine::announced`].
    pub clusters: BTreeSet<Arc<str>>,
    /// Every bound.
    pub limits: Limits,
    /// Seed of the id hashes, so that nobody can construct collisions. Stored; the stored one wins.
    pub seed: u64,
}

/// One durable step: to be committed as a whole and in order. If the store refuses, hand the same one in again.
#[derive(Debug)]
pub struct Checkpoint {
    /// Every blob that changed since the last checkpoint.
    pub changes: Changes,
    /// Where each partition stands with these changes.
    pub positions: Positions,
    /// What `/metrics` may show once the changes are durable.
    pub durable: Arc<Durable>,
}

/// The owner of all state.
#[derive(Debug)]
pub struct Engine {
    specs: Vec<FlowSpec>,
    limits: Limits,
    /// Microseconds of one-second history: how late an event may be cut and still find its second.
    history: i64,
    seed: u64,
    sources: Sources,
    streams: Vec<Stream>,
    stream_index: BTreeMap<(String, String), u16>,
    flows: Vec<Flow>,
    flow_index: HashMap<String, u16, foldhash::fast::FixedState>,
    table: Table,
    dedup: Dedup,
    copies: Copies,
    stones: Tombstones,
    series: Series,
    overflow: Overflow,
    /// The flow of the last event: the next one's is most often the same.
    last_flow: u16,
    /// Nothing cut before it will be read any more, in any stream; `None`: unknown. A partition that joins brings its
    /// past with it, so it may go back.
    low: Option<i64>,
    /// Clusters that have not said yet which partitions they have.
    awaited: BTreeSet<Arc<str>>,
    /// Since when they are waited for.
    awaited_since: Option<i64>,
    now: Timestamp,
    books_error: Option<String>,
    revision: u64,
    checkpoints: u64,
    scratch: Option<Box<Scratch>>,
}

impl Engine {
    /// An engine that has seen nothing.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        let EngineConfig { flows, clusters, limits, seed } = config;
        let mut engine = Self {
            history: limits.history_1s_seconds.saturating_mul(MICROS_PER_SECOND),
            seed,
            sources: Sources::default(),
            streams: Vec::new(),
            stream_index: BTreeMap::new(),
            flows: Vec::new(),
            flow_index: HashMap::default(),
            table: Table::default(),
            dedup: Dedup::new(limits.dedup_events),
            copies: Copies::new(limits.dedup_events / 8),
            stones: Tombstones::new(limits.tombstones),
            series: Series::new(limits.series),
            overflow: Overflow::default(),
            last_flow: 0,
            low: None,
            awaited: clusters,
            awaited_since: None,
            now: Timestamp::default(),
            books_error: None,
            revision: 0,
            checkpoints: 0,
            scratch: None,
            specs: flows,
            limits,
        };
        engine.add_declared();
        engine
    }

    /// Where each partition stands, for readers after a restore.
    #[must_use]
    pub fn positions(&self) -> Positions {
        self.sources.positions()
    }

    /// After a restore: no partition can be read until its reader says so. Without this a cluster that is down at
    /// the restart would hold the watermark back for ever.
    pub fn restarted(&mut self, at: Timestamp) {
        for source in self.sources.iter_mut().filter(|s| s.state != Readable::Gone) {
            source.set_state(Readable::Unreachable("not opened since the restart".to_owned()), at);
        }
    }

    /// The partitions that a cluster has at our start were opened.
    pub fn announced(&mut self, cluster: &str) {
        self.awaited.remove(cluster);
    }

    /// A partition joins. One that is known keeps its position.
    pub fn open(&mut self, o: &SourceOpen) {
        if self.sources.find(&o.source).is_none() {
            self.low = None; // until the next tick: nobody knows how old its records are
        }
        let stream = self.stream_of(&o.source.cluster, &o.source.stream, o.role);
        let it = &mut self.streams[usize::from(stream)];
        if it.state.role != o.role && it.state.name == *o.source.stream {
            (it.state.role, it.unsaved) = (o.role, true);
        }
        let Some((number, cut)) = self.sources.open(o, stream) else {
            self.overflow.add(Bound::Sources, 1);
            return;
        };
        for flow in 0..self.flows.len() {
            if self.flows[flow].state.streams.contains_key(&stream) {
                self.learn_beginning(flow as u16, stream);
                self.name_streams(flow as u16);
            }
        }
        if cut {
            self.cut_back(number, o.next, true);
        }
        let next = self.sources.get(number).next;
        if o.log_start > next {
            self.expired(number, next, o.log_start, o.at);
        }
    }

    /// The end of a log was confirmed.
    pub fn tail(&mut self, t: &Tail) {
        if let Some(number) = self.sources.find(&t.source) {
            self.sources.get_mut(number).tail(t);
        }
    }

    /// A partition's readability changed.
    pub fn state(&mut self, source: &SourceKey, s: &SourceState, at: Timestamp) {
        if let Some(number) = self.sources.find(source) {
            self.sources.get_mut(number).set_state(s.into(), at);
        }
    }

    /// Records `from..to` expired before we read them. What was read before is not counted again.
    pub fn gap(&mut self, source: &SourceKey, from: u64, to: u64, at: Timestamp) {
        if let Some(number) = self.sources.find(source) {
            self.expired(number, from, to, at);
        }
    }

    /// A log was cut, and is read on where the reader says.
    pub fn cut(&mut self, c: &LogCut) {
        if let Some(number) = self.sources.find(&c.source) {
            self.cut_back(number, c.next, c.known);
        }
    }

    /// Moves the watermarks on and publishes all that is known.
    pub fn tick(&mut self, now: Timestamp) -> Arc<Snapshot> {
        self.now = now;
        self.advance_watermarks(now);
        for flow in 0..self.flows.len() {
            self.advance_flow(flow as u16);
        }
        self.gather_overflow();
        self.check_books();
        self.view(now)
    }

    /// Takes over what the flows counted as folded or refused.
    fn gather_overflow(&mut self) {
        for flow in &mut self.flows {
            self.overflow.merge(&std::mem::take(&mut flow.overflow));
            let refused = std::mem::take(&mut flow.seconds.refused);
            if refused > 0 {
                self.overflow.add(Bound::FarSeconds, refused);
                flow.inexact(flow.state.watermark.unwrap_or_default(), "too many seconds lie far ahead");
            }
        }
    }

    fn check_books(&mut self) {
        for flow in &self.flows {
            let off = flow.state.totals.imbalance();
            if off != 0 && self.books_error.is_none() {
                let name = &flow.state.name;
                self.books_error = Some(format!("flow {name}: started differs by {off} from what became of them"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
