//! Figures, on request: `cargo test --release --lib embedded::tests::speed -- --ignored --nocapture`.

use super::*;
use crate::broker::Write as _;

const RECORDS: u64 = 600_000;

fn realistic(id: u64) -> NewRecord {
    let payload = format!(
        r#"{{"id":"co-{id:x}.3","transaction_id":"co-{id:x}","flow":"checkout","stage":"payment.authorized","status":"ok","event_time":"2026-11-22T10:00:00.123456Z","service":"payments","attributes":{{"amount":"12.50","currency":"EUR"}}}}"#
    );
    let trace = format!("00-{:032x}-{:016x}-01", id + 1, id + 1).into_bytes();
    let key = Some(format!("co-{id:x}").into_bytes());
    NewRecord {
        key,
        payload: Some(payload.into_bytes()),
        headers: vec![("traceparent".into(), trace)],
        record_time: None,
    }
}

#[test]
#[ignore = "prints figures; meaningful in release only"]
fn throughput() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions { retain_bytes: 4 << 30, ..LogOptions::default() });
    let batches: Vec<Vec<NewRecord>> =
        (0..RECORDS / 1_000).map(|b| (b * 1_000..(b + 1) * 1_000).map(realistic).collect()).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    for batch in batches {
        let one = Instant::now();
        runtime.block_on(log.append("orders", batch)).unwrap();
        slowest = slowest.max(one.elapsed());
    }
    let took = started.elapsed().as_secs_f64();
    println!(
        "append, one caller, batches of 1,000, fsync each: {:.0} records/s, slowest {slowest:?}",
        RECORDS as f64 / took
    );
    let reading = Reading::start(&log, exact("orders", Start::Earliest), Positions::default());
    let started = Instant::now();
    reading.batches(RECORDS as usize);
    println!("read and decode: {:.0} records/s", RECORDS as f64 / started.elapsed().as_secs_f64());
    let mut lags: Vec<Duration> = (0..500)
        .map(|i| {
            let began = Instant::now();
            runtime.block_on(log.append("orders", vec![realistic(RECORDS + i)])).unwrap();
            reading.batches(1);
            began.elapsed()
        })
        .collect();
    lags.sort();
    println!("one append until it is at the engine: p50 {:?}, p99 {:?}", lags[250], lags[495]);
}
