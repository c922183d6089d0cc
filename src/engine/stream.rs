//! Numbers of one stream, and the holes in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::model::{DecodeReason, Role, TIMEOUT_MAX, Timestamp};
use crate::snapshot::{SpanView, WINDOWS};

use super::ring::Ring;

/// Holes kept per stream; beyond, the two oldest are joined (which can only leave more unexplained).
const HOLES: usize = 4_096;

/// How long a hole matters: until the deadline of the last transaction that had begun, microseconds.
const HOLES_KEPT: i64 = TIMEOUT_MAX.as_micros() as i64;

/// Seconds of events that are kept: as long as the longest window.
const KEPT: i64 = WINDOWS[WINDOWS.len() - 1].1;

/// Where records are missing or could not be decoded, in cut time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holes {
    /// Ascending by begin.
    closed: Vec<(i64, i64)>,
    /// Gaps whose next record was not read yet: partition and begin.
    open: Vec<(u16, i64)>,
}

impl Holes {
    /// Records may be missing from `from` to `to`.
    pub fn add(&mut self, from: i64, to: i64) {
        let at = self.closed.partition_point(|h| *h < (from, to));
        self.closed.insert(at, (from, to));
        if self.closed.len() > HOLES {
            let first = self.closed.remove(0);
            self.closed[0] = (first.0, self.closed[0].1.max(first.1));
        }
    }

    /// Records of a partition are missing after `from`.
    pub fn open(&mut self, source: u16, from: i64) {
        if self.open.iter().all(|o| o.0 != source) {
            self.open.push((source, from));
        }
    }

    /// The record after the missing ones is cut at `to`. True where there was a gap.
    pub fn close(&mut self, source: u16, to: i64) -> bool {
        let Some(at) = self.open.iter().position(|o| o.0 == source) else { return false };
        let (_, from) = self.open.remove(at);
        self.add(from, to.max(from));
        true
    }

    /// True where a hole touches `from..=to`.
    #[must_use]
    pub fn any(&self, from: i64, to: i64) -> bool {
        let end = self.closed.partition_point(|h| h.0 <= to);
        self.closed[..end].iter().any(|h| h.1 >= from) || self.open.iter().any(|o| o.1 <= to)
    }

    /// True where there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.closed.is_empty() && self.open.is_empty()
    }

    fn forget(&mut self, before: i64) {
        self.closed.retain(|h| h.1 >= before);
    }
}

/// What is stored of a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// Cluster by name.
    pub cluster: String,
    /// Stream.
    pub name: String,
    /// What it carries.
    pub role: Role,
    /// Records that count as events.
    pub events: i64,
    /// Records without a value.
    pub tombstones: u64,
    /// Records without a transaction.
    pub opaque: u64,
    /// Records that could not be decoded.
    pub decode_errors: BTreeMap<DecodeReason, u64>,
    /// Events as ever exported: never falls.
    pub exported: u64,
    /// Holes.
    pub holes: Holes,
    /// Records left the log before they were read: since which cut time.
    pub gap_since: Option<i64>,
    /// First second with an event.
    pub first: Option<i64>,
    /// Its watermark.
    pub watermark: Option<i64>,
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    /// What is stored.
    pub state: State,
    /// Seed of the ids in it.
    pub seed: u64,
    /// Not yet in a checkpoint.
    pub unsaved: bool,
    seconds: Ring<u32>,
    sums: [u64; 5],
    complete_to: Option<i64>,
    unsaved_minutes: BTreeSet<i64>,
    last_minute: Option<i64>,
    deleted_minutes: BTreeSet<i64>,
}

impl Stream {
    /// A stream that was never seen.
    #[must_use]
    pub fn new(cluster: &str, name: &str, role: Role, seed: u64) -> Self {
        Self::with_state(
            State {
                cluster: cluster.to_owned(),
                name: name.to_owned(),
                role,
                events: 0,
                tombstones: 0,
                opaque: 0,
                decode_errors: BTreeMap::new(),
                exported: 0,
                holes: Holes::default(),
                gap_since: None,
                first: None,
                watermark: None,
            },
            seed,
        )
    }

    /// A stream as it was stored.
    #[must_use]
    pub fn with_state(state: State, seed: u64) -> Self {
        let seed = xxh3_64_with_seed(state.cluster.as_bytes(), seed);
        let seed = xxh3_64_with_seed(state.name.as_bytes(), seed);
        Self {
            state,
            seed,
            unsaved: true,
            seconds: Ring::default(),
            sums: [0; 5],
            complete_to: None,
            unsaved_minutes: BTreeSet::new(),
            last_minute: None,
            deleted_minutes: BTreeSet::new(),
        }
    }

    /// The hash that identifies an event: stream, event id and how often it was redriven.
    #[must_use]
    pub fn id(&self, id: &str, redrive: u8) -> u64 {
        xxh3_64_with_seed(id.as_bytes(), self.seed ^ u64::from(redrive).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Counts `n` events in a second (`None`: in no second); below zero takes back.
    pub fn count(&mut self, second: Option<i64>, n: i32) {
        self.state.events += i64::from(n);
        self.unsaved = true;
        let Some(second) = second else { return };
        self.state.first = Some(self.state.first.map_or(second, |f| f.min(second)));
        let Some(slot) = self.seconds.entry(second, || 0) else { return };
        *slot = slot.saturating_add_signed(n);
        let minute = second.div_euclid(60);
        if self.last_minute != Some(minute) {
            self.last_minute = Some(minute);
            self.unsaved_minutes.insert(minute);
        }
        if let Some(to) = self.complete_to
            && second < to
        {
            for (sum, (_, length)) in self.sums.iter_mut().zip(WINDOWS) {
                if second >= to - length {
                    *sum = sum.saturating_add_signed(i64::from(n));
                }
            }
        }
    }

    /// The watermark has reached `watermark`.
    pub fn advance(&mut self, watermark: Option<i64>) {
        if watermark.is_none() || watermark <= self.state.watermark {
            return;
        }
        self.state.watermark = watermark;
        self.unsaved = true;
        self.resume();
        let floor = self.seconds.floor();
        self.state.holes.forget(floor.saturating_mul(1_000_000).saturating_sub(HOLES_KEPT));
    }

    /// Makes the windows what they are at the watermark.
    pub fn resume(&mut self) {
        let Some(to) = self.state.watermark.map(|w| w.div_euclid(1_000_000)) else { return };
        if self.complete_to >= Some(to) {
            return;
        }
        for (sum, (_, length)) in self.sums.iter_mut().zip(WINDOWS) {
            let old = self.complete_to.unwrap_or(i64::MIN / 2);
            let add: u64 = self.seconds.range(old.max(to - length), to).map(|(_, n)| u64::from(*n)).sum();
            let gone: u64 = self.seconds.range(old - length, old.min(to - length)).map(|(_, n)| u64::from(*n)).sum();
            *sum = (*sum + add).saturating_sub(gone);
        }
        self.complete_to = Some(to);
        let deleted = &mut self.deleted_minutes;
        let floor = (to - KEPT).div_euclid(60) * 60;
        self.seconds.drop_before(floor, |second, _| {
            deleted.insert(second.div_euclid(60));
        });
    }

    /// The complete seconds of each window: as of flows, they begin with the first event while that is younger.
    #[must_use]
    pub fn spans(&self) -> [SpanView; 5] {
        let (Some(to), Some(first)) = (self.complete_to, self.state.first) else { return Default::default() };
        WINDOWS.map(|(_, length)| SpanView {
            from: Some(Timestamp::from_seconds(first.max(to - length).min(to))),
            to: Some(Timestamp::from_seconds(to)),
            complete: first <= to - length,
        })
    }

    /// Events per second in each window; `None` before anything was read.
    #[must_use]
    pub fn per_second(&self) -> [Option<f64>; 5] {
        let spans = self.spans();
        std::array::from_fn(|i| spans[i].seconds().filter(|s| *s > 0.0).map(|s| self.sums[i] as f64 / s))
    }

    /// Hands every minute that changed to `save` as 60 counts (`None`: it went).
    pub fn save(&mut self, mut save: impl FnMut(i64, Option<Vec<u8>>)) {
        self.last_minute = None;
        for minute in std::mem::take(&mut self.unsaved_minutes) {
            if !self.deleted_minutes.contains(&minute) {
                let counts =
                    (minute * 60..minute * 60 + 60).flat_map(|s| self.seconds.get(s).unwrap_or(&0).to_le_bytes());
                save(minute, Some(counts.collect()));
            }
        }
        std::mem::take(&mut self.deleted_minutes).into_iter().for_each(|minute| save(minute, None));
    }

    /// Puts a stored minute back.
    pub fn restore(&mut self, minute: i64, bytes: &[u8]) {
        for (i, count) in bytes.as_chunks::<4>().0.iter().enumerate() {
            let count = u32::from_le_bytes(*count);
            if count > 0
                && let Some(slot) = self.seconds.entry(minute * 60 + i as i64, || 0)
            {
                *slot = count;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_are_found_by_the_time_they_touch() {
        let mut holes = Holes::default();
        holes.add(50, 60);
        holes.add(10, 20);
        holes.open(3, 100);
        assert!(holes.any(15, 15) && holes.any(0, 10) && holes.any(60, 70) && !holes.any(21, 49));
        assert!(holes.any(500, 600), "an open gap reaches to the present");
        assert!(holes.close(3, 120) && !holes.close(3, 130));
        assert!(!holes.any(500, 600) && holes.any(110, 111));
        for i in 0..5_000 {
            holes.add(1_000 + i * 10, 1_000 + i * 10);
        }
        assert!(holes.closed.len() <= HOLES && holes.any(15, 15) && holes.any(1_000, 1_000));
    }

    #[test]
    fn windows_count_complete_seconds() {
        let mut stream = Stream::new("main", "orders", Role::Events, 1);
        for second in 1_000..1_100 {
            stream.count(Some(second), 2);
        }
        assert_eq!(stream.per_second(), [None; 5]);
        stream.advance(Some(1_050_500_000));
        assert_eq!(stream.per_second()[..2], [Some(2.0), Some(2.0)]);
        stream.count(Some(1_049), 10);
        stream.count(Some(1_020), -1);
        assert_eq!(stream.per_second()[..2], [Some(3.0), Some((100 + 10 - 1) as f64 / 50.0)]);
        let span = |i: usize| (stream.spans()[i].from.unwrap().second(), stream.spans()[i].complete);
        assert_eq!([span(0), span(1), span(4)], [(1_040, true), (1_000, false), (1_000, false)]);
        assert_eq!(stream.spans()[4].seconds(), Some(50.0), "a mean over an hour that was not seen is none");
        stream.advance(Some(2_000_000_000));
        assert_eq!(stream.per_second()[..2], [Some(0.0), Some(0.0)]);
    }

    #[test]
    fn stored_minutes_come_back() {
        let mut stream = Stream::new("main", "orders", Role::Events, 1);
        let mut blobs = BTreeMap::new();
        for second in 0..9_000 {
            stream.count(Some(second), (second % 3) as i32);
            stream.advance(Some(second * 1_000_000));
            stream.save(|minute, bytes| match bytes {
                Some(bytes) => drop(blobs.insert(minute, bytes)),
                None => drop(blobs.remove(&minute)),
            });
        }
        let mut back = Stream::with_state(stream.state.clone(), 1);
        blobs.iter().for_each(|(m, b)| back.restore(*m, b));
        back.resume();
        assert_eq!(back.per_second(), stream.per_second());
        assert!(blobs.len() <= 62, "{}", blobs.len());
    }
}
