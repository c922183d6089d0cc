//! Counters that never decrease: what `/metrics` shows of a flow.
//!
//! A transaction is counted once, 10 s of watermark after its end; later moves are corrections. All other
//! counters are exported as the highest value they ever had.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::histogram::{Histogram, code_of};
use super::resolve::{Fate, Sample};
use super::second::HistId;

/// A fate as it is stored beside a transaction: 0 is "not settled yet".
pub type SettledCode = u8;

/// Names of the fates, by code - 1.
pub const FATES: [&str; 7] = ["ok", "failed", "compensated", "dead_lettered", "timed_out", "unexplained", "in_flight"];

/// The code of a fate.
#[must_use]
pub fn code_of_fate(fate: Fate) -> SettledCode {
    match fate {
        Fate::Ended(outcome) => outcome as u8 + 1,
        Fate::Unexplained => 6,
        Fate::InFlight => 7,
    }
}

/// Durable counters of one flow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// Transactions by outcome.
    pub ended: [u64; 5],
    /// Moves after the settlement, `[from][to]`.
    pub corrections: [[u64; 7]; 7],
    /// Histograms and the sums of their samples in microseconds.
    pub hists: BTreeMap<HistId, (Histogram, i128)>,
    /// Events by stage and status, as ever exported.
    pub events: Vec<[u64; 5]>,
    /// Started, recovered, after_end, evicted, late, duplicates, as ever exported.
    pub others: [u64; 6],
}

impl Settled {
    /// A transaction is counted for good.
    pub fn count(&mut self, fate: Fate) {
        if let Fate::Ended(outcome) = fate {
            self.ended[outcome as usize] += 1;
        }
    }

    /// A transaction that was counted has moved. Returns its new code.
    pub fn correct(&mut self, from: SettledCode, to: Fate) -> SettledCode {
        let to = code_of_fate(to);
        if from != 0 && from != to {
            self.corrections[usize::from(from) - 1][usize::from(to) - 1] += 1;
        }
        to
    }

    /// A latency is counted for good.
    pub fn sample(&mut self, hist: HistId, sample: Sample) {
        let (histogram, sum) = self.hists.entry(hist).or_default();
        histogram.add(code_of(sample.micros), 1);
        *sum += i128::from(sample.micros);
    }

    /// Raises the exported values to the present ones.
    pub fn raise(&mut self, stages: impl Iterator<Item = [i64; 5]>, others: [i64; 6]) {
        let up = |old: &mut u64, now: i64| *old = (*old).max(u64::try_from(now).unwrap_or(0));
        for (at, statuses) in stages.enumerate() {
            if at >= self.events.len() {
                self.events.push([0; 5]);
            }
            self.events[at].iter_mut().zip(statuses).for_each(|(old, now)| up(old, now));
        }
        self.others.iter_mut().zip(others).for_each(|(old, now)| up(old, now));
    }
}
