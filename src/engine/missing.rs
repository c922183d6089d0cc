//! What is missing from a log: records that expired unread, and logs that were cut.

use std::sync::Arc;

use crate::model::{MICROS_PER_SECOND, Timestamp};

use super::Engine;
use super::flow::Revisit;
use super::stream::Stream;

impl Engine {
    /// A leader without the newest records was elected. What was read of them has counted and cannot be told from
    /// what takes its place.
    pub(super) fn cut_back(&mut self, number: u16, to: u64) {
        let source = self.sources.get_mut(number);
        let (key, lost) = (Arc::clone(&source.key), source.next - to);
        source.cut_back(to);
        let stream = source.stream;
        let (name, partition) = (&key.stream, key.partition);
        let words =
            format!("the log of stream {name}, partition {partition}, was cut by {lost} positions that had been read");
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
        source.next = to;
        source.unsaved = true;
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

    /// Verdicts behind the watermark of the flows of a stream may change: a hole begins at `from`.
    pub(super) fn holes_changed(&mut self, stream: u16, from: i64) {
        for flow in self.flows.iter_mut().filter(|f| f.state.streams.contains_key(&stream)) {
            if flow.rules.timeout.is_some() && flow.state.watermark > Some(from) {
                flow.revisit(Revisit::Verdicts);
            }
        }
    }
}

/// Why the numbers of a flow in `stream` are not exact.
pub(super) fn expired_words(stream: &Stream) -> String {
    format!("records of stream {} expired before they were read", stream.state.name)
}
