//! What the watermark brings about.

use super::super::rules::QUIET;
use super::world::*;
use crate::model::{Began, Outcome, Role, SourceState, Tail, Timestamp};
use std::sync::Arc;

#[test]
fn a_transaction_settles_ten_seconds_after_its_end_and_leaves_after_two_minutes() {
    let mut w = World::new(vec![spec(&["A", "B"], &["B"], None)]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "A", 1.0), rec("x", "B", 3.0)]);
    w.watermark(12.9);
    assert_eq!(w.checkpoint().durable.flows[0].ended[0], 0);
    w.watermark(13.1);
    let durable = w.checkpoint().durable;
    let flow = &durable.flows[0];
    assert_eq!((flow.ended[0], flow.durations.len(), flow.hops.len()), (1, 1, 1));
    assert_eq!((flow.durations[0].0, flow.durations[0].1, flow.durations[0].2.sum), ("ok", "event", 2.0));
    assert_eq!(w.watermark(122.9).engine.transactions, 1);
    let engine = w.watermark(123.1).engine.clone();
    assert_eq!((engine.transactions, engine.tombstones), (0, 1));
    w.read(&s, &[rec("x", "A", 200.0)]);
    let f = w.flow("f", 201.0);
    assert_eq!((f.totals.after_end, f.totals.started, f.totals.events, f.totals.truncated), (1, 1, 3, 0));
    w.read(&s, &[rec("x", "A", 201.0).made(2.0)]);
    let f = w.flow("f", 202.0);
    assert_eq!((f.totals.truncated, f.inexact.is_some()), (1, true));
    assert_eq!(w.checkpoint().durable.flows[0].ended[0], 1);
}

#[test]
fn the_deadline_passes_with_the_watermark() {
    let mut w = World::new(vec![spec(&[], &["end"], Some(60))]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "start", 10.25)]);
    assert_eq!(w.flow("f", 70.25).totals.in_flight, 1);
    let f = w.flow("f", 70.26);
    assert_eq!((f.totals.in_flight, f.totals.outcomes.timed_out), (0, 1));
    assert_eq!(f.history.s1.range(T0 + 70, T0 + 71).next().unwrap().ended[4], 1);
}

#[test]
fn an_end_read_after_its_timeout_was_put_away_rights_the_books() {
    let mut w = World::new(vec![spec(&[], &["end"], Some(60))]);
    let (a, b) = (key("a", 0), key("b", 0));
    w.open(&a, Role::Events);
    w.open(&b, Role::Events);
    w.read(&a, &[rec("x", "start", 10.0)]);
    w.watermark(400.0);
    w.read(&b, &[rec("x", "end", 40.0).ends(Outcome::Failed)]);
    let f = w.flow("f", 401.0);
    assert_eq!((f.totals.outcomes.as_array(), f.totals.started), ([0, 1, 0, 0, 0], 1));
    assert_eq!(f.windows[4].outcomes.as_array(), [0, 1, 0, 0, 0]);
    assert!(f.inexact.is_some(), "its latency is lost");
}

#[test]
fn flows_that_never_end_let_go_of_quiet_transactions() {
    let mut w = World::new(vec![]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "A", 10.0), rec("x", "B", 20.0)]);
    let quiet = (QUIET / 1_000_000) as f64;
    let f = w.flow("f", 20.0 + quiet);
    assert_eq!((f.never_ends, f.totals.in_flight), (true, 1));
    let f = w.flow("f", 20.1 + quiet);
    assert_eq!((f.totals.in_flight, f.totals.open_ended, f.totals.ended), (0, 1, 0));
    assert!(f.stages.iter().all(|s| s.waiting == 0) && f.oldest.is_none());
    w.read(&s, &[rec("x", "C", 1_000.0).ends(Outcome::Ok)]);
    let f = w.flow("f", 1_001.0);
    assert_eq!((f.totals.open_ended, f.totals.outcomes.ok, f.totals.started, f.never_ends), (0, 1, 1, false));
}

#[test]
fn stuck_by_a_configured_deadline_and_by_a_learned_one() {
    let mut flow = spec(&["A", "B", "C"], &["C"], None);
    flow.stage_deadlines = vec![("B".to_owned(), std::time::Duration::from_secs(7))];
    let mut w = World::new(vec![flow]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "A", 10.0)]);
    let stuck = |w: &mut World, t| {
        let f = w.flow("f", t);
        (f.stuck_total, f.stages.iter().map(|s| (s.waiting, s.stuck)).collect::<Vec<_>>())
    };
    assert_eq!(stuck(&mut w, 17.0), (0, vec![(0, 0), (1, 0), (0, 0)]));
    assert_eq!(stuck(&mut w, 17.1), (1, vec![(0, 0), (1, 1), (0, 0)]));
    let f = w.flow("f", 18.0);
    assert_eq!((&*f.stuck[0].transaction_id, &*f.stuck[0].waiting_at, f.stuck[0].age_seconds), ("x", "B", 10.0));
    assert_eq!(f.oldest.as_ref().unwrap().transaction_id, "x");
    w.read(&s, &[rec("x", "B", 18.0)]);
    assert_eq!(stuck(&mut w, 18.1), (0, vec![(0, 0), (0, 0), (1, 0)]));
    for i in 0..200 {
        let (tx, t) = (format!("y{i}"), 20.0 + f64::from(i) / 10.0);
        w.read(&s, &[rec(&tx, "B", t), rec(&tx, "C", t + 2.0).made(t + 2.0)]);
    }
    let f = w.flow("f", 60.0);
    let c = f.stages.iter().find(|s| s.name == "C").unwrap();
    assert!(c.deadline_learned && (7.9..8.1).contains(&c.deadline_seconds.unwrap()), "{c:?}");
    assert_eq!(stuck(&mut w, 80.0).0, 1, "it waits for C since 18");
}

#[test]
fn partitions_that_cannot_be_read_are_left_out_after_ten_seconds() {
    let mut w = World::new(vec![]);
    let s = [key("s", 0), key("s", 1)];
    s.iter().for_each(|s| w.open(s, Role::Events));
    w.read(&s[0], &[rec("x", "A", 1.0)]);
    w.read(&s[1], &[rec("y", "A", 1.0)]);
    w.watermark(5.0);
    w.engine.state(&s[1], &SourceState::Unreachable("no leader".into()), at(10.0));
    let tail = |w: &mut World, t: f64| {
        w.engine.tail(&Tail { source: Arc::clone(&s[0]), next: 1, end: 1, log_start: 0, at: at(t) });
        w.engine.tick(at(t))
    };
    assert_eq!(tail(&mut w, 19.0).flows[0].watermark, Some(at(5.0)));
    let snapshot = tail(&mut w, 20.0);
    let f = &snapshot.flows[0];
    assert_eq!((f.watermark, f.left_out.len(), f.windows[1].partial), (Some(at(18.0)), 1, true));
    let partial: Vec<bool> = f.history.s1.range(T0 + 3, T0 + 7).map(|p| p.partial).collect();
    assert_eq!(partial, [false, false, true, true]);
    // It comes back: nothing is partial any more, and the watermark has not gone back.
    w.engine.state(&s[1], &SourceState::Reading, at(21.0));
    assert_eq!(w.engine.tick(at(21.0)).flows[0].watermark, Some(at(18.0)));
    let f = w.flow("f", 30.0);
    assert!(!f.windows[1].partial && f.history.s1.range(T0, T0 + 30).all(|p| !p.partial));
}

#[test]
fn a_restart_into_a_dead_cluster_does_not_hold_the_others() {
    let mut w = World::new(vec![]);
    let s = [key("s", 0), key("s", 1)];
    s.iter().for_each(|s| w.open(s, Role::Events));
    w.watermark(5.0);
    w.engine.restarted(at(10.0));
    w.engine.state(&s[0], &SourceState::Reading, at(11.0));
    w.engine.tail(&Tail { source: Arc::clone(&s[0]), next: 0, end: 0, log_start: 0, at: at(30.0) });
    let snapshot = w.engine.tick(at(30.0));
    assert_eq!((snapshot.sources[1].state, snapshot.streams[0].watermark), ("unreachable", Some(at(28.0))));
}

#[test]
fn exemplars_lead_to_real_transactions() {
    let mut w = World::new(vec![spec(&["A", "B"], &["B"], None)]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    for i in 0..50 {
        let t = f64::from(i);
        w.read(&s, &[rec(&format!("x{i}"), "A", t), rec(&format!("x{i}"), "B", t + 0.5).made(t + 0.1)]);
    }
    w.read(&s, &[rec("slow", "A", 50.0), rec("slow", "B", 59.0)]);
    let f = w.flow("f", 60.0);
    let latency = &f.windows[1].latency_seconds["ok"];
    let max = latency.exemplars.iter().find(|e| e.at == "max").unwrap();
    assert_eq!((&*max.transaction_id, max.seconds, max.trace_id.len()), ("slow", 9.0, 32));
    assert!(latency.exemplars.iter().any(|e| e.at == "p50" && (e.seconds - 0.1).abs() < 1e-9));
    // An earlier end is read: the sample of 9 s is taken back, and so is what stood for it.
    w.read(&s, &[rec("slow", "A", 60.5).made(52.0).ends(Outcome::Failed)]);
    assert_eq!(w.flow("f", 61.0).totals.outcomes.ok, 51, "cut later, so not the end");
    let other = key("s", 1);
    w.open(&other, Role::Events);
    w.read(&other, &[rec("slow", "B", 52.0)]);
    let f = w.flow("f", 62.0);
    let max = f.windows[1].latency_seconds["ok"].exemplars.iter().find(|e| e.at == "max").cloned();
    assert_eq!(max.map(|e| e.seconds), Some(2.0));
}

#[test]
fn undeclared_time_counts_in_totals_only() {
    let mut w = World::new(vec![]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    let mut b = batch(&s, 0, &[rec("x", "A", 1.0)]);
    (b.events[0].record_time, b.events[0].event_time) = (None, None);
    w.engine.apply(&b);
    let f = w.engine.tick(Timestamp(0)).flows[0].clone();
    assert_eq!((f.totals.events, f.totals.started, f.stages[0].events), (1, 0, 1));
}

#[test]
fn late_events_count_in_totals_and_late_only() {
    let mut w = World::new(vec![]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "A", 10_000.0), rec("y", "A", 6_000.0).ends(Outcome::Ok), rec("z", "A", 6_400.0)]);
    let f = w.flow("f", 10_001.0);
    assert_eq!((f.totals.events, f.totals.late, f.totals.started, f.totals.outcomes.ok), (3, 1, 3, 1));
    assert_eq!(f.history.s1.range(0, i64::MAX).map(|p| p.events).sum::<u32>(), 2);
}

#[test]
fn what_is_settled_by_the_clock_alone_survives_a_crash() {
    let mut w = World::new(vec![spec(&["A", "B"], &["B"], None)]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "A", 1.0), rec("x", "B", 3.0)]);
    w.watermark(5.0);
    w.checkpoint();
    // Nothing but the clock moves, and of the flow nothing but what is settled may be new.
    for t in [13.5, 14.0] {
        w.watermark(t);
        let shown = w.checkpoint().durable;
        assert_eq!(shown.flows[0].ended[0], 1);
        assert_eq!(w.restored().checkpoint().durable.flows[0].ended[0], 1, "at {t}");
    }
}

#[test]
fn hops_that_only_seemed_to_be_made_are_not_listed_and_the_others_are_in_order() {
    for order in [[0, 1, 2], [2, 1, 0], [2, 0, 1], [0, 2, 1]] {
        let mut w = World::new(vec![spec(&["A", "B", "C"], &[], None)]);
        let sources: Vec<_> = (0..3).map(|p| key("s", p)).collect();
        sources.iter().for_each(|s| w.open(s, Role::Events));
        let events = [rec("x", "A", 0.0), rec("x", "B", 2.0), rec("x", "C", 5.0)];
        for i in order {
            w.read(&sources[i], &[events[i].clone()]);
            w.watermark(0.5);
        }
        w.read(&sources[0], &[rec("x", "note", 6.0), rec("x", "bill", 7.0)]);
        let f = w.flow("f", 10.0);
        let hops: Vec<_> = f.hops.iter().map(|h| (&*h.from, &*h.to)).collect();
        assert_eq!(hops, [("A", "B"), ("B", "C"), ("C", "note"), ("note", "bill")], "{order:?}");
    }
}

#[test]
fn of_two_that_started_at_once_the_same_is_the_oldest_in_any_order() {
    let mut shown = Vec::new();
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        let mut w = World::new(vec![spec(&[], &["end"], Some(1_000))]);
        let sources: Vec<_> = (0..4).map(|p| key("s", p)).collect();
        sources.iter().for_each(|s| w.open(s, Role::Events));
        order.iter().for_each(|i| w.read(&sources[*i], &[rec(&format!("x{i}"), "A", 1.0)]));
        shown.push(w.flow("f", 10.0).oldest.clone());
    }
    assert!(shown[0].is_some() && shown.iter().all(|s| *s == shown[0]), "{shown:?}");
}

#[test]
fn a_flow_names_the_streams_that_feed_it() {
    let mut w = World::with(crate::engine::EngineConfig {
        limits: crate::model::Limits { streams: 1, ..crate::model::Limits::default() },
        ..Default::default()
    });
    for stream in ["c", "a", "b"] {
        w.open(&key(stream, 0), Role::Events);
    }
    w.read(&key("c", 0), &[rec("x", "A", 1.0)]);
    w.read(&key("a", 0), &[Rec { flow: "g", ..rec("x", "A", 1.0) }]);
    w.checkpoint();
    let mut engine = w.restored();
    for snapshot in [w.watermark(2.0), engine.tick(at(2.0))] {
        let names = |i: usize| snapshot.flows[i].streams.iter().map(|(_, s)| s.to_string()).collect::<Vec<_>>();
        assert_eq!(
            (names(0), names(1)),
            (vec!["c".to_owned()], vec!["a".to_owned(), "b".to_owned()]),
            "a and b are folded"
        );
        assert!(snapshot.flows[0].is_fed_by(&key("c", 7)) && !snapshot.flows[0].is_fed_by(&key("a", 0)));
    }
}

#[test]
fn what_comes_after_a_long_quiet_is_the_same_read_at_once_or_in_time() {
    let quiet = (QUIET / 1_000_000) as f64;
    let (again, end) = (40.0 + quiet, 2.0 * quiet);
    let events = [
        rec("x", "A", 10.0),
        rec("x", "B", 20.0),
        rec("x", "C", again),
        rec("x", "D", end).ends(Outcome::Failed),
        rec("x", "E", end + 5.0),
    ];
    for n in 3..=5 {
        let mut shown = Vec::new();
        for in_time in [false, true] {
            let mut w = World::new(vec![]);
            let s = key("s", 0);
            w.open(&s, Role::Events);
            for event in &events[..n] {
                if in_time {
                    w.watermark(event.cut - 1.0);
                }
                w.read(&s, std::slice::from_ref(event));
            }
            let f = w.flow("f", end + 300.0);
            let hops: Vec<_> = f.hops.iter().map(|h| (h.from.clone(), h.to.clone(), h.windows[4].count)).collect();
            assert_eq!(f.inexact, None);
            assert_eq!(f.windows[4].latency_seconds.len(), 0, "nobody knows how long it took");
            shown.push((f.totals.clone(), hops, f.windows[4].outcomes));
        }
        assert_eq!(shown[0], shown[1], "{n} events");
        let (failed, open_ended) = (u64::from(n > 3), u64::from(n == 3));
        assert_eq!((shown[0].0.outcomes.failed, shown[0].0.open_ended), (failed, open_ended));
        assert_eq!(shown[0].1, [("A".to_owned(), "B".to_owned(), 1)]);
    }
}

#[test]
fn what_comes_long_after_the_end_begins_anew_and_it_is_said_where_that_cannot_be_done() {
    for apart in [true, false] {
        let mut w = World::new(vec![spec(&[], &["end"], None)]);
        let s = key("s", 0);
        w.open(&s, Role::Events);
        w.read(&s, &[rec("x", "start", 0.0), rec("x", "end", 5.0)]);
        if apart {
            w.watermark(3_000.0);
        }
        w.read(&s, &[rec("x", "start", 3_606.0), rec("x", "end", 3_607.0)]);
        let f = w.flow("f", 3_620.0);
        let expected = if apart { (2, 2, 0, false) } else { (1, 1, 2, true) };
        assert_eq!((f.totals.started, f.totals.outcomes.ok, f.totals.after_end, f.inexact.is_some()), expected);
    }
}

#[test]
fn a_tombstone_waits_ten_minutes_for_those_who_come_late() {
    for (watermark, started) in [(4_204.0, 1), (4_207.0, 2)] {
        let mut w = World::new(vec![spec(&[], &["end"], None)]);
        let s = key("s", 0);
        w.open(&s, Role::Events);
        w.read(&s, &[rec("x", "start", 0.0), rec("x", "end", 5.0)]);
        w.watermark(watermark);
        w.read(&s, &[rec("x", "again", 3_604.0)]);
        let f = w.flow("f", 4_210.0);
        assert_eq!((f.totals.started, f.inexact.is_some()), (started, started == 2), "{watermark}");
    }
}

#[test]
fn what_a_stream_carries_is_what_is_said_today() {
    let mut w = World::new(vec![spec(&[], &["end"], None)]);
    let s = key("letters", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "A", 1.0)]);
    w.watermark(5.0);
    w.checkpoint();
    let mut engine = w.restored();
    engine.open(&opening(&s, Role::Dlq, 1, Began::Beginning));
    engine.apply(&batch(&s, 1, &[rec("x", "A", 6.0)]));
    let snapshot = engine.tick(at(8.0));
    assert_eq!(snapshot.flows[0].totals.outcomes.dead_lettered, 1);
    assert_eq!(snapshot.streams[0].role, "dlq");
}

#[test]
fn a_clock_that_is_off_as_a_whole_is_told_by_what_arrives_at_the_tail() {
    let mut w = World::new(vec![]);
    let s = key("s", 0);
    w.open_with(&s, false);
    let arrive = |w: &mut World, i: u32, cut: f64| {
        let next = u64::from(i) + 1;
        let mut b = batch(&s, next - 1, &[rec(&format!("x{i}"), "A", cut)]);
        b.observed = at(f64::from(i));
        w.engine.apply(&b);
        w.engine.tail(&Tail { source: Arc::clone(&s), next, end: next, log_start: 0, at: at(f64::from(i)) });
        w.engine.tick(at(f64::from(i)))
    };
    assert_eq!(arrive(&mut w, 0, 7.0).streams[0].clock_offset_seconds, None, "nothing has arrived at the tail yet");
    let snapshot = (1..40).map(|i| arrive(&mut w, i, f64::from(i) + 7.0)).last().unwrap();
    assert_eq!(snapshot.streams[0].clock_offset_seconds, Some(-7.0));
    assert_eq!(snapshot.engine.future, 7, "they wait in their seconds until the watermark gets there");
    let f = &snapshot.flows[0];
    assert_eq!((f.totals.events, f.watermark.is_some_and(|w| w < at(39.0))), (40, true));
}

#[test]
fn books_that_do_not_balance_are_owned_up_to_also_after_a_restart() {
    let mut w = World::new(vec![]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    w.read(&s, &[rec("x", "A", 1.0)]);
    assert_eq!(w.engine.tick(at(2.0)).engine.books_error, None);
    let number = usize::from(w.engine.flow_index["f"]);
    w.engine.flows[number].state.totals.started += 2;
    let said = w.engine.tick(at(3.0)).engine.books_error.clone();
    assert_eq!(said.as_deref(), Some("flow f: started differs by 2 from what became of them"));
    w.checkpoint();
    assert_eq!(w.restored().tick(at(4.0)).engine.books_error, said);
}
