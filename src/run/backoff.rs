//! Exponential backoff with jitter. Pure: the random value is the caller's.

use std::time::Duration;

/// How long to wait before the next attempt: `least`, doubled per failure up to `most`, then shortened at random.
///
/// The jitter takes up to `jitter` (0..=1) of the delay away, so `most` is never exceeded and many
/// clients of one broken server do not come back together.
#[derive(Clone, Debug, PartialEq)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    jitter: f64,
    failures: u32,
}

/// Why a backoff cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum BackoffError {
    /// Zero would be a busy loop.
    #[error("the least delay is 0: retries would spin")]
    Zero,
    /// `least > most`.
    #[error("the least delay {least:?} is above the most {most:?}")]
    Order {
        /// Least delay asked for.
        least: Duration,
        /// Most delay asked for.
        most: Duration,
    },
    /// Not a share.
    #[error("jitter {0} is not within 0..=1")]
    Jitter(f64),
}

impl Backoff {
    /// Validates and makes one.
    ///
    /// # Errors
    /// [`BackoffError`] names what is wrong.
    pub fn new(least: Duration, most: Duration, jitter: f64) -> Result<Self, BackoffError> {
        if least.is_zero() {
            return Err(BackoffError::Zero);
        }
        if least > most {
            return Err(BackoffError::Order { least, most });
        }
        if !(0.0..=1.0).contains(&jitter) {
            return Err(BackoffError::Jitter(jitter));
        }
        Ok(Self { least, most, jitter, failures: 0 })
    }

    /// The delay after one more failure. `random` is uniform in `0..1`; values outside are clamped.
    pub fn next_delay(&mut self, random: f64) -> Duration {
        // 2^31 times any delay of at least 1 ns exceeds every sensible `most`; saturating keeps the rest honest.
        let doubled = self.least.saturating_mul(1_u32 << self.failures.min(31));
        self.failures = self.failures.saturating_add(1);
        let share = if random.is_nan() { 0.0 } else { random.clamp(0.0, 1.0) };
        doubled.min(self.most).mul_f64(1.0 - self.jitter * share)
    }

    /// Call after a success: the next failure begins at `least` again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row since the last success.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_doubles_to_its_most_and_begins_anew_after_a_success() {
        let mut b = Backoff::new(Duration::from_millis(100), Duration::from_secs(1), 0.0).unwrap();
        let delays: Vec<_> = (0..6).map(|_| b.next_delay(0.5).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(b.failures(), 6);
        b.reset();
        assert_eq!(b.next_delay(0.5).as_millis(), 100);
    }

    #[test]
    fn nonsense_is_refused() {
        let (zero, one, two) = (Duration::ZERO, Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(Backoff::new(zero, one, 0.0), Err(BackoffError::Zero));
        assert_eq!(Backoff::new(two, one, 0.0), Err(BackoffError::Order { least: two, most: one }));
        assert_eq!(Backoff::new(one, two, 1.5), Err(BackoffError::Jitter(1.5)));
        assert!(Backoff::new(one, two, f64::NAN).is_err());
    }

    proptest! {
        #[test]
        fn every_delay_lies_within_its_bounds(
            least in 1_u64..10_000_000_000, extra in 0_u64..u64::MAX / 4, jitter in 0.0..=1.0_f64,
            randoms in proptest::collection::vec(any::<f64>(), 1..80),
        ) {
            let (least, most) = (Duration::from_nanos(least), Duration::from_nanos(least + extra));
            let mut b = Backoff::new(least, most, jitter).unwrap();
            // The floating point of `mul_f64` may be off by the last of its 53 bits.
            let slack = 1e-9;
            for (n, random) in randoms.into_iter().enumerate() {
                let full = least.saturating_mul(1_u32 << n.min(31)).min(most).as_secs_f64();
                let delay = b.next_delay(random).as_secs_f64();
                prop_assert!(delay <= full * (1.0 + slack) + slack, "{delay} above {full}");
                prop_assert!(delay >= full * (1.0 - jitter) * (1.0 - slack) - slack, "{delay} below its share of {full}");
            }
        }
    }
}
