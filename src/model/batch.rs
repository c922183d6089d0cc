//! What crosses the channel from the readers to the engine.

use std::sync::Arc;

use super::{Began, Event, Role, SourceKey, Timestamp};

/// Consecutive records of one partition, decoded. Applied all or nothing.
#[derive(Debug)]
pub struct Batch {
    /// Which partition.
    pub source: Arc<SourceKey>,
    /// First position that this batch covers.
    pub from: u64,
    /// Next position after it. Positions in `from..to` without an event are holes (compaction, aborts, markers).
    pub to: u64,
    /// The events in position order.
    pub events: Vec<Event>,
    /// The texts of the events.
    pub text: String,
    /// Wall clock of the reader when it closed the batch; for health numbers only.
    pub observed: Timestamp,
    /// Leader epoch of the last record, -1 unknown.
    pub leader_epoch: i32,
}

/// A fetch confirmed where the log ends.
#[derive(Clone, Debug)]
pub struct Tail {
    /// Which partition.
    pub source: Arc<SourceKey>,
    /// Next position that we will read. `== end` means: nothing unread.
    pub next: u64,
    /// Last stable end of the log.
    pub end: u64,
    /// First position that the log still has.
    pub log_start: u64,
    /// Wall clock of the confirmation.
    pub at: Timestamp,
}

/// A partition that will be read from `next` on. Sent before its first batch, durable before its first read.
#[derive(Clone, Debug)]
pub struct SourceOpen {
    /// Which partition.
    pub source: Arc<SourceKey>,
    /// Identity of the generation at the broker.
    pub incarnation: String,
    /// First position to read.
    pub next: u64,
    /// First position that the log still has: `log_start > next` is a gap.
    pub log_start: u64,
    /// How reading began.
    pub began: Began,
    /// What the stream carries.
    pub role: Role,
    /// True where the broker assigns record times in log order (LogAppendTime, embedded, Redis, NATS).
    pub append_time: bool,
    /// Wall clock.
    pub at: Timestamp,
}

/// Where a log is read on after it was cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCut {
    /// Which partition.
    pub source: Arc<SourceKey>,
    /// Next position that we will read; not behind the one before. What is written there is new.
    pub next: u64,
    /// True where the log was cut at `next`. False: nobody knows where, so what has counted is not read again, and what
    /// was written in its place is not read at all.
    pub known: bool,
}

/// Whether a partition can be read at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceState {
    /// Records are unread and come in.
    Reading,
    /// Nothing is unread.
    AtEnd,
    /// It cannot be read; since when and why, in words for an operator.
    Unreachable(String),
    /// The stream or partition no longer exists at the broker.
    Gone,
}

/// All that the engine takes. A recorded sequence of these replays exactly.
#[derive(Debug)]
pub enum Input {
    /// A partition joins.
    Open(SourceOpen),
    /// All partitions that this cluster has at our start have joined. Once for each reader.
    Announced(Arc<str>),
    /// Records.
    Batch(Batch),
    /// The end was confirmed.
    Tail(Tail),
    /// A partition's state changed.
    State(Arc<SourceKey>, SourceState, Timestamp),
    /// Log start overtook our position: records `from..to` expired unread.
    Gap(Arc<SourceKey>, u64, u64, Timestamp),
    /// The log was cut: an unclean leader election, an older copy put back.
    Cut(LogCut),
    /// The clock: publish a snapshot.
    Tick(Timestamp),
    /// Hand out all changes since the last checkpoint.
    Checkpoint,
    /// Somebody waits for an answer: look at the desks. Changes nothing.
    Asked,
}
