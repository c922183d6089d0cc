//! Moments for people. The pages are rendered in UTC; the browser may rewrite them to its own zone from `iso`.

use crate::model::Timestamp;

/// A moment as it stands in a `<time>` element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// RFC 3339 in UTC, milliseconds: for `datetime`.
    pub iso: String,
    /// `09:58:04`, or with the date where it lies more than 18 hours from `now`.
    pub text: String,
    /// How the browser rewrites it: `t` time of day, `d` date and time.
    pub form: &'static str,
}

/// Beyond this distance a time of day alone would mislead.
const DATED_AFTER_SECONDS: i64 = 18 * 3_600;

/// A moment as seen at `now`.
#[must_use]
pub fn moment(at: Timestamp, now: Timestamp) -> Moment {
    let dated = (now.second() - at.second()).abs() > DATED_AFTER_SECONDS;
    Moment {
        iso: format(at, "%Y-%m-%dT%H:%M:%S.%3fZ"),
        text: if dated { format(at, "%Y-%m-%d %H:%M:%S") } else { format(at, "%H:%M:%S") },
        form: if dated { "d" } else { "t" },
    }
}

/// The moment in full, to be read back.
#[must_use]
pub fn exact(at: Timestamp) -> String {
    format(at, "%Y-%m-%dT%H:%M:%S.%6fZ")
}

/// Time of day for an axis: `09:58`, or with seconds where the axis is short.
#[must_use]
pub fn axis(second: i64, with_seconds: bool) -> String {
    format(Timestamp::from_seconds(second), if with_seconds { "%H:%M:%S" } else { "%H:%M" })
}

/// In UTC; a time outside of the calendar (a producer's mistake) is written as its seconds.
fn format(at: Timestamp, pattern: &str) -> String {
    match jiff::Timestamp::from_microsecond(at.0) {
        Ok(t) => t.to_zoned(jiff::tz::TimeZone::UTC).strftime(pattern).to_string(),
        Err(_) => at.second().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_far_away_carries_its_date() {
        let at = Timestamp(1_795_341_484_123_000);
        let near = moment(at, at.plus(60_000_000));
        assert_eq!((near.text.as_str(), near.iso.as_str(), near.form), ("09:58:04", "2026-11-22T09:58:04.123Z", "t"));
        assert_eq!(moment(at, at.plus(86_400_000_000)).text, "2026-11-22 09:58:04");
        assert_eq!(axis(at.second(), false), "09:58");
        assert_eq!(moment(Timestamp(i64::MAX), at).text, Timestamp(i64::MAX).second().to_string());
    }
}
