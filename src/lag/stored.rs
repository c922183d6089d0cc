//! What is kept of a partition over a restart, as bytes: its time index, so that ages are known at once, and what nobody
//! could tell later: the commits that belong to an earlier log of its name, and when a log with transactions grew.

use std::collections::HashMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::arrivals::Mark;
use super::board::Board;
use super::index::Sample;

/// Format of the bytes: behind what follows, the [`Mark`]s of a log with transactions.
const VERSION: u8 = 3;
/// The one before, which had none. Others are thrown away, since nearly everything can be learned again.
const WITHOUT_MARKS: u8 = 2;
/// Bytes of group names that are kept per partition: a row of the store holds twice as much. Further commits of
/// earlier logs are known until the next restart only.
const STALE_BYTES: usize = 4 << 10;

/// The index of one partition as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredIndex {
    /// Stream.
    pub stream: String,
    /// Partition.
    pub partition: u32,
    /// Its samples; empty: nothing is known, forget what was stored.
    pub bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
struct Stored<'a> {
    version: u8,
    /// Identity of the topic's incarnation.
    id: &'a str,
    transactional: bool,
    samples: Vec<Sample>,
    /// Groups and positions that they committed in an earlier log of this name.
    #[serde(borrow)]
    stale: Vec<(&'a str, u64)>,
}

/// By topic and partition.
type Stale = HashMap<(u32, u32), Vec<(Arc<str>, u64)>>;

impl Board {
    /// Indexes that changed since they were asked for last, at most `most`.
    pub fn changed_indexes(&mut self, most: usize) -> Vec<StoredIndex> {
        let mut changed: Vec<StoredIndex> = self.unclaimed.drain(..self.unclaimed.len().min(most)).collect();
        let stale = self.stale_rows();
        for (place, topic) in (0..).zip(&mut self.topics) {
            for (partition, part) in (0..).zip(&mut topic.parts).filter(|(_, p)| p.dirty) {
                if changed.len() >= most {
                    return changed;
                }
                part.dirty = false;
                let samples = part.index.samples().to_vec();
                let (mut bytes, all) = (0, stale.get(&(place, partition)).map(Vec::as_slice).unwrap_or_default());
                let fits = all.iter().map(|(group, at)| (&**group, *at)).take_while(|(group, _)| {
                    bytes += group.len() + 16;
                    bytes <= STALE_BYTES
                });
                let (version, id, stale) = (VERSION, &*topic.id, fits.collect::<Vec<_>>());
                let marks = part.arrivals.marks();
                let nothing = samples.is_empty() && stale.is_empty() && marks.is_empty();
                let stored = Stored { version, id, transactional: topic.transactional, samples, stale };
                // Serializing plain numbers into memory does not fail; if it did, nothing would be stored.
                let bytes =
                    if nothing { Vec::new() } else { postcard::to_stdvec(&(stored, marks)).unwrap_or_default() };
                changed.push(StoredIndex { stream: topic.name.to_string(), partition, bytes });
            }
        }
        changed
    }

    /// Commits of earlier logs on partitions that changed.
    fn stale_rows(&self) -> Stale {
        let mut stale = Stale::new();
        for group in self.groups.values() {
            for row in group.rows.iter().filter(|r| r.stale) {
                let part = self.topics[row.topic as usize].parts.get(row.partition as usize);
                if part.is_some_and(|p| p.dirty) {
                    let of = stale.entry((row.topic, row.partition)).or_default();
                    of.push((Arc::clone(&group.name), row.committed));
                }
            }
        }
        stale
    }

    /// Takes an index from the store. It counts once its topic is seen, if that is still the same one.
    pub fn restore(&mut self, stored: StoredIndex) {
        self.stored.insert((stored.stream.clone(), stored.partition), stored);
    }

    /// Hands a topic its stored indexes.
    pub(super) fn take_stored(&mut self, place: u32) {
        if self.stored.is_empty() {
            return;
        }
        let topic = &mut self.topics[place as usize];
        for (partition, part) in (0..).zip(&mut topic.parts) {
            let Some(stored) = self.stored.remove(&(topic.name.to_string(), partition)) else { continue };
            let Ok((stored, rest)) = postcard::take_from_bytes::<Stored<'_>>(&stored.bytes) else { continue };
            let marks: Vec<Mark> = match stored.version {
                VERSION => postcard::from_bytes(rest).unwrap_or_default(),
                WITHOUT_MARKS => Vec::new(),
                _ => continue,
            };
            // What belonged to an earlier log then does so for ever, until the group commits anew.
            let stale = stored.stale.iter().map(|(group, at)| (((*group).to_owned(), place, partition), *at));
            self.stale.extend(stale);
            let beyond = stored.samples.last().is_some_and(|s| part.end.is_some_and(|end| s.position() >= end));
            if stored.id == topic.id && !beyond {
                topic.transactional |= stored.transactional;
                part.index.restore(stored.samples);
                part.arrivals.restore(marks, part.reach().unwrap_or(0));
            }
        }
    }
}
