//! One decoded event: fixed size; its texts lie in the arena of its [`super::Batch`].

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What one event says about its stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Status {
    /// The stage was done.
    #[default]
    Ok = 0,
    /// The stage was tried and will be tried again.
    Retried = 1,
    /// The stage failed for good.
    Failed = 2,
    /// The stage was undone by a compensation.
    Compensated = 3,
    /// The event was put aside as a dead letter.
    DeadLettered = 4,
}

impl Status {
    /// All statuses in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Retried, Self::Failed, Self::Compensated, Self::DeadLettered];

    /// The name on the wire, in metrics and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Compensated => "compensated",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Outcome {
    /// It did what it was for.
    Ok = 0,
    /// It failed.
    Failed = 1,
    /// It was undone.
    Compensated = 2,
    /// It lies in a dead letter stream.
    DeadLettered = 3,
    /// Its flow's timeout passed first. Never on the wire: a verdict of the engine.
    TimedOut = 4,
}

impl Outcome {
    /// All outcomes in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Ok, Self::Failed, Self::Compensated, Self::DeadLettered, Self::TimedOut];

    /// The name on the wire, in metrics and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Compensated => "compensated",
            Self::DeadLettered => "dead_lettered",
            Self::TimedOut => "timed_out",
        }
    }
}

/// A W3C trace context as it came with the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// Never all zero.
    pub trace_id: [u8; 16],
    /// Never all zero.
    pub span_id: [u8; 8],
    /// W3C trace flags; bit 0 is `sampled`.
    pub flags: u8,
}

/// A range of the batch's text arena. Empty = the event did not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextSpan {
    /// First byte.
    pub start: u32,
    /// Length in bytes.
    pub len: u32,
}

impl TextSpan {
    /// Nothing was said.
    pub const EMPTY: Self = Self { start: 0, len: 0 };

    /// True where the event did not say.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// The text in its arena.
    ///
    /// # Panics
    /// If the span belongs to another arena: a defect of ours.
    #[must_use]
    pub fn of(self, arena: &str) -> &str {
        &arena[self.start as usize..(self.start + self.len) as usize]
    }
}

/// Why a record could not be decoded. Bounded: it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecodeReason {
    /// Not the JSON that the stream's format promises.
    InvalidJson,
    /// Nested deeper than the cap.
    TooDeep,
    /// Payload above `limits.payload_bytes`.
    TooLarge,
    /// A field has the wrong type or an impossible value.
    WrongType,
    /// A field that the format needs is absent.
    MissingField,
    /// A time that is none, or lies outside of year 1970 to 2200.
    BadTime,
    /// Text that is not UTF-8.
    NotUtf8,
    /// A CloudEvents envelope of an unknown version or format.
    BadEnvelope,
    /// A field above its cap of bytes.
    FieldTooLong,
}

impl DecodeReason {
    /// The label value in metrics and the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid_json",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::WrongType => "wrong_type",
            Self::MissingField => "missing_field",
            Self::BadTime => "bad_time",
            Self::NotUtf8 => "not_utf8",
            Self::BadEnvelope => "bad_envelope",
            Self::FieldTooLong => "field_too_long",
        }
    }
}

/// What a record turned out to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// An event of a transaction (flow, transaction and stage are set).
    #[default]
    Event,
    /// A record that says nothing of a transaction: counted as an event of its stream only.
    Opaque,
    /// A record without a value (a deletion marker of a compacted topic, a null payload): counted, nothing more.
    Tombstone,
    /// A record that should be an event and is not.
    Undecodable(DecodeReason),
}

/// One record of a log after decoding. Copy-sized; the texts are spans of the batch's arena.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Event {
    /// Offset or sequence in its partition.
    pub position: u64,
    /// What the log wrote beside the record; `None` where it wrote nothing (Kafka timestamp -1).
    pub record_time: Option<Timestamp>,
    /// The producer's time, from the payload.
    pub event_time: Option<Timestamp>,
    /// When the producer says that the transaction began.
    pub started_at: Option<Timestamp>,
    /// Event id; empty = the position is the id.
    pub id: TextSpan,
    /// Transaction id.
    pub transaction: TextSpan,
    /// Flow name.
    pub flow: TextSpan,
    /// Stage name.
    pub stage: TextSpan,
    /// Service that wrote it.
    pub service: TextSpan,
    /// Error code.
    pub error: TextSpan,
    /// Trace context, from headers before payload.
    pub trace: Option<TraceContext>,
    /// Status at the stage.
    pub status: Status,
    /// Outcome of the transaction, where the event ends it.
    pub outcome: Option<Outcome>,
    /// How often this record was redriven from a dead letter stream.
    pub redrive: u8,
    /// What the record turned out to be.
    pub kind: Kind,
}
