//! Events of which several copies were read: which of them count.
//!
//! All copies are kept until the watermark has passed the last one by twenty minutes, because a copy that is
//! read later may be cut earlier, and then it is the one that counts.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{BlobKey, Changes};

use super::blob;
use super::dedup::{HORIZON, KEPT};
use super::resolve::Fact;

/// Copies kept of one event: an id that is no id (a constant) must not cost without bound.
const PER_ID: usize = 32;

/// One copy, with all that is needed to count it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copy {
    /// The event.
    pub fact: Fact,
    /// Flow.
    pub flow: u16,
    /// Hash of flow and transaction id.
    pub key: u64,
    /// Transaction id; empty: none.
    pub transaction: String,
    /// Trace id, where it carried one.
    pub trace: Option<[u8; 16]>,
    /// It counts as an event; else it is a duplicate.
    pub counted: bool,
    /// It was counted and cannot be taken back any more: its transaction has left the table.
    pub fixed: bool,
}

/// Which copies count: the first, and each that is cut more than ten minutes after the last one that counted.
/// `copies` are in the order of their order keys.
#[must_use]
pub fn counted(copies: &[Copy]) -> Vec<bool> {
    let near = |a: i64, b: i64| a.abs_diff(b) <= HORIZON.unsigned_abs();
    let mut last: Option<i64> = None;
    let verdict = |copy: &Copy| {
        let cut = copy.fact.cut;
        let taken = copies.iter().any(|c| c.fixed && near(c.fact.cut, cut));
        let counts = copy.fixed || (!taken && last.is_none_or(|l| !near(l, cut)));
        if counts {
            last = Some(cut);
        }
        counts
    };
    copies.iter().map(verdict).collect()
}

/// Copies by event.
#[derive(Debug)]
pub struct Copies {
    by_id: BTreeMap<u64, Vec<Copy>>,
    limit: usize,
    swept: Option<i64>,
    unsaved: BTreeSet<u64>,
}

impl Copies {
    /// Keeps copies of at most `limit` events.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { by_id: BTreeMap::new(), limit, swept: None, unsaved: BTreeSet::new() }
    }

    /// True where copies of another event would be too many.
    #[must_use]
    pub fn full(&self) -> bool {
        self.by_id.len() >= self.limit
    }

    /// Takes the copies of an event out.
    pub fn take(&mut self, id: u64) -> Vec<Copy> {
        self.by_id.remove(&id).unwrap_or_default()
    }

    /// Puts the copies of an event in. Returns how many had to go.
    pub fn put(&mut self, id: u64, mut copies: Vec<Copy>) -> u64 {
        let mut dropped = 0;
        while copies.len() > PER_ID {
            let at = copies.iter().position(|c| !c.counted).unwrap_or(0);
            copies.remove(at);
            dropped += 1;
        }
        self.by_id.insert(id, copies);
        self.unsaved.insert(id);
        dropped
    }

    /// Little that is cut before `low` will be read any more: events whose last copy is twenty minutes older are final.
    pub fn advance(&mut self, low: Option<i64>) {
        let Some(low) = low else { return };
        if self.swept.is_some_and(|s| low < s + HORIZON / 60) {
            return;
        }
        self.swept = Some(low);
        let unsaved = &mut self.unsaved;
        self.by_id.retain(|id, copies| {
            let keep = copies.last().is_some_and(|c| c.fact.cut.saturating_add(KEPT) >= low);
            if !keep {
                unsaved.insert(*id);
            }
            keep
        });
    }

    /// Puts what is new into `changes`.
    pub fn save(&mut self, changes: &mut Changes) {
        for id in std::mem::take(&mut self.unsaved) {
            let key = BlobKey { kind: blob::COPIES, number: id };
            match self.by_id.get(&id) {
                Some(copies) => changes.puts.push((key, blob::encode(copies).into())),
                None => changes.deletes.push(key),
            }
        }
    }

    /// Puts stored copies back.
    pub fn restore(&mut self, id: u64, copies: Vec<Copy>) {
        self.by_id.insert(id, copies);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Status;

    fn copies(minutes: &[i64]) -> Vec<Copy> {
        let copy = |m: &i64| Copy {
            fact: Fact {
                cut: m * 60_000_000,
                time: 0,
                started: None,
                position: 0,
                print: 0,
                source: 0,
                stage: 0,
                status: Status::Ok,
                outcome: None,
                event_clock: true,
                late: false,
            },
            flow: 0,
            key: 0,
            transaction: String::new(),
            trace: None,
            counted: false,
            fixed: false,
        };
        minutes.iter().map(copy).collect()
    }

    #[test]
    fn case_6_the_first_counts_and_the_next_after_ten_minutes() {
        assert_eq!(counted(&copies(&[0, 8, 16])), [true, false, true]);
        assert_eq!(counted(&copies(&[0, 10, 20])), [true, false, true], "ten minutes are within");
        assert_eq!(counted(&copies(&[0, 11, 12])), [true, true, false]);
    }

    #[test]
    fn what_cannot_be_taken_back_counts() {
        let mut late = copies(&[0, 8]);
        late[1].fixed = true;
        assert_eq!(counted(&late), [false, true]);
    }
}
