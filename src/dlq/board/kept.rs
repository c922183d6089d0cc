//! What of a stream's numbers outlives the process: counters, with the facts that they were counted up to, so that
//! what happens while nobody watches is counted once by whoever watches next.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Board, Entry, Facts};
use crate::snapshot::{DlqCounted, FoundBy};

/// What is stored of one stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Identity of the log.
    incarnation: String,
    /// Only the headers of its records said that it holds dead letters.
    pub by_headers: bool,
    /// The stream is gone; should it come back, its counters go on.
    pub gone: bool,
    /// The group whose positions count, by the rules.
    group: Option<String>,
    inflow: u64,
    redriven: u64,
    expired: u64,
    sent: Option<u64>,
    /// Partition, start, end, committed.
    partitions: Vec<(u32, u64, u64, Option<u64>)>,
}

impl Entry {
    fn keep(&self) -> Kept {
        let facts = |(n, f): (&u32, &Facts)| (*n, f.start, f.end, f.committed);
        Kept {
            incarnation: self.incarnation.clone(),
            by_headers: self.found_by == FoundBy::Headers,
            gone: false,
            group: self.group.clone(),
            inflow: self.tracked.inflow,
            redriven: self.tracked.redriven,
            expired: self.tracked.expired,
            sent: self.sent,
            partitions: self.tracked.partitions.iter().map(facts).collect(),
        }
    }

    fn resume(kept: Kept) -> Self {
        let mut entry =
            Self { incarnation: kept.incarnation, group: kept.group, sent: kept.sent, waits: true, ..Self::default() };
        let facts = |(n, start, end, committed)| (n, Facts { start, end, committed, ahead: 0 });
        let partitions: BTreeMap<_, _> = kept.partitions.into_iter().map(facts).collect();
        entry.tracked.resume(partitions, (kept.inflow, kept.redriven, kept.expired));
        entry
    }
}

impl Board {
    /// Goes on from what was stored, before the first survey; how many rows were damaged and left out.
    pub fn restore(&mut self, rows: impl IntoIterator<Item = (String, Vec<u8>)>) -> usize {
        let mut damaged = 0;
        for (name, bytes) in rows {
            match serde_json::from_slice(&bytes) {
                Ok(kept) => {
                    self.kept.insert(name.as_str().into(), kept);
                    self.stored.insert(name.into(), bytes);
                }
                Err(_) => damaged += 1,
            }
        }
        damaged
    }

    /// The entry of a stream that is seen for the first time, or again.
    pub(super) fn claim(&mut self, name: &Arc<str>) -> &mut Entry {
        let kept = &mut self.kept;
        let new = || kept.remove(name).map(Entry::resume).unwrap_or_default();
        self.streams.entry(Arc::clone(name)).or_insert_with(new)
    }

    /// A stream leaves; its counters are remembered, of as many streams as are watched.
    pub(super) fn leave(&mut self, name: &Arc<str>) {
        let Some(entry) = self.streams.remove(name) else { return };
        if self.kept.len() < self.rules.streams {
            self.kept.insert(Arc::clone(name), Kept { gone: true, ..entry.keep() });
        } else {
            self.left_out.counters += 1;
        }
    }

    /// True while the numbers of a stream wait for the markers of letters that were handled one by one: without them
    /// what expired while nobody watched would count as never handled. Read them, then absorb the survey once more.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.streams.values().any(|entry| entry.waits)
    }

    /// The counters of every stream that is there, in order of names; before the first survey those that were stored.
    #[must_use]
    pub fn counted(&self) -> Vec<DlqCounted> {
        let of = |stream: &Arc<str>, inflow, expired| DlqCounted {
            cluster: self.cluster.clone(),
            stream: Arc::clone(stream),
            inflow,
            expired,
        };
        let kept = self.kept.iter().filter(|(_, k)| !k.gone).map(|(n, k)| of(n, k.inflow, k.expired));
        let live = self.streams.iter().map(|(n, e)| of(n, e.tracked.inflow, e.tracked.expired));
        let mut all: Vec<_> = live.chain(kept).collect();
        all.sort_by(|a, b| a.stream.cmp(&b.stream));
        all
    }

    /// What has to be stored for [`Board::counted`] to be durable: stream and bytes; no bytes: it is removed.
    #[must_use]
    pub fn unstored(&self) -> Vec<(Arc<str>, Vec<u8>)> {
        let live = self.streams.iter().map(|(name, entry)| (name, entry.keep()));
        let all = live.chain(self.kept.iter().map(|(name, kept)| (name, kept.clone())));
        let encoded = all.map(|(name, kept)| (Arc::clone(name), serde_json::to_vec(&kept).unwrap_or_default()));
        let mut rows: Vec<_> = encoded.filter(|(name, bytes)| self.stored.get(name) != Some(bytes)).collect();
        let here = |name: &Arc<str>| self.streams.contains_key(name) || self.kept.contains_key(name);
        rows.extend(self.stored.keys().filter(|name| !here(name)).map(|name| (Arc::clone(name), Vec::new())));
        rows
    }

    /// These are durable now.
    pub fn are_stored(&mut self, rows: Vec<(Arc<str>, Vec<u8>)>) {
        for (name, bytes) in rows {
            if bytes.is_empty() {
                self.stored.remove(&name);
            } else {
                self.stored.insert(name, bytes);
            }
        }
    }
}
