//! Which letters are settled, kept in the log itself: in a stream of ours beside the copies, written in the same
//! atomic step. So a second run, on any machine, knows what the first one did (docs/adr/020).
//!
//! One record per [`CHUNK`] positions, the newest counts: key `v1|<incarnation>|<partition>|<chunk>`, value two
//! bitmaps (sent, passed over). Steps that touch a chunk write it as a whole, so the stream may be compacted.
//! Beside them one record, `sent|<incarnation>`, says how many copies were sent in all: chunks expire, and are read
//! again, in part and in any order, so that no sum over those that are there is the number of copies.

use std::collections::{BTreeMap, BTreeSet};

/// Positions in one record: two bitmaps of 512 bytes.
pub const CHUNK: u64 = 4_096;
/// Words of a bitmap.
const WORDS: usize = (CHUNK / 64) as usize;
/// First byte of a value.
const VERSION: u8 = 1;
/// Beginning of the key of the record that says how many copies were sent.
const TOTAL: &[u8] = b"sent|";

/// What became of a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// A copy was sent.
    Sent,
    /// Its transaction had ended well: nothing is left to do.
    Passed,
}

/// The stream of ours that keeps what was settled of a stream of dead letters.
#[must_use]
pub fn marker_stream(stream: &str) -> String {
    format!("{}redriven.{stream}", super::OWN_PREFIX)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    sent: [u64; WORDS],
    passed: [u64; WORDS],
}

impl Default for Chunk {
    fn default() -> Self {
        Self { sent: [0; WORDS], passed: [0; WORDS] }
    }
}

/// What is settled of one incarnation of a stream.
#[derive(Clone, Debug, Default)]
pub struct Settled {
    incarnation: String,
    chunks: BTreeMap<(u32, u64), Chunk>,
    touched: BTreeSet<(u32, u64)>,
    /// Copies sent in all, which never falls; `None`: no record says it, all chunks that were ever written are there.
    total: Option<u64>,
    /// The total was changed since it was written.
    counted: bool,
    /// Keys of records that say nothing any more: of positions that left the log, or of an earlier incarnation.
    expired: BTreeSet<Vec<u8>>,
}

/// Keys of expired records that are remembered; further ones are found by the next run.
const EXPIRED: usize = 10_000;

impl Settled {
    /// Nothing yet.
    #[must_use]
    pub fn new(incarnation: impl Into<String>) -> Self {
        Self { incarnation: incarnation.into(), ..Self::default() }
    }

    /// Takes a record of the marker stream, in order. False: it is none of ours, or of another incarnation.
    pub fn load(&mut self, key: &[u8], value: Option<&[u8]>) -> bool {
        if let Some(incarnation) = key.strip_prefix(TOTAL) {
            return self.load_total(incarnation, key, value);
        }
        let Some((incarnation, partition, chunk)) = place(key) else { return false };
        if incarnation != self.incarnation {
            self.foreign(incarnation.as_bytes(), key, value);
            return false;
        }
        let at = (partition, chunk);
        match value {
            None => {
                self.drop_chunk(at);
                true
            }
            Some([VERSION, bits @ ..]) if bits.len() == WORDS * 16 => {
                let mut words = bits.chunks_exact(8).map(|b| u64::from_le_bytes(std::array::from_fn(|i| b[i])));
                let mut next = || std::array::from_fn(|_| words.next().unwrap_or(0));
                self.chunks.insert(at, Chunk { sent: next(), passed: next() });
                true
            }
            Some(_) => false,
        }
    }

    /// Takes a record that says how many copies were sent in all. An older one, read again, says nothing new.
    fn load_total(&mut self, incarnation: &[u8], key: &[u8], value: Option<&[u8]>) -> bool {
        if incarnation != self.incarnation.as_bytes() {
            self.foreign(incarnation, key, value);
            return false;
        }
        let Some([VERSION, bytes @ ..]) = value else { return false };
        let Ok(bytes) = bytes.try_into() else { return false };
        self.total = self.total.max(Some(u64::from_le_bytes(bytes)));
        true
    }

    /// A record of another incarnation is to be deleted, unless it is already.
    fn foreign(&mut self, incarnation: &[u8], key: &[u8], value: Option<&[u8]>) {
        // Without incarnations nobody knows which log is meant.
        if incarnation.is_empty() || self.incarnation.is_empty() || value.is_none() {
            self.expired.remove(key);
        } else if self.expired.len() < EXPIRED {
            self.expired.insert(key.to_vec());
        }
    }

    fn key(&self, (partition, chunk): (u32, u64)) -> Vec<u8> {
        format!("v1|{}|{partition}|{chunk}", self.incarnation).into_bytes()
    }

    fn drop_chunk(&mut self, at: (u32, u64)) {
        // What the chunks say is the number only as long as none of them is gone.
        self.total = Some(self.sent());
        self.chunks.remove(&at);
        self.touched.remove(&at);
    }

    /// Forgets the chunks of a partition whose positions all lie before `start`, where the log begins now.
    pub fn expire(&mut self, partition: u32, start: u64) {
        let old: Vec<(u32, u64)> =
            self.chunks.range((partition, 0)..(partition, start / CHUNK)).map(|(at, _)| *at).collect();
        for at in old {
            self.drop_chunk(at);
            if self.expired.len() < EXPIRED {
                self.expired.insert(self.key(at));
            }
        }
    }

    /// At most `most` keys of records that say nothing any more, to be deleted from the stream of markers.
    pub fn take_expired(&mut self, most: usize) -> Vec<Vec<u8>> {
        let taken: Vec<Vec<u8>> = self.expired.iter().take(most).cloned().collect();
        for key in &taken {
            self.expired.remove(key);
        }
        taken
    }

    /// Notes what became of a letter.
    pub fn mark(&mut self, partition: u32, position: u64, fate: Fate) {
        let at = (partition, position / CHUNK);
        let (word, bit) = place_in(position);
        let chunk = self.chunks.entry(at).or_default();
        let bits = if fate == Fate::Sent { &mut chunk.sent } else { &mut chunk.passed };
        let is_copy = fate == Fate::Sent && bits[word] & bit == 0;
        bits[word] |= bit;
        self.touched.insert(at);
        if is_copy {
            // What the chunks say has this one already.
            let total = self.total.map_or_else(|| self.sent(), |before| before + 1);
            (self.total, self.counted) = (Some(total), true);
        }
    }

    /// What became of a letter; `None`: it waits.
    #[must_use]
    pub fn fate(&self, partition: u32, position: u64) -> Option<Fate> {
        let chunk = self.chunks.get(&(partition, position / CHUNK))?;
        let (word, bit) = place_in(position);
        match (chunk.sent[word] & bit != 0, chunk.passed[word] & bit != 0) {
            (true, _) => Some(Fate::Sent),
            (false, true) => Some(Fate::Passed),
            (false, false) => None,
        }
    }

    /// The records to write for what was marked since the last call: key and value.
    pub fn take_touched(&mut self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let touched = std::mem::take(&mut self.touched);
        let record = |at: (u32, u64)| {
            let bits = self.chunks.get(&at).cloned().unwrap_or_default();
            let words = bits.sent.iter().chain(&bits.passed).flat_map(|w| w.to_le_bytes());
            (self.key(at), [VERSION].into_iter().chain(words).collect())
        };
        let mut records: Vec<(Vec<u8>, Vec<u8>)> = touched.into_iter().map(record).collect();
        if std::mem::take(&mut self.counted) {
            let value = [VERSION].into_iter().chain(self.sent().to_le_bytes()).collect();
            records.push(([TOTAL, self.incarnation.as_bytes()].concat(), value));
        }
        records
    }

    /// Copies that were sent, over all partitions, whatever became of the letters and of the markers since.
    #[must_use]
    pub fn sent(&self) -> u64 {
        let there = || self.chunks.values().flat_map(|c| c.sent).map(|w| u64::from(w.count_ones())).sum();
        self.total.unwrap_or_else(there)
    }

    /// How many letters of a partition are settled with `from <= position < to`.
    #[must_use]
    pub fn within(&self, partition: u32, from: u64, to: u64) -> u64 {
        self.from(partition, from).saturating_sub(self.from(partition, to))
    }

    /// How many letters of a partition are settled at or behind `position`.
    #[must_use]
    pub fn from(&self, partition: u32, position: u64) -> u64 {
        let chunks = self.chunks.range((partition, position / CHUNK)..=(partition, u64::MAX));
        let count = |(&(_, number), chunk): (&(u32, u64), &Chunk)| -> u64 {
            (0..WORDS)
                .map(|w| {
                    let base = number * CHUNK + w as u64 * 64;
                    let skip = position.saturating_sub(base).min(64);
                    let bits =
                        (chunk.sent[w] | chunk.passed[w]).checked_shr(u32::try_from(skip).unwrap_or(64)).unwrap_or(0);
                    u64::from(bits.count_ones())
                })
                .sum()
        };
        chunks.map(count).sum()
    }
}

/// Incarnation, partition and chunk that a key names; `None`: it is no key of a chunk.
fn place(key: &[u8]) -> Option<(&str, u32, u64)> {
    let rest = std::str::from_utf8(key).ok()?.strip_prefix("v1|")?;
    let (rest, chunk) = rest.rsplit_once('|')?;
    let (incarnation, partition) = rest.rsplit_once('|')?;
    Some((incarnation, partition.parse().ok()?, chunk.parse().ok()?))
}

fn place_in(position: u64) -> (usize, u64) {
    let within = position % CHUNK;
    ((within / 64) as usize, 1 << (within % 64))
}

#[cfg(test)]
mod tests;
