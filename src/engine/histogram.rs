//! Signed latency histograms: base-2 exponential buckets of scale 5, exact to merge and to subtract.
//!
//! Bucket `i` holds `2^(i/32) < |v| <= 2^((i+1)/32)` seconds. A quantile is answered with the point of its
//! bucket `(lo, hi]` that is equally wrong at both edges, `2 lo hi / (lo + hi)`: at most
//! `(hi - lo) / (hi + lo)` = 1.083 % from any sample in it.

use serde::{Deserialize, Serialize};

use crate::snapshot::HistogramView;

/// Bucket bounds within one octave: `2^(k/32)`. Literals, so that every platform cuts alike.
#[rustfmt::skip]
#[allow(clippy::approx_constant, reason = "a table of equals: one entry happens to be the square root of 2")]
const BOUNDS: [f64; 33] = [
    1.0, 1.0218971486541166, 1.0442737824274138, 1.0671404006768237, 1.0905077326652577,
    1.1143867425958924, 1.1387886347566916, 1.1637248587775775, 1.189207115002721, 1.215247359980469,
    1.241857812073484, 1.2690509571917332, 1.2968395546510096, 1.3252366431597413, 1.3542555469368927,
    1.383909881963832, 1.4142135623730951, 1.4451808069770467, 1.4768261459394993, 1.5091644275934228,
    1.5422108254079407, 1.5759808451078865, 1.6104903319492543, 1.645755478153965, 1.681792830507429,
    1.718619298122478, 1.7562521603732995, 1.7947090750031072, 1.8340080864093424, 1.8741676341103,
    1.9152065613971474, 1.9571441241754002, 2.0,
];

/// First bucket that can hold a mantissa whose top six bits are the index: one comparison finds the right one,
/// because the narrowest bucket (0.0219) is wider than a step (1/64).
const FIRST: [u8; 64] = {
    let mut table = [0; 64];
    let mut j = 0;
    while j < 64 {
        let low = 1.0 + j as f64 / 64.0;
        let mut k = 0;
        while k < 31 && BOUNDS[k + 1] < low {
            k += 1;
        }
        table[j] = k as u8;
        j += 1;
    }
    table
};

/// Added to a bucket's index so that positive codes are above 0 (1 us has index -638).
const BIAS: i32 = 700;

/// A bucket of a signed latency, in the order of the values: below 0 negative, 0 exactly zero, above 0 positive.
pub type Code = i16;

/// The bucket of a latency in microseconds.
#[must_use]
pub fn code_of(micros: i64) -> Code {
    if micros == 0 {
        return 0;
    }
    let bits = (micros.unsigned_abs() as f64 / 1e6).to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1023;
    let fraction = bits & ((1 << 52) - 1);
    let index = if fraction == 0 {
        exponent * 32 - 1 // a power of two closes the bucket below it
    } else {
        let mantissa = f64::from_bits(fraction | 1023 << 52);
        let mut k = FIRST[(fraction >> 46) as usize] as usize;
        while mantissa > BOUNDS[k + 1] {
            k += 1;
        }
        exponent * 32 + k as i32
    };
    let code = (index + BIAS) as Code;
    if micros < 0 { -code } else { code }
}

/// `2^(i/32)` seconds.
fn bound(i: i32) -> f64 {
    BOUNDS[i.rem_euclid(32) as usize] * f64::powi(2.0, i.div_euclid(32))
}

/// The OTLP index of a bucket that is not the zero bucket.
#[must_use]
pub fn index_of(code: Code) -> i32 {
    i32::from(code).abs() - BIAS
}

/// The value that stands for a bucket, in seconds.
#[must_use]
pub fn value_of(code: Code) -> f64 {
    if code == 0 {
        return 0.0;
    }
    let (lo, hi) = (bound(index_of(code)), bound(index_of(code) + 1));
    let middle = 2.0 * lo * hi / (lo + hi);
    if code < 0 { -middle } else { middle }
}

/// The greatest value that a bucket can hold, in seconds.
#[must_use]
pub fn upper_edge_of(code: Code) -> f64 {
    match code {
        0 => 0.0,
        1.. => bound(index_of(code) + 1),
        _ => -bound(index_of(code)),
    }
}

/// Counts by bucket, dense over the range that was ever used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    first: Code,
    counts: Vec<u64>,
    count: u64,
    negative: u64,
}

impl Histogram {
    /// Adds `n` samples of one bucket.
    pub fn add(&mut self, code: Code, n: u64) {
        if self.counts.is_empty() {
            self.first = code;
        }
        if code < self.first {
            let missing = (i32::from(self.first) - i32::from(code)) as usize;
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = code;
        }
        let at = (i32::from(code) - i32::from(self.first)) as usize;
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        self.counts[at] += n;
        self.count += n;
        self.negative += if code < 0 { n } else { 0 };
    }

    /// Takes away `n` samples of one bucket that were added before.
    pub fn subtract(&mut self, code: Code, n: u64) {
        let at = (i32::from(code) - i32::from(self.first)) as usize;
        let Some(slot) = self.counts.get_mut(at) else { return };
        let n = n.min(*slot);
        *slot -= n;
        self.count -= n;
        self.negative -= if code < 0 { n } else { 0 };
    }

    /// Adds all samples of another one.
    pub fn merge(&mut self, other: &Self) {
        for (code, n) in other.buckets() {
            self.add(code, n);
        }
    }

    /// Forgets all samples, keeps the room.
    pub fn clear(&mut self) {
        self.counts.fill(0);
        self.count = 0;
        self.negative = 0;
    }

    /// Samples.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Samples below zero.
    #[must_use]
    pub fn negative(&self) -> u64 {
        self.negative
    }

    /// The buckets that are not empty, ascending by value.
    pub fn buckets(&self) -> impl Iterator<Item = (Code, u64)> {
        self.counts.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, n)| (self.first + i as Code, *n))
    }

    /// The bucket of the sample of rank `ceil(q * count)`; `None` without samples.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Code> {
        let rank = ((q * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = 0;
        self.buckets().find_map(|(code, n)| {
            below += n;
            (below >= rank).then_some(code)
        })
    }

    /// The highest bucket that is not empty.
    #[must_use]
    pub fn top(&self) -> Option<Code> {
        let last = self.counts.iter().rposition(|n| *n > 0)?;
        Some(self.first + last as Code)
    }

    /// As OTLP and Prometheus want it; `sum` in microseconds.
    #[must_use]
    pub fn view(&self, sum: i128) -> HistogramView {
        let mut view = HistogramView { count: self.count, sum: sum as f64 / 1e6, ..HistogramView::default() };
        for (code, n) in self.buckets() {
            match code {
                0 => view.zero = n,
                1.. => view.positive.push((index_of(code), n)),
                _ => view.negative.insert(0, (index_of(code), n)),
            }
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn powers_of_two_close_their_bucket() {
        for (micros, index) in [(1_000_000, -1), (2_000_000, 31), (500_000, -33), (1_000_001, 0), (250_000, -65)] {
            assert_eq!(index_of(code_of(micros)), index, "{micros} us");
        }
        assert_eq!(code_of(0), 0);
        assert_eq!(code_of(-1_000_001), -code_of(1_000_001));
        assert!((1..=i16::MAX / 8).contains(&code_of(1)) && code_of(i64::MAX) < 2_200);
    }

    #[test]
    fn signed_values_rank_below_zero() {
        let mut h = Histogram::default();
        for micros in [-4_000_000, -1_000, 0, 3_000, 5_000_000] {
            h.add(code_of(micros), 1);
        }
        assert_eq!((h.count(), h.negative()), (5, 2));
        assert!((value_of(h.quantile(0.01).unwrap()) + 4.0).abs() < 4.0 * 0.011);
        assert_eq!(h.quantile(0.5), Some(0));
        assert!(upper_edge_of(h.top().unwrap()) >= 5.0);
        h.subtract(code_of(5_000_000), 1);
        assert!((value_of(h.top().unwrap()) - 0.003).abs() < 0.003 * 0.011);
        let view = h.view(0);
        assert_eq!((view.zero, view.negative.len(), view.positive.len(), view.count), (1, 2, 1, 4));
        assert!(view.negative[0].0 < view.negative[1].0, "ascending by absolute value");
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_it_says(micros in prop_oneof![1i64..10_000, 1i64..10_000_000_000, 1i64..i64::MAX]) {
            let (code, seconds) = (code_of(micros), micros as f64 / 1e6);
            let i = f64::from(index_of(code));
            // The definition, computed another way; bounds are irrational, so only the last bits may differ.
            prop_assert!((i / 32.0).exp2() <= seconds * (1.0 + 1e-14));
            prop_assert!(seconds <= ((i + 1.0) / 32.0).exp2() * (1.0 + 1e-14));
            prop_assert!((value_of(code) - seconds).abs() <= seconds * 0.01083 + 1e-12);
        }

        #[test]
        fn quantiles_are_within_the_promise(mut v in prop::collection::vec(-1_000_000i64..1_000_000_000, 1..300), q in 0.0f64..1.0) {
            let mut h = Histogram::default();
            for x in &v { h.add(code_of(*x), 1); }
            v.sort_unstable();
            let exact = v[((q * v.len() as f64).ceil() as usize).clamp(1, v.len()) - 1] as f64 / 1e6;
            let got = value_of(h.quantile(q).unwrap());
            prop_assert!((got - exact).abs() <= exact.abs() * 0.011 + 1e-12, "{} {}", got, exact);
        }

        #[test]
        fn merge_then_subtract_is_nothing(a in prop::collection::vec(any::<i32>(), 0..60), b in prop::collection::vec(any::<i32>(), 0..60)) {
            let fill = |v: &[i32]| { let mut h = Histogram::default(); for x in v { h.add(code_of(i64::from(*x)), 1); } h };
            let (ha, hb) = (fill(&a), fill(&b));
            let mut h = ha.clone();
            h.merge(&hb);
            for (code, n) in hb.buckets() { h.subtract(code, n); }
            prop_assert!(h.buckets().eq(ha.buckets()));
            prop_assert_eq!((h.count(), h.negative()), (ha.count(), ha.negative()));
        }
    }
}
