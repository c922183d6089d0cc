//! The reader of a simulated life: opens what it finds, reads in any order, confirms ends, is shut out for a while.

use std::sync::Arc;

use streamgauge::model::{Began, Input, MICROS_PER_SECOND, SourceOpen, SourceState, Tail, Timestamp};

use super::drive::Life;
use super::record::{Gap, batch};

/// What has been read of one partition.
#[derive(Clone, Debug, Default)]
pub struct Track {
    pub(super) began: Option<Began>,
    pub(super) next: u64,
    pub(super) read: Vec<(u64, u64)>,
    pub(super) gaps: Vec<Gap>,
    /// When its end was last confirmed.
    pub(super) confirmed: Option<Timestamp>,
}

impl Track {
    fn skip(&mut self, from: u64, to: u64) {
        self.gaps.push(Gap { from, to, confirmed: self.confirmed });
        self.next = to;
    }
}

/// What a reader of this process knows of a partition.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    opened: bool,
    pub(super) gone: bool,
    blocked_until: Option<Timestamp>,
}

impl Life<'_> {
    pub(super) fn caught_up(&self) -> bool {
        (0..self.keys.len()).all(|i| {
            let p = &self.world.partitions[i];
            !p.exists(self.now) || (self.readers[i].opened && self.tracks[i].next >= p.end(self.now))
        })
    }

    /// One visit of the reader to a partition.
    pub(super) fn read(&mut self, i: usize) {
        let partition = &self.world.partitions[i];
        let now = self.now;
        if !partition.exists(now) {
            self.say_gone(i);
            return;
        }
        if let Some(until) = self.readers[i].blocked_until {
            if now < until {
                return;
            }
            self.readers[i].blocked_until = None;
            self.say(i, SourceState::Reading);
        }
        self.discover();
        let stored = self.durable.as_ref().is_some_and(|(p, ..)| p.sources.iter().any(|s| s.key == *self.keys[i]));
        if !stored {
            return; // the first position must be durable before the first read
        }
        let (start, next) = (partition.log_start(now), self.tracks[i].next);
        if start > next {
            self.feed(Input::Gap(Arc::clone(&self.keys[i]), next, start, now));
            self.tracks[i].skip(next, start);
        }
        let next = self.tracks[i].next;
        let limit = *self.rng.pick(&[1, 3, 20, 500]);
        let (records, to) = partition.fetch(now, next, limit);
        if to > next {
            self.feed(Input::Batch(batch(&self.keys[i], next, to, records, now)));
            self.tracks[i].read.push((next, to));
            self.tracks[i].next = to;
        }
        let end = partition.end(now);
        if to >= end && self.rng.chance(0.7) {
            self.tail(i);
            if self.rng.chance(0.2) {
                self.say(i, SourceState::AtEnd);
            }
        }
    }

    /// A reader opens all that it finds before it reads anything.
    fn discover(&mut self) {
        let mut found: Vec<usize> = (0..self.keys.len()).collect();
        found.retain(|&i| !self.readers[i].opened && self.world.partitions[i].exists(self.now));
        self.rng.shuffle(&mut found);
        found.into_iter().for_each(|i| self.open(i));
    }

    fn open(&mut self, i: usize) {
        let partition = &self.world.partitions[i];
        let stored = self.durable.as_ref().and_then(|(p, ..)| p.sources.iter().find(|s| s.key == *self.keys[i]));
        let (next, began) = match stored {
            Some(s) => (s.next, s.began),
            None if partition.latest => (partition.end(self.now), Began::Middle(self.now)),
            None => (0, Began::Beginning),
        };
        let log_start = partition.log_start(self.now);
        let open = SourceOpen {
            source: Arc::clone(&self.keys[i]),
            incarnation: partition.incarnation.clone(),
            next,
            log_start,
            began,
            role: partition.role,
            append_time: partition.append_time,
            at: self.now,
        };
        self.feed(Input::Open(open));
        self.readers[i].opened = true;
        let track = &mut self.tracks[i];
        track.began = Some(began);
        track.next = next;
        if log_start > next {
            track.skip(next, log_start);
        }
    }

    fn say_gone(&mut self, i: usize) {
        let known = self.tracks[i].began.is_some();
        if known && !self.readers[i].gone {
            self.readers[i].gone = true;
            self.say(i, SourceState::Gone);
        }
    }

    pub(super) fn block(&mut self, i: usize) {
        if self.readers[i].opened && self.world.partitions[i].exists(self.now) {
            // The long ones outlast what the engine keeps in full.
            let longest = *self.rng.pick(&[40, 40, 500]);
            let seconds = self.rng.between(1, longest);
            self.readers[i].blocked_until = Some(self.now.plus(seconds * MICROS_PER_SECOND));
            self.say(i, SourceState::Unreachable("no leader".into()));
        }
    }

    /// Reads all that there is at `until`, and confirms every end there.
    pub fn catch_up(&mut self, until: i64) {
        self.now = Timestamp(until);
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        for _ in 0..200 {
            self.readers.iter_mut().for_each(|r| r.blocked_until = None);
            self.rng.shuffle(&mut order);
            for &i in &order {
                self.read(i);
            }
            self.checkpoint(0.0);
            if self.caught_up() {
                break;
            }
        }
        for &i in &order {
            let p = &self.world.partitions[i];
            if p.exists(self.now) {
                self.say(i, SourceState::AtEnd);
                self.tail(i);
            } else {
                self.say_gone(i);
            }
        }
        // A partition that is gone holds nothing back after 10 s: give the clock a little of that.
        for _ in 0..2 {
            self.snapshot();
            if self.readers.iter().any(|r| r.gone) {
                self.now = self.now.plus(11 * MICROS_PER_SECOND);
                self.confirm();
            }
        }
    }

    /// Says where the log ends.
    fn tail(&mut self, i: usize) {
        let (at, next) = (self.now, self.tracks[i].next);
        let (end, log_start) = (self.world.partitions[i].end(at).max(next), self.world.partitions[i].log_start(at));
        if end == next {
            self.tracks[i].confirmed = Some(at);
        }
        self.feed(Input::Tail(Tail { source: Arc::clone(&self.keys[i]), next, end, log_start, at }));
    }

    fn confirm(&mut self) {
        for i in 0..self.keys.len() {
            let p = &self.world.partitions[i];
            if p.exists(self.now) {
                self.tail(i);
            }
        }
    }
}
