//! What a snapshot says of one flow.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{MICROS_PER_SECOND, Outcome, Timestamp};
use crate::snapshot::{
    ExemplarView, FlowView, HopView, LatencyView, Outcomes, StageView, Totals, WINDOWS, WaitingView, WindowView,
};

use super::Engine;
use super::flow::{Flow, Hop};
use super::histogram::{Histogram, upper_edge_of, value_of};
use super::page::flag;
use super::points::Frame;
use super::resolve::{Clock, Context, Resolution};
use super::rules::StageId;
use super::second::{HistId, Rolling, hop_hist, latency_hist};
use super::trace::{derived_trace_id, hex};
use super::view::{complete_to, unsigned};

/// The percentiles that are shown.
const QUANTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

impl Engine {
    /// Makes the view of a flow anew, if anything changed or waits.
    pub(super) fn view_flow(&mut self, number: u16, now: Timestamp) {
        let flow = &mut self.flows[usize::from(number)];
        if !flow.changed && flow.state.totals.in_flight == 0 {
            return;
        }
        flow.changed = false;
        if let Some(first) = flow.state.first {
            let partial_from = flow.partial_from.div_euclid(MICROS_PER_SECOND);
            let frame = Frame { first, complete_to: complete_to(flow), partial_from };
            flow.points.draw(&mut flow.seconds, frame);
        }
        let flow = &self.flows[usize::from(number)];
        let waiting = |slot: u32| self.waiting_view(flow, slot, now);
        let view = FlowView {
            name: flow.state.name.clone(),
            watermark: flow.state.watermark.map(Timestamp),
            streams: Arc::clone(&flow.streams),
            left_out: flow.left_out.iter().map(|s| (*self.sources.get(*s).key).clone()).collect(),
            inexact: flow.inexact_view(),
            transactional: flow.transactional(),
            never_ends: flow.never_ends() && flow.state.ends <= 0,
            totals: flow.totals_view(),
            windows: (0..WINDOWS.len()).map(|w| flow.window_view(w)).collect(),
            stages: flow.stage_views(),
            hops: flow.hop_views(),
            oldest: flow.oldest.peek().map(|top| waiting(top.0.2)),
            stuck: flow.stuck.iter().take(self.limits.stuck_list).map(|(.., slot)| waiting(*slot)).collect(),
            stuck_total: flow.stuck.len() as u64,
            history: flow.points.history(),
        };
        self.flows[usize::from(number)].view = Arc::new(view);
    }

    fn waiting_view(&self, flow: &Flow, slot: u32, now: Timestamp) -> WaitingView {
        let mut events = Vec::new();
        self.table.load(slot, &mut events);
        let mut resolution = Resolution::default();
        resolution.resolve(&events, &flow.rules, Context::default());
        let head = &self.table.slot(slot).head;
        let id = self.table.id(slot);
        let traced = head.flags & flag::TRACED != 0;
        let seconds = |since: i64| now.0.saturating_sub(since) as f64 / MICROS_PER_SECOND as f64;
        WaitingView {
            transaction_id: id.to_owned(),
            started_at: Timestamp(resolution.start.cut),
            age_seconds: seconds(resolution.start.cut),
            waiting_at: flow.stage_name(resolution.waiting).to_owned(),
            waiting_seconds: seconds(resolution.last_cut),
            trace_id: hex(if traced { head.trace } else { derived_trace_id(&flow.state.name, id) }),
        }
    }
}

/// The complete seconds that a window covers: fewer than its length while the state is young.
#[derive(Clone, Copy)]
struct Span {
    from: i64,
    to: i64,
    whole: bool,
}

impl Flow {
    fn totals_view(&self) -> Totals {
        let t = &self.state.totals;
        let outcomes = Outcomes::from_array(t.outcomes.map(unsigned));
        Totals {
            events: unsigned(t.events),
            started: unsigned(t.started),
            in_flight: unsigned(t.in_flight),
            ended: outcomes.sum(),
            outcomes,
            recovered: unsigned(t.recovered),
            joined: unsigned(t.joined),
            open_ended: unsigned(t.open_ended),
            after_end: unsigned(t.after_end),
            evicted: unsigned(t.evicted),
            unexplained: unsigned(t.unexplained),
            duplicates: unsigned(t.duplicates),
            late: unsigned(t.late),
            truncated: unsigned(t.truncated),
            negative: unsigned(t.negative),
        }
    }

    fn span(&self, window: usize) -> Option<Span> {
        let to = self.seconds.complete_to()?;
        let begin = to - WINDOWS[window].1;
        let first = self.state.first.unwrap_or(begin);
        Some(Span { from: begin.max(first).min(to), to, whole: first <= begin })
    }

    /// A count of a window per second; `None` while not one second is complete.
    fn rate(&self, window: usize, count: u64) -> Option<f64> {
        let span = self.span(window)?;
        (span.to > span.from).then(|| count as f64 / (span.to - span.from) as f64)
    }

    fn window_view(&self, window: usize) -> WindowView {
        let name = WINDOWS[window].0;
        let Some(span) = self.span(window) else { return WindowView { name, ..WindowView::default() } };
        let rolling = &self.seconds.rolling[window];
        let outcomes = Outcomes::from_array(rolling.counts.ended);
        let of_transactions = |count| self.rate(window, count).filter(|_| self.transactional());
        let mut latency_seconds = BTreeMap::new();
        for outcome in Outcome::ALL {
            let view = self.latency_view(rolling, |clock| latency_hist(outcome, clock), Some(span));
            if view.count > 0 {
                latency_seconds.insert(outcome.name(), view);
            }
        }
        WindowView {
            name,
            from: Some(Timestamp::from_seconds(span.from)),
            to: Some(Timestamp::from_seconds(span.to)),
            complete: span.whole,
            partial: span.to > self.partial_from.div_euclid(MICROS_PER_SECOND),
            tps: of_transactions(outcomes.sum()),
            started_per_second: of_transactions(rolling.counts.started),
            events_per_second: self.rate(window, rolling.counts.events),
            outcomes,
            recovered: rolling.counts.recovered,
            latency_seconds,
        }
    }

    fn stage_views(&self) -> Vec<StageView> {
        let seen = |s: &StageId| self.state.stages[usize::from(*s)].events != [0; 5];
        let all = 0..self.state.stages.len() as StageId;
        let undeclared = all.filter(|s| self.rules.rank(*s).is_none() && seen(s));
        self.rules.order.iter().copied().chain(undeclared).map(|stage| self.stage_view(stage)).collect()
    }

    fn stage_view(&self, stage: StageId) -> StageView {
        let at = usize::from(stage);
        let state = &self.state.stages[at];
        let deadline = self.deadline(stage);
        let counted = |w: usize, what: usize| self.seconds.rolling[w].counts.stages.get(at).map_or(0, |c| c[what]);
        StageView {
            name: state.name.clone(),
            events: unsigned(state.events.iter().sum()),
            by_status: state.events.map(unsigned),
            waiting: unsigned(state.waiting),
            stuck: unsigned(state.stuck),
            deadline_seconds: deadline.map(|(d, _)| d as f64 / MICROS_PER_SECOND as f64),
            deadline_learned: deadline.is_some_and(|(_, learned)| learned),
            per_second: std::array::from_fn(|w| self.rate(w, counted(w, 0))),
            errors_per_second: std::array::from_fn(|w| self.rate(w, counted(w, 1))),
        }
    }

    /// Hops that were made, in declared order, then by name. One that only seemed to be made until more was read is
    /// not among them.
    fn hop_views(&self) -> Vec<HopView> {
        let place = |stage| (self.rules.rank(stage).unwrap_or(StageId::MAX), self.stage_name(stage));
        let mut hops: Vec<(usize, &Hop)> = self.state.hops.iter().enumerate().filter(|(_, h)| h.made > 0).collect();
        hops.sort_by_cached_key(|(_, hop)| (place(hop.from), place(hop.to)));
        let view = |(number, hop): (usize, &Hop)| HopView {
            from: self.stage_name(hop.from).to_owned(),
            to: self.stage_name(hop.to).to_owned(),
            windows: (self.seconds.rolling.iter())
                .map(|rolling| self.latency_view(rolling, |clock| hop_hist(number as u16, clock), None))
                .collect(),
        };
        hops.into_iter().map(view).collect()
    }

    /// Percentiles over the clocks of one histogram; exemplars where `span` says which are of this window.
    fn latency_view(&self, rolling: &Rolling, id: impl Fn(Clock) -> HistId, span: Option<Span>) -> LatencyView {
        let clocks = [Clock::Event, Clock::Record, Clock::Mixed];
        let hist = |clock: &Clock| rolling.hists.get(usize::from(id(*clock))).filter(|h| h.count() > 0);
        let used: Vec<Clock> = clocks.into_iter().filter(|c| hist(c).is_some()).collect();
        let mut merged = Histogram::default();
        let all = match used[..] {
            [] => return LatencyView { clock: Clock::NAMES[0], ..LatencyView::default() },
            [one] => hist(&one).unwrap_or(&merged),
            _ => {
                used.iter().filter_map(hist).for_each(|h| merged.merge(h));
                &merged
            }
        };
        let clock = if let [one] = used[..] { Clock::NAMES[one as usize] } else { Clock::NAMES[Clock::Mixed as usize] };
        let codes = QUANTILES.map(|(name, q)| (name, all.quantile(q)));
        let seconds = |i: usize| codes[i].1.map(value_of);
        let shown = codes.into_iter().chain([("max", all.top())]);
        let exemplar = |(at, code): (&'static str, Option<i16>)| {
            let span = span?;
            let (from, to) = (span.from * MICROS_PER_SECOND, span.to * MICROS_PER_SECOND);
            let found = used.iter().find_map(|c| self.state.exemplars.get(id(*c), code?, from, to))?;
            let trace = found.trace.unwrap_or_else(|| derived_trace_id(&self.state.name, &found.transaction));
            let seconds = found.micros as f64 / MICROS_PER_SECOND as f64;
            let transaction_id = found.transaction.clone();
            Some(ExemplarView { at, trace_id: hex(trace), seconds, transaction_id, ended_at: Timestamp(found.cut) })
        };
        LatencyView {
            clock,
            count: all.count(),
            negative: all.negative(),
            p50: seconds(0),
            p95: seconds(1),
            p99: seconds(2),
            max: all.top().map(upper_edge_of),
            exemplars: shown.filter_map(exemplar).collect(),
        }
    }
}
