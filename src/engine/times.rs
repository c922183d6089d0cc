//! When a record happened: the record times of one partition, its cut times and its frontier.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Record times over which the upper quartile is taken.
const KEPT: usize = 64;

/// Record times that a producer-timed partition must show before its frontier is believed: with fewer,
/// one record three hours ahead would be the quartile, and the frontier never goes back.
const BELIEVED: usize = 8;

/// The last record times of one partition. A function of the partition's own prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordTimes {
    recent: VecDeque<i64>,
    sorted: Vec<i64>,
    frontier: Option<i64>,
}

impl RecordTimes {
    /// Takes the record time of the next record (microseconds; `None`: the log wrote none) and answers with its
    /// cut time. `append_time`: the log assigned it, in order. Without any record time so far, the cut is
    /// `fallback` (the event time).
    pub fn cut(&mut self, record_time: Option<i64>, append_time: bool, fallback: Option<i64>) -> Option<i64> {
        let Some(time) = record_time else {
            return if append_time { self.frontier } else { self.quartile() }.or(fallback);
        };
        if append_time {
            self.frontier = self.frontier.max(Some(time));
            return Some(time);
        }
        self.remember(time);
        let quartile = self.quartile().unwrap_or(time);
        if self.recent.len() >= BELIEVED {
            self.frontier = self.frontier.max(Some(quartile));
        }
        Some(time.max(quartile))
    }

    /// Running maximum of the quartile, or of the record times that the log assigned.
    #[must_use]
    pub fn frontier(&self) -> Option<i64> {
        self.frontier
    }

    /// True until a record with a time was read. The frontier says less: it waits for several.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frontier.is_none() && self.recent.is_empty()
    }

    /// Upper quartile of the `n` times kept, the current one included: the one at index `3 (n - 1) / 4`
    /// (rounded down) in ascending order, so 47 of 0..=63.
    fn quartile(&self) -> Option<i64> {
        let last = self.sorted.len().checked_sub(1)?;
        Some(self.sorted[last * 3 / 4])
    }

    fn remember(&mut self, time: i64) {
        if self.recent.len() == KEPT
            && let Some(old) = self.recent.pop_front()
            && let Ok(at) = self.sorted.binary_search(&old)
        {
            self.sorted.remove(at);
        }
        self.recent.push_back(time);
        let at = self.sorted.partition_point(|t| *t <= time);
        self.sorted.insert(at, time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn skewed_producers_do_not_move_the_cut() {
        // Case 10: 30 % of the records lie 300 s in the past, one lies 3 h ahead.
        let mut times = RecordTimes::default();
        let (mut wrong, mut worst_age) = (0, 0);
        for i in 0..10_000i64 {
            let now = 1_000_000 * SECOND + i * SECOND / 100;
            let written = match i {
                5_000 => now + 3 * 3_600 * SECOND,
                _ if i * 7_919 % 10 < 3 => now - 300 * SECOND,
                _ => now,
            };
            let cut = times.cut(Some(written), false, None).unwrap();
            wrong += i32::from((cut - now).abs() > SECOND);
            if i > 100 {
                worst_age = worst_age.max(now - times.frontier().unwrap());
            }
        }
        assert!(wrong <= 100, "{wrong} of 10000 misplaced by more than a second");
        assert!(worst_age < 3 * SECOND, "{worst_age} us");
    }

    #[test]
    fn the_first_record_cannot_ruin_the_frontier() {
        let mut times = RecordTimes::default();
        assert!(times.is_empty());
        times.cut(Some(3 * 3_600 * SECOND), false, None);
        assert_eq!((times.frontier(), times.is_empty()), (None, false), "not believed, but read");
        for i in 0..20 {
            times.cut(Some(i), false, None);
        }
        assert!(times.frontier().unwrap() < 20);
    }

    #[test]
    fn without_a_record_time_the_neighbours_or_the_event_decide() {
        let mut times = RecordTimes::default();
        assert_eq!(times.cut(None, false, None), None);
        assert_eq!(times.cut(None, true, Some(7)), Some(7));
        assert_eq!(times.cut(Some(40), true, None), Some(40));
        assert_eq!(times.cut(None, true, Some(7)), Some(40));
    }

    #[test]
    fn the_window_slides() {
        let mut times = RecordTimes::default();
        for i in 0..200 {
            times.cut(Some(i), false, None);
        }
        assert_eq!((times.quartile(), times.sorted.len()), (Some(136 + 47), 64));
    }
}
