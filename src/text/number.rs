//! Numbers for people: few digits, grouped thousands, a unit, and never a made-up zero.
//!
//! A value that is not a number (NaN, infinite) is written as [`UNKNOWN`], like an absent one.

use super::Locale;
use super::i18n::texts;

/// What stands where nothing is known.
pub const UNKNOWN: &str = "\u{2013}";

/// A number apart from its unit, so that a tile can set the unit smaller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quantity {
    /// Digits, or [`UNKNOWN`].
    pub value: String,
    /// Unit; may be empty.
    pub unit: String,
}

impl Quantity {
    /// Of a value and its unit.
    #[must_use]
    pub fn new(value: impl Into<String>, unit: &str) -> Self {
        Self { value: value.into(), unit: unit.to_owned() }
    }

    /// Nothing is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self::new(UNKNOWN, "")
    }

    /// False where nothing is known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.value != UNKNOWN
    }

    /// `9.2 s`, `1,240`, and as Korean is written: units without a space before them.
    #[must_use]
    pub fn text(&self) -> String {
        join(&self.value, &self.unit)
    }
}

/// A number and its unit: a Latin unit stands apart, a Korean one does not.
fn join(value: &str, unit: &str) -> String {
    let apart = unit.starts_with(|c: char| c.is_ascii());
    format!("{value}{}{unit}", if apart { " " } else { "" })
}

/// A whole number with grouped thousands: `1,240`.
#[must_use]
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A short number for axes: `950`, `1.2 k`, `18 k`, `3.4 M`.
#[must_use]
pub fn short(value: f64) -> String {
    let size = value.abs();
    let (scaled, unit) = match size {
        s if !s.is_finite() => return UNKNOWN.to_owned(),
        s if s >= 999_500_000.0 => (value / 1e9, " G"),
        s if s >= 999_500.0 => (value / 1e6, " M"),
        s if s >= 999.5 => (value / 1e3, " k"),
        _ => (value, ""),
    };
    let mut text = if scaled.abs() >= 9.95 || scaled.fract() == 0.0 {
        format!("{scaled:.0}")
    } else if size >= 0.95 || size == 0.0 {
        format!("{scaled:.1}")
    } else {
        format!("{scaled:.2}")
    };
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text + unit
}

/// A rate in three digits or more: `0.42`, `6.1`, `18.2`, `287`, `1,240`.
#[must_use]
pub fn rate(per_second: f64) -> String {
    match per_second {
        r if !r.is_finite() => UNKNOWN.to_owned(),
        0.0 => "0".to_owned(),
        r if r < 0.005 => "<0.01".to_owned(),
        r if r < 0.995 => format!("{r:.2}"),
        r if r < 99.95 => format!("{r:.1}"),
        r => count(r.round() as u64),
    }
}

/// A share of one as percent: `7.4 %`; what is not nothing is never written as nothing.
#[must_use]
pub fn percent(share: f64) -> Quantity {
    let value = match share * 100.0 {
        p if !p.is_finite() => return Quantity::unknown(),
        0.0 => "0".to_owned(),
        p if p < 0.1 => "<0.1".to_owned(),
        p if p > 99.9 && p < 100.0 => ">99.9".to_owned(),
        p if p < 9.95 => format!("{p:.1}"),
        p => format!("{p:.0}"),
    };
    Quantity::new(value, "%")
}

/// A length of time as latencies are written: `0.4 ms`, `240 ms`, `9.2 s`, `48 s`, `3 min 10 s`.
#[must_use]
pub fn duration(seconds: f64, locale: Locale) -> Quantity {
    let u = texts(locale);
    let sign = if seconds < 0.0 { "\u{2212}" } else { "" };
    let (value, unit) = match seconds.abs() {
        s if !s.is_finite() => return Quantity::unknown(),
        0.0 => ("0".to_owned(), u.u_ms),
        s if s < 0.009_95 => (format!("{:.1}", s * 1e3), u.u_ms),
        s if s < 0.999_5 => (format!("{:.0}", s * 1e3), u.u_ms),
        s if s < 9.95 => (format!("{s:.1}"), u.u_s),
        s if s < 99.5 => (format!("{s:.0}"), u.u_s),
        s => {
            let long = age(s, locale);
            return Quantity { value: format!("{sign}{}", long.value), unit: long.unit };
        }
    };
    Quantity::new(format!("{sign}{value}"), unit)
}

/// An age in whole seconds, with two units above a minute: `2 s`, `48 s`, `3 min 10 s`, `2 h 5 min`, `3 d 4 h`.
/// The last unit stands apart; the others are part of the value.
#[must_use]
pub fn age(seconds: f64, locale: Locale) -> Quantity {
    if !seconds.is_finite() {
        return Quantity::unknown();
    }
    let u = texts(locale);
    let s = seconds.max(0.0).round() as u64;
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        if small == 0 {
            Quantity::new(count(large), large_unit)
        } else {
            Quantity::new(format!("{} {small}", join(&count(large), large_unit)), small_unit)
        }
    };
    match s {
        0..60 => Quantity::new(s.to_string(), u.u_s),
        60..3_600 => two(s / 60, u.u_min, s % 60, u.u_s),
        3_600..86_400 => two(s / 3_600, u.u_h, s % 3_600 / 60, u.u_min),
        _ => two(s / 86_400, u.u_d, s % 86_400 / 3_600, u.u_h),
    }
}

/// Bytes in powers of 1024: `340 B`, `1.2 MiB`.
#[must_use]
pub fn bytes(n: usize) -> String {
    const STEPS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut step = 0;
    while value >= 1_024.0 && step + 1 < STEPS.len() {
        value /= 1_024.0;
        step += 1;
    }
    if step == 0 || value >= 9.95 {
        format!("{value:.0} {}", STEPS[step])
    } else {
        format!("{value:.1} {}", STEPS[step])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_rates_and_shares_read_as_people_write_them() {
        for (n, text) in [(0, "0"), (999, "999"), (1_240, "1,240"), (11_903_000, "11,903,000")] {
            assert_eq!(count(n), text);
        }
        for (n, text) in [
            (0.0, "0"),
            (0.001, "<0.01"),
            (0.42, "0.42"),
            (6.14, "6.1"),
            (18.2, "18.2"),
            (99.96, "100"),
            (1_240.4, "1,240"),
        ] {
            assert_eq!(rate(n), text);
        }
        for (n, text) in
            [(0.0, "0 %"), (0.0004, "<0.1 %"), (0.074, "7.4 %"), (0.12, "12 %"), (0.9999, ">99.9 %"), (1.0, "100 %")]
        {
            assert_eq!(percent(n).text(), text);
        }
        for (n, text) in [
            (0.0, "0"),
            (0.25, "0.25"),
            (2.5, "2.5"),
            (480.0, "480"),
            (1_200.0, "1.2 k"),
            (18_000.0, "18 k"),
            (3.4e6, "3.4 M"),
        ] {
            assert_eq!(short(n), text);
        }
        for (n, text) in [(0, "0 B"), (340, "340 B"), (1_258_291, "1.2 MiB"), (64 << 10, "64 KiB")] {
            assert_eq!(bytes(n), text);
        }
    }

    #[test]
    fn times_change_their_unit_with_their_size() {
        for (s, text) in [
            (0.0, "0 ms"),
            (0.000_4, "0.4 ms"),
            (0.24, "240 ms"),
            (0.999_6, "1.0 s"),
            (9.2, "9.2 s"),
            (48.2, "48 s"),
            (190.0, "3 min 10 s"),
            (-0.038, "\u{2212}38 ms"),
        ] {
            assert_eq!(duration(s, Locale::En).text(), text);
        }
        for (s, text) in [
            (0.2, "0 s"),
            (48.0, "48 s"),
            (60.0, "1 min"),
            (190.0, "3 min 10 s"),
            (7_500.0, "2 h 5 min"),
            (273_600.0, "3 d 4 h"),
        ] {
            assert_eq!(age(s, Locale::En).text(), text);
        }
        assert_eq!(age(190.0, Locale::Ko).text(), "3\u{bd84} 10\u{cd08}");
        assert_eq!(duration(0.24, Locale::Ko).text(), "240 ms");
    }

    #[test]
    fn no_nan_and_no_infinity_reaches_a_page() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(
                !duration(bad, Locale::En).is_known() && !age(bad, Locale::En).is_known() && !percent(bad).is_known()
            );
            assert_eq!((rate(bad), short(bad)), (UNKNOWN.to_owned(), UNKNOWN.to_owned()));
        }
    }
}
