//! The read model of dead letters. Built by the DLQ loop, shared by every page and scrape.

use std::sync::Arc;

use crate::model::Timestamp;

/// Dead letters of all clusters.
#[derive(Clone, Debug, Default)]
pub struct DlqBoard {
    /// Streams by cluster and name.
    pub streams: Vec<Arc<DlqStream>>,
    /// Streams left out because of a bound.
    pub dropped: u64,
}

/// How a stream came to be watched for dead letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FoundBy {
    /// `[[stream]]` of role `dlq`.
    #[default]
    Config,
    /// The topic's own configuration.
    TopicConfig,
    /// Its name.
    Name,
}

/// One stream of dead letters.
#[derive(Clone, Debug, Default)]
pub struct DlqStream {
    /// Cluster by name.
    pub cluster: String,
    /// Stream.
    pub stream: Arc<str>,
    /// How it was found.
    pub found_by: FoundBy,
    /// When the numbers were learned; `None`: never.
    pub as_of: Option<Timestamp>,
    /// False while the cluster does not answer: the values are frozen.
    pub answering: bool,
    /// `end - start`.
    pub retained: Option<u64>,
    /// `end - position of the redrive group`; the same as `retained` where there is no such group.
    pub unhandled: Option<u64>,
    /// The redrive group; `None`: there is none, and `unhandled` says so.
    pub redrive_group: Option<String>,
    /// Arrived per minute over the last minute.
    pub inflow_per_minute: Option<f64>,
    /// Age of the oldest unhandled letter, seconds; `None`: not known, or none is unhandled (`unhandled == 0`).
    pub oldest_unhandled_age_seconds: Option<f64>,
    /// Lost to retention before anybody handled them, since we watch.
    pub expired: u64,
    /// Arrived since we watch.
    pub inflow_total: u64,
    /// Redriven since we watch.
    pub redriven_total: u64,
    /// Depth (`unhandled`) in each window of [`super::WINDOWS`].
    pub windows: Vec<DlqWindow>,
    /// Depth at the newest surveys, oldest first.
    pub trend: Vec<Option<f32>>,
    /// Breakdown of the letters that were looked at: by error class, source stream and group; most frequent first.
    pub by_error: Vec<(String, u64)>,
    /// By source stream.
    pub by_source: Vec<(String, u64)>,
    /// By group.
    pub by_group: Vec<(String, u64)>,
    /// Letters behind the breakdown; less than `retained` where a bound or a missing right kept us from looking.
    pub looked_at: u64,
    /// The newest letters, without payload.
    pub newest: Vec<LetterView>,
    /// Why something is not known.
    pub fault: String,
}

/// One rolling window.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct DlqWindow {
    /// Name, as in [`super::WINDOWS`].
    #[serde(skip)]
    pub name: &'static str,
    /// False while we watch for less long than that.
    pub complete: bool,
    /// Depth at its beginning, end, and the most within it.
    pub first: Option<u64>,
    /// At its end.
    pub last: Option<u64>,
    /// Most.
    pub max: Option<u64>,
    /// Arrived within it.
    pub inflow: Option<u64>,
    /// Redriven within it.
    pub redriven: Option<u64>,
    /// Expired within it.
    pub expired: Option<u64>,
}

/// One dead letter, as its headers describe it. No payload: that is a peek.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterView {
    /// Partition.
    pub partition: u32,
    /// Position.
    pub position: u64,
    /// Record time.
    pub time: Option<Timestamp>,
    /// Family of its headers: `spring`, `connect`, `streams`, `share`, `smallrye`, `streamgauge`, ... or empty.
    pub family: &'static str,
    /// Error class.
    pub error: String,
    /// Error in words, at most 200 characters.
    pub message: String,
    /// Where it failed first: stream, partition, position, as far as known.
    pub source: Option<(String, Option<u32>, Option<u64>)>,
    /// Group that gave up.
    pub group: String,
    /// Flow and transaction id, where the letter says so.
    pub transaction: Option<(String, String)>,
    /// How often it was redriven before.
    pub redriven: u32,
    /// 32 hex digits, or empty.
    pub trace_id: String,
}
