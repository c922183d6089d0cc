//! Redrives that a stop of the process cut short. A run is stored before it begins and removed when it ends: what is
//! there at a start was interrupted, and goes on as what it was, or is dismissed. Letters that were moved already are
//! not moved again.

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::store::{AuditEntry, AuditLog, KeepStore, KeptOf, StoreError};
use crate::web::RedrivePlan;

/// A run as it is stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct StoredRun {
    /// Its id.
    pub run: String,
    /// Who began it.
    pub by: String,
    /// What was asked for.
    pub plan: RedrivePlan,
    /// The audit log says already that it was interrupted.
    #[serde(default)]
    pub noted: bool,
}

/// Stores a run before it begins, in place of the one of its stream that was stored before.
///
/// # Errors
/// [`StoreError`]: then it must not begin, nobody would know of it after a crash.
pub(super) fn remember(store: &dyn KeepStore, run: &StoredRun) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(run).map_err(|error| StoreError::unwritable("a redrive", &error))?;
    store.save_kept(&run.plan.cluster, KeptOf::Redrives, &[(run.plan.stream.as_str().into(), bytes)])
}

/// A run is no more: it has ended, or nobody wants it. Another run that took its place stays. Whoever calls sees to it
/// that none begins meanwhile.
///
/// # Errors
/// [`StoreError`]: after a restart it will be said to be interrupted.
pub(super) fn forget(store: &dyn KeepStore, cluster: &str, stream: &str, run: &str) -> Result<(), StoreError> {
    let (rows, _) = store.load_kept(cluster, KeptOf::Redrives)?;
    let is_stored = |(name, bytes): &(String, Vec<u8>)| {
        name == stream && serde_json::from_slice::<StoredRun>(bytes).is_ok_and(|stored| stored.run == run)
    };
    if rows.iter().any(is_stored) {
        store.save_kept(cluster, KeptOf::Redrives, &[(stream.into(), Vec::new())])?;
    }
    Ok(())
}

/// The runs that were interrupted, each noted in the audit log once.
pub(super) fn interrupted<'a>(
    clusters: impl Iterator<Item = &'a str>,
    store: &dyn KeepStore,
    audit: &dyn AuditLog,
    now: Timestamp,
) -> Vec<StoredRun> {
    let mut found = Vec::new();
    for cluster in clusters {
        let rows = match store.load_kept(cluster, KeptOf::Redrives) {
            Ok((rows, _)) => rows,
            Err(error) => {
                tracing::warn!(cluster, %error, "whether redrives were interrupted is not known");
                continue;
            }
        };
        found.extend(rows.iter().filter_map(|(_, bytes)| serde_json::from_slice::<StoredRun>(bytes).ok()));
    }
    for run in found.iter_mut().filter(|run| !run.noted) {
        let (cluster, stream) = (&run.plan.cluster, &run.plan.stream);
        let detail = format!("run {} cluster {cluster} stream {stream}: the process ended before it", run.run);
        let entry = AuditEntry { at: now, user: run.by.clone(), action: "redrive.interrupted".into(), detail };
        tracing::warn!(cluster, stream, "a redrive was interrupted; it can be resumed on its page");
        run.noted = audit.note(&entry).is_ok();
        if run.noted
            && let Err(error) = remember(store, run)
        {
            tracing::debug!(%error, "it will be noted again");
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{IDEMPOTENCY_KEYS, Ledger};

    #[test]
    fn a_run_without_an_end_is_found_and_noted_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ledger.redb");
        let plan = RedrivePlan {
            cluster: "main".into(),
            stream: "orders.dlq".into(),
            error: "E".into(),
            positions: Some((2, 5, u64::MAX)),
            from: Some(Timestamp(7)),
            ..RedrivePlan::default()
        };
        let run = StoredRun { run: "r1".into(), by: "ann".into(), plan, noted: false };
        remember(&Ledger::open(&path, IDEMPOTENCY_KEYS).unwrap(), &run).unwrap();
        for _ in 0..2 {
            let ledger = Ledger::open(&path, IDEMPOTENCY_KEYS).unwrap();
            let found = interrupted(["other", "main"].into_iter(), &ledger, &ledger, Timestamp(9));
            assert_eq!(found.iter().map(|r| (&r.run, &r.plan)).collect::<Vec<_>>(), [(&run.run, &run.plan)]);
            let lines = ledger.newest(10).unwrap();
            let brief: Vec<_> = lines.iter().map(|l| (l.action.as_str(), l.user.as_str(), l.at)).collect();
            assert_eq!(brief, [("redrive.interrupted", "ann", Timestamp(9))], "once, whatever the number of starts");
        }
        let ledger = Ledger::open(&path, IDEMPOTENCY_KEYS).unwrap();
        forget(&ledger, "main", "orders.dlq", "r0").unwrap();
        assert_eq!(interrupted(["main"].into_iter(), &ledger, &ledger, Timestamp(9)).len(), 1, "it is not r0");
        forget(&ledger, "main", "orders.dlq", "r1").unwrap();
        assert!(interrupted(["main"].into_iter(), &ledger, &ledger, Timestamp(9)).is_empty());
    }
}
