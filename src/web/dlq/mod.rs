//! Dead letters at the web edge: the contract of what a page may ask to be done, its handlers, and the JSON.
//!
//! Looking at a payload and moving letters are the only things that a page can make happen at a broker.
//! They are guarded: role `act`, a form that we handed out ([`form`]), and an audit log behind [`DlqActions`].

use crate::broker::Boxed;
use crate::model::Timestamp;

mod act;
pub mod api;
mod form;

pub use act::{peek_form, peek_show, redrive_act, redrive_form};
pub use form::Forms;

/// A record that somebody wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeekAsk {
    /// Cluster by name.
    pub cluster: String,
    /// Any stream: of dead letters, or one that a group stands at.
    pub stream: String,
    /// Partition.
    pub partition: u32,
    /// The first record at or behind this position.
    pub position: u64,
}

/// A record with its secrets masked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeekedRecord {
    /// Partition.
    pub partition: u32,
    /// Its own position; it may lie behind the one that was asked for.
    pub position: u64,
    /// Record time.
    pub time: Option<Timestamp>,
    /// Key as text, bytes that are none escaped; empty: none.
    pub key: String,
    /// Headers as text, in order.
    pub headers: Vec<(String, String)>,
    /// Payload as text, indented where it is JSON; `None`: a tombstone.
    pub payload: Option<String>,
    /// Set where the payload was longer: bytes that are shown.
    pub cut: Option<usize>,
    /// Values that were masked.
    pub masked: u32,
}

/// Which letters to move, and how.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RedrivePlan {
    /// Cluster by name.
    pub cluster: String,
    /// The stream of dead letters.
    pub stream: String,
    /// Only of this error class; empty: any.
    pub error: String,
    /// Only letters whose record time is not before.
    pub from: Option<Timestamp>,
    /// Only letters whose record time is before.
    pub to: Option<Timestamp>,
    /// Only of this partition.
    pub partition: Option<u32>,
    /// Only from this position on.
    pub first: Option<u64>,
    /// Only up to this position.
    pub last: Option<u64>,
    /// Letters per second, at most; `None`: as configured.
    pub rate: Option<u32>,
    /// Where to; `{group}` is replaced. Empty: where each failed.
    pub target: String,
    /// Also letters whose transaction has ended `ok` meanwhile.
    pub include_ok: bool,
}

/// What a plan would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DryRun {
    /// Letters that the plan selects.
    pub selected: u64,
    /// Of those, to be moved.
    pub moved: u64,
    /// Skipped: their transaction has ended `ok`.
    pub ended_ok: u64,
    /// Skipped: redriven too often.
    pub looped: u64,
    /// Skipped: where they failed is not known.
    pub unclear: u64,
    /// Streams that they go to, most letters first.
    pub targets: Vec<(String, u64)>,
}

/// How far a redrive is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RedrivePhase {
    /// It moves letters.
    #[default]
    Running,
    /// Somebody paused it.
    Paused,
    /// It is through.
    Done,
    /// Somebody cancelled it.
    Cancelled,
    /// It cannot go on.
    Failed,
}

/// The newest redrive of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedriveProgress {
    /// How far.
    pub phase: RedrivePhase,
    /// Letters to be moved; `None`: not known.
    pub total: Option<u64>,
    /// Moved.
    pub moved: u64,
    /// Skipped.
    pub skipped: u64,
    /// Who started it.
    pub who: String,
    /// When.
    pub started_at: Timestamp,
    /// Why it failed; empty where it did not.
    pub fault: String,
}

/// What somebody does to a redrive that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedriveStep {
    /// Stop for now.
    Pause,
    /// Go on.
    Resume,
    /// Stop for good; what was moved stays moved.
    Cancel,
}

/// Why something was not done, in words for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Configuration or rights do not allow it.
    #[error("{0}")]
    NotAllowed(String),
    /// There is no such cluster, stream or redrive.
    #[error("{0}")]
    Unknown(String),
    /// It conflicts with what goes on: another redrive of the stream runs.
    #[error("{0}")]
    Conflict(String),
    /// The broker did not answer, or not in time.
    #[error("{0}")]
    Unavailable(String),
}

/// What pages may make happen. Whoever implements it writes the audit log: `who` is the user's name, or empty
/// where nobody has one. Each call ends within the request timeout; a redrive goes on behind it.
pub trait DlqActions: Send + Sync {
    /// The first record at or behind a position, masked; `None`: there is none.
    fn peek<'a>(&'a self, who: &'a str, ask: PeekAsk) -> Boxed<'a, Result<Option<PeekedRecord>, Refusal>>;

    /// What a plan would do. Moves nothing.
    fn dry_run<'a>(&'a self, who: &'a str, plan: RedrivePlan) -> Boxed<'a, Result<DryRun, Refusal>>;

    /// Begins to move; `Ok` once that is durable.
    fn start<'a>(&'a self, who: &'a str, plan: RedrivePlan) -> Boxed<'a, Result<(), Refusal>>;

    /// Pauses, resumes or cancels the redrive of a stream.
    fn step<'a>(
        &'a self,
        who: &'a str,
        cluster: &'a str,
        stream: &'a str,
        step: RedriveStep,
    ) -> Boxed<'a, Result<(), Refusal>>;

    /// The newest redrive of a stream, at once.
    fn progress(&self, cluster: &str, stream: &str) -> Option<RedriveProgress>;
}
