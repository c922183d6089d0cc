//! Prometheus protobuf: the messages of `io.prometheus.client`, each family with its length before it.
//!
//! A histogram of ours is a native histogram of schema 5 as it is; only the numbers of its buckets differ:
//! Prometheus counts a bucket by its upper bound `2^(i/32)`, we (as OTLP does) by its lower one. The classic
//! buckets stand beside them for servers that do not take native ones.

use prost::Message;

use super::{Kind, Labels, classic};
use crate::model::MICROS_PER_SECOND;
use crate::snapshot::{ExemplarView, HistogramView};

/// Buckets per power of two are 2 to the power of this.
const SCHEMA: i32 = 5;
/// Up to so many empty buckets are written as zeros: a new span costs as much.
const BRIDGED: i32 = 2;
/// A sample with its labels, about.
const SAMPLE_BYTES: usize = 128;

/// Families being written.
#[derive(Default)]
pub struct Proto {
    out: Vec<u8>,
    family: MetricFamily,
}

impl Proto {
    /// Begins a family.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        self.flush();
        let kind = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
        };
        self.family =
            MetricFamily { name: name.to_owned(), help: help.to_owned(), r#type: kind.into(), metric: vec![] };
    }

    /// A sample of a counter or a gauge.
    pub fn sample(&mut self, labels: Labels<'_>, value: f64) {
        let number = Some(Number { value });
        let label = pairs(labels);
        let metric = if self.family.r#type() == MetricType::Counter {
            Metric { label, counter: number, ..Metric::default() }
        } else {
            Metric { label, gauge: number, ..Metric::default() }
        };
        self.family.metric.push(metric);
    }

    /// A histogram, native and classic.
    pub fn histogram(&mut self, labels: Labels<'_>, view: &HistogramView, exemplars: &[&ExemplarView]) {
        let (positive_span, positive_delta) = spans(&view.positive);
        let (negative_span, negative_delta) = spans(&view.negative);
        let bucket = classic(view, exemplars).into_iter().map(|b| Bucket {
            cumulative_count: b.count,
            upper_bound: b.bound,
            exemplar: b.exemplar.map(Exemplar::from),
        });
        let histogram = Histogram {
            sample_count: view.count,
            sample_sum: if view.sum.is_finite() { view.sum } else { 0.0 },
            bucket: bucket.collect(),
            schema: SCHEMA,
            zero_threshold: 0.0,
            zero_count: view.zero,
            negative_span,
            negative_delta,
            // Without any span it would be taken for a classic histogram.
            positive_span: if positive_span.is_empty() { vec![Span::default()] } else { positive_span },
            positive_delta,
            exemplars: exemplars.iter().filter(|e| e.seconds.is_finite()).map(|e| Exemplar::from(*e)).collect(),
        };
        self.family.metric.push(Metric { label: pairs(labels), histogram: Some(histogram), ..Metric::default() });
    }

    /// Bytes that wait to be taken, about.
    pub const fn waiting(&self) -> usize {
        self.out.len() + self.family.metric.len() * SAMPLE_BYTES
    }

    /// What was written so far. The family goes on in another message of the same name, which readers join.
    pub fn take(&mut self) -> Vec<u8> {
        let (name, help, kind) = (self.family.name.clone(), self.family.help.clone(), self.family.r#type);
        self.flush();
        self.family = MetricFamily { name, help, r#type: kind, metric: vec![] };
        std::mem::take(&mut self.out)
    }

    fn flush(&mut self) {
        let family = std::mem::take(&mut self.family);
        if !family.metric.is_empty() {
            self.out.extend(family.encode_length_delimited_to_vec());
        }
    }

    /// The page.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.flush();
        self.out
    }
}

fn pairs(labels: Labels<'_>) -> Vec<LabelPair> {
    labels.iter().map(|(name, value)| LabelPair { name: (*name).to_owned(), value: (*value).to_owned() }).collect()
}

/// Runs of buckets, and the count of each as the difference from the one before.
fn spans(buckets: &[(i32, u64)]) -> (Vec<Span>, Vec<i64>) {
    let (mut spans, mut deltas) = (Vec::<Span>::new(), Vec::with_capacity(buckets.len()));
    let (mut next, mut before) = (0, 0);
    for (index, count) in buckets {
        let gap = index + 1 - next;
        match spans.last_mut() {
            Some(span) if gap <= BRIDGED => {
                for _ in 0..gap {
                    deltas.push(-before);
                    before = 0;
                }
                span.length += gap as u32 + 1;
            }
            _ => spans.push(Span { offset: gap, length: 1 }),
        }
        let count = *count as i64;
        deltas.push(count - before);
        (next, before) = (index + 2, count);
    }
    (spans, deltas)
}

impl From<&ExemplarView> for Exemplar {
    fn from(view: &ExemplarView) -> Self {
        let (seconds, micros) =
            (view.ended_at.0.div_euclid(MICROS_PER_SECOND), view.ended_at.0.rem_euclid(MICROS_PER_SECOND));
        Self {
            label: pairs(&[("trace_id", &view.trace_id)]),
            value: view.seconds,
            timestamp: Some(Moment { seconds, nanos: micros as i32 * 1_000 }),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum MetricType {
    Counter = 0,
    Gauge = 1,
    Histogram = 4,
}

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    #[prost(enumeration = "MetricType", tag = "3")]
    r#type: i32,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A gauge or a counter.
#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, tag = "1")]
    value: f64,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, tag = "5")]
    schema: i32,
    #[prost(double, tag = "6")]
    zero_threshold: f64,
    #[prost(uint64, tag = "7")]
    zero_count: u64,
    #[prost(message, repeated, tag = "9")]
    negative_span: Vec<Span>,
    #[prost(sint64, repeated, packed = "false", tag = "10")]
    negative_delta: Vec<i64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<Span>,
    #[prost(sint64, repeated, packed = "false", tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(message, repeated, tag = "16")]
    exemplars: Vec<Exemplar>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
    #[prost(message, optional, tag = "3")]
    exemplar: Option<Exemplar>,
}

/// Consecutive buckets, so many after the last of the span before.
#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, tag = "2")]
    value: f64,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Moment>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, PartialEq, Message)]
struct Moment {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[cfg(test)]
mod tests {
    use super::super::{Exposition, Format};
    use super::*;

    /// What a reader makes of spans and deltas: buckets by the number that Prometheus gives them.
    fn read(spans: &[Span], deltas: &[i64]) -> Vec<(i32, i64)> {
        let (mut at, mut count, mut deltas, mut out) = (0, 0, deltas.iter(), Vec::new());
        for span in spans {
            at += span.offset;
            for _ in 0..span.length {
                count += deltas.next().unwrap();
                out.push((at, count));
                at += 1;
            }
        }
        assert!(deltas.next().is_none(), "as many deltas as buckets");
        out.retain(|b| b.1 != 0);
        out
    }

    #[test]
    fn spans_say_what_buckets_say_one_number_higher() {
        let buckets = [(-640, 3), (-639, 1), (-636, 7), (-600, 1), (0, 2), (3, 2), (4, 900)];
        let (spans, deltas) = spans(&buckets);
        assert_eq!(spans.len(), 3, "gaps of two are bridged: {spans:?}");
        assert_eq!(read(&spans, &deltas), buckets.map(|(i, n)| (i + 1, n as i64)));
        assert_eq!(super::spans(&[]), (vec![], vec![]));
    }

    #[test]
    fn a_page_is_a_row_of_delimited_families() {
        let mut out = Exposition::new(Format::Protobuf);
        out.family("never_total", Kind::Counter, "nobody");
        out.family("c_total", Kind::Counter, "help");
        out.count(&[("flow", "a")], 7);
        out.family("h", Kind::Histogram, "help");
        let view = HistogramView { count: 4, sum: -0.5, zero: 1, positive: vec![(18, 2)], negative: vec![(0, 1)] };
        out.histogram(&[], &view, &[]);
        out.histogram(&[("empty", "yes")], &HistogramView::default(), &[]);
        let page = out.finish();
        let mut rest = &page[..];
        let counter = MetricFamily::decode_length_delimited(&mut rest).unwrap();
        assert_eq!((counter.name.as_str(), counter.r#type()), ("c_total", MetricType::Counter));
        assert_eq!(counter.metric[0].counter, Some(Number { value: 7.0 }));
        let family = MetricFamily::decode_length_delimited(&mut rest).unwrap();
        assert!(rest.is_empty() && family.r#type() == MetricType::Histogram);
        let of = |n: usize| family.metric[n].histogram.as_ref().unwrap();
        assert_eq!(read(&of(0).positive_span, &of(0).positive_delta), [(19, 2)]);
        assert_eq!(read(&of(0).negative_span, &of(0).negative_delta), [(1, 1)]);
        assert_eq!((of(0).sample_count, of(0).zero_count, of(0).sample_sum, of(0).schema), (4, 1, -0.5, 5));
        assert_eq!(of(0).bucket.last().map(|b| (b.cumulative_count, b.upper_bound)), Some((4, f64::INFINITY)));
        assert_eq!(of(1).positive_span, [Span::default()], "an empty histogram is native too");
    }
}
