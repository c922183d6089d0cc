//! What is missing from a log: records that expired unread, and logs that were cut.

use std::sync::Arc;

use crate::model::{MICROS_PER_SECOND, Timestamp};

use super::Engine;
use super::flow::{Flow, Revisit};
use super::lifecycle::LEAVE_AFTER;
use super::stream::Stream;

impl Engine {
    /// A leader without the newest records was elected. What was read of them has counted and cannot be told from
    /// what takes its place. Where only holes were lost, nothing has counted.
    pub(super) fn cut_back(&mut self, number: u16, to: u64, known: bool) {
        let source = self.sources.get_mut(number);
        let lost = source.cut_back(to, known);
        if lost == 0 && known {
            return;
        }
        let (key, stream, next) = (Arc::clone(&source.key), source.stream, source.next);
        let (name, partition) = (&key.stream, key.partition);
        let what = match known {
            true => format!("was cut by {lost} positions that had been read"),
            false => format!("was cut, nobody knows where: what was written anew before position {next} was not read"),
        };
        let words = format!("the log of stream {name}, partition {partition}, {what}");
        for flow in self.flows.iter_mut().filter(|f| f.state.streams.contains_key(&stream)) {
            let since = flow.state.first.unwrap_or(0).saturating_mul(MICROS_PER_SECOND);
            flow.inexact(since, &words);
        }
    }

    pub(super) fn expired(&mut self, number: u16, from: u64, to: u64, at: Timestamp) {
        let source = self.sources.get_mut(number);
        let from = from.max(source.next);
        if to <= from {
            return;
        }
        source.expired += to - from;
        source.skip_to(to);
        let known_to = source.known_to();
        let stream_number = source.stream;
        let stream = &mut self.streams[usize::from(stream_number)];
        stream.state.holes.open(number, known_to.unwrap_or(i64::MIN));
        // Where nothing is known of the partition: since the stream's beginning, as far as anybody can tell.
        let first = stream.state.first.map(|s| s.saturating_mul(MICROS_PER_SECOND));
        let since = known_to.or(first).unwrap_or(at.0);
        stream.state.gap_since = Some(stream.state.gap_since.map_or(since, |s| s.min(since)));
        stream.unsaved = true;
        self.holes_changed(stream_number, known_to.unwrap_or(i64::MIN));
        let words = expired_words(&self.streams[usize::from(stream_number)]);
        for flow in self.flows.iter_mut().filter(|f| f.state.streams.contains_key(&stream_number)) {
            flow.inexact(since, &words);
        }
    }

    /// A record at `cut` could not be decoded.
    pub(super) fn spoiled(&mut self, stream: u16, cut: i64) {
        self.streams[usize::from(stream)].state.holes.add(cut, cut);
        self.holes_changed(stream, cut);
        for flow in self.flows.iter_mut().filter(|f| f.state.streams.contains_key(&stream)) {
            flow.verdicts_gone(cut);
        }
    }

    /// Verdicts behind the watermark of the flows of a stream may change: a hole begins at `from`.
    pub(super) fn holes_changed(&mut self, stream: u16, from: i64) {
        for flow in self.flows.iter_mut().filter(|f| f.state.streams.contains_key(&stream)) {
            if flow.rules.timeout.is_some() && flow.state.watermark > Some(from) {
                flow.revisit(Revisit::Verdicts);
            }
        }
    }
}

impl Flow {
    /// A hole touches verdicts from `cut` on: those that were put away cannot be changed any more.
    pub(super) fn verdicts_gone(&mut self, cut: i64) {
        if self.rules.timeout.is_some() && self.state.watermark > Some(cut.saturating_add(LEAVE_AFTER)) {
            self.inexact(cut, "a record that could not be decoded touches a timeout that had been put away");
        }
    }
}

/// Why the numbers of a flow in `stream` are not exact.
pub(super) fn expired_words(stream: &Stream) -> String {
    format!("records of stream {} expired before they were read", stream.state.name)
}
