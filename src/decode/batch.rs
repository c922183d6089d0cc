//! Fills a [`Batch`]: events of fixed size and one arena for their texts. Buffers are used again.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{Batch, Event, SourceKey, TextSpan, Timestamp};

/// Events after which a batch should be closed: 512 amortise the channel, and are gone in 5 ms at full speed.
pub const BATCH_EVENTS: usize = 512;

/// Bytes of text after which a batch should be closed: 512 events at 256 bytes a field stay below it.
pub const BATCH_TEXT_BYTES: usize = 1 << 20;

/// Batches held for the readers: those that wait for the engine, the one that it applies, and one per reader.
const SPARES: usize = 12;

/// Bytes of text above which a batch is given back to the allocator: one with long texts is no measure for others.
const SPARE_TEXT_BYTES: usize = 256 << 10;

/// Applied batches on their way back to the readers, so that the next ones need no memory of their own.
/// Clones share it. What is not taken in time goes back to the allocator.
#[derive(Clone, Debug, Default)]
pub struct Spares(Arc<Mutex<Vec<Batch>>>);

impl Spares {
    /// Takes a batch that nobody needs any more.
    pub fn give(&self, batch: Batch) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() < SPARES && batch.text.capacity() <= SPARE_TEXT_BYTES {
            held.push(batch);
        }
    }

    /// The one that was given last: it may still lie in a cache.
    #[must_use]
    pub fn take(&self) -> Option<Batch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

/// Names that mostly repeat from event to event; their text is stored once while it does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Repeated {
    Flow,
    Stage,
    Service,
    Error,
}

/// Takes decoded events and hands out finished batches.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    events: Vec<Event>,
    text: String,
    last: [TextSpan; 4],
}

impl BatchBuilder {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the buffers of a batch that was applied, so that the next ones need no memory of their own.
    /// Ignored while events are waiting in this builder.
    pub fn recycle(&mut self, batch: Batch) {
        if self.events.is_empty() {
            (self.events, self.text) = (batch.events, batch.text);
            self.clear();
        }
    }

    /// Makes room for a batch where there is none: that of a batch that was applied, or new.
    pub fn refill(&mut self, spares: &Spares) {
        if self.events.capacity() > 0 {
            return;
        }
        match spares.take() {
            Some(batch) => self.recycle(batch),
            None => self.events.reserve(BATCH_EVENTS),
        }
    }

    /// True where nothing is waiting.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Events waiting.
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// True once the batch should be closed. More may be pushed; it only grows.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.events.len() >= BATCH_EVENTS || self.text.len() >= BATCH_TEXT_BYTES
    }

    /// The events so far.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The arena that the spans of [`Self::events`] lie in.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Drops what is waiting and keeps the buffers.
    pub fn clear(&mut self) {
        self.events.clear();
        self.text.clear();
        self.last = [TextSpan::EMPTY; 4];
    }

    /// Closes the batch: it covers the positions `from..to`; `observed` is the reader's wall clock.
    pub fn finish(
        &mut self,
        source: Arc<SourceKey>,
        from: u64,
        to: u64,
        observed: Timestamp,
        leader_epoch: i32,
    ) -> Batch {
        let (events, text) = (std::mem::take(&mut self.events), std::mem::take(&mut self.text));
        self.clear();
        Batch { source, from, to, events, text, observed, leader_epoch }
    }

    pub(super) fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Stores a text; `None` where the arena would pass 4 GiB.
    pub(super) fn store(&mut self, text: &str) -> Option<TextSpan> {
        let (Ok(start), Ok(len)) = (u32::try_from(self.text.len()), u32::try_from(text.len())) else { return None };
        start.checked_add(len)?;
        self.text.push_str(text);
        Some(TextSpan { start, len })
    }

    /// Stores a name, or points at the same name of an event before it.
    pub(super) fn store_name(&mut self, which: Repeated, text: &str) -> Option<TextSpan> {
        let last = self.last[which as usize];
        if last.of(&self.text) == text {
            return Some(last);
        }
        let span = self.store(text)?;
        self.last[which as usize] = span;
        Some(span)
    }
}
