//! Redrives that a stop of the process cut short. A run is stored before it begins and removed when it ends: what is
//! there at a start was interrupted, and goes on as what it was. Letters that were moved already are not moved again.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::snapshot::RedriveView;
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

/// Stores a run before it begins.
///
/// # Errors
/// [`StoreError`]: then it must not begin, nobody would know of it after a crash.
pub(super) fn remember(store: &dyn KeepStore, run: &StoredRun) -> Result<(), StoreError> {
    let bytes =
        serde_json::to_vec(run).map_err(|error| StoreError::Io { path: "ledger".into(), detail: error.to_string() })?;
    store.save_kept(&run.plan.cluster, KeptOf::Redrives, &[(run.plan.stream.as_str().into(), bytes)])
}

/// A run has ended, however it did.
pub(super) fn forget(store: &dyn KeepStore, cluster: &str, stream: &str) {
    if let Err(error) = store.save_kept(cluster, KeptOf::Redrives, &[(stream.into(), Vec::new())]) {
        tracing::warn!(cluster, stream, %error, "a redrive has ended; after a restart it will be said to be interrupted");
    }
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

/// How an interrupted run is shown.
pub(super) fn view(run: &StoredRun) -> Arc<RedriveView> {
    Arc::new(RedriveView {
        run: run.run.clone(),
        cluster: run.plan.cluster.clone(),
        stream: run.plan.stream.clone(),
        state: "interrupted",
        ..RedriveView::default()
    })
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
            assert_eq!(view(&found[0]).state, "interrupted");
            let lines = ledger.newest(10).unwrap();
            let brief: Vec<_> = lines.iter().map(|l| (l.action.as_str(), l.user.as_str(), l.at)).collect();
            assert_eq!(brief, [("redrive.interrupted", "ann", Timestamp(9))], "once, whatever the number of starts");
        }
        let ledger = Ledger::open(&path, IDEMPOTENCY_KEYS).unwrap();
        forget(&ledger, "main", "orders.dlq");
        assert!(interrupted(["main"].into_iter(), &ledger, &ledger, Timestamp(9)).is_empty());
    }
}
