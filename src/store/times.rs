//! Time indexes of the lag boards in one redb file: a cache. What it lost can be learned again from the brokers,
//! so a damaged file is thrown away with a warning, and a disk that refuses costs nothing but a cold start.

use std::path::{Path, PathBuf};

use redb::{ReadableDatabase as _, TableDefinition, TableError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::StoreError;
use super::shelf::{Fault, Shelf, write};

/// Cluster, stream, partition to: checksum u64, bytes.
const TIMES: TableDefinition<(&str, &str, u32), &[u8]> = TableDefinition::new("times");
const FORMAT: (&str, u32) = ("streamgauge-lag", 1);
/// Bytes of one row, at most: 64 samples take a quarter of it.
const ROW_BYTES: usize = 8 << 10;
/// Rows handed out by `load`, at most: as many partitions as boards keep samples for.
const ROWS: usize = 400_000;

/// One row: stream, partition, bytes; empty bytes remove it.
pub type TimesRow = (String, u32, Vec<u8>);

/// The file. One process at a time.
pub struct TimesFile {
    shelf: Shelf,
}

impl TimesFile {
    /// Opens the file, or makes it. One that is damaged, or of another version, is replaced by an empty one.
    ///
    /// # Errors
    /// `Locked` where another process holds it, `Io` where the disk refuses: go on without it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        match Shelf::open(path, FORMAT) {
            Ok(shelf) => Ok(Self { shelf }),
            Err(error @ (StoreError::Damaged { .. } | StoreError::Format { .. })) => {
                tracing::warn!(%error, "the cache of record times is thrown away; it will be learned again");
                std::fs::remove_file(path).map_err(|e| io(path, &e))?;
                Ok(Self { shelf: Shelf::open(path, FORMAT)? })
            }
            Err(error) => Err(error),
        }
    }

    /// All rows of a cluster. Rows whose checksum is wrong are left out; how many is the second number.
    ///
    /// # Errors
    /// [`StoreError`]: go on without them.
    pub fn load(&mut self, cluster: &str) -> Result<(Vec<TimesRow>, usize), StoreError> {
        self.shelf.run(|db| {
            let table = match db.begin_read()?.open_table(TIMES) {
                Err(TableError::TableDoesNotExist(_)) => return Ok((Vec::new(), 0)),
                table => table?,
            };
            let (mut rows, mut damaged) = (Vec::new(), 0);
            for row in table.range((cluster, "", 0)..)? {
                let (key, value) = row?;
                let (of, stream, partition) = key.value();
                if of != cluster || rows.len() >= ROWS {
                    break;
                }
                match value.value().split_at_checked(8) {
                    Some((sum, bytes)) if *sum == checksum(stream, partition, bytes).to_le_bytes() => {
                        rows.push((stream.to_owned(), partition, bytes.to_vec()));
                    }
                    _ => damaged += 1,
                }
            }
            Ok((rows, damaged))
        })
    }

    /// Writes rows of a cluster, or none of them. Rows without bytes, and too large ones, are removed.
    ///
    /// # Errors
    /// [`StoreError`]: nothing was written; hand them in again or let them go.
    pub fn save(&mut self, cluster: &str, rows: &[TimesRow]) -> Result<(), StoreError> {
        self.shelf.run(|db| {
            write(db, |transaction| {
                let mut table = transaction.open_table(TIMES)?;
                let mut row = Vec::new();
                for (stream, partition, bytes) in rows {
                    let key = (cluster, stream.as_str(), *partition);
                    if bytes.is_empty() || bytes.len() > ROW_BYTES {
                        table.remove(key)?;
                        continue;
                    }
                    row.clear();
                    row.extend_from_slice(&checksum(stream, *partition, bytes).to_le_bytes());
                    row.extend_from_slice(bytes);
                    table.insert(key, row.as_slice())?;
                }
                Ok::<_, Fault>(())
            })
        })
    }
}

fn checksum(stream: &str, partition: u32, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, xxh3_64_with_seed(stream.as_bytes(), u64::from(partition)))
}

fn io(path: &Path, error: &std::io::Error) -> StoreError {
    StoreError::Io { path: PathBuf::from(path), detail: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_by_cluster_and_a_damaged_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lag.redb");
        let row = |stream: &str, p: u32, bytes: &[u8]| (stream.to_owned(), p, bytes.to_vec());
        let mut file = TimesFile::open(&path).unwrap();
        assert_eq!(file.load("a").unwrap(), (Vec::new(), 0));
        file.save("a", &[row("s", 1, b"one"), row("s", 2, b"two"), row("t", 0, b"three")]).unwrap();
        file.save("b", &[row("s", 1, b"other")]).unwrap();
        file.save("a", &[row("s", 2, b"")]).unwrap();
        drop(file);
        let mut file = TimesFile::open(&path).unwrap();
        assert_eq!(file.load("a").unwrap(), (vec![row("s", 1, b"one"), row("t", 0, b"three")], 0));
        assert_eq!(file.load("b").unwrap().0.len(), 1);
        drop(file);

        std::fs::write(&path, b"not a database at all, and long enough to be read as one").unwrap();
        let mut file = TimesFile::open(&path).unwrap();
        assert_eq!(file.load("a").unwrap(), (Vec::new(), 0));
        file.save("a", &[row("s", 1, b"again")]).unwrap();
        assert_eq!(file.load("a").unwrap().0.len(), 1);
    }
}
