//! The script: which records are appended when. Pure: seed and time in, emissions out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::TRANSACTIONS_PER_SECOND;
use super::chance::Chance;
use super::incident::Schedule;
use super::plan::{Emission, Flow, Name, plan, redriven};
use crate::model::{MICROS_PER_SECOND, Timestamp};

/// Checkouts among the transactions; the others are refunds.
const CHECKOUTS: f64 = 0.89;
/// Longest life of a transaction that still emits, in seconds: stuck, released, late, twice.
pub(super) const LIFE: i64 = 240;
/// Before the end of the log: appends that were under way when the process died may be missing there.
const OVERLAP: i64 = 300_000;

/// Traffic from one moment on.
pub(super) struct Script {
    seed: u64,
    /// 1 is [`TRANSACTIONS_PER_SECOND`].
    rate: f64,
    schedule: Schedule,
    /// Transactions that begin before it are planned.
    planned: i64,
    /// Those that begin earlier, or at `before` and later, are not part of the script.
    from: Timestamp,
    before: Timestamp,
    pending: BinaryHeap<Reverse<Due>>,
    scratch: Vec<Emission>,
}

/// An emission in order of time; of equal times by name, so that the order is the same everywhere.
struct Due(Emission);

impl Due {
    fn rank(&self) -> (Timestamp, Name, u8, &'static str) {
        (self.0.at, self.0.name, self.0.number, self.0.stage.name)
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl Script {
    /// Traffic that begins at `from`; incidents are counted from `live_since` on.
    pub(super) fn new(seed: u64, rate: f64, from: Timestamp, live_since: Option<Timestamp>) -> Self {
        let schedule = Schedule { live_since };
        let (pending, scratch) = (BinaryHeap::new(), Vec::new());
        Self { seed, rate, schedule, planned: from.second(), from, before: Timestamp(i64::MAX), pending, scratch }
    }

    /// Traffic after a pause: transactions that were in flight where the log ends go on where they stood,
    /// as if the world had been frozen until `now`.
    pub(super) fn resume(seed: u64, rate: f64, log_end: Timestamp, now: Timestamp) -> Self {
        let began = log_end.plus(-LIFE * MICROS_PER_SECOND);
        let mut script = Self::new(seed, rate, began, None);
        script.before = log_end;
        script.plan_to(log_end);
        script.until(log_end.plus(-OVERLAP), &mut Vec::new());
        script.pause(log_end, now);
        (script.before, script.schedule) = (Timestamp(i64::MAX), Schedule { live_since: Some(now) });
        script
    }

    /// Nothing happens from `from` to `to`; what was pending comes that much later, and in a little spread.
    pub(super) fn pause(&mut self, from: Timestamp, to: Timestamp) {
        let pause = to.since(from).max(0);
        let moved = self.pending.drain().map(|Reverse(Due(mut emission))| {
            emission.at = emission.at.plus(pause);
            emission.event_time = emission.event_time.plus(if emission.event_time > from { pause } else { 0 });
            Reverse(Due(emission))
        });
        self.pending = moved.collect();
        (self.planned, self.from) = (to.second(), to);
    }

    /// All emissions before `to`, in order of time.
    pub(super) fn until(&mut self, to: Timestamp, out: &mut Vec<Emission>) {
        self.plan_to(to);
        while self.pending.peek().is_some_and(|Reverse(due)| due.0.at < to) {
            out.extend(self.pending.pop().map(|Reverse(due)| due.0));
        }
    }

    /// A dead letter was redriven: its transaction goes on.
    pub(super) fn redriven(&mut self, name: Name, now: Timestamp) {
        redriven(self.seed, name, now, self.schedule, &mut self.scratch);
        self.pending.extend(self.scratch.drain(..).map(|emission| Reverse(Due(emission))));
    }

    /// Plans the transactions that begin up to the end of the second that `to` lies in.
    fn plan_to(&mut self, to: Timestamp) {
        while self.planned <= to.second() {
            let second = self.planned;
            self.planned += 1;
            for (flow, share) in [(Flow::Checkout, CHECKOUTS), (Flow::Refund, 1.0 - CHECKOUTS)] {
                self.plan_second(flow, TRANSACTIONS_PER_SECOND * share * self.rate, second);
            }
        }
    }

    fn plan_second(&mut self, flow: Flow, rate: f64, second: i64) {
        let mut chance = Chance::of(self.seed, (16 + flow as u8, second, 0));
        // Two slow waves and noise: a flat line would look like a recording.
        let wave = |period: f64| (second as f64 * std::f64::consts::TAU / period).sin();
        let mean = rate * (1.0 + 0.07 * wave(421.0) + 0.04 * wave(97.0));
        let count = (mean + 0.6 * mean.sqrt() * chance.normal() + chance.unit() - 0.5).round().max(0.0);
        for number in 0..count as u32 {
            let micros = (chance.unit() * MICROS_PER_SECOND as f64) as i64;
            let began = Timestamp::from_seconds(second).plus(micros);
            if began < self.from || began >= self.before {
                continue;
            }
            plan(self.seed, Name { flow, second, number }, began, self.schedule, &mut self.scratch);
            self.pending.extend(self.scratch.drain(..).map(|emission| Reverse(Due(emission))));
        }
    }
}
