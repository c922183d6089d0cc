//! Nothing grows without bound, and what goes is counted.

use super::super::EngineConfig;
use super::world::*;
use crate::model::{Limits, Outcome, Role};
use crate::snapshot::FlowView;

fn world(limits: Limits) -> World {
    let mut w = World::with(EngineConfig {
        flows: vec![spec(&[], &["end"], None)],
        limits,
        seed: 1,
        ..EngineConfig::default()
    });
    w.open(&key("s", 0), Role::Events);
    w
}

#[test]
fn the_oldest_transactions_go_and_ended_ones_first() {
    let mut w = world(Limits { transactions: 10, ..Limits::default() });
    let s = key("s", 0);
    for i in 0..8 {
        w.read(&s, &[rec(&format!("open{i}"), "start", f64::from(i))]);
    }
    for i in 0..4 {
        w.read(&s, &[rec(&format!("done{i}"), "end", 10.0 + f64::from(i))]);
    }
    let f = w.flow("f", 15.0);
    assert_eq!((f.totals.evicted, f.totals.in_flight, f.totals.outcomes.ok), (0, 8, 4), "only ended ones had to go");
    for i in 0..6 {
        w.read(&s, &[rec(&format!("more{i}"), "start", 20.0 + f64::from(i))]);
    }
    let snapshot = w.watermark(30.0);
    let f = &snapshot.flows[0];
    assert_eq!((f.totals.evicted, f.totals.in_flight, snapshot.engine.transactions), (4, 10, 10));
    assert_eq!(snapshot.engine.overflow["transactions"], 8);
    assert_eq!(f.oldest.as_ref().unwrap().transaction_id, "open4");
    assert!(f.inexact.is_some());
    assert_eq!(w.checkpoint().durable.flows[0].ended[0], 4, "those that were pushed out have settled");
    w.read(&s, &[rec("open0", "end", 31.0)]);
    let f = w.flow("f", 32.0);
    assert_eq!((f.totals.started, f.totals.evicted), (18, 4), "an evicted transaction does not start again");
}

#[test]
fn a_transaction_keeps_its_start_and_its_end() {
    let mut w = world(Limits { events_per_transaction: 4, ..Limits::default() });
    let s = key("s", 0);
    let many: Vec<_> = (0..100).map(|i| rec("x", "step", f64::from(i))).collect();
    w.read(&s, &many);
    w.read(&s, &[rec("x", "end", 100.0)]);
    let f = w.flow("f", 101.0);
    assert_eq!((f.totals.outcomes.ok, f.totals.events, f.totals.truncated), (1, 101, 97));
    assert!((f.windows[4].latency_seconds["ok"].max.unwrap() - 100.0).abs() < 3.0);
}

#[test]
fn names_beyond_the_bound_are_other() {
    let limits = Limits { flows: 2, stages_per_flow: 3, hops_per_flow: 2, streams: 1, ..Limits::default() };
    let mut w = world(limits);
    let s = key("s", 0);
    let t = key("t", 0);
    w.open(&t, Role::Events);
    for (i, flow) in ["f", "g", "h", "i"].into_iter().enumerate() {
        for stage in 0..6 {
            w.read(&s, &[Rec { flow, ..rec("x", &format!("s{stage}"), (i * 10 + stage) as f64) }]);
        }
    }
    w.read(&t, &[rec("y", "s0", 50.0)]);
    let snapshot = w.watermark(60.0);
    let names: Vec<_> = snapshot.flows.iter().map(|f| (&*f.name, f.totals.started, f.stages.len())).collect();
    assert_eq!(names, [("f", 2, 3), ("g", 1, 3), ("other", 2, 3)], "folded flows do not share transactions");
    assert!(snapshot.flows.iter().all(|f| f.hops.len() <= 3));
    assert_eq!(snapshot.streams.len(), 2);
    for bound in ["flows", "stages_per_flow", "streams"] {
        assert!(snapshot.engine.overflow[bound] > 0, "{bound}");
    }
}

#[test]
fn series_are_bounded_over_all_flows_and_other_is_exact() {
    // Two streams, one flow with one stage; then room for six names more.
    let mut w = world(Limits { series: 10, ..Limits::default() });
    let s = key("s", 0);
    w.open(&key("t", 0), Role::Events);
    for i in 0..40 {
        let flow = ["f", "g", "h", "i"][i % 4];
        w.read(&s, &[Rec { flow, ..rec(&format!("x{}", i % 8), &format!("s{}", i / 4), i as f64) }]);
    }
    let snapshot = w.watermark(60.0);
    let names = |f: &FlowView| 1 + f.stages.len() + f.hops.len();
    let shown: usize = snapshot.flows.iter().map(|f| names(f)).sum();
    assert!(shown <= 10 + 2 * 3 + 1, "ten, and in each flow an `other` of stages and of hops: {shown}");
    let events = |f: &FlowView| f.stages.iter().map(|s| s.events).sum::<u64>();
    assert!(snapshot.flows.iter().all(|f| events(f) == f.totals.events));
    assert_eq!(snapshot.flows.iter().map(|f| f.totals.events).sum::<u64>(), 40);
    assert!(snapshot.engine.overflow["series"] > 0);
    w.checkpoint();
    let mut again = w.restored();
    assert_eq!(again.tick(at(62.0)).engine.overflow, snapshot.engine.overflow);
    w.engine = again;
    w.read(&s, &[Rec { flow: "new", ..rec("y", "new", 61.0) }]);
    let snapshot = w.watermark(62.0);
    let mut found = snapshot.flows.iter().map(|f| f.name.as_str());
    assert!(found.all(|name| name != "new"), "a restored engine has no more room than the one before");
}

#[test]
fn hops_beyond_the_bound_are_counted() {
    let mut w = world(Limits { hops_per_flow: 1, ..Limits::default() });
    let steps: Vec<_> = (0..5).map(|i| rec("x", &format!("s{i}"), f64::from(i))).collect();
    w.read(&key("s", 0), &steps);
    let snapshot = w.watermark(10.0);
    assert_eq!(snapshot.engine.overflow["hops_per_flow"], 3);
    assert_eq!(snapshot.flows[0].hops.iter().map(|h| h.windows[4].count).collect::<Vec<_>>(), [3, 1]);
}

#[test]
fn copies_that_cannot_be_told_any_more_are_owned_up_to() {
    let mut w = world(Limits::default());
    let s = key("s", 0);
    w.read(&s, &[rec("x", "start", 10.0).id("a")]);
    w.watermark(1_200.0);
    w.read(&s, &[rec("x", "start", 602.0).id("a")]);
    let f = w.flow("f", 1_201.0);
    assert_eq!((f.totals.events, f.totals.duplicates, &f.inexact), (1, 1, &None), "late, and known all the same");
    w.read(&s, &[rec("y", "start", 600.0).id("b")]);
    assert!(w.flow("f", 1_202.0).inexact.is_some());
}

#[test]
fn far_clocks_do_not_cost_memory() {
    let mut w = world(Limits::default());
    let s = key("s", 0);
    let mut b = batch(&s, 0, &[rec("x", "start", 0.0)]);
    for (i, year) in [1971i64, 2150, 2199].into_iter().enumerate() {
        b.events[0].record_time = Some(crate::model::Timestamp::from_seconds((year - 1970) * 31_557_600));
        (b.events[0].position, b.to) = (i as u64, i as u64 + 1);
        w.engine.apply(&b);
        w.engine.tick(at(0.0));
    }
    let snapshot = w.engine.tick(at(0.0));
    assert_eq!(snapshot.flows[0].totals.events, 3);
    assert_eq!(snapshot.engine.books_error, None);
}

#[test]
fn an_id_that_is_no_id_costs_no_more_than_its_copies() {
    let mut w = world(Limits::default());
    let s = key("s", 0);
    for i in 0..500 {
        w.read(&s, &[rec(&format!("t{i}"), "end", f64::from(i) / 10.0).id("constant")]);
    }
    let snapshot = w.watermark(60.0);
    let f = &snapshot.flows[0];
    assert_eq!((f.totals.events, f.totals.duplicates, f.totals.outcomes.ok), (1, 499, 1));
    assert_eq!(snapshot.engine.overflow["dedup_copies"], 500 - 32);
}

#[test]
fn counters_that_are_exported_never_fall() {
    let mut w = world(Limits::default());
    let (s, t) = (key("s", 0), key("s", 1));
    w.open(&t, Role::Events);
    w.read(&s, &[rec("x", "end", 10.0).id("e").ends(Outcome::Ok), rec("x", "late", 11.0)]);
    w.watermark(15.0);
    let before = w.checkpoint().durable;
    assert_eq!((before.flows[0].after_end, before.flows[0].started), (1, 1));
    // An earlier copy belongs to another transaction: the start of `x` moves, its after_end goes.
    w.read(&t, &[rec("y", "end", 9.0).id("e")]);
    let f = w.flow("f", 16.0);
    assert_eq!((f.totals.after_end, f.totals.duplicates, f.totals.started), (0, 1, 2));
    let after = w.checkpoint().durable;
    assert_eq!((after.flows[0].after_end, after.flows[0].started), (1, 2));
}
