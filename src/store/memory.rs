//! A state store in memory, for tests: clones share it, so a clone outlives a simulated crash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{BlobKey, Changes, StateStore, StoreError};

/// State in memory. As with a disk, what was committed stays; a failed commit leaves nothing.
#[derive(Clone, Debug, Default)]
pub struct MemoryState {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    blobs: BTreeMap<BlobKey, Vec<u8>>,
    commits: u64,
    failures: u32,
}

impl MemoryState {
    /// Lets the next `count` commits fail as a full disk would.
    pub fn fail_next(&self, count: u32) {
        self.inner().failures = count;
    }

    /// Commits that succeeded.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner().commits
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for MemoryState {
    fn load(&mut self, each: &mut dyn FnMut(BlobKey, &[u8])) -> Result<(), StoreError> {
        self.inner().blobs.iter().for_each(|(key, bytes)| each(*key, bytes));
        Ok(())
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let mut inner = self.inner();
        if let Some(left) = inner.failures.checked_sub(1) {
            inner.failures = left;
            return Err(StoreError::Io { path: "memory".into(), detail: "no space left (simulated)".into() });
        }
        for (key, bytes) in &changes.puts {
            inner.blobs.insert(*key, bytes.to_vec());
        }
        for key in &changes.deletes {
            inner.blobs.remove(key);
        }
        inner.commits += 1;
        Ok(())
    }
}
