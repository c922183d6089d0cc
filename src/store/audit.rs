//! The audit log within the ledger: numbered lines, the oldest go when there are too many.

use redb::{ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition, TableError};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::ledger::held;
use super::shelf::{Fault, write};
use super::{AuditEntry, AuditLog, Ledger, StoreError};

/// Lines kept: years of redrives and peeks, some 20 MB; the oldest go.
pub const AUDIT_ENTRIES: u64 = 100_000;

/// Number to: checksum u64, then the entry as JSON, so that it can be read without us.
const AUDIT: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");

impl AuditLog for Ledger {
    fn note(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let json =
            serde_json::to_vec(entry).map_err(|error| StoreError::unwritable("a line of the audit log", &error))?;
        held(&self.shelf).run(|db| {
            write(db, |transaction| {
                let mut table = transaction.open_table(AUDIT)?;
                let number = table.last()?.map_or(0, |(number, _)| number.value() + 1);
                let mut row = xxh3_64_with_seed(&json, number).to_le_bytes().to_vec();
                row.extend_from_slice(&json);
                table.insert(number, row.as_slice())?;
                while table.len()? > AUDIT_ENTRIES {
                    table.pop_first()?;
                }
                Ok(())
            })
        })
    }

    fn lines(&self, before: Option<u64>, count: usize) -> Result<Vec<(u64, AuditEntry)>, StoreError> {
        held(&self.shelf).run(|db| {
            let table = match db.begin_read()?.open_table(AUDIT) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let lines = table.range(..before.unwrap_or(u64::MAX))?.rev().take(count).map(|line| {
                let (number, row) = line?;
                Ok((number.value(), parse(number.value(), row.value())?))
            });
            lines.collect()
        })
    }
}

fn parse(number: u64, row: &[u8]) -> Result<AuditEntry, Fault> {
    let damaged = || Fault::Damaged(format!("the checksum of line {number} of the audit log"));
    let (sum, json) = row.split_first_chunk::<8>().ok_or_else(damaged)?;
    if u64::from_le_bytes(*sum) != xxh3_64_with_seed(json, number) {
        return Err(damaged());
    }
    serde_json::from_slice(json).map_err(|_| damaged())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::store::IDEMPOTENCY_KEYS;

    #[test]
    fn lines_are_kept_in_order_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.redb");
        let entry = |n: i64| AuditEntry {
            at: Timestamp(n),
            user: "ann".into(),
            action: "peek".into(),
            detail: format!("orders.dlq/0 at {n}"),
        };
        {
            let ledger = Ledger::open(&path, IDEMPOTENCY_KEYS).unwrap();
            assert_eq!(ledger.newest(5).unwrap(), []);
            (0..3).for_each(|n| ledger.note(&entry(n)).unwrap());
        }
        let ledger = Ledger::open(&path, IDEMPOTENCY_KEYS).unwrap();
        ledger.note(&entry(3)).unwrap();
        assert_eq!(ledger.newest(2).unwrap(), [entry(3), entry(2)]);
        assert_eq!(ledger.newest(10).unwrap().len(), 4);
        assert_eq!(ledger.lines(Some(2), 1).unwrap(), [(1, entry(1))], "the page behind it");
        assert_eq!(ledger.lines(Some(0), 5).unwrap(), []);
    }
}
