//! Streams and clusters that join: what they bring is old, and nothing may have been decided without them.

use std::sync::Arc;

use super::super::*;
use super::world::*;
use crate::model::{Batch, Began, Outcome, Role, SourceKey, Tail};
use crate::snapshot::FlowView;

/// Transactions in the stream that joins.
const JOINED: usize = 20;

/// Tells the engine that everything of `source` was read at second `seconds`.
fn at_end(engine: &mut Engine, source: &Arc<SourceKey>, end: u64, seconds: f64) {
    let tail = Tail { source: Arc::clone(source), next: end, end, log_start: 0, at: at(seconds) };
    engine.tail(&tail);
}

fn open(engine: &mut Engine, source: &Arc<SourceKey>, seconds: f64) {
    let stored = engine.positions().sources.into_iter().find(|p| p.key == **source);
    let next = stored.map_or(0, |p| p.next);
    engine.open(&SourceOpen { at: at(seconds), ..opening(source, Role::Events, next, Began::Beginning) });
}

/// A step of a transaction of flow `f`, which nobody has seen before.
fn step(i: usize, stage: &str, cut: f64) -> Rec {
    rec(&format!("tx-{i}"), stage, cut).id(&format!("{stage}-{i}"))
}

/// The two partitions of stream `past`: starts in the one, twenty seconds later ends in the other. One start stands twice.
fn past() -> [Batch; 2] {
    let mut starts: Vec<Rec> = (0..JOINED).map(|i| step(i, "start", 100.0 + i as f64)).collect();
    starts.push(step(3, "start", 130.0));
    let ends: Vec<Rec> = (0..JOINED).map(|i| step(i, "end", 120.0 + i as f64).ends(Outcome::Ok)).collect();
    [batch(&key("past", 0), 0, &starts), batch(&key("past", 1), 0, &ends)]
}

/// What is left to read: `past` from the beginning to the end, and then the clock goes on.
fn read_past(engine: &mut Engine, now: f64) {
    for (number, batch) in past().iter().enumerate() {
        engine.apply(batch);
        engine.tick(at(now + number as f64));
    }
    for (number, batch) in past().iter().enumerate() {
        at_end(engine, &key("past", number as u32), batch.to, now + 3.0);
    }
}

fn flow(engine: &mut Engine, name: &str, seconds: f64) -> Arc<FlowView> {
    let snapshot = engine.tick(at(seconds));
    assert_eq!(snapshot.engine.books_error, None);
    Arc::clone(snapshot.flows.iter().find(|f| f.name == name).expect("the flow is known"))
}

fn is_exact(f: &FlowView) {
    let (totals, wrong) = (&f.totals, f.inexact.as_ref());
    assert_eq!(wrong, None);
    assert_eq!((totals.outcomes.ok, totals.outcomes.timed_out, totals.duplicates), (JOINED as u64, 0, 1), "{totals:?}");
}

/// Flow `g` was read up to second 4,000, an hour after all that `past` holds; the process was killed.
fn running() -> World {
    let mut w = World::new(vec![spec(&[], &["end"], Some(60))]);
    let now = key("now", 0);
    w.open(&now, Role::Events);
    let events: Vec<Rec> = (0..50).map(|i| Rec { flow: "g", ..rec("", "tick", 3_950.0 + f64::from(i)) }).collect();
    w.read(&now, &events);
    w.watermark(4_000.0);
    w.checkpoint();
    w
}

#[test]
fn a_stream_that_joins_with_an_old_past_is_counted_exactly() {
    let mut w = running();
    for killed in [false, true] {
        let mut engine = w.restored();
        engine.restarted(at(4_002.0));
        engine.tick(at(4_002.5)); // the readers have not answered yet
        open(&mut engine, &key("now", 0), 4_003.0);
        at_end(&mut engine, &key("now", 0), 50, 4_003.0);
        open(&mut engine, &key("past", 0), 4_003.0);
        open(&mut engine, &key("past", 1), 4_003.0);
        engine.tick(at(4_003.0));
        engine.apply(&past()[0]);
        engine.tick(at(4_003.5));
        if killed {
            std::mem::swap(&mut engine, &mut w.engine);
            w.checkpoint();
            engine = w.restored();
            engine.restarted(at(4_004.0));
            engine.tick(at(4_004.0));
            for (name, partition) in [("now", 0), ("past", 0), ("past", 1)] {
                open(&mut engine, &key(name, partition), 4_004.0);
            }
        }
        read_past(&mut engine, 4_005.0);
        at_end(&mut engine, &key("now", 0), 50, 4_008.0);
        is_exact(&flow(&mut engine, "f", 4_008.0));
        let settled = flow(&mut engine, "f", 4_200.0);
        is_exact(&settled);
        let g = flow(&mut engine, "g", 4_200.0);
        assert_eq!((g.totals.events, g.inexact.as_ref()), (50, None));
    }
}

#[test]
fn nothing_is_decided_before_every_cluster_has_said_what_it_has() {
    let clusters = ["main", "other"].map(Arc::from).into();
    let config = EngineConfig { flows: vec![spec(&[], &["end"], Some(60))], clusters, ..EngineConfig::default() };
    for waits in [3.0, 30.0] {
        let mut engine = Engine::new(config.clone());
        let first = Arc::new(SourceKey { cluster: "other".into(), ..(*key("now", 0)).clone() });
        open(&mut engine, &first, 4_000.0);
        engine.announced("other");
        // The flow lies in both clusters: what it says here must not decide what it said there.
        engine.apply(&batch(&first, 0, &[step(900, "start", 4_000.0)]));
        at_end(&mut engine, &first, 1, 4_000.5);
        for seconds in 0..waits as u32 {
            at_end(&mut engine, &first, 1, 4_001.0 + f64::from(seconds));
            let snapshot = engine.tick(at(4_001.0 + f64::from(seconds)));
            let waited = snapshot.flows[0].watermark.is_some();
            assert_eq!(waited, seconds >= 10, "after {seconds} s");
        }
        let now = 4_001.0 + waits;
        open(&mut engine, &key("past", 0), now);
        open(&mut engine, &key("past", 1), now);
        engine.announced("main");
        read_past(&mut engine, now);
        at_end(&mut engine, &first, 1, now + 4.0);
        let f = flow(&mut engine, "f", now + 4.0);
        if waits < 10.0 {
            is_exact(&f);
        } else {
            assert_eq!(f.totals.outcomes.ok + f.totals.outcomes.timed_out, JOINED as u64);
            assert!(f.inexact.is_some(), "who came too late is owned up to");
        }
    }
}
