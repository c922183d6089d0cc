//! Percentiles and buckets the slow way.

/// The sample at the nearest rank: `ceil(q * n)` in ascending order; `None` without samples.
pub fn percentile(sorted: &[i64], q: f64) -> Option<i64> {
    if sorted.is_empty() {
        return None;
    }
    let rank = (q * sorted.len() as f64).ceil() as usize;
    Some(sorted[rank.clamp(1, sorted.len()) - 1])
}

/// Lower edge of bucket `i` at scale 5: `2^(i/32)` seconds.
pub fn edge(i: i32) -> f64 {
    f64::from(i).div_euclid(32.0).exp2() * (f64::from(i.rem_euclid(32)) / 32.0).exp2()
}

/// The bucket `i` with `2^(i/32) < v <= 2^((i+1)/32)` for `v > 0`, found by halving between edges.
pub fn bucket(v: f64) -> i32 {
    let (mut low, mut high) = (-40 * 32, 40 * 32);
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if edge(middle) < v {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// `(bucket, count)`, ascending.
pub type Buckets = Vec<(i32, u64)>;

/// Counts by bucket: of positive samples, of negative ones by absolute value, and of zeros.
pub fn buckets(micros: &[i64]) -> (Buckets, Buckets, u64) {
    let side = |sign: i64| {
        let mut counts = std::collections::BTreeMap::new();
        for m in micros.iter().filter(|m| m.signum() == sign) {
            *counts.entry(bucket(m.unsigned_abs() as f64 / 1e6)).or_insert(0u64) += 1;
        }
        counts.into_iter().collect::<Buckets>()
    };
    (side(1), side(-1), micros.iter().filter(|m| **m == 0).count() as u64)
}

/// The largest relative error of a bucket's middle.
pub const ERROR: f64 = 0.011;

/// True where `shown` seconds stand for `exact` microseconds.
pub fn stands_for(shown: f64, exact: i64) -> bool {
    let exact = exact as f64 / 1e6;
    (shown - exact).abs() <= exact.abs() * ERROR + 1e-12
}

/// True where `shown` seconds are the upper edge of the bucket that holds the greatest sample.
pub fn is_top_edge(shown: f64, greatest: i64) -> bool {
    let v = greatest as f64 / 1e6;
    let upper = match greatest.signum() {
        0 => 0.0,
        1 => edge(bucket(v) + 1),
        _ => -edge(bucket(-v)),
    };
    (shown - upper).abs() <= upper.abs() * 1e-9
}
