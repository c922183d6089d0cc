//! What the configuration says about streams, flows and bounds, in the words of the core.

use std::time::Duration;

use serde::Deserialize;

use super::{Outcome, Timestamp};

/// What a stream carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Events of transactions.
    #[default]
    Events,
    /// Dead letters.
    Dlq,
    /// Lag events.
    Lag,
}

/// Where reading starts, on first sight only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the end, resolved and stored before the first read.
    #[default]
    Latest,
    /// At the beginning.
    Earliest,
    /// At the first record at or after a time.
    At(Timestamp),
}

/// How payloads are decoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// CloudEvents, schema-registry framing, event v1 JSON, else opaque: in this order.
    #[default]
    Auto,
    /// Event v1 only.
    Event,
    /// CloudEvents only.
    CloudEvents,
    /// Anybody's JSON through a map.
    Mapped(Box<Mapping>),
    /// Counted only.
    Opaque,
}

/// Where a mapped field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldPath {
    /// JSON pointer (RFC 6901), split and unescaped.
    Pointer(Vec<String>),
    /// Header of this name.
    Header(String),
    /// Field of a Redis entry.
    Field(String),
    /// The record's key as text.
    Key,
    /// A constant.
    Const(String),
}

/// An outcome by the value of a field. Values that are not listed do not end the transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeMap {
    /// Where the value comes from.
    pub from: FieldPath,
    /// Value to outcome.
    pub values: Vec<(String, Outcome)>,
}

/// `[stream.map]`: how anybody's JSON becomes an event. Absent = the default of event v1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    /// Flow name; without it `default`.
    pub flow: Option<FieldPath>,
    /// Transaction id; without it the record counts as an event only.
    pub transaction_id: Option<FieldPath>,
    /// Stage; without it the stream's name.
    pub stage: Option<FieldPath>,
    /// Event id; without it the position.
    pub id: Option<FieldPath>,
    /// Event time; without it the record time.
    pub event_time: Option<FieldPath>,
    /// When the transaction began.
    pub started_at: Option<FieldPath>,
    /// Status (`ok retried failed compensated dead_lettered`); without it `ok`.
    pub status: Option<FieldPath>,
    /// Service.
    pub service: Option<FieldPath>,
    /// Error code.
    pub error: Option<FieldPath>,
    /// W3C traceparent.
    pub traceparent: Option<FieldPath>,
    /// Outcome by value.
    pub outcome: Option<OutcomeMap>,
}

/// A stream by its exact name or by a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamName {
    /// Exactly this stream.
    Exact(String),
    /// Every stream whose name matches this regular expression, also those made later.
    Pattern(String),
}

/// One `[[stream]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct StreamSpec {
    /// Cluster by name.
    pub cluster: String,
    /// Which streams.
    pub name: StreamName,
    /// What they carry.
    pub role: Role,
    /// First start only.
    pub start: Start,
    /// How payloads are decoded.
    pub format: Format,
}

/// The longest timeout of a flow: a transaction in flight that long occupies memory that long, and as long it matters
/// where records are missing.
pub const TIMEOUT_MAX: Duration = Duration::from_hours(30 * 24);

/// One `[[flow]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowSpec {
    /// Name.
    pub name: String,
    /// Stages in display order; empty = as seen.
    pub stages: Vec<String>,
    /// Stages that end a transaction.
    pub ends_at: Vec<String>,
    /// A transaction not ended by then is `timed_out`; at most [`TIMEOUT_MAX`].
    pub timeout: Option<Duration>,
    /// Deadlines of stages for `stuck`; others are learned.
    pub stage_deadlines: Vec<(String, Duration)>,
}

/// `[lag]`: how groups are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LagSpec {
    /// Whether groups are watched at all.
    pub enabled: bool,
    /// From the beginning of one survey to that of the next.
    pub interval: Duration,
    /// Only groups whose name matches one of these; empty: all.
    pub include: Vec<String>,
    /// No group whose name matches one of these.
    pub exclude: Vec<String>,
    /// How long one survey may take; what is not answered by then is unknown.
    pub deadline: Duration,
    /// Whether the record at a committed position may be read (needs the right to read the topic).
    pub read_records: bool,
    /// Whether `__consumer_offsets` is read too: commits are seen at once, with their times.
    pub offsets_topic: bool,
    /// Groups watched; further ones (by name) are counted as dropped.
    pub groups: usize,
    /// Rows (group, stream, partition) watched; further ones are counted as dropped.
    pub rows: usize,
}

impl Default for LagSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            interval: Duration::from_secs(5),
            include: Vec::new(),
            exclude: Vec::new(),
            deadline: Duration::from_secs(30),
            read_records: false,
            offsets_topic: false,
            groups: 10_000,
            rows: 400_000,
        }
    }
}

/// `[dlq]`: how dead letters are found, shown and redriven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DlqSpec {
    /// Whether dead letters are watched at all, whether groups are or not.
    pub enabled: bool,
    /// Streams whose name matches one of these are dead letters; empty: the known conventions.
    pub patterns: Vec<String>,
    /// Group whose positions say what is handled; `{stream}` is replaced. Empty: the one that `redrive` uses.
    pub redrive_group: String,
    /// Whether payloads may be looked at.
    pub peek: bool,
    /// Names of JSON members and headers (regular expressions) whose values are masked in a peek.
    pub mask: Vec<String>,
    /// Streams watched; further ones are counted as dropped.
    pub streams: usize,
    /// Newest letters per stream that are looked at for the breakdown.
    pub letters: usize,
    /// A letter that was redriven so often is not redriven again.
    pub max_redrives: u32,
    /// Letters redriven per second, at most.
    pub rate: u32,
}

impl Default for DlqSpec {
    fn default() -> Self {
        Self {
            enabled: true,
            patterns: Vec::new(),
            redrive_group: String::new(),
            peek: false,
            mask: Vec::new(),
            streams: 500,
            letters: 10_000,
            max_redrives: 3,
            rate: 500,
        }
    }
}

/// Every bound of the engine by name: `[limits]`. What overflows is counted under the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Full transaction entries in memory (about 340 B each). Overflow: the oldest is `evicted`.
    pub transactions: usize,
    /// Tombstones of ended transactions (about 24 B each). Overflow: the oldest goes.
    pub tombstones: usize,
    /// Event ids remembered for duplicates (about 24 B each). Overflow: `dedup_overflow`.
    pub dedup_events: usize,
    /// Events kept per transaction. Overflow: `truncated`.
    pub events_per_transaction: usize,
    /// Flows with numbers of their own; further ones are folded into `other`.
    pub flows: usize,
    /// Stages per flow; further ones are folded into `other`.
    pub stages_per_flow: usize,
    /// Hops (ordered pairs of stages) per flow; further ones are folded into `other`.
    pub hops_per_flow: usize,
    /// Streams with numbers of their own.
    pub streams: usize,
    /// Flows, stages, hops and streams with numbers of their own, all together (about 2 KiB each); what comes
    /// beyond is folded into `other`.
    pub series: usize,
    /// Stuck transactions listed per flow (the count is exact).
    pub stuck_list: usize,
    /// Seconds of one-second history (windows and charts), also how late an event may be cut and still find its second.
    pub history_1s_seconds: i64,
    /// Seconds of ten-second history.
    pub history_10s_seconds: i64,
    /// Seconds of one-minute history.
    pub history_1m_seconds: i64,
    /// A payload above this is `too_large`: header and key are still counted.
    pub payload_bytes: usize,
    /// Bytes of one text field (ids, names); above: `field_too_long`.
    pub field_bytes: usize,
    /// Headers looked at per record.
    pub headers: usize,
    /// Depth of JSON nesting.
    pub json_depth: usize,
    /// Undecodable records kept as samples per stream.
    pub decode_samples: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transactions: 1_000_000,
            tombstones: 8_000_000,
            dedup_events: 8_000_000,
            events_per_transaction: 32,
            flows: 200,
            stages_per_flow: 64,
            hops_per_flow: 256,
            streams: 2_000,
            series: 20_000,
            stuck_list: 50,
            history_1s_seconds: 3_600,
            history_10s_seconds: 86_400,
            history_1m_seconds: 14 * 86_400,
            payload_bytes: 1 << 20,
            field_bytes: 256,
            headers: 64,
            json_depth: 64,
            decode_samples: 20,
        }
    }
}
