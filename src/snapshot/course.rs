//! A few samples of one group on one partition, so small that boards and views of hundreds of thousands of rows keep
//! and share them.

use std::sync::Arc;

/// Samples kept: Burrow's default window holds ten commits, and 45 pairs are enough to see a direction.
pub const COURSE_POINTS: usize = 10;
/// Samples are spread until the oldest is about this old, in tenths of a second: five minutes.
const WINDOW: u32 = 3_000;

/// Time in tenths of a second since any beginning, committed position, end of the log.
pub type CoursePoint = (u32, u64, u64);

/// Samples spaced evenly: every one at first, then fewer, so that a young row has a direction soon and an old one over
/// five minutes. Only the first is kept whole, the others as what they are beyond it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Course {
    committed: u64,
    end: u64,
    at: u32,
    /// Least time between two kept samples.
    every: u16,
    len: u8,
    ats: [u16; COURSE_POINTS - 1],
    committeds: [u32; COURSE_POINTS - 1],
    ends: [u32; COURSE_POINTS - 1],
}

impl Course {
    /// Begins with one sample.
    #[must_use]
    pub const fn new((at, committed, end): CoursePoint) -> Self {
        Self {
            committed,
            end,
            at,
            every: 0,
            len: 1,
            ats: [0; COURSE_POINTS - 1],
            committeds: [0; COURSE_POINTS - 1],
            ends: [0; COURSE_POINTS - 1],
        }
    }

    /// Number of samples, at least one.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        usize::from(self.len)
    }

    /// A sample; those behind the newest are none.
    #[must_use]
    pub fn get(&self, i: usize) -> Option<CoursePoint> {
        if i >= self.len() {
            return None;
        }
        Some(i.checked_sub(1).map_or((self.at, self.committed, self.end), |i| {
            let (at, committed) = (self.at + u32::from(self.ats[i]), self.committed + u64::from(self.committeds[i]));
            (at, committed, self.end + u64::from(self.ends[i]))
        }))
    }

    /// The samples, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = CoursePoint> + '_ {
        (0..self.len()).filter_map(|i| self.get(i))
    }

    /// Adds a sample. One that lies below the first (a rewind, a log made anew) or too far from it begins afresh:
    /// what was before says nothing about the direction of now.
    pub fn push(&mut self, point: CoursePoint) {
        let last = self.len() - 1;
        let newest = self.get(last).unwrap_or(point);
        if point.1 < newest.1 || self.beyond(point).is_none() {
            *self = Self::new(point);
            return;
        }
        // The newest sample is replaced until it is far enough from the one before it.
        let before = last.checked_sub(1).and_then(|i| self.get(i));
        if before.is_some_and(|before| newest.0.saturating_sub(before.0) < u32::from(self.every)) {
            self.len -= 1;
        } else if self.len() == COURSE_POINTS {
            let span = point.0.saturating_sub(self.at);
            let all: Vec<CoursePoint> = self.iter().collect();
            if span < WINDOW {
                // Every other one goes; the newest stays.
                self.every = (span / (COURSE_POINTS as u32 / 2)).min(WINDOW / COURSE_POINTS as u32) as u16;
                self.refill(all.into_iter().skip(1).step_by(2));
            } else {
                self.refill(all.into_iter().skip(1));
            }
        }
        self.append(point);
    }

    /// What a point is beyond the first; `None` where that cannot be kept.
    fn beyond(&self, (at, committed, end): CoursePoint) -> Option<(u16, u32, u32)> {
        let at = u16::try_from(at.saturating_sub(self.at)).ok()?;
        let committed = u32::try_from(committed.checked_sub(self.committed)?).ok()?;
        Some((at, committed, u32::try_from(end.checked_sub(self.end)?).ok()?))
    }

    fn append(&mut self, point: CoursePoint) {
        match self.beyond(point) {
            Some(beyond) if self.len() < COURSE_POINTS => {
                let i = self.len() - 1;
                (self.ats[i], self.committeds[i], self.ends[i]) = beyond;
                self.len += 1;
            }
            _ => *self = Self::new(point),
        }
    }

    fn refill(&mut self, mut points: impl Iterator<Item = CoursePoint>) {
        let Some(first) = points.next() else { return };
        *self = Self { every: self.every, ..Self::new(first) };
        points.for_each(|point| self.append(point));
    }
}

/// What was seen of a row, behind its verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// The reason says all.
    #[default]
    Nothing,
    /// Nothing moved in so many seconds: committed position and end are still what they were.
    Rest(u32),
    /// Samples, and the time of now on their clock. Shared with the board.
    Moved(u32, Arc<Course>),
}

impl Seen {
    /// Seconds before now, committed, end, oldest first, of a row that stands at `committed` of a log with this `end`.
    pub fn samples(&self, committed: u64, end: u64) -> impl DoubleEndedIterator<Item = CoursePoint> + '_ {
        let count = match self {
            Self::Nothing => 0,
            Self::Rest(0) => 1,
            Self::Rest(_) => 2,
            Self::Moved(_, course) => course.len(),
        };
        (0..count).filter_map(move |i| match self {
            Self::Nothing => None,
            Self::Rest(seconds) => Some((if i + 1 == count { 0 } else { *seconds }, committed, end)),
            Self::Moved(now, course) => course.get(i).map(|(at, c, e)| (now.saturating_sub(at) / 10, c, e)),
        })
    }
}

/// From (seconds before now, committed, end), oldest first: as many of the newest as can be kept.
impl From<Vec<CoursePoint>> for Seen {
    fn from(points: Vec<CoursePoint>) -> Self {
        let Some(most) = points.first().map(|p| p.0) else { return Self::Nothing };
        let mut all = points.iter().map(|(before, c, e)| (most.saturating_sub(*before) * 10, *c, *e));
        let Some(mut course) = all.next().map(Course::new) else { return Self::Nothing };
        all.for_each(|point| course.append(point));
        Self::Moved(most * 10, Arc::new(course))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_spreads_to_five_minutes_and_keeps_the_newest() {
        let mut course = Course::new((0, 0, 0));
        for i in 1..10_000_u32 {
            let point = (i * 50, 1_000_000 * u64::from(i), 2_000_000 * u64::from(i));
            course.push(point);
            let all: Vec<_> = course.iter().collect();
            assert!(all.len() <= COURSE_POINTS && all.is_sorted());
            assert_eq!(all.last(), Some(&point), "far beyond what a first sample could reach");
        }
        let first = course.iter().next().unwrap().0;
        assert!((2_000..=4_000).contains(&(9_999 * 50 - first)), "{first}");
        assert!(std::mem::size_of::<Course>() <= 120);
    }

    #[test]
    fn a_rewind_a_log_made_anew_and_a_long_silence_begin_afresh() {
        let begun = || {
            let mut course = Course::new((0, 1_000, 1_001));
            (1..4).for_each(|i| course.push((i * 100, 1_000 + u64::from(i), 1_002 + u64::from(i))));
            course
        };
        assert_eq!(begun().len(), 4);
        for afresh in [(500, 10, 2_000), (500, 1_002, 2_000), (500, 1_004, 900), (66_000, 1_004, 1_010)] {
            let mut course = begun();
            course.push(afresh);
            assert_eq!(course.iter().collect::<Vec<_>>(), [afresh]);
        }
    }

    #[test]
    fn samples_are_told_as_seconds_before_now() {
        let points = vec![(20, 10, 100), (10, 15, 105), (0, 15, 110)];
        assert_eq!(Seen::from(points.clone()).samples(15, 110).collect::<Vec<_>>(), points);
        assert_eq!(Seen::Rest(9).samples(5, 7).collect::<Vec<_>>(), [(9, 5, 7), (0, 5, 7)]);
        assert_eq!(Seen::Rest(0).samples(5, 7).count() + Seen::Nothing.samples(5, 7).count(), 1);
    }
}
