//! What is known of one transaction, by its id.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::Engine;
use super::flow::{Flow, OTHER, seed_of};
use super::lifecycle::LEAVE_AFTER;
use super::page::{Head, flag};
use super::resolve::{Clock, Fact, Fate, Resolution, Sample};
use super::tombstone::{LASTING_KEPT, Left, OK_KEPT, Tombstone};
use super::trace::{derived_trace_id, hex};
use crate::model::{MICROS_PER_SECOND, Outcome, Role, Timestamp};
use crate::snapshot::{Meaning, Measured, TransactionEvent, TransactionState, TransactionView, Waits};

/// For how many seconds of watermark after its end a transaction is known with its events, and then without them: one
/// that ended `ok`, and any other.
pub const KEPT_SECONDS: [i64; 3] = [LEAVE_AFTER / MICROS_PER_SECOND, OK_KEPT, LASTING_KEPT];

impl Engine {
    fn key_of(&self, flow: &str, transaction: &str) -> u64 {
        xxh3_64_with_seed(transaction.as_bytes(), seed_of(flow, self.seed))
    }

    fn stone_of(&self, flow: &str, key: u64) -> Option<Tombstone> {
        let flow = self.flows.get(usize::from(*self.flow_index.get(flow).or_else(|| self.flow_index.get(OTHER))?))?;
        self.stones.find(key, i64::MIN, flow.forgotten)
    }

    /// Whether a transaction has ended `ok`, also by a recovery. `None`: nothing is known of it (any more).
    pub fn ended_ok(&mut self, flow: &str, transaction: &str) -> Option<bool> {
        let key = self.key_of(flow, transaction);
        let Some(slot) = self.table.find(key) else {
            let stone = self.stone_of(flow, key)?;
            return match stone.left() {
                Left::Ended(outcome) => Some(outcome == Outcome::Ok),
                Left::Recovered => Some(true),
                Left::Unexplained => Some(false),
                Left::OpenEnded | Left::Evicted => None,
            };
        };
        let mut scratch = self.scratch.take().unwrap_or_default();
        self.table.load(slot, &mut scratch.events);
        let known = self.resolve_old(slot, &mut scratch);
        let ok = scratch.old.fate() == Fate::Ended(Outcome::Ok);
        self.done(scratch);
        known.then_some(ok)
    }

    /// All that is known of a transaction; `None`: nothing (any more).
    pub fn transaction(&mut self, flow: &str, transaction: &str) -> Option<TransactionView> {
        let key = self.key_of(flow, transaction);
        let blank = TransactionView {
            flow: flow.to_owned(),
            transaction_id: transaction.to_owned(),
            state: TransactionState::Ended,
            outcome: None,
            recovered: false,
            joined: false,
            started_at: None,
            ended_at: None,
            recovered_at: None,
            latency: None,
            waits: None,
            times_out_at: None,
            events: None,
            truncated: false,
            trace_id: hex(derived_trace_id(flow, transaction)),
            trace_carried: false,
            kept_until: None,
        };
        let Some(slot) = self.table.find(key) else {
            return self.stone_of(flow, key).map(|stone| buried(&stone, blank));
        };
        let mut scratch = self.scratch.take().unwrap_or_default();
        self.table.load(slot, &mut scratch.events);
        let known = self.resolve_old(slot, &mut scratch);
        let head = &self.table.slot(slot).head;
        let view = known.then(|| self.alive(head, &scratch.events, &scratch.old, blank));
        self.done(scratch);
        view
    }

    /// Of one that is still in the table.
    fn alive(&self, head: &Head, events: &[Fact], r: &Resolution, blank: TransactionView) -> TransactionView {
        let flow = &self.flows[usize::from(head.flow)];
        let carried = head.flags & flag::TRACED != 0;
        let (state, outcome) = match r.fate() {
            Fate::InFlight => (TransactionState::InFlight, None),
            Fate::Ended(outcome) => (TransactionState::Ended, Some(outcome)),
            Fate::Unexplained => (TransactionState::Unexplained, None),
        };
        let in_flight = r.end.is_none();
        let timeout = flow.rules.timeout.filter(|_| in_flight);
        let last = r.end.map(|end| r.recovery.map_or(end.at.cut, |m| m.cut.max(end.at.cut)));
        TransactionView {
            state,
            outcome,
            recovered: r.recovery.is_some(),
            joined: r.joined,
            started_at: Some(Timestamp(r.start.cut)),
            // Of one that is unexplained it is the deadline: whether it ended is not known.
            ended_at: r.end.filter(|_| outcome.is_some()).map(|end| Timestamp(end.at.cut)),
            recovered_at: r.recovery.map(|m| Timestamp(m.cut)),
            latency: r.end.and_then(|end| end.latency).map(measured),
            waits: in_flight.then(|| self.waits(flow, head, events, r)),
            times_out_at: timeout.map(|t| Timestamp(r.start.cut.saturating_add(t))),
            events: Some(self.told(flow, events, r)),
            truncated: head.flags & flag::TRUNCATED != 0,
            trace_id: if carried { hex(head.trace) } else { blank.trace_id },
            trace_carried: carried,
            kept_until: last.map(|cut| Timestamp(cut.saturating_add(LEAVE_AFTER))),
            ..blank
        }
    }

    fn waits(&self, flow: &Flow, head: &Head, events: &[Fact], r: &Resolution) -> Waits {
        let deadline = flow.deadline(r.waiting);
        Waits {
            stage: flow.stage_name(r.waiting).to_owned(),
            awaited: events.iter().all(|e| e.stage != r.waiting),
            since: Timestamp(r.last_cut),
            // An event is read before the tick that is later than it.
            seconds: seconds(self.now.0.saturating_sub(r.last_cut).max(0)),
            deadline_seconds: deadline.map(|(micros, _)| seconds(micros)),
            deadline_learned: deadline.is_some_and(|(_, learned)| learned),
            stuck: head.flags & flag::STUCK != 0,
        }
    }

    fn told(&self, flow: &Flow, events: &[Fact], r: &Resolution) -> Vec<TransactionEvent> {
        let mut hops: Vec<_> = r.hops.iter().collect();
        let mut end = r.end.map(|end| end.at.cut);
        let mut recovery = r.recovery.map(|m| m.cut);
        let event = |e: &Fact| {
            let outcome = flow.rules.end(e);
            // Each of them is the first that fits: the events are in the order in which they were resolved.
            let meaning = if outcome.is_some() && end == Some(e.cut) {
                end = None;
                Meaning::End
            } else if outcome == Some(Outcome::Ok) && recovery == Some(e.cut) {
                recovery = None;
                Meaning::Recovery
            } else if r.after_end > 0 && r.end.is_some_and(|end| e.time > end.time) {
                Meaning::AfterEnd
            } else {
                Meaning::Step
            };
            let steps = matches!(meaning, Meaning::Step | Meaning::End);
            let made = hops.iter().position(|h| steps && h.to == e.stage && h.at.cut == e.cut);
            let hop = made.map(|i| hops.remove(i));
            let source = self.sources.get(e.source);
            TransactionEvent {
                stage: flow.stage_name(e.stage).to_owned(),
                status: e.status,
                outcome: e.outcome,
                meaning,
                event_time: e.event_clock.then_some(Timestamp(e.time)),
                record_time: match (source.append_time, e.event_clock) {
                    (true, _) => Some(Timestamp(e.cut)),
                    (false, false) => Some(Timestamp(e.time)),
                    (false, true) => None,
                },
                cut_time: Timestamp(e.cut),
                hop: hop.map(|h| (flow.stage_name(h.from).to_owned(), measured(h.sample))),
                cluster: source.key.cluster.to_string(),
                stream: source.key.stream.to_string(),
                generation: source.key.generation,
                partition: source.key.partition,
                position: e.position,
                dead_letter: source.role == Role::Dlq,
            }
        };
        events.iter().map(event).collect()
    }
}

/// Of one that has left the table.
fn buried(stone: &Tombstone, blank: TransactionView) -> TransactionView {
    let (state, outcome) = match stone.left() {
        Left::Ended(outcome) => (TransactionState::Ended, Some(outcome)),
        Left::Recovered => (TransactionState::Ended, Some(Outcome::Ok)),
        Left::Unexplained => (TransactionState::Unexplained, None),
        Left::OpenEnded => (TransactionState::OpenEnded, None),
        Left::Evicted => (TransactionState::Evicted, None),
    };
    // Of all others only their last sign of life, or their deadline, is known.
    let ended = state == TransactionState::Ended;
    TransactionView {
        state,
        outcome,
        recovered: stone.left() == Left::Recovered,
        ended_at: ended.then(|| Timestamp::from_seconds(stone.end_second())),
        kept_until: Some(Timestamp::from_seconds(stone.expires())),
        ..blank
    }
}

fn seconds(micros: i64) -> f64 {
    micros as f64 / MICROS_PER_SECOND as f64
}

fn measured(sample: Sample) -> Measured {
    Measured { seconds: seconds(sample.micros), clock: Clock::NAMES[sample.clock as usize] }
}
