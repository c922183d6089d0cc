//! Speed and memory of the engine: `cargo bench --bench engine`.
//!
//! The load: transactions of five events each, with ids of 36 bytes, interleaved as a busy log is;
//! 100,000 events per second of log time, a tick every 250 ms of it, a checkpoint every second.

use std::collections::BTreeMap;
use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use streamgauge::engine::histogram::{Histogram, code_of};
use streamgauge::engine::{Engine, EngineConfig, Restore};
use streamgauge::model::{
    Batch, Began, BlobKey, Event, FlowSpec, Role, SourceKey, SourceOpen, Tail, TextSpan, Timestamp,
};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const STAGES: [&str; 5] = ["order.placed", "payment.authorized", "stock.reserved", "order.packed", "order.shipped"];
const PER_SECOND: i64 = 100_000;
const BATCH: i64 = 512;
/// Microseconds of log time per event.
const STEP: i64 = 1_000_000 / PER_SECOND;
/// Transactions between two events of one transaction.
const SPREAD: i64 = 2_000;

fn main() {
    divan::main();
}

fn flow(name: &str) -> FlowSpec {
    FlowSpec {
        name: name.to_owned(),
        stages: STAGES.map(str::to_owned).to_vec(),
        ends_at: vec![STAGES[4].to_owned()],
        timeout: Some(std::time::Duration::from_secs(900)),
        stage_deadlines: vec![],
    }
}

/// A log that never ends.
struct Log {
    source: Arc<SourceKey>,
    flows: Vec<String>,
    next: i64,
}

impl Log {
    fn new(flows: usize) -> (Self, Engine) {
        let flows: Vec<String> = (0..flows).map(|i| format!("checkout-{i}")).collect();
        let source =
            Arc::new(SourceKey { cluster: "main".into(), stream: "orders".into(), generation: 0, partition: 0 });
        let config = EngineConfig { flows: flows.iter().map(|f| flow(f)).collect(), ..EngineConfig::default() };
        let mut engine = Engine::new(config);
        engine.open(&SourceOpen {
            source: Arc::clone(&source),
            incarnation: "1".to_owned(),
            next: 0,
            log_start: 0,
            began: Began::Beginning,
            role: Role::Events,
            append_time: true,
            at: Timestamp(0),
        });
        (Self { source, flows, next: 0 }, engine)
    }

    fn time(&self) -> Timestamp {
        Timestamp(1_800_000_000_000_000 + self.next * STEP)
    }

    fn batch(&mut self) -> Batch {
        let mut text = String::with_capacity(128 * BATCH as usize);
        let mut events = Vec::with_capacity(BATCH as usize);
        let from = self.next;
        for position in from..from + BATCH {
            // Groups of SPREAD transactions go through their stages together.
            let (group, within) = (position / (SPREAD * 5), position % (SPREAD * 5));
            let (stage, tx) = ((within / SPREAD) as usize, group * SPREAD + within % SPREAD);
            let mut span = |s: &str| {
                let start = text.len() as u32;
                text.push_str(s);
                TextSpan { start, len: s.len() as u32 }
            };
            self.next = position;
            let at = self.time();
            events.push(Event {
                position: position as u64,
                record_time: Some(at),
                event_time: Some(at.plus(-(tx * 7_919 % 5_000))),
                id: span(&format!("0190c0de-{:04x}-7000-8000-{position:012x}", position % 9_973)),
                transaction: span(&format!("0190feed-{:04x}-7000-8000-{tx:012x}", tx % 9_973)),
                flow: span(&self.flows[tx as usize % self.flows.len()]),
                stage: span(STAGES[stage]),
                ..Event::default()
            });
        }
        self.next = from + BATCH;
        let (from, to) = (from as u64, self.next as u64);
        Batch { source: Arc::clone(&self.source), from, to, events, text, observed: self.time(), leader_epoch: 0 }
    }

    fn tail(&self) -> Tail {
        let next = self.next as u64;
        Tail { source: Arc::clone(&self.source), next, end: next, log_start: 0, at: self.time() }
    }

    /// Reads `transactions` whole ones, with ticks as time passes.
    fn read(&mut self, engine: &mut Engine, transactions: i64) {
        let mut ticked = self.next / (PER_SECOND / 4);
        while self.next < transactions * 5 {
            engine.apply(&self.batch());
            if self.next / (PER_SECOND / 4) > ticked {
                ticked = self.next / (PER_SECOND / 4);
                engine.tail(&self.tail());
                engine.tick(self.time());
            }
        }
    }
}

/// Per event, steady state: 480,000 transactions in the table, 6 million ids remembered. Ticks are not counted.
#[divan::bench(sample_count = 40, sample_size = 20)]
fn apply(bencher: Bencher) {
    let (mut log, mut engine) = Log::new(1);
    log.read(&mut engine, 400_000);
    let state = std::cell::RefCell::new((log, engine));
    let next = || state.borrow_mut().0.batch();
    bencher.counter(ItemsCount::new(BATCH as usize)).with_inputs(next).bench_local_values(|batch| {
        state.borrow_mut().1.apply(black_box(&batch));
        batch
    });
}

/// Per event, all included: batches, ticks (4 per second of log time) and checkpoints (1 per second).
#[divan::bench(sample_count = 10, sample_size = 1)]
fn whole_second(bencher: Bencher) {
    let (mut log, mut engine) = Log::new(1);
    log.read(&mut engine, 300_000);
    engine.checkpoint();
    let state = std::cell::RefCell::new((log, engine));
    let next = || {
        let mut state = state.borrow_mut();
        (0..PER_SECOND / BATCH).map(|_| state.0.batch()).collect::<Vec<_>>()
    };
    bencher.counter(ItemsCount::new((PER_SECOND / BATCH * BATCH) as usize)).with_inputs(next).bench_local_values(
        |batches| {
            let (log, engine) = &mut *state.borrow_mut();
            for (i, batch) in batches.iter().enumerate() {
                engine.apply(batch);
                if i % 49 == 48 {
                    engine.tail(&log.tail());
                    black_box(engine.tick(log.time()));
                }
            }
            black_box(engine.checkpoint().changes.puts.len())
        },
    );
}

/// Memory (`max alloc`) of 600,000 transactions with their 3 million event ids.
#[divan::bench(sample_count = 1, sample_size = 1)]
fn memory_of_600_000_transactions() -> usize {
    let (mut log, mut engine) = Log::new(1);
    while log.next < 3_000_000 {
        engine.apply(&log.batch()); // no tick: nothing leaves
        if log.next % (PER_SECOND / BATCH * BATCH) == 0 {
            engine.checkpoint(); // what is durable needs not be kept for the next one
        }
    }
    engine.tick(log.time()).engine.transactions
}

#[divan::bench(args = [1, 20, 200])]
fn tick(bencher: Bencher, flows: usize) {
    let (mut log, mut engine) = Log::new(flows);
    log.read(&mut engine, 300_000);
    let mut turn = || {
        log.next += PER_SECOND / 4;
        (log.tail(), log.time())
    };
    bencher.bench_local(|| {
        let (tail, now) = turn();
        engine.tail(&tail);
        engine.tick(now)
    });
}

fn filled() -> Histogram {
    let mut hist = Histogram::default();
    (0..100_000i64).for_each(|i| hist.add(code_of(i * i % 3_000_000), 1));
    hist
}

#[divan::bench]
fn histogram_insert(bencher: Bencher) {
    let values: Vec<i64> = (0..1_024i64).map(|i| i * i * 37 % 3_000_000).collect();
    let mut hist = filled();
    bencher.counter(ItemsCount::new(values.len())).bench_local(|| {
        for value in &values {
            hist.add(code_of(black_box(*value)), 1);
        }
    });
}

#[divan::bench]
fn histogram_merge(bencher: Bencher) {
    let (mut sum, one) = (filled(), filled());
    bencher.bench_local(|| sum.merge(black_box(&one)));
}

#[divan::bench]
fn histogram_quantile(bencher: Bencher) {
    let hist = filled();
    bencher.bench_local(|| black_box(&hist).quantile(0.99));
}

/// From blobs to an engine: 100,000 transactions in flight, 10,000 series (200 flows, five stages).
#[divan::bench(sample_count = 5, sample_size = 1)]
fn restore(bencher: Bencher) {
    let (mut log, mut engine) = Log::new(200);
    while log.next < 500_000 {
        engine.apply(&log.batch());
    }
    engine.tail(&log.tail());
    engine.tick(log.time());
    let blobs: BTreeMap<BlobKey, bytes::Bytes> = engine.checkpoint().changes.puts.into_iter().collect();
    let config = EngineConfig { flows: log.flows.iter().map(|f| flow(f)).collect(), ..EngineConfig::default() };
    bencher.bench_local(|| {
        let mut restore = Restore::new(config.clone());
        blobs.iter().for_each(|(key, bytes)| restore.blob(*key, bytes));
        restore.finish().map(|e| e.positions())
    });
}
