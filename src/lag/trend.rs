//! A few coarse samples of one group on one partition, and what they say about the direction.

/// Samples kept: Burrow's default window holds ten commits, and 45 pairs are enough to see a direction.
pub const POINTS: usize = 10;
/// Samples are spread until the oldest is about this old, in tenths of a second: five minutes.
const WINDOW: u32 = 3_000;

/// A sample relative to its trend's bases.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    at: u32,
    committed: u32,
    end: u32,
}

/// Samples of (time, committed, end), spaced evenly: every one at first, then fewer, so that a young row has a
/// direction soon and an old one over five minutes. Times are tenths of a second since the board began.
#[derive(Clone, Debug)]
pub struct Trend {
    base_committed: u64,
    base_end: u64,
    /// Least time between two kept samples.
    every: u32,
    len: u8,
    points: [Point; POINTS],
}

/// The direction of a lag.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slope {
    /// Messages per second by Theil and Sen: the median over all pairs, so that single outliers do not count.
    pub per_second: f64,
    /// How sure the direction is (Mann and Kendall), in standard deviations: above 2 it grows, below -2 it shrinks.
    pub certainty: f64,
    /// Seconds from the oldest sample to the newest.
    pub span: f64,
}

impl Trend {
    /// Begins with one sample.
    #[must_use]
    pub fn new(at: u32, committed: u64, end: u64) -> Self {
        let mut points = [Point::default(); POINTS];
        points[0].at = at;
        Self { base_committed: committed, base_end: end, every: 0, len: 1, points }
    }

    /// Adds a sample. One that lies below the first (a rewind, a log made anew) or too far from it begins afresh:
    /// what was before says nothing about the direction of now.
    pub fn push(&mut self, at: u32, committed: u64, end: u64) {
        let relative = |now: u64, base: u64| now.checked_sub(base).and_then(|d| u32::try_from(d).ok());
        let (Some(c), Some(e)) = (relative(committed, self.base_committed), relative(end, self.base_end)) else {
            *self = Self::new(at, committed, end);
            return;
        };
        let mut len = usize::from(self.len);
        if committed < self.get(len - 1).1 {
            *self = Self::new(at, committed, end);
            return;
        }
        let point = Point { at, committed: c, end: e };
        // The newest sample is replaced until it is far enough from the one before it.
        if len >= 2 && self.points[len - 1].at.saturating_sub(self.points[len - 2].at) < self.every {
            self.points[len - 1] = point;
            return;
        }
        if len == POINTS {
            let span = at.saturating_sub(self.points[0].at);
            if span < WINDOW {
                // Every other one goes; the newest stays.
                self.every = (span / (POINTS as u32 / 2)).min(WINDOW / POINTS as u32);
                for i in 0..POINTS / 2 {
                    self.points[i] = self.points[2 * i + 1];
                }
                len = POINTS / 2;
            } else {
                self.points.copy_within(1.., 0);
                len = POINTS - 1;
            }
        }
        self.points[len] = point;
        self.len = (len + 1) as u8;
    }

    fn get(&self, i: usize) -> (u32, u64, u64) {
        let p = self.points[i];
        (p.at, self.base_committed + u64::from(p.committed), self.base_end + u64::from(p.end))
    }

    /// The samples, oldest first: time, committed, end.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = (u32, u64, u64)> + '_ {
        (0..usize::from(self.len)).map(|i| self.get(i))
    }

    /// Records committed per second over the samples of the last minute, or over the newest two where there are
    /// fewer; `None` with one sample.
    #[must_use]
    pub fn commit_rate(&self) -> Option<f64> {
        let last = usize::from(self.len) - 1;
        let newest = self.get(last);
        let from = (0..last).rev().take_while(|i| newest.0 - self.points[*i].at <= 600).last();
        let first = self.get(from.or(last.checked_sub(1))?);
        let seconds = f64::from(newest.0.checked_sub(first.0).filter(|d| *d > 0)?) / 10.0;
        Some((newest.1 - first.1) as f64 / seconds)
    }

    /// The direction of the lag; `None` with fewer than three samples.
    #[must_use]
    pub fn slope(&self) -> Option<Slope> {
        let n = usize::from(self.len);
        if n < 3 {
            return None;
        }
        let lag = |i: usize| {
            let (_, committed, end) = self.get(i);
            end as f64 - committed as f64
        };
        let mut slopes = [0.0_f64; POINTS * (POINTS - 1) / 2];
        let (mut pairs, mut rising) = (0, 0.0);
        for i in 0..n {
            for j in i + 1..n {
                let dt = f64::from(self.points[j].at.saturating_sub(self.points[i].at).max(1)) / 10.0;
                let change = lag(j) - lag(i);
                slopes[pairs] = change / dt;
                pairs += 1;
                rising += if change == 0.0 { 0.0 } else { change.signum() };
            }
        }
        let (_, median, _) = slopes[..pairs].select_nth_unstable_by(pairs / 2, f64::total_cmp);
        let m = n as f64;
        let deviation = (m * (m - 1.0) * (2.0 * m + 5.0) / 18.0).sqrt();
        let steps: f64 = rising;
        let certainty = (steps.abs() - 1.0).max(0.0).copysign(steps) / deviation;
        let span = f64::from(self.points[n - 1].at.saturating_sub(self.points[0].at)) / 10.0;
        Some(Slope { per_second: *median, certainty, span })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lags(every: u32, lags: &[u64]) -> Trend {
        let mut trend = Trend::new(0, 1_000, 1_000 + lags[0]);
        for (i, lag) in lags.iter().enumerate().skip(1) {
            let committed = 1_000 + 100 * i as u64;
            trend.push(i as u32 * every, committed, committed + lag);
        }
        trend
    }

    #[test]
    fn one_dip_does_not_hide_a_growth_and_noise_is_none() {
        let growing = lags(250, &[0, 10, 20, 30, 29, 40, 50, 60, 70, 80]).slope().unwrap();
        assert!(growing.certainty > 3.0 && (growing.per_second - 0.36).abs() < 0.05, "{growing:?}");
        let noise = lags(250, &[5, 3, 6, 2, 5, 4, 6, 3, 5, 4]).slope().unwrap();
        assert!(noise.certainty.abs() < 1.0 && noise.per_second.abs() < 0.05, "{noise:?}");
        let steady = lags(250, &[7; 10]).slope().unwrap();
        assert_eq!((steady.per_second, steady.certainty), (0.0, 0.0));
        assert!(lags(250, &[90, 80, 70, 60, 50, 40]).slope().unwrap().certainty < -2.0);
    }

    #[test]
    fn it_spreads_to_five_minutes_and_keeps_the_newest() {
        let mut trend = Trend::new(0, 0, 0);
        for i in 1..1_000_u32 {
            trend.push(i * 50, u64::from(i), u64::from(i));
            let samples: Vec<_> = trend.samples().collect();
            assert!(samples.len() <= POINTS && samples.is_sorted());
            assert_eq!(samples.last(), Some(&(i * 50, u64::from(i), u64::from(i))));
        }
        let first = trend.samples().next().unwrap().0;
        assert!((2_500..=3_500).contains(&(999 * 50 - first)), "{first}");
        let rate = trend.commit_rate().unwrap();
        assert!((rate - 0.2).abs() < 1e-9, "{rate}");
    }

    #[test]
    fn a_rewind_begins_afresh() {
        let mut trend = lags(100, &[1, 2, 3, 4]);
        trend.push(500, 10, 2_000);
        assert_eq!(trend.samples().collect::<Vec<_>>(), [(500, 10, 2_000)]);
        assert_eq!((trend.commit_rate(), trend.slope()), (None, None));
    }
}
