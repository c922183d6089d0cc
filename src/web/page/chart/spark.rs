//! Sparklines: the shape of one number over the page's range.

use crate::web::page::kit::Html;

use super::Chart;
use super::svg::{area, line};

/// Points of a sparkline: as many as its width can show apart.
const POINTS: i64 = 45;

/// Draws a sparkline of what `value` makes of each column, largest of each bucket; from zero to its own maximum,
/// at least `floor`. Buckets lie on round times, so the drawing changes only when a bucket does.
pub fn spark(chart: &Chart, class: &str, floor: f64, value: impl Fn(&super::Column) -> Option<f64>) -> Html {
    let width = (chart.range / POINTS).max(chart.step);
    let width = (width + chart.step - 1) / chart.step * chart.step;
    let last = (chart.now - 1).div_euclid(width);
    let count = (chart.range / width).max(2);
    let mut buckets: Vec<Option<f64>> = vec![None; count as usize];
    for column in chart.columns.iter().filter(|c| c.complete) {
        let at = count - 1 - (last - column.t.div_euclid(width));
        if let (Some(bucket), Some(v)) = (usize::try_from(at).ok().and_then(|i| buckets.get_mut(i)), value(column)) {
            *bucket = Some(bucket.map_or(v, |b| b.max(v)));
        }
    }
    // The newest bucket is seldom full: the sparkline ends at the newest full one.
    let top = buckets.iter().flatten().fold(floor, |m, v| m.max(*v)).max(f64::MIN_POSITIVE);
    let points: Vec<Option<(f64, f64)>> = buckets
        .iter()
        .enumerate()
        .map(|(i, v)| v.map(|v| ((i as f64 * 120.0 / (count - 1) as f64).round(), (27.0 - v / top * 25.0).round())))
        .collect();
    let (ground, stroke) = (area(&points, 28.0), line(&points));
    Html(format!(
        "<svg class=\"spark {class}\" viewBox=\"0 0 120 28\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <path class=\"a\" d=\"{ground}\"/><path class=\"l\" d=\"{stroke}\"/></svg>"
    ))
}
