//! Over which time something arrived behind a position: what came at once may be one aborted transaction, what went on
//! coming is not. Kept over restarts, so that a verdict does not depend on when we began to watch.

use serde::{Deserialize, Serialize};

use crate::model::{MICROS_PER_SECOND, Timestamp};

/// Marks kept: with the time between them they reach beyond what counts as at once, and a bit.
const MARKS: usize = 7;
/// Least time between two marks.
const APART: i64 = 15 * MICROS_PER_SECOND;

/// The log came to reach so far at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    reach: u64,
    /// Not yet then.
    after: Timestamp,
    /// By then.
    by: Timestamp,
}

/// Some of the moments when a log was seen to grow, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Arrivals(Vec<Mark>);

impl Arrivals {
    /// The log reaches so far `at` now; `before`: of the survey before, `None` where nobody watched. True where that
    /// is news.
    pub fn reached(&mut self, reach: u64, before: Option<Timestamp>, at: Timestamp) -> bool {
        let known = self.0.last().copied();
        if known.is_some_and(|last| last.reach == reach) {
            return false;
        }
        if known.is_some_and(|last| last.reach > reach) {
            // The log was cut off or made anew.
            self.0.clear();
        }
        let after = known.map(|last| last.by).max(before).unwrap_or(at);
        // The newest mark is replaced until it is far enough from the one before it.
        if let [.., earlier, newest] = &self.0[..]
            && newest.by.since(earlier.by) < APART
        {
            self.0.pop();
        } else if self.0.len() >= MARKS {
            self.0.remove(0);
        }
        self.0.push(Mark { reach, after, by: at });
        true
    }

    /// Seconds over which what lies at and behind `position` went on arriving, at least; 0: perhaps all at once.
    pub fn seconds_behind(&self, position: u64) -> f64 {
        let first = self.0.iter().find(|mark| mark.reach > position);
        let last = self.0.last();
        first.zip(last).map_or(0.0, |(first, last)| last.after.since(first.by).max(0) as f64 / MICROS_PER_SECOND as f64)
    }

    pub fn marks(&self) -> &[Mark] {
        &self.0
    }

    /// Takes stored marks of a log that now reaches to `reach`, if they are such.
    pub fn restore(&mut self, marks: Vec<Mark>, reach: u64) {
        let ascending = marks.windows(2).all(|w| w[0].reach < w[1].reach && w[0].by <= w[1].after);
        if ascending && marks.len() <= MARKS && marks.last().is_some_and(|last| last.reach <= reach) {
            self.0 = marks;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_seconds(second)
    }

    #[test]
    fn what_came_at_once_and_what_went_on_coming() {
        let mut log = Arrivals::default();
        let mut grow = |second: i64, reach| log.reached(reach, Some(at(second - 5)), at(second));
        assert!(grow(0, 100) && !grow(5, 100));
        assert!(grow(10, 200));
        assert_eq!((log.seconds_behind(50), log.seconds_behind(150), log.seconds_behind(200)), (5.0, 0.0, 0.0));
        for n in 3..=100_u64 {
            assert!(log.reached(n * 100, Some(at(n as i64 * 5)), at(n as i64 * 5 + 5)));
            assert!(log.marks().len() <= MARKS);
        }
        let (old, new) = (log.seconds_behind(0), log.seconds_behind(9_950));
        assert!(old > 60.0 && old < 120.0 && new == 0.0, "{old} {new}: it is forgotten how long it went on");
        log.reached(40, Some(at(600)), at(605));
        assert_eq!((log.marks().len(), log.seconds_behind(0)), (1, 0.0), "another log");
    }

    #[test]
    fn when_nobody_watched_nothing_is_supposed() {
        let mut log = Arrivals::default();
        log.reached(100, None, at(0));
        let mut again = Arrivals::default();
        again.restore(log.marks().to_vec(), 200);
        // It grew at some moment of these three hours, perhaps at their beginning, perhaps at their end.
        again.reached(200, None, at(10_800));
        assert_eq!((again.seconds_behind(50), again.seconds_behind(150)), (0.0, 0.0));
        again.reached(300, Some(at(10_865)), at(10_870));
        assert_eq!((again.seconds_behind(50), again.seconds_behind(150)), (10_865.0, 65.0));
        let mut other = Arrivals::default();
        other.restore(log.marks().to_vec(), 99);
        assert!(other.marks().is_empty(), "of a log that was longer");
    }
}
