//! What durability costs: appends to the embedded log, commits of the state.

use divan::Bencher;
use divan::counter::ItemsCount;
use streamgauge::broker::embedded::{EmbeddedLog, LogOptions};
use streamgauge::broker::{NewRecord, Write as _};
use streamgauge::model::{BlobKey, Changes, Timestamp};
use streamgauge::store::{RedbState, StateStore as _};

fn main() {
    divan::main();
}

fn now() -> Timestamp {
    Timestamp::from_seconds(1_790_000_000)
}

fn record(id: u64) -> NewRecord {
    let payload = format!(
        r#"{{"id":"co-{id:x}.3","transaction_id":"co-{id:x}","flow":"checkout","stage":"payment.authorized","status":"ok","event_time":"2026-11-22T10:00:00.123456Z","service":"payments","attributes":{{"amount":"12.50","currency":"EUR"}}}}"#
    );
    let trace = format!("00-{:032x}-{:016x}-01", id + 1, id + 1).into_bytes();
    NewRecord {
        key: Some(format!("co-{id:x}").into_bytes()),
        payload: Some(payload.into_bytes()),
        headers: vec![("traceparent".into(), trace)],
        record_time: None,
    }
}

/// One acknowledged append of so many records: one fsync each time.
#[divan::bench(args = [1, 100, 1_000], sample_count = 50)]
fn append(bencher: Bencher, records: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let log = EmbeddedLog::open(dir.path(), LogOptions::default(), now).expect("an open log");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    bencher
        .counter(ItemsCount::new(records))
        .with_inputs(|| (0..records).map(record).collect::<Vec<_>>())
        .bench_local_values(|batch| runtime.block_on(log.append("orders", batch)).expect("appended"));
}

/// One checkpoint of so many pages of 64 KiB: one durable transaction.
#[divan::bench(args = [1, 15, 150], sample_count = 30)]
fn commit(bencher: Bencher, pages: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut store = RedbState::open(&dir.path().join("state.redb")).expect("an open store");
    let changes = Changes {
        puts: (0..pages).map(|number| (BlobKey { kind: 3, number }, vec![number as u8; 65_536].into())).collect(),
        deletes: Vec::new(),
    };
    bencher.bench_local(|| store.commit(&changes).expect("durable"));
}
