//! One tick as an open dashboard sees it: `cargo bench --bench web`.
//!
//! *Build*: the engine makes a snapshot. *Frame*: from the snapshot's publication to the compressed frame in a
//! client's hands: rendered and compressed once, whatever the number of clients. 20 flows, their windows full.

mod load;

use std::cell::RefCell;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use divan::Bencher;
use http_body_util::BodyExt as _;
use load::{Load, Log};
use streamgauge::model::{Limits, Timestamp};
use streamgauge::snapshot::{Durable, Snapshot};
use streamgauge::store::{Claim, IdempotencyKeys, StoreError, StoredAnswer};
use streamgauge::telemetry::Metrics;
use streamgauge::web::{Status, WebConfig, WebContext, router};
use tokio::sync::watch;
use tower::ServiceExt as _;

const FLOWS: usize = 20;
/// Ten minutes of log time.
const LOAD: Load = Load { flows: FLOWS, kinds: 1, per_second: 2_000, spread: 1_000, ends: true };
const EVENTS: i64 = 600 * LOAD.per_second;

fn main() {
    divan::main();
}

struct NoKeys;

impl IdempotencyKeys for NoKeys {
    fn claim(&self, _: &str, _: [u8; 32], _: Timestamp) -> Result<Claim, StoreError> {
        Ok(Claim::Fresh)
    }

    fn finish(&self, _: &str, _: &StoredAnswer) -> Result<(), StoreError> {
        Ok(())
    }

    fn release(&self, _: &str) {}
}

/// Reads a quarter of a second more and publishes it.
fn turn(log: &mut Log, engine: &mut streamgauge::engine::Engine) -> Arc<Snapshot> {
    for _ in 0..=LOAD.per_second / 4 / load::BATCH {
        engine.apply(&log.batch());
    }
    engine.tail(&log.tail());
    engine.tick(log.time())
}

#[divan::bench(sample_count = 100, sample_size = 1)]
fn build(bencher: Bencher) {
    let (mut log, mut engine) = Log::new(LOAD);
    log.read(&mut engine, EVENTS);
    let state = RefCell::new((log, engine));
    let next = || {
        let (log, engine) = &mut *state.borrow_mut();
        engine.apply(&log.batch());
        engine.tail(&log.tail());
        log.time()
    };
    bencher.with_inputs(next).bench_local_values(|now| state.borrow_mut().1.tick(now));
}

/// Both together must fit into 2 ms.
#[divan::bench(args = ["overview", "flow/checkout-7"], sample_count = 100, sample_size = 1)]
fn frame(bencher: Bencher, view: &str) {
    let (mut log, mut engine) = Log::new(LOAD);
    log.read(&mut engine, EVENTS);
    let (snapshots, snapshot) = watch::channel(turn(&mut log, &mut engine));
    let (_durables, durable) = watch::channel(Arc::new(Durable::default()));
    let (_statuses, status) = watch::channel(Arc::new(Status { boot: "bench".into(), ..Status::default() }));
    let context = WebContext {
        snapshot,
        durable,
        status,
        publish: None,
        idempotency: Arc::new(NoKeys),
        limits: Arc::new(Limits::default()),
        metrics: Metrics::off(),
        now: || Timestamp(1_800_000_000_000_000),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    // The router owns what makes the frames.
    let (_router, body) = runtime.block_on(async {
        let router = router(context, WebConfig::default());
        let request = Request::get(format!("/live/{view}")).header("accept-encoding", "gzip");
        let answer = router.clone().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let mut body = answer.into_body();
        // The greeting, then the first full frame.
        for _ in 0..2 {
            body.frame().await.expect("a stream").expect("a frame");
        }
        (router, body)
    });
    let body = RefCell::new(body);
    let bytes = RefCell::new(0);
    bencher.with_inputs(|| turn(&mut log, &mut engine)).bench_local_values(|snapshot| {
        let mut body = body.borrow_mut();
        runtime.block_on(async {
            snapshots.send_replace(snapshot);
            let frame = body.frame().await.expect("a stream").expect("a frame");
            *bytes.borrow_mut() = frame.into_data().map_or(0, |data| data.len());
        });
    });
    println!("{view}: the last frame had {} bytes", bytes.borrow());
}
