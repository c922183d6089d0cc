//! The snapshot of a tick, and the durable counters of a checkpoint.

use std::sync::Arc;

use crate::model::{Began, Role, Status, TimedPosition, Timestamp};
use crate::snapshot::{Durable, DurableFlow, DurableStream, EngineView, Snapshot, SourceView, StreamView};

use super::Engine;
use super::account::second;
use super::flow::Flow;
use super::resolve::Clock;
use super::second::HOPS_FROM;
use super::settled::FATES;
use super::source::{Readable, Source};
use super::stream::Stream;

impl Engine {
    /// All that is known at `now`.
    pub(super) fn view(&mut self, now: Timestamp) -> Arc<Snapshot> {
        self.revision += 1;
        for number in 0..self.flows.len() {
            self.view_flow(number as u16, now);
        }
        Arc::new(Snapshot {
            revision: self.revision,
            as_of: now,
            flows: self.flows_by_name().map(|f| Arc::clone(&f.view)).collect(),
            streams: self.stream_index.values().map(|s| self.stream_view(*s)).collect(),
            sources: self.sources.in_order().map(|n| source_view(self.sources.get(n))).collect(),
            engine: self.engine_view(now),
            // Boards of other watchers: the loop that publishes this puts them in.
            lag: Arc::default(),
            dlq: Arc::default(),
        })
    }

    fn flows_by_name(&self) -> impl Iterator<Item = &Flow> {
        let mut flows: Vec<&Flow> = self.flows.iter().collect();
        flows.sort_by(|a, b| a.state.name.cmp(&b.state.name));
        flows.into_iter()
    }

    fn engine_view(&self, now: Timestamp) -> EngineView {
        let ahead = |f: &Flow| f.seconds.range(now.second() + 1, i64::MAX).map(|(_, s)| s.counts.events).sum::<u64>();
        EngineView {
            transactions: self.table.len(),
            tombstones: self.stones.len(),
            dedup_events: self.dedup.len(),
            page_bytes: self.table.page_bytes(),
            future: self.flows.iter().map(ahead).sum(),
            overflow: self.overflow.view(),
            books_error: self.books_error.clone(),
        }
    }

    fn stream_view(&self, number: u16) -> StreamView {
        let stream = &self.streams[usize::from(number)];
        let state = &stream.state;
        let of_stream = self.sources.iter().filter(|(_, s)| s.stream == number && !s.superseded);
        let mut arrivals: Vec<i64> = of_stream.flat_map(|(_, s)| s.arrivals()).collect();
        arrivals.sort_unstable();
        StreamView {
            cluster: state.cluster.clone(),
            stream: state.name.clone(),
            role: match state.role {
                Role::Events => "events",
                Role::Dlq => "dlq",
                Role::Lag => "lag",
            },
            events: unsigned(state.events),
            decode_errors: state.decode_errors.iter().map(|(reason, n)| (reason.name(), *n)).collect(),
            tombstones: state.tombstones,
            opaque: state.opaque,
            per_second: stream.per_second(),
            spans: stream.spans(),
            clock_offset_seconds: arrivals.get(arrivals.len() / 2).map(|m| *m as f64 / 1e6),
            watermark: state.watermark.map(Timestamp),
        }
    }

    /// Counters that never decrease, as of now.
    pub(super) fn durable(&mut self) -> Arc<Durable> {
        self.checkpoints += 1;
        for stream in &mut self.streams {
            stream.state.exported = stream.state.exported.max(unsigned(stream.state.events));
        }
        for flow in self.flows.iter_mut().filter(|f| f.unsaved) {
            let t = &flow.state.totals;
            let others = [t.started, t.recovered, t.after_end, t.evicted, t.late, t.duplicates];
            flow.state.settled.raise(flow.state.stages.iter().map(|s| s.events), others);
        }
        Arc::new(Durable {
            checkpoint: self.checkpoints,
            at: self.now,
            flows: self.flows_by_name().map(durable_flow).collect(),
            streams: self.stream_index.values().map(|s| durable_stream(&self.streams[usize::from(*s)])).collect(),
        })
    }
}

/// A counter for readers: corrections never leave it below 0.
pub(super) fn unsigned(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

fn source_view(source: &Source) -> SourceView {
    let (state, reason) = match &source.state {
        Readable::Opening => ("opening", ""),
        Readable::Reading => ("reading", ""),
        Readable::AtEnd => ("at_end", ""),
        Readable::Unreachable(reason) => ("unreachable", reason.as_str()),
        Readable::Gone if source.superseded => ("gone", "a newer generation took its place"),
        Readable::Gone => ("gone", ""),
    };
    SourceView {
        key: (*source.key).clone(),
        state,
        reason: reason.to_owned(),
        since: Timestamp(source.since),
        next: source.next,
        end: source.end,
        log_start: source.log_start,
        confirmed_at: source.confirmed_at.map(Timestamp),
        expired: source.expired,
        undecodable: source.undecodable,
        watermark: source.watermark().map(Timestamp),
        frontier: source.times.frontier().map(Timestamp),
        waiting: matches!(source.began, Began::Middle(_)) && source.times.is_empty(),
        last: source.last.map(|(position, time)| TimedPosition { position, time: Timestamp(time) }),
    }
}

fn durable_stream(stream: &Stream) -> DurableStream {
    let state = &stream.state;
    DurableStream {
        cluster: state.cluster.clone(),
        stream: state.name.clone(),
        events: state.exported,
        decode_errors: state.decode_errors.iter().map(|(reason, n)| (reason.name(), *n)).collect(),
    }
}

fn durable_flow(flow: &Flow) -> DurableFlow {
    let settled = &flow.state.settled;
    let [started, recovered, after_end, evicted, late, duplicates] = settled.others;
    let mut view = DurableFlow {
        name: flow.state.name.clone(),
        ended: settled.ended,
        started,
        recovered,
        after_end,
        evicted,
        late,
        duplicates,
        ..DurableFlow::default()
    };
    for (stage, counts) in flow.state.stages.iter().zip(&settled.events) {
        let seen = Status::ALL.iter().zip(counts).filter(|(_, n)| **n > 0);
        view.events.extend(seen.map(|(status, n)| (stage.name.clone(), status.name(), *n)));
    }
    for (from, row) in FATES.iter().zip(&settled.corrections) {
        let moved = FATES.iter().zip(row).filter(|(_, n)| **n > 0);
        view.corrections.extend(moved.map(|(to, n)| (*from, *to, *n)));
    }
    for (id, (hist, sum)) in &settled.hists {
        let clock = Clock::NAMES[usize::from(*id) % 3];
        if *id < HOPS_FROM {
            view.durations.push((FATES[usize::from(*id) / 3], clock, hist.view(*sum)));
        } else {
            let hop = flow.state.hops[usize::from(*id - HOPS_FROM) / 3];
            let (from, to) = (flow.stage_name(hop.from).to_owned(), flow.stage_name(hop.to).to_owned());
            view.hops.push((from, to, clock, hist.view(*sum)));
        }
    }
    view
}

/// The second before which the seconds of a flow are complete; where it has no watermark yet, none are.
pub(super) fn complete_to(flow: &Flow) -> i64 {
    flow.state.watermark.map_or(flow.state.first.unwrap_or(0), second)
}
