//! Watermarks: of partitions, of streams, of flows. Seconds before a flow's watermark are complete.

use crate::model::{Role, Timestamp};

use super::Engine;
use super::source::Readable;

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
    /// The watermarks at `now`. They never go back.
    pub(super) fn advance_watermarks(&mut self, now: Timestamp) {
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
        self.low = self.low.max(all.watermark());
        self.dedup.advance(self.low);
        self.copies.advance(self.low);
        self.stones.advance(self.low.map(|l| l.div_euclid(1_000_000)));
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
