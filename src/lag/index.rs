//! What is known about the record times of one partition: a sparse index of (position, record time).
//!
//! It rests on one exact fact per answer. "The first record not older than `t` is at `p`, its time is `u`" says:
//! a record lies at `p`, `u` is its time, and every record before `p` is older than `t`. From two such facts follows
//! where the time of the first record at or behind any position lies.
//!
//! Record times that producers write need not ascend. Then the index follows the highest time so far, as the
//! broker's own time index does: that is when the log had come to a position, which is what waiting means. Two
//! things are refused instead of believed: a time in the future (no bound follows from it), and more records in a
//! millisecond than a partition can take (they were hidden behind a record that was once in the future).

use crate::model::{TimedPosition, Timestamp};

/// A record time further ahead of our clock than this is not believed; less is a difference of clocks. Microseconds.
const FUTURE: i64 = 10_000_000;
/// Most records that a partition takes in a millisecond; times that say more are not in the order of the log.
const PER_MILLISECOND: u64 = 256;
/// Samples kept per partition, at least and at most; see [`TimeIndex::shrink`].
pub const SAMPLES: (usize, usize) = (8, 64);

const MILLI: i64 = 1_000;
/// Flag: the record was in the future when we learned of it.
const AHEAD: u32 = 1;
/// Flag: the record itself was read, so it is none of the transaction markers, which have times too.
const READ: u32 = 2;
/// Bits of the flags.
const FLAG_BITS: u32 = 2;

/// One exact fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Sample {
    position: u64,
    time: Timestamp,
    /// Records before it are older than its time less so many milliseconds (rounded down: safe).
    slack: u32,
    /// So many positions right before it hold no record (rounded down: safe), and flags.
    clear: u32,
}

impl Sample {
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    fn clear_from(self) -> u64 {
        self.position.saturating_sub(u64::from(self.clear >> FLAG_BITS))
    }

    fn ahead(self) -> bool {
        self.clear & AHEAD != 0
    }

    fn read(self) -> bool {
        self.clear & READ != 0
    }

    /// Records before it are older than this.
    fn before(self) -> Timestamp {
        self.time.plus(-i64::from(self.slack) * MILLI)
    }
}

/// What is known about the first record at or behind a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing.
    Unknown,
    /// There is none: reading reached the end.
    Nothing,
    /// Its time. `read`: the record itself was seen; otherwise the index knows it.
    Exact {
        /// Record time.
        time: Timestamp,
        /// Seen.
        read: bool,
    },
    /// Its time lies between these.
    Between(Timestamp, Timestamp),
    /// The same, if there is one at all: the topic carries transactions, whose markers and aborted records take
    /// positions too, and no record was seen at or behind the position.
    Perhaps(Timestamp, Timestamp),
}

impl Next {
    /// What would be known if there were a record: questions go on until that is narrow enough.
    #[must_use]
    pub const fn supposed(self) -> Self {
        match self {
            Self::Perhaps(from, to) => Self::Between(from, to),
            other => other,
        }
    }
}

/// How to look at a partition: what the survey said about it.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Behind the last record that a reader of committed records can reach.
    pub end: u64,
    /// Now.
    pub now: Timestamp,
    /// The broker writes the record times, so they ascend.
    pub ascending: bool,
    /// The topic carries transactions: a position that a question found may hold a marker.
    pub markers: bool,
    /// The log got something since the survey before.
    pub flowing: bool,
}

/// The index of one partition.
#[derive(Clone, Debug, Default)]
pub struct TimeIndex {
    /// By position.
    samples: Vec<Sample>,
    /// Nothing is at or after this time, as of this end.
    nothing: Option<(Timestamp, u64)>,
    /// No record lies in `from..to`.
    clear: Option<(u64, u64)>,
    /// Alternates the ways of guessing.
    turn: u8,
}

impl TimeIndex {
    /// Forgets everything: the log was made anew.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// True where nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Takes stored samples, if they are in order.
    pub(super) fn restore(&mut self, samples: Vec<Sample>) -> bool {
        let fine = samples.windows(2).all(|w| w[0].position < w[1].position) && self.samples.is_empty();
        if fine {
            self.samples = samples;
        }
        fine
    }

    /// The sample at or behind `target` and those before and behind that one.
    fn around(&self, target: u64) -> (Option<Sample>, Option<Sample>, Option<Sample>) {
        let i = self.samples.partition_point(|s| s.position < target);
        // A time from the future bounds nothing.
        let below = self.samples[..i].iter().rev().find(|s| !s.ahead()).copied();
        (below, self.samples.get(i).copied(), self.samples.get(i + 1).copied())
    }

    /// Nothing is in `from..to`: whoever stands there stands at `to`.
    fn skip(&self, target: u64) -> u64 {
        self.clear.map_or(target, |(from, to)| if (from..to).contains(&target) { to } else { target })
    }

    /// A record, and no marker, was seen at or behind `target`.
    #[must_use]
    pub fn seen_from(&self, target: u64) -> bool {
        self.samples.iter().rev().take_while(|s| s.position >= target).any(|s| s.read())
    }

    /// What is known about the first record at or behind `target`, which lies below `look.end`.
    #[must_use]
    pub fn next(&self, target: u64, look: Look) -> Next {
        let target = self.skip(target);
        if target >= look.end {
            return Next::Nothing;
        }
        let (below, Some(at), behind) = self.around(target) else { return Next::Unknown };
        let sure = !look.markers || self.seen_from(target);
        let between = if sure { Next::Between } else { Next::Perhaps };
        if at.ahead() {
            return Next::Unknown;
        }
        if at.clear_from() <= target {
            if at.read() || !look.markers {
                return Next::Exact { time: at.time, read: at.read() };
            }
            // A marker there: the next record lies between it and the next that we know of.
            return match behind {
                Some(b) if !b.ahead() && b.time >= at.time => between(at.time, b.time),
                _ => Next::Unknown,
            };
        }
        let Some(below) = below else { return Next::Unknown };
        let millis = at.time.since(below.time) / MILLI;
        let dense = (at.position - below.position) / PER_MILLISECOND > u64::try_from(millis).unwrap_or(0);
        if millis < 0 || (dense && !look.ascending) {
            return Next::Unknown;
        }
        between(below.time, at.time)
    }

    /// The question that narrows what is known about `target` most; `None`: no question can.
    pub fn question(&mut self, target: u64, look: Look) -> Option<Timestamp> {
        let mut target = self.skip(target);
        if target >= look.end {
            return None;
        }
        let (mut below, mut at, behind) = self.around(target);
        if let Some(marker) = at.filter(|a| a.clear_from() <= target) {
            if marker.read() || marker.ahead() || !look.markers {
                return None;
            }
            // The record behind the marker is what is asked for.
            target = marker.position + 1;
            (below, at) = (Some(marker), behind);
        }
        // Without a lower bound: what is the first record of the log?
        let Some(below) = below else {
            return self.samples.first().is_none_or(|s| s.before() > Timestamp(0)).then_some(Timestamp(0));
        };
        let (position, high) = match at {
            Some(at) => (at.position, at.before()),
            None => {
                let none = self.nothing.filter(|(_, end)| *end == look.end).map(|(t, _)| t);
                (look.end, none.unwrap_or_else(|| look.now.plus(MILLI)))
            }
        };
        let (low, high) = (below.time.0.div_euclid(MILLI), (high.0 + MILLI - 1).div_euclid(MILLI));
        if low + 1 >= high {
            if at.is_none() {
                // "No such record" and "no answer" look the same: believed for this search, not for ever.
                self.nothing = None;
            }
            return None;
        }
        self.turn = self.turn.wrapping_add(1);
        let guess = if self.turn % 2 == 1 {
            // Evenly between the two: right at once where the traffic is even. Of a log that rests its end says nothing.
            let share = (target - below.position) as f64 - 0.5;
            let share = share / position.saturating_sub(below.position).max(1) as f64;
            let share = if at.is_some() || look.flowing { share.clamp(0.0, 1.0) } else { 0.5 };
            low + ((high - low) as f64 * share) as i64
        } else {
            // The middle of the logarithm of the age: eight steps from a year to 5 %.
            let now = look.now.0.div_euclid(MILLI).max(high);
            let age = |t: i64| (now - t) as f64 + 1_000.0;
            now - ((age(low) * age(high)).sqrt() - 1_000.0) as i64
        };
        Some(Timestamp(guess.clamp(low + 1, high - 1) * MILLI))
    }

    /// Takes the answer to a question; `None`: there is no such record, or no answer, so this counts only
    /// as long as the end stays. True where something new is known.
    pub fn answered(&mut self, asked: Timestamp, answer: Option<TimedPosition>, look: Look) -> bool {
        let Some(TimedPosition { position, time }) = answer else {
            let new = self.nothing.is_none_or(|(t, end)| end != look.end || asked < t);
            if new {
                self.nothing = Some((asked, look.end));
            }
            return new;
        };
        if time < asked {
            return false;
        }
        let slack = u32::try_from(time.since(asked) / MILLI).unwrap_or(u32::MAX);
        // Nothing at all is older than the first of all times.
        let clear = if asked.0 <= 0 { u64::MAX } else { 0 };
        self.insert(position, time, slack, clear, 0, look.now)
    }

    /// Takes a record that was read, at or behind `from`: no record lies between.
    pub fn read(&mut self, from: u64, record: TimedPosition, now: Timestamp) -> bool {
        let Some(clear) = record.position.checked_sub(from) else { return false };
        self.insert(record.position, record.time, 0, clear, READ, now)
    }

    /// Reading from `from` on reached `end` without a record.
    pub fn reached_end(&mut self, from: u64, end: u64) {
        self.clear = match self.clear {
            // What is clear stays clear; two stretches that touch become one.
            Some((a, b)) if from <= b && a <= end => Some((a.min(from), b.max(end))),
            _ => Some((from, end)),
        };
    }

    fn insert(
        &mut self,
        position: u64,
        time: Timestamp,
        slack: u32,
        clear: u64,
        mut flags: u32,
        now: Timestamp,
    ) -> bool {
        if time.since(now) > FUTURE {
            flags |= AHEAD;
        }
        let clear = u32::try_from(clear.min(u64::from(u32::MAX >> FLAG_BITS))).unwrap_or(0) << FLAG_BITS;
        let sample = Sample { position, time, slack, clear: clear | flags };
        let i = self.samples.partition_point(|s| s.position < position);
        match self.samples.get_mut(i).filter(|s| s.position == position) {
            None => {
                self.samples.insert(i, sample);
                true
            }
            // A log that was cut off and written anew, or a marker that a read passed over: the new fact counts.
            Some(known) if known.time != time => {
                *known = sample;
                true
            }
            Some(known) => {
                let before = *known;
                known.slack = known.slack.max(slack);
                known.clear = (known.clear & !READ).max(clear | (known.clear & AHEAD)) | ((known.clear | flags) & READ);
                *known != before
            }
        }
    }

    /// Keeps at most `most` samples (within `SAMPLES`): those next to one of `targets` (ascending), then those
    /// that divide time most evenly in the logarithm of the age.
    pub fn shrink(&mut self, most: usize, targets: &[u64], now: Timestamp) {
        let most = most.clamp(SAMPLES.0, SAMPLES.1);
        while self.samples.len() > most {
            let age = |s: &Sample| (now.since(s.time).max(0) / MILLI + 1_000) as f64;
            let wanted = |i: usize| {
                // A target in (previous, this] uses this one from above; one in (this, next] from below.
                let previous = i.checked_sub(1).map_or(0, |p| self.samples[p].position + 1);
                let next = self.samples.get(i + 1).map_or(u64::MAX, |n| n.position);
                targets.get(targets.partition_point(|t| *t < previous)).is_some_and(|t| *t <= next)
            };
            let worth = |i: usize| {
                let (Some(a), Some(b)) = (i.checked_sub(1).and_then(|p| self.samples.get(p)), self.samples.get(i + 1))
                else {
                    return f64::MAX;
                };
                let spread = age(a) / age(b).max(1.0);
                if wanted(i) { spread + 1e12 } else { spread }
            };
            let least = (0..self.samples.len()).min_by(|a, b| worth(*a).total_cmp(&worth(*b)));
            let Some(least) = least else { return };
            self.samples.remove(least);
        }
    }
}
