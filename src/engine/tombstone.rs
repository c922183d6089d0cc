//! What is left of a transaction that has gone from the table: 24 bytes, so that a late event is not a new start
//! and a redrive next morning is a recovery.

use hashbrown::HashTable;
use serde::{Deserialize, Serialize};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::model::{Changes, MICROS_PER_SECOND, Outcome};

use super::account::second;
use super::blob;
use super::journal::Journal;
use super::resolve::{Fact, Fate, Resolution};

/// Seconds for which a transaction that ended `ok` is remembered.
pub const OK_KEPT: i64 = 3_600;

/// Seconds for which any other is: a week of mornings.
pub const LASTING_KEPT: i64 = 7 * 86_400;

/// Seconds for which an expired one is still there for those who come late. Who comes even later is known to: ids
/// are forgotten after the same time.
const GRACE: i64 = 600;

const SHARDS: usize = 64;

/// How a transaction left the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Left {
    /// Ended.
    Ended(Outcome),
    /// Dead-lettered or timed out first, then `ok`.
    Recovered,
    /// Past its deadline across a hole.
    Unexplained,
    /// Quiet, in a flow that can never end.
    OpenEnded,
    /// Pushed out by the bound of the table.
    Evicted,
}

impl Left {
    /// How a transaction leaves that is resolved to this; `None`: it is in flight.
    #[must_use]
    pub fn of(r: &Resolution) -> Option<Self> {
        r.end?;
        Some(match (r.fate(), r.recovery) {
            (_, Some(_)) => Self::Recovered,
            (Fate::Ended(outcome), None) => Self::Ended(outcome),
            _ => Self::Unexplained,
        })
    }

    const fn code(self) -> u8 {
        match self {
            Self::Ended(outcome) => outcome as u8,
            Self::Recovered => 5,
            Self::Unexplained => 6,
            Self::OpenEnded => 7,
            Self::Evicted => 8,
        }
    }

    fn from_code(code: u8) -> Self {
        match code {
            5 => Self::Recovered,
            6 => Self::Unexplained,
            7 => Self::OpenEnded,
            8 => Self::Evicted,
            outcome => Self::Ended(Outcome::ALL[usize::from(outcome.min(4))]),
        }
    }

    fn kept(self) -> i64 {
        match self {
            Self::Ended(Outcome::Ok) | Self::OpenEnded | Self::Evicted => OK_KEPT,
            _ => LASTING_KEPT,
        }
    }
}

/// True where an event of a transaction that is still in the table is cut after the transaction would be forgotten:
/// read some minutes later the event would begin it anew.
#[must_use]
pub fn outlived(r: &Resolution, events: &[Fact]) -> bool {
    let last = events.last().map_or(i64::MIN, |e| second(e.cut));
    let silent = second(r.last_cut) + Left::OpenEnded.kept();
    match (&r.end, Left::of(r)) {
        (Some(end), Some(left)) if !r.quiet || second(end.at.cut) <= silent => last > second(end.at.cut) + left.kept(),
        _ => r.quiet && last > silent,
    }
}

/// The dropped mark of the journal: not a way to leave.
const DROPPED: u8 = u8::MAX;

/// Set beside the code of a transaction that was quiet for long before it ended.
const QUIET: u8 = 0x40;

/// One transaction that has left the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Tombstone {
    /// Hash of flow and transaction id.
    pub key: u64,
    /// The end's time, microseconds, which `after_end` is measured against; the deadline where it timed out.
    pub end_time: i64,
    /// Second of the end's cut.
    end_second: u32,
    /// Flow.
    pub flow: u16,
    left: u8,
    settled: u8,
}

impl Tombstone {
    /// Of a transaction that left as `left`; `end_second` is the second of the end's cut.
    #[must_use]
    pub fn new(key: u64, flow: u16, left: Left, end_time: i64, end_second: i64, settled: u8) -> Self {
        let end_second = u32::try_from(end_second.max(0)).unwrap_or(u32::MAX);
        Self { key, end_time, end_second, flow, left: left.code(), settled }
    }

    /// How it left.
    #[must_use]
    pub fn left(&self) -> Left {
        Left::from_code(self.left & !QUIET)
    }

    /// The same, of a transaction that was open-ended before it ended: nothing but an outcome changes it.
    #[must_use]
    pub fn after_quiet(self, quiet: bool) -> Self {
        Self { left: self.left | if quiet { QUIET } else { 0 }, ..self }
    }

    /// True where it was open-ended before it ended.
    #[must_use]
    pub fn was_quiet(&self) -> bool {
        self.left & QUIET != 0
    }

    /// The fate counted in the settled counters.
    #[must_use]
    pub fn settled(&self) -> u8 {
        self.settled
    }

    /// Second of the end's cut.
    #[must_use]
    pub fn end_second(&self) -> i64 {
        i64::from(self.end_second)
    }

    /// The second of watermark at which it is forgotten.
    #[must_use]
    pub fn expires(&self) -> i64 {
        self.end_second() + self.left().kept()
    }
}

/// All tombstones.
#[derive(Debug)]
pub struct Tombstones {
    shards: Vec<HashTable<Tombstone>>,
    len: usize,
    limit: usize,
    /// Those that expired before are no longer there.
    low: Option<i64>,
    short: Journal,
    lasting: Journal,
    /// Tombstones that went because of the bound.
    pub overflow: u64,
}

impl Tombstones {
    /// At most `limit` of them.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| HashTable::new()).collect(),
            len: 0,
            limit: limit.max(1),
            low: None,
            short: Journal::new(blob::TOMBSTONES),
            lasting: Journal::new(blob::LASTING),
            overflow: 0,
        }
    }

    /// Tombstones in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No watermark lies before second `low`.
    pub fn advance(&mut self, low: Option<i64>) {
        self.low = low.map(|l| l - GRACE);
    }

    /// The tombstone of a transaction as an event finds it that is cut in `second`, in a flow that has forgotten what
    /// lies before `forgotten` (microseconds): whether it has expired must not depend on how far others were read.
    #[must_use]
    pub fn find(&self, key: u64, second: i64, forgotten: Option<i64>) -> Option<Tombstone> {
        let found = self.shards[shard(key)].find(key, |t| t.key == key)?;
        let low = forgotten.map(|l| l.div_euclid(MICROS_PER_SECOND) - GRACE);
        (!expired(found, low) && !expired(found, Some(second))).then_some(*found)
    }

    /// Puts one down, or another one in its place.
    pub fn put(&mut self, tombstone: Tombstone) {
        if self.len >= self.limit {
            self.make_room();
        }
        self.insert(tombstone);
        let kept = tombstone.left().kept();
        let journal = if kept == OK_KEPT { &mut self.short } else { &mut self.lasting };
        journal.push(tombstone.as_bytes(), tombstone.expires());
    }

    fn insert(&mut self, tombstone: Tombstone) {
        let (low, table) = (self.low, &mut self.shards[shard(tombstone.key)]);
        if table.len() == table.capacity() {
            let before = table.len();
            table.retain(|t| !expired(t, low));
            self.len -= before - table.len();
            if table.len() * 8 > before * 7 {
                table.reserve(before / 2 + 8, |t| t.key);
            }
        }
        match table.entry(tombstone.key, |t| t.key == tombstone.key, |t| t.key) {
            hashbrown::hash_table::Entry::Occupied(mut old) => *old.get_mut() = tombstone,
            hashbrown::hash_table::Entry::Vacant(free) => {
                free.insert(tombstone);
                self.len += 1;
            }
        }
    }

    /// Sweeps what expired; if that is not enough, the oldest sixty-fourth goes.
    fn make_room(&mut self) {
        let low = self.low;
        self.shards.iter_mut().for_each(|s| s.retain(|t| !expired(t, low)));
        self.len = self.shards.iter().map(HashTable::len).sum();
        if self.len < self.limit {
            return;
        }
        let mut ages: Vec<(u32, u64)> = self.shards.iter().flatten().map(|t| (t.end_second, t.key)).collect();
        let n = (self.limit / 64).max(1).min(ages.len());
        ages.select_nth_unstable(n - 1);
        ages.truncate(n);
        ages.sort_unstable();
        for (_, key) in ages {
            let Ok(entry) = self.shards[shard(key)].find_entry(key, |t| t.key == key) else { continue };
            let (mut gone, _) = entry.remove();
            let journal = if gone.left().kept() == OK_KEPT { &mut self.short } else { &mut self.lasting };
            let expiry = gone.expires();
            gone.left = DROPPED;
            journal.push(gone.as_bytes(), expiry);
            self.len -= 1;
            self.overflow += 1;
        }
    }

    /// Puts what is new into `changes`.
    pub fn save(&mut self, changes: &mut Changes) {
        self.short.save(self.low, changes);
        self.lasting.save(self.low, changes);
    }

    /// Takes a stored chunk back, short ones before lasting ones, in the order of their numbers. False: it is damaged.
    pub fn restore(&mut self, kind: u8, number: u64, bytes: &[u8]) -> bool {
        let journal = if kind == blob::LASTING { &mut self.lasting } else { &mut self.short };
        let Some(records) = journal.restore(number, bytes) else { return false };
        let chunks = records.chunks_exact(size_of::<Tombstone>());
        let whole = chunks.remainder().is_empty();
        for record in chunks {
            let Ok(tombstone) = Tombstone::read_from_bytes(record) else { return false };
            if tombstone.left == DROPPED {
                let key = tombstone.key;
                if let Ok(entry) = self.shards[shard(key)].find_entry(key, |t| t.key == key) {
                    entry.remove();
                    self.len -= 1;
                }
            } else if !expired(&tombstone, self.low) {
                self.insert(tombstone);
            }
        }
        whole
    }
}

fn shard(key: u64) -> usize {
    (key >> 32) as usize % SHARDS
}

fn expired(tombstone: &Tombstone, low: Option<i64>) -> bool {
    low.is_some_and(|low| tombstone.expires() < low)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stone(key: u64, left: Left, second: i64) -> Tombstone {
        Tombstone::new(key.wrapping_mul(0x9e37_79b9_7f4a_7c15), 3, left, second * 1_000_000, second, 0)
    }

    #[test]
    fn failures_are_remembered_for_a_week() {
        let mut stones = Tombstones::new(100);
        let (ok, dead) = (stone(1, Left::Ended(Outcome::Ok), 10), stone(2, Left::Ended(Outcome::DeadLettered), 10));
        stones.put(ok);
        stones.put(dead);
        let both = |forgotten: Option<i64>| {
            let low = forgotten.map(|l| l * MICROS_PER_SECOND);
            (stones.find(ok.key, 11, low), stones.find(dead.key, 11, low))
        };
        assert_eq!(both(None), (Some(ok), Some(dead)));
        assert_eq!(both(Some(11 + OK_KEPT + GRACE)), (None, Some(dead)));
        assert_eq!(both(Some(11 + LASTING_KEPT + GRACE)), (None, None));
    }

    #[test]
    fn it_expires_for_an_event_that_is_cut_late_whatever_was_read() {
        let mut stones = Tombstones::new(100);
        let ok = stone(1, Left::Ended(Outcome::Ok), 10);
        stones.put(ok);
        assert_eq!((stones.find(ok.key, 3_610, None), stones.find(ok.key, 3_611, None)), (Some(ok), None));
        assert!(ok.after_quiet(true).was_quiet() && ok.after_quiet(true).left() == ok.left() && !ok.was_quiet());
    }

    #[test]
    fn the_bound_drops_the_oldest_also_for_a_restored_one() {
        let mut stones = Tombstones::new(10);
        let mut blobs = std::collections::BTreeMap::new();
        for i in 0..15 {
            stones.put(stone(i, Left::Unexplained, i as i64));
            let mut changes = Changes::default();
            stones.save(&mut changes);
            blobs.extend(changes.puts);
        }
        assert_eq!((stones.len(), stones.overflow), (10, 5));
        let mut restored = Tombstones::new(10);
        for (key, bytes) in &blobs {
            assert!(restored.restore(key.kind, key.number, bytes));
        }
        for i in 0..15 {
            let key = stone(i, Left::Unexplained, 0).key;
            assert_eq!(stones.find(key, 20, None).is_some(), i >= 5);
            assert_eq!(restored.find(key, 20, None), stones.find(key, 20, None));
        }
    }

    #[test]
    fn every_way_to_leave_is_kept() {
        let ways = Outcome::ALL.map(Left::Ended).into_iter().chain([
            Left::Recovered,
            Left::Unexplained,
            Left::OpenEnded,
            Left::Evicted,
        ]);
        for left in ways {
            assert_eq!(stone(1, left, 5).left(), left);
        }
    }
}
