//! The state store on redb: blobs in rows that fit redb's pages, each with a checksum of ours.
//!
//! A blob of 64 KiB in one row would take a page of 128 KiB, because pages are powers of two and
//! carry a header. So blobs are cut into rows that just fit 64 KiB.

use std::path::Path;

use redb::{ReadableDatabase as _, ReadableTable as _, Table, TableDefinition, TableError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::shelf::{Fault, Shelf, write};
use super::{BlobKey, Changes, StateStore, StoreError};

/// Kind, number, row within the blob.
type RowKey = (u8, u64, u16);
const ROWS: TableDefinition<RowKey, &[u8]> = TableDefinition::new("blobs");
/// What the file holds, and the version of its layout.
pub(super) const FORMAT: (&str, u32) = ("streamgauge-state", 1);
/// Bytes of a blob in one row: with key, checksum and the page's own header it fits 64 KiB.
const ROW_BYTES: usize = (64 << 10) - 128;
/// Before the bytes of a row: checksum u64, rows of the blob that follow u16.
const ROW_HEADER: usize = 10;

/// State in one redb file. Committing is one fsync.
pub struct RedbState {
    shelf: Shelf,
    row: Vec<u8>,
}

impl RedbState {
    /// Opens the file, or makes it with its directory.
    ///
    /// # Errors
    /// `Locked` where another process holds it, `Damaged` where its content is not what was written (it is
    /// left as it is), `Format` for another version's file, `Io` where the disk refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::on(Shelf::open(path, FORMAT)?))
    }

    pub(super) fn on(shelf: Shelf) -> Self {
        Self { shelf, row: Vec::new() }
    }
}

impl StateStore for RedbState {
    fn load(&mut self, each: &mut dyn FnMut(BlobKey, &[u8])) -> Result<(), StoreError> {
        self.shelf.run(|db| {
            let read = db.begin_read()?;
            let table = match read.open_table(ROWS) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(()),
                table => table?,
            };
            let mut blob = Blob::default();
            for row in table.iter()? {
                let (key, value) = row?;
                if let Some((key, bytes)) = blob.take(key.value(), value.value())? {
                    each(key, bytes);
                }
            }
            blob.finished()
        })
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let row = &mut self.row;
        self.shelf.run(|db| {
            write(db, |transaction| {
                let mut table = transaction.open_table(ROWS)?;
                for (key, bytes) in &changes.puts {
                    let rows = put(&mut table, *key, bytes, row)?;
                    remove(&mut table, *key, rows)?;
                }
                changes.deletes.iter().try_for_each(|key| remove(&mut table, *key, 0))
            })
        })
    }
}

/// Writes the rows of a blob; returns how many.
fn put(table: &mut Table<'_, RowKey, &[u8]>, key: BlobKey, bytes: &[u8], row: &mut Vec<u8>) -> Result<u16, Fault> {
    let rows = bytes.len().div_ceil(ROW_BYTES).max(1);
    let too_large = |_| Fault::Io(format!("a blob of {} bytes is larger than the store takes", bytes.len()));
    let rows = u16::try_from(rows).map_err(too_large)?;
    for number in 0..rows {
        let start = usize::from(number) * ROW_BYTES;
        row.clear();
        row.extend_from_slice(&[0; 8]);
        row.extend_from_slice(&(rows - 1 - number).to_le_bytes());
        row.extend_from_slice(&bytes[start..bytes.len().min(start + ROW_BYTES)]);
        let at = (key.kind, key.number, number);
        let sum = checksum(at, &row[8..]);
        row[..8].copy_from_slice(&sum.to_le_bytes());
        table.insert(at, row.as_slice())?;
    }
    Ok(rows)
}

/// Removes the rows of a blob from `first` on.
fn remove(table: &mut Table<'_, RowKey, &[u8]>, key: BlobKey, first: u16) -> Result<(), Fault> {
    for number in first..=u16::MAX {
        if table.remove((key.kind, key.number, number))?.is_none() {
            break;
        }
    }
    Ok(())
}

/// The key takes part: a row in another's place does not pass.
fn checksum((kind, number, row): RowKey, bytes: &[u8]) -> u64 {
    let place = number ^ u64::from(kind).rotate_left(56) ^ u64::from(row).rotate_left(40);
    xxh3_64_with_seed(bytes, place)
}

/// Puts the rows of blobs together again.
#[derive(Default)]
struct Blob {
    /// The row that must come next.
    expected: Option<RowKey>,
    bytes: Vec<u8>,
}

impl Blob {
    /// Takes the next row; the blob once it is whole.
    fn take<'a>(&'a mut self, key: RowKey, row: &'a [u8]) -> Result<Option<(BlobKey, &'a [u8])>, Fault> {
        let damaged = |what: &str| Fault::Damaged(format!("{what} of blob {}/{} (row {})", key.0, key.1, key.2));
        let (header, bytes) = row.split_at_checked(ROW_HEADER).ok_or_else(|| damaged("the length"))?;
        let sum = u64::from_le_bytes(std::array::from_fn(|i| header[i]));
        if checksum(key, &row[8..]) != sum {
            return Err(damaged("the checksum"));
        }
        let begins = key.2 == 0 && self.expected.is_none();
        if !begins && self.expected != Some(key) {
            return Err(damaged("a row before it is missing"));
        }
        let follow = u16::from_le_bytes([header[8], header[9]]);
        self.expected = (follow > 0).then(|| (key.0, key.1, key.2 + 1));
        let whole = BlobKey { kind: key.0, number: key.1 };
        if begins && follow == 0 {
            return Ok(Some((whole, bytes)));
        }
        if begins {
            self.bytes.clear();
        }
        self.bytes.extend_from_slice(bytes);
        Ok((follow == 0).then_some((whole, self.bytes.as_slice())))
    }

    fn finished(&self) -> Result<(), Fault> {
        match self.expected {
            None => Ok(()),
            Some((kind, number, _)) => {
                Err(Fault::Damaged(format!("the last rows of blob {kind}/{number} are missing")))
            }
        }
    }
}
