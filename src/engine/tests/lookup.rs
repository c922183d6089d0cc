//! What the engine tells of one transaction.

use super::world::*;
use crate::engine::EngineConfig;
use crate::model::{Limits, Outcome, Role, Timestamp};
use crate::snapshot::{Meaning, TransactionState, TransactionView};

fn told(w: &mut World, id: &str) -> TransactionView {
    w.engine.transaction("f", id).expect("it is known")
}

#[test]
fn one_in_flight_says_where_it_was_and_what_it_waits_for() {
    let mut w = World::new(vec![spec(&["a", "b", "c"], &["c"], Some(600))]);
    let (orders, payments) = (key("orders", 0), key("payments", 2));
    w.open(&orders, Role::Events);
    w.open_with(&payments, false);
    w.read(&orders, &[rec("other", "a", 9.0), rec("x", "a", 10.0)]);
    w.read(&payments, &[rec("x", "b", 12.5).made(12.0)]);
    w.watermark(20.0);
    let x = told(&mut w, "x");
    assert_eq!((x.state, x.outcome, x.started_at), (TransactionState::InFlight, None, Some(at(10.0))));
    assert_eq!((x.ended_at, x.latency, x.kept_until), (None, None, None));
    assert_eq!(x.times_out_at, Some(at(610.0)));
    let waits = x.waits.unwrap();
    assert_eq!((waits.stage.as_str(), waits.since, waits.seconds), ("c", at(12.5), 9.5));
    assert!(!waits.stuck && waits.deadline_seconds.is_none());
    let events = x.events.unwrap();
    let places: Vec<_> = events.iter().map(|e| (&*e.stream, e.partition, e.position, &*e.stage)).collect();
    assert_eq!(places, [("orders", 0, 1, "a"), ("payments", 2, 0, "b")]);
    assert_eq!(events[0].hop, None);
    let (from, hop) = events[1].hop.clone().unwrap();
    assert_eq!((from.as_str(), hop.seconds, hop.clock), ("a", 2.0, "event"));
    assert_eq!((events[0].record_time, events[1].record_time), (Some(at(10.0)), None), "only the log's own is kept");
    assert_eq!(events[1].event_time, Some(at(12.0)));
    assert!(!x.trace_carried && x.trace_id.len() == 32);
    assert_eq!(w.engine.transaction("f", "y"), None);
    assert_eq!(w.engine.transaction("g", "x"), None, "another flow's is another");
}

#[test]
fn an_end_a_recovery_and_what_came_after_are_told_apart() {
    let mut w = World::new(vec![spec(&[], &["end"], None)]);
    let (events, letters) = (key("events", 0), key("events.dlq", 0));
    w.open(&events, Role::Events);
    w.open(&letters, Role::Dlq);
    w.read(&events, &[rec("x", "a", 1.0)]);
    w.read(&letters, &[rec("x", "a", 3.0).ends(Outcome::DeadLettered)]);
    w.read(&events, &[rec("x", "note", 5.0), rec("x", "end", 8.0)]);
    w.watermark(20.0);
    let x = told(&mut w, "x");
    assert_eq!((x.state, x.outcome, x.recovered), (TransactionState::Ended, Some(Outcome::Ok), true));
    assert_eq!((x.ended_at, x.recovered_at), (Some(at(3.0)), Some(at(8.0))));
    assert_eq!(x.latency.map(|l| (l.seconds, l.clock)), Some((2.0, "event")));
    assert_eq!(x.waits, None);
    let meanings: Vec<_> = x.events.as_ref().unwrap().iter().map(|e| (e.meaning, e.dead_letter)).collect();
    let expected =
        [(Meaning::Step, false), (Meaning::End, true), (Meaning::AfterEnd, false), (Meaning::Recovery, false)];
    assert_eq!(meanings, expected);
    assert_eq!(x.kept_until, Some(at(128.0)));
}

#[test]
fn of_one_that_has_left_its_end_is_told_until_that_is_forgotten() {
    let mut w = World::new(vec![spec(&[], &["end"], Some(60))]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("good", "a", 1.0), rec("good", "end", 2.0), rec("late", "a", 3.0)]);
    w.watermark(400.0);
    let good = told(&mut w, "good");
    assert_eq!((good.state, good.outcome, good.events), (TransactionState::Ended, Some(Outcome::Ok), None));
    assert_eq!((good.ended_at, good.started_at), (Some(at(2.0)), None));
    assert_eq!(good.kept_until, Some(Timestamp::from_seconds(T0 + 2 + 3_600)));
    let late = told(&mut w, "late");
    assert_eq!((late.outcome, late.ended_at), (Some(Outcome::TimedOut), Some(at(63.0))));
    assert_eq!(late.kept_until, Some(Timestamp::from_seconds(T0 + 63 + 7 * 86_400)));
    w.watermark(4_300.0);
    assert_eq!(w.engine.transaction("f", "good"), None);
    assert_eq!(told(&mut w, "late").outcome, Some(Outcome::TimedOut));
}

#[test]
fn asking_changes_nothing() {
    let mut w = World::new(vec![spec(&["a", "b"], &["b"], Some(60))]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "a", 1.0), rec("y", "a", 1.0), rec("y", "b", 2.0)]);
    w.watermark(5.0);
    w.checkpoint();
    let before = w.engine.checkpoint().changes;
    for id in ["x", "y", "z"] {
        let _told = w.engine.transaction("f", id);
    }
    let after = w.engine.checkpoint().changes;
    assert_eq!((after.puts.len(), after.deletes.len()), (before.puts.len(), before.deletes.len()));
}

#[test]
fn only_one_that_had_more_events_than_are_kept_is_truncated() {
    for (events, truncated) in [(3, false), (4, false), (5, true)] {
        let limits = Limits { events_per_transaction: 4, ..Limits::default() };
        let mut w = World::with(EngineConfig {
            flows: vec![spec(&[], &["end"], None)],
            limits,
            seed: 1,
            ..EngineConfig::default()
        });
        let s = key("s", 0);
        w.open(&s, Role::Events);
        let records: Vec<_> = (0..events).map(|i| rec("x", "step", f64::from(i))).collect();
        w.read(&s, &records);
        let f = w.flow("f", 20.0);
        assert_eq!((f.totals.truncated > 0, f.inexact.is_some()), (truncated, truncated), "{events} events");
        w.checkpoint();
        for engine in [&mut w.restored(), &mut w.engine] {
            let x = engine.transaction("f", "x").expect("it is known");
            assert_eq!((x.truncated, x.events.map(|e| e.len())), (truncated, Some(events.min(4) as usize)));
        }
    }
}
