//! What is kept of a partition over a restart, as bytes: its time index, so that ages are known at once, and what nobody
//! could tell later: the commits that belong to an earlier log of its name, and when a log with transactions grew.

use std::collections::BTreeMap;
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

/// Groups and positions by topic and partition.
type Stale = BTreeMap<(u32, u32), Vec<(Arc<str>, u64)>>;

impl Board {
    /// Indexes that changed since they were asked for last, at most `most`.
    pub fn changed_indexes(&mut self, most: usize) -> Vec<StoredIndex> {
        let mut changed: Vec<StoredIndex> = self.unclaimed.drain(..self.unclaimed.len().min(most)).collect();
        let mut stale = self.changed_places(most - changed.len());
        for group in self.groups.values() {
            for row in group.rows.iter().filter(|r| r.stale) {
                if let Some(of) = stale.get_mut(&(row.topic, row.partition)) {
                    of.push((Arc::clone(&group.name), row.committed));
                }
            }
        }
        for ((place, partition), stale) in stale {
            let topic = &mut self.topics[place as usize];
            let part = &mut topic.parts[partition as usize];
            part.dirty = false;
            let mut bytes = 0;
            let fits = stale.iter().map(|(group, at)| (&**group, *at)).take_while(|(group, _)| {
                bytes += group.len() + 16;
                bytes <= STALE_BYTES
            });
            let (version, id, stale) = (VERSION, &*topic.id, fits.collect::<Vec<_>>());
            let (samples, marks) = (part.index.samples().to_vec(), part.arrivals.marks());
            let nothing = samples.is_empty() && stale.is_empty() && marks.is_empty();
            let stored = Stored { version, id, transactional: topic.transactional, samples, stale };
            // Serializing plain numbers into memory does not fail; if it did, nothing would be stored.
            let bytes = if nothing { Vec::new() } else { postcard::to_stdvec(&(stored, marks)).unwrap_or_default() };
            changed.push(StoredIndex { stream: topic.name.to_string(), partition, bytes });
        }
        changed
    }

    /// The first partitions that changed, each with room for the commits of earlier logs there.
    fn changed_places(&self, most: usize) -> Stale {
        let topics = (0..).zip(&self.topics);
        let parts = topics.flat_map(|(place, topic)| (0..).zip(&topic.parts).map(move |(n, part)| ((place, n), part)));
        parts.filter(|(_, part)| part.dirty).take(most).map(|(at, _)| (at, Vec::new())).collect()
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
