//! Durable bytes. This room knows keys and blobs, not what they mean.
//!
//! One [`Changes`] is one durable transaction: after `commit` returned `Ok`, a crash at any moment
//! leaves all of it or, before that, nothing of it. Each value carries a checksum of ours; a store
//! that fails its integrity check is refused ([`StoreError::Damaged`]), never silently reset.

use std::path::PathBuf;
use std::sync::Arc;

mod audit;
mod groups;
mod kept;
mod ledger;
mod memory;
mod shelf;
mod state;
mod times;

pub use audit::AUDIT_ENTRIES;
pub use groups::{GroupPosition, GroupStore};
pub use ledger::{IDEMPOTENCY_KEYS, Ledger};
pub use memory::MemoryState;
pub use state::RedbState;
pub use times::{TimesFile, TimesRow};

pub use crate::model::{BlobKey, Changes};

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error("{path} is in use by another process")]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Its content is not what was written. Exit code 4.
    #[error("{path} is damaged: {detail}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// Written by a version that we do not read.
    #[error("{path} has format {found}, this version reads {known}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Found in the file.
        found: u32,
        /// What we read.
        known: u32,
    },
    /// The disk said no.
    #[error("{path}: {detail}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// It cannot be written down, whatever the disk says: a defect of ours.
    #[error("{what} cannot be written as JSON: {detail}")]
    Unwritable {
        /// What was to be stored.
        what: &'static str,
        /// The encoder's words.
        detail: String,
    },
}

impl StoreError {
    /// What was to be stored cannot be written down.
    #[must_use]
    pub fn unwritable(what: &'static str, error: &serde_json::Error) -> Self {
        Self::Unwritable { what, detail: error.to_string() }
    }
}

/// A durable map of blobs. The life of one: `load` once, then `commit` for each checkpoint.
pub trait StateStore: Send {
    /// Hands every stored blob to `each`, in key order.
    ///
    /// # Errors
    /// [`StoreError`] when a blob's checksum or the file's structure is wrong.
    fn load(&mut self, each: &mut dyn FnMut(BlobKey, &[u8])) -> Result<(), StoreError>;

    /// Makes all changes durable, or none.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the disk refuses; the changes must then be handed in again.
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError>;
}

/// An answer that was given once and is given again for the same idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// What a key means at the moment it is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// First sight: do the work, then `finish` or `release`.
    Fresh,
    /// Done before with the same body: give this answer again.
    Replay(StoredAnswer),
    /// Done before with another body.
    OtherBody,
    /// Being done at this moment.
    InProgress,
}

/// Idempotency keys of `POST /transactions`, durable in `ledger.redb`.
pub trait IdempotencyKeys: Send + Sync {
    /// Claims `key` for a body with this SHA-256.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the ledger cannot be read.
    fn claim(&self, key: &str, body: [u8; 32], now: crate::model::Timestamp) -> Result<Claim, StoreError>;

    /// Stores the answer durably; it is kept for 24 h, at most `limits.idempotency_keys` of them.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the disk refuses: the caller must not answer 202 then.
    fn finish(&self, key: &str, answer: &StoredAnswer) -> Result<(), StoreError>;

    /// Gives the key back after a failure: the caller may try again.
    fn release(&self, key: &str);
}

/// One line of the audit log: who did what, when.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: crate::model::Timestamp,
    /// Who: the name of a user, or of the account that ran a command.
    pub user: String,
    /// What: `peek`, `redrive.begin`, `redrive.end`, `redrive.pause`, `redrive.resume`, `redrive.cancel`,
    /// `redrive.interrupted`, `redrive.dismiss`.
    pub action: String,
    /// To what, and with which words: for people.
    pub detail: String,
}

/// What people did to streams through us, durable in `ledger.redb`.
pub trait AuditLog: Send + Sync {
    /// Notes an entry durably. What is to be audited must not happen if this fails.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the disk refuses.
    fn note(&self, entry: &AuditEntry) -> Result<(), StoreError>;

    /// Entries with their numbers, newest first: those before the number `before`, where it is given.
    ///
    /// # Errors
    /// [`StoreError`] when the ledger cannot be read.
    fn lines(&self, before: Option<u64>, count: usize) -> Result<Vec<(u64, AuditEntry)>, StoreError>;

    /// The newest entries, newest first.
    ///
    /// # Errors
    /// As [`AuditLog::lines`].
    fn newest(&self, count: usize) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(self.lines(None, count)?.into_iter().map(|(_, entry)| entry).collect())
    }
}

/// What is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeptOf {
    /// Counters of consumer groups.
    Groups,
    /// Counters of streams of dead letters.
    Letters,
    /// Redrives that go on, by stream.
    Redrives,
}

impl KeptOf {
    const fn name(self) -> &'static str {
        match self {
            Self::Groups => "groups",
            Self::Letters => "letters",
            Self::Redrives => "redrives",
        }
    }
}

/// Rows by name.
pub type KeptRows = Vec<(String, Vec<u8>)>;

/// What is counted from surveys, and which redrives go on: durable in `ledger.redb`. What it means is others' matter.
pub trait KeepStore: Send + Sync {
    /// All of a cluster, by name. Rows whose checksum is wrong are left out; how many is the second number.
    ///
    /// # Errors
    /// [`StoreError`] when the ledger cannot be read.
    fn load_kept(&self, cluster: &str, of: KeptOf) -> Result<(KeptRows, usize), StoreError>;

    /// Makes these durable in one transaction, or none; a row without bytes is removed.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written; what is shown must stay as it was.
    fn save_kept(&self, cluster: &str, of: KeptOf, rows: &[(Arc<str>, Vec<u8>)]) -> Result<(), StoreError>;
}

#[cfg(test)]
mod tests;
