//! Speed and memory of the engine: `cargo bench --bench engine`.
//!
//! The load (`load/mod.rs`): 100,000 events per second of log time, a tick every 250 ms of it, a checkpoint every second.

mod load;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher, black_box};
use load::{BATCH, EVENTS, Load, Log};
use streamgauge::engine::Restore;
use streamgauge::engine::histogram::{Histogram, code_of};
use streamgauge::store::{RedbState, StateStore as _};

#[global_allocator]
static ALLOC: AllocProfiler = AllocProfiler::system();

const PER_SECOND: i64 = 100_000;

fn main() {
    divan::main();
}

/// Per event, steady state: 480,000 transactions in the table, 6 million ids remembered. Ticks are not counted.
#[divan::bench(sample_count = 40, sample_size = 20)]
fn apply(bencher: Bencher) {
    let (mut log, mut engine) = Log::new(Load::default());
    log.read(&mut engine, 400_000 * EVENTS);
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
    let (mut log, mut engine) = Log::new(Load::default());
    log.read(&mut engine, 300_000 * EVENTS);
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
    let (mut log, mut engine) = Log::new(Load::default());
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
    let (mut log, mut engine) = Log::new(Load { flows, ..Load::default() });
    log.read(&mut engine, 300_000 * EVENTS);
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

/// All quantiles' material of one tick: 100 series of 60 seconds each.
#[divan::bench]
fn histogram_merge_100_series_of_60(bencher: Bencher) {
    let seconds: Vec<Histogram> = (0..6_000i64)
        .map(|n| {
            let mut hist = Histogram::default();
            (0..200i64).for_each(|i| hist.add(code_of(100_000 + (i * 7_919 + n * 104_729) % 400_000), 1));
            hist
        })
        .collect();
    bencher.bench_local(|| {
        let mut p99 = 0;
        for series in seconds.chunks(60) {
            let mut sum = Histogram::default();
            series.iter().for_each(|second| sum.merge(black_box(second)));
            p99 ^= sum.quantile(0.99).unwrap_or_default();
        }
        p99
    });
}

/// From the file to an engine that goes on: 100,000 transactions in flight, 200 flows of 50 stages (10,000 series)
/// with a quarter of an hour of seconds behind them. Opening checks the file's integrity.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn restart(bencher: Bencher) {
    let load = Load { flows: 200, kinds: 10, per_second: 500, spread: 2_000, ends: false };
    let (mut log, mut engine) = Log::new(load);
    log.read(&mut engine, 100_000 * EVENTS);
    engine.tail(&log.tail());
    assert_eq!(engine.tick(log.time()).flows.iter().map(|f| f.totals.in_flight).sum::<u64>() / 1_000, 100);
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("state.redb");
    RedbState::open(&path).and_then(|mut s| s.commit(&engine.checkpoint().changes)).expect("stored");
    println!("state file of {} MB", std::fs::metadata(&path).expect("written").len() >> 20);
    bencher.bench_local(|| {
        let mut restore = Restore::new(load.config());
        let mut store = RedbState::open(&path).expect("opened");
        store.load(&mut |key, bytes| restore.blob(key, bytes)).expect("read");
        let mut engine = restore.finish().expect("restored");
        engine.tick(log.time())
    });
}
