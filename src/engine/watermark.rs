//! Watermarks: of partitions, of streams, of flows. Seconds before a flow's watermark are complete.

use crate::model::{MICROS_PER_SECOND, Role, Timestamp};

use super::Engine;
use super::source::{PATIENCE, Readable};

/// What the partitions of a stream, or of several, say together.
#[derive(Clone, Debug)]
struct Mark {
    /// Some partition may hold the watermark back.
    held: bool,
    /// The least watermark of those; `None`: one of them does not know yet.
    least: Option<i64>,
    /// The least watermark of all that exist, whether they can be read or not.
    partial_from: i64,
    /// Partitions that are left out and should be named.
    left_out: Vec<u16>,
    /// Some partition was never read to its end: any flow may lie in it.
    unknown: bool,
}

impl Default for Mark {
    fn default() -> Self {
        Self { held: false, least: Some(i64::MAX), partial_from: i64::MAX, left_out: Vec::new(), unknown: false }
    }
}

impl Mark {
    fn join(&mut self, other: &Self) {
        self.held |= other.held;
        self.least = self.least.min(other.least); // `None` is the least
        self.partial_from = self.partial_from.min(other.partial_from);
        self.left_out.extend(&other.left_out);
        self.unknown |= other.unknown;
    }

    fn watermark(&self) -> Option<i64> {
        self.least.filter(|_| self.held)
    }
}

impl Engine {
    /// True while a cluster that will be read has not said which partitions it has: any flow may lie in them. Like a
    /// partition that cannot be read it is waited for only so long.
    fn awaits_clusters(&mut self, now: i64) -> bool {
        let since = *self.awaited_since.get_or_insert(now);
        if now.saturating_sub(since) >= PATIENCE {
            self.awaited.clear();
        }
        !self.awaited.is_empty()
    }

    /// Lets go of what no flow can meet any more.
    pub(super) fn forget(&mut self) {
        let seen = self.flows.iter().filter(|f| !f.state.streams.is_empty());
        let least = seen.map(|f| f.forgotten).min().flatten();
        self.dedup.advance(least);
        self.copies.advance(least);
        self.stones.advance(least.map(|l| l.div_euclid(MICROS_PER_SECOND)));
    }

    /// The watermarks at `now`. That of a flow never goes back.
    pub(super) fn advance_watermarks(&mut self, now: Timestamp) {
        if self.awaits_clusters(now.0) {
            return;
        }
        let mut marks = vec![Mark::default(); self.streams.len()];
        for number in self.sources.in_order() {
            let source = self.sources.get(number);
            if source.role == Role::Lag || source.superseded {
                continue;
            }
            let mark = &mut marks[usize::from(source.stream)];
            let left_out = source.left_out(now.0);
            if left_out && source.named(now.0) {
                mark.left_out.push(number);
            }
            if left_out && source.state == Readable::Gone {
                continue; // nothing of it is left to read
            }
            let watermark = source.watermark();
            mark.partial_from = mark.partial_from.min(watermark.unwrap_or(i64::MIN));
            mark.unknown |= !source.caught_up;
            if !left_out {
                mark.held = true;
                mark.least = mark.least.min(watermark);
            }
        }
        let mut all = Mark::default();
        let mut unknown = Mark::default();
        for (stream, mark) in self.streams.iter_mut().zip(&marks) {
            stream.advance(mark.watermark());
            all.join(mark);
            if mark.unknown {
                unknown.join(mark);
            }
        }
        self.low = all.watermark();
        for flow in self.flows.iter_mut().filter(|f| !f.state.streams.is_empty()) {
            flow.forgotten = flow.forgotten.max(self.low);
        }
        self.forget();
        for flow in &mut self.flows {
            let mut mark = if flow.state.streams.is_empty() { all.clone() } else { unknown.clone() };
            for stream in flow.state.streams.keys() {
                let of_stream = &marks[usize::from(*stream)];
                if !of_stream.unknown {
                    mark.join(of_stream);
                }
            }
            let watermark = mark.watermark().max(flow.state.watermark);
            if watermark != flow.state.watermark {
                flow.state.watermark = watermark;
                (flow.unsaved, flow.changed) = (true, true);
            }
            if (&flow.left_out, flow.partial_from) != (&mark.left_out, mark.partial_from) {
                (flow.left_out, flow.partial_from) = (mark.left_out, mark.partial_from);
                flow.changed = true;
            }
        }
    }
}
