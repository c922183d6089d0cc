//! A page of metrics in the format that was asked for: Prometheus text 0.0.4, OpenMetrics 1.0, or
//! Prometheus protobuf, which alone carries native histograms.

use crate::snapshot::{ExemplarView, HistogramView};

mod proto;
mod text;

use proto::Proto;
use text::Text;

/// Names and values of the labels of one sample.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Buckets of a histogram of ours between two bounds that are powers of two.
const BUCKETS_PER_POWER: i32 = 32;
/// Classic bounds are 2^-10 .. 2^11 seconds (1 ms .. 34 min).
const POWERS: std::ops::RangeInclusive<i32> = -10..=11;

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its name ends with `_total`.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Classic buckets, and native ones where the format has them.
    Histogram,
}

/// How a page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
    /// Length-delimited `io.prometheus.client.MetricFamily`.
    Protobuf,
}

impl Format {
    /// The best of an `Accept` header: what is wanted most, and of equals the one that says most.
    #[must_use]
    pub fn negotiated(accept: &str) -> Self {
        let mut best = (Self::Prometheus, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or("");
            let parameters: Vec<(&str, &str)> = parts.filter_map(|p| p.split_once('=')).collect();
            let value = |name: &str| parameters.iter().find(|(n, _)| *n == name).map(|(_, v)| v.trim_matches('"'));
            let family = value("proto").is_none_or(|p| p == "io.prometheus.client.MetricFamily");
            let format = match media {
                "application/vnd.google.protobuf" if family && value("encoding") == Some("delimited") => Self::Protobuf,
                "application/openmetrics-text" => Self::OpenMetrics,
                "text/plain" => Self::Prometheus,
                _ => continue,
            };
            let quality = value("q").map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
            if quality > best.1 || quality > 0.0 && quality == best.1 && format as u8 > best.0 as u8 {
                best = (format, quality);
            }
        }
        best.0
    }

    /// What stands in `Content-Type`.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// A page of metrics being written. Families without a sample leave no trace.
pub enum Exposition {
    /// Lines.
    Text(Text),
    /// Messages.
    Proto(Proto),
}

impl Exposition {
    /// An empty page.
    #[must_use]
    pub fn new(format: Format) -> Self {
        match format {
            Format::Prometheus => Self::Text(Text::new(false)),
            Format::OpenMetrics => Self::Text(Text::new(true)),
            Format::Protobuf => Self::Proto(Proto::default()),
        }
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        match self {
            Self::Text(out) => out.family(name, kind, help),
            Self::Proto(out) => out.family(name, kind, help),
        }
    }

    /// A sample; what is unknown or no number is absent.
    pub fn value(&mut self, labels: Labels<'_>, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|v| v.is_finite()) {
            match self {
                Self::Text(out) => out.sample(labels, &value.to_string()),
                Self::Proto(out) => out.sample(labels, value),
            }
        }
    }

    /// A sample that is a count.
    pub fn count(&mut self, labels: Labels<'_>, value: u64) {
        match self {
            Self::Text(out) => out.sample(labels, &value.to_string()),
            Self::Proto(out) => out.sample(labels, value as f64),
        }
    }

    /// A histogram with bounds at powers of two, which our buckets meet exactly. `exemplars` only where the format has them.
    pub fn histogram(&mut self, labels: Labels<'_>, view: &HistogramView, exemplars: &[&ExemplarView]) {
        match self {
            Self::Text(out) => out.histogram(labels, view, exemplars),
            Self::Proto(out) => out.histogram(labels, view, exemplars),
        }
    }

    /// Bytes that wait to be taken, about.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        match self {
            Self::Text(out) => out.waiting(),
            Self::Proto(out) => out.waiting(),
        }
    }

    /// What was written so far; the family that was begun goes on.
    pub fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Text(out) => out.take().into_bytes(),
            Self::Proto(out) => out.take(),
        }
    }

    /// The page, or what of it was not taken.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        match self {
            Self::Text(out) => out.finish().into_bytes(),
            Self::Proto(out) => out.finish(),
        }
    }
}

/// A classic bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Bucket<'a> {
    /// Upper bound in seconds, inclusive.
    bound: f64,
    /// Samples at or below it.
    count: u64,
    /// A real transaction within it and not within the one before.
    exemplar: Option<&'a ExemplarView>,
}

/// The classic buckets of a histogram, ascending, the infinite one last.
fn classic<'a>(view: &HistogramView, exemplars: &[&'a ExemplarView]) -> Vec<Bucket<'a>> {
    // What is zero or negative lies below every bound.
    let mut cumulated = view.zero + view.negative.iter().map(|b| b.1).sum::<u64>();
    let mut buckets = view.positive.iter().peekable();
    let mut below = f64::NEG_INFINITY;
    let mut bucket = |bound: f64, count: u64| {
        let inside = |e: &&&'a ExemplarView| e.seconds > below && e.seconds <= bound && e.seconds.is_finite();
        let exemplar = exemplars.iter().find(inside).copied().filter(|_| count > 0);
        below = bound;
        Bucket { bound, count, exemplar }
    };
    let mut out = Vec::with_capacity(POWERS.count() + 1);
    for power in POWERS {
        // Bucket i ends at 2^((i+1)/32): it belongs below 2^k where i < 32 k.
        while let Some((_, count)) = buckets.next_if(|(i, _)| *i < power * BUCKETS_PER_POWER) {
            cumulated += count;
        }
        out.push(bucket(2_f64.powi(power), cumulated));
    }
    out.push(bucket(f64::INFINITY, view.count));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_most_wins_and_of_equals_what_says_most() {
        let proto = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html, text/plain;q=0.3", Format::Prometheus),
            ("application/openmetrics-text;version=1.0.0,text/plain;q=0.5", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.5", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            (proto, Format::Protobuf),
            (&*format!("{proto},application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.1"), Format::Protobuf),
            (&*format!("{proto};q=0.6,application/openmetrics-text;q=0.7"), Format::OpenMetrics),
            (&*proto.replace("delimited", "text"), Format::Prometheus),
            (&*proto.replace("MetricFamily", "Other"), Format::Prometheus),
        ] {
            assert_eq!(Format::negotiated(accept), format, "{accept}");
        }
    }

    #[test]
    fn buckets_end_exactly_at_powers_of_two() {
        // i = -321: up to 2^-10 exactly; -320: above it; 31: up to 2; 32: above 2; 352: above 2048.
        let positive = vec![(-321, 1), (-320, 10), (31, 100), (32, 1_000), (352, 10_000)];
        let view = HistogramView { count: 11_114, sum: 1.0, zero: 1, positive, negative: vec![(0, 2)] };
        let buckets = classic(&view, &[]);
        let at = |bound: f64| buckets.iter().find(|b| b.bound == bound).unwrap().count;
        assert_eq!([at(0.0009765625), at(0.001953125), at(1.0), at(2.0), at(4.0)], [4, 14, 14, 114, 1_114]);
        assert_eq!((at(2_048.0), at(f64::INFINITY)), (1_114, 11_114));
        assert!(buckets.is_sorted_by(|a, b| a.bound < b.bound && a.count <= b.count));
    }
}
