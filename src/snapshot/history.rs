//! History of a flow, as charts and the API show it.

use std::sync::Arc;

/// History of a flow at three resolutions.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// One point per second.
    pub s1: Series,
    /// One point per ten seconds.
    pub s10: Series,
    /// One point per minute.
    pub m1: Series,
}

/// Points in order of time. Chunks are shared between snapshots: only the newest are rebuilt.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Seconds per point.
    pub step: i64,
    /// Chunks in order; points within a chunk ascend. Absent seconds are unknown (gaps).
    pub chunks: Vec<Arc<Vec<Point>>>,
}

impl Series {
    /// Points with `from <= t < to` (seconds), ascending.
    pub fn range(&self, from: i64, to: i64) -> impl Iterator<Item = &Point> {
        self.chunks
            .iter()
            .filter(move |c| c.last().is_some_and(|p| p.t >= from) && c.first().is_some_and(|p| p.t < to))
            .flat_map(|c| c.iter())
            .filter(move |p| p.t >= from && p.t < to)
    }

    /// The newest point.
    #[must_use]
    pub fn last(&self) -> Option<&Point> {
        self.chunks.iter().rev().find_map(|c| c.last())
    }
}

/// One point of history: the second (or ten, or minute) that begins at `t`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Point {
    /// First second, since the epoch.
    pub t: i64,
    /// False for seconds that the watermark has not passed: drawn as incomplete.
    pub complete: bool,
    /// True where a source could not be read.
    pub partial: bool,
    /// Ended by outcome, in the order of `Outcome::ALL`: counts of the whole step.
    pub ended: [u32; 5],
    /// Started.
    pub started: u32,
    /// Events.
    pub events: u32,
    /// Percentiles of the end-to-end latency over all outcomes, seconds; NaN-free: `None` = no sample.
    pub p50: Option<f32>,
    /// 95th percentile.
    pub p95: Option<f32>,
    /// 99th percentile.
    pub p99: Option<f32>,
    /// Upper edge of the top bucket.
    pub max: Option<f32>,
    /// Heatmap column: `(row, count)` of the rows that are not empty.
    pub heat: Vec<(u8, u32)>,
}
