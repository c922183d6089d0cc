//! The rate limit of a redrive: a bucket that holds one step.

use std::time::{Duration, Instant};

/// Most copies in one step: one transaction of a few hundred milliseconds.
const STEP_MOST: u32 = 500;

/// How many copies may go, and when.
pub(super) struct Pace {
    per_second: u32,
    next: Option<Instant>,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1), next: None }
    }

    /// Copies in one step: half a second's worth, so that the rate is even and not a burst each second.
    pub(super) fn step(&self) -> usize {
        (self.per_second / 2).clamp(1, STEP_MOST) as usize
    }

    /// How long to wait before `copies` may go at `now`; they count as gone after that.
    pub(super) fn wait(&mut self, copies: usize, now: Instant) -> Duration {
        let from = self.next.map_or(now, |next| next.max(now));
        let takes = Duration::from_secs(1).mul_f64(copies as f64 / f64::from(self.per_second));
        self.next = Some(from + takes);
        from - now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_holds_over_time() {
        let mut pace = Pace::new(100);
        let (began, mut now, mut sent) = (Instant::now(), Instant::now(), 0);
        while sent < 1_000 {
            now += pace.wait(pace.step(), now);
            sent += pace.step();
        }
        let took = now.duration_since(began).as_secs_f64();
        assert!((9.4..=10.1).contains(&took), "{took}");
        now += Duration::from_secs(60);
        assert_eq!(pace.wait(50, now), Duration::ZERO, "a pause is not made up for, nor held against it");
        assert_eq!((Pace::new(1).step(), Pace::new(1_000_000).step()), (1, 500));
    }
}
