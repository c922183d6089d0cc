//! Counters within the ledger that come from surveys and not from records: with what each was counted up to, so that
//! a restart goes on where the last durable survey stopped.

use redb::{ReadableDatabase as _, TableDefinition, TableError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::ledger::held;
use super::shelf::write;
use super::{KeepStore, KeptOf, KeptRows, Ledger, StoreError};

/// Cluster, whose counters, name to: checksum u64, bytes.
const KEPT: TableDefinition<(&str, &str, &str), &[u8]> = TableDefinition::new("kept");

impl KeepStore for Ledger {
    fn load_kept(&self, cluster: &str, of: KeptOf) -> Result<(KeptRows, usize), StoreError> {
        held(&self.shelf).run(|db| {
            let table = match db.begin_read()?.open_table(KEPT) {
                Err(TableError::TableDoesNotExist(_)) => return Ok((Vec::new(), 0)),
                table => table?,
            };
            let (mut rows, mut damaged) = (Vec::new(), 0);
            for row in table.range((cluster, of.name(), "")..)? {
                let (key, value) = row?;
                let (in_cluster, kind, name) = key.value();
                if in_cluster != cluster || kind != of.name() {
                    break;
                }
                match value.value().split_first_chunk::<8>() {
                    Some((sum, bytes)) if u64::from_le_bytes(*sum) == checksum(name, bytes) => {
                        rows.push((name.to_owned(), bytes.to_vec()));
                    }
                    _ => damaged += 1,
                }
            }
            Ok((rows, damaged))
        })
    }

    fn save_kept(&self, cluster: &str, of: KeptOf, rows: &[(std::sync::Arc<str>, Vec<u8>)]) -> Result<(), StoreError> {
        held(&self.shelf).run(|db| {
            write(db, |transaction| {
                let mut table = transaction.open_table(KEPT)?;
                for (name, bytes) in rows {
                    let key = (cluster, of.name(), &**name);
                    if bytes.is_empty() {
                        table.remove(key)?;
                        continue;
                    }
                    let mut row = checksum(name, bytes).to_le_bytes().to_vec();
                    row.extend_from_slice(bytes);
                    table.insert(key, row.as_slice())?;
                }
                Ok(())
            })
        })
    }
}

fn checksum(name: &str, bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, xxh3_64_with_seed(name.as_bytes(), 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::IDEMPOTENCY_KEYS;

    #[test]
    fn rows_come_back_by_cluster_and_kind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.redb");
        let row = |name: &str, bytes: &[u8]| (std::sync::Arc::<str>::from(name), bytes.to_vec());
        {
            let ledger = Ledger::open(&path, IDEMPOTENCY_KEYS).unwrap();
            assert_eq!(ledger.load_kept("a", KeptOf::Groups).unwrap(), (Vec::new(), 0));
            ledger.save_kept("a", KeptOf::Groups, &[row("g", b"1"), row("h", b"2")]).unwrap();
            ledger.save_kept("a", KeptOf::Letters, &[row("g", b"3")]).unwrap();
            ledger.save_kept("b", KeptOf::Groups, &[row("g", b"4")]).unwrap();
            ledger.save_kept("a", KeptOf::Groups, &[row("g", b"5"), row("h", b"")]).unwrap();
        }
        let ledger = Ledger::open(&path, IDEMPOTENCY_KEYS).unwrap();
        let one = |bytes: &[u8]| (vec![("g".to_owned(), bytes.to_vec())], 0);
        assert_eq!(ledger.load_kept("a", KeptOf::Groups).unwrap(), one(b"5"));
        assert_eq!(ledger.load_kept("a", KeptOf::Letters).unwrap(), one(b"3"));
        assert_eq!(ledger.load_kept("b", KeptOf::Groups).unwrap(), one(b"4"));
    }
}
