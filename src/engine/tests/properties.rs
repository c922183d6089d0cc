//! What must hold for any input: reading order does not matter, and a restart is not seen.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;

use super::super::{Engine, EngineConfig};
use super::world::*;
use crate::model::{DecodeReason, FlowSpec, Kind, Limits, Outcome, Role, SourceKey, Status};
use crate::snapshot::{Durable, Snapshot, SourceView};

const STAGES: [&str; 5] = ["A", "B", "C", "D", "end"];

/// A record with few ids, so that all kinds of meetings happen; `span` seconds of log.
fn any_rec(span: i64) -> impl Strategy<Value = Rec> {
    let ids = (0u8..30, 0usize..STAGES.len(), 0u8..40, 0..span * 10);
    let more = (0u8..20, 0u8..24, 0i64..60, any::<bool>(), 0u8..30);
    (ids, more).prop_map(|((tx, stage, id, cut), (status, outcome, delay, declared, kind))| {
        let cut = cut as f64 / 10.0;
        // Copies of an event stay in their flow; those without a transaction are alike.
        let name = if tx == 0 { format!("id{id}-{stage}-{status}-{declared}") } else { format!("id{id}-{declared}") };
        Rec {
            cut,
            time: (delay != 7).then_some(cut - delay as f64 / 10.0),
            id: if id < 30 { String::new() } else { name },
            tx: if tx == 0 { String::new() } else { format!("t{tx}") },
            flow: if declared { "f" } else { "g" },
            stage: STAGES[stage].to_owned(),
            status: Status::ALL[usize::from(status.saturating_sub(15))],
            outcome: Outcome::ALL[..4].get(usize::from(outcome)).copied(),
            started: (delay == 3).then_some(cut - 9.0),
            redrive: 0,
            kind: match kind {
                0 => Kind::Undecodable(DecodeReason::WrongType),
                1 => Kind::Tombstone,
                2 => Kind::Opaque,
                _ => Kind::Event,
            },
        }
    })
}

fn config(timeout: Option<u64>, limits: Limits) -> EngineConfig {
    let declared =
        FlowSpec { timeout: timeout.map(std::time::Duration::from_secs), ..spec(&["A", "B", "C"], &["end"], None) };
    EngineConfig { flows: vec![declared], limits, seed: 7, ..EngineConfig::default() }
}

fn sources() -> Vec<(Arc<SourceKey>, Role)> {
    vec![
        (key("orders", 0), Role::Events),
        (key("orders", 1), Role::Events),
        (key("payments", 0), Role::Events),
        (key("orders.dlq", 0), Role::Dlq),
    ]
}

/// All that a reader of snapshots can see and that must not depend on how it came about.
fn numbers(snapshot: &Snapshot, histories: bool) -> Vec<String> {
    let mut seen = vec![];
    for f in &snapshot.flows {
        seen.push(format!("{} {:?} {:?}", f.name, f.watermark, f.totals));
        for w in &f.windows {
            let mut w = w.clone();
            w.latency_seconds.values_mut().for_each(|l| l.exemplars.clear());
            seen.push(format!("{w:?}"));
        }
        let mut stages: Vec<_> = f.stages.iter().map(|s| format!("{s:?}")).collect();
        let mut hops: Vec<_> = f.hops.iter().filter(|h| h.windows[4].count > 0).map(|h| format!("{h:?}")).collect();
        stages.sort();
        hops.sort();
        seen.extend(stages.into_iter().chain(hops));
        let mut stuck: Vec<_> = f.stuck.iter().map(|s| format!("{s:?}")).collect();
        stuck.sort();
        seen.push(format!("{:?} {} {:?}", f.oldest.as_ref().map(|o| o.started_at), f.stuck_total, stuck));
        if histories {
            let floor = f.watermark.map_or(0, |w| w.second() - 3_600);
            for series in [&f.history.s1, &f.history.s10, &f.history.m1] {
                let from = if series.step == 1 { floor } else { i64::MIN / 2 };
                seen.extend(series.range(from, i64::MAX).map(|p| format!("{} {p:?}", series.step)));
            }
        }
    }
    for s in &snapshot.streams {
        seen.push(format!("{s:?}"));
    }
    for s in &snapshot.sources {
        // The newest record is learned anew with the next one.
        seen.push(format!("{:?}", SourceView { last: None, ..s.clone() }));
    }
    seen.push(format!("{} {:?}", snapshot.engine.transactions, snapshot.engine.books_error));
    seen
}

fn same(a: &[String], b: &[String]) -> Result<(), TestCaseError> {
    for (x, y) in a.iter().zip(b) {
        prop_assert_eq!(x, y);
    }
    prop_assert_eq!(a.len(), b.len());
    Ok(())
}

fn durable(d: &Durable) -> String {
    format!("{d:?}")
}

/// What the end of an order test looks like: everything read, watermark in the middle or behind it all.
fn finish(w: &mut World, watermark: f64) -> Vec<String> {
    let snapshot = w.watermark(watermark);
    let mut seen = numbers(&snapshot, true);
    seen.retain(|line| !line.starts_with("SourceView")); // lateness and states tell of the reading itself
    seen
}

/// The same cases in every run; `PROPTEST_RNG_SEED` and `PROPTEST_CASES` look for others.
fn chosen() -> ProptestConfig {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = if cfg!(debug_assertions) { 24 } else { 300 };
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(19);
    }
    config
}

proptest! {
    #![proptest_config(chosen())]

    #[test]
    fn the_order_of_reading_partitions_does_not_matter(
        logs in prop::collection::vec(prop::collection::vec(any_rec(100), 0..25), 4..=4),
        shuffles in prop::collection::vec(prop::collection::vec(any::<Index>(), 100..=100), 2..=2),
        timeout in prop::option::of(5u64..40),
        watermark in 90.0f64..104.0,
    ) {
        let mut results: Vec<Vec<String>> = vec![];
        for shuffle in &shuffles {
            let mut w = World::with(config(timeout, Limits::default()));
            for (key, role) in sources() {
                w.open(&key, role);
            }
            let mut left: Vec<(Arc<SourceKey>, std::collections::VecDeque<Rec>)> = sources()
                .into_iter()
                .zip(&logs)
                .map(|((key, _), log)| {
                    let mut log = log.clone();
                    log.sort_by(|a, b| a.cut.total_cmp(&b.cut)); // as an append-time log is
                    (key, log.into())
                })
                .collect();
            for pick in shuffle {
                left.retain(|(_, log)| !log.is_empty());
                if left.is_empty() {
                    break;
                }
                let n = left.len();
                let (key, log) = &mut left[pick.index(n)];
                let record = log.pop_front().expect("empty ones are gone");
                w.read(&key.clone(), &[record]);
                // Time passes in one of the runs only; partitions that lag hold the watermark.
                w.engine.tick(at(0.0));
            }
            results.push(finish(&mut w, watermark));
        }
        same(&results[0], &results[1])?;
    }

    #[test]
    fn a_restart_is_not_seen(
        steps in prop::collection::vec((0usize..4, prop::collection::vec(any_rec(30), 1..6), 0u8..6, 0.0f64..40.0), 1..60),
        timeout in prop::option::of(5u64..40),
        small in any::<bool>(),
    ) {
        let limits = if small {
            Limits { transactions: 6, events_per_transaction: 4, stages_per_flow: 3, hops_per_flow: 3, flows: 2, ..Limits::default() }
        } else {
            Limits::default()
        };
        let mut w = World::with(config(timeout, limits));
        for (key, role) in sources() {
            w.open(&key, role);
        }
        let mut other: Option<Engine> = None;
        let mut base = 0.0;
        let mut next = [0u64; 4];
        for (source, mut records, what, jump) in steps {
            records.iter_mut().for_each(|r| { r.cut += base; r.time = r.time.map(|t| t + base); });
            let (key, _) = &sources()[source];
            let b = batch(key, next[source], &records);
            next[source] = b.to;
            for engine in std::iter::once(&mut w.engine).chain(other.as_mut()) {
                engine.apply(&b);
            }
            match what {
                0 => base += 200.0 * jump,
                1 | 2 => base += jump,
                3 => {
                    let checkpoint = w.checkpoint();
                    if let Some(engine) = &mut other {
                        let again = engine.checkpoint();
                        prop_assert_eq!(durable(&checkpoint.durable), durable(&again.durable));
                        prop_assert_eq!(&checkpoint.positions, &again.positions);
                    }
                    other = Some(w.restored());
                    prop_assert_eq!(other.as_ref().unwrap().positions(), checkpoint.positions);
                }
                _ => {}
            }
            let mut snapshots = vec![];
            for engine in std::iter::once(&mut w.engine).chain(other.as_mut()) {
                for (i, (key, _)) in sources().iter().enumerate() {
                    if what != 4 || i != source {
                        engine.tail(&crate::model::Tail {
                            source: Arc::clone(key), next: next[i], end: next[i], log_start: 0, at: at(base + 15.0),
                        });
                    }
                }
                snapshots.push(engine.tick(at(base + 15.0)));
            }
            if let [a, b] = &snapshots[..] {
                same(&numbers(a, true), &numbers(b, true))?;
            }
        }
    }

    #[test]
    fn the_same_inputs_give_the_same_bytes(
        steps in prop::collection::vec((0usize..4, prop::collection::vec(any_rec(30), 1..6), 0.0f64..40.0), 1..30),
    ) {
        let run = || {
            let mut w = World::with(config(Some(20), Limits::default()));
            for (key, role) in sources() {
                w.open(&key, role);
            }
            let mut base = 0.0;
            let mut bytes = vec![];
            for (source, records, jump) in &steps {
                let shifted: Vec<Rec> = records.iter().cloned().map(|r| Rec { cut: r.cut + base, ..r }).collect();
                w.read(&sources()[*source].0, &shifted);
                base += jump;
                w.watermark(base);
                bytes.push(w.checkpoint().changes);
            }
            bytes
        };
        for (a, b) in run().iter().zip(&run()) {
            prop_assert_eq!(&a.puts, &b.puts);
            prop_assert_eq!(&a.deletes, &b.deletes);
        }
    }
}
