//! The wall clock of the process: it never runs backwards.
//!
//! The system clock may be set back (NTP step, an operator). Numbers that are cut by time would then be
//! cut twice. So [`wall`] follows the system clock forwards at once, and when that clock was set back, it
//! goes on at half speed until the system clock has caught up: it neither jumps back nor stands still.

use std::sync::Mutex;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// The last reading: what was answered, and when by the monotonic clock.
static LAST: Mutex<Option<(Timestamp, Instant)>> = Mutex::new(None);

/// The wall clock, in microseconds since 1970. Never less than any earlier answer in this process.
///
/// A lock guards it: it is read per batch and per tick, never per event.
#[must_use]
pub fn wall() -> Timestamp {
    let mut last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (system, monotonic) = (system(), Instant::now());
    let now = match *last {
        None => system,
        Some((answered, at)) => {
            let passed = monotonic.saturating_duration_since(at).as_micros();
            next(answered, i64::try_from(passed).unwrap_or(i64::MAX), system)
        }
    };
    *last = Some((now, monotonic));
    now
}

/// The next answer after `answered`, `passed` microseconds of the monotonic clock later.
fn next(answered: Timestamp, passed: i64, system: Timestamp) -> Timestamp {
    if system >= answered { system } else { answered.plus(passed / 2) }
}

/// The system clock; before 1970 it is negative.
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the wall clock")]
fn system() -> Timestamp {
    let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_micros()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |m| -m),
    };
    Timestamp(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_system_clock_forwards() {
        assert_eq!(next(Timestamp(100), 10, Timestamp(110)), Timestamp(110));
        assert_eq!(next(Timestamp(100), 10, Timestamp(5_000)), Timestamp(5_000));
        assert_eq!(next(Timestamp(100), 10, Timestamp(100)), Timestamp(100));
    }

    #[test]
    fn a_clock_set_back_slows_it_down_until_both_meet() {
        // Set back by one second; both clocks are read every 10 ms.
        let (mut answer, mut system) = (Timestamp(10_000_000), Timestamp(9_000_000));
        let mut steps = 0;
        while answer != system && steps < 1_000 {
            system = system.plus(10_000);
            let before = answer;
            answer = next(answer, 10_000, system);
            assert!(answer >= before, "it went back from {before:?} to {answer:?}");
            steps += 1;
        }
        assert!((199..=200).contains(&steps), "a gap of one second closes in two seconds, not {steps} times 10 ms");
    }

    #[test]
    fn the_real_one_rises() {
        let mut last = wall();
        for _ in 0..1_000 {
            let now = wall();
            assert!(now >= last);
            last = now;
        }
        assert!(last > Timestamp::from_seconds(1_700_000_000), "the clock of this machine is before 2023");
    }
}
