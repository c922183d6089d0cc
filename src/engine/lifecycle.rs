//! What the watermark brings about: deadlines, settlement, leaving the table; and the bound of the table.

use std::cmp::Reverse;

use crate::model::MICROS_PER_SECOND;

use super::Engine;
use super::account::second;
use super::flow::{Flow, Revisit, Waiting};
use super::histogram::{Histogram, value_of};
use super::overflow::Bound;
use super::page::flag;
use super::resolve::{Clock, Resolution};
use super::rules::{NO_STAGE, QUIET, StageId};
use super::second::{hop_hist, latency_hist};
use super::settled::code_of_fate;
use super::tombstone::{Left, Tombstone};

/// A transaction enters the durable counters this much after its end: by then late events have come.
pub const SETTLE_AFTER: i64 = 10 * MICROS_PER_SECOND;

/// A transaction keeps its events this much after its end.
pub const LEAVE_AFTER: i64 = 120 * MICROS_PER_SECOND;

/// Stage deadlines are learned anew after this much watermark.
pub const LEARN_EVERY: i64 = 10 * MICROS_PER_SECOND;

/// While a stage has no deadline yet, its transactions are looked at this often.
const LOOK_AGAIN: i64 = 60 * MICROS_PER_SECOND;

/// A learned deadline is this many times the 99.9th percentile of the hops into (or out of) the stage ...
const LEARNED_FACTOR: f64 = 4.0;
/// ... from at least this many samples ...
const LEARNED_FROM: u64 = 100;
/// ... and at least this long.
const LEARNED_FLOOR: i64 = 5 * MICROS_PER_SECOND;

/// A full table lets go of this part of its bound at once, so that finding the oldest costs little per transaction.
const EVICTED_PART: usize = 64;

impl Flow {
    /// True where a transaction waits for longer than its stage's deadline.
    pub(super) fn is_stuck(&self, r: &Resolution) -> bool {
        let Some(watermark) = self.state.watermark else { return false };
        self.deadline(r.waiting).is_some_and(|(d, _)| watermark.saturating_sub(r.last_cut) > d)
    }

    pub(super) fn stick(&mut self, r: &Resolution, key: u64, slot: u32) {
        self.state.stages[usize::from(r.waiting)].stuck += 1;
        self.stuck.insert((r.start.cut, key, slot));
    }

    pub(super) fn unstick(&mut self, r: &Resolution, key: u64, slot: u32) {
        self.state.stages[usize::from(r.waiting)].stuck -= 1;
        self.stuck.remove(&(r.start.cut, key, slot));
    }

    /// The second of watermark at which a transaction has to be looked at again.
    pub(super) fn next_due(&self, r: &Resolution, flags: u8, settled: u8) -> i64 {
        let at = if let Some(end) = &r.end {
            let last = r.recovery.map_or(end.at.cut, |m| m.cut.max(end.at.cut));
            if settled == 0 { end.at.cut.saturating_add(SETTLE_AFTER) } else { last.saturating_add(LEAVE_AFTER) }
        } else {
            let now = self.state.watermark.unwrap_or(r.last_cut).max(r.last_cut);
            let mut at = match self.deadline(r.waiting) {
                Some((deadline, _)) if flags & flag::STUCK == 0 => r.last_cut.saturating_add(deadline),
                _ => now.saturating_add(LOOK_AGAIN),
            };
            if let Some(timeout) = self.rules.timeout {
                at = at.min(r.start.cut.saturating_add(timeout));
            }
            if self.never_ends() {
                at = at.min(r.last_cut.saturating_add(QUIET));
            }
            at
        };
        second(at)
    }

    fn settle(&mut self, r: &Resolution) {
        self.unsaved = true;
        self.state.settled.count(r.fate());
        if let Some((outcome, latency)) = r.end.and_then(|e| Some((e.outcome?, e.latency?))) {
            self.state.settled.sample(latency_hist(outcome, latency.clock), latency);
        }
        for hop in &r.hops {
            let number = self.hop(hop.from, hop.to);
            self.state.settled.sample(hop_hist(number, hop.sample.clock), hop.sample);
        }
    }

    /// Learns the deadlines of stages from the longest window. A stage without enough samples keeps what it has.
    fn learn(&mut self) {
        let Some(step) = self.state.watermark.map(|w| w.div_euclid(LEARN_EVERY)) else { return };
        if step == self.state.learned_at {
            return;
        }
        self.state.learned_at = step;
        let hists = &self.seconds.rolling[self.seconds.rolling.len() - 1].hists;
        let mut by_stage: Vec<Histogram> = vec![Histogram::default(); self.state.stages.len()];
        for (number, hop) in self.state.hops.iter().enumerate() {
            let stage: StageId = if self.rules.order.is_empty() { hop.from } else { hop.to };
            if stage == NO_STAGE {
                continue;
            }
            for clock in [Clock::Event, Clock::Record, Clock::Mixed] {
                if let Some(hist) = hists.get(usize::from(hop_hist(number as u16, clock))) {
                    by_stage[usize::from(stage)].merge(hist);
                }
            }
        }
        for (stage, hist) in self.state.stages.iter_mut().zip(by_stage) {
            if hist.count() >= LEARNED_FROM
                && let Some(code) = hist.quantile(0.999)
            {
                let learned = (value_of(code) * LEARNED_FACTOR * MICROS_PER_SECOND as f64) as i64;
                stage.learned = Some(learned.max(LEARNED_FLOOR));
            }
        }
    }
}

impl Engine {
    /// Moves a flow on to its new watermark.
    pub(super) fn advance_flow(&mut self, number: u16) {
        let flow = &mut self.flows[usize::from(number)];
        if let Some(watermark) = flow.state.watermark {
            flow.seconds.advance(second(watermark));
        }
        flow.learn();
        let revisit = std::mem::take(&mut flow.state.revisit);
        if revisit != Revisit::Nothing {
            flow.unsaved = true;
            let of_flow = |s: &u32| {
                let head = &self.table.slot(*s).head;
                head.flow == number && (revisit == Revisit::Everything || head.flags & flag::PASSED != 0)
            };
            let slots: Vec<u32> = self.table.transactions().filter(of_flow).collect();
            for slot in slots {
                let scratch = self.refresh(slot);
                self.done(scratch);
            }
        }
        self.tidy_oldest(number);
        let flow = &mut self.flows[usize::from(number)];
        let Some(now) = flow.state.watermark else { return };
        let later = flow.timers.split_off(&(second(now) + 1));
        for (due, mut slots) in std::mem::replace(&mut flow.timers, later) {
            slots.sort_unstable(); // the same order as after a restore
            for slot in slots {
                let head = self.table.transaction(slot).map(|s| (s.head.flow, s.head.due));
                if head == Some((number, due)) {
                    self.table.slot_mut(slot).head.due = i64::MAX;
                    self.due(slot, now);
                }
            }
        }
        self.tidy_oldest(number);
    }

    /// A transaction's time has come.
    fn due(&mut self, slot: u32, now: i64) {
        let scratch = self.refresh(slot);
        let resolution = &scratch.new;
        let head = &mut self.table.slot_mut(slot).head;
        let flow = &mut self.flows[usize::from(head.flow)];
        if let Some(end) = resolution.end {
            if head.settled == 0 && now.saturating_sub(end.at.cut) > SETTLE_AFTER {
                flow.settle(resolution);
                head.settled = code_of_fate(resolution.fate());
            }
            let last = resolution.recovery.map_or(end.at.cut, |m| m.cut.max(end.at.cut));
            if now.saturating_sub(last) > LEAVE_AFTER {
                self.leave(slot, resolution);
            } else {
                self.arm(slot, resolution);
            }
        } else if flow.never_ends() && now.saturating_sub(resolution.last_cut) > QUIET {
            self.open_end(slot, resolution);
        } else {
            self.arm(slot, resolution);
        }
        self.done(scratch);
    }

    fn arm(&mut self, slot: u32, r: &Resolution) {
        let head = self.table.slot(slot).head;
        let flow = &mut self.flows[usize::from(head.flow)];
        let due = flow.next_due(r, head.flags, head.settled);
        flow.timers.entry(due).or_default().push(slot);
        self.table.slot_mut(slot).head.due = due;
    }

    /// An ended transaction leaves the table.
    fn leave(&mut self, slot: u32, r: &Resolution) {
        let (Some(end), Some(left)) = (r.end, Left::of(r)) else { return };
        self.bury(slot, left, r.quiet, (end.time, end.at.cut));
    }

    /// A quiet transaction of a flow that never ends leaves the table.
    fn open_end(&mut self, slot: u32, r: &Resolution) {
        self.close_books(slot, r);
        let flow = &mut self.flows[usize::from(self.table.slot(slot).head.flow)];
        flow.state.totals.open_ended += 1;
        flow.settle(r);
        self.bury(slot, Left::OpenEnded, false, (r.last_cut, r.last_cut));
    }

    /// A transaction in flight is no longer.
    fn close_books(&mut self, slot: u32, r: &Resolution) {
        let head = self.table.slot(slot).head;
        let flow = &mut self.flows[usize::from(head.flow)];
        (flow.unsaved, flow.changed) = (true, true);
        flow.state.totals.in_flight -= 1;
        flow.state.stages[usize::from(r.waiting)].waiting -= 1;
        if head.flags & flag::STUCK != 0 {
            flow.unstick(r, head.key, slot);
        }
    }

    /// `end` is the end's time and cut.
    fn bury(&mut self, slot: u32, left: Left, quiet: bool, end: (i64, i64)) {
        let head = self.table.slot(slot).head;
        let stone = Tombstone::new(head.key, head.flow, left, end.0, second(end.1), head.settled);
        self.stones.put(stone.after_quiet(quiet));
        self.overflow.set(Bound::Tombstones, self.stones.overflow);
        self.table.remove(slot);
    }

    /// The table is full: the oldest go, ended ones first.
    pub(super) fn evict(&mut self) {
        let age = |slot: u32| {
            let s = self.table.slot(slot);
            (s.head.flags & flag::ENDED == 0, s.records[0].cut(), s.head.key, slot)
        };
        let mut ages: Vec<_> = self.table.transactions().map(age).collect();
        let n = (self.limits.transactions / EVICTED_PART).clamp(1, ages.len().max(1));
        if n < ages.len() {
            ages.select_nth_unstable(n - 1);
            ages.truncate(n);
        }
        ages.sort_unstable();
        for (_, start, _, slot) in ages {
            let scratch = self.refresh(slot);
            let resolution = &scratch.new;
            let head = self.table.slot(slot).head;
            let flow = &mut self.flows[usize::from(head.flow)];
            flow.inexact(start, "limits.transactions reached");
            if resolution.end.is_some() {
                if head.settled == 0 {
                    flow.settle(resolution);
                    self.table.slot_mut(slot).head.settled = code_of_fate(resolution.fate());
                }
                self.leave(slot, resolution);
            } else {
                self.close_books(slot, resolution);
                self.flows[usize::from(head.flow)].state.totals.evicted += 1;
                self.bury(slot, Left::Evicted, false, (resolution.last_cut, resolution.last_cut));
            }
            self.done(scratch);
            self.overflow.add(Bound::Transactions, 1);
        }
    }

    /// Drops what has moved on from the top of the heap, and all of it where that is more than half.
    fn tidy_oldest(&mut self, number: u16) {
        let flow = &mut self.flows[usize::from(number)];
        let table = &self.table;
        let live = |entry: &Reverse<Waiting>| {
            let Reverse((start, key, slot)) = *entry;
            table
                .transaction(slot)
                .is_some_and(|s| s.head.key == key && s.head.flags & flag::ENDED == 0 && s.records[0].cut() == start)
        };
        let in_flight = usize::try_from(flow.state.totals.in_flight).unwrap_or(0);
        if flow.oldest.len() > 2 * in_flight + 1_024 {
            flow.oldest.retain(live);
        }
        while flow.oldest.peek().is_some_and(|top| !live(top)) {
            flow.oldest.pop();
        }
    }
}
