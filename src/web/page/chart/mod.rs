//! Charts: columns of history, drawn as SVG for the first paint and sent as JSON to the browser's own drawing.
//!
//! One [`Chart`] serves both charts of a view: throughput of all its flows, latency of its lead flow. Counts and
//! heatmap cells of several steps merge exactly; percentiles do not, so they are shown as the history has them.

mod axis;
mod columns;
mod json;
mod spark;
mod svg;

pub use columns::{Chart, Column};
pub use spark::spark;
pub use svg::Drawing;

/// Ranges that a page offers, in seconds; keys `1` to `6`.
pub const RANGES: [i64; 6] = [60, 300, 900, 3_600, 21_600, 86_400];

/// Heatmap columns at most: more would be thinner than a pixel can show apart.
pub const HEAT_COLUMNS: i64 = 180;

/// Seconds per point for a range: the finest history that still gives each point some pixels.
pub const fn step_of(range: i64) -> i64 {
    match range {
        ..=300 => 1,
        301..=7_200 => 10,
        _ => 60,
    }
}
