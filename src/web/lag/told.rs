//! Samples of lag events, whether or not anybody else is asked about their groups: each with its own age.

use super::metrics::{Family, Over, gauge};
use crate::model::MICROS_PER_SECOND;
use crate::snapshot::ToldLag;
use crate::web::exposition::Exposition;

fn told(out: &mut Exposition, t: &ToldLag, value: Option<f64>) {
    let partition = t.partition.to_string();
    let labels =
        [("cluster_name", &*t.cluster), ("group", &*t.group), ("stream", &*t.stream), ("partition", &*partition)];
    out.value(&labels, value);
}

/// The families of lag events. The names are others than those of what was surveyed: nobody judged these.
pub const TOLD: &[Family] = &[
    gauge(
        "streamgauge_told_lag_messages",
        "End of the log minus the committed position, as the newest lag event says.",
        Over::Told(|out, t, _| told(out, t, t.unread().map(|n| n as f64))),
    ),
    gauge(
        "streamgauge_told_pending_messages",
        "Delivered and not acknowledged, as the newest lag event says.",
        Over::Told(|out, t, _| told(out, t, t.pending.map(|n| n as f64))),
    ),
    gauge(
        "streamgauge_told_age_seconds",
        "Age of the newest lag event.",
        Over::Told(|out, t, now| told(out, t, Some(now.since(t.at).max(0) as f64 / MICROS_PER_SECOND as f64))),
    ),
];
