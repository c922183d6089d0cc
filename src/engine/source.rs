//! The partitions that are read: where each stands, whether it can be read, and its watermark.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{
    Batch, Began, MICROS_PER_SECOND, Positions, Role, SourceKey, SourceOpen, SourcePosition, SourceState, Tail,
    Timestamp,
};

use super::blob;
use super::times::RecordTimes;

/// While records are unread, another producer's may still be cut this far behind the frontier.
const SLACK: i64 = 2 * MICROS_PER_SECOND;

/// A tail confirmation older than this says nothing about how late records arrive at the tail.
const FRESH: i64 = 5 * MICROS_PER_SECOND;

/// A partition that could not be read for this long does not hold the watermark back any more.
pub const PATIENCE: i64 = 10 * MICROS_PER_SECOND;

/// How long a partition that is gone for good is still named.
const NAMED: i64 = 3_600 * MICROS_PER_SECOND;

/// Arrivals at the tail over which lateness is measured.
const ARRIVALS: usize = 64;

/// Added to the measured lateness: the next record may be a little later than the last ones.
const MARGIN: i64 = MICROS_PER_SECOND;

/// Most that is made of it: everything that is read up to [`super::lifecycle::LEAVE_AFTER`] late is corrected exactly anyway,
/// and a producer whose clock is minutes behind must not hold back what everybody else did.
const LATENESS_MAX: i64 = 60 * MICROS_PER_SECOND;

/// Lateness before any was measured.
const UNMEASURED: i64 = 2 * MICROS_PER_SECOND;

/// Most partitions: their numbers are stored in 16 bits.
pub const MAX_SOURCES: usize = u16::MAX as usize;

/// Whether a partition can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Readable {
    /// Opened, nothing read yet.
    Opening,
    /// Records come in.
    Reading,
    /// Nothing is unread.
    AtEnd,
    /// It cannot be read, and why.
    Unreachable(String),
    /// It no longer exists, or a newer generation took its place.
    Gone,
}

/// One partition.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Which one.
    pub key: Arc<SourceKey>,
    /// Identity of the generation at the broker.
    pub incarnation: String,
    /// Next position to read.
    pub next: u64,
    /// Leader epoch of the record before `records_to`; -1 unknown.
    pub leader_epoch: i32,
    /// How reading began.
    pub began: Began,
    /// What the stream carries.
    pub role: Role,
    /// Record times come from the log, in order.
    pub append_time: bool,
    /// Number of the stream.
    pub stream: u16,
    /// Record times so far.
    pub times: RecordTimes,
    /// Last stable end, as last confirmed.
    pub end: Option<u64>,
    /// First position that the log has.
    pub log_start: Option<u64>,
    /// When the end was confirmed.
    pub confirmed_at: Option<i64>,
    /// Nothing that is cut before it is unread: by confirmations at the tail.
    tail_floor: Option<i64>,
    at_tail: bool,
    /// Observed minus cut of the last arrivals at the tail.
    arrivals: VecDeque<i64>,
    /// Nothing was unread at least once.
    pub caught_up: bool,
    /// A newer generation of the stream has taken over.
    pub superseded: bool,
    /// Records that expired unread, at most.
    pub expired: u64,
    /// Records that could not be decoded.
    pub undecodable: u64,
    /// Whether it can be read.
    pub state: Readable,
    /// Since when.
    pub since: i64,
    /// Behind the last record: up to `next` lie holes, if anything. Stored behind all others, see [`Source::decode`].
    #[serde(skip)]
    pub records_to: u64,
    /// A reader has opened it in this process.
    #[serde(skip)]
    opened: bool,
    /// The last record of this process that has a record time: position, time.
    #[serde(skip)]
    pub last: Option<(u64, i64)>,
    /// Not yet in a checkpoint.
    #[serde(skip)]
    pub unsaved: bool,
}

impl Source {
    fn new(o: &SourceOpen, stream: u16) -> Self {
        Self {
            key: Arc::clone(&o.source),
            incarnation: o.incarnation.clone(),
            next: o.next,
            leader_epoch: -1,
            began: o.began,
            role: o.role,
            append_time: o.append_time,
            stream,
            times: RecordTimes::default(),
            end: None,
            log_start: Some(o.log_start),
            confirmed_at: None,
            tail_floor: None,
            at_tail: false,
            arrivals: VecDeque::new(),
            caught_up: false,
            superseded: false,
            expired: 0,
            undecodable: 0,
            state: Readable::Opening,
            since: o.at.0,
            records_to: o.next,
            opened: false,
            last: None,
            unsaved: true,
        }
    }

    /// As it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        blob::encode(&(self, self.records_to))
    }

    /// From what was stored. Versions before this one did not know `records_to`: where an epoch was stored, the last
    /// record lay right before `next`.
    ///
    /// # Errors
    /// Bytes that are no partition.
    pub fn decode(bytes: &[u8]) -> postcard::Result<Self> {
        let (mut source, rest): (Self, _) = postcard::take_from_bytes(bytes)?;
        source.records_to = if rest.is_empty() { source.next } else { postcard::from_bytes(rest)? };
        Ok(source)
    }

    /// All records cut before it have been read.
    #[must_use]
    pub fn watermark(&self) -> Option<i64> {
        self.times.frontier().map(|f| f.saturating_sub(SLACK)).max(self.tail_floor)
    }

    /// Nothing that is cut before it can be missing behind what was read; `None` where nothing is known.
    #[must_use]
    pub fn known_to(&self) -> Option<i64> {
        self.times.frontier().max(self.tail_floor)
    }

    /// The log was cut: it goes on at `next`, and what is written there is new. Returns how many positions were lost
    /// that had been read and may have held records.
    pub fn cut_back(&mut self, next: u64, known: bool) -> u64 {
        let lost = self.records_to.saturating_sub(next);
        self.next = self.next.min(next);
        if lost > 0 || !known {
            (self.records_to, self.leader_epoch) = (self.next, -1);
        }
        (self.at_tail, self.unsaved) = (false, true);
        lost
    }

    /// Records before `next` left the log unread.
    pub fn skip_to(&mut self, next: u64) {
        (self.next, self.records_to, self.leader_epoch) = (next, next, -1);
        self.unsaved = true;
    }

    /// True where it does not hold the watermark back at `now`.
    #[must_use]
    pub fn left_out(&self, now: i64) -> bool {
        let broken = matches!(self.state, Readable::Unreachable(_) | Readable::Gone);
        self.superseded || (broken && now.saturating_sub(self.since) >= PATIENCE)
    }

    /// True where a page should say that it is left out.
    #[must_use]
    pub fn named(&self, now: i64) -> bool {
        let gone = self.superseded || self.state == Readable::Gone;
        !self.superseded && (!gone || now.saturating_sub(self.since) < NAMED)
    }

    /// Sets the state; `since` moves only when it changes.
    pub fn set_state(&mut self, state: Readable, at: Timestamp) {
        let stays = self.superseded && state != Readable::Gone; // an old generation does not come back
        if self.state != state && !stays {
            (self.state, self.since) = (state, at.0);
        }
        self.unsaved = true;
    }

    /// The end of the log was confirmed.
    pub fn tail(&mut self, t: &Tail) {
        (self.end, self.log_start, self.confirmed_at) = (Some(t.end), Some(t.log_start), Some(t.at.0));
        self.at_tail = self.next >= t.end;
        if self.at_tail {
            self.caught_up = true;
            self.tail_floor = self.tail_floor.max(Some(t.at.0.saturating_sub(self.lateness())));
        }
        self.set_state(if self.at_tail { Readable::AtEnd } else { Readable::Reading }, t.at);
    }

    /// A batch was applied whose earliest cut is `cut`; what is too old for the windows does not count.
    pub fn arrived(&mut self, b: &Batch, cut: Option<i64>) {
        self.next = self.next.max(b.to);
        if let Some(last) = b.events.last().filter(|e| e.position >= self.records_to) {
            (self.records_to, self.leader_epoch) = (last.position + 1, b.leader_epoch);
        }
        let fresh = self.confirmed_at.is_some_and(|at| b.observed.0.saturating_sub(at) <= FRESH);
        if let (true, true, Some(cut)) = (self.at_tail, fresh, cut) {
            if self.arrivals.len() == ARRIVALS {
                self.arrivals.pop_front();
            }
            self.arrivals.push_back(b.observed.0.saturating_sub(cut));
        }
        if self.state == Readable::Opening || matches!(self.state, Readable::Unreachable(_)) {
            self.set_state(Readable::Reading, b.observed);
        }
        self.unsaved = true;
    }

    /// Observed minus cut of the last arrivals at the tail, microseconds.
    pub fn arrivals(&self) -> impl Iterator<Item = i64> {
        self.arrivals.iter().copied().filter(|_| self.at_tail)
    }

    /// How much later than its cut a record may still arrive at the tail: the upper quartile of the last ones, and a margin.
    fn lateness(&self) -> i64 {
        let mut sorted: Vec<i64> = self.arrivals.iter().copied().collect();
        sorted.sort_unstable();
        let measured = |last: usize| sorted[last * 3 / 4].clamp(0, LATENESS_MAX - MARGIN) + MARGIN;
        sorted.len().checked_sub(1).map_or(UNMEASURED, measured)
    }

    fn position(&self) -> SourcePosition {
        SourcePosition {
            key: (*self.key).clone(),
            incarnation: self.incarnation.clone(),
            next: if self.leader_epoch < 0 { self.next } else { self.records_to },
            leader_epoch: self.leader_epoch,
            began: self.began,
        }
    }
}

/// All partitions, by number in the order of discovery.
#[derive(Debug, Default)]
pub struct Sources {
    list: Vec<Source>,
    index: BTreeMap<Arc<SourceKey>, u16>,
    /// Place of each in the canonical order of keys, so that ties do not depend on discovery.
    ranks: Vec<u16>,
}

impl Sources {
    /// The number of a partition.
    #[must_use]
    pub fn find(&self, key: &SourceKey) -> Option<u16> {
        self.index.get(key).copied()
    }

    /// Places in the canonical order, by number.
    #[must_use]
    pub fn ranks(&self) -> &[u16] {
        &self.ranks
    }

    /// One partition.
    #[must_use]
    pub fn get(&self, number: u16) -> &Source {
        &self.list[usize::from(number)]
    }

    /// One partition, to change.
    pub fn get_mut(&mut self, number: u16) -> &mut Source {
        &mut self.list[usize::from(number)]
    }

    /// All, by number.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &Source)> {
        self.list.iter().enumerate().map(|(i, s)| (i as u16, s))
    }

    /// All, by number, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.list.iter_mut()
    }

    /// Numbers in the canonical order of keys.
    pub fn in_order(&self) -> impl Iterator<Item = u16> {
        self.index.values().copied()
    }

    /// A partition joins. `None`: there is no number left for it. True: its log ends before records that were read.
    pub fn open(&mut self, o: &SourceOpen, stream: u16) -> Option<(u16, bool)> {
        if let Some(number) = self.find(&o.source) {
            let source = self.get_mut(number);
            if source.incarnation != o.incarnation {
                // The reader numbers generations; a key that changes its identity is a log made anew all the same.
                *source = Source::new(o, stream);
            }
            // After a restore readers begin at our very position, or at the end where the log ends before it. Later in
            // a process they may begin at a stored position that lies behind: that is no cut.
            let cut = !source.opened && o.next < source.records_to;
            // What lies in the place of holes that were passed has not counted, whatever it is by now.
            source.next = source.next.min(o.next.max(source.records_to).max(o.log_start));
            source.opened = true;
            // What the stream carries, and whose times, is what is said today.
            (source.role, source.append_time) = (o.role, o.append_time);
            source.log_start = Some(o.log_start);
            source.at_tail = false;
            source.caught_up = false;
            source.set_state(Readable::Opening, o.at);
            return Some((number, cut));
        }
        for source in &mut self.list {
            let (old, new) = (&source.key, &o.source);
            if old.cluster == new.cluster && old.stream == new.stream && old.generation < new.generation {
                source.superseded = true;
                source.set_state(Readable::Gone, o.at);
            }
        }
        let number = self.insert(Source { opened: true, ..Source::new(o, stream) })?;
        Some((number, false))
    }

    /// Appends a partition, as after a restore. `None`: there is no number left for it.
    pub fn insert(&mut self, source: Source) -> Option<u16> {
        let number = u16::try_from(self.list.len()).ok().filter(|n| usize::from(*n) < MAX_SOURCES)?;
        self.index.insert(Arc::clone(&source.key), number);
        self.list.push(source);
        self.ranks.push(0);
        for (rank, number) in self.index.values().enumerate() {
            self.ranks[usize::from(*number)] = rank as u16;
        }
        Some(number)
    }

    /// Where each stands, in the canonical order.
    #[must_use]
    pub fn positions(&self) -> Positions {
        Positions { sources: self.in_order().map(|n| self.get(n).position()).collect() }
    }
}

impl From<&SourceState> for Readable {
    fn from(state: &SourceState) -> Self {
        match state {
            SourceState::Reading => Self::Reading,
            SourceState::AtEnd => Self::AtEnd,
            SourceState::Unreachable(reason) => Self::Unreachable(reason.clone()),
            SourceState::Gone => Self::Gone,
        }
    }
}
