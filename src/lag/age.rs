//! From what is known about the next record's time to the age that is shown.

use super::index::Next;
use crate::model::{MICROS_PER_SECOND, Timestamp};
use crate::snapshot::{AgeMethod, Confidence};

/// A record may seem to come from so far in the future because clocks differ; further is not believed. Seconds.
const SKEW: f64 = 5.0;
/// The least age of something unread, seconds: 0 would say that nothing is.
const LEAST: f64 = 0.001;
/// An age is good within this many seconds, or this share of it.
const WITHIN: (f64, f64) = (1.0, 0.05);

/// The age of the next unread message, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Age {
    /// The age; `None`: not known well enough.
    pub seconds: Option<f64>,
    /// It lies between these.
    pub bounds: Option<(f64, f64)>,
    /// How it was found.
    pub method: AgeMethod,
    /// How far it can be trusted.
    pub confidence: Confidence,
}

impl Age {
    /// At least this old.
    #[must_use]
    pub fn at_least(&self) -> Option<f64> {
        self.bounds.map(|b| b.0).or(self.seconds)
    }

    /// At most this old.
    #[must_use]
    pub fn at_most(&self) -> Option<f64> {
        self.bounds.map(|b| b.1).or(self.seconds)
    }
}

/// What is shown where this is known. Between two records around it an age is good when their middle is within
/// 1 s or 5 % of both; the middle is then the value, because nothing else has a smaller worst error. What may be
/// nothing at all has no value.
#[must_use]
pub fn age_of(next: Next, now: Timestamp) -> Age {
    let age = |t: Timestamp| now.since(t) as f64 / MICROS_PER_SECOND as f64;
    match next {
        Next::Unknown => Age::default(),
        Next::Nothing => {
            Age { seconds: Some(0.0), bounds: None, method: AgeMethod::CaughtUp, confidence: Confidence::Exact }
        }
        Next::Exact { time, read } => {
            let seconds = age(time);
            if seconds < -SKEW {
                return Age::default();
            }
            let method = if read { AgeMethod::Record } else { AgeMethod::Index };
            Age { seconds: Some(seconds.max(LEAST)), bounds: None, method, confidence: Confidence::Exact }
        }
        Next::Between(from, to) | Next::Perhaps(from, to) => {
            let (least, most) = (age(to), age(from));
            if most < -SKEW {
                return Age::default();
            }
            let (least, most) = (least.max(LEAST), most.max(LEAST));
            let sure = matches!(next, Next::Between(..));
            let good = sure && (most - least) / 2.0 <= WITHIN.0.max(least * WITHIN.1);
            Age {
                seconds: good.then_some(f64::midpoint(least, most)),
                bounds: Some((least, most)),
                method: AgeMethod::Bracket,
                confidence: if good { Confidence::Good } else { Confidence::Rough },
            }
        }
    }
}
