//! What a run is for, what holds it, why it ends early.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::broker::MoveError;
use crate::dlq::Selection;

/// What is known of how a transaction fared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fared {
    /// It has ended ok.
    EndedOk,
    /// It has not.
    NotOk,
    /// Whoever was asked does not know it: that says nothing, now or later.
    Unheard,
    /// Nobody answered: somebody may know it all the same.
    Unasked,
}

/// Whether transactions have ended well meanwhile. Asked for stretches of letters at once.
pub trait Ended: Send {
    /// How each (flow, transaction id) fared.
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Fared>;

    /// Where the answers come from, or why there are none: a note of the report.
    fn source(&self) -> String;

    /// Why nobody can be asked any more: then a run ends; `None` while somebody can.
    fn fault(&self) -> Option<String> {
        None
    }
}

/// What a run is for.
#[derive(Clone, Debug, Default)]
pub struct RedriveOptions {
    /// Cluster by name.
    pub cluster: String,
    /// Stream of dead letters.
    pub stream: String,
    /// Which letters.
    pub selection: Selection,
    /// Count only.
    pub dry_run: bool,
    /// To the retry stream of the group instead of the source.
    pub to_retry_topic: bool,
    /// To this stream, whatever the letters say.
    pub to: Option<String>,
    /// Also letters whose transaction has ended ok.
    pub include_ended_ok: bool,
    /// Also where nobody answers whether transactions have ended ok.
    pub include_unknown: bool,
    /// Also from a stream that is not known to hold dead letters.
    pub any_stream: bool,
    /// At most so many.
    pub most: Option<u64>,
    /// Letters per second.
    pub rate: u32,
    /// A letter that was redriven so often stays.
    pub max_redrives: u32,
    /// Who asked: in the headers of the copies and in the audit log.
    pub by: String,
}

/// Holds a run: pause, go on, cancel. Clones hold the same run.
#[derive(Clone, Debug, Default)]
pub struct Reins(Arc<AtomicU8>);

impl Reins {
    /// It stops after the step that it is in, until told to go on.
    pub fn pause(&self) {
        let _cancelled = self.0.compare_exchange(0, 1, Ordering::AcqRel, Ordering::Acquire);
    }

    /// It goes on.
    pub fn go_on(&self) {
        let _cancelled = self.0.compare_exchange(1, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// It ends after the step that it is in. What was sent stays sent.
    pub fn cancel(&self) {
        self.0.store(2, Ordering::Release);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.0.load(Ordering::Acquire) == 1
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) == 2
    }
}

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum RedriveError {
    /// It cannot begin, or not go on: in words for an operator.
    #[error("{0}")]
    Impossible(String),
    /// Nobody can be asked whether transactions have ended, and letters are not to be sent without knowing.
    #[error("{0}; not sent, unless --include-unknown says to send without knowing")]
    Unasked(String),
    /// Another run of the same stream took over.
    #[error(transparent)]
    Moved(#[from] MoveError),
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
}
