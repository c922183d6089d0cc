//! The text formats of metrics: Prometheus 0.0.4 and OpenMetrics 1.0.

use std::fmt::Write as _;

use crate::snapshot::{ExemplarView, HistogramView};

/// Names and values of the labels of one sample.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Buckets of a histogram of ours between two bounds that are powers of two.
const BUCKETS_PER_POWER: i32 = 32;
/// Classic bounds are 2^-10 .. 2^11 seconds (1 ms .. 34 min).
const POWERS: std::ops::RangeInclusive<i32> = -10..=11;

/// Which text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `text/plain; version=0.0.4`.
    Prometheus,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

/// What a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its name ends with `_total`.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Classic buckets.
    Histogram,
}

/// A page of metrics being written. Families without a sample leave no trace.
pub struct Exposition {
    dialect: Dialect,
    out: String,
    family: String,
    header: Option<String>,
}

impl Exposition {
    /// An empty page.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self { dialect, out: String::with_capacity(16 << 10), family: String::new(), header: None }
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let described = match self.dialect {
            Dialect::OpenMetrics if kind == Kind::Counter => name.trim_end_matches("_total"),
            _ => name,
        };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.header = Some(format!("# HELP {described} {help}\n# TYPE {described} {kind}\n"));
        name.clone_into(&mut self.family);
    }

    /// A sample; what is unknown or no number is absent.
    pub fn value(&mut self, labels: Labels<'_>, value: impl Into<Option<f64>>) {
        if let Some(value) = value.into().filter(|v| v.is_finite()) {
            self.line("", labels, &[], &value.to_string());
            self.out.push('\n');
        }
    }

    /// A sample that is a count.
    pub fn count(&mut self, labels: Labels<'_>, value: u64) {
        self.line("", labels, &[], &value.to_string());
        self.out.push('\n');
    }

    /// A histogram with bounds at powers of two, which our buckets meet exactly. `exemplars` only where the dialect has them.
    pub fn histogram(&mut self, labels: Labels<'_>, view: &HistogramView, exemplars: &[&ExemplarView]) {
        // What is zero or negative lies below every bound.
        let mut cumulated = view.zero + view.negative.iter().map(|b| b.1).sum::<u64>();
        let mut buckets = view.positive.iter().peekable();
        let mut below = f64::NEG_INFINITY;
        for power in POWERS {
            // Bucket i ends at 2^((i+1)/32): it belongs below 2^k where i < 32 k.
            while let Some((_, count)) = buckets.next_if(|(i, _)| *i < power * BUCKETS_PER_POWER) {
                cumulated += count;
            }
            let bound = 2_f64.powi(power);
            self.bucket(labels, bound, &format!("{bound:?}"), cumulated, below, exemplars);
            below = bound;
        }
        self.bucket(labels, f64::INFINITY, "+Inf", view.count, below, exemplars);
        // OpenMetrics calls the sum a counter: one that could fall is left out there.
        if view.sum.is_finite() && (self.dialect == Dialect::Prometheus || view.negative.is_empty()) {
            self.line("_sum", labels, &[], &view.sum.to_string());
            self.out.push('\n');
        }
        self.line("_count", labels, &[], &view.count.to_string());
        self.out.push('\n');
    }

    fn bucket(
        &mut self,
        labels: Labels<'_>,
        bound: f64,
        le: &str,
        count: u64,
        below: f64,
        exemplars: &[&ExemplarView],
    ) {
        self.line("_bucket", labels, &[("le", le)], &count.to_string());
        let inside = |e: &&&ExemplarView| e.seconds > below && e.seconds <= bound && e.seconds.is_finite();
        if self.dialect == Dialect::OpenMetrics
            && count > 0
            && let Some(exemplar) = exemplars.iter().find(inside)
        {
            let _ = write!(self.out, " # {{trace_id=\"{}\"}} {}", exemplar.trace_id, exemplar.seconds);
        }
        self.out.push('\n');
    }

    /// A line without its end.
    fn line(&mut self, suffix: &str, labels: Labels<'_>, more: Labels<'_>, value: &str) {
        if let Some(header) = self.header.take() {
            self.out.push_str(&header);
        }
        self.out.push_str(&self.family);
        self.out.push_str(suffix);
        let mut open = '{';
        for (name, text) in labels.iter().chain(more) {
            let _ = write!(self.out, "{open}{name}=\"");
            open = ',';
            for c in text.chars() {
                match c {
                    '\\' => self.out.push_str("\\\\"),
                    '"' => self.out.push_str("\\\""),
                    '\n' => self.out.push_str("\\n"),
                    other => self.out.push(other),
                }
            }
            self.out.push('"');
        }
        if open == ',' {
            self.out.push('}');
        }
        let _ = write!(self.out, " {value}");
    }

    /// The page.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.dialect == Dialect::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_end_exactly_at_powers_of_two() {
        // i = -321: up to 2^-10 exactly; -320: above it; 31: up to 2; 32: above 2; 352: above 2048.
        let positive = vec![(-321, 1), (-320, 10), (31, 100), (32, 1_000), (352, 10_000)];
        let view = HistogramView { count: 11_114, sum: 1.0, zero: 1, positive, negative: vec![(0, 2)] };
        let mut out = Exposition::new(Dialect::Prometheus);
        out.family("h", Kind::Histogram, "x");
        out.histogram(&[("flow", "a")], &view, &[]);
        let text = out.finish();
        for line in [
            "h_bucket{flow=\"a\",le=\"0.0009765625\"} 4",
            "h_bucket{flow=\"a\",le=\"0.001953125\"} 14",
            "h_bucket{flow=\"a\",le=\"1.0\"} 14",
            "h_bucket{flow=\"a\",le=\"2.0\"} 114",
            "h_bucket{flow=\"a\",le=\"4.0\"} 1114",
            "h_bucket{flow=\"a\",le=\"2048.0\"} 1114",
            "h_bucket{flow=\"a\",le=\"+Inf\"} 11114",
            "h_count{flow=\"a\"} 11114",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
    }

    #[test]
    fn labels_are_escaped_and_the_unknown_is_absent() {
        let mut out = Exposition::new(Dialect::OpenMetrics);
        out.family("never_total", Kind::Counter, "x");
        out.family("g", Kind::Gauge, "x");
        out.value(&[("a", "q\"\\\n")], 1.5);
        out.value(&[("a", "b")], f64::NAN);
        out.value(&[("a", "c")], None);
        assert_eq!(out.finish(), "# HELP g x\n# TYPE g gauge\ng{a=\"q\\\"\\\\\\n\"} 1.5\n# EOF\n");
    }

    #[test]
    fn an_exemplar_stands_in_its_bucket() {
        let view = HistogramView { count: 1, sum: 1.5, zero: 0, positive: vec![(18, 1)], negative: vec![] };
        let exemplar = ExemplarView { at: "p99", trace_id: "ab".into(), seconds: 1.5, transaction_id: String::new() };
        let mut out = Exposition::new(Dialect::OpenMetrics);
        out.family("h", Kind::Histogram, "x");
        out.histogram(&[], &view, &[&exemplar]);
        let text = out.finish();
        assert!(text.contains("h_bucket{le=\"2.0\"} 1 # {trace_id=\"ab\"} 1.5\n"), "{text}");
        assert_eq!(text.matches("trace_id").count(), 1);
    }
}
