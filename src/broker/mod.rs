//! The contract of every broker: read, write, inspect. One folder per broker, the same files in each.
//!
//! # Semantics
//!
//! * A **position** is ours: readers get the durable [`Positions`] and begin there. No consumer
//!   group of the user's is joined, nothing is committed to the broker.
//! * Life of a reader, per partition:
//!
//! ```text
//! discover partition -> send Input::Open (first position resolved)
//!   -> wait until the durable Positions contain it -> read
//!   -> Input::Batch* (consecutive, decoded)  -> Input::Tail (end confirmed) -> ...
//!   -> Input::State on every change of readability; Input::Gap where the log start overtook us,
//!      Input::Cut where the log lost what had been read
//! ```
//!
//! * Once in its life a reader sends [`Input::Announced`](crate::model::Input): all partitions that were there are open.
//!
//! * The channel to the engine is bounded; when it is full the reader blocks. That is all the
//!   backpressure there is, and all that is needed.
//! * A record never stops a partition: what cannot be decoded becomes an event of kind
//!   `Undecodable` and a [`DecodeSample`].

pub mod embedded;
pub mod kafka;
mod names;
mod preview;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use tokio::sync::watch;

use crate::decode::Spares;
use crate::model::{
    DecodeReason, Input, Limits, Positions, StreamSpec, Survey, TimeQuestion, TimedPosition, Timestamp,
};

pub use names::GroupNames;
pub use preview::preview;

/// Asks threads to stop. Cloned freely; once set it stays set.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Asks everybody to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True once asked to stop.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// One undecodable record, for the status page and `sample`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct DecodeSample {
    /// Cluster by name.
    pub cluster: String,
    /// Stream.
    pub stream: String,
    /// Partition.
    pub partition: u32,
    /// Position.
    pub position: u64,
    /// Why.
    pub reason: DecodeReason,
    /// The decoder's words, with the field's path.
    pub detail: String,
    /// The beginning, made by `preview`.
    pub preview: String,
    /// When we saw it.
    pub at: Timestamp,
}

/// All that a reader is given.
pub struct ReadContext {
    /// Name of the cluster.
    pub cluster: Arc<str>,
    /// Which streams of this cluster to read.
    pub streams: Vec<StreamSpec>,
    /// Caps for decoding.
    pub limits: Arc<Limits>,
    /// Durable positions, newest.
    pub positions: watch::Receiver<Arc<Positions>>,
    /// To the engine; blocks when full.
    pub out: SyncSender<Input>,
    /// Batches that were applied, to be filled again.
    pub spares: Spares,
    /// Samples of undecodable records; dropped when full (they are counted as events anyway).
    pub samples: SyncSender<DecodeSample>,
    /// State of the cluster for pages: newest wins.
    pub health: watch::Sender<ClusterHealth>,
    /// Asks the reader to stop.
    pub stop: Stop,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

/// What we know of a cluster at the moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ClusterHealth {
    /// Whether it answers; `None` before the first answer or refusal.
    pub up: Option<bool>,
    /// Since when `up` has its value.
    pub since: Option<Timestamp>,
    /// Last answer.
    pub last_seen: Option<Timestamp>,
    /// The broker's words when it does not answer, or rights that are missing.
    pub detail: String,
    /// Streams found, by name.
    pub streams: Vec<String>,
    /// Cluster id as the broker says it.
    pub cluster_id: Option<String>,
}

/// Reads the streams of one cluster. Runs on a thread of its own until stopped.
pub trait Read: Send {
    /// Reads until [`Stop`]. An unreachable cluster is a state, not an end: it retries with backoff.
    ///
    /// # Errors
    /// Only what no retry can mend (a client that cannot be created from its configuration).
    fn run(self: Box<Self>, context: ReadContext) -> Result<(), ReadError>;
}

/// Why a reader gave up.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The client refuses its configuration.
    #[error("cluster {cluster}: {detail}")]
    Config {
        /// Cluster by name.
        cluster: String,
        /// The client's words.
        detail: String,
    },
}

/// One record to append.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRecord {
    /// Partitioning key.
    pub key: Option<Vec<u8>>,
    /// Payload; `None` is a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Record time to write (demo's backdated traffic); `None`: the log assigns it.
    pub record_time: Option<Timestamp>,
}

/// Where a record was appended.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Appended {
    /// Stream.
    pub stream: String,
    /// Partition.
    pub partition: u32,
    /// Position.
    pub position: u64,
}

/// Why nothing was acknowledged. The caller may send the same records again.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The log is down or too slow; try again later.
    #[error("the log did not acknowledge: {0}")]
    Unavailable(String),
    /// The log will never take it (too large, no right, no such stream).
    #[error("the log refused: {0}")]
    Refused(String),
}

/// A future in a box: traits of this room are used as objects.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Appends to the streams of one cluster.
pub trait Write: Send + Sync {
    /// Appends all records to `stream`; `Ok` only after the log acknowledged every one (Kafka `acks=all`, embedded: fsync).
    /// On `Err` some may have been appended: ids make repeats harmless.
    fn append<'a>(&'a self, stream: &'a str, records: Vec<NewRecord>) -> Boxed<'a, Result<Vec<Appended>, WriteError>>;
}

/// One line of `doctor`: a check, whether it holds, and how to mend it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: String,
    /// `Some(true)` holds, `Some(false)` does not, `None` could not be told.
    pub ok: Option<bool>,
    /// What was found.
    pub detail: String,
    /// How to mend it; empty where there is nothing to mend.
    pub mend: String,
}

/// One raw record as `sample` shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawRecord {
    /// Stream, partition, position.
    pub at: (String, u32, u64),
    /// Key.
    pub key: Option<Vec<u8>>,
    /// Payload.
    pub payload: Option<Vec<u8>>,
    /// Headers; names need not be UTF-8.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Record time.
    pub record_time: Option<Timestamp>,
}

/// What is wanted of a cluster beside reading its streams.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// Groups, their members and their committed positions.
    pub groups: bool,
    /// The stream of committed positions itself (push mode).
    pub offsets_topic: bool,
    /// Records at committed positions, of whatever stream.
    pub records: bool,
    /// Names under which letters are redriven.
    pub redrive: Vec<String>,
    /// Streams to which a redrive appends.
    pub redrive_to: Vec<String>,
}

/// Looks at a cluster on an operator's behalf (`doctor`, `sample`), never because of a page or a scrape.
pub trait Inspect: Send {
    /// Reaches the cluster and checks every right that the given streams need. Blocking, within `deadline`.
    fn doctor(&self, streams: &[StreamSpec], deadline: Duration) -> Vec<Finding>;

    /// The same, each finding said as soon as it is known.
    fn doctor_each(&self, streams: &[StreamSpec], deadline: Duration, say: &mut dyn FnMut(Finding)) {
        self.doctor(streams, deadline).into_iter().for_each(say);
    }

    /// Says of each further right that is wanted whether it is there. A redrive is the operator's own choice: what only
    /// it lacks "could not be told", with the command that grants it. Blocking, within `deadline`; changes nothing.
    fn rights(&self, wants: &Wants, deadline: Duration, say: &mut dyn FnMut(Finding)) {
        let _ = (wants, deadline, say);
    }

    /// Whether what is posted may be appended to `stream`; `None` where nothing could forbid it. Blocking, within
    /// `deadline`; appends nothing.
    fn may_write(&self, stream: &str, deadline: Duration) -> Option<Finding> {
        let _ = (stream, deadline);
        None
    }

    /// The newest `count` records of a stream. Blocking, within `deadline`.
    ///
    /// # Errors
    /// In words for an operator.
    fn sample(&self, stream: &str, count: usize, deadline: Duration) -> Result<Vec<RawRecord>, String>;
}

/// Records of one partition from a position on.
#[derive(Clone, Debug, Default)]
pub struct Stretch {
    /// The records, in order; compaction and transaction markers leave holes.
    pub records: Vec<RawRecord>,
    /// Where to go on: behind the last record, or behind the last hole where nothing follows.
    pub next: u64,
    /// True where `next` is the end: nothing that can be read lies behind it.
    pub at_end: bool,
}

/// Watches groups and logs of one cluster. One thread owns it and calls it on a schedule: never because of a page
/// or a scrape. Needs rights to describe only, except where a method says so.
pub trait Observe: Send {
    /// Once `stop` is set nothing is waited for any more: what goes on ends soon, with what it has by then.
    fn ends_with(&mut self, stop: Stop) {
        let _ = stop;
    }

    /// Groups, members, committed positions, then begins and ends of logs. Blocking, within `deadline`;
    /// what is not answered by then is `None` with a reason, the rest is kept.
    fn survey(&mut self, deadline: Duration) -> Survey;

    /// For each question the first record that is not older; `None`: no answer, or no such record.
    /// Blocking, within `deadline`. One request per broker for all questions.
    fn positions_at(&mut self, questions: &[TimeQuestion], deadline: Duration) -> Vec<Option<TimedPosition>>;

    /// The first record at or behind each position (stream, partition, position). Needs the right to read.
    /// `None`: not answered. `Some(None)`: the end was reached without a record. Blocking, within `deadline`.
    fn first_records(&mut self, at: &[(Arc<str>, u32, u64)], deadline: Duration) -> Vec<Option<Option<TimedPosition>>>;

    /// At most `count` committed records and about `bytes` bytes of one partition from `from` on. Needs the right to read.
    ///
    /// # Errors
    /// In words for an operator.
    fn records(
        &mut self,
        stream: &str,
        partition: u32,
        from: u64,
        count: usize,
        bytes: usize,
        deadline: Duration,
    ) -> Result<Stretch, String>;
}

/// One record of the broker's own log of commits, not yet decoded.
#[derive(Clone, Copy, Debug)]
pub struct LoggedCommit<'a> {
    /// What it is of.
    pub key: &'a [u8],
    /// `None`: it is gone.
    pub value: Option<&'a [u8]>,
    /// Record time.
    pub time: Option<Timestamp>,
}

/// Reads the log in which a broker itself writes down what groups commit. One thread owns it.
pub trait Tail: Send {
    /// Hands out what is new, in order per partition and committed only; waits at most `wait` for the first of it.
    /// The first call, and the one after an error, begins near the end: what lay between was missed.
    ///
    /// # Errors
    /// In words for an operator; a right that is missing begins with "no right". Try again after a pause.
    fn read(&mut self, wait: Duration, take: &mut dyn FnMut(LoggedCommit<'_>)) -> Result<usize, String>;
}

/// Why a step of a redrive was not acknowledged. It may have been made all the same, never in part: ask for the
/// progress before the next step.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// Try the same step again later.
    #[error("the step was not acknowledged: {0}")]
    Unavailable(String),
    /// Another process moves letters under the same name: this one has to end.
    #[error("another redrive took over: {0}")]
    Fenced(String),
    /// The log will never take it.
    #[error("the log refused: {0}")]
    Refused(String),
    /// The log will never take these records of the step, by their place in it: each alone is larger than its stream
    /// allows. Nothing of the step was made; without them it can be.
    #[error("{} records are larger than their streams allow", .0.len())]
    TooLarge(Vec<usize>),
}

/// A record on its way to a stream.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Target stream.
    pub stream: String,
    /// Target partition; `None`: by key.
    pub partition: Option<u32>,
    /// The record.
    pub record: NewRecord,
}

/// Moves records out of one stream: appends and progress are one atomic step. Blocking.
/// Made for one name (the group that keeps the progress); a second mover of that name fences the first.
pub trait Move: Send {
    /// Durable progress by partition: the next position to look at. Absent: never began.
    /// To be asked first, and again after every error: it also ends what an earlier mover, or a failed step, left half done.
    ///
    /// # Errors
    /// [`MoveError`].
    fn progress(&mut self, stream: &str, deadline: Duration) -> Result<Vec<(u32, u64)>, MoveError>;

    /// Appends `out` and sets the progress of `stream`, both or neither, seen at once by readers of committed records.
    ///
    /// # Errors
    /// [`MoveError`].
    fn step(
        &mut self,
        stream: &str,
        out: Vec<Outgoing>,
        progress: &[(u32, u64)],
        deadline: Duration,
    ) -> Result<(), MoveError>;
}

/// Commits positions for consumers that live in this process (the demo's workers): never for a group of a user's.
pub trait Commit: Send {
    /// Commits positions (stream, partition, next) of `group` in the name of the consumer `client`. Blocking;
    /// durable in the broker when it returns.
    ///
    /// # Errors
    /// [`MoveError`].
    fn commit(&mut self, group: &str, client: &str, positions: &[(Arc<str>, u32, u64)]) -> Result<(), MoveError>;
}
