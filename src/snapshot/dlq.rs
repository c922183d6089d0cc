//! The read model of dead letters. Built by the DLQ loop, shared by every page and scrape.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::Timestamp;

/// Dead letters of all clusters.
#[derive(Clone, Debug, Default)]
pub struct DlqBoard {
    /// Streams by cluster and name.
    pub streams: Vec<Arc<DlqStream>>,
    /// Counters as they are stored, by cluster and stream: what `/metrics` may show, because it never falls.
    pub counted: Vec<DlqCounted>,
    /// Streams of which a redrive was interrupted by the end of the process, and not resumed since (cluster, name).
    pub interrupted: Vec<(String, Arc<str>)>,
    /// What was left out because of a bound, by cluster.
    pub left_out: BTreeMap<String, DlqLeftOut>,
    /// Streams whose records wait for another try (cluster, name): beside the dead letters, not among them.
    pub retry: Vec<(String, Arc<str>)>,
    /// Streams whose name suggests dead letters and whose records do not say so (cluster, name).
    pub suggested: Vec<(String, Arc<str>)>,
}

/// What bounds have left out, each under its own name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct DlqLeftOut {
    /// Streams of dead letters beyond `[dlq] streams`: they are not watched.
    pub streams: u64,
    /// Streams whose name only suggests dead letters, beyond those whose headers are looked at.
    pub suggested: u64,
    /// Streams of retries beyond those that are named.
    pub retry: u64,
    /// Streams that went, whose counters begin anew should they come back, since the process began.
    pub counters: u64,
}

/// The counters of one stream, as they are stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DlqCounted {
    /// Cluster by name.
    pub cluster: String,
    /// Stream.
    pub stream: Arc<str>,
    /// Letters that arrived since it was first watched.
    pub inflow: u64,
    /// Letters that expired before anybody handled them, since it was first watched.
    pub expired: u64,
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
    /// Its name suggests it, and the headers of its records say so.
    Headers,
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
    /// `end - position of the redrive group` without what our redrive settled; `retained` where there is neither.
    pub unhandled: Option<u64>,
    /// The redrive group; `None`: there is none, and `unhandled` says so.
    pub redrive_group: Option<String>,
    /// Other groups that have positions here, by name: readers, whose positions count for nothing.
    pub readers: Vec<String>,
    /// Arrived per minute over the last minute.
    pub inflow_per_minute: Option<f64>,
    /// Age of the oldest unhandled letter, seconds; `None`: not known, or none is unhandled (`unhandled == 0`).
    pub oldest_unhandled_age_seconds: Option<f64>,
    /// Lost to retention before anybody handled them: since it was first watched, and what the group's position showed then.
    pub expired: u64,
    /// Arrived since it was first watched, also while the process was down.
    pub inflow_total: u64,
    /// Redriven since it was first watched.
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

/// What somebody wants to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeekQuestion {
    /// Cluster by name.
    pub cluster: String,
    /// Stream.
    pub stream: String,
    /// Partition.
    pub partition: u32,
    /// From this position on.
    pub position: u64,
    /// At most so many letters.
    pub count: usize,
    /// Who asks, for the audit log.
    pub user: String,
}

/// One letter with its payload, secrets masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeekedLetter {
    /// What its headers say.
    pub letter: LetterView,
    /// Key, masked; `None`: it has none.
    pub key: Option<String>,
    /// Payload, masked and cut; `None`: it has none.
    pub payload: Option<String>,
    /// Bytes of the whole payload.
    pub payload_bytes: usize,
    /// Headers in order, masked and cut.
    pub headers: Vec<(String, String)>,
}

/// What a peek brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peeked {
    /// The letters, by position.
    pub letters: Vec<PeekedLetter>,
    /// Where to go on.
    pub next: u64,
    /// True where nothing follows.
    pub at_end: bool,
}

/// Progress of one redrive.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize)]
pub struct RedriveView {
    /// Id of the run.
    pub run: String,
    /// Cluster by name.
    pub cluster: String,
    /// Stream of dead letters.
    pub stream: String,
    /// True where nothing is sent.
    pub dry_run: bool,
    /// `preparing running paused done cancelled failed`.
    pub state: &'static str,
    /// Letters between where it began and where it will end, holes included: an upper bound.
    pub span: u64,
    /// Positions it has passed.
    pub passed: u64,
    /// Letters it has looked at.
    pub looked_at: u64,
    /// Letters that were sent (dry run: would be sent), by target stream.
    pub sent: BTreeMap<String, u64>,
    /// Letters that were left, by reason.
    pub skipped: BTreeMap<&'static str, u64>,
    /// Letters of the selection of which nobody knows whether their transaction has ended ok.
    pub unknown_transactions: u64,
    /// What went wrong last, in words; empty otherwise.
    pub fault: String,
    /// What the operator should know: order per key, other groups on the target.
    pub notes: Vec<String>,
}
