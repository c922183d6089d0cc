//! The ledger: what must never be lost and cannot be rebuilt from a log. Its own file, so that a checkpoint
//! never delays it. Here: idempotency keys with the answers that were given; beside it, the audit log.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use redb::{ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, Table, TableDefinition, TableError};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::shelf::{Fault, Shelf, write};
use super::{Claim, IdempotencyKeys, StoreError, StoredAnswer};
use crate::model::{MICROS_PER_SECOND, Timestamp};

/// Answers kept by default (`limits.idempotency_keys`): about 50 MB; the oldest goes, and is counted.
pub const IDEMPOTENCY_KEYS: usize = 100_000;
/// How long an answer is kept.
const KEPT: i64 = 24 * 3_600 * MICROS_PER_SECOND;
/// Requests with a key at the same time; above the connections that the server takes.
const IN_FLIGHT: usize = 10_000;
/// A claim that was neither finished nor released for so long was abandoned.
const ABANDONED: i64 = 600 * MICROS_PER_SECOND;
/// Answers in one transaction: concurrent requests share an fsync.
const GROUP: usize = 256;

const FORMAT: (&str, u32) = ("streamgauge-ledger", 1);
/// Key to: checksum u64, time i64, SHA-256 of the body, status u16, answer.
const ANSWERS: TableDefinition<&str, &[u8]> = TableDefinition::new("idempotency");
/// The same in order of time, for expiry.
const BY_TIME: TableDefinition<(i64, &str), ()> = TableDefinition::new("idempotency_by_time");
/// Bytes before the answer.
const HEADER: usize = 8 + 8 + 32 + 2;

/// The ledger in one redb file, with a thread of its own that writes in groups.
pub struct Ledger {
    pub(super) shelf: Arc<Mutex<Shelf>>,
    claims: Mutex<HashMap<String, Claimed>>,
    jobs: Option<SyncSender<Job>>,
    thread: Option<JoinHandle<()>>,
    evicted: Arc<AtomicU64>,
}

#[derive(Clone, Copy)]
struct Claimed {
    body: [u8; 32],
    at: Timestamp,
}

struct Job {
    key: String,
    row: Vec<u8>,
    at: i64,
    done: SyncSender<Result<(), StoreError>>,
}

impl Ledger {
    /// Opens the file, or makes it. At most `keys` answers are kept.
    ///
    /// # Errors
    /// As [`super::RedbState::open`].
    pub fn open(path: &Path, keys: usize) -> Result<Self, StoreError> {
        let shelf = Arc::new(Mutex::new(Shelf::open(path, FORMAT)?));
        let evicted = Arc::new(AtomicU64::new(0));
        let (jobs, waiting) = sync_channel(GROUP);
        let (for_thread, counter) = (Arc::clone(&shelf), Arc::clone(&evicted));
        let run = move || run(&for_thread, &waiting, keys as u64, &counter);
        let thread = std::thread::Builder::new().name("store-ledger".into()).spawn(run);
        let thread = thread.map_err(|error| StoreError::Io { path: path.to_owned(), detail: error.to_string() })?;
        Ok(Self { shelf, claims: Mutex::default(), jobs: Some(jobs), thread: Some(thread), evicted })
    }

    /// Answers that went before their 24 hours because there were too many.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    fn stored(&self, key: &str) -> Result<Option<(Timestamp, [u8; 32], StoredAnswer)>, StoreError> {
        held(&self.shelf).run(|db| {
            let table = match db.begin_read()?.open_table(ANSWERS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            table.get(key)?.map(|row| parse(key, row.value())).transpose()
        })
    }
}

impl IdempotencyKeys for Ledger {
    fn claim(&self, key: &str, body: [u8; 32], now: Timestamp) -> Result<Claim, StoreError> {
        // Held while the file is asked: of two requests at once only one may be fresh.
        let mut claims = held(&self.claims);
        if claims.get(key).is_some_and(|claim| now.since(claim.at) < ABANDONED) {
            return Ok(Claim::InProgress);
        }
        if claims.len() >= IN_FLIGHT {
            claims.retain(|_, claim| now.since(claim.at) < ABANDONED);
        }
        if claims.len() >= IN_FLIGHT {
            let detail = format!("{IN_FLIGHT} requests with idempotency keys are in progress; try again");
            return Err(StoreError::Io { path: "ledger".into(), detail });
        }
        match self.stored(key)? {
            Some((at, stored, answer)) if now.since(at) < KEPT => {
                Ok(if stored == body { Claim::Replay(answer) } else { Claim::OtherBody })
            }
            _ => {
                claims.insert(key.to_owned(), Claimed { body, at: now });
                Ok(Claim::Fresh)
            }
        }
    }

    fn finish(&self, key: &str, answer: &StoredAnswer) -> Result<(), StoreError> {
        let failed = |detail: &str| StoreError::Io { path: "ledger".into(), detail: detail.into() };
        let claim = held(&self.claims).get(key).copied();
        let claim = claim.ok_or_else(|| failed("the idempotency key was finished without being claimed"))?;
        let (done, answered) = sync_channel(1);
        let job = Job { key: key.to_owned(), row: row(key, claim, answer), at: claim.at.0, done };
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        let stored = if sent { answered.recv().ok() } else { None };
        stored.unwrap_or_else(|| Err(failed("the ledger's thread has ended")))?;
        self.release(key);
        Ok(())
    }

    fn release(&self, key: &str) {
        held(&self.claims).remove(key);
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        self.jobs = None;
        // Its panic was reported by the panic hook; there is nobody left to tell.
        self.thread.take().map(JoinHandle::join);
    }
}

fn run(shelf: &Mutex<Shelf>, jobs: &Receiver<Job>, most: u64, evicted: &AtomicU64) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        group.extend(jobs.try_iter().take(GROUP - 1));
        let stored = held(shelf).run(|db| {
            write(db, |transaction| {
                let mut answers = transaction.open_table(ANSWERS)?;
                let mut by_time = transaction.open_table(BY_TIME)?;
                for job in &group {
                    let old = answers.insert(job.key.as_str(), job.row.as_slice())?.map(|row| time_of(row.value()));
                    if let Some(old) = old {
                        by_time.remove((old, job.key.as_str()))?;
                    }
                    by_time.insert((job.at, job.key.as_str()), ())?;
                }
                let newest = group.iter().map(|job| job.at).max().unwrap_or(i64::MIN);
                expire(&mut answers, &mut by_time, newest.saturating_sub(KEPT), most)
            })
        });
        if let Ok(gone) = &stored {
            evicted.fetch_add(*gone, Ordering::Relaxed);
        }
        for job in group {
            // A caller that went away gets no answer; its key is stored all the same.
            let _ = job.done.send(stored.as_ref().map(|_| ()).map_err(again));
        }
    }
}

/// Removes answers that are too old, then those that are too many; returns how many of the latter.
fn expire(
    answers: &mut Table<'_, &str, &[u8]>,
    by_time: &mut Table<'_, (i64, &str), ()>,
    oldest: i64,
    most: u64,
) -> Result<u64, Fault> {
    let mut evicted = 0;
    loop {
        let many = answers.len()? > most;
        let Some((at, key)) = by_time.first()?.map(|(first, _)| owned(&first)) else { return Ok(evicted) };
        if at >= oldest && !many {
            return Ok(evicted);
        }
        evicted += u64::from(at >= oldest);
        by_time.remove((at, key.as_str()))?;
        answers.remove(key.as_str())?;
    }
}

fn owned(first: &redb::AccessGuard<'_, (i64, &str)>) -> (i64, String) {
    let (at, key) = first.value();
    (at, key.to_owned())
}

fn row(key: &str, claim: Claimed, answer: &StoredAnswer) -> Vec<u8> {
    let mut row = vec![0; 8];
    row.extend_from_slice(&claim.at.0.to_le_bytes());
    row.extend_from_slice(&claim.body);
    row.extend_from_slice(&answer.status.to_le_bytes());
    row.extend_from_slice(&answer.body);
    let sum = xxh3_64_with_seed(&row[8..], xxh3_64(key.as_bytes()));
    row[..8].copy_from_slice(&sum.to_le_bytes());
    row
}

fn time_of(row: &[u8]) -> i64 {
    row.get(8..16).map_or(0, |time| i64::from_le_bytes(std::array::from_fn(|i| time[i])))
}

fn parse(key: &str, row: &[u8]) -> Result<(Timestamp, [u8; 32], StoredAnswer), Fault> {
    let sum = row.get(..8).map(|sum| u64::from_le_bytes(std::array::from_fn(|i| sum[i])));
    if row.len() < HEADER || sum != Some(xxh3_64_with_seed(&row[8..], xxh3_64(key.as_bytes()))) {
        return Err(Fault::Damaged(format!("the checksum of the answer to idempotency key {key:?}")));
    }
    let body = std::array::from_fn(|i| row[16 + i]);
    let status = u16::from_le_bytes([row[48], row[49]]);
    Ok((Timestamp(time_of(row)), body, StoredAnswer { status, body: row[HEADER..].to_vec() }))
}

/// The same error for each caller of a group.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Locked { path } => StoreError::Locked { path: path.clone() },
        StoreError::Damaged { path, detail } => StoreError::Damaged { path: path.clone(), detail: detail.clone() },
        StoreError::Format { path, found, known } => {
            StoreError::Format { path: path.clone(), found: *found, known: *known }
        }
        StoreError::Io { path, detail } => StoreError::Io { path: path.clone(), detail: detail.clone() },
        StoreError::Unwritable { what, detail } => StoreError::Unwritable { what, detail: detail.clone() },
    }
}

/// Locks; a panic elsewhere leaves these values whole, so it does not spread.
pub(super) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600 * MICROS_PER_SECOND;

    fn answer(text: &str) -> StoredAnswer {
        StoredAnswer { status: 202, body: text.into() }
    }

    #[test]
    fn a_key_is_fresh_once_and_answered_alike_for_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.redb");
        let t = Timestamp::from_seconds(1_700_000_000);
        {
            let ledger = Ledger::open(&path, 10).unwrap();
            assert_eq!(ledger.claim("k", [1; 32], t).unwrap(), Claim::Fresh);
            assert_eq!(ledger.claim("k", [1; 32], t).unwrap(), Claim::InProgress);
            ledger.release("k");
            assert_eq!(ledger.claim("k", [1; 32], t).unwrap(), Claim::Fresh);
            ledger.finish("k", &answer("one")).unwrap();
            assert!(ledger.finish("k", &answer("two")).is_err(), "nobody claims it now");
        }
        let ledger = Ledger::open(&path, 10).unwrap();
        assert_eq!(ledger.claim("k", [1; 32], t.plus(23 * HOUR)).unwrap(), Claim::Replay(answer("one")));
        assert_eq!(ledger.claim("k", [2; 32], t.plus(23 * HOUR)).unwrap(), Claim::OtherBody);
        assert_eq!(ledger.claim("k", [2; 32], t.plus(24 * HOUR)).unwrap(), Claim::Fresh);
        ledger.finish("k", &answer("three")).unwrap();
        assert_eq!(ledger.claim("k", [2; 32], t.plus(25 * HOUR)).unwrap(), Claim::Replay(answer("three")));
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.redb"), 10).unwrap();
        for i in 0..25 {
            let key = format!("k{i}");
            assert_eq!(ledger.claim(&key, [0; 32], Timestamp(i)).unwrap(), Claim::Fresh);
            ledger.finish(&key, &answer("x")).unwrap();
        }
        assert_eq!(ledger.evicted(), 15);
        assert_eq!(ledger.claim("k14", [0; 32], Timestamp(30)).unwrap(), Claim::Fresh);
        assert_eq!(ledger.claim("k15", [0; 32], Timestamp(30)).unwrap(), Claim::Replay(answer("x")));
    }

    #[test]
    fn of_many_at_once_one_is_fresh_and_all_get_the_same_answer() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&dir.path().join("ledger.redb"), 1_000).unwrap();
        let fresh = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (ledger, fresh) = (&ledger, &fresh);
                scope.spawn(move || {
                    for i in 0..40 {
                        let key = format!("k{}", (i + thread) % 40);
                        if ledger.claim(&key, [0; 32], Timestamp(5)).unwrap() == Claim::Fresh {
                            ledger.finish(&key, &answer(&key)).unwrap();
                            fresh.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(fresh.load(Ordering::Relaxed), 40);
        assert_eq!(ledger.claim("k7", [0; 32], Timestamp(6)).unwrap(), Claim::Replay(answer("k7")));
    }
}
