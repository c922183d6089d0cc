//! What the samples of one group on one partition say about the direction.

use crate::snapshot::{COURSE_POINTS, Course};

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

/// Records committed per second over the samples of the last minute, or over the newest two where there are
/// fewer; `None` with one sample.
#[must_use]
pub fn commit_rate(course: &Course) -> Option<f64> {
    let newest = course.iter().next_back()?;
    let older = || course.iter().rev().skip(1);
    let first = older().take_while(|p| newest.0 - p.0 <= 600).last().or_else(|| older().next())?;
    let seconds = f64::from(newest.0.checked_sub(first.0).filter(|d| *d > 0)?) / 10.0;
    Some((newest.1 - first.1) as f64 / seconds)
}

impl Slope {
    /// The direction of the lag; `None` with fewer than three samples.
    #[must_use]
    pub fn of(course: &Course) -> Option<Self> {
        let n = course.len();
        if n < 3 {
            return None;
        }
        // Seconds and lag of each.
        let mut points = [(0.0_f64, 0.0_f64); COURSE_POINTS];
        for (point, (at, committed, end)) in points.iter_mut().zip(course.iter()) {
            *point = (f64::from(at) / 10.0, end as f64 - committed as f64);
        }
        let mut slopes = [0.0_f64; COURSE_POINTS * (COURSE_POINTS - 1) / 2];
        let (mut pairs, mut rising) = (0, 0.0);
        for i in 0..n {
            for j in i + 1..n {
                let change = points[j].1 - points[i].1;
                slopes[pairs] = change / (points[j].0 - points[i].0).max(0.1);
                pairs += 1;
                rising += if change == 0.0 { 0.0 } else { change.signum() };
            }
        }
        let (_, median, _) = slopes[..pairs].select_nth_unstable_by(pairs / 2, f64::total_cmp);
        let m = n as f64;
        let deviation = (m * (m - 1.0) * (2.0 * m + 5.0) / 18.0).sqrt();
        let steps: f64 = rising;
        let certainty = (steps.abs() - 1.0).max(0.0).copysign(steps) / deviation;
        Some(Self { per_second: *median, certainty, span: points[n - 1].0 - points[0].0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lags(every: u32, lags: &[u64]) -> Course {
        let mut course = Course::new((0, 1_000, 1_000 + lags[0]));
        for (i, lag) in lags.iter().enumerate().skip(1) {
            let committed = 1_000 + 100 * i as u64;
            course.push((i as u32 * every, committed, committed + lag));
        }
        course
    }

    #[test]
    fn one_dip_does_not_hide_a_growth_and_noise_is_none() {
        let growing = Slope::of(&lags(250, &[0, 10, 20, 30, 29, 40, 50, 60, 70, 80])).unwrap();
        assert!(growing.certainty > 3.0 && (growing.per_second - 0.36).abs() < 0.05, "{growing:?}");
        let noise = Slope::of(&lags(250, &[5, 3, 6, 2, 5, 4, 6, 3, 5, 4])).unwrap();
        assert!(noise.certainty.abs() < 1.0 && noise.per_second.abs() < 0.05, "{noise:?}");
        let steady = Slope::of(&lags(250, &[7; 10])).unwrap();
        assert_eq!((steady.per_second, steady.certainty, steady.span), (0.0, 0.0, 225.0));
        assert!(Slope::of(&lags(250, &[90, 80, 70, 60, 50, 40])).unwrap().certainty < -2.0);
    }

    #[test]
    fn a_rate_needs_two_samples_and_takes_the_last_minute() {
        let mut course = Course::new((0, 0, 0));
        assert_eq!((commit_rate(&course), Slope::of(&course)), (None, None));
        course.push((900, 90, 90));
        assert_eq!(commit_rate(&course), Some(1.0), "older than a minute, but there is no other");
        (1..10).for_each(|i| course.push((900 + i * 100, 90 + 50 * u64::from(i), 1_000)));
        assert_eq!(commit_rate(&course), Some(5.0));
    }
}
