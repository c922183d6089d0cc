//! The transaction table: pages of slots, an index by key, and which pages a checkpoint has to write.
//!
//! The lowest free slot is always taken first, so that pages stay dense and a restored table
//! hands out the same slots as the one it was made from.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hashbrown::HashTable;
use zerocopy::IntoBytes;

use super::page::{INLINE_ID, NO_SLOT, Page, RECORDS, Record, SLOTS, Slot, flag, kind};
use super::resolve::Fact;

/// Slot numbers fit into 24 bits (4 GiB of pages): duplicates refer to them.
pub const MAX_SLOTS: usize = 1 << 24;

/// All transactions in memory.
#[derive(Debug, Default)]
pub struct Table {
    pages: Vec<Page>,
    /// Free slots by page, one bit each.
    free: Vec<[u64; SLOTS / 64]>,
    /// Pages with a free slot.
    open: BTreeSet<u32>,
    dirty: BTreeSet<u32>,
    last_dirty: Option<u32>,
    index: HashTable<u32>,
    long_ids: BTreeMap<u32, Box<str>>,
    dirty_ids: BTreeSet<u32>,
    live: usize,
}

impl Table {
    /// Transactions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.live
    }

    /// Bytes of the pages.
    #[must_use]
    pub fn page_bytes(&self) -> usize {
        self.pages.len() * SLOTS * size_of::<Slot>()
    }

    /// The slot of a transaction.
    #[must_use]
    pub fn find(&self, key: u64) -> Option<u32> {
        self.index.find(key, |s| self.slot(*s).head.key == key).copied()
    }

    /// Fetches what [`Table::find`] and [`Table::load`] will need.
    #[must_use]
    pub fn touch(&self, key: u64) -> u64 {
        let Some(slot) = self.find(key) else { return 0 };
        let slot = self.slot(slot);
        u64::from(slot.head.next) ^ slot.records[0].touch() ^ slot.records[2].touch() ^ slot.records[4].touch()
    }

    /// One slot.
    #[must_use]
    pub fn slot(&self, slot: u32) -> &Slot {
        slot_of(&self.pages, slot)
    }

    /// One slot that holds a transaction, if it does.
    #[must_use]
    pub fn transaction(&self, slot: u32) -> Option<&Slot> {
        let found = self.pages.get(slot as usize / SLOTS)?.slots().get(slot as usize % SLOTS)?;
        (found.head.kind == kind::HEAD).then_some(found)
    }

    /// One slot, to change: its page goes into the next checkpoint.
    pub fn slot_mut(&mut self, slot: u32) -> &mut Slot {
        let page = slot / SLOTS as u32;
        if self.last_dirty != Some(page) {
            self.dirty.insert(page);
            self.last_dirty = Some(page);
        }
        &mut self.pages[page as usize].slots_mut()[slot as usize % SLOTS]
    }

    /// The transaction id.
    #[must_use]
    pub fn id(&self, slot: u32) -> &str {
        let head = &self.slot(slot).head;
        if head.flags & flag::LONG_ID != 0 {
            return self.long_ids.get(&slot).map_or("", |s| s);
        }
        std::str::from_utf8(&head.id[..usize::from(head.id_len)]).unwrap_or("")
    }

    /// Makes a transaction without events.
    pub fn insert(&mut self, key: u64, flow: u16, id: &str) -> u32 {
        let slot = self.take_free(kind::HEAD);
        let head = &mut self.slot_mut(slot).head;
        (head.key, head.flow, head.next, head.due) = (key, flow, NO_SLOT, i64::MAX);
        if id.len() <= INLINE_ID {
            head.id[..id.len()].copy_from_slice(id.as_bytes());
            head.id_len = id.len() as u16;
        } else {
            head.flags |= flag::LONG_ID;
            self.long_ids.insert(slot, id.into());
            self.dirty_ids.insert(slot);
        }
        let pages = &self.pages;
        self.index.insert_unique(key, slot, |s| slot_of(pages, *s).head.key);
        self.live += 1;
        slot
    }

    /// Forgets a transaction.
    pub fn remove(&mut self, slot: u32) {
        let head = self.slot(slot).head;
        if let Ok(entry) = self.index.find_entry(head.key, |s| *s == slot) {
            entry.remove();
        }
        if head.flags & flag::LONG_ID != 0 {
            self.long_ids.remove(&slot);
            self.dirty_ids.insert(slot);
        }
        let mut at = slot;
        while at != NO_SLOT {
            let next = self.slot(at).head.next;
            self.give_back(at);
            at = next;
        }
        self.live -= 1;
    }

    /// Reads the events of a transaction, in the order in which they were stored.
    pub fn load(&self, slot: u32, events: &mut Vec<Fact>) {
        events.clear();
        let mut at = slot;
        let mut left = usize::from(self.slot(slot).head.records);
        while left > 0 && at != NO_SLOT {
            let here = self.slot(at);
            let n = left.min(RECORDS);
            here.records[..n].iter().for_each(|r| r.unpack(events));
            left -= n;
            at = here.head.next;
        }
    }

    /// Writes the events of a transaction; the chain grows and shrinks with them.
    pub fn store(&mut self, slot: u32, events: &[Fact]) {
        let (mut at, mut n, mut total) = (slot, 0, 0);
        for event in events {
            Record::pack(event, |record| {
                if n == RECORDS {
                    let mut next = self.slot(at).head.next;
                    if next == NO_SLOT {
                        next = self.take_free(kind::MORE);
                        self.slot_mut(next).head.next = NO_SLOT;
                        self.slot_mut(at).head.next = next;
                    }
                    (at, n) = (next, 0);
                }
                self.slot_mut(at).records[n] = record;
                n += 1;
                total += 1;
            });
        }
        self.slot_mut(slot).head.records = total;
        let mut rest = std::mem::replace(&mut self.slot_mut(at).head.next, NO_SLOT);
        while rest != NO_SLOT {
            let next = self.slot(rest).head.next;
            self.give_back(rest);
            rest = next;
        }
    }

    /// The slots of all transactions, ascending.
    pub fn transactions(&self) -> impl Iterator<Item = u32> {
        self.pages.iter().enumerate().flat_map(|(p, page)| {
            let heads = page.slots().iter().enumerate().filter(|(_, s)| s.head.kind == kind::HEAD);
            heads.map(move |(i, _)| (p * SLOTS + i) as u32)
        })
    }

    /// Hands every page that changed since the last time to `save` (`None`: nothing is left on it).
    pub fn save(&mut self, mut save: impl FnMut(u32, Option<Bytes>)) {
        self.last_dirty = None;
        for number in std::mem::take(&mut self.dirty) {
            let empty = self.free[number as usize].iter().all(|w| *w == u64::MAX);
            save(number, (!empty).then(|| self.pages[number as usize].lend()));
        }
    }

    /// Hands every long id that came or went since the last time to `save` (`None`: it went).
    pub fn save_ids(&mut self, mut save: impl FnMut(u32, Option<&str>)) {
        for slot in std::mem::take(&mut self.dirty_ids) {
            save(slot, self.long_ids.get(&slot).map(|s| &**s));
        }
    }

    /// Puts a stored page back. False: its size is not that of a page.
    pub fn restore_page(&mut self, number: u32, bytes: &[u8]) -> bool {
        if bytes.len() != SLOTS * size_of::<Slot>() || number as usize >= MAX_SLOTS / SLOTS {
            return false;
        }
        while self.pages.len() <= number as usize {
            self.grow();
        }
        let page = self.pages[number as usize].slots_mut();
        page.as_mut_bytes().copy_from_slice(bytes);
        for (i, slot) in page.iter().enumerate() {
            let taken = slot.head.kind != kind::FREE;
            self.free[number as usize][i / 64] &= !(u64::from(taken) << (i % 64));
            if slot.head.kind == kind::HEAD {
                self.live += 1;
            }
        }
        if self.free[number as usize] == [0; SLOTS / 64] {
            self.open.remove(&number);
        }
        true
    }

    /// Puts a stored long id back.
    pub fn restore_id(&mut self, slot: u32, id: &str) {
        self.long_ids.insert(slot, id.into());
    }

    /// Makes the index after all pages were put back.
    pub fn reindex(&mut self) {
        let slots: Vec<u32> = self.transactions().collect();
        let pages = &self.pages;
        let key = |s: &u32| slot_of(pages, *s).head.key;
        self.index = HashTable::with_capacity(slots.len());
        for slot in slots {
            self.index.insert_unique(key(&slot), slot, key);
        }
    }

    fn grow(&mut self) {
        self.open.insert(self.pages.len() as u32);
        self.pages.push(Page::new());
        self.free.push([u64::MAX; SLOTS / 64]);
    }

    fn take_free(&mut self, kind: u8) -> u32 {
        if self.open.is_empty() {
            self.grow();
        }
        let page = *self.open.first().expect("a page was just made where none was open");
        let words = &mut self.free[page as usize];
        let word = words.iter().position(|w| *w != 0).expect("an open page has a free slot");
        let bit = words[word].trailing_zeros();
        words[word] &= words[word] - 1;
        if *words == [0; SLOTS / 64] {
            self.open.remove(&page);
        }
        let slot = page * SLOTS as u32 + word as u32 * 64 + bit;
        self.slot_mut(slot).head.kind = kind;
        slot
    }

    fn give_back(&mut self, slot: u32) {
        *self.slot_mut(slot) = Slot::FREE;
        let (page, i) = (slot / SLOTS as u32, slot as usize % SLOTS);
        self.free[page as usize][i / 64] |= 1 << (i % 64);
        self.open.insert(page);
    }
}

fn slot_of(pages: &[Page], slot: u32) -> &Slot {
    &pages[slot as usize / SLOTS].slots()[slot as usize % SLOTS]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Status;
    use proptest::prelude::*;

    fn events(n: usize, salt: i64) -> Vec<Fact> {
        let event = |i: usize| Fact {
            cut: i as i64 + salt,
            time: salt,
            started: i.is_multiple_of(7).then_some(salt),
            position: i as u64,
            print: 1,
            source: 2,
            stage: 3,
            status: Status::Ok,
            outcome: None,
            event_clock: true,
            late: false,
        };
        (0..n).map(event).collect()
    }

    proptest! {
        #[test]
        fn it_is_a_map_also_after_a_restore(steps in prop::collection::vec((0u64..40, 0usize..34), 1..200)) {
            let mut table = Table::default();
            let mut model: BTreeMap<u64, Vec<Fact>> = BTreeMap::new();
            let mut blobs: BTreeMap<u32, Vec<u8>> = BTreeMap::new();
            let mut ids: BTreeMap<u32, String> = BTreeMap::new();
            let name = |key: u64| format!("{key:0width$}", width = (key as usize % 3 + 1) * 20);
            for (i, (key, n)) in steps.into_iter().enumerate() {
                match (table.find(key), n) {
                    (Some(slot), 0) => { table.remove(slot); model.remove(&key); }
                    (None, 0) => {}
                    (found, n) => {
                        let slot = found.unwrap_or_else(|| table.insert(key, 1, &name(key)));
                        table.store(slot, &events(n, i as i64));
                        model.insert(key, events(n, i as i64));
                    }
                }
                if i % 17 == 0 {
                    table.save(|p, bytes| match bytes {
                        Some(b) => drop(blobs.insert(p, b.to_vec())),
                        None => drop(blobs.remove(&p)),
                    });
                    table.save_ids(|s, id| match id {
                        Some(t) => drop(ids.insert(s, t.to_owned())),
                        None => drop(ids.remove(&s)),
                    });
                    table = Table::default();
                    for (p, b) in &blobs { prop_assert!(table.restore_page(*p, b)); }
                    for (s, t) in &ids { table.restore_id(*s, t); }
                    table.reindex();
                }
            }
            prop_assert_eq!(table.len(), model.len());
            prop_assert_eq!(table.transactions().count(), model.len());
            let mut loaded = vec![];
            for (key, expected) in &model {
                let slot = table.find(*key).unwrap();
                table.load(slot, &mut loaded);
                prop_assert_eq!(&loaded, expected);
                prop_assert_eq!(table.id(slot), name(*key));
            }
            for slot in table.transactions().collect::<Vec<_>>() { table.remove(slot); }
            prop_assert!(table.free.iter().flatten().all(|w| *w == u64::MAX));
        }
    }
}
