//! Dead letters at the web edge: the contract of what a page may ask to be done, its handlers, and the JSON.
//!
//! Looking at a payload and moving letters are the only things that a page can make happen at a broker.
//! They are guarded: role `act`, a form that we handed out ([`form`]), and an audit log behind [`DlqActions`].

use std::sync::Arc;

use crate::broker::Boxed;
use crate::model::Timestamp;
use crate::snapshot::{PeekQuestion, Peeked, RedriveView};
use crate::store::AuditEntry;

mod act;
pub mod api;
mod audit;
mod form;

pub use act::{peek_form, peek_show, redrive_act, redrive_form};
pub use audit::{json as audit_json, page as audit_page};
pub use form::Forms;

/// Where letters go.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum RedriveTarget {
    /// Where each failed.
    #[default]
    Source,
    /// The retry stream of the group that gave up.
    Retry,
    /// One stream for all.
    Stream(String),
}

/// Which letters to move, and how.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RedrivePlan {
    /// Cluster by name.
    pub cluster: String,
    /// The stream of dead letters.
    pub stream: String,
    /// Only of this error class; empty: any.
    pub error: String,
    /// Only letters of this group; empty: any.
    pub group: String,
    /// Only letters whose record time is not before.
    pub from: Option<Timestamp>,
    /// Only letters whose record time is before.
    pub to: Option<Timestamp>,
    /// Only positions `first..=last` of one partition.
    pub positions: Option<(u32, u64, u64)>,
    /// At most so many.
    pub most: Option<u64>,
    /// Letters per second, at most; `None`: as configured.
    pub rate: Option<u32>,
    /// Where to.
    pub target: RedriveTarget,
    /// Also letters whose transaction has ended `ok` meanwhile.
    pub include_ok: bool,
    /// Also letters of whose transaction nobody answers whether it has.
    #[serde(default)]
    pub include_unknown: bool,
}

/// A run that the end of an earlier process interrupted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InterruptedRun {
    /// Its id.
    pub run: String,
    /// Who began it; empty where nobody has a name.
    pub by: String,
    /// What was asked for.
    pub plan: RedrivePlan,
}

impl InterruptedRun {
    /// Whether it can go on as what it was: of a limited number nobody knows how many are left.
    #[must_use]
    pub const fn can_resume(&self) -> bool {
        self.plan.most.is_none()
    }
}

/// What somebody does to a redrive that was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedriveStep {
    /// Stop for now.
    Pause,
    /// Go on; where nothing is going on, with the run that a stop of the process interrupted.
    Resume,
    /// Stop for good; what was moved stays moved.
    Cancel,
    /// Nobody wants the run any more that a stop of the process interrupted.
    Dismiss,
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
    /// Letters from a position on, masked. `question.user` is who asks.
    fn peek(&self, question: PeekQuestion) -> Boxed<'_, Result<Peeked, Refusal>>;

    /// Begins to count what a plan would do; moves nothing. `Ok` once it runs: [`DlqActions::progress`] says the rest.
    fn dry_run<'a>(&'a self, who: &'a str, plan: RedrivePlan) -> Boxed<'a, Result<(), Refusal>>;

    /// Begins to move; `Ok` once it runs.
    fn start<'a>(&'a self, who: &'a str, plan: RedrivePlan) -> Boxed<'a, Result<(), Refusal>>;

    /// Pauses, resumes or cancels the newest run of a stream, or resumes or dismisses the interrupted one.
    fn step<'a>(
        &'a self,
        who: &'a str,
        cluster: &'a str,
        stream: &'a str,
        step: RedriveStep,
    ) -> Boxed<'a, Result<(), Refusal>>;

    /// The newest run of a stream that this process began, dry or not, at once, and the plan it was begun with.
    fn progress(&self, cluster: &str, stream: &str) -> Option<(RedrivePlan, Arc<RedriveView>)>;

    /// The run of a stream that was interrupted and neither resumed nor dismissed since, at once: no dry run hides it.
    fn interrupted(&self, cluster: &str, stream: &str) -> Option<InterruptedRun>;

    /// Lines of the audit log with their numbers, newest first, at most `most`: those before the number `before`.
    fn audited(&self, before: Option<u64>, most: usize) -> Boxed<'_, Result<Vec<(u64, AuditEntry)>, Refusal>>;
}
