//! The board of one cluster: takes surveys, says what it would like to be told more, and makes the views.

mod entry;
mod group;
mod kept;
mod rules;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::breakdown::Looked;
use super::find::{NameClass, name_class};
use super::settled::{Settled, marker_stream};
use super::tracked::{Facts, Tracked};
use crate::model::{MICROS_PER_SECOND, Survey, TimedPosition, Timestamp, TopicFacts};
use crate::snapshot::{DlqLeftOut, DlqStream, FoundBy, LetterView};
pub use group::own_group;
use group::{counting, positions};
use kept::Kept;
pub use rules::Rules;

/// Letters asked for in one read.
const READ: u64 = 500;
/// Streams whose name only suggests dead letters, and streams of retries, that are named: who reads more of them?
const BESIDE: usize = 100;
/// After a refused read a stream is left alone for so long.
const REFUSED: i64 = 60 * MICROS_PER_SECOND;
/// A stream whose name only suggests dead letters is looked into again after so long.
const ASK_AGAIN: i64 = 600 * MICROS_PER_SECOND;

/// A stretch of letters that the board would like to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadWish {
    /// Stream.
    pub stream: Arc<str>,
    /// Partition.
    pub partition: u32,
    /// From here.
    pub from: u64,
    /// At most so many.
    pub count: usize,
}

/// A stretch of markers of handled letters that the board would like to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkerWish {
    /// The stream of dead letters.
    pub of: Arc<str>,
    /// The stream of ours with the markers; it has one partition.
    pub stream: Arc<str>,
    /// From here.
    pub from: u64,
}

#[derive(Debug, Default)]
struct Entry {
    found_by: FoundBy,
    incarnation: String,
    tracked: Tracked,
    looked: Looked,
    /// The group whose positions count by the rules, whether it is there or not; `None`: not known yet.
    group: Option<String>,
    /// It is there.
    present: bool,
    /// Other groups that stand on the stream.
    readers: Vec<String>,
    /// The positions of the group could not be learned.
    group_unknown: bool,
    as_of: Option<Timestamp>,
    faults: Vec<String>,
    refused: Option<(Timestamp, String)>,
    /// By partition: a position and the record time of the first letter there.
    times: HashMap<u32, (u64, Option<Timestamp>)>,
    /// Letters that our redrive settled one by one; `None`: there are no markers, or they were not read yet.
    settled: Option<Settled>,
    /// The stream of ours that says so; `None`: there is none.
    markers: Option<Markers>,
    /// Copies that were sent, as of the last survey; `None`: not known yet.
    sent: Option<u64>,
    /// It goes on from what was stored, and its markers were not read yet.
    waits: bool,
}

/// A stream of markers.
#[derive(Debug)]
struct Markers {
    stream: Arc<str>,
    /// Its identity; empty: not told.
    id: String,
    /// Its end; `None`: not told.
    end: Option<u64>,
    /// The next position to read.
    next: u64,
}

impl Markers {
    fn unread(&self) -> bool {
        self.end.is_some_and(|end| self.next < end)
    }
}

/// When a stream was looked into last, and its newest positions by partition.
type Suggested = (Timestamp, Vec<(u32, u64)>);

/// Dead letters of one cluster.
#[derive(Debug)]
pub struct Board {
    cluster: String,
    rules: Rules,
    streams: BTreeMap<Arc<str>, Entry>,
    /// Of streams that are not there, or were not yet seen.
    kept: HashMap<Arc<str>, Kept>,
    /// Rows as they are stored.
    stored: HashMap<Arc<str>, Vec<u8>>,
    retry: Vec<Arc<str>>,
    /// Names that only suggest dead letters, and when they were looked into last.
    perhaps: BTreeMap<Arc<str>, Suggested>,
    /// Ends that can be read, by stream and partition.
    stable: HashMap<(Arc<str>, u32), u64>,
    left_out: DlqLeftOut,
    answering: bool,
    at: Timestamp,
}

impl Board {
    /// An empty one.
    #[must_use]
    pub fn new(cluster: impl Into<String>, rules: Rules) -> Self {
        Self {
            cluster: cluster.into(),
            rules,
            streams: BTreeMap::new(),
            kept: HashMap::new(),
            stored: HashMap::new(),
            retry: Vec::new(),
            perhaps: BTreeMap::new(),
            stable: HashMap::new(),
            left_out: DlqLeftOut::default(),
            answering: false,
            at: Timestamp(0),
        }
    }

    /// How a stream comes to be watched; `None`: it does not.
    fn found(&self, name: &str, by_config: bool) -> Option<FoundBy> {
        let rules = &self.rules;
        if rules.exact.contains(name) {
            return Some(FoundBy::Config);
        }
        if rules.others.contains(name) || name.starts_with(super::OWN_PREFIX) {
            return None;
        }
        if rules.patterns.is_match(name) {
            return Some(FoundBy::Config);
        }
        if by_config {
            return Some(FoundBy::TopicConfig);
        }
        (rules.conventions && name_class(name) == NameClass::Sure).then_some(FoundBy::Name)
    }

    /// Takes a survey. One that was not answered freezes what is known.
    pub fn absorb(&mut self, survey: &Survey) {
        self.answering = survey.answered;
        self.at = survey.ended;
        if !survey.answered {
            return;
        }
        // What the survey does not name is gone; a stream that was accepted by its headers stays accepted.
        let live = self.streams.iter().filter(|(_, e)| e.found_by == FoundBy::Headers).map(|(n, _)| n);
        let before = self.kept.iter().filter(|(_, k)| k.by_headers && !k.gone).map(|(n, _)| n);
        let accepted: HashSet<Arc<str>> = live.chain(before).map(Arc::clone).collect();
        let mut present: HashMap<&str, usize> = HashMap::new();
        self.left_out = DlqLeftOut { counters: self.left_out.counters, ..DlqLeftOut::default() };
        self.retry.clear();
        let mut suggested = BTreeMap::new();
        for (at, topic) in survey.topics.iter().enumerate() {
            let by_headers = accepted.contains(&topic.name).then_some(FoundBy::Headers);
            match self.found(&topic.name, topic.dead_letters).or(by_headers) {
                Some(_) if present.len() >= self.rules.streams => self.left_out.streams += 1,
                Some(found_by) => {
                    present.insert(&topic.name, at);
                    self.claim(&topic.name).found_by = found_by;
                }
                None => match name_class(&topic.name) {
                    NameClass::Retry if self.retry.len() >= BESIDE => self.left_out.retry += 1,
                    NameClass::Retry => self.retry.push(Arc::clone(&topic.name)),
                    NameClass::Perhaps if !self.rules.may_hold(&topic.name) => {}
                    NameClass::Perhaps if suggested.len() >= BESIDE => self.left_out.suggested += 1,
                    NameClass::Perhaps => {
                        let ends = topic
                            .partitions
                            .iter()
                            .zip(0..)
                            .filter_map(|(p, n)| Some((n, p.stable_end.or(p.end)?.checked_sub(1)?.max(p.start?))));
                        let asked = self.perhaps.get(&topic.name).map_or(Timestamp(i64::MIN), |(at, _)| *at);
                        suggested.insert(Arc::clone(&topic.name), (asked, ends.collect()));
                    }
                    NameClass::Sure | NameClass::Other => {}
                },
            }
        }
        self.perhaps = suggested;
        let gone: Vec<_> = self.streams.keys().filter(|name| !present.contains_key(&***name)).cloned().collect();
        gone.iter().for_each(|name| self.leave(name));
        if survey.faults.is_empty() {
            self.kept.values_mut().for_each(|kept| kept.gone = true);
        }
        let positions = positions(survey, &present);
        self.stable.clear();
        let ours = survey.topics.iter().filter(|t| t.name.starts_with(super::OWN_PREFIX));
        let ours: HashMap<&str, &TopicFacts> = ours.map(|t| (&*t.name, t)).collect();
        for (name, entry) in &mut self.streams {
            let Some(at) = present.get(&**name) else { continue };
            let topic = &survey.topics[*at];
            if let Some(markers) = ours.get(marker_stream(name).as_str()) {
                entry.finds(markers);
            }
            let counting = counting(name, &self.rules.redrive_group, survey, positions.get(at));
            let unread = entry.markers.as_ref().is_some_and(Markers::unread);
            entry.waits &= unread && !entry.is_refused(self.at);
            if !entry.waits {
                entry.take(topic, counting, survey);
            }
            for (n, p) in (0u32..).zip(&topic.partitions) {
                if let Some(end) = p.stable_end.or(p.end) {
                    self.stable.insert((Arc::clone(name), n), end);
                }
            }
        }
    }

    /// Positions whose record time is not known, as [`crate::dlq`] asks for them: the first unhandled letter of each partition.
    #[must_use]
    pub fn questions(&self, most: usize) -> Vec<(Arc<str>, u32, u64)> {
        let mut asked = Vec::new();
        for (name, entry) in self.streams.iter().filter(|(_, e)| !e.is_refused(self.at)) {
            for (n, facts) in entry.tracked.partitions.iter().filter(|(_, f)| f.unhandled() > 0) {
                let at = facts.first_unhandled();
                if asked.len() < most && entry.times.get(n).is_none_or(|(known, time)| *known != at || time.is_none()) {
                    asked.push((Arc::clone(name), *n, at));
                }
            }
        }
        asked
    }

    /// The answers to [`Self::questions`].
    pub fn told(&mut self, asked: &[(Arc<str>, u32, u64)], answers: &[Option<Option<TimedPosition>>]) {
        for ((stream, partition, at), answer) in asked.iter().zip(answers) {
            let Some(entry) = self.streams.get_mut(stream) else { continue };
            if let Some(found) = answer {
                entry.times.insert(*partition, (*at, found.map(|f| f.time)));
            }
        }
    }

    /// What is to be read next for the breakdown, stream by stream; then samples of streams whose name only suggests dead letters.
    #[must_use]
    pub fn wishes(&self, most: usize) -> Vec<ReadWish> {
        let mut wishes = Vec::new();
        if self.rules.letters == 0 {
            return wishes;
        }
        for (name, entry) in self.streams.iter().filter(|(_, e)| !e.is_refused(self.at)) {
            let share = (self.rules.letters / entry.tracked.partitions.len().max(1)).max(1) as u64;
            for (n, facts) in &entry.tracked.partitions {
                let end = self.stable.get(&(Arc::clone(name), *n)).copied().unwrap_or(facts.end);
                let from =
                    entry.looked.next.get(n).copied().unwrap_or(0).max(facts.start).max(end.saturating_sub(share));
                if from < end && wishes.len() < most {
                    let count = usize::try_from(READ.min(end - from)).unwrap_or(1);
                    wishes.push(ReadWish { stream: Arc::clone(name), partition: *n, from, count });
                }
            }
        }
        for (name, (asked, ends)) in &self.perhaps {
            if self.at.0.saturating_sub(asked.0) >= ASK_AGAIN && wishes.len() < most {
                let one = ends.iter().max_by_key(|(_, end)| *end);
                wishes.extend(one.map(|(n, at)| ReadWish {
                    stream: Arc::clone(name),
                    partition: *n,
                    from: *at,
                    count: 1,
                }));
            }
        }
        wishes
    }

    /// Letters that were read for a wish; `next` is where to go on.
    pub fn read(&mut self, wish: &ReadWish, letters: Vec<LetterView>, next: u64) {
        if let Some((asked, _)) = self.perhaps.get_mut(&wish.stream) {
            *asked = self.at;
            if letters.iter().any(|l| !l.family.is_empty()) {
                self.perhaps.remove(&wish.stream);
                self.claim(&wish.stream).found_by = FoundBy::Headers;
            }
            return;
        }
        let Some(entry) = self.streams.get_mut(&wish.stream) else { return };
        entry.refused = None;
        for letter in letters {
            entry.looked.push(letter, self.rules.letters);
        }
        // A stretch that brings nothing must not be asked for again and again.
        entry.looked.next.insert(wish.partition, next.max(wish.from + 1));
    }

    /// A read was refused: the stream says why and is left alone for a while.
    pub fn refused(&mut self, stream: &str, why: impl Into<String>) {
        if let Some(entry) = self.streams.get_mut(stream) {
            entry.refused = Some((self.at, why.into()));
        } else if let Some((asked, _)) = self.perhaps.get_mut(stream) {
            *asked = self.at;
        }
    }

    /// Markers of handled letters that were not read yet.
    #[must_use]
    pub fn marker_wishes(&self) -> Vec<MarkerWish> {
        let unread = |(of, e): (&Arc<str>, &Entry)| {
            let markers = e.markers.as_ref().filter(|m| m.unread() && !e.is_refused(self.at))?;
            Some(MarkerWish { of: Arc::clone(of), stream: Arc::clone(&markers.stream), from: markers.next })
        };
        self.streams.iter().filter_map(unread).collect()
    }

    /// Markers that were read for a wish, in order; `next` is where to go on. They count from the next survey on.
    pub fn marked<'a>(&mut self, of: &str, records: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>, next: u64) {
        let Some(entry) = self.streams.get_mut(of) else { return };
        let settled = entry.settled.get_or_insert_with(|| Settled::new(entry.incarnation.clone()));
        for (key, value) in records {
            settled.load(key, value);
        }
        if let Some(markers) = &mut entry.markers {
            markers.next = next.max(markers.next + 1);
        }
    }

    /// Whether a stream that is watched has this partition.
    #[must_use]
    pub fn has(&self, stream: &str, partition: u32) -> bool {
        self.streams.get(stream).is_some_and(|entry| entry.tracked.partitions.contains_key(&partition))
    }

    /// The views, and what was left out because of a bound.
    #[must_use]
    pub fn views(&self) -> (Vec<Arc<DlqStream>>, DlqLeftOut) {
        let view = |(name, entry): (&Arc<str>, &Entry)| {
            Arc::new(entry.view(&self.cluster, name, self.answering, self.at, &self.rules))
        };
        (self.streams.iter().map(view).collect(), self.left_out)
    }

    /// Streams whose records wait for another try, and those whose name only suggests dead letters.
    #[must_use]
    pub fn beside(&self) -> (Vec<Arc<str>>, Vec<Arc<str>>) {
        (self.retry.clone(), self.perhaps.keys().cloned().collect())
    }
}

#[cfg(test)]
mod tests;
