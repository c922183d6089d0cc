//! Positions of groups of the embedded log, and the one step of each mover that may be half done.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use redb::{ReadableDatabase as _, ReadableTable as _, TableDefinition, TableError};

use super::StoreError;
use super::shelf::{Shelf, write};
use crate::model::Timestamp;

const FORMAT: (&str, u32) = ("streamgauge-groups", 1);
/// (group, stream, partition) to (incarnation, next position, time of the commit).
const POSITIONS: TableDefinition<(&str, &str, u32), (&str, u64, i64)> = TableDefinition::new("positions");
/// Name of a mover to the step that it began.
const STEPS: TableDefinition<&str, &[u8]> = TableDefinition::new("steps");

/// A committed position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPosition {
    /// Group.
    pub group: String,
    /// Stream.
    pub stream: String,
    /// Partition.
    pub partition: u32,
    /// Incarnation of the stream that was read.
    pub incarnation: String,
    /// Next record to be read.
    pub next: u64,
    /// When it was committed.
    pub at: Timestamp,
}

/// A durable map of committed positions.
pub struct GroupStore(Mutex<Shelf>);

impl GroupStore {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// As [`super::RedbState::open`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self(Mutex::new(Shelf::open(path, FORMAT)?)))
    }

    /// Every position, by group, stream and partition.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn load(&self) -> Result<Vec<GroupPosition>, StoreError> {
        self.shelf().run(|db| {
            let table = match db.begin_read()?.open_table(POSITIONS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let mut all = Vec::new();
            for row in table.iter()? {
                let (key, value) = row?;
                let ((group, stream, partition), (incarnation, next, at)) = (key.value(), value.value());
                all.push(GroupPosition {
                    group: group.to_owned(),
                    stream: stream.to_owned(),
                    partition,
                    incarnation: incarnation.to_owned(),
                    next,
                    at: Timestamp(at),
                });
            }
            Ok(all)
        })
    }

    /// Makes positions durable, all or none. With `step`, the step that this mover began has ended.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the disk refuses.
    pub fn commit(&self, positions: &[GroupPosition], step: Option<&str>) -> Result<(), StoreError> {
        self.shelf().run(|db| {
            write(db, |transaction| {
                let mut table = transaction.open_table(POSITIONS)?;
                for p in positions {
                    let key = (p.group.as_str(), p.stream.as_str(), p.partition);
                    table.insert(key, (p.incarnation.as_str(), p.next, p.at.0))?;
                }
                if let Some(name) = step {
                    transaction.open_table(STEPS)?.remove(name)?;
                }
                Ok(())
            })
        })
    }

    /// Makes durable that the mover `name` begins a step.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the disk refuses: the step must not begin then.
    pub fn begin(&self, name: &str, step: &[u8]) -> Result<(), StoreError> {
        self.shelf().run(|db| {
            write(db, |transaction| {
                transaction.open_table(STEPS)?.insert(name, step)?;
                Ok(())
            })
        })
    }

    /// The step that the mover `name` began and that did not end.
    ///
    /// # Errors
    /// [`StoreError`] when the file cannot be read.
    pub fn begun(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.shelf().run(|db| {
            let table = match db.begin_read()?.open_table(STEPS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                table => table?,
            };
            Ok(table.get(name)?.map(|step| step.value().to_vec()))
        })
    }

    /// A panic elsewhere leaves the shelf whole.
    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_and_begun_steps_survive() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("groups.redb");
        let position = GroupPosition {
            group: "g".into(),
            stream: "s".into(),
            partition: 3,
            incarnation: "i".into(),
            next: 7,
            at: Timestamp(9),
        };
        {
            let store = GroupStore::open(&path).unwrap();
            assert_eq!((store.load().unwrap(), store.begun("m").unwrap()), (vec![], None));
            store.commit(std::slice::from_ref(&position), None).unwrap();
            store.begin("m", b"step").unwrap();
        }
        let store = GroupStore::open(&path).unwrap();
        assert_eq!(
            (store.load().unwrap(), store.begun("m").unwrap()),
            (vec![position.clone()], Some(b"step".to_vec()))
        );
        let next = GroupPosition { next: 8, ..position };
        store.commit(std::slice::from_ref(&next), Some("m")).unwrap();
        assert_eq!((store.load().unwrap(), store.begun("m").unwrap()), (vec![next], None));
    }
}
