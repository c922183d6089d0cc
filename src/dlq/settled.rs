//! Which letters are settled, kept in the log itself: in a stream of ours beside the copies, written in the same
//! atomic step. So a second run, on any machine, knows what the first one did (docs/adr/020).
//!
//! One record per [`CHUNK`] positions, the newest counts: key `v1|<incarnation>|<partition>|<chunk>`, value two
//! bitmaps (sent, passed over). Steps that touch a chunk write it as a whole, so the stream may be compacted.

use std::collections::{BTreeMap, BTreeSet};

/// Positions in one record: two bitmaps of 512 bytes.
pub const CHUNK: u64 = 4_096;
/// Words of a bitmap.
const WORDS: usize = (CHUNK / 64) as usize;
/// First byte of a value.
const VERSION: u8 = 1;

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
    /// Copies sent that chunks told of which are gone.
    gone: u64,
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
        let Some((incarnation, partition, chunk)) = place(key) else { return false };
        if incarnation != self.incarnation {
            // Without incarnations nobody knows which log is meant.
            if incarnation.is_empty() || self.incarnation.is_empty() || value.is_none() {
                self.expired.remove(key);
            } else if self.expired.len() < EXPIRED {
                self.expired.insert(key.to_vec());
            }
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

    fn key(&self, (partition, chunk): (u32, u64)) -> Vec<u8> {
        format!("v1|{}|{partition}|{chunk}", self.incarnation).into_bytes()
    }

    fn drop_chunk(&mut self, at: (u32, u64)) {
        let gone = self.chunks.remove(&at);
        self.gone += gone.map_or(0, |c| c.sent.iter().map(|w| u64::from(w.count_ones())).sum());
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
        let chunk = self.chunks.entry(at).or_default();
        let (word, bit) = place_in(position);
        let bits = if fate == Fate::Sent { &mut chunk.sent } else { &mut chunk.passed };
        bits[word] |= bit;
        self.touched.insert(at);
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
        touched.into_iter().map(record).collect()
    }

    /// Copies that were sent, over all partitions, those that expired since they were loaded included.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.gone + self.chunks.values().flat_map(|c| c.sent).map(|w| u64::from(w.count_ones())).sum::<u64>()
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
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_again(marks in proptest::collection::vec((0u32..3, 0u64..20_000, any::<bool>()), 0..200), from in 0u64..20_000) {
            let mut settled = Settled::new("c/t|1");
            let mut log = Vec::new();
            let mut truth: BTreeMap<(u32, u64), Fate> = BTreeMap::new();
            for (n, (partition, position, sent)) in marks.into_iter().enumerate() {
                let fate = if sent { Fate::Sent } else { Fate::Passed };
                settled.mark(partition, position, fate);
                let old = truth.entry((partition, position)).or_insert(fate);
                if sent { *old = Fate::Sent; }
                if n % 7 == 0 { log.extend(settled.take_touched()); }
            }
            log.extend(settled.take_touched());
            prop_assert!(settled.take_touched().is_empty());
            let mut read = Settled::new("c/t|1");
            for (key, value) in &log { prop_assert!(read.load(key, Some(value))); }
            for partition in 0..3 {
                prop_assert_eq!(read.within(partition, 0, from) + read.from(partition, from), read.from(partition, 0));
                let of = |(p, position): &&(u32, u64)| *p == partition && *position >= from;
                prop_assert_eq!(read.from(partition, from), truth.keys().filter(of).count() as u64);
            }
            for ((partition, position), fate) in truth { prop_assert_eq!(read.fate(partition, position), Some(fate)); }
        }

        #[test]
        fn foreign_records_are_left_alone(key in proptest::collection::vec(any::<u8>(), 0..30), value in proptest::collection::vec(any::<u8>(), 0..40)) {
            let mut settled = Settled::new("x");
            prop_assert!(!settled.load(&key, Some(&value)));
        }
    }

    #[test]
    fn another_incarnation_is_another_stream() {
        let mut old = Settled::new("id-1");
        old.mark(0, 5, Fate::Sent);
        let (key, value) = old.take_touched().remove(0);
        let mut new = Settled::new("id-2");
        assert!(!new.load(&key, Some(&value)));
        assert_eq!(new.fate(0, 5), None);
        assert!(old.load(&key, None), "a tombstone forgets");
        assert_eq!((old.fate(0, 5), old.sent()), (None, 1), "what was sent stays sent");
        assert_eq!((new.take_expired(9), new.take_expired(9)), (vec![key.clone()], Vec::new()), "it buries the other");
        new.load(&key, Some(&value));
        new.load(&key, None);
        assert!(new.take_expired(9).is_empty(), "it is buried already");
        let mut nameless = Settled::new("");
        assert!(!nameless.load(&key, Some(&value)) && nameless.take_expired(9).is_empty());
        assert!(!new.load(b"v1|audit|run|end", Some(b"{}")) && new.take_expired(9).is_empty(), "no chunk");
    }

    #[test]
    fn what_left_the_log_leaves_the_markers() {
        let mut settled = Settled::new("id");
        for (partition, at) in [(0, 5), (0, CHUNK), (0, 2 * CHUNK), (1, 5)] {
            settled.mark(partition, at, Fate::Sent);
        }
        let written = settled.take_touched();
        settled.expire(0, CHUNK - 1);
        assert!(settled.take_expired(9).is_empty(), "a chunk with a position that is still there stays");
        settled.expire(0, 2 * CHUNK);
        let expired = settled.take_expired(9);
        assert_eq!(expired, [written[0].0.clone(), written[1].0.clone()]);
        assert_eq!((settled.fate(0, 5), settled.fate(0, 2 * CHUNK), settled.sent()), (None, Some(Fate::Sent), 4));
        // Whoever reads the log then finds what is left.
        let mut read = Settled::new("id");
        written.iter().for_each(|(key, value)| assert!(read.load(key, Some(value))));
        expired.iter().for_each(|key| assert!(read.load(key, None)));
        assert_eq!((read.from(0, 0), read.from(1, 0), read.sent()), (1, 1, 4));
    }
}
