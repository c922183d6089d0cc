//! Which event ids were seen: 16 bytes each, forgotten twenty minutes of watermark later.
//!
//! An id that was seen once refers to its transaction, where the event itself lies. An id with several
//! copies moves to [`Copies`], which keeps all of them, because a copy read later may turn out to be the first.

use hashbrown::HashTable;

use crate::model::{Changes, MICROS_PER_SECOND};

use super::blob;
use super::journal::Journal;

/// Copies within this much cut time of the last counted one are duplicates (inclusive), microseconds.
pub const HORIZON: i64 = 600 * MICROS_PER_SECOND;

/// Ids are remembered this much longer: where producers' clocks or their batches are minutes behind the watermark, a
/// copy must still find the first.
const GRACE: i64 = 600 * MICROS_PER_SECOND;

/// How far behind the watermark an id is forgotten.
pub const KEPT: i64 = HORIZON + GRACE;

/// Shards grow and are swept one at a time: no pause for the whole table.
const SHARDS: usize = 256;

const NO_TRANSACTION: u64 = (1 << 24) - 1;
const COPIES: u64 = (1 << 24) - 2;

/// What is known of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing, or nothing that matters any more.
    Never,
    /// One copy: its cut time in milliseconds and its transaction.
    Once(i64, Option<u32>),
    /// Several copies.
    Copies,
}

/// An id, its cut time in milliseconds (40 bits, modulo 35 years) and its slot (24 bits).
#[derive(Clone, Copy, Debug)]
struct Entry {
    id: u64,
    packed: u64,
}

impl Entry {
    /// Cut time in milliseconds, the one nearest to `near`.
    fn millis(self, near: i64) -> i64 {
        let ahead = ((self.packed >> 24) as i64).wrapping_sub(near) << 24 >> 24;
        near + ahead
    }
}

/// The ids of all streams.
#[derive(Debug)]
pub struct Dedup {
    shards: Vec<HashTable<Entry>>,
    len: usize,
    limit: usize,
    low: Option<i64>,
    swept: Option<i64>,
    journal: Journal,
}

impl Dedup {
    /// Remembers at most `limit` ids.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let shards = (0..SHARDS).map(|_| HashTable::new()).collect();
        Self { shards, len: 0, limit, low: None, swept: None, journal: Journal::new(blob::IDS) }
    }

    /// Ids remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// No flow will meet what is cut before `low` (microseconds) any more.
    pub fn advance(&mut self, low: Option<i64>) {
        self.low = low;
    }

    /// What is known of `id`, as seen from a copy cut at `millis` in a flow that has forgotten what lies before
    /// `forgotten`: how far other flows were read must not decide.
    #[must_use]
    pub fn seen(&self, id: u64, millis: i64, forgotten: Option<i64>) -> Seen {
        let Some(entry) = self.shards[shard(id)].find(id, |e| e.id == id) else { return Seen::Never };
        let at = entry.millis(millis);
        if expired(at, forgotten) {
            return Seen::Never;
        }
        match entry.packed & NO_TRANSACTION {
            COPIES => Seen::Copies,
            NO_TRANSACTION => Seen::Once(at, None),
            slot => Seen::Once(at, Some(slot as u32)),
        }
    }

    /// Fetches what [`Dedup::seen`] will need.
    #[must_use]
    pub fn touch(&self, id: u64) -> u64 {
        self.shards[shard(id)].find(id, |e| e.id == id).map_or(0, |e| e.packed)
    }

    /// Remembers what is known of `id` from now on; `millis` is the cut time of its last copy. False: no room.
    pub fn remember(&mut self, id: u64, millis: i64, slot: Option<u32>) -> bool {
        self.put(id, millis, slot.map_or(NO_TRANSACTION, |s| u64::from(s) & NO_TRANSACTION))
    }

    /// Remembers that `id` has several copies.
    pub fn remember_copies(&mut self, id: u64, millis: i64) -> bool {
        self.put(id, millis, COPIES)
    }

    fn put(&mut self, id: u64, millis: i64, slot: u64) -> bool {
        let packed = (millis as u64) << 24 | slot;
        if self.len >= self.limit && !self.make_room() && self.shards[shard(id)].find(id, |e| e.id == id).is_none() {
            return false;
        }
        self.insert(Entry { id, packed });
        let mut record = [0; 16];
        record[..8].copy_from_slice(&id.to_le_bytes());
        record[8..].copy_from_slice(&packed.to_le_bytes());
        self.journal.push(&record, millis.saturating_mul(1_000).saturating_add(KEPT));
        true
    }

    fn insert(&mut self, entry: Entry) {
        let (low, table) = (self.low, &mut self.shards[shard(entry.id)]);
        if table.len() == table.capacity() {
            let before = table.len();
            table.retain(|e| !expired(e.millis(low.unwrap_or(0) / 1_000), low));
            self.len -= before - table.len();
            if table.len() * 8 > before * 7 {
                table.reserve(before / 2 + 8, |e| e.id);
            }
        }
        match table.entry(entry.id, |e| e.id == entry.id, |e| e.id) {
            hashbrown::hash_table::Entry::Occupied(mut old) => *old.get_mut() = entry,
            hashbrown::hash_table::Entry::Vacant(free) => {
                free.insert(entry);
                self.len += 1;
            }
        }
    }

    /// Sweeps every shard, at most once per second of watermark.
    fn make_room(&mut self) -> bool {
        if self.low.is_none() || self.swept.is_some_and(|s| self.low < Some(s + MICROS_PER_SECOND)) {
            return false;
        }
        self.swept = self.low;
        let low = self.low;
        for table in &mut self.shards {
            table.retain(|e| !expired(e.millis(low.unwrap_or(0) / 1_000), low));
        }
        self.len = self.shards.iter().map(HashTable::len).sum();
        self.len < self.limit
    }

    /// Puts what is new into `changes`.
    pub fn save(&mut self, changes: &mut Changes) {
        self.journal.save(self.low, changes);
    }

    /// Takes a stored chunk back; chunks must come in the order of their numbers. False: it is damaged.
    pub fn restore(&mut self, number: u64, bytes: &[u8]) -> bool {
        let Some(records) = self.journal.restore(number, bytes) else { return false };
        let (records, rest) = records.as_chunks::<16>();
        for record in records {
            let word = |at: usize| u64::from_le_bytes(std::array::from_fn(|i| record[at + i]));
            let entry = Entry { id: word(0), packed: word(8) };
            if !expired(entry.millis(self.low.unwrap_or(0) / 1_000), self.low) {
                self.insert(entry);
            }
        }
        rest.is_empty()
    }
}

/// The table of an id: bits that the table itself does not use for its groups and tags.
fn shard(id: u64) -> usize {
    (id >> 32) as usize % SHARDS
}

/// True where a flow that has forgotten what lies before `low` does not know a copy ten minutes before `millis`.
#[must_use]
pub fn has_forgotten(millis: i64, low: Option<i64>) -> bool {
    expired(millis.saturating_sub(HORIZON / 1_000), low)
}

fn expired(millis: i64, low: Option<i64>) -> bool {
    low.is_some_and(|low| millis.saturating_mul(1_000).saturating_add(KEPT) < low)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;
    /// A moment of this year, milliseconds.
    const NOW: i64 = 1_795_000_000_000;

    #[test]
    fn ids_are_known_for_twenty_minutes_of_watermark() {
        let mut dedup = Dedup::new(1_000_000);
        for id in 0..100_000u64 {
            let id = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            assert_eq!(dedup.seen(id, NOW, None), Seen::Never);
            assert!(dedup.remember(id, NOW, Some(7)));
            assert_eq!(dedup.seen(id, NOW + 5 * MINUTE, None), Seen::Once(NOW, Some(7)));
        }
        assert!(dedup.remember(3, NOW - 1, None));
        assert_eq!(dedup.seen(3, NOW + MINUTE, None), Seen::Once(NOW - 1, None));
        assert!(dedup.remember_copies(3, NOW));
        assert_eq!(dedup.seen(3, NOW, None), Seen::Copies);
        let low = Some((NOW + 20 * MINUTE) * 1_000);
        assert_eq!(dedup.seen(3, NOW, low), Seen::Copies, "ten minutes late, and ten minutes are within");
        assert!(!has_forgotten(NOW + 10 * MINUTE, low) && has_forgotten(NOW + 10 * MINUTE - 1, low));
        assert_eq!(dedup.seen(3, NOW, low.map(|l| l + 1)), Seen::Never);
        assert_eq!(dedup.seen(3, NOW, None), Seen::Copies, "another flow still reads what is older");
    }

    #[test]
    fn the_bound_holds_and_expired_ids_make_room() {
        let mut dedup = Dedup::new(100);
        let hash = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let kept = (0..150).filter(|i| dedup.remember(hash(*i), NOW, None)).count();
        assert_eq!((kept, dedup.len()), (100, 100));
        assert!(dedup.remember(hash(5), NOW, Some(1)), "a known id is updated");
        dedup.advance(Some((NOW + 21 * MINUTE) * 1_000));
        assert!(dedup.remember(hash(200), NOW + 21 * MINUTE, None));
        assert_eq!(dedup.len(), 1);
    }

    #[test]
    fn a_restored_one_knows_the_same() {
        let mut dedup = Dedup::new(1_000_000);
        let mut blobs = std::collections::BTreeMap::new();
        let hash = |i: u64| i.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for i in 0..50_000 {
            dedup.remember(hash(i), NOW + i as i64, Some(i as u32));
            dedup.remember(hash(i / 2), NOW + i as i64, None);
            if i % 7_000 == 0 || i == 49_999 {
                let mut changes = Changes::default();
                dedup.save(&mut changes);
                blobs.extend(changes.puts);
            }
        }
        let mut restored = Dedup::new(1_000_000);
        for (key, bytes) in &blobs {
            assert!(restored.restore(key.number, bytes));
        }
        assert_eq!(restored.len(), dedup.len());
        assert!((0..50_000).all(|i| restored.seen(hash(i), NOW, None) == dedup.seen(hash(i), NOW, None)));
    }
}
