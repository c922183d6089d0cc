//! Append-only storage of small records that expire: chunks that are written once and deleted as a whole.
//!
//! The newest chunk is written again with each checkpoint until it is full. A chunk begins with the
//! moment at which its last record expires.

use std::collections::BTreeMap;

use crate::model::{BlobKey, Changes};

/// Bytes of a full chunk: one row of the store, and as large as a page of transactions, so that the one fits into
/// the hole that the other leaves. Ten minutes of 200,000 ids per second are 30,000 of them.
const FULL: usize = 65_000;

const HEADER: usize = size_of::<i64>();

/// One journal.
#[derive(Debug)]
pub struct Journal {
    kind: u8,
    number: u64,
    open: Vec<u8>,
    open_expiry: i64,
    open_unsaved: bool,
    full: Vec<(u64, Vec<u8>)>,
    stored: BTreeMap<u64, i64>,
}

impl Journal {
    /// An empty journal whose chunks are blobs of `kind`.
    #[must_use]
    pub fn new(kind: u8) -> Self {
        let (open, full, stored) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self { kind, number: 0, open, open_expiry: i64::MIN, open_unsaved: false, full, stored }
    }

    /// Appends one record that is needed until `expiry`.
    pub fn push(&mut self, record: &[u8], expiry: i64) {
        if self.open.is_empty() {
            self.open.reserve_exact(FULL + record.len()); // pages that are not written yet cost nothing
            self.open.extend_from_slice(&[0; HEADER]);
        }
        self.open.extend_from_slice(record);
        self.open_expiry = self.open_expiry.max(expiry);
        self.open_unsaved = true;
        if self.open.len() >= FULL {
            let mut bytes = std::mem::take(&mut self.open);
            bytes[..HEADER].copy_from_slice(&self.open_expiry.to_le_bytes());
            self.full.push((self.number, bytes));
            self.stored.insert(self.number, self.open_expiry);
            self.number += 1;
            self.open_expiry = i64::MIN;
            self.open_unsaved = false;
        }
    }

    /// Puts what is new into `changes` and deletes the chunks that expired before `now`.
    pub fn save(&mut self, now: Option<i64>, changes: &mut Changes) {
        let key = |number| BlobKey { kind: self.kind, number };
        let mut written: Vec<(u64, Vec<u8>)> = self.full.drain(..).collect();
        if std::mem::take(&mut self.open_unsaved) {
            self.open[..HEADER].copy_from_slice(&self.open_expiry.to_le_bytes());
            written.push((self.number, self.open.clone()));
        }
        let gone: Vec<u64> =
            self.stored.iter().filter(|(_, e)| now.is_some_and(|n| **e < n)).map(|(n, _)| *n).collect();
        for number in gone {
            self.stored.remove(&number);
            written.retain(|(n, _)| *n != number);
            changes.deletes.push(key(number));
        }
        changes.puts.extend(written.into_iter().map(|(number, bytes)| (key(number), bytes.into())));
    }

    /// Takes a stored chunk back and answers with its records. Chunks must come in the order of their numbers.
    pub fn restore<'a>(&mut self, number: u64, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let (header, records) = bytes.split_first_chunk::<HEADER>()?;
        self.stored.insert(number, i64::from_le_bytes(*header));
        self.number = self.number.max(number + 1);
        Some(records)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_fill_are_kept_and_expire() {
        let mut journal = Journal::new(5);
        let mut stored: BTreeMap<BlobKey, bytes::Bytes> = BTreeMap::new();
        let record = [7u8; 16];
        for i in 0..60_000i64 {
            journal.push(&record, i);
            if i % 10_000 == 9_999 {
                let mut changes = Changes::default();
                journal.save(Some(i - 40_000), &mut changes);
                stored.extend(changes.puts);
                for key in changes.deletes {
                    assert!(stored.remove(&key).is_some());
                }
            }
        }
        let records: usize = stored.values().map(|b| (b.len() - HEADER) / 16).sum();
        assert!((40_000..60_000).contains(&records), "{records}");
        let mut restored = Journal::new(5);
        for (key, bytes) in &stored {
            assert!(restored.restore(key.number, bytes).unwrap().chunks(16).all(|r| r == record));
        }
        restored.push(&record, 1);
        let mut changes = Changes::default();
        restored.save(None, &mut changes);
        assert!(changes.puts.iter().all(|(key, _)| !stored.contains_key(key)), "stored chunks are never written over");
    }
}
