//! The transaction table follows its events: put in, taken out, looked at again.

use crate::model::Outcome;

use super::Engine;
use super::account::second;
use super::exemplar::Who;
use super::flow::Flow;
use super::ingest::Arrival;
use super::overflow::Bound;
use super::page::{Head, flag};
use super::resolve::{Context, Fact, Fate, Moment, Resolution};
use super::rules::QUIET;
use super::second::Tally;
use super::stream::Stream;
use super::tombstone::{Left, Tombstone, outlived};

/// Why the numbers of a flow are not exact.
const OUTLIVED: &str = "a transaction that was long over began anew while it was still kept";

/// Room that is used again for each event.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Events of the transaction at hand.
    pub events: Vec<Fact>,
    /// What they were resolved to.
    pub old: Resolution,
    /// What they are resolved to.
    pub new: Resolution,
}

/// What the flags of a transaction say about its resolution.
fn context_of(head: &Head) -> Context {
    let has = |bit| head.flags & bit != 0;
    Context { passed: has(flag::PASSED), hole: has(flag::HOLE), joined: has(flag::JOINED) }
}

/// What is true of a transaction now.
fn context_now(flow: &Flow, streams: &[Stream], events: &[Fact]) -> Context {
    let start = &events[0];
    let deadline = flow.rules.timeout.map(|t| start.cut.saturating_add(t));
    let passed = deadline.is_some_and(|d| flow.state.watermark > Some(d));
    let hole = |d: i64| {
        // A stream that the flow only came to later is none of its business.
        let holes = |(s, first): (&u16, &i64)| *first <= d && streams[usize::from(*s)].state.holes.any(start.cut, d);
        !events.iter().any(|e| e.cut <= d && flow.rules.end(e).is_some()) && flow.state.streams.iter().any(holes)
    };
    let joined = !flow.rules.order.is_empty()
        && flow.rules.rank(start.stage) != Some(0)
        && flow.state.joined_until >= Some(start.cut);
    Context { passed, hole: passed && deadline.is_some_and(hole), joined }
}

impl Engine {
    /// What is left of a transaction that an event finds put away.
    fn stone(&self, a: &Arrival<'_>) -> Option<Tombstone> {
        self.stones.find(a.key, second(a.fact.cut), self.flows[usize::from(a.flow)].forgotten)
    }

    /// Counts an event and puts it into its transaction. Returns the transaction's slot, where it has one.
    pub(super) fn place(&mut self, a: &Arrival<'_>) -> Option<u32> {
        self.count(a, 1);
        if a.transaction.is_empty() {
            return None;
        }
        let slot = match self.table.find(a.key) {
            Some(slot) => slot,
            None => {
                if let Some(stone) = self.stone(a) {
                    self.meet(stone, a, 1);
                    return None;
                }
                if self.table.len() >= self.limits.transactions.clamp(1, super::table::MAX_SLOTS / 4) {
                    self.evict();
                }
                self.table.insert(a.key, a.flow, a.transaction)
            }
        };
        let mut scratch = self.scratch.take().unwrap_or_default();
        self.table.load(slot, &mut scratch.events);
        let had = self.resolve_old(slot, &mut scratch);
        let ranks = self.sources.ranks();
        let order = |f: &Fact| (f.cut, ranks[usize::from(f.source)], f.position);
        let at = scratch.events.iter().rposition(|e| order(e) < order(&a.fact)).map_or(0, |i| i + 1);
        scratch.events.insert(at, a.fact);
        if scratch.events.len() > self.limits.events_per_transaction.clamp(2, 1_000) {
            self.truncate(a, &mut scratch.events);
            self.table.slot_mut(slot).head.flags |= flag::TRUNCATED;
        }
        if let Some(trace) = a.trace {
            let head = &mut self.table.slot_mut(slot).head;
            if head.flags & flag::TRACED == 0 || a.fact.cut < head.traced_at {
                (head.trace, head.traced_at) = (trace, a.fact.cut);
                head.flags |= flag::TRACED;
            }
        }
        self.revise(slot, &mut scratch, had, true);
        let before = had && at == 0 && self.stone(a).is_some();
        if before || outlived(&scratch.new, &scratch.events) {
            // By the records alone it is one transaction, then a time for which nobody remembers, then another.
            self.flows[usize::from(a.flow)].inexact(a.fact.cut, OUTLIVED);
        }
        self.scratch = Some(scratch);
        Some(slot)
    }

    /// Takes an event back that was counted: another copy of it is the one that counts.
    pub(super) fn displace(&mut self, a: &Arrival<'_>) {
        self.count(a, -1);
        if a.transaction.is_empty() {
            return;
        }
        let Some(slot) = self.table.find(a.key) else {
            if let Some(stone) = self.stone(a) {
                self.meet(stone, a, -1);
            }
            return;
        };
        let mut scratch = self.scratch.take().unwrap_or_default();
        self.table.load(slot, &mut scratch.events);
        let had = self.resolve_old(slot, &mut scratch);
        let before = scratch.events.len();
        scratch.events.retain(|e| (e.source, e.position) != (a.fact.source, a.fact.position));
        if scratch.events.len() == before {
            let flow = &mut self.flows[usize::from(a.flow)];
            flow.inexact(a.fact.cut, "a copy could not be taken back from a truncated transaction");
        }
        self.revise(slot, &mut scratch, had, true);
        self.scratch = Some(scratch);
    }

    /// Looks at a transaction again, because time has passed or its flow has changed. What it is resolved to is lent
    /// as `scratch.new`; give the scratch back with [`Engine::done`].
    pub(super) fn refresh(&mut self, slot: u32) -> Box<Scratch> {
        let mut scratch = self.scratch.take().unwrap_or_default();
        self.table.load(slot, &mut scratch.events);
        let had = self.resolve_old(slot, &mut scratch);
        let head = &self.table.slot(slot).head;
        let flow = &self.flows[usize::from(head.flow)];
        let quiet = scratch.old.end.is_some() && head.due == i64::MAX;
        if quiet && context_now(flow, &self.streams, &scratch.events) == context_of(head) {
            let Scratch { old, new, .. } = &mut *scratch;
            std::mem::swap(old, new); // an ended one whose time has come: nothing else has changed
        } else {
            self.revise(slot, &mut scratch, had, false);
        }
        scratch
    }

    /// Takes back what [`Engine::refresh`] lent.
    pub(super) fn done(&mut self, scratch: Box<Scratch>) {
        self.scratch = Some(scratch);
    }

    pub(super) fn resolve_old(&self, slot: u32, scratch: &mut Scratch) -> bool {
        let head = &self.table.slot(slot).head;
        if scratch.events.is_empty() {
            return false;
        }
        scratch.old.resolve(&scratch.events, &self.flows[usize::from(head.flow)].rules, context_of(head));
        true
    }

    /// Makes the numbers follow: `scratch.events` are what the transaction consists of now, `scratch.old` is what was
    /// counted (if `had`).
    fn revise(&mut self, slot: u32, scratch: &mut Scratch, had: bool, store: bool) {
        let head = self.table.slot(slot).head;
        let flow = &mut self.flows[usize::from(head.flow)];
        (flow.unsaved, flow.changed) = (true, true);
        let trace = (head.flags & flag::TRACED != 0).then_some(head.trace);
        let who = Who { key: head.key, transaction: self.table.id(slot), trace };
        let old = had.then_some(&scratch.old);
        if head.flags & flag::STUCK != 0 {
            flow.unstick(&scratch.old, head.key, slot);
        }
        let mut flags = head.flags & flag::LASTING;
        if scratch.events.is_empty() {
            flow.account(old, None, who);
            self.table.remove(slot);
            return;
        }
        let context = context_now(flow, &self.streams, &scratch.events);
        let new = &mut scratch.new;
        new.resolve(&scratch.events, &flow.rules, context);
        flow.account(old, Some(new), who);
        flags |= if context.passed { flag::PASSED } else { 0 }
            | if context.hole { flag::HOLE } else { 0 }
            | if context.joined { flag::JOINED } else { 0 }
            | if new.end.is_some() { flag::ENDED } else { 0 };
        if new.end.is_none() {
            let was = had && scratch.old.end.is_none() && scratch.old.start == new.start;
            if !was {
                flow.oldest.push(std::cmp::Reverse((new.start.cut, head.key, slot)));
            }
            if flow.is_stuck(new) {
                flags |= flag::STUCK;
                flow.stick(new, head.key, slot);
            }
        }
        let mut settled = head.settled;
        if settled != 0 {
            settled = flow.state.settled.correct(settled, new.fate());
        }
        let due = flow.next_due(new, flags, settled);
        // A transaction whose time has come is armed by the one who called.
        let armed = due < head.due && (store || head.due != i64::MAX);
        if armed {
            flow.timers.entry(due).or_default().push(slot);
        }
        if store {
            self.table.store(slot, &scratch.events);
        }
        if store || armed || (flags, settled) != (head.flags, head.settled) {
            let head = &mut self.table.slot_mut(slot).head;
            (head.flags, head.settled) = (flags, settled);
            if armed {
                head.due = due;
            }
        }
    }

    /// Takes back all that a transaction contributes, before the rules of its flow change.
    pub(super) fn uncount(&mut self, slot: u32) {
        let mut scratch = self.scratch.take().unwrap_or_default();
        self.table.load(slot, &mut scratch.events);
        self.resolve_old(slot, &mut scratch);
        let head = self.table.slot(slot).head;
        let flow = &mut self.flows[usize::from(head.flow)];
        let who = Who { key: head.key, transaction: self.table.id(slot), trace: None };
        flow.account(Some(&scratch.old), None, who);
        if head.flags & flag::STUCK != 0 {
            flow.unstick(&scratch.old, head.key, slot);
        }
        let head = &mut self.table.slot_mut(slot).head;
        head.flags &= flag::LASTING;
        head.due = i64::MAX;
        self.scratch = Some(scratch);
    }

    /// Counts a transaction anew after [`Engine::uncount`].
    pub(super) fn recount(&mut self, slot: u32) {
        let mut scratch = self.scratch.take().unwrap_or_default();
        self.table.load(slot, &mut scratch.events);
        self.revise(slot, &mut scratch, false, true);
        self.scratch = Some(scratch);
    }

    /// Counts an event for its stream, its stage and its second; below zero takes back.
    fn count(&mut self, a: &Arrival<'_>, n: i32) {
        let flow = &mut self.flows[usize::from(a.flow)];
        (flow.unsaved, flow.changed) = (true, true);
        flow.count_event(&a.fact, n);
        if !a.transaction.is_empty() && flow.rules.end(&a.fact).is_some() {
            flow.state.ends += i64::from(n);
        }
        let stream = self.sources.get(a.fact.source).stream;
        let at = (!a.fact.late).then(|| second(a.fact.cut));
        self.streams[usize::from(stream)].count(at, n);
    }

    /// Too many events: the last one that neither starts nor ends the transaction goes.
    fn truncate(&mut self, a: &Arrival<'_>, events: &mut Vec<Fact>) {
        let flow = &mut self.flows[usize::from(a.flow)];
        let at = events.iter().rposition(|e| flow.rules.end(e).is_none()).filter(|i| *i > 0);
        events.remove(at.unwrap_or(events.len() - 1));
        flow.state.totals.truncated += 1;
        flow.inexact(a.fact.cut, "limits.events_per_transaction reached");
        self.overflow.add(Bound::EventsPerTransaction, 1);
    }

    /// An event belongs to a transaction that has left the table.
    fn meet(&mut self, stone: Tombstone, a: &Arrival<'_>, n: i32) {
        let flow = &mut self.flows[usize::from(a.flow)];
        let (left, was_quiet) = (stone.left(), stone.was_quiet());
        // It may have been the start, the first end or a hop of what was put away without it.
        let known_to = stone.end_second() + if left == Left::OpenEnded { second(QUIET) } else { 0 };
        if left != Left::Evicted && second(a.fact.cut) <= known_to {
            let words = "an event that was cut before the end came after its transaction had been put away";
            flow.inexact(a.fact.cut, words);
        }
        let outcome = flow.rules.end(&a.fact).filter(|_| n > 0);
        if let Some(outcome) = outcome.filter(|o| flow.moves(&stone, &a.fact, *o)) {
            let totals = &mut flow.state.totals;
            match left {
                Left::Ended(old) => totals.outcomes[old as usize] -= 1,
                Left::Unexplained => totals.unexplained -= 1,
                _ => totals.open_ended -= 1,
            }
            totals.outcomes[outcome as usize] += 1;
            let fate = Fate::Ended(outcome);
            if stone.settled() == 0 {
                flow.state.settled.count(fate);
            }
            let settled = flow.state.settled.correct(stone.settled(), fate);
            let lasting = outcome == Outcome::Ok && left != Left::OpenEnded;
            let left = if lasting { Left::Recovered } else { Left::Ended(outcome) };
            let quiet = stone.left() == Left::OpenEnded;
            let (time, at) = match quiet {
                true => (a.fact.time, second(a.fact.cut)),
                false => (stone.end_time, stone.end_second()),
            };
            let stone = Tombstone::new(stone.key, a.flow, left, time, at, settled);
            self.stones.put(stone.after_quiet(quiet || was_quiet));
        } else if left == Left::OpenEnded || was_quiet {
            // It counts as an event, nothing more.
        } else if left != Left::Evicted && a.fact.time > stone.end_time {
            flow.state.totals.after_end += i64::from(n);
        } else if !a.repeats {
            flow.state.totals.truncated += i64::from(n);
            flow.inexact(a.fact.cut, "an event came after its transaction had been put away");
        }
    }
}

impl Flow {
    /// True where an end changes how a transaction that has left is counted; its window is righted here.
    fn moves(&mut self, stone: &Tombstone, event: &Fact, outcome: Outcome) -> bool {
        let at = Moment { cut: event.cut, late: event.late };
        let timed_out = matches!(stone.left(), Left::Ended(Outcome::TimedOut) | Left::Unexplained);
        let after = if timed_out { at.cut > stone.end_time } else { second(at.cut) >= stone.end_second() };
        match stone.left() {
            Left::Ended(Outcome::DeadLettered | Outcome::TimedOut) | Left::Unexplained
                if after && outcome == Outcome::Ok =>
            {
                self.state.totals.recovered += 1;
                self.tally(at, Tally::Recovered, 1);
                true
            }
            left if timed_out && !after => {
                // Cut in time, but read after the verdict had been put away: the books are righted, the latency is lost.
                self.inexact(at.cut, "an end was read after its timeout had been put away");
                if left != Left::Unexplained {
                    self.seconds.bump(stone.end_second(), Tally::Ended(Outcome::TimedOut), -1);
                }
                self.tally(at, Tally::Ended(outcome), 1);
                true
            }
            Left::OpenEnded => {
                self.tally(at, Tally::Ended(outcome), 1);
                true
            }
            _ => false,
        }
    }
}
