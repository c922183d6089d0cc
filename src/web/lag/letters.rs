//! Samples of streams of dead letters.

use super::metrics::{Family, Over, counter, gauge};
use crate::snapshot::DlqStream;
use crate::web::exposition::Exposition;

fn letters(out: &mut Exposition, stream: &DlqStream, value: Option<f64>) {
    out.value(&[("cluster_name", &stream.cluster), ("stream", &stream.stream)], value);
}

fn live(stream: &DlqStream, n: Option<u64>) -> Option<f64> {
    n.filter(|_| stream.answering).map(|n| n as f64)
}

/// The families of dead letters.
pub const LETTERS: &[Family] = &[
    gauge(
        "streamgauge_dlq_retained_messages",
        "Letters that the log still has.",
        Over::Letters(|out, s| letters(out, s, live(s, s.retained))),
    ),
    gauge(
        "streamgauge_dlq_unhandled_messages",
        "Letters that the redrive group has not passed; all where there is none.",
        Over::Letters(|out, s| letters(out, s, live(s, s.unhandled))),
    ),
    gauge(
        "streamgauge_dlq_oldest_unhandled_age_seconds",
        "Age of the oldest unhandled letter.",
        Over::Letters(|out, s| {
            letters(out, s, s.oldest_unhandled_age_seconds.filter(|_| s.answering));
        }),
    ),
    counter(
        "streamgauge_dlq_inflow_messages_total",
        "Letters that arrived since the stream was first watched.",
        Over::Counted(|out, s| out.count(&[("cluster_name", &s.cluster), ("stream", &s.stream)], s.inflow)),
    ),
    counter(
        "streamgauge_dlq_expired_messages_total",
        "Letters lost to retention before anybody handled them, since the stream was first watched.",
        Over::Counted(|out, s| out.count(&[("cluster_name", &s.cluster), ("stream", &s.stream)], s.expired)),
    ),
];
