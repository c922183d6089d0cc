//! One partition on its way to the engine: batches, confirmations, gaps, states.

use std::sync::Arc;

use super::cursor::{Cursor, Stuck};
use super::frame::RecordView;
use super::partition::Partition;
use super::read::HungUp;
use crate::broker::{DecodeSample, ReadContext, preview};
use crate::decode::{BatchBuilder, Decoder, Header, Record, Undecodable};
use crate::model::{Input, LogCut, SourceKey, SourceState, Tail, Timestamp};

/// Headers that are handed on without allocating; events have one or two.
const FEW_HEADERS: usize = 8;

/// One partition that is read.
pub(super) struct Source {
    pub key: Arc<SourceKey>,
    pub incarnation: String,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// True once its first position is durable: it may be read.
    pub durable: bool,
    /// True once it is read.
    pub started: bool,
    /// Record time of the last record read.
    pub frontier: Timestamp,
    /// It could not be read: not to be tried before.
    pub retry_at: Timestamp,
    /// When its end was last confirmed.
    pub confirmed_at: Timestamp,
    /// True from reaching the end until that is confirmed.
    pub reached: bool,
    partition: Arc<Partition>,
    cursor: Cursor,
    decoder: Arc<Decoder>,
    builder: BatchBuilder,
    told: Option<SourceState>,
}

impl Source {
    pub(super) fn new(
        key: Arc<SourceKey>,
        incarnation: String,
        partition: Arc<Partition>,
        next: u64,
        decoder: Arc<Decoder>,
        opened_at: Timestamp,
    ) -> Self {
        let (past, cursor) = (Timestamp(i64::MIN), Cursor::new(Arc::clone(&partition), next));
        Self {
            key,
            incarnation,
            opened_at,
            durable: false,
            started: false,
            frontier: past,
            retry_at: past,
            confirmed_at: past,
            reached: true,
            partition,
            cursor,
            decoder,
            builder: BatchBuilder::new(),
            told: None,
        }
    }

    /// True where there is something to do: records, or a position that the log cannot have given out.
    pub(super) fn unread(&self) -> bool {
        self.partition.view().end != self.cursor.next()
    }

    /// In words, while it cannot be read.
    pub(super) fn trouble(&self) -> Option<String> {
        match &self.told {
            Some(SourceState::Unreachable(reason)) => {
                Some(format!("{} partition {}: {reason}", self.key.stream, self.key.partition))
            }
            _ => None,
        }
    }

    /// Reads up to a batch and sends it. In words, why it cannot be read.
    pub(super) fn read_batch(&mut self, context: &ReadContext) -> Result<Option<String>, HungUp> {
        let (log_start, end) = {
            let view = self.partition.view();
            (view.log_start(), view.end)
        };
        if self.cursor.next() > end {
            self.cut_to(end, context)?;
        }
        self.gap_to(log_start, context)?;
        let from = self.cursor.next();
        let mut stuck = None;
        self.builder.refill(&context.spares);
        while !self.builder.is_full() {
            match self.cursor.record() {
                Ok(Some(record)) => {
                    self.frontier = self.frontier.max(record.record_time);
                    if let Err(undecodable) = decode(&record, &self.decoder, &mut self.builder) {
                        sample(&self.key, &record, undecodable, context);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    stuck = Some(error);
                    break;
                }
            }
        }
        let to = self.cursor.next();
        if to > from {
            let batch = self.builder.finish(Arc::clone(&self.key), from, to, (context.now)(), -1);
            context.out.send(Input::Batch(batch)).map_err(|_| HungUp)?;
        }
        match stuck {
            // The gap is found at the next look.
            Some(Stuck::Expired) => self.cursor = Cursor::new(Arc::clone(&self.partition), to),
            Some(stuck) => {
                self.cursor = Cursor::new(Arc::clone(&self.partition), to);
                return Ok(Some(stuck.to_string()));
            }
            None => {}
        }
        self.reached = !self.unread();
        if !self.reached {
            self.tell(SourceState::Reading, context)?;
        }
        Ok(None)
    }

    /// The log ends before what was read of it: restored from an older copy, or cut. What is appended now is new.
    fn cut_to(&mut self, end: u64, context: &ReadContext) -> Result<(), HungUp> {
        let SourceKey { stream, partition, .. } = &*self.key;
        tracing::warn!(%stream, partition, next = self.cursor.next(), end, "the log was cut: reading goes on at its end");
        let cut = LogCut { source: Arc::clone(&self.key), next: end, known: true };
        context.out.send(Input::Cut(cut)).map_err(|_| HungUp)?;
        self.cursor = Cursor::new(Arc::clone(&self.partition), end);
        Ok(())
    }

    fn gap_to(&mut self, log_start: u64, context: &ReadContext) -> Result<(), HungUp> {
        let next = self.cursor.next();
        if log_start > next {
            let gap = Input::Gap(Arc::clone(&self.key), next, log_start, (context.now)());
            context.out.send(gap).map_err(|_| HungUp)?;
            self.cursor.skip_to(log_start);
        }
        Ok(())
    }

    /// Says where the log ends, and up to when that is all.
    pub(super) fn confirm(&mut self, context: &ReadContext) -> Result<(), HungUp> {
        let now = (context.now)();
        self.confirmed_at = now;
        let (end, log_start, at) = {
            let view = self.partition.view();
            (view.end, view.log_start(), view.settled(now))
        };
        let next = self.cursor.next();
        let Some(at) = at.filter(|_| next <= end) else { return Ok(()) };
        let tail = Tail { source: Arc::clone(&self.key), next, end, log_start, at };
        context.out.send(Input::Tail(tail)).map_err(|_| HungUp)?;
        self.reached = false;
        if next == end {
            self.cursor.rest();
            self.tell(SourceState::AtEnd, context)?;
        }
        Ok(())
    }

    /// Tells the engine a state that it does not know yet.
    pub(super) fn tell(&mut self, state: SourceState, context: &ReadContext) -> Result<(), HungUp> {
        if self.told.as_ref() == Some(&state) {
            return Ok(());
        }
        self.told = Some(state.clone());
        let input = Input::State(Arc::clone(&self.key), state, (context.now)());
        context.out.send(input).map_err(|_| HungUp)
    }
}

/// Decodes a record through the decoder of every broker.
fn decode(view: &RecordView<'_>, decoder: &Decoder, out: &mut BatchBuilder) -> Result<(), Undecodable> {
    let mut few: [Header<'_>; FEW_HEADERS] = [(&[], None); FEW_HEADERS];
    let mut used = 0;
    for (place, (name, value)) in few.iter_mut().zip(view.headers()) {
        *place = (name, Some(value));
        used += 1;
    }
    let many: Vec<Header<'_>> = match view.headers().nth(FEW_HEADERS) {
        None => Vec::new(),
        Some(_) => view.headers().map(|(name, value)| (name, Some(value))).collect(),
    };
    let record = Record {
        position: view.position,
        key: view.key,
        payload: view.payload,
        headers: if many.is_empty() { &few[..used] } else { &many },
        record_time: Some(view.record_time),
    };
    decoder.decode(&record, out)
}

/// A sample for the status page; dropped where nobody has room for it, the event was counted.
fn sample(key: &SourceKey, view: &RecordView<'_>, undecodable: Undecodable, context: &ReadContext) {
    let _ = context.samples.try_send(DecodeSample {
        cluster: key.cluster.to_string(),
        stream: key.stream.to_string(),
        partition: key.partition,
        position: view.position,
        reason: undecodable.reason,
        detail: undecodable.detail,
        preview: preview(view.payload.unwrap_or_default()),
        at: (context.now)(),
    });
}
