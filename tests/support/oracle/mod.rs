//! The second opinion: every number from its definition, all records at once, by sorting.
//!
//! [`Oracle::new`] cuts, orders and deduplicates the records; [`Oracle::at`] says what must be shown
//! when the watermark of each flow stands where the caller says. Both are O(n log n), so a million
//! events are a matter of seconds. Where `docs/SEMANTICS.md` leaves a choice, the choice is named here:
//!
//! * the quartile of n record times is the one at index `3 * (n - 1) / 4`, this record's included;
//! * a `late` event takes part in everything but seconds, windows and history;
//! * an end at exactly the deadline is in time; `timed_out` shows once the watermark is past the deadline;
//! * a hole counts against a transaction only in streams where the flow was seen before the deadline;
//! * a copy that counts anew, ten minutes after the event itself, is no other event for the end-to-end latency;
//! * an event that is cut more than an hour after its transaction ended `ok`, or fell silent in a flow that never
//!   ends, or more than a week after any other end, begins the transaction anew;
//! * the percentile q of n samples is the nearest rank, `ceil(q * n)`, in signed order.

pub mod cut;
pub mod exact;
pub mod expected;
pub mod transaction;

use std::collections::{BTreeMap, HashMap};

use streamgauge::model::{Began, FlowSpec, Kind, Role, SourceKey, Status, Timestamp};

use super::record::{Record, Seen};
pub use expected::{Expected, FlowExpected, Sample, StreamExpected};

/// Copies of an event this close to the last one that counted are duplicates (inclusive), microseconds.
const DUPLICATE_WITHIN: i64 = 600 * 1_000_000;

/// One record that is an event, in its place.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// The record.
    pub record: &'a Record,
    /// Cut time, microseconds.
    pub cut: i64,
    /// Rank of its partition in canonical order.
    pub rank: usize,
    /// Cut behind the kept history of its own partition.
    pub late: bool,
    /// It lies in a stream of dead letters.
    pub dead: bool,
    /// Where it lies.
    pub key: &'a SourceKey,
}

/// A stretch of cut time in which something may be missing from a stream.
#[derive(Clone, Copy, Debug)]
pub struct Hole {
    /// First microsecond, at the earliest.
    pub from: i64,
    /// First microsecond, at the latest: how late records come at the end of a log is measured, not written in it.
    pub surely: i64,
    /// Last microsecond.
    pub to: i64,
}

/// A stream by cluster and name.
pub type StreamName = (String, String);

/// What is known of a flow's surroundings.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Where something may be missing: by stream, each with the first cut at which the flow was seen in it.
    pub holes: Vec<(i64, Vec<Hole>)>,
    /// Moments at which reading began in the middle of one of its partitions.
    pub middles: Vec<i64>,
}

/// One flow, before any watermark.
#[derive(Default)]
struct Flow<'a> {
    counted: Vec<Placed<'a>>,
    transactions: BTreeMap<&'a str, Vec<Placed<'a>>>,
    uncut: u64,
    duplicates: u64,
    streams: BTreeMap<StreamName, i64>,
    around: Around,
}

/// All records of a run, in order, each with its verdict of being a copy or not.
pub struct Oracle<'a> {
    specs: &'a [FlowSpec],
    flows: BTreeMap<&'a str, Flow<'a>>,
    streams: BTreeMap<StreamName, StreamExpected>,
}

impl<'a> Oracle<'a> {
    /// Everything that does not depend on a watermark. `history` is the kept history at one second, in seconds.
    pub fn new(specs: &'a [FlowSpec], seen: &'a [Seen], history: i64) -> Self {
        let mut sources: Vec<&Seen> = seen.iter().filter(|s| s.role != Role::Lag).collect();
        sources.sort_by(|a, b| a.key.cmp(&b.key));
        let mut oracle = Self { specs, flows: BTreeMap::new(), streams: BTreeMap::new() };
        let mut all = Vec::new();
        let mut holes: BTreeMap<StreamName, Vec<Hole>> = BTreeMap::new();
        for (rank, source) in sources.iter().enumerate() {
            let name = stream_name(source);
            let cuts = cut::cuts(source, history);
            holes.entry(name.clone()).or_default().extend(cut::holes(source, &cuts));
            let stream = oracle.streams.entry(name.clone()).or_default();
            for (record, cut) in source.records.iter().zip(&cuts) {
                match record.kind {
                    Kind::Tombstone => stream.tombstones += 1,
                    Kind::Undecodable(reason) => *stream.undecodable.entry(reason.name()).or_default() += 1,
                    Kind::Opaque => stream.count_opaque(cut.at, cut.late),
                    Kind::Event => {
                        let flow = oracle.flows.entry(&record.flow).or_default();
                        let first = flow.streams.entry(name.clone()).or_insert(i64::MAX);
                        *first = (*first).min(cut.at.unwrap_or(i64::MAX));
                        match cut.at {
                            Some(at) => all.push(Placed {
                                record,
                                cut: at,
                                rank,
                                late: cut.late,
                                dead: source.role == Role::Dlq,
                                key: &source.key,
                            }),
                            None => {
                                flow.uncut += 1;
                                stream.events += 1;
                                stream.opaque += u64::from(record.transaction.is_empty());
                            }
                        }
                    }
                }
            }
        }
        all.sort_by_key(|p| (p.cut, p.rank, p.record.position));
        oracle.count(&all, &sources);
        for flow in oracle.flows.values_mut() {
            for (name, first) in &flow.streams {
                flow.around.holes.extend(holes.get(name).map(|h| (*first, h.clone())));
                flow.around.middles.extend(sources.iter().filter_map(|s| match s.began {
                    Began::Middle(at) if stream_name(s) == *name => Some(at.0),
                    _ => None,
                }));
            }
        }
        oracle
    }

    /// Separates events from their copies, in order.
    fn count(&mut self, all: &[Placed<'a>], sources: &[&Seen]) {
        let mut last: HashMap<(&str, &str, &str, u8), i64> = HashMap::new();
        for placed in all {
            let key = &sources[placed.rank].key;
            let flow = self.flows.get_mut(&*placed.record.flow).expect("entered above");
            if !placed.record.id.is_empty() {
                let identity = (&*key.cluster, &*key.stream, placed.record.id.as_str(), placed.record.redrive);
                match last.get(&identity) {
                    Some(&before) if placed.cut - before <= DUPLICATE_WITHIN => {
                        flow.duplicates += 1;
                        continue;
                    }
                    _ => {
                        last.insert(identity, placed.cut);
                    }
                }
            }
            let stream = self.streams.get_mut(&stream_name(sources[placed.rank])).expect("entered above");
            stream.count_event(placed.cut, placed.late);
            stream.opaque += u64::from(placed.record.transaction.is_empty());
            flow.counted.push(*placed);
            if !placed.record.transaction.is_empty() {
                flow.transactions.entry(&placed.record.transaction).or_default().push(*placed);
            }
        }
    }

    /// What must be shown where `watermark` says how far each flow is complete.
    pub fn at(&self, watermark: &dyn Fn(&str) -> Option<Timestamp>) -> Expected {
        let flows = self
            .flows
            .iter()
            .map(|(name, flow)| ((*name).to_owned(), self.flow_at(name, flow, watermark(name).map(|w| w.0))))
            .collect();
        Expected { flows, streams: self.streams.clone() }
    }

    fn flow_at(&self, name: &str, flow: &Flow<'a>, watermark: Option<i64>) -> FlowExpected {
        let rule = transaction::Rule::of(name, self.specs.iter().find(|s| s.name == name));
        let declared = rule.stages.to_vec();
        let mut out = FlowExpected { watermark, declared, ..FlowExpected::default() };
        out.totals.duplicates = flow.duplicates;
        out.totals.events = flow.uncut;
        for event in &flow.counted {
            out.count_event(event.record, event.cut, event.late);
        }
        for (id, events) in &flow.transactions {
            for life in transaction::lives(events, &rule, &flow.around) {
                out.count_transaction(id, &transaction::resolve(life, &rule, &flow.around, watermark));
            }
        }
        out.finish();
        out
    }

    /// End-to-end latencies of a flow, told apart: those that `settle` microseconds of watermark after the end
    /// were what they are now, and those that anything read later moved.
    pub fn settled(&self, flow: &str, watermark: Option<i64>, settle: i64) -> (Vec<Sample>, Vec<Sample>) {
        let rule = transaction::Rule::of(flow, self.specs.iter().find(|s| s.name == flow));
        let (mut stable, mut moved) = (Vec::new(), Vec::new());
        let Some(flow) = self.flows.get(flow) else { return (stable, moved) };
        for events in flow.transactions.values() {
            let verdict = transaction::resolve(events, &rule, &flow.around, watermark);
            let (transaction::State::Ended(outcome), Some((end, _))) = (verdict.state, verdict.end) else { continue };
            let early: Vec<Placed<'_>> = events.iter().filter(|e| e.cut <= end + settle).copied().collect();
            let then = transaction::resolve(&early, &rule, &flow.around, Some(end + settle)).latency;
            let sample = verdict.latency.map(|(micros, clock)| Sample { outcome, micros, clock });
            match (sample, then) {
                (Some(sample), then) if then == verdict.latency => stable.push(sample),
                (Some(sample), _) => moved.push(sample),
                (None, Some((micros, clock))) => moved.push(Sample { outcome, micros, clock }),
                (None, None) => {}
            }
        }
        (stable, moved)
    }

    /// Streams in which a flow was seen.
    pub fn streams_of(&self, flow: &str) -> Vec<StreamName> {
        self.flows.get(flow).map(|f| f.streams.keys().cloned().collect()).unwrap_or_default()
    }
}

/// True for statuses that a stage's error rate counts.
pub fn is_error(status: Status) -> bool {
    matches!(status, Status::Failed | Status::Retried | Status::DeadLettered)
}

fn stream_name(source: &Seen) -> StreamName {
    (source.key.cluster.to_string(), source.key.stream.to_string())
}
