//! The text formats: Prometheus 0.0.4 and OpenMetrics 1.0.

use std::fmt::Write as _;

use super::{Kind, Labels, classic};
use crate::model::MICROS_PER_SECOND;
use crate::snapshot::{ExemplarView, HistogramView};

/// Lines being written.
pub struct Text {
    open_metrics: bool,
    out: String,
    family: String,
    header: Option<String>,
}

impl Text {
    /// An empty page.
    #[must_use]
    pub fn new(open_metrics: bool) -> Self {
        Self { open_metrics, out: String::with_capacity(16 << 10), family: String::new(), header: None }
    }

    /// Begins a family.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let described = if self.open_metrics && kind == Kind::Counter { name.trim_end_matches("_total") } else { name };
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        self.header = Some(format!("# HELP {described} {help}\n# TYPE {described} {kind}\n"));
        name.clone_into(&mut self.family);
    }

    /// A sample.
    pub fn sample(&mut self, labels: Labels<'_>, value: &str) {
        self.line("", labels, &[], value);
        self.out.push('\n');
    }

    /// A histogram with classic buckets.
    pub fn histogram(&mut self, labels: Labels<'_>, view: &HistogramView, exemplars: &[&ExemplarView]) {
        for bucket in classic(view, exemplars) {
            let le = if bucket.bound.is_finite() { format!("{:?}", bucket.bound) } else { "+Inf".to_owned() };
            self.line("_bucket", labels, &[("le", &le)], &bucket.count.to_string());
            if let Some(e) = bucket.exemplar.filter(|_| self.open_metrics) {
                let at = e.ended_at.0 as f64 / MICROS_PER_SECOND as f64;
                let _ = write!(self.out, " # {{trace_id=\"{}\"}} {} {at:.3}", e.trace_id, e.seconds);
            }
            self.out.push('\n');
        }
        // OpenMetrics calls the sum a counter: one that could fall is left out there.
        if view.sum.is_finite() && (!self.open_metrics || view.negative.is_empty()) {
            self.line("_sum", labels, &[], &view.sum.to_string());
            self.out.push('\n');
        }
        self.line("_count", labels, &[], &view.count.to_string());
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

    /// Bytes that wait to be taken.
    pub const fn waiting(&self) -> usize {
        self.out.len()
    }

    /// What was written so far.
    pub fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// The page.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.open_metrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Exposition, Format};
    use super::*;
    use crate::model::Timestamp;

    fn text(format: Format, write: impl FnOnce(&mut Exposition)) -> String {
        let mut out = Exposition::new(format);
        write(&mut out);
        String::from_utf8(out.finish()).unwrap()
    }

    #[test]
    fn labels_are_escaped_and_the_unknown_is_absent() {
        let text = text(Format::OpenMetrics, |out| {
            out.family("never_total", Kind::Counter, "x");
            out.family("g", Kind::Gauge, "x");
            out.value(&[("a", "q\"\\\n")], 1.5);
            out.value(&[("a", "b")], f64::NAN);
            out.value(&[("a", "c")], None);
        });
        assert_eq!(text, "# HELP g x\n# TYPE g gauge\ng{a=\"q\\\"\\\\\\n\"} 1.5\n# EOF\n");
    }

    #[test]
    fn an_exemplar_stands_in_its_bucket_where_the_dialect_has_them() {
        let view = HistogramView { count: 1, sum: 1.5, zero: 0, positive: vec![(18, 1)], negative: vec![] };
        let ended_at = Timestamp::from_seconds(7);
        let exemplar = ExemplarView { at: "p99", trace_id: "ab".into(), seconds: 1.5, ended_at, ..Default::default() };
        let write = |out: &mut Exposition| {
            out.family("h", Kind::Histogram, "x");
            out.histogram(&[("flow", "a")], &view, &[&exemplar]);
        };
        let open = text(Format::OpenMetrics, write);
        assert!(open.contains("h_bucket{flow=\"a\",le=\"2.0\"} 1 # {trace_id=\"ab\"} 1.5 7.000\n"), "{open}");
        assert!(open.contains("h_bucket{flow=\"a\",le=\"+Inf\"} 1\nh_sum{flow=\"a\"} 1.5\nh_count{flow=\"a\"} 1\n"));
        assert_eq!(open.matches("trace_id").count(), 1);
        assert!(!text(Format::Prometheus, write).contains("trace_id"));
    }
}
