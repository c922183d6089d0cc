//! The first paint: paths in a box of 1000 x 1000 that the page stretches to its width, so that nothing is
//! scaled but the geometry. Marks lie in percent of the width. `static/chart.js` draws the same shapes.

use std::fmt::Write as _;

use crate::snapshot::HEAT_ROWS;
use crate::text::number;

use super::{Chart, HEAT_COLUMNS, axis};

/// A band of the plot in percent of its width: a gap, incomplete seconds, partial seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// `gap`, `partial` or `open`.
    pub class: &'static str,
    /// Left edge in percent.
    pub x: String,
    /// Width in percent.
    pub w: String,
}

/// A label in percent of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Position in percent.
    pub at: String,
    /// Text.
    pub text: String,
}

/// Both charts of a view, ready for the template.
#[derive(Clone, Debug, Default)]
pub struct Drawing {
    /// Time labels.
    pub times: Vec<Label>,
    /// Rate labels, from zero.
    pub rates: Vec<Label>,
    /// Latency labels.
    pub latencies: Vec<Label>,
    /// Areas by outcome, in the order of drawing: the widest first.
    pub areas: Vec<(usize, String)>,
    /// Upper line of `ok`.
    pub ok_line: String,
    /// Heat cells by strength 1..=5.
    pub heat: Vec<(usize, String)>,
    /// Line of the median.
    pub p50: String,
    /// Line of the 99th percentile.
    pub p99: String,
    /// Bands of both charts.
    pub marks: Vec<Mark>,
    /// True where there is nothing to draw.
    pub empty: bool,
    /// True where no latency is known within the range.
    pub no_latency: bool,
}

/// Order of stacking from the baseline up: ok, compensated, timed out, dead-lettered, failed (indexes of `Outcome::ALL`).
const STACK: [usize; 5] = [0, 2, 4, 3, 1];

impl Drawing {
    /// Draws both charts.
    pub fn of(chart: &Chart) -> Self {
        let x = |t: f64| (t - chart.from() as f64) / chart.range as f64 * 1_000.0;
        let peak = chart.columns.iter().filter(|c| c.complete).filter_map(super::Column::tps).fold(0.0, f64::max);
        let top = axis::ceiling(peak * 1.04);
        let (areas, ok_line) = throughput(chart, &x, top);
        let (low, rows) = rows(chart);
        let line_of = |i: usize| {
            let y = |v: f32| {
                ((1.0 - (f64::from(v).max(1e-9).log2() + 10.0 - low as f64) / rows as f64) * 1_000.0)
                    .clamp(0.0, 1_000.0)
            };
            line(&segments(chart, |c| c.latency[i].filter(|_| c.complete).map(|v| (x(middle(chart, c.t)), y(v)))))
        };
        let every = rows.div_ceil(6);
        Self {
            times: axis::times(chart.from(), chart.now)
                .into_iter()
                .map(|(at, text)| Label { at: percent(at * 100.0), text })
                .collect(),
            rates: (0..=if chart.columns.is_empty() { -1 } else { 4 })
                .map(|i| Label {
                    at: percent(100.0 - f64::from(i) * 25.0),
                    text: number::short(top * f64::from(i) / 4.0),
                })
                .collect(),
            latencies: (0..=rows)
                .filter(|i| i.is_multiple_of(every) && !chart.columns.is_empty())
                .map(|i| Label { at: percent(100.0 - i as f64 * 100.0 / rows as f64), text: edge(low + i) })
                .collect(),
            areas,
            ok_line,
            heat: heat(chart, &x, low, rows),
            p50: line_of(0),
            p99: line_of(2),
            marks: marks(chart),
            empty: chart.columns.is_empty(),
            no_latency: chart.columns.iter().all(|c| c.heat.is_empty()),
        }
    }
}

fn middle(chart: &Chart, t: i64) -> f64 {
    t as f64 + chart.step as f64 / 2.0
}

/// Stacked areas and the line above `ok`. Incomplete columns are not part of it: they are marked.
fn throughput(chart: &Chart, x: &impl Fn(f64) -> f64, top: f64) -> (Vec<(usize, String)>, String) {
    let level = |upto: usize| {
        segments(chart, |c| {
            let sum: u64 = STACK[..=upto].iter().map(|o| c.ended[*o]).sum();
            c.rate(sum).map(|r| (x(middle(chart, c.t)), (1_000.0 - r / top * 1_000.0).max(0.0)))
        })
    };
    let areas = (0..STACK.len())
        .rev()
        .filter(|i| *i == 0 || chart.columns.iter().any(|c| c.ended[STACK[*i]] > 0))
        .map(|i| (STACK[i], area(&level(i), 1_000.0)))
        .collect();
    (areas, line(&level(0)))
}

/// Points in order, with a `None` wherever a column is missing: gaps stay gaps.
fn segments(chart: &Chart, point: impl Fn(&super::Column) -> Option<(f64, f64)>) -> Vec<Option<(f64, f64)>> {
    let mut out = Vec::with_capacity(chart.columns.len());
    let mut before = None;
    for column in &chart.columns {
        if before.is_some_and(|t| column.t > t + chart.step) {
            out.push(None);
        }
        before = Some(column.t);
        out.push(point(column));
    }
    out
}

/// The lowest row shown and how many, around what has cells: eight at least.
fn rows(chart: &Chart) -> (usize, usize) {
    let used = || chart.columns.iter().flat_map(|c| c.heat.iter().map(|(row, _)| usize::from(*row)));
    let (low, high) = (used().min().unwrap_or(3), used().max().unwrap_or(12));
    let high = (high + 1).min(HEAT_ROWS - 1).max(low);
    let low = low.saturating_sub(1).min(high.saturating_sub(7));
    (low, (high - low + 1).max(8))
}

/// Cells by strength: the square root of the count, so that few slow transactions stay visible.
fn heat(chart: &Chart, x: &impl Fn(f64) -> f64, low: usize, rows: usize) -> Vec<(usize, String)> {
    let merge = (chart.range / chart.step / HEAT_COLUMNS).max(1) * chart.step;
    let mut cells: std::collections::BTreeMap<(i64, u8), u64> = std::collections::BTreeMap::new();
    for column in &chart.columns {
        for (row, count) in &column.heat {
            *cells.entry((column.t.div_euclid(merge) * merge, *row)).or_default() += u64::from(*count);
        }
    }
    let most = cells.values().copied().max().unwrap_or(1) as f64;
    let mut paths: [String; 5] = Default::default();
    let height = 1_000.0 / rows as f64;
    for ((t, row), count) in cells {
        let Some(row) = usize::from(row).checked_sub(low).filter(|r| *r < rows) else { continue };
        let (left, right) = (x(t as f64).max(0.0), x((t + merge) as f64).min(1_000.0));
        let strength = ((count as f64 / most).sqrt() * 5.0).ceil().clamp(1.0, 5.0) as usize;
        let (w, h) = ((right - left) * 0.94, height * 0.94);
        if w > 0.0 {
            // Writing to a String cannot fail.
            let _ = write!(
                paths[strength - 1],
                "M{} {}h{}v{}h-{}z",
                fix(left),
                fix(1_000.0 - (row + 1) as f64 * height),
                fix(w),
                fix(h),
                fix(w)
            );
        }
    }
    paths.into_iter().enumerate().map(|(i, p)| (i + 1, p)).filter(|(_, p)| !p.is_empty()).collect()
}

/// Bands: what was never read, what is not complete yet, what lacks a source.
fn marks(chart: &Chart) -> Vec<Mark> {
    let mut bands: Vec<(&'static str, i64, i64)> = Vec::new();
    let mut push = |class, from: i64, to: i64| match bands.last_mut() {
        Some((c, _, end)) if *c == class && *end >= from => *end = to.max(*end),
        _ => bands.push((class, from, to)),
    };
    let mut at = chart.columns.first().map(|c| c.t);
    for column in &chart.columns {
        let end = column.t + chart.step;
        if at.is_some_and(|a| a < column.t) {
            push("gap", at.unwrap_or(column.t), column.t);
        }
        if column.partial && column.complete {
            push("partial", column.t, end);
        }
        if !column.complete {
            push("open", column.t, end);
        }
        at = Some(end);
    }
    if let Some(end) = at.filter(|a| *a < chart.now) {
        let open = chart.columns.last().is_some_and(|c| !c.complete) || chart.now - end <= 5;
        push(if open { "open" } else { "gap" }, end, chart.now);
    }
    let place = |t: i64| (t.clamp(chart.from(), chart.now) - chart.from()) as f64 / chart.range as f64 * 100.0;
    bands
        .into_iter()
        .map(|(class, from, to)| Mark { class, x: percent(place(from)), w: percent(place(to) - place(from)) })
        .filter(|m| m.w != "0%")
        .collect()
}

/// Lower edge of a heatmap row, written short.
fn edge(row: usize) -> String {
    let seconds = 2f64.powi(row as i32 - 10);
    if seconds < 1.0 {
        return format!("{} ms", (seconds * 1e3).round());
    }
    match seconds as u64 {
        s @ 0..120 => format!("{s} s"),
        s @ 120..7_200 => format!("{} min", (s as f64 / 60.0).round()),
        s => format!("{} h", (s as f64 / 3_600.0).round()),
    }
}

/// A line through points; `None` lifts the pen. A lone point becomes a short stroke.
pub fn line(points: &[Option<(f64, f64)>]) -> String {
    let mut out = String::new();
    for run in points.split(Option::is_none) {
        for (i, (x, y)) in run.iter().flatten().enumerate() {
            let _ = write!(out, "{}{} {}", if i == 0 { "M" } else { "L" }, fix(*x), fix(*y));
        }
        if run.len() == 1 {
            out.push_str("h2");
        }
    }
    out
}

/// The area between points and a baseline, one shape per run.
pub fn area(points: &[Option<(f64, f64)>], base: f64) -> String {
    let mut out = String::new();
    for run in points.split(Option::is_none) {
        let run: Vec<(f64, f64)> = run.iter().flatten().copied().collect();
        let (Some(first), Some(last)) = (run.first(), run.last()) else { continue };
        let _ = write!(out, "M{} {}", fix(first.0), fix(base));
        for (x, y) in &run {
            let _ = write!(out, "L{} {}", fix(*x), fix(*y));
        }
        let _ = write!(out, "V{}H{}z", fix(base), fix(first.0.min(last.0)));
    }
    out
}

fn percent(value: f64) -> String {
    format!("{}%", (value * 100.0).round() / 100.0)
}

fn fix(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::super::Column;
    use super::*;

    fn column(t: i64, complete: bool) -> Column {
        Column {
            t,
            complete,
            covered: 1,
            ended: [3, 1, 0, 0, 0],
            heat: vec![(8, 4)],
            latency: [Some(0.3); 4],
            ..Column::default()
        }
    }

    #[test]
    fn gaps_and_open_seconds_are_marked_and_never_drawn_over() {
        let columns = vec![column(40, true), column(41, true), column(50, true), column(51, false)];
        let drawing = Drawing::of(&Chart { step: 1, range: 60, now: 53, lead: "a".to_owned(), columns });
        let classes: Vec<_> = drawing.marks.iter().map(|m| m.class).collect();
        assert_eq!(classes, ["gap", "open"]);
        assert_eq!(drawing.p99.matches('M').count(), 2, "two runs: {}", drawing.p99);
        assert!(!drawing.ok_line.contains("NaN"));
    }

    #[test]
    fn nothing_known_draws_nothing() {
        let drawing = Drawing::of(&Chart { step: 1, range: 60, now: 60, ..Chart::default() });
        assert!(drawing.empty && drawing.no_latency && drawing.marks.is_empty() && drawing.ok_line.is_empty());
    }
}
