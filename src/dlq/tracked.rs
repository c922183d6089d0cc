//! The numbers of one stream of dead letters over time.

use std::collections::{BTreeMap, VecDeque};

use crate::model::{MICROS_PER_SECOND, Timestamp};
use crate::snapshot::{DlqWindow, WINDOWS};

/// Samples are at least so far apart: an hour of them is 1,500 at most, 60 KB a stream.
const APART: i64 = 2_400_000;
/// How long samples are kept: the longest window and the sample before it.
const KEPT: i64 = 3_600 * MICROS_PER_SECOND;
/// Points of the trend.
const TREND: usize = 60;

/// What a survey says of one partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// First position of the log.
    pub start: u64,
    /// End of the log.
    pub end: u64,
    /// Position of the redrive group; `None`: never committed.
    pub committed: Option<u64>,
    /// Letters at or behind that position that were handled all the same.
    pub ahead: u64,
}

impl Facts {
    /// The first position that nobody has handled.
    pub fn first_unhandled(&self) -> u64 {
        self.committed.unwrap_or(0).max(self.start).min(self.end.max(self.start))
    }

    /// Letters that wait.
    pub fn unhandled(&self) -> u64 {
        self.end.saturating_sub(self.first_unhandled()).saturating_sub(self.ahead)
    }
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Timestamp,
    depth: Option<u64>,
    /// The most since the sample before it.
    most: Option<u64>,
    inflow: u64,
    redriven: u64,
    expired: u64,
}

/// One stream.
#[derive(Debug, Default)]
pub struct Tracked {
    /// Partitions by number, as last known.
    pub partitions: BTreeMap<u32, Facts>,
    /// Arrived since it was first watched.
    pub inflow: u64,
    /// Handled since then.
    pub redriven: u64,
    /// Lost to retention before anybody handled them.
    pub expired: u64,
    /// It goes on from what was stored: no sight is the first.
    resumed: bool,
    samples: VecDeque<Sample>,
    trend: VecDeque<Option<f32>>,
}

impl Tracked {
    /// Goes on from stored facts and counters: inflow, redriven, expired.
    pub fn resume(&mut self, partitions: BTreeMap<u32, Facts>, (inflow, redriven, expired): (u64, u64, u64)) {
        // Stored before its first sight, that one is still to come.
        self.resumed = !partitions.is_empty();
        self.partitions = partitions;
        (self.inflow, self.redriven, self.expired) = (inflow, redriven, expired);
    }

    /// The topic was made anew: what lies there now arrived since.
    pub fn made_anew(&mut self) {
        for facts in self.partitions.values_mut() {
            *facts = Facts::default();
        }
    }

    /// Takes what a survey says of a partition. `settled(from, to)`: letters of it that our redrive settled one by one;
    /// they are handled wherever the group stands. `moves`: what else the group moves over counts as redriven.
    pub fn learn(&mut self, partition: u32, new: Facts, settled: &dyn Fn(u64, u64) -> u64, moves: bool) {
        // Whether what came after `old` is all that came since: an empty partition that was seen is known, too.
        let known = self.partitions.get(&partition).is_some_and(|old| new.end >= old.end);
        let old = match self.partitions.get(&partition) {
            Some(old) if known => *old,
            // Records that were taken back (an election that was not clean) or a topic made anew without an id.
            Some(_) => Facts::default(),
            None if self.samples.is_empty() && !self.resumed => {
                // First sight: what lies there is no inflow. What the group's position shows to be lost was lost, whenever that was.
                Facts { start: new.start.min(new.committed.unwrap_or(new.start)), ..new }
            }
            // A partition that joins a stream we watch brings all of its letters with it.
            None => Facts::default(),
        };
        self.inflow += new.end.saturating_sub(if known { old.end } else { old.end.max(new.start) });
        let handled_to = old.committed.unwrap_or(0).max(old.start);
        let gone_to = new.start.min(old.end.max(handled_to)).max(handled_to);
        let gone = gone_to - handled_to;
        self.expired += gone - settled(handled_to, gone_to).min(gone);
        // What came and went between two surveys: where the group stands behind it, perhaps it was handled in time;
        // what lies beyond the group's position was not.
        let unseen_from = old.end.max(gone_to).max(new.committed.unwrap_or(0));
        if known && new.start > unseen_from {
            let unseen = new.start - unseen_from;
            self.expired += unseen - settled(unseen_from, new.start).min(unseen);
        }
        let (from, to) = (handled_to.max(new.start), new.committed.unwrap_or(0).max(new.start));
        if moves && to > from {
            self.redriven += (to - from).saturating_sub(settled(from, to));
        }
        let ahead = settled(new.first_unhandled(), u64::MAX);
        self.partitions.insert(partition, Facts { ahead, ..new });
    }

    /// A survey is complete: its numbers become a sample.
    pub fn sample(&mut self, at: Timestamp, depth: Option<u64>) {
        let sample =
            Sample { at, depth, most: depth, inflow: self.inflow, redriven: self.redriven, expired: self.expired };
        let n = self.samples.len();
        if n >= 2 && at.since(self.samples[n - 2].at) < APART {
            // The clock may stand still or be set back: then there is one sample more to be replaced, not a disorder.
            let most = self.samples[n - 1].most.max(depth);
            self.samples[n - 1] = Sample { most, ..sample };
        } else {
            self.samples.push_back(sample);
        }
        while self.samples.len() > 2 && at.since(self.samples[1].at) >= KEPT {
            self.samples.pop_front();
        }
        if self.trend.len() >= TREND {
            self.trend.pop_front();
        }
        self.trend.push_back(depth.map(|n| n as f32));
    }

    /// The newest sample that is at least so old, else the oldest; and whether it is old enough.
    fn before(&self, micros: i64) -> Option<(&Sample, bool)> {
        let now = self.samples.back()?.at;
        let old = self.samples.iter().rev().find(|s| now.since(s.at) >= micros);
        old.map(|s| (s, true)).or_else(|| self.samples.front().map(|s| (s, false)))
    }

    /// Arrived per minute over the last minute; `None` until we have watched for one.
    pub fn inflow_per_minute(&self) -> Option<f64> {
        let last = self.samples.back()?;
        let (first, _) = self.before(60 * MICROS_PER_SECOND).filter(|(_, complete)| *complete)?;
        let micros = last.at.since(first.at);
        Some((last.inflow - first.inflow) as f64 * 60.0 * MICROS_PER_SECOND as f64 / micros as f64)
    }

    /// Every rolling window.
    pub fn windows(&self) -> Vec<DlqWindow> {
        let window = |&(name, seconds): &(&'static str, i64)| {
            let span = seconds * MICROS_PER_SECOND;
            let (Some(last), Some((first, complete))) = (self.samples.back(), self.before(span)) else {
                return DlqWindow { name, ..DlqWindow::default() };
            };
            let within = self.samples.iter().filter(|s| s.at > first.at).filter_map(|s| s.most);
            DlqWindow {
                name,
                complete,
                first: first.depth,
                last: last.depth,
                max: within.chain(first.depth).max(),
                inflow: Some(last.inflow - first.inflow),
                redriven: Some(last.redriven - first.redriven),
                expired: Some(last.expired - first.expired),
            }
        };
        WINDOWS.iter().map(window).collect()
    }

    /// Depth at the newest surveys, oldest first.
    pub fn trend(&self) -> Vec<Option<f32>> {
        self.trend.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(t: &mut Tracked, partition: u32, facts: Facts) {
        t.learn(partition, facts, &|_, _| 0, true);
    }

    fn facts(start: u64, end: u64, committed: Option<u64>) -> Facts {
        Facts { start, end, committed, ahead: 0 }
    }

    fn sums(t: &Tracked) -> (u64, u64, u64) {
        (t.inflow, t.redriven, t.expired)
    }

    #[test]
    fn each_letter_arrives_once_and_leaves_once() {
        let mut t = Tracked::default();
        learn(&mut t, 0, facts(10, 100, Some(20)));
        t.sample(Timestamp(0), Some(80));
        assert_eq!(sums(&t), (0, 0, 0), "what was there before is no inflow");
        learn(&mut t, 0, facts(10, 130, Some(50)));
        assert_eq!(sums(&t), (30, 30, 0));
        learn(&mut t, 0, facts(70, 130, Some(50)));
        assert_eq!(sums(&t), (30, 30, 20), "50 to 70 expired before triage");
        learn(&mut t, 0, facts(70, 130, Some(90)));
        assert_eq!(sums(&t), (30, 50, 20), "only what lay there could be handled");
        learn(&mut t, 1, facts(0, 4, None));
        assert_eq!(sums(&t), (34, 50, 20), "a new partition brings its letters");
    }

    #[test]
    fn what_came_and_went_in_a_stream_that_was_empty_is_counted() {
        let mut t = Tracked::default();
        learn(&mut t, 0, facts(0, 0, None));
        t.sample(Timestamp(0), Some(0));
        learn(&mut t, 0, facts(364, 400, None));
        assert_eq!(sums(&t), (400, 0, 364));
    }

    #[test]
    fn letters_settled_one_by_one_are_neither_depth_nor_lost() {
        let settled = |from: u64, to: u64| [12, 13, 40].iter().filter(|p| (from..to).contains(p)).count() as u64;
        let mut t = Tracked::default();
        t.learn(0, facts(0, 100, Some(10)), &settled, true);
        t.sample(Timestamp(0), None);
        assert_eq!((t.partitions[&0].ahead, t.partitions[&0].unhandled()), (3, 87));
        t.learn(0, facts(20, 100, Some(10)), &settled, true);
        assert_eq!((t.expired, t.partitions[&0].ahead, t.partitions[&0].unhandled()), (8, 1, 79));
        t.learn(0, facts(20, 100, Some(50)), &settled, true);
        assert_eq!((t.redriven, t.partitions[&0].unhandled()), (29, 50), "what was sent one by one counted then");
    }

    #[test]
    fn letters_that_came_and_went_between_two_surveys_are_counted() {
        let mut t = Tracked::default();
        learn(&mut t, 0, facts(0, 100, None));
        t.sample(Timestamp(0), Some(100));
        learn(&mut t, 0, facts(150, 200, None));
        assert_eq!(sums(&t), (100, 0, 150));
        let mut t = Tracked::default();
        learn(&mut t, 0, facts(0, 100, Some(100)));
        t.sample(Timestamp(0), Some(0));
        learn(&mut t, 0, facts(150, 200, Some(130)));
        assert_eq!((t.inflow, t.expired), (100, 20), "130 to 150 were never handled");
    }

    #[test]
    fn a_position_below_the_log_start_shows_a_loss() {
        let mut t = Tracked::default();
        learn(&mut t, 0, facts(500, 600, Some(100)));
        assert_eq!(sums(&t), (0, 0, 400));
        assert_eq!(facts(500, 600, Some(100)).unhandled(), 100);
        assert_eq!(facts(0, 50, Some(80)).unhandled(), 0, "a position beyond the end is no negative depth");
    }

    #[test]
    fn without_a_group_all_that_expires_was_never_handled() {
        let mut t = Tracked::default();
        learn(&mut t, 0, facts(0, 10, None));
        t.sample(Timestamp(0), Some(10));
        learn(&mut t, 0, facts(7, 12, None));
        assert_eq!(sums(&t), (2, 0, 7));
    }

    #[test]
    fn a_topic_made_anew_counts_what_lies_there_now() {
        let mut t = Tracked::default();
        learn(&mut t, 0, facts(0, 1_000, Some(1_000)));
        t.sample(Timestamp(0), Some(0));
        t.made_anew();
        learn(&mut t, 0, facts(0, 30, None));
        assert_eq!(sums(&t), (30, 0, 0));
        assert_eq!(t.partitions[&0].unhandled(), 30);
    }

    #[test]
    fn windows_are_between_samples() {
        let mut t = Tracked::default();
        for second in 0..=400 {
            let end = second / 2;
            learn(&mut t, 0, facts(0, end, Some(end / 2)));
            t.sample(Timestamp::from_seconds(i64::try_from(second).unwrap()), Some(end - end / 2));
            assert_eq!(t.inflow_per_minute().is_some(), second >= 60, "second {second}");
        }
        let windows = t.windows();
        let w = |name: &str| windows.iter().find(|w| w.name == name).unwrap();
        assert!(w("5m").complete && !w("15m").complete);
        let five = w("5m");
        assert_eq!((five.last, five.max), (Some(100), Some(100)));
        assert!((149..=152).contains(&five.inflow.unwrap()), "{five:?}");
        assert!((74..=76).contains(&five.redriven.unwrap()), "{five:?}");
        let rate = t.inflow_per_minute().unwrap();
        assert!((29.0..=31.0).contains(&rate), "{rate}");
        assert!(t.samples.len() <= 1_502 && t.trend().len() == TREND);
    }
}
