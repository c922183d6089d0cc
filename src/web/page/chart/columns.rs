//! Gathers the history of one or several flows into columns.

use std::collections::BTreeMap;

use crate::model::Timestamp;
use crate::snapshot::{FlowView, Point, Series};

use super::step_of;

/// Flows of healthy sources are complete to within these seconds of each other and of the present.
const FOLLOWS: i64 = 5;

/// One step of time over all flows of the chart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// First second.
    pub t: i64,
    /// False while any flow's watermark has not passed it.
    pub complete: bool,
    /// True where a source could not be read.
    pub partial: bool,
    /// Seconds of it that are complete: the divisor of its rates.
    pub covered: i64,
    /// Ended by outcome within the covered seconds.
    pub ended: [u64; 5],
    /// Events within the covered seconds.
    pub events: u64,
    /// `p50 p95 p99 max` of the lead flow.
    pub latency: [Option<f32>; 4],
    /// Heatmap cells of the lead flow.
    pub heat: Vec<(u8, u32)>,
}

impl Column {
    /// A count of this column as a rate; `None` while no second of it is complete.
    pub fn rate(&self, count: u64) -> Option<f64> {
        (self.covered > 0).then(|| count as f64 / self.covered as f64)
    }

    /// Ended per second over all outcomes.
    pub fn tps(&self) -> Option<f64> {
        self.rate(self.ended.iter().sum())
    }

    /// Share that did not end `ok`; `None` where nothing ended.
    pub fn not_ok(&self) -> Option<f64> {
        let all: u64 = self.ended.iter().sum();
        (all > 0).then(|| (all - self.ended[0]) as f64 / all as f64)
    }
}

/// The columns of a view.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// Seconds per column.
    pub step: i64,
    /// Seconds shown, up to `now`.
    pub range: i64,
    /// Right edge: the first second after the snapshot.
    pub now: i64,
    /// Name of the flow whose latency is shown; empty: none.
    pub lead: String,
    /// Columns in order; what is absent is unknown.
    pub columns: Vec<Column>,
}

impl Chart {
    /// Of some flows, with the latency of `lead`, for `range` seconds up to `as_of`.
    pub fn gather(flows: &[&FlowView], lead: Option<&FlowView>, as_of: Timestamp, range: i64) -> Self {
        Self::gather_after(flows, lead, as_of, range, None)
    }

    /// The same, only what the browser lacks that has everything complete up to `after`.
    pub fn gather_after(
        flows: &[&FlowView],
        lead: Option<&FlowView>,
        as_of: Timestamp,
        range: i64,
        after: Option<i64>,
    ) -> Self {
        let step = step_of(range);
        let now = as_of.second() + 1;
        let from = (now - range).div_euclid(step) * step;
        let begin = after.map_or(from, |a| from.max(a + 1));
        let mut columns: BTreeMap<i64, (Column, usize)> = BTreeMap::new();
        for flow in flows {
            let is_lead = lead.is_some_and(|l| l.name == flow.name);
            for point in series(flow, step).range(begin, now) {
                let fresh = || (Column { t: point.t, complete: true, covered: step, ..Column::default() }, 0);
                let (column, seen) = columns.entry(point.t).or_insert_with(fresh);
                add(column, flow, point, step, is_lead);
                *seen += 1;
            }
        }
        mark_missing(&mut columns, flows, step, now);
        let lead = lead.map(|f| f.name.clone()).unwrap_or_default();
        Self { step, range, now, lead, columns: columns.into_values().map(|(c, _)| c).collect() }
    }

    /// Left edge.
    pub fn from(&self) -> i64 {
        self.now - self.range
    }

    /// Newest second whose column is complete.
    pub fn newest_complete(&self) -> Option<i64> {
        self.columns.iter().rev().find(|c| c.complete).map(|c| c.t)
    }
}

fn series(flow: &FlowView, step: i64) -> &Series {
    match step {
        1 => &flow.history.s1,
        10 => &flow.history.s10,
        _ => &flow.history.m1,
    }
}

/// Adds a flow's point. Of an incomplete long step only the complete seconds count, so that its rate is true so far.
fn add(column: &mut Column, flow: &FlowView, point: &Point, step: i64, is_lead: bool) {
    column.partial |= point.partial;
    if point.complete {
        for (sum, n) in column.ended.iter_mut().zip(point.ended) {
            *sum += u64::from(n);
        }
        column.events += u64::from(point.events);
    } else {
        column.complete = false;
        let mut covered = 0;
        for second in flow.history.s1.range(point.t, point.t + step).filter(|p| p.complete) {
            covered += 1;
            for (sum, n) in column.ended.iter_mut().zip(second.ended) {
                *sum += u64::from(n);
            }
            column.events += u64::from(second.events);
        }
        column.covered = column.covered.min(covered);
    }
    if is_lead {
        column.latency = [point.p50, point.p95, point.p99, point.max];
        column.heat.clone_from(&point.heat);
    }
}

/// A column that lacks a flow which has older points is a part of the truth only. Where that flow has newer points
/// too, the column is a hole: its sum would be a dip that never was, so it has no rate. Where the flow is a moment
/// behind the others, the column is not complete yet. Where it stands still, the sum is a lower bound; none of nothing.
fn mark_missing(columns: &mut BTreeMap<i64, (Column, usize)>, flows: &[&FlowView], step: i64, now: i64) {
    let span = |f: &&FlowView| {
        let series = series(f, step);
        Some((series.chunks.iter().find_map(|c| c.first())?.t, series.last()?.t))
    };
    let spans: Vec<(i64, i64)> = flows.iter().filter_map(span).collect();
    for (column, seen) in columns.values_mut() {
        let expected = spans.iter().filter(|(first, last)| (*first..=*last).contains(&column.t)).count();
        let oldest = spans.iter().map(|(_, last)| *last).filter(|last| *last < column.t).min();
        let frozen = oldest.is_some_and(|last| now - (last + step) > FOLLOWS);
        column.partial |= *seen < expected || oldest.is_some();
        column.complete &= frozen || oldest.is_none();
        if *seen < expected || (frozen && column.ended == [0; 5]) {
            column.covered = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::snapshot::History;

    fn flow(name: &str, points: Vec<Point>) -> FlowView {
        let s1 = Series { step: 1, chunks: vec![Arc::new(points)] };
        FlowView { name: name.to_owned(), history: History { s1, ..History::default() }, ..FlowView::default() }
    }

    fn point(t: i64, ok: u32) -> Point {
        Point { t, complete: true, ended: [ok, 0, 0, 0, 0], p99: Some(1.5), ..Point::default() }
    }

    #[test]
    fn flows_add_up_gaps_stay_gaps_and_a_missing_flow_makes_it_partial() {
        let a = flow("a", vec![point(90, 1), point(91, 1), point(93, 1)]);
        let b = flow("b", vec![point(90, 5), point(93, 5)]);
        let chart = Chart::gather(&[&a, &b], Some(&a), Timestamp::from_seconds(94), 60);
        let seen: Vec<_> = chart.columns.iter().map(|c| (c.t, c.ended[0], c.partial)).collect();
        assert_eq!(seen, [(90, 6, false), (91, 1, true), (93, 6, false)]);
        assert_eq!((chart.now, chart.from(), chart.newest_complete()), (95, 35, Some(93)));
        assert_eq!(chart.columns[0].latency[2], Some(1.5));
        assert_eq!((chart.columns[0].tps(), chart.columns[1].tps()), (Some(6.0), None), "a hole has no sum");
        let later = Chart::gather_after(&[&a, &b], Some(&a), Timestamp::from_seconds(94), 60, Some(91));
        assert_eq!(later.columns.iter().map(|c| c.t).collect::<Vec<_>>(), [93]);
    }

    #[test]
    fn a_flow_that_stands_still_leaves_a_lower_bound_and_no_zero() {
        let live = flow("live", (60..94).map(|t| point(t, if t < 90 { 2 } else { 0 })).collect());
        let frozen = flow("frozen", (60..80).map(|t| point(t, 7)).collect());
        let chart = Chart::gather(&[&live, &frozen], None, Timestamp::from_seconds(94), 60);
        let at = |t: i64| chart.columns.iter().find(|c| c.t == t).map(|c| (c.tps(), c.partial)).unwrap();
        assert_eq!((at(79), at(85)), ((Some(9.0), false), (Some(2.0), true)));
        assert_eq!(at(92), (None, true), "nothing of the live one says nothing of both");
        let behind = flow("behind", (60..92).map(|t| point(t, 7)).collect());
        let chart = Chart::gather(&[&live, &behind], None, Timestamp::from_seconds(94), 60);
        assert_eq!(chart.newest_complete(), Some(91), "a flow that is a second behind is not missing");
    }

    #[test]
    fn an_incomplete_long_step_is_a_rate_of_its_complete_seconds() {
        let mut f = flow("a", (900..904).map(|t| Point { complete: t < 903, ..point(t, 7) }).collect());
        f.history.s10 = Series { step: 10, chunks: vec![Arc::new(vec![Point { complete: false, ..point(900, 28) }])] };
        let chart = Chart::gather(&[&f], None, Timestamp::from_seconds(904), 900);
        assert_eq!(chart.columns.len(), 1);
        assert_eq!((chart.columns[0].covered, chart.columns[0].tps()), (3, Some(7.0)));
    }
}
