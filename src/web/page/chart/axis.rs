//! Round numbers for axes.

use crate::text::time;

/// Labels of a time axis: `(part of the width, text)`, at round moments, six at most.
pub fn times(from: i64, to: i64) -> Vec<(f64, String)> {
    const STEPS: [i64; 12] = [10, 15, 30, 60, 120, 180, 300, 600, 900, 3_600, 7_200, 14_400];
    let range = (to - from).max(1);
    let step = STEPS.into_iter().find(|s| range / s <= 6).unwrap_or(21_600);
    let first = (from + step - 1).div_euclid(step) * step;
    (0..)
        .map(|i| first + i * step)
        .take_while(|t| *t <= to)
        .map(|t| ((t - from) as f64 / range as f64, time::axis(t, step < 60)))
        .collect()
}

/// The least round number at or above `value` that four equal grid steps divide well.
pub fn ceiling(value: f64) -> f64 {
    if !(value.is_finite() && value > 0.0) {
        return 1.0;
    }
    let scale = 10f64.powf(value.log10().floor());
    [1.0, 1.2, 1.6, 2.0, 2.4, 2.8, 3.2, 3.6, 4.0, 4.4, 4.8, 5.2, 5.6, 6.0, 6.4, 7.2, 8.0, 8.8, 10.0]
        .into_iter()
        .map(|m| m * scale)
        .find(|c| *c >= value * 0.999_999)
        .unwrap_or(10.0 * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (value, top) in [(0.0, 1.0), (0.7, 0.72), (1.0, 1.0), (437.0, 440.0), (481.0, 520.0), (9_900.0, 10_000.0)] {
            assert!((ceiling(value) - top).abs() < top * 1e-9, "{value}");
        }
        let labels = times(35, 935);
        assert_eq!(
            labels.iter().map(|l| l.1.as_str()).collect::<Vec<_>>(),
            ["00:03", "00:06", "00:09", "00:12", "00:15"]
        );
        assert!(labels.iter().all(|l| (0.0..=1.0).contains(&l.0)));
    }
}
