//! One redb file: opened with its integrity checked, made as a whole or not at all, opened again after a fault.
//!
//! Traps that this room is built around (measured, see the ADR on the store):
//! * without the integrity check at opening, a flipped bit was read silently in half of the cases;
//! * an empty file is a new database to redb: here it is damage, because files are made under another name;
//! * after an I/O error redb refuses all work until the file is opened again: the next use does that;
//! * the file is copied on write and may grow to several times its content: compacted at opening.

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use redb::{
    Builder, CommitError, Database, DatabaseError, ReadableDatabase as _, StorageError, TableDefinition, TableError,
    TransactionError, WriteTransaction,
};

use super::StoreError;

/// What a file is and in which version: checked before anything else is read.
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
/// Bytes of redb's page cache: state is read once and then only written.
const CACHE_BYTES: usize = 4 << 20;
/// Files below are never compacted: there is nothing to win.
const COMPACT_FROM: u64 = 16 << 20;
/// How long a lock is waited for: a process that was just killed gives its locks back when it is gone.
const PATIENCE: Duration = Duration::from_millis(400);

/// How the database under a shelf is opened; a test puts a faulty disk here.
type Opener = Box<dyn Fn(&Builder) -> Result<Database, DatabaseError> + Send>;

/// One redb file.
pub(super) struct Shelf {
    path: PathBuf,
    /// Name and version of what it holds.
    format: (&'static str, u32),
    opener: Opener,
    /// `None` after a fault, until it has been opened again.
    db: Option<Database>,
}

impl Shelf {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path, format: (&'static str, u32)) -> Result<Self, StoreError> {
        if !path.exists() {
            make(path, format)?;
        }
        if fs::metadata(path).map_err(|error| io(path, error))?.len() == 0 {
            return Err(damaged(path, "the file is empty; it never was"));
        }
        let file = path.to_owned();
        let shelf = Self::with(path, format, Box::new(move |builder| builder.open(&file)))?;
        shelf.compact()
    }

    /// Opens through `opener`; the database must exist.
    pub(super) fn with(path: &Path, format: (&'static str, u32), opener: Opener) -> Result<Self, StoreError> {
        let mut shelf = Self { path: path.to_owned(), format, opener, db: None };
        shelf.reopen()?;
        Ok(shelf)
    }

    /// Runs one read or write on the database; after a fault of the disk the next one opens the file again.
    pub(super) fn run<T>(&mut self, work: impl FnOnce(&Database) -> Result<T, Fault>) -> Result<T, StoreError> {
        if self.db.is_none() {
            self.reopen()?;
        }
        let db = self.db.as_ref().ok_or_else(|| io(&self.path, "not open"))?;
        // redb promises errors instead of panics only where it checks; a panic over damaged bytes is damage.
        let done = catch_unwind(AssertUnwindSafe(|| work(db)));
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(fault)) => {
                self.db = None;
                Err(fault.at(&self.path))
            }
            Err(_) => {
                self.db = None;
                Err(damaged(&self.path, "the store's reader panicked over its content"))
            }
        }
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
        let since = Instant::now();
        let db = loop {
            let opened = catch_unwind(AssertUnwindSafe(|| (self.opener)(&builder)));
            match opened {
                Ok(Err(DatabaseError::DatabaseAlreadyOpen)) if since.elapsed() < PATIENCE => {
                    std::thread::sleep(PATIENCE / 20);
                }
                Ok(opened) => break opened.map_err(|error| Fault::from(error).at(&self.path))?,
                Err(_) => return Err(damaged(&self.path, "the store's reader panicked over its structure")),
            }
        };
        self.db = Some(db);
        let (name, known) = self.format;
        let found = self.run(|db| {
            let read = db.begin_read()?;
            Ok(read.open_table(META)?.get(name)?.map(|version| version.value()))
        })?;
        match found {
            Some(found) if found == u64::from(known) => Ok(()),
            Some(found) => {
                let found = u32::try_from(found).unwrap_or(u32::MAX);
                Err(StoreError::Format { path: self.path.clone(), found, known })
            }
            None => Err(damaged(&self.path, format!("it does not say that it holds {name}"))),
        }
    }

    /// Copy on write leaves holes: once they are more than half of the file, it is written anew.
    fn compact(mut self) -> Result<Self, StoreError> {
        let bytes = fs::metadata(&self.path).map_err(|error| io(&self.path, error))?.len();
        if bytes < COMPACT_FROM {
            return Ok(self);
        }
        let live = self.run(|db| {
            let transaction = db.begin_write()?;
            let stats = transaction.stats()?;
            transaction.abort()?;
            Ok(stats.stored_bytes() + stats.metadata_bytes() + stats.fragmented_bytes())
        })?;
        if bytes > live.saturating_mul(2)
            && let Some(db) = &mut self.db
            && let Err(error) = db.compact()
        {
            // The content is whole either way; a file that stays large is only worth a word.
            tracing::warn!(file = %self.path.display(), %error, "the store could not be compacted");
            self.db = None;
        }
        Ok(self)
    }
}

/// Makes the file under another name first: under its own name it is complete from the start.
fn make(path: &Path, (name, version): (&'static str, u32)) -> Result<(), StoreError> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(dir).map_err(|error| io(dir, error))?;
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(&new, error)),
        _ => {}
    }
    let db = Database::builder().set_cache_size(CACHE_BYTES).create(&new);
    let db = db.map_err(|error| Fault::from(error).at(&new))?;
    label(&db, name, version).map_err(|fault| fault.at(&new))?;
    db.close().map_err(|error| Fault::from(error).at(&new))?;
    fs::rename(&new, path).and_then(|()| File::open(dir)?.sync_all()).map_err(|error| io(path, error))
}

/// Writes what the file holds.
pub(super) fn label(db: &Database, name: &str, version: u32) -> Result<(), Fault> {
    write(db, |transaction| {
        transaction.open_table(META)?.insert(name, u64::from(version))?;
        Ok(())
    })
}

/// One durable transaction: all of it, or nothing.
pub(super) fn write<T>(db: &Database, work: impl FnOnce(&WriteTransaction) -> Result<T, Fault>) -> Result<T, Fault> {
    let transaction = db.begin_write()?;
    let value = work(&transaction)?;
    transaction.commit()?;
    Ok(value)
}

fn io(path: &Path, detail: impl ToString) -> StoreError {
    StoreError::Io { path: path.to_owned(), detail: detail.to_string() }
}

fn damaged(path: &Path, detail: impl Into<String>) -> StoreError {
    StoreError::Damaged { path: path.to_owned(), detail: detail.into() }
}

/// What can go wrong in redb or in what we stored there, before it is known in which file.
#[derive(Debug)]
pub(super) enum Fault {
    Locked,
    Damaged(String),
    Format(u8),
    Io(String),
}

/// The file format of redb 4.
const REDB_FORMAT: u32 = 3;

impl Fault {
    pub(super) fn at(self, path: &Path) -> StoreError {
        match self {
            Self::Locked => StoreError::Locked { path: path.to_owned() },
            Self::Damaged(detail) => damaged(path, detail),
            Self::Format(found) => {
                StoreError::Format { path: path.to_owned(), found: found.into(), known: REDB_FORMAT }
            }
            Self::Io(detail) => io(path, detail),
        }
    }
}

impl From<StorageError> for Fault {
    fn from(error: StorageError) -> Self {
        use std::io::ErrorKind::{InvalidData, UnexpectedEof};
        match error {
            StorageError::Corrupted(detail) => Self::Damaged(detail),
            // Not a database at all, or shorter than it says.
            StorageError::Io(error) if matches!(error.kind(), InvalidData | UnexpectedEof) => {
                Self::Damaged(error.to_string())
            }
            other => Self::Io(other.to_string()),
        }
    }
}

impl From<DatabaseError> for Fault {
    fn from(error: DatabaseError) -> Self {
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => Self::Locked,
            DatabaseError::UpgradeRequired(found) => Self::Format(found),
            DatabaseError::Storage(error) => error.into(),
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<TableError> for Fault {
    fn from(error: TableError) -> Self {
        match error {
            TableError::Storage(error) => error.into(),
            // Tables are made with the file or at their first write: one that is of another kind is not ours.
            other => Self::Damaged(other.to_string()),
        }
    }
}

impl From<TransactionError> for Fault {
    fn from(error: TransactionError) -> Self {
        match error {
            TransactionError::Storage(error) => error.into(),
            other => Self::Io(other.to_string()),
        }
    }
}

impl From<CommitError> for Fault {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Storage(error) => error.into(),
            other => Self::Io(other.to_string()),
        }
    }
}
