//! What went because a bound was reached, by the bound's name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A bound that can overflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "the names are those of NAMES")]
pub enum Bound {
    Transactions,
    Tombstones,
    DedupEvents,
    Copies,
    EventsPerTransaction,
    Flows,
    StagesPerFlow,
    HopsPerFlow,
    Series,
    Streams,
    Sources,
    FarSeconds,
    Unopened,
}

/// Names as they are shown, in the order of [`Bound`].
const NAMES: [&str; 13] = [
    "transactions",
    "tombstones",
    "dedup_events",
    "dedup_copies",
    "events_per_transaction",
    "flows",
    "stages_per_flow",
    "hops_per_flow",
    "series",
    "streams",
    "sources",
    "far_seconds",
    "unopened_source",
];

/// Counters by bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overflow([u64; NAMES.len()]);

impl Overflow {
    /// `n` more.
    pub fn add(&mut self, bound: Bound, n: u64) {
        self.0[bound as usize] += n;
    }

    /// Sets a counter that is kept elsewhere.
    pub fn set(&mut self, bound: Bound, n: u64) {
        self.0[bound as usize] = n;
    }

    /// What was counted elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, n)| *sum += n);
    }

    /// Those above 0.
    #[must_use]
    pub fn view(&self) -> BTreeMap<&'static str, u64> {
        NAMES.iter().zip(self.0).filter(|(_, n)| *n > 0).map(|(name, n)| (*name, n)).collect()
    }
}
