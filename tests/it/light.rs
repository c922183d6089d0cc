//! Promise 4, the part that is no benchmark: memory is bounded by configuration, whatever the input.

use std::sync::Arc;

use streamgauge::engine::{Engine, EngineConfig};
use streamgauge::model::{Batch, Began, Event, FlowSpec, Limits, Role, SourceKey, SourceOpen, TextSpan, Timestamp};
use streamgauge::snapshot::Snapshot;

use crate::support::store::MemoryStore;

const START: i64 = 1_790_000_000;

fn source() -> Arc<SourceKey> {
    Arc::new(SourceKey { cluster: "main".into(), stream: "orders".into(), generation: 0, partition: 0 })
}

fn open(engine: &mut Engine) {
    engine.open(&SourceOpen {
        source: source(),
        incarnation: "a".into(),
        next: 0,
        log_start: 0,
        began: Began::Beginning,
        role: Role::Events,
        append_time: true,
        at: Timestamp::from_seconds(START),
    });
}

/// One batch of events given as (second, flow, transaction, stage).
fn batch(from: u64, rows: &[(i64, String, String, String)]) -> Batch {
    let mut text = String::new();
    let mut put = |s: &str| {
        let span = TextSpan { start: text.len() as u32, len: s.len() as u32 };
        text.push_str(s);
        span
    };
    let events = rows
        .iter()
        .enumerate()
        .map(|(n, (second, flow, transaction, stage))| Event {
            position: from + n as u64,
            record_time: Some(Timestamp::from_seconds(*second)),
            event_time: Some(Timestamp::from_seconds(*second)),
            id: put(&format!("id-{}", from + n as u64)),
            transaction: put(transaction),
            flow: put(flow),
            stage: put(stage),
            ..Event::default()
        })
        .collect::<Vec<_>>();
    let to = from + events.len() as u64;
    Batch { source: source(), from, to, events, text, observed: Timestamp::from_seconds(START), leader_epoch: -1 }
}

#[test]
fn transactions_ids_and_names_stay_within_their_limits_and_the_books_balance() {
    let limits = Limits {
        transactions: 1_000,
        tombstones: 500,
        dedup_events: 2_000,
        flows: 5,
        stages_per_flow: 4,
        ..Limits::default()
    };
    let flows = vec![FlowSpec { name: "f0".into(), ends_at: vec!["never".into()], ..FlowSpec::default() }];
    let mut engine = Engine::new(EngineConfig { flows, limits, ..EngineConfig::default() });
    open(&mut engine);
    let mut next = 0;
    for round in 0..100i64 {
        let rows: Vec<_> = (0..500i64)
            .map(|n| {
                let number = round * 500 + n;
                (START + round, format!("f{}", number % 50), format!("tx-{number}"), format!("stage-{}", number % 20))
            })
            .collect();
        engine.apply(&batch(next, &rows));
        next += rows.len() as u64;
        let snapshot = engine.tick(Timestamp::from_seconds(START + round));
        assert!(snapshot.engine.transactions <= 1_000, "{}", snapshot.engine.transactions);
        assert!(snapshot.engine.dedup_events <= 2_000, "{}", snapshot.engine.dedup_events);
        assert!(snapshot.engine.tombstones <= 500, "{}", snapshot.engine.tombstones);
        assert_eq!(snapshot.engine.books_error, None);
    }
    let snapshot = engine.tick(Timestamp::from_seconds(START + 200));
    assert!(snapshot.flows.len() <= 6, "five flows and `other`: {}", snapshot.flows.len());
    let events: u64 = snapshot.flows.iter().map(|f| f.totals.events).sum();
    assert_eq!(events, 50_000, "what is folded is folded exactly");
    let evicted: u64 = snapshot.flows.iter().map(|f| f.totals.evicted).sum();
    assert!(evicted >= 49_000, "{evicted} evictions are counted");
    assert!(snapshot.flows.iter().any(|f| f.inexact.is_some()), "an overflow says since when numbers are inexact");
    for flow in &snapshot.flows {
        assert!(flow.stages.len() <= 5, "{}: {} stages", flow.name, flow.stages.len());
    }
}

#[test]
fn a_configured_flow_has_its_place_whoever_came_before() {
    let spec = |name: &str| FlowSpec { name: name.into(), ..FlowSpec::default() };
    let limits = Limits { flows: 20, ..Limits::default() };
    let mut engine = Engine::new(EngineConfig {
        flows: vec![spec("checkout"), spec("refund")],
        limits: limits.clone(),
        seed: 7,
        ..EngineConfig::default()
    });
    open(&mut engine);
    let row = |flow: String, n: u64| (START, flow, format!("tx-{n}"), "placed".to_owned());
    let junk: Vec<_> = (0..3_000).map(|n| row(format!("junk-{n}"), n)).collect();
    engine.apply(&batch(0, &junk));
    engine.apply(&batch(3_000, &[row("checkout".into(), 3_000), row("late".into(), 3_001)]));
    let events =
        |snapshot: &Snapshot, name: &str| snapshot.flows.iter().find(|f| f.name == name).map(|f| f.totals.events);
    let snapshot = engine.tick(Timestamp::from_seconds(START + 10));
    assert_eq!((events(&snapshot, "checkout"), events(&snapshot, "refund")), (Some(1), Some(0)));
    assert_eq!(
        (events(&snapshot, "late"), events(&snapshot, "other")),
        (None, Some(2_983)),
        "18 junk flows have a place"
    );
    assert_eq!(snapshot.engine.overflow["flows"], 2_983);

    // One that is configured later, and is met after a restart.
    let mut store = MemoryStore::default();
    store.commit(&engine.checkpoint().changes);
    let flows = ["checkout", "refund", "late"].map(spec).to_vec();
    let mut engine = store.restore(EngineConfig { flows, limits, seed: 7, ..EngineConfig::default() });
    open(&mut engine);
    engine.apply(&batch(3_002, &[row("late".into(), 3_002), row("later".into(), 3_003)]));
    let snapshot = engine.tick(Timestamp::from_seconds(START + 20));
    assert_eq!((events(&snapshot, "late"), events(&snapshot, "other")), (Some(1), Some(2_984)));
}
