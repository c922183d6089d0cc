//! What is missing from a log, and what came late: which verdicts it touches, and what the engine owns up to.

use super::world::*;
use crate::engine::{Restore, blob};
use crate::model::{Batch, Began, DecodeReason, Kind, LogCut, Outcome, Role, SourceOpen};
use crate::snapshot::FlowView;
use std::sync::Arc;

fn verdicts(f: &FlowView) -> (u64, u64) {
    (f.totals.outcomes.timed_out, f.totals.unexplained)
}

/// Flow `f` with a timeout of 60 s, in stream `s`; stream `t` is open beside it.
fn two_streams() -> World {
    let mut w = World::new(vec![spec(&[], &["end"], Some(60))]);
    w.open(&key("s", 0), Role::Events);
    w.open(&key("t", 0), Role::Events);
    w
}

fn undecodable(cut: f64) -> Rec {
    Rec { kind: Kind::Undecodable(DecodeReason::InvalidJson), ..rec("", "", cut) }
}

#[test]
fn a_hole_counts_only_where_the_flow_was_seen_before_the_deadline() {
    for (seen, expected) in [(200.0, (1, 0)), (50.0, (0, 1))] {
        for settled in [false, true] {
            let mut w = two_streams();
            w.read(&key("s", 0), &[rec("x", "start", 0.0)]);
            w.read(&key("t", 0), &[undecodable(30.0)]);
            if settled {
                assert_eq!(verdicts(&w.flow("f", 100.0)), (1, 0));
            }
            // Another transaction shows that the flow lies in the other stream as well.
            w.read(&key("t", 0), &[rec("y", "start", seen).ends(Outcome::Ok)]);
            assert_eq!(verdicts(&w.flow("f", 300.0)), expected, "seen at {seen}");
        }
    }
}

#[test]
fn a_hole_is_remembered_as_long_as_any_deadline_lies_ahead() {
    let day = 86_400.0;
    for (hole, expected) in [(20.0, (0, 1)), (-40.0, (1, 0))] {
        let mut w = World::new(vec![spec(&[], &["end"], Some(30 * 86_400))]);
        let s = key("s", 0);
        w.open(&s, Role::Events);
        w.read(&s, &[undecodable(hole), rec("x", "start", 10.0)]);
        for days in 1..30 {
            w.watermark(f64::from(days) * day);
        }
        assert_eq!(verdicts(&w.flow("f", 30.0 * day + 11.0)), expected, "hole at {hole}");
    }
}

#[test]
fn an_earlier_sight_of_the_flow_changes_verdicts_of_before() {
    let mut w = two_streams();
    w.open(&key("t", 1), Role::Events);
    w.read(&key("s", 0), &[rec("x", "start", 0.0)]);
    w.read(&key("t", 0), &[undecodable(30.0), rec("y", "step", 90.0).ends(Outcome::Ok)]);
    assert_eq!(verdicts(&w.flow("f", 100.0)), (1, 0));
    w.read(&key("t", 1), &[rec("z", "step", 20.0).ends(Outcome::Ok)]);
    assert_eq!(verdicts(&w.flow("f", 101.0)), (0, 1));
}

#[test]
fn nothing_is_missing_before_the_confirmed_end() {
    let mut w = two_streams();
    let s = key("s", 0);
    w.read(&s, &[rec("x", "start", 0.0)]);
    w.watermark(500.0);
    w.engine.gap(&s, 1, 5, at(900.0));
    w.watermark(890.0);
    let f = w.engine.tick(at(892.0)).flows[0].clone();
    assert_eq!((verdicts(&f), f.inexact.as_ref().map(|i| i.at)), ((1, 0), Some(at(500.0))));
}

#[test]
fn a_gap_before_anything_was_read_has_a_time_that_a_calendar_knows() {
    let mut w = two_streams();
    w.read(&key("s", 0), &[rec("x", "start", 7.5)]);
    w.open(&key("s", 1), Role::Events);
    w.engine.gap(&key("s", 1), 0, 5, at(900.0));
    assert_eq!(w.flow("f", 20.0).inexact.as_ref().unwrap().at, at(7.0), "since the first second of the stream");
    let mut w = two_streams();
    w.engine.gap(&key("t", 0), 0, 5, at(900.0));
    w.engine.apply(&batch(&key("t", 0), 5, &[rec("x", "start", 7.5)]));
    assert_eq!(w.flow("f", 20.0).inexact.as_ref().unwrap().at, at(900.0), "the time of the gap");
}

#[test]
fn what_is_written_where_a_log_was_cut_is_read() {
    let mut w = two_streams();
    let s = key("s", 0);
    let many = |from: usize, n: usize| {
        (from..from + n).map(|i| rec(&format!("t{i}"), "end", i as f64 / 10.0)).collect::<Vec<_>>()
    };
    w.engine.apply(&batch(&s, 0, &many(0, 100)));
    w.engine.gap(&s, 40, 60, at(20.0));
    assert_eq!(w.engine.positions().sources[0].next, 100, "an old word of a gap takes nothing back");
    w.engine.cut(&LogCut { source: Arc::clone(&s), next: 80, known: true });
    assert_eq!(w.engine.positions().sources[0].next, 80);
    w.engine.apply(&batch(&s, 80, &many(200, 40)));
    let snapshot = w.engine.tick(at(60.0));
    let f = &snapshot.flows[0];
    assert_eq!((f.totals.outcomes.ok, snapshot.sources[0].next, snapshot.sources[0].expired), (140, 120, 0));
    let inexact = f.inexact.as_ref().expect("what was cut has counted");
    assert_eq!((inexact.at, inexact.reason.contains("cut by 20 positions")), (at(0.0), true), "{inexact:?}");
}

#[test]
fn a_log_that_was_cut_while_we_were_away_is_read_from_its_end() {
    let mut w = two_streams();
    let s = key("s", 0);
    let records: Vec<_> = (0..10).map(|i| rec(&format!("t{i}"), "end", f64::from(i))).collect();
    w.read(&s, &records);
    w.watermark(20.0);
    w.checkpoint();
    let open = |next| opening(&s, Role::Events, next, Began::Beginning);
    let mut engine = w.restored();
    engine.open(&open(6));
    assert_eq!(engine.positions().sources[0].next, 6);
    engine.apply(&batch(&s, 6, &[rec("new", "end", 31.0)]));
    let f = engine.tick(at(40.0)).flows[0].clone();
    assert_eq!((f.totals.outcomes.ok, f.inexact.is_some()), (11, true));
    // Within a process a reader may begin again at a stored position that lies behind: no cut.
    engine.open(&open(2));
    assert_eq!(engine.positions().sources[0].next, 7);
    let mut engine = w.restored();
    engine.open(&open(10));
    assert_eq!((engine.positions().sources[0].next, engine.tick(at(40.0)).flows[0].inexact.clone()), (10, None));
}

/// Ten records, then two positions without one: markers of transactions, say.
fn ends_with_holes() -> World {
    let mut w = two_streams();
    let s = key("s", 0);
    let records: Vec<_> = (0..10).map(|i| rec(&format!("t{i}"), "end", f64::from(i))).collect();
    w.engine.apply(&Batch { to: 12, ..batch(&s, 0, &records) });
    w.engine.apply(&Batch { to: 13, leader_epoch: -1, ..batch(&s, 12, &[]) });
    assert_eq!(w.engine.tick(at(20.0)).sources[0].next, 13);
    w.checkpoint();
    w
}

#[test]
fn a_restart_goes_on_behind_the_last_record_for_a_hole_has_no_epoch() {
    let w = ends_with_holes();
    let s = key("s", 0);
    let at_restart = w.restored().positions().sources[0].clone();
    assert_eq!((at_restart.next, at_restart.leader_epoch), (10, 1));
    let open = |next, log_start| SourceOpen { log_start, ..opening(&s, Role::Events, next, Began::Beginning) };
    // Where the holes were there are records now: their log was cut, and nothing of it had counted.
    for next in [10, 11] {
        let mut engine = w.restored();
        engine.open(&open(next, 0));
        engine.apply(&batch(&s, next, &[rec("a", "end", 31.0), rec("b", "end", 31.0), rec("c", "end", 31.0)]));
        let snapshot = engine.tick(at(40.0));
        let f = &snapshot.flows[0];
        assert_eq!((f.totals.outcomes.ok, snapshot.sources[0].next, &f.inexact), (13, next + 3, &None));
    }
    // The same within a process.
    let mut engine = w.restored();
    engine.open(&open(10, 0));
    engine.apply(&Batch { to: 13, ..batch(&s, 10, &[]) });
    engine.cut(&LogCut { source: Arc::clone(&s), next: 11, known: true });
    engine.apply(&batch(&s, 11, &[rec("a", "end", 31.0)]));
    assert_eq!(engine.tick(at(40.0)).flows[0].totals.outcomes.ok, 11);
    // Holes that have expired are no gap, records behind them are; the old epoch says nothing of what comes then.
    let mut engine = w.restored();
    engine.open(&open(10, 13));
    let snapshot = engine.tick(at(40.0));
    assert_eq!((snapshot.sources[0].next, snapshot.sources[0].expired, &snapshot.flows[0].inexact), (13, 0, &None));
    engine.gap(&s, 13, 20, at(41.0));
    let place = engine.positions().sources[0].clone();
    assert_eq!((place.next, place.leader_epoch, engine.tick(at(42.0)).sources[0].expired), (20, -1, 7));
}

#[test]
fn a_log_cut_nobody_knows_where_is_not_counted_twice_and_not_read_on_in_silence() {
    let mut w = ends_with_holes();
    let s = key("s", 0);
    w.engine.cut(&LogCut { source: Arc::clone(&s), next: 13, known: false });
    let place = w.engine.positions().sources[0].clone();
    assert_eq!((place.next, place.leader_epoch), (13, -1), "the old epoch would only be refused again");
    let old = rec("t3", "end", 3.0);
    w.engine.apply(&batch(&s, 3, std::slice::from_ref(&old)));
    w.engine.apply(&batch(&s, 13, &[rec("new", "end", 31.0)]));
    let f = w.engine.tick(at(40.0)).flows[0].clone();
    let inexact = f.inexact.as_ref().expect("something may have been missed");
    assert_eq!((f.totals.outcomes.ok, inexact.at), (11, at(0.0)));
    assert!(inexact.reason.contains("stream s, partition 0, was cut, nobody knows where"), "{}", inexact.reason);
}

#[test]
fn a_store_of_the_version_before_is_read() {
    let mut w = ends_with_holes();
    for (key, bytes) in w.blobs.iter_mut().filter(|(key, _)| key.kind == blob::SOURCES) {
        let added = if key.number == 0 { 10 } else { 0 };
        assert_eq!(bytes.pop(), Some(added), "it stands behind all that the version before knows");
    }
    let place = w.restored().positions().sources[0].clone();
    assert_eq!((place.next, place.leader_epoch), (13, 1));
    let mut restore = Restore::new(w.config.clone());
    w.blobs.values_mut().next().unwrap().truncate(3);
    w.blobs.iter().for_each(|(key, bytes)| restore.blob(*key, bytes));
    assert!(restore.finish().is_err());
}

#[test]
fn an_event_before_the_end_that_comes_after_it_was_put_away_is_owned_up_to() {
    for (cut, exact) in [(20.0, false), (20.9, false), (21.5, true)] {
        let mut w = World::new(vec![spec(&[], &["end"], None)]);
        w.open(&key("s", 0), Role::Events);
        w.read(&key("s", 0), &[rec("x", "start", 10.0), rec("x", "end", 20.5)]);
        w.watermark(200.0);
        w.read(&key("s", 0), &[rec("x", "step", cut).made(300.0)]);
        let f = w.flow("f", 201.0);
        assert_eq!((f.totals.after_end, f.inexact.is_none()), (1, exact), "cut at {cut}");
    }
}

#[test]
fn clocks_that_are_behind_hold_the_watermark_back_by_a_minute_at_most() {
    // At the tail, one record a second; three of ten producers' clocks are 300 s behind, one is 3 h ahead, and once
    // one is 2 h behind.
    let mut w = World::new(vec![]);
    let mut worst = (0, 0);
    for append_time in [false, true] {
        let s = key("s", u32::from(append_time));
        w.open_with(&s, append_time);
        for i in 0..600u32 {
            let now = f64::from(i);
            let behind = match i {
                300 => -10_800.0,
                400 => 7_200.0,
                _ if i > 20 && i * 7_919 % 10 < 3 && !append_time => 300.0,
                _ => 0.0,
            };
            let behind = if append_time && i == 300 { 0.0 } else { behind };
            let next = u64::from(i) + 1;
            let mut b = batch(&s, next - 1, &[rec(&format!("x{i}"), "A", now - behind)]);
            b.observed = at(now + 0.01);
            w.engine.apply(&b);
            let tail = crate::model::Tail { source: Arc::clone(&s), next, end: next, log_start: 0, at: at(now + 0.1) };
            w.engine.tail(&tail);
            let number = w.engine.sources.find(&s).unwrap();
            let age = at(now + 0.1).0 - w.engine.sources.get(number).watermark().unwrap_or(0);
            if i > 100 {
                let worst = if append_time { &mut worst.0 } else { &mut worst.1 };
                *worst = age.max(*worst);
            }
        }
    }
    assert!(worst.0 <= 5_000_000, "{worst:?}: records that are late say nothing of the tail");
    assert!(worst.1 <= 61_000_000, "{worst:?}: what producers' clocks say is capped");
}

#[test]
fn a_copy_that_counts_anew_says_nothing_new_of_what_was_put_away() {
    let mut w = World::new(vec![spec(&[], &["end"], None)]);
    let s = key("s", 0);
    w.open(&s, Role::Events);
    let start = |cut| rec("x", "start", cut).made(10.0).id("a");
    w.read(&s, &[start(10.0), rec("x", "end", 20.0)]);
    w.watermark(480.0);
    w.read(&s, &[start(490.0)]);
    w.watermark(960.0);
    w.read(&s, &[start(970.0)]);
    let f = w.flow("f", 980.0);
    assert_eq!((f.totals.events, f.totals.duplicates, f.totals.truncated, f.inexact.clone()), (3, 1, 0, None));
    w.read(&s, &[rec("x", "step", 975.0).made(15.0)]);
    assert!(w.flow("f", 981.0).inexact.is_some(), "what is new is lost");
}

#[test]
fn what_touches_a_timeout_that_was_put_away_is_owned_up_to() {
    for (cut, exact) in [(30.0, false), (310.0, true)] {
        let mut w = two_streams();
        w.read(&key("s", 0), &[rec("x", "start", 0.0)]);
        w.watermark(400.0);
        w.read(&key("s", 0), &[undecodable(cut)]);
        let f = w.flow("f", 401.0);
        assert_eq!((verdicts(&f), f.inexact.is_none()), ((1, 0), exact), "cut at {cut}");
    }
}
