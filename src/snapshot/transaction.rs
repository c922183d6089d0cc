//! One transaction as the engine knows it in the moment when it is asked: an answer, not a part of the snapshot.

use crate::model::{Outcome, Status, Timestamp};

/// Whose question: flow and transaction id.
pub type TransactionKey = (String, String);

/// What is known of a transaction. Of one that has left the memory only its end is: then `events` is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionView {
    /// Flow.
    pub flow: String,
    /// Transaction id.
    pub transaction_id: String,
    /// Where it stands.
    pub state: TransactionState,
    /// How it ended, after a recovery `ok`; `None` where it has not, or where that is not known.
    pub outcome: Option<Outcome>,
    /// True where it was dead-lettered or timed out first and ended `ok` later.
    pub recovered: bool,
    /// Reading began in the middle of it: it has no latency.
    pub joined: bool,
    /// Cut time of its first event.
    pub started_at: Option<Timestamp>,
    /// Cut time of its first end; of one that has left its second.
    pub ended_at: Option<Timestamp>,
    /// Cut time of the `ok` that recovered it, while it is known.
    pub recovered_at: Option<Timestamp>,
    /// End-to-end latency.
    pub latency: Option<Measured>,
    /// What it waits for, while it is in flight.
    pub waits: Option<Waits>,
    /// When it counts as timed out, while it is in flight and its flow has a timeout.
    pub times_out_at: Option<Timestamp>,
    /// Its events by order key.
    pub events: Option<Vec<TransactionEvent>>,
    /// True where it had more events than are kept: some are missing.
    pub truncated: bool,
    /// Trace id, 32 hex digits; empty where it is neither carried nor can be derived.
    pub trace_id: String,
    /// True where an event carried it; false: it is the one of the contract, and nobody has exported spans under it.
    pub trace_carried: bool,
    /// Until when (of the watermark) this much is known; `None` while it is in flight.
    pub kept_until: Option<Timestamp>,
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionState {
    /// Started and not ended.
    InFlight,
    /// Ended.
    Ended,
    /// Past its deadline across a hole in a log: whether it ended is not known.
    Unexplained,
    /// Quiet for long, in a flow that does not say how a transaction ends.
    OpenEnded,
    /// Pushed out of memory by a bound before it ended.
    Evicted,
}

impl TransactionState {
    /// The name in JSON and in addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Ended => "ended",
            Self::Unexplained => "unexplained",
            Self::OpenEnded => "open_ended",
            Self::Evicted => "evicted",
        }
    }
}

/// A signed duration, and whose clocks measured it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// Seconds.
    pub seconds: f64,
    /// `event`, `record` or `mixed`.
    pub clock: &'static str,
}

/// What a transaction in flight waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Waits {
    /// The stage whose event is awaited (declared flows), else the last one seen.
    pub stage: String,
    /// False where that stage was seen: what comes next is not known.
    pub awaited: bool,
    /// Cut time of its last event.
    pub since: Timestamp,
    /// Seconds since then, by the clock of the newest tick.
    pub seconds: f64,
    /// After so many seconds it counts as stuck; `None` while that is not known.
    pub deadline_seconds: Option<f64>,
    /// True where the deadline was learned, not configured.
    pub deadline_learned: bool,
    /// True where it counts as stuck.
    pub stuck: bool,
}

/// What an event means for its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// It is one of its steps.
    Step,
    /// It ended it.
    End,
    /// It ended it `ok` after a dead letter or a timeout.
    Recovery,
    /// It came after the end and changed nothing.
    AfterEnd,
}

impl Meaning {
    /// The name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::End => "end",
            Self::Recovery => "recovery",
            Self::AfterEnd => "after_end",
        }
    }
}

/// One event of a transaction. Its own id and service are not kept in memory: the record at its position has them.
#[derive(Clone, Debug, PartialEq)]
pub struct TransactionEvent {
    /// Stage.
    pub stage: String,
    /// Status at the stage.
    pub status: Status,
    /// The outcome that it carries; dead-lettered for everything in a stream of dead letters.
    pub outcome: Option<Outcome>,
    /// What it means.
    pub meaning: Meaning,
    /// The producer's time; `None` where it gave none.
    pub event_time: Option<Timestamp>,
    /// The log's time, where it is still known: of records whose producers set it only the cut time is kept.
    pub record_time: Option<Timestamp>,
    /// Cut time: which second it counts in.
    pub cut_time: Timestamp,
    /// How long the hop to it took, and from which stage; `None` where it is no hop.
    pub hop: Option<(String, Measured)>,
    /// Cluster by name.
    pub cluster: String,
    /// Stream.
    pub stream: String,
    /// Generation of the stream.
    pub generation: u32,
    /// Partition.
    pub partition: u32,
    /// Position.
    pub position: u64,
    /// True where the stream carries dead letters.
    pub dead_letter: bool,
}
