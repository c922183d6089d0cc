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
//! loop { engine.open | apply | tail | state | gap;  engine.tick(now);  engine.checkpoint(); }
//! ```
//!
//! # Files, in reading order
//!
//! `times` (cut time) - `source`, `stream`, `watermark` - `dedup`, `copies` - `rules`, `resolve` (what a set of
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

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::{
    Changes, FlowSpec, Limits, MICROS_PER_SECOND, Positions, SourceKey, SourceOpen, SourceState, Tail, Timestamp,
};
use crate::snapshot::{Durable, Snapshot};

pub use restore::{Restore, RestoreError};
pub use trace::derived_trace_id;

use copies::Copies;
use dedup::Dedup;
use flow::{Flow, Revisit};
use overflow::{Bound, Overflow};
use place::Scratch;
use rules::Declared;
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
    /// Nothing cut before it will be read any more, in any stream.
    low: Option<i64>,
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
        let EngineConfig { flows, limits, seed } = config;
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

    /// A partition joins. One that is known keeps its position.
    pub fn open(&mut self, o: &SourceOpen) {
        let stream = self.stream_of(&o.source.cluster, &o.source.stream, o.role);
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
            self.cut_back(number, o.next);
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

    /// Records `from..to` expired before we read them. What was read before is not counted again. With `from == to`
    /// below what was read the log was cut there: it is read again from there, for what is written there is new.
    pub fn gap(&mut self, source: &SourceKey, from: u64, to: u64, at: Timestamp) {
        let Some(number) = self.sources.find(source) else { return };
        if from == to && to < self.sources.get(number).next {
            self.cut_back(number, to);
        } else {
            self.expired(number, from, to, at);
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

    /// A leader without the newest records was elected. What was read of them has counted and cannot be told from
    /// what takes its place.
    fn cut_back(&mut self, number: u16, to: u64) {
        let source = self.sources.get_mut(number);
        let (key, lost) = (Arc::clone(&source.key), source.next - to);
        source.cut_back(to);
        let stream = source.stream;
        for flow in self.flows.iter_mut().filter(|f| f.state.streams.contains_key(&stream)) {
            let since = flow.state.first.unwrap_or(0).saturating_mul(MICROS_PER_SECOND);
            flow.inexact(since, || {
                let (name, partition) = (&key.stream, key.partition);
                format!(
                    "the log of stream {name}, partition {partition}, was cut by {lost} positions that had been read"
                )
            });
        }
    }

    fn expired(&mut self, number: u16, from: u64, to: u64, at: Timestamp) {
        let source = self.sources.get_mut(number);
        let from = from.max(source.next);
        if to <= from {
            return;
        }
        source.expired += to - from;
        source.next = to;
        source.unsaved = true;
        let known_to = source.known_to();
        let stream_number = source.stream;
        let stream = &mut self.streams[usize::from(stream_number)];
        stream.state.holes.open(number, known_to.unwrap_or(i64::MIN));
        // Where nothing is known of the partition: since the stream's beginning, as far as anybody can tell.
        let first = stream.state.first.map(|s| s.saturating_mul(MICROS_PER_SECOND));
        let since = known_to.or(first).unwrap_or(at.0);
        stream.state.gap_since = Some(stream.state.gap_since.map_or(since, |s| s.min(since)));
        stream.unsaved = true;
        self.holes_changed(stream_number, known_to.unwrap_or(i64::MIN));
        let stream = &self.streams[usize::from(stream_number)];
        for flow in self.flows.iter_mut().filter(|f| f.state.streams.contains_key(&stream_number)) {
            flow.inexact(since, || expired_words(stream));
        }
    }

    /// Verdicts behind the watermark of the flows of a stream may change: a hole begins at `from`.
    fn holes_changed(&mut self, stream: u16, from: i64) {
        for flow in self.flows.iter_mut().filter(|f| f.state.streams.contains_key(&stream)) {
            if flow.rules.timeout.is_some() && flow.state.watermark > Some(from) {
                flow.revisit(Revisit::Verdicts);
            }
        }
    }

    /// A flow was seen in a stream for the first time, or at a lesser cut than ever.
    fn seen_in(&mut self, flow: u16, stream: u16, cut: i64) {
        let it = &mut self.flows[usize::from(flow)];
        let known = it.state.streams.insert(stream, cut).is_some();
        it.unsaved = true;
        let seen = &self.streams[usize::from(stream)];
        if it.rules.timeout.is_some() && !seen.state.holes.is_empty() {
            it.revisit(Revisit::Verdicts);
        }
        if known {
            return;
        }
        if let Some(since) = seen.state.gap_since {
            it.inexact(since, || expired_words(seen));
        }
        self.learn_beginning(flow, stream);
        self.name_streams(flow);
    }

    /// The streams of a flow by the names that they have at their brokers.
    fn name_streams(&mut self, flow: u16) {
        let it = &mut self.flows[usize::from(flow)];
        let of_flow = self.sources.in_order().map(|n| self.sources.get(n));
        let names = of_flow.filter(|s| it.state.streams.contains_key(&s.stream));
        let mut names: Vec<_> = names.map(|s| (Arc::clone(&s.key.cluster), Arc::clone(&s.key.stream))).collect();
        names.dedup(); // they are in the order of their keys
        it.streams = names.into();
        it.changed = true;
    }

    /// Starts that lie shortly after the middle of a log where reading began may not be starts.
    fn learn_beginning(&mut self, flow: u16, stream: u16) {
        let it = &mut self.flows[usize::from(flow)];
        let span = it.rules.timeout.unwrap_or(0).max(rules::QUIET);
        let of_stream = self.sources.iter().filter(|(_, s)| s.stream == stream);
        let begun = of_stream.filter_map(|(_, s)| match s.began {
            crate::model::Began::Middle(at) => Some(at.0.saturating_add(span)),
            crate::model::Began::Beginning => None,
        });
        let until = begun.max().max(it.state.joined_until);
        if until != it.state.joined_until {
            it.state.joined_until = until;
            it.unsaved = true;
            if !it.rules.order.is_empty() {
                it.revisit(Revisit::Everything);
            }
        }
    }

    /// The number of a stream; beyond the bound all streams are `other`.
    fn stream_of(&mut self, cluster: &str, name: &str, role: crate::model::Role) -> u16 {
        let key = |c: &str, n: &str| (c.to_owned(), n.to_owned());
        if let Some(number) = self.stream_index.get(&key(cluster, name)) {
            return *number;
        }
        let full = match self.streams.len() >= self.limits.streams.clamp(1, usize::from(u16::MAX) - 1) {
            true => Some(Bound::Streams),
            false => (!self.series.has_room()).then_some(Bound::Series),
        };
        let (cluster, name) = if full.is_some() { (flow::OTHER, flow::OTHER) } else { (cluster, name) };
        if let Some(bound) = full {
            self.overflow.add(bound, 1);
        }
        if let Some(number) = self.stream_index.get(&key(cluster, name)) {
            return *number;
        }
        self.add_stream(Stream::new(cluster, name, role, self.seed))
    }

    fn add_stream(&mut self, stream: Stream) -> u16 {
        let number = self.streams.len() as u16;
        self.series.add(1);
        self.stream_index.insert((stream.state.cluster.clone(), stream.state.name.clone()), number);
        self.streams.push(stream);
        number
    }

    fn add_declared(&mut self) {
        for spec in self.specs.clone() {
            if !self.flow_index.contains_key(&spec.name) {
                self.add_flow(&spec.name);
            }
        }
    }

    fn declared(&self, name: &str) -> Declared {
        Declared::from_spec(self.specs.iter().find(|s| s.name == name))
    }

    fn add_flow(&mut self, name: &str) -> u16 {
        let flow = Flow::new(name, self.declared(name), &self.limits, &self.series);
        self.push_flow(flow)
    }

    fn push_flow(&mut self, flow: Flow) -> u16 {
        let number = self.flows.len() as u16;
        self.series.add(1);
        self.flow_index.insert(flow.state.name.clone(), number);
        self.flows.push(flow);
        number
    }

    /// The flow into which flows beyond the bound are folded.
    fn other_flow(&mut self) -> u16 {
        let known = self.flow_index.get(flow::OTHER).copied();
        known.unwrap_or_else(|| self.add_flow(flow::OTHER))
    }

    /// Takes over what the flows counted as folded or refused.
    fn gather_overflow(&mut self) {
        for flow in &mut self.flows {
            self.overflow.merge(&std::mem::take(&mut flow.overflow));
            let refused = std::mem::take(&mut flow.seconds.refused);
            if refused > 0 {
                self.overflow.add(Bound::FarSeconds, refused);
                flow.inexact(flow.state.watermark.unwrap_or_default(), || "too many seconds lie far ahead".to_owned());
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

fn expired_words(stream: &Stream) -> String {
    format!("records of stream {} expired before they were read", stream.state.name)
}

#[cfg(test)]
mod tests;
