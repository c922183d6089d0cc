//! Times as people write them. RFC 3339 of the usual shape by hand, everything rarer by jiff.

use crate::model::{MICROS_PER_SECOND, Timestamp};

/// Times are believed from 1970 to the end of 2199: beyond it they are a unit mixed up or a field unset.
const LAST_SECOND: i64 = 7_258_118_400;

/// Days before each month of a year that is no leap year.
const DAYS_BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];

/// Bytes of the longest text that is looked at; RFC 3339 with zone and calendar annotations stays below it.
const LONGEST: usize = 128;

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
    if text.len() > LONGEST {
        return Err(format!("longer than {LONGEST} bytes"));
    }
    let time = match number(text) {
        Some(time) => time?,
        None => Timestamp(text.parse::<jiff::Timestamp>().map_err(|_| not_read(text).to_owned())?.as_microsecond()),
    };
    if (0..LAST_SECOND).contains(&time.second()) { Ok(time) } else { Err("outside of 1970 to 2200".to_owned()) }
}

/// Why a text is no time, for those who wrote it: the usual mistake first.
fn not_read(text: &str) -> &'static str {
    let zoned = text.find(['T', 't', ' ']).is_some_and(|at| text[at..].contains(['Z', 'z', '+', '-', '[']));
    // A calendar that has no zones takes no Z either.
    match text.trim_end_matches(['Z', 'z']).parse::<jiff::civil::DateTime>() {
        Ok(_) if zoned => "outside of 1970 to 2200",
        Ok(_) => "it lacks its zone: Z, or an offset as +09:00",
        Err(_) => "expected a time as 2026-11-22T10:00:00Z or a number since 1970",
    }
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
    const SCALE: [i64; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];
    let kept = digits.min(6);
    let micros = b[..kept].iter().fold(0, |value, digit| value * 10 + i64::from(digit - b'0')) * SCALE[kept];
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_times() {
        let second = 1_795_341_600; // date -ud 2026-11-22T10:00:00Z +%s
        for (text, micros) in [
            ("2026-11-22T10:00:00Z", 0),
            ("2026-11-22T10:00:00.123Z", 123_000),
            ("2026-11-22T10:00:00.123456789Z", 123_456),
            ("2026-11-22T19:00:00.5+09:00", 500_000),
            ("2026-11-22 10:00:00Z", 0),
            ("2026-11-22t10:00:00z", 0),
            ("1795341600", 0),
            ("1795341600.25", 250_000),
            ("1795341600.1234567", 123_456),
            ("1795341600123", 123_000),
            ("1795341600123.5", 123_500),
            ("1795341600123456", 123_456),
            ("1795341600123456789", 123_456),
            ("1.7953416e9", 0),
        ] {
            assert_eq!(parse(text), Ok(Timestamp(second * MICROS_PER_SECOND + micros)), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:00Z"), Ok(Timestamp(0)));
        assert_eq!(parse("2024-02-29T00:00:00Z").map(Timestamp::second), Ok(1_709_164_800));
        assert_eq!(parse("2199-12-31T23:59:59Z").map(Timestamp::second), Ok(LAST_SECOND - 1));
    }

    #[test]
    fn absurd_times_are_refused() {
        for text in [
            "",
            "-",
            ".",
            "now",
            "-1",
            "1e400",
            "nan",
            "99999999999",
            "9223372036854775807",
            "18446744073709551616",
            "1969-12-31T23:59:59Z",
            "2200-01-01T00:00:00Z",
            "2026-02-30T10:00:00Z",
            "2026-11-22T10:00:00",
            "2026-11-22T24:00:00Z",
            "2026-11-22T10:00:00.Z",
            "2026-11-22T10:00:00+26:00",
            "2026-13-22T10:00:00Z",
            "0000-00-00T00:00:00Z",
            "1970-01-01T00:00:00+09:00",
            "2026-11-22T10:00:00\u{ff3a}",
        ] {
            let said = parse(text).expect_err(text);
            assert!(
                !said.contains("timestamp") && said.len() < 80,
                "{text}: words of an operator, not of a parser: {said}"
            );
        }
        assert!(parse("2026-11-22T10:00:00").is_err_and(|said| said.contains("zone")));
        assert!(parse("9999-12-31T23:59:59-10:00").is_err_and(|said| said.contains("1970 to 2200")));
        let long = format!("2026-11-22T10:00:00.{}Z", "1".repeat(1_000_000));
        assert!(parse(&long).is_err_and(|detail| detail.len() < 200));
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(micros in 0..LAST_SECOND * MICROS_PER_SECOND, digits in 0_usize..=9, offset in -86_340_i32..86_340) {
            let at = jiff::Timestamp::from_microsecond(micros).expect("in range");
            let offset = jiff::tz::Offset::from_seconds(offset / 60 * 60).expect("in range");
            for text in [format!("{at:.digits$}"), at.display_with_offset(offset).to_string()] {
                let oracle: jiff::Timestamp = text.parse().expect("jiff reads what it wrote");
                prop_assert_eq!(parse(&text), Ok(Timestamp(oracle.as_microsecond())), "{}", text);
            }
        }

        #[test]
        fn shapes_of_a_date_agree_with_jiff(text in "(19|20|21|22)[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,10})?(Z|[+-][0-2][0-9]:[0-6][0-9])") {
            let oracle = text.parse::<jiff::Timestamp>().ok().map(|t| Timestamp(t.as_microsecond()));
            let oracle = oracle.filter(|t| (0..LAST_SECOND).contains(&t.second()));
            prop_assert_eq!(parse(&text).ok(), oracle, "{}", text);
        }

        #[test]
        fn any_text_is_survived(text in any::<String>(), number in "[-+0-9.eE]{0,24}") {
            for text in [text, number] {
                if let Ok(time) = parse(&text) {
                    prop_assert!((0..LAST_SECOND).contains(&time.second()));
                }
            }
        }
    }
}
