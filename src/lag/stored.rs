//! The time indexes as bytes: so that ages are known at once after a restart.

use super::board::Board;
use super::index::Sample;
use serde::{Deserialize, Serialize};

/// Format of the bytes; others are thrown away, since everything can be learned again.
const VERSION: u8 = 1;

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
}

impl Board {
    /// Indexes that changed since they were asked for last, at most `most`.
    pub fn changed_indexes(&mut self, most: usize) -> Vec<StoredIndex> {
        let mut changed: Vec<StoredIndex> = self.unclaimed.drain(..self.unclaimed.len().min(most)).collect();
        for topic in &mut self.topics {
            for (partition, part) in topic.parts.iter_mut().enumerate().filter(|(_, p)| p.dirty) {
                if changed.len() >= most {
                    return changed;
                }
                part.dirty = false;
                let samples = part.index.samples().to_vec();
                let stored = Stored { version: VERSION, id: &topic.id, transactional: topic.transactional, samples };
                // Serializing plain numbers into memory does not fail; if it did, nothing would be stored.
                let bytes =
                    if part.index.is_empty() { Vec::new() } else { postcard::to_stdvec(&stored).unwrap_or_default() };
                changed.push(StoredIndex { stream: topic.name.to_string(), partition: partition as u32, bytes });
            }
        }
        changed
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
        for (partition, part) in topic.parts.iter_mut().enumerate() {
            let Some(stored) = self.stored.remove(&(topic.name.to_string(), partition as u32)) else { continue };
            let Ok(stored) = postcard::from_bytes::<Stored<'_>>(&stored.bytes) else { continue };
            let beyond = stored.samples.last().is_some_and(|s| part.end.is_some_and(|end| s.position() >= end));
            if stored.version == VERSION && stored.id == topic.id && !beyond {
                topic.transactional |= stored.transactional;
                part.index.restore(stored.samples);
            }
        }
    }
}
