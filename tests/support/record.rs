//! Records as they lie in a log, with texts of their own, and what of them was read.

use std::sync::Arc;

use streamgauge::model::{
    Batch, Began, Event, FlowSpec, Kind, Outcome, Role, SourceKey, Status, TextSpan, Timestamp, TraceContext,
};

/// One record of a partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Record {
    /// Offset.
    pub position: u64,
    /// World time at which it can be read.
    pub visible: Timestamp,
    /// What the log wrote beside it.
    pub record_time: Option<Timestamp>,
    /// The producer's time.
    pub event_time: Option<Timestamp>,
    /// Start of the transaction in the producer's words.
    pub started_at: Option<Timestamp>,
    /// Event id; empty = none.
    pub id: String,
    /// Transaction id; empty = none.
    pub transaction: String,
    /// Flow.
    pub flow: String,
    /// Stage.
    pub stage: String,
    /// Trace context.
    pub trace: Option<TraceContext>,
    /// Status at the stage.
    pub status: Status,
    /// Explicit outcome.
    pub outcome: Option<Outcome>,
    /// Times redriven.
    pub redrive: u8,
    /// What it is.
    pub kind: Kind,
}

/// One partition as the world wrote it.
#[derive(Clone, Debug)]
pub struct Partition {
    /// Its key.
    pub key: SourceKey,
    /// Identity of the generation.
    pub incarnation: String,
    /// What the stream carries.
    pub role: Role,
    /// Record times are the broker's, in log order.
    pub append_time: bool,
    /// World time at which the partition exists.
    pub created: Timestamp,
    /// World time at which it was deleted with its topic.
    pub deleted: Option<Timestamp>,
    /// True: reading begins at its end when first seen (`latest`); else at its beginning.
    pub latest: bool,
    /// Records in order of position; positions may have holes.
    pub records: Vec<Record>,
    /// `(world time, position)`: from then on the log has nothing before this position.
    pub expiry: Vec<(Timestamp, u64)>,
}

/// Everything that happens in one run.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What is configured.
    pub flows: Vec<FlowSpec>,
    /// What is written.
    pub partitions: Vec<Partition>,
    /// First moment.
    pub begins: Timestamp,
    /// Last moment at which anything is written.
    pub ends: Timestamp,
}

/// One partition as far as it was read: all that the oracle is told.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its key.
    pub key: SourceKey,
    /// What the stream carries.
    pub role: Role,
    /// Record times are the broker's.
    pub append_time: bool,
    /// How reading began.
    pub began: Began,
    /// The records read, in order of position.
    pub records: Vec<Record>,
    /// What expired unread.
    pub gaps: Vec<Gap>,
}

/// Positions that expired unread.
#[derive(Clone, Copy, Debug)]
pub struct Gap {
    /// First position.
    pub from: u64,
    /// The first one behind.
    pub to: u64,
    /// When the end of the log was confirmed to be where reading stood, for the last time before.
    pub confirmed: Option<Timestamp>,
}

impl Partition {
    /// The partition read whole, from its beginning.
    pub fn read_whole(&self) -> Seen {
        Seen {
            key: self.key.clone(),
            role: self.role,
            append_time: self.append_time,
            began: Began::Beginning,
            records: self.records.clone(),
            gaps: Vec::new(),
        }
    }
}

/// A key from literals.
pub fn source(stream: &str, generation: u32, partition: u32) -> SourceKey {
    SourceKey { cluster: Arc::from("main"), stream: Arc::from(stream), generation, partition }
}

/// A batch of these records that covers `from..to`.
pub fn batch(key: &Arc<SourceKey>, from: u64, to: u64, records: &[Record], observed: Timestamp) -> Batch {
    let mut text = String::new();
    let mut put = |s: &str| {
        let span = TextSpan { start: text.len() as u32, len: s.len() as u32 };
        text.push_str(s);
        span
    };
    let events = records
        .iter()
        .map(|r| Event {
            position: r.position,
            record_time: r.record_time,
            event_time: r.event_time,
            started_at: r.started_at,
            id: put(&r.id),
            transaction: put(&r.transaction),
            flow: put(&r.flow),
            stage: put(&r.stage),
            service: TextSpan::EMPTY,
            error: TextSpan::EMPTY,
            trace: r.trace,
            status: r.status,
            outcome: r.outcome,
            redrive: r.redrive,
            kind: r.kind,
        })
        .collect();
    Batch { source: Arc::clone(key), from, to, events, text, observed, leader_epoch: 0 }
}
