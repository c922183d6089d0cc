//! Times as people write them. RFC 3339 of the usual shape by hand, everything rarer by jiff.

use crate::model::{MICROS_PER_SECOND, Timestamp};

/// Times are believed from 1970 to the end of 2199: beyond it they are a unit mixed up or a field unset.
const LAST_SECOND: i64 = 7_258_118_400;

/// Days before each month of a year that is no leap year.
const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// Reads RFC 3339, or a number since 1970-01-01T00:00:00Z whose magnitude tells its unit: below 10^11
/// seconds, below 10^14 milliseconds, below 10^17 microseconds, else nanoseconds. Digits beyond
/// microseconds are cut off.
///
/// # Errors
/// In words, where the text is no time or lies outside of 1970 to 2200.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    if let Some(time) = fixed_shape(text.as_bytes()) {
        return Ok(time);
    }
    let time = match number(text) {
        Some(time) => time?,
        None => Timestamp(text.parse::<jiff::Timestamp>().map_err(|e| e.to_string())?.as_microsecond()),
    };
    if (0..LAST_SECOND).contains(&time.second()) { Ok(time) } else { Err("outside of 1970 to 2200".to_owned()) }
}

/// `2026-11-22T10:00:00[.123456789](Z|+09:00)`; `None` for anything else, also for what is no date.
fn fixed_shape(b: &[u8]) -> Option<Timestamp> {
    let marks = b.len() >= 20 && b[4] == b'-' && b[7] == b'-' && b[10] == b'T' && b[13] == b':' && b[16] == b':';
    if !marks {
        return None;
    }
    let year = two(b, 0)? * 100 + two(b, 2)?;
    let (month, day) = (two(b, 5)?, two(b, 8)?);
    let (hour, minute, second) = (two(b, 11)?, two(b, 14)?, two(b, 17)?);
    // The 29th of February and leap seconds are left to jiff; so are the years that have to be refused.
    let known = (1970..2199).contains(&year) && (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 60;
    if !known || day == 0 {
        return None;
    }
    let month = usize::try_from(month - 1).ok()?;
    let length = if month == 11 { 31 } else { DAYS_BEFORE[month + 1] - DAYS_BEFORE[month] };
    if day > length {
        return None;
    }
    // Leap days before this date, counted from 1970. A year that ends a century leaps every 400 years.
    let leaps_until = |y: i64| y / 4 - y / 100 + y / 400;
    let last_full = if month < 2 { year - 1 } else { year };
    let days = (year - 1970) * 365 + leaps_until(last_full) - leaps_until(1969) + DAYS_BEFORE[month] + day - 1;

    let (micros, zone) = if b[19] == b'.' { fraction(&b[20..])? } else { (0, &b[19..]) };
    let offset = match zone {
        [b'Z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(zone, 1)?, two(zone, 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 3_600 + minutes * 60) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    (seconds >= 0).then_some(Timestamp(seconds * MICROS_PER_SECOND + micros))
}

/// Two digits at `at`.
fn two(b: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (b[at].wrapping_sub(b'0'), b[at + 1].wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// The digits of a fraction as microseconds, and what follows them.
fn fraction(b: &[u8]) -> Option<(i64, &[u8])> {
    let digits = b.iter().take_while(|d| d.is_ascii_digit()).count();
    if !(1..=9).contains(&digits) {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10 + if place < digits { i64::from(b[place] - b'0') } else { 0 };
    }
    Some((micros, &b[digits..]))
}

/// A number since 1970 whose magnitude tells the unit; `None` where the text is no number.
fn number(text: &str) -> Option<Result<Timestamp, String>> {
    if !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'-' | b'+' | b'e' | b'E')) {
        return None;
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if digits(whole) && (part.is_empty() || digits(part)) {
        return Some(whole.parse().map_err(|_| "too large".to_owned()).map(|whole| scale(whole, part)));
    }
    // An exponent or a sign: not worth being exact about, a double still holds microseconds of our century.
    let float: f64 = text.parse().ok()?;
    if !(0.0..9e18).contains(&float) {
        return Some(Err("outside of 1970 to 2200".to_owned()));
    }
    let unit = unit(float as i64);
    Some(Ok(Timestamp((float * unit) as i64)))
}

/// Microseconds in the unit that a magnitude tells.
fn unit(whole: i64) -> f64 {
    match whole {
        0..100_000_000_000 => 1e6,
        100_000_000_000..100_000_000_000_000 => 1e3,
        100_000_000_000_000..100_000_000_000_000_000 => 1.0,
        _ => 1e-3,
    }
}

fn scale(whole: i64, part: &str) -> Timestamp {
    // `places`: digits of the fraction that are still microseconds.
    let (micros, places) = match whole {
        0..100_000_000_000 => (whole * MICROS_PER_SECOND, 6),
        100_000_000_000..100_000_000_000_000 => (whole * 1_000, 3),
        100_000_000_000_000..100_000_000_000_000_000 => (whole, 0),
        _ => (whole / 1_000, 0),
    };
    let mut rest = 0;
    for place in 0..places {
        rest = rest * 10 + part.as_bytes().get(place).map_or(0, |d| i64::from(d - b'0'));
    }
    Timestamp(micros + rest)
}
