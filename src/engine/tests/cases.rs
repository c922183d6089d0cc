//! The cases of docs/SEMANTICS.md that a naive build gets wrong, as far as they concern the engine.

use super::world::*;
use crate::model::{Began, Outcome, Role, SourceKey};
use std::sync::Arc;

/// Ended by outcome in the second `t` after T0, from the one-second history.
fn ended_at(flow: &crate::snapshot::FlowView, t: i64) -> [u32; 5] {
    flow.history.s1.range(T0 + t, T0 + t + 1).next().map(|p| p.ended).unwrap_or_default()
}

#[test]
fn case_1_and_2_the_deadline_is_a_point_in_the_log() {
    for (end, outcomes, recovered, second, in_second) in
        [(1030.0, [1, 0, 0, 0, 0], 0, 1030, [1, 0, 0, 0, 0]), (1061.0, [1, 0, 0, 0, 0], 1, 1060, [0, 0, 0, 0, 1])]
    {
        let (a, b) = (key("a", 0), key("b", 0));
        for start_first in [true, false] {
            for early_watermark in [true, false] {
                let mut w = World::new(vec![spec(&[], &["end"], Some(60))]);
                w.open(&a, Role::Events);
                w.open(&b, Role::Events);
                let starts = [rec("x", "start", 1000.0)];
                let ends = [rec("x", "end", end)];
                if start_first {
                    w.read(&a, &starts);
                    if early_watermark {
                        w.watermark(1065.0);
                    }
                    w.read(&b, &ends);
                } else {
                    w.read(&b, &ends);
                    w.read(&a, &starts);
                }
                let f = w.flow("f", 1070.0);
                assert_eq!(f.totals.outcomes.as_array(), outcomes, "end {end} start_first {start_first}");
                assert_eq!((f.totals.recovered, f.totals.started, f.totals.in_flight), (recovered, 1, 0));
                assert_eq!(ended_at(&f, second), in_second);
                assert_eq!(f.windows[1].outcomes.sum(), 1);
            }
        }
    }
}

#[test]
fn case_3_hops_do_not_depend_on_the_order_of_reading() {
    for declared in [&["A", "B", "C"][..], &[]] {
        for order in [[2, 0, 1], [0, 1, 2], [1, 2, 0], [2, 1, 0]] {
            let mut w = World::new(vec![spec(declared, &[], None)]);
            let events = [rec("x", "A", 0.0), rec("x", "B", 2.0), rec("x", "C", 5.0)];
            let sources: Vec<Arc<SourceKey>> = (0..3).map(|p| key("s", p)).collect();
            sources.iter().for_each(|s| w.open(s, Role::Events));
            for i in order {
                w.read(&sources[i], &events[i..=i]);
            }
            let f = w.flow("f", 10.0);
            let hops: Vec<_> = f.hops.iter().filter(|h| h.windows[4].count > 0).collect();
            let seen: Vec<_> = hops.iter().map(|h| (&*h.from, &*h.to, h.windows[4].p50.unwrap().round())).collect();
            let mut seen_sorted = seen.clone();
            seen_sorted.sort_by(|a, b| a.0.cmp(b.0));
            assert_eq!(seen_sorted, [("A", "B", 2.0), ("B", "C", 3.0)]);
        }
    }
}

#[test]
fn case_4_an_earlier_end_read_later_is_the_end() {
    let mut w = World::new(vec![]);
    let s = [key("s", 0), key("s", 1)];
    s.iter().for_each(|s| w.open(s, Role::Events));
    w.read(&s[0], &[rec("x", "e", 12.0).ends(Outcome::Failed)]);
    assert_eq!(w.flow("f", 1.0).totals.outcomes.as_array(), [0, 1, 0, 0, 0]);
    w.read(&s[1], &[rec("x", "e", 10.0).ends(Outcome::Ok)]);
    let f = w.flow("f", 20.0);
    assert_eq!((f.totals.outcomes.as_array(), f.totals.after_end, f.totals.started), ([1, 0, 0, 0, 0], 1, 1));
    assert_eq!((ended_at(&f, 10), ended_at(&f, 12)), ([1, 0, 0, 0, 0], [0; 5]));
}

#[test]
fn case_5_dead_letters_are_events_of_their_own_and_a_redrive_next_day_is_a_recovery() {
    let mut w = World::new(vec![spec(&["placed", "shipped"], &["shipped"], None)]);
    let (events, dlq) = (key("orders", 0), key("orders.dlq", 0));
    w.open(&events, Role::Events);
    w.open(&dlq, Role::Dlq);
    let n = 100;
    let original = |i: usize, cut| rec(&format!("t{i}"), "placed", cut).id(&format!("e{i}"));
    w.read(&events, &(0..n).map(|i| original(i, i as f64 / 10.0)).collect::<Vec<_>>());
    w.read(&dlq, &(0..n).map(|i| original(i, 20.0 + i as f64 / 10.0)).collect::<Vec<_>>());
    let f = w.flow("f", 40.0);
    assert_eq!((f.totals.outcomes.dead_lettered, f.totals.duplicates, f.totals.started), (100, 0, 100));
    for hour in 1..=20 {
        w.watermark(f64::from(hour) * 3_600.0);
    }
    let day = 20.0 * 3_600.0 + 100.0;
    let redriven = |i: usize| rec(&format!("t{i}"), "shipped", day).id(&format!("r{i}"));
    w.read(&events, &(0..n).map(redriven).collect::<Vec<_>>());
    let f = w.flow("f", day + 10.0);
    assert_eq!((f.totals.outcomes.as_array(), f.totals.recovered), ([100, 0, 0, 0, 0], 100));
    assert_eq!((f.totals.started, f.totals.in_flight, f.totals.after_end), (100, 0, 0));
    let durable = w.checkpoint().durable;
    assert_eq!(durable.flows[0].ended, [0, 0, 0, 100, 0], "they were dead letters when they settled");
    assert_eq!(durable.flows[0].corrections, [("dead_lettered", "ok", 100)]);
}

#[test]
fn case_6_copies_in_any_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for with_transaction in [true, false] {
            let mut w = World::new(vec![]);
            let sources: Vec<_> = (0..3).map(|p| key("s", p)).collect();
            sources.iter().for_each(|s| w.open(s, Role::Events));
            for i in order {
                let tx = if with_transaction { "x" } else { "" };
                w.read(&sources[i], &[rec(tx, "A", i as f64 * 480.0).id("e")]);
            }
            let f = w.flow("f", 1_000.0);
            assert_eq!((f.totals.events, f.totals.duplicates), (2, 1), "{order:?}");
            let seconds: Vec<i64> =
                f.history.s1.range(T0, T0 + 2_000).filter(|p| p.events > 0).map(|p| p.t - T0).collect();
            assert_eq!(seconds, [0, 960], "{order:?}");
            assert_eq!(f.stages[0].events, 2);
        }
    }
}

#[test]
fn case_8_a_stream_made_anew_counts_anew() {
    let mut w = World::new(vec![]);
    let old = key("s", 0);
    let new = Arc::new(SourceKey { generation: 1, ..(*old).clone() });
    w.open(&old, Role::Events);
    let many = |n: usize| (0..n).map(|i| rec(&format!("t{i}"), "A", i as f64 / 100.0)).collect::<Vec<_>>();
    w.read(&old, &many(5_000));
    w.open(&new, Role::Events);
    w.read(&new, &many(6_000));
    let snapshot = w.watermark(100.0);
    assert_eq!(snapshot.flows[0].totals.events, 11_000);
    assert_eq!(snapshot.streams[0].events, 11_000);
    assert_eq!((snapshot.sources[0].state, snapshot.sources[1].state), ("gone", "at_end"));
    assert!(snapshot.flows[0].left_out.is_empty(), "the old generation is nobody's fault");
    assert_eq!(snapshot.flows[0].watermark, Some(at(100.0)));
}

#[test]
fn case_9_holes_of_a_transactional_log_are_no_gaps() {
    let mut w = World::new(vec![]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    let records: Vec<_> = (0..1_000).map(|i| rec(&format!("t{i}"), "A", f64::from(i) / 100.0)).collect();
    let mut b = batch(&s, 0, &records);
    b.events.iter_mut().for_each(|e| e.position += e.position / 2); // aborted records and markers lie between
    b.to = 1_600;
    w.engine.apply(&b);
    w.engine.apply(&b); // read again after a reconnect
    w.engine.tail(&crate::model::Tail { source: s, next: 1_600, end: 1_600, log_start: 0, at: at(20.0) });
    let snapshot = w.engine.tick(at(20.0));
    let (f, source) = (&snapshot.flows[0], &snapshot.sources[0]);
    assert_eq!((f.totals.events, source.expired, source.state), (1_000, 0, "at_end"));
    assert_eq!(f.inexact, None);
}

#[test]
fn joined_transactions_count_without_latency() {
    let mut w = World::new(vec![spec(&["A", "B", "C"], &["C"], Some(60))]);
    let s = key("s", 0);
    w.open_at(&s, Role::Events, 700, Began::Middle(at(0.0)));
    w.read(&s, &[rec("old", "B", 1.0), rec("new", "A", 1.5), rec("old", "C", 3.0), rec("new", "C", 4.0)]);
    w.read(&s, &[rec("odd", "B", 901.0), rec("odd", "C", 903.0)]);
    let f = w.flow("f", 1_000.0);
    assert_eq!((f.totals.joined, f.totals.outcomes.ok), (1, 3));
    let latency = &f.windows[4].latency_seconds["ok"];
    assert_eq!((latency.count, latency.clock), (2, "event"), "long after the beginning a start is a start");
}

#[test]
fn a_hole_makes_a_missing_end_unexplained() {
    for hole_at in [30.0, 200.0] {
        let mut w = World::new(vec![spec(&[], &["end"], Some(60))]);
        let s = key("s", 0);
        w.open(&s, Role::Events);
        let undecodable = Rec {
            kind: crate::model::Kind::Undecodable(crate::model::DecodeReason::InvalidJson),
            ..rec("", "", hole_at)
        };
        w.read(&s, &[rec("x", "start", 0.0), undecodable]);
        let f = w.flow("f", 300.0);
        let unexplained = u64::from(hole_at < 60.0);
        assert_eq!((f.totals.unexplained, f.totals.outcomes.timed_out), (unexplained, 1 - unexplained));
    }
}

#[test]
fn expired_records_are_counted_and_named() {
    let mut w = World::new(vec![spec(&[], &["end"], Some(60))]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "start", 0.0)]);
    w.engine.gap(&s, 0, 11, at(5.0));
    w.engine.gap(&s, 0, 11, at(5.0));
    w.engine.apply(&batch(&s, 11, &[rec("y", "end", 50.0)]));
    let snapshot = w.engine.tick(at(60.0));
    assert_eq!((snapshot.sources[0].expired, snapshot.sources[0].next), (10, 12));
    let f = &snapshot.flows[0];
    assert_eq!(f.inexact.as_ref().unwrap().at, at(0.0));
    w.engine.apply(&batch(&s, 12, &[rec("z", "end", 500.0)]));
    assert_eq!(w.engine.tick(at(500.0)).flows[0].totals.unexplained, 1);
}

#[test]
fn a_post_with_no_more_than_an_object_is_a_whole_transaction() {
    let mut w = World::new(vec![]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    let post = Rec { flow: "default", started: Some(4.5), ..rec("x", "received", 5.0) };
    w.read(&s, &[post]);
    let f = w.flow("default", 10.0);
    assert_eq!((f.totals.started, f.totals.outcomes.ok, f.never_ends), (1, 1, false));
    assert!((f.windows[1].latency_seconds["ok"].p50.unwrap() - 0.5).abs() < 0.006);
}

#[test]
fn a_partition_waits_until_its_first_record_and_no_longer() {
    let mut w = World::new(vec![]);
    for (name, began) in [("latest", Began::Middle(at(0.0))), ("earliest", Began::Beginning)] {
        let key = key(name, 0);
        let open = opening(&key, Role::Events, 0, began);
        w.engine.open(&crate::model::SourceOpen { append_time: false, ..open });
    }
    let waiting = |w: &mut World| w.watermark(1.0).sources.iter().map(|s| s.waiting).collect::<Vec<_>>();
    assert_eq!(waiting(&mut w), [false, true], "earliest has nothing before it");
    // Two records are too few to believe a time, not to have been read.
    w.engine.apply(&batch(&key("latest", 0), 0, &[rec("x", "A", 0.1), rec("x", "B", 0.2)]));
    assert_eq!(waiting(&mut w), [false, false]);
}
