//! From a record to the books: cut time, duplicates, transaction.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::model::{Batch, Event, Kind, Outcome, Role};

use super::account::second;
use super::copies::{Copy, counted};
use super::dedup::{HORIZON, Seen, has_forgotten};
use super::overflow::Bound;
use super::page::flag;
use super::resolve::Fact;
use super::{Engine, flow};

/// Flow of events that name none.
const DEFAULT_FLOW: &str = "default";

/// An event with its names resolved, on its way into the books.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Flow.
    pub flow: u16,
    /// Hash of flow and transaction id.
    pub key: u64,
    /// Transaction id; empty: the event belongs to none.
    pub transaction: &'a str,
    /// The event.
    pub fact: Fact,
    /// Trace id, where it carried one.
    pub trace: Option<[u8; 16]>,
    /// It says what an earlier event of its transaction has said: it counts, and changes nothing else.
    pub repeats: bool,
}

/// Events whose memory is fetched side by side.
const BLOCK: usize = 32;

/// Hashes of an event.
#[derive(Clone, Copy, Debug, Default)]
struct Prints {
    /// Of stream, event id and redrive count.
    id: u64,
    /// Of flow and transaction id. The flow is the one that the event names, also where it is folded into `other`.
    key: u64,
}

/// The flow that an event names.
fn flow_name<'a>(event: &Event, text: &'a str) -> &'a str {
    Some(event.flow.of(text)).filter(|n| !n.is_empty()).unwrap_or(DEFAULT_FLOW)
}

impl Copy {
    fn of(a: &Arrival<'_>) -> Self {
        let (transaction, trace) = (a.transaction.to_owned(), a.trace);
        Self { fact: a.fact, flow: a.flow, key: a.key, transaction, trace, counted: false, fixed: false }
    }

    fn arrival(&self) -> Arrival<'_> {
        let Self { fact, flow, key, trace, .. } = *self;
        Arrival { flow, key, transaction: &self.transaction, fact, trace, repeats: false }
    }

    fn says(&self, of: &Self) -> bool {
        let said = |c: &Self| (c.key, c.fact.stage, c.fact.status, c.fact.outcome, c.fact.time, c.fact.started);
        said(self) == said(of)
    }
}

impl Engine {
    /// Consecutive records of one partition. Positions that were read before are ignored.
    pub fn apply(&mut self, b: &Batch) {
        let Some(number) = self.sources.find(&b.source) else {
            self.overflow.add(Bound::Unopened, b.events.len() as u64);
            return;
        };
        let (next, stream) = (self.sources.get(number).next, self.sources.get(number).stream);
        let mut earliest: Option<i64> = None;
        let mut prints = [Prints::default(); BLOCK];
        for block in b.events.chunks(BLOCK) {
            self.look_ahead(stream, block, &b.text, &mut prints);
            for (event, prints) in block.iter().zip(&prints).filter(|(e, _)| e.position >= next) {
                let cut = self.record(number, event, &b.text, *prints);
                earliest = earliest.map_or(cut, |e| Some(cut.map_or(e, |c| c.min(e))));
            }
        }
        let source = self.sources.get_mut(number);
        source.arrived(b, earliest);
        let timed = b.events.iter().rev().find_map(|e| Some((e.position, e.record_time?.0)));
        source.last = timed.or(source.last);
    }

    /// Computes the hashes of a block of events and touches what they will need. The tables are far larger than the
    /// caches: events that wait for memory one after the other cost several times what they cost side by side.
    fn look_ahead(&mut self, stream: u16, block: &[Event], text: &str, prints: &mut [Prints; BLOCK]) {
        let stream = &self.streams[usize::from(stream)];
        let mut flow = ("", 0);
        for (event, prints) in block.iter().zip(prints.iter_mut()).filter(|(e, _)| e.kind == Kind::Event) {
            let name = flow_name(event, text);
            if flow.0 != name {
                flow = (name, flow::seed_of(name, self.seed));
            }
            prints.id = stream.id(event.id.of(text), event.redrive);
            prints.key = xxh3_64_with_seed(event.transaction.of(text).as_bytes(), flow.1);
        }
        let touch = |p: &Prints| self.dedup.touch(p.id) ^ self.table.touch(p.key);
        std::hint::black_box(prints[..block.len()].iter().map(touch).fold(0, |a, b| a ^ b));
    }

    /// Takes one record; returns its cut time, unless that is too old for the windows.
    fn record(&mut self, number: u16, event: &Event, text: &str, prints: Prints) -> Option<i64> {
        let source = self.sources.get_mut(number);
        let record_time = event.record_time.map(|t| t.0);
        let cut = source.times.cut(record_time, source.append_time, event.event_time.map(|t| t.0));
        let frontier = source.times.frontier();
        let late = cut.zip(frontier).is_some_and(|(c, f)| c < f.saturating_sub(self.history));
        let (stream_number, role) = (source.stream, source.role);
        let stream = &mut self.streams[usize::from(stream_number)];
        if let Some(cut) = cut
            && stream.state.holes.close(number, cut)
        {
            self.holes_changed(stream_number, cut);
        }
        let stream = &mut self.streams[usize::from(stream_number)];
        stream.unsaved = true;
        match event.kind {
            Kind::Undecodable(reason) => {
                *stream.state.decode_errors.entry(reason).or_default() += 1;
                self.sources.get_mut(number).undecodable += 1;
                if let Some(cut) = cut {
                    self.spoiled(stream_number, cut);
                }
            }
            Kind::Tombstone => stream.state.tombstones += 1,
            Kind::Opaque => {
                stream.state.opaque += 1;
                stream.count(cut.filter(|_| !late).map(second), 1);
            }
            Kind::Event if role == Role::Lag => stream.count(cut.filter(|_| !late).map(second), 1),
            Kind::Event => self.event(number, event, text, prints, cut, late),
        }
        cut.filter(|_| !late)
    }

    fn event(&mut self, number: u16, event: &Event, text: &str, prints: Prints, cut: Option<i64>, late: bool) {
        let source = self.sources.get(number);
        let (stream_number, dlq) = (source.stream, source.role == Role::Dlq);
        let transaction = event.transaction.of(text);
        if transaction.is_empty() {
            self.streams[usize::from(stream_number)].state.opaque += 1;
            if event.stage.is_empty() {
                self.streams[usize::from(stream_number)].count(cut.filter(|_| !late).map(second), 1);
                return;
            }
        }
        let flow_number = self.flow_of(flow_name(event, text), stream_number, cut.unwrap_or(i64::MAX));
        let stream = &self.streams[usize::from(stream_number)];
        let flow = &mut self.flows[usize::from(flow_number)];
        let stage = if event.stage.is_empty() { &stream.state.name } else { event.stage.of(text) };
        let stage = flow.stage(stage);
        let id = (!event.id.is_empty()).then_some(prints.id);
        let time = event.event_time.or(event.record_time).map(|t| t.0);
        let fact = Fact {
            cut: cut.unwrap_or_default(),
            time: time.or(cut).unwrap_or_default(),
            started: event.started_at.map(|t| t.0),
            position: event.position,
            print: id.unwrap_or_default() as u32,
            source: number,
            stage,
            status: event.status,
            outcome: if dlq { Some(Outcome::DeadLettered) } else { event.outcome },
            event_clock: event.event_time.is_some(),
            late,
        };
        let trace = event.trace.map(|t| t.trace_id);
        let arrival = Arrival { flow: flow_number, key: prints.key, transaction, fact, trace, repeats: false };
        let Some(cut) = cut else {
            // No time at all: there is no second and no order in which it could take part.
            self.flows[usize::from(flow_number)].count_event_total(&fact, 1);
            self.streams[usize::from(stream_number)].count(None, 1);
            return;
        };
        match id {
            None => {
                let flow = &mut self.flows[usize::from(flow_number)];
                if !transaction.is_empty() && has_forgotten(cut.div_euclid(1_000), flow.forgotten) {
                    flow.inexact(cut, "an event came so late that its transaction may be forgotten");
                }
                self.place(&arrival);
            }
            Some(id) => self.identified(id, cut.div_euclid(1_000), &arrival),
        }
    }

    /// The number of a flow, which was seen in a stream at `cut`.
    fn flow_of(&mut self, name: &str, stream: u16, cut: i64) -> u16 {
        let last = self.flows.get(usize::from(self.last_flow));
        if last.is_some_and(|f| f.state.name == name && f.last_stream.0 == stream && f.last_stream.1 <= cut) {
            return self.last_flow;
        }
        let number = match self.flow_index.get(name) {
            Some(number) => *number,
            None if self.flow_index.len() >= self.limits.flows.clamp(1, usize::from(u16::MAX) - 1) => {
                self.overflow.add(Bound::Flows, 1);
                self.other_flow()
            }
            None if !self.series.has_room() => {
                self.overflow.add(Bound::Series, 1);
                self.other_flow()
            }
            None => self.add_flow(name),
        };
        let first = self.flows[usize::from(number)].state.streams.get(&stream).copied();
        if first.is_none_or(|first| cut < first) {
            self.seen_in(number, stream, cut);
        }
        self.flows[usize::from(number)].last_stream = (stream, first.map_or(cut, |first| first.min(cut)));
        self.last_flow = number;
        number
    }

    /// An event with an id: does it count?
    fn identified(&mut self, id: u64, millis: i64, a: &Arrival<'_>) {
        let forgotten = self.flows[usize::from(a.flow)].forgotten;
        let (first, slot) = match self.dedup.seen(id, millis, forgotten) {
            Seen::Never => {
                if has_forgotten(millis, forgotten) {
                    let words = "an event came so late that a copy before it may be forgotten";
                    self.flows[usize::from(a.flow)].inexact(a.fact.cut, words);
                }
                let slot = self.place(a);
                if !self.dedup.remember(id, millis, slot) {
                    self.overflow.add(Bound::DedupEvents, 1);
                    self.flows[usize::from(a.flow)].inexact(a.fact.cut, "limits.dedup_events reached");
                }
                return;
            }
            Seen::Copies => {
                let copies = self.copies.take(id);
                return self.another_copy(id, copies, a);
            }
            Seen::Once(first, slot) => (first, slot),
        };
        if self.copies.full() {
            self.overflow.add(Bound::Copies, 1);
            let flow = &mut self.flows[usize::from(a.flow)];
            flow.inexact(a.fact.cut, "too many events with several copies");
            if first.abs_diff(millis) <= HORIZON.unsigned_abs() / 1_000 {
                flow.state.totals.duplicates += 1;
            } else {
                self.place(a);
            }
            return;
        }
        let first = self.first_copy(first, slot, a);
        self.another_copy(id, vec![first], a);
    }

    /// The copy that was read before, from its transaction.
    fn first_copy(&mut self, millis: i64, slot: Option<u32>, a: &Arrival<'_>) -> Copy {
        let mut events = Vec::new();
        if let Some(found) = slot.and_then(|s| self.table.transaction(s)) {
            let (slot, head) = (slot.unwrap_or_default(), found.head);
            self.table.load(slot, &mut events);
            let same = |e: &&Fact| e.print == a.fact.print && e.cut.div_euclid(1_000) == millis;
            if let Some(fact) = events.iter().find(same) {
                let transaction = self.table.id(slot).to_owned();
                let (key, flow) = (head.key, head.flow);
                let trace = (head.flags & flag::TRACED != 0 && head.traced_at == fact.cut).then_some(head.trace);
                return Copy { fact: *fact, flow, key, transaction, trace, counted: true, fixed: false };
            }
        }
        // It belongs to no transaction (then it is like its copy), or its transaction has left the table.
        let fact = Fact { cut: millis.saturating_mul(1_000), position: 0, ..a.fact };
        Copy { fact, counted: true, fixed: !a.transaction.is_empty(), ..Copy::of(a) }
    }

    /// One more copy of an event: counts the ones that should and takes back the ones that should not.
    fn another_copy(&mut self, id: u64, mut copies: Vec<Copy>, a: &Arrival<'_>) {
        let ranks = self.sources.ranks();
        let order = |f: &Fact| (f.cut, ranks[usize::from(f.source)], f.position);
        let at = copies.partition_point(|c| order(&c.fact) <= order(&a.fact));
        copies.insert(at, Copy::of(a));
        self.flows[usize::from(a.flow)].state.totals.duplicates += 1; // until it counts
        let verdicts = counted(&copies);
        // First what counts now: a transaction that were empty in between would forget that it has settled.
        for i in (0..copies.len()).filter(|i| verdicts[*i]) {
            let (before, copy) = (&copies[..i], &copies[i]);
            if !copy.counted {
                let repeats = before.iter().zip(&verdicts).any(|(c, counts)| *counts && c.says(copy));
                self.place(&Arrival { repeats, ..copy.arrival() });
                self.flows[usize::from(copy.flow)].state.totals.duplicates -= 1;
                copies[i].counted = true;
            }
        }
        for (copy, counts) in copies.iter_mut().zip(&verdicts) {
            if copy.counted && !counts {
                self.displace(&copy.arrival());
                self.flows[usize::from(copy.flow)].state.totals.duplicates += 1;
                copy.counted = false;
            }
        }
        let flow = &mut self.flows[usize::from(a.flow)];
        (flow.unsaved, flow.changed) = (true, true);
        if !verdicts[at] && copies.iter().any(|c| c.fixed && c.fact.cut > a.fact.cut) {
            flow.inexact(a.fact.cut, "an earlier copy came after its transaction had been put away");
        }
        let last = copies.last().map_or(a.fact.cut, |c| c.fact.cut);
        let dropped = self.copies.put(id, copies);
        self.overflow.add(Bound::Copies, dropped);
        if dropped > 0 {
            self.flows[usize::from(a.flow)].inexact(a.fact.cut, "too many copies of one event");
        }
        self.dedup.remember_copies(id, last.div_euclid(1_000));
    }
}
