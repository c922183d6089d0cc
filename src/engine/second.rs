//! What happened in one second of a flow, and what a rolling window of them adds up to.

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};

use crate::model::Outcome;

use super::histogram::{Code, Histogram};
use super::resolve::Clock;
use super::rules::StageId;

/// Number of a histogram within its flow: end-to-end by outcome and clock first, then hops by clock.
pub type HistId = u16;

/// End-to-end histograms come before it, hops from it on.
pub const HOPS_FROM: HistId = 15;

/// The end-to-end histogram of an outcome.
#[must_use]
pub fn latency_hist(outcome: Outcome, clock: Clock) -> HistId {
    outcome as HistId * 3 + clock as HistId
}

/// The histogram of a hop.
#[must_use]
pub fn hop_hist(hop: u16, clock: Clock) -> HistId {
    HOPS_FROM + hop * 3 + clock as HistId
}

/// One thing that is counted in a second.
#[derive(Clone, Copy, Debug)]
pub enum Tally {
    /// An event at a stage; true: failed, retried or dead-lettered.
    Event(StageId, bool),
    /// A transaction started.
    Started,
    /// A transaction ended.
    Ended(Outcome),
    /// A transaction recovered.
    Recovered,
    /// A latency.
    Sample(HistId, Code),
}

/// Histogram and bucket in one number, in the order of both.
fn cell(hist: HistId, code: Code) -> u32 {
    u32::from(hist) << 16 | u32::from(code as u16 ^ 0x8000)
}

/// Back from [`cell`].
fn split(cell: u32) -> (HistId, Code) {
    ((cell >> 16) as HistId, (cell as u16 ^ 0x8000) as Code)
}

fn hash(cell: u32) -> u64 {
    u64::from(cell).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26)
}

/// Counters of one second or of a window of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Events.
    pub events: u64,
    /// Transactions started.
    pub started: u64,
    /// Transactions recovered.
    pub recovered: u64,
    /// Transactions ended, by outcome.
    pub ended: [u64; 5],
    /// Events and errors by stage.
    pub stages: Vec<[u64; 2]>,
}

fn step(value: &mut u64, n: i32) {
    *value = value.saturating_add_signed(i64::from(n));
}

impl Counts {
    fn apply(&mut self, what: Tally, n: i32) {
        match what {
            Tally::Event(stage, error) => {
                step(&mut self.events, n);
                let at = usize::from(stage);
                if at >= self.stages.len() {
                    self.stages.resize(at + 1, [0; 2]);
                }
                step(&mut self.stages[at][0], n);
                step(&mut self.stages[at][1], if error { n } else { 0 });
            }
            Tally::Started => step(&mut self.started, n),
            Tally::Ended(outcome) => step(&mut self.ended[outcome as usize], n),
            Tally::Recovered => step(&mut self.recovered, n),
            Tally::Sample(..) => {}
        }
    }

    fn combine(&mut self, other: &Self, sign: i64) {
        let add = |a: &mut u64, b: u64| *a = a.saturating_add_signed(sign * b as i64);
        add(&mut self.events, other.events);
        add(&mut self.started, other.started);
        add(&mut self.recovered, other.recovered);
        for (a, b) in self.ended.iter_mut().zip(other.ended) {
            add(a, b);
        }
        if self.stages.len() < other.stages.len() {
            self.stages.resize(other.stages.len(), [0; 2]);
        }
        for (a, b) in self.stages.iter_mut().zip(&other.stages) {
            add(&mut a[0], b[0]);
            add(&mut a[1], b[1]);
        }
    }
}

/// Samples by cell: a hash table while the second is hot, a sorted list afterwards (8 bytes per cell).
#[derive(Clone, Debug)]
enum Cells {
    Open(HashTable<(u32, u32)>),
    Sealed(Vec<(u32, u32)>),
}

/// One second.
#[derive(Clone, Debug)]
pub struct Second {
    /// Counters.
    pub counts: Counts,
    cells: Cells,
    /// Not yet in a checkpoint.
    pub unsaved: bool,
    /// Not yet in the points.
    pub undrawn: bool,
}

impl Default for Second {
    fn default() -> Self {
        Self { counts: Counts::default(), cells: Cells::Open(HashTable::new()), unsaved: false, undrawn: false }
    }
}

impl Second {
    /// From a checkpoint.
    #[must_use]
    pub fn restore(counts: Counts, samples: Vec<(u32, u32)>) -> Self {
        Self { counts, cells: Cells::Sealed(samples), unsaved: false, undrawn: true }
    }

    /// Counts `n` of something; below zero takes back.
    pub fn apply(&mut self, what: Tally, n: i32) {
        let Tally::Sample(hist, code) = what else { return self.counts.apply(what, n) };
        let cell = cell(hist, code);
        match &mut self.cells {
            Cells::Open(table) => {
                let mut entry = table.entry(hash(cell), |c| c.0 == cell, |c| hash(c.0)).or_insert((cell, 0));
                entry.get_mut().1 = entry.get().1.saturating_add_signed(n);
            }
            Cells::Sealed(list) => match list.binary_search_by_key(&cell, |c| c.0) {
                Ok(at) => list[at].1 = list[at].1.saturating_add_signed(n),
                Err(at) if n > 0 => list.insert(at, (cell, n as u32)),
                Err(_) => {}
            },
        }
    }

    /// Makes it small: few changes are expected from now on.
    pub fn seal(&mut self) {
        if let Cells::Open(table) = &mut self.cells {
            let mut list: Vec<(u32, u32)> = table.drain().filter(|c| c.1 > 0).collect();
            list.sort_unstable();
            list.shrink_to_fit();
            self.counts.stages.shrink_to_fit();
            self.cells = Cells::Sealed(list);
        }
    }

    /// Every cell that is not empty, ascending: for the checkpoint.
    #[must_use]
    pub fn cells(&self) -> Vec<(u32, u32)> {
        let mut cells: Vec<(u32, u32)> = match &self.cells {
            Cells::Open(table) => table.iter().copied().filter(|c| c.1 > 0).collect(),
            Cells::Sealed(list) => list.iter().copied().filter(|c| c.1 > 0).collect(),
        };
        cells.sort_unstable();
        cells
    }

    /// Calls `each` with histogram, bucket and count of every cell, in any order.
    pub fn samples(&self, mut each: impl FnMut(HistId, Code, u32)) {
        let mut call = |(cell, n): (u32, u32)| {
            let (hist, code) = split(cell);
            each(hist, code, n);
        };
        match &self.cells {
            Cells::Open(table) => table.iter().copied().for_each(&mut call),
            Cells::Sealed(list) => list.iter().copied().for_each(&mut call),
        }
    }
}

/// The sum of the complete seconds of one window.
#[derive(Clone, Debug, Default)]
pub struct Rolling {
    /// Seconds in the window.
    pub length: i64,
    /// Counters.
    pub counts: Counts,
    /// Histograms by number; those that were never used are empty.
    pub hists: Vec<Histogram>,
}

impl Rolling {
    /// Counts `n` of something; below zero takes back.
    pub fn apply(&mut self, what: Tally, n: i32) {
        match what {
            Tally::Sample(hist, code) if n < 0 => self.hist(hist).subtract(code, u64::from(n.unsigned_abs())),
            Tally::Sample(hist, code) => self.hist(hist).add(code, u64::from(n.unsigned_abs())),
            _ => self.counts.apply(what, n),
        }
    }

    /// A second enters.
    pub fn enter(&mut self, second: &Second) {
        self.counts.combine(&second.counts, 1);
        second.samples(|hist, code, n| self.hist(hist).add(code, u64::from(n)));
    }

    /// A second leaves.
    pub fn leave(&mut self, second: &Second) {
        self.counts.combine(&second.counts, -1);
        second.samples(|hist, code, n| self.hist(hist).subtract(code, u64::from(n)));
    }

    fn hist(&mut self, hist: HistId) -> &mut Histogram {
        let at = usize::from(hist);
        if at >= self.hists.len() {
            self.hists.resize_with(at + 1, Histogram::default);
        }
        &mut self.hists[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_sort_by_histogram_then_value() {
        let codes = [(0, -5), (0, 0), (0, 7), (1, -2)];
        let cells = codes.map(|(h, c)| cell(h, c));
        assert!(cells.is_sorted());
        assert_eq!(cells.map(split), codes);
    }

    #[test]
    fn sealing_changes_nothing() {
        let mut open = Second::default();
        for code in [3, -1, 3, 9, 0] {
            open.apply(Tally::Sample(2, code), 1);
        }
        let mut sealed = open.clone();
        sealed.seal();
        for second in [&mut open, &mut sealed] {
            second.apply(Tally::Sample(2, 9), -1);
            second.apply(Tally::Sample(1, 4), 1);
        }
        assert_eq!(open.cells(), sealed.cells());
        assert_eq!(open.cells().len(), 4);
    }
}
