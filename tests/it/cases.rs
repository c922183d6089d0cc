//! The cases that a naive build gets wrong (`docs/SEMANTICS.md`), each with its literal numbers and against the oracle.
//! Those that need a real broker or a scrape stand with their promises.

use streamgauge::model::{Outcome, Role, Timestamp};
use streamgauge::snapshot::FlowView;

use crate::support::record::{Record, source};
use crate::support::rng::Rng;
use crate::support::story::{Story, at, ending, event, flow, orders};

/// What ended in the second that begins at `t` (seconds of the story), as the chart shows it.
fn ended_in(flow: &FlowView, t: f64) -> [u32; 5] {
    let second = at(t).second();
    flow.history.s1.range(second, second + 1).next().map_or([0; 5], |p| p.ended)
}

fn window<'a>(flow: &'a FlowView, name: &str) -> &'a streamgauge::snapshot::WindowView {
    flow.windows.iter().find(|w| w.name == name).expect("a window of this name")
}

/// One partition per record; read in `order`, with a look at the clock after each.
fn read_in(order: &[usize], flows: Vec<streamgauge::model::FlowSpec>, records: &[(&str, Record)]) -> Story {
    let mut story = Story::new(flows);
    for (stream, record) in records {
        story.partition(stream, vec![record.clone()]);
    }
    (0..records.len()).for_each(|i| story.open(i));
    for &i in order {
        story.read(i, usize::MAX);
        story.engine.tick(at(1_000.0));
    }
    story
}

#[test]
fn case_1_an_end_before_the_deadline_wins_in_either_order() {
    for order in orders(2) {
        let flows = vec![flow("checkout", &[], &["shipped"], Some(60))];
        let records = [("orders", event(1_000.0, "t", "placed")), ("shipping", event(1_030.0, "t", "shipped"))];
        let view = read_in(&order, flows, &records).agreed(at(1_200.0));
        assert_eq!((view.totals.outcomes.ok, view.totals.outcomes.timed_out, view.totals.recovered), (1, 0, 0));
        assert_eq!(ended_in(&view, 1_030.0), [1, 0, 0, 0, 0]);
    }
}

#[test]
fn case_2_an_end_after_the_deadline_is_a_recovery() {
    for order in orders(2) {
        let flows = vec![flow("checkout", &[], &["shipped"], Some(60))];
        let records = [("orders", event(1_000.0, "t", "placed")), ("shipping", event(1_061.0, "t", "shipped"))];
        let view = read_in(&order, flows, &records).agreed(at(1_120.0));
        assert_eq!(ended_in(&view, 1_060.0), [0, 0, 0, 0, 1]);
        assert_eq!((view.totals.outcomes.ok, view.totals.outcomes.timed_out, view.totals.recovered), (1, 0, 1));
        let minute = window(&view, "5m");
        assert_eq!((minute.outcomes.timed_out, minute.outcomes.ok, minute.recovered), (1, 0, 1));
    }
}

#[test]
fn case_3_hops_do_not_depend_on_the_order_of_reading() {
    for order in orders(3) {
        let flows = vec![flow("checkout", &["a", "b", "c"], &["c"], None)];
        let records =
            [("orders", event(0.0, "t", "a")), ("payments", event(2.0, "t", "b")), ("shipping", event(5.0, "t", "c"))];
        let view = read_in(&order, flows, &records).agreed(at(30.0));
        let mut hops: Vec<_> = view.hops.iter().filter(|h| h.windows[1].count > 0).collect();
        hops.sort_by_key(|h| h.from.clone());
        let names: Vec<_> = hops.iter().map(|h| (h.from.as_str(), h.to.as_str(), h.windows[1].count)).collect();
        assert_eq!(names, [("a", "b", 1), ("b", "c", 1)]);
        let median = |i: usize| hops[i].windows[1].p50.expect("a sample");
        assert!((median(0) - 2.0).abs() <= 0.022 && (median(1) - 3.0).abs() <= 0.033, "{hops:?}");
    }
}

#[test]
fn case_4_the_first_end_wins_whichever_is_read_first() {
    for order in orders(3) {
        let records = [
            ("orders", event(8.0, "t", "placed")),
            ("payments", ending(12.0, "t", "declined", Outcome::Failed)),
            ("shipping", ending(10.0, "t", "shipped", Outcome::Ok)),
        ];
        let flows = vec![flow("checkout", &[], &[], Some(60))];
        let view = read_in(&order, flows, &records).agreed(at(60.0));
        assert_eq!((view.totals.outcomes.ok, view.totals.outcomes.failed, view.totals.after_end), (1, 0, 1));
        assert_eq!(ended_in(&view, 10.0), [1, 0, 0, 0, 0]);
        assert_eq!(ended_in(&view, 12.0), [0; 5]);
    }
}

#[test]
fn case_5_dead_letters_with_the_original_id_are_events_and_come_back_a_day_later() {
    let hours = 20.0 * 3_600.0;
    for killed in [false, true] {
        let mut story = Story::new(vec![flow("checkout", &["placed", "shipped"], &["shipped"], Some(900))]);
        let originals: Vec<Record> = (0..100).map(|n| event(f64::from(n), &format!("t{n}"), "placed")).collect();
        let dead =
            originals.iter().map(|r| Record { record_time: r.record_time.map(|t| t.plus(200_000_000)), ..r.clone() });
        let (orders, dlq) =
            (story.partition("orders", originals.clone()), story.partition("orders.dlq", dead.collect()));
        story.read(dlq, 50);
        story.read(orders, usize::MAX);
        story.read(dlq, usize::MAX);
        let view = story.agreed(at(310.0));
        assert_eq!((view.totals.outcomes.dead_lettered, view.totals.duplicates, view.totals.started), (100, 0, 100));
        // The night passes: full entries become tombstones.
        story.confirm(at(4_000.0));
        story.confirm(at(hours - 10.0));
        story.checkpoint();
        if killed {
            story.kill();
        }
        for (n, original) in originals.iter().enumerate() {
            let t = hours + n as f64;
            let again = Record { redrive: 1, record_time: Some(at(t)), event_time: Some(at(t)), ..original.clone() };
            story.write(orders, vec![again, event(t + 0.5, &original.transaction, "shipped")]);
        }
        story.read(orders, usize::MAX);
        story.open(dlq);
        let view = story.agreed(at(hours + 200.0));
        let totals = &view.totals;
        assert_eq!((totals.recovered, totals.started, totals.outcomes.ok), (100, 100, 100), "{totals:?}");
        assert_eq!((totals.outcomes.dead_lettered, totals.duplicates), (0, 0));
        assert_eq!(window(&view, "5m").recovered, 100);
    }
}

#[test]
fn case_6_copies_count_by_their_distance_not_by_their_order() {
    for order in orders(3) {
        let copy =
            |seconds: f64| Record { id: "e1".to_owned(), event_time: Some(at(0.0)), ..event(seconds, "t", "placed") };
        let records = [("orders", copy(0.0)), ("orders", copy(480.0)), ("orders", copy(960.0))];
        let view = read_in(&order, vec![flow("checkout", &[], &["shipped"], None)], &records).agreed(at(1_000.0));
        assert_eq!((view.totals.events, view.totals.duplicates), (2, 1), "order {order:?}");
        assert_eq!(view.totals.started, 1);
    }
}

#[test]
fn case_7_latest_is_durable_before_the_first_read() {
    let mut story = Story::new(vec![flow("checkout", &[], &["shipped"], None)]);
    let many = |from: u32, n: u32| (from..from + n).map(|n| event(f64::from(n) / 100.0, &format!("t{n}"), "shipped"));
    let first = story.partition("orders", many(0, 500).collect());
    story.open_latest(first, at(5.0));
    story.checkpoint();
    story.kill();
    story.write(first, many(500, 1_000).collect());
    let second = story.partition("orders", many(2_000, 50).collect());
    story.open(first);
    story.open(second);
    story.read(first, usize::MAX);
    story.read(second, usize::MAX);
    let view = story.agreed(at(60.0));
    assert_eq!(view.totals.events, 1_050);
}

#[test]
fn case_8_a_stream_made_anew_is_read_from_its_beginning() {
    let mut story = Story::new(vec![flow("checkout", &[], &["shipped"], None)]);
    let many = |from: u32, n: u32| (from..from + n).map(|n| event(f64::from(n) / 100.0, &format!("t{n}"), "shipped"));
    let old = story.partition("orders", many(0, 5_000).collect());
    story.read(old, usize::MAX);
    assert_eq!(story.agreed(at(60.0)).totals.events, 5_000);
    story.checkpoint();
    story.kill();
    story.world.partitions[old].deleted = Some(at(55.0));
    let new = story.partition_at(source("orders", 1, 0), many(6_000, 6_000).collect());
    story.open(old);
    story.confirm(at(100.0));
    story.read(new, usize::MAX);
    story.confirm(at(130.0));
    let view = story.agreed(at(145.0));
    assert_eq!(view.totals.events, 11_000);
    assert_eq!(view.totals.duplicates, 0);
}

#[test]
fn case_9_holes_are_no_gaps() {
    let mut story = Story::new(vec![flow("checkout", &[], &["shipped"], None)]);
    // Of 1,500 positions every third was aborted; a marker follows every tenth.
    let mut position = 0;
    let mut records = Vec::new();
    for n in 0..1_500u32 {
        if n % 3 != 2 {
            records.push(Record { position, ..event(f64::from(n) / 100.0, &format!("t{n}"), "shipped") });
        }
        position += if n % 10 == 9 { 2 } else { 1 };
    }
    let orders = story.partition("orders", records);
    story.read(orders, usize::MAX);
    let view = story.agreed(at(30.0));
    let snapshot = story.confirm(at(31.0));
    let input = &snapshot.sources[0];
    assert_eq!((view.totals.events, input.expired, input.state), (1_000, 0, "at_end"));
    assert_eq!(Some(input.next), input.end);
    assert_eq!(view.inexact, None);
}

#[test]
fn case_10_skewed_producers_neither_misplace_events_nor_hold_the_clock_back() {
    let mut rng = Rng::new(10);
    let mut story = Story::new(vec![flow("checkout", &[], &["shipped"], None)]);
    let (rate, seconds) = (2_000, 10);
    let mut records = Vec::new();
    for n in 0..rate * seconds {
        let t = f64::from(n) / f64::from(rate);
        let mut record = event(t, &format!("t{n}"), "shipped");
        if n == 5_000 {
            record.record_time = Some(at(t + 3.0 * 3_600.0));
        } else if n >= 8 && rng.chance(0.3) {
            record.record_time = Some(at(t - 300.0));
        }
        records.push(record);
    }
    let orders = story.partition("orders", records);
    story.world.partitions[orders].append_time = false;
    story.read(orders, usize::MAX);
    let now = at(f64::from(seconds) + 0.5);
    let view = story.agreed(now);
    assert!(view.watermark.is_some_and(|w| now.since(w) < 5_000_000), "{:?} at {now:?}", view.watermark);
    let first = at(0.0).second();
    let right: u64 = (first..first + i64::from(seconds))
        .filter_map(|s| view.history.s1.range(s, s + 1).next())
        .map(|p| u64::from(p.events.min(rate as u32)))
        .sum();
    let all = u64::from((rate * seconds) as u32);
    assert!(all - right <= all / 100, "{} of {all} events in a wrong second", all - right);
}

#[test]
fn case_11_durable_counters_stand_through_thirty_kills() {
    let mut rng = Rng::new(11);
    let mut story = Story::new(vec![flow("checkout", &["placed", "shipped"], &["shipped"], Some(60))]);
    let (a, b) = (story.partition("orders", Vec::new()), story.partition("shipping", Vec::new()));
    let mut before = streamgauge::snapshot::Durable::default();
    for life in 0..30 {
        for n in 0..40 {
            let t = f64::from(life * 40 + n);
            story.write(a, vec![event(t, &format!("t{life}-{n}"), "placed")]);
            if rng.chance(0.9) {
                // Some arrive late enough to move what was exported as timed out.
                let late = *rng.pick(&[0.5, 5.0, 75.0]);
                story.write(
                    b,
                    vec![Record {
                        record_time: Some(at(t + late)),
                        ..event(t + 0.4, &format!("t{life}-{n}"), "shipped")
                    }],
                );
            }
        }
        for _ in 0..6 {
            story.read(*rng.pick(&[a, b]), 17);
            story.confirm(at(f64::from(life * 40 + 45)));
            if rng.chance(0.6) {
                let handed = story.checkpoint();
                let found = crate::support::durable::never_decreases(&before, &handed.durable);
                assert!(found.is_empty(), "life {life}: {found:?}");
                before = (*handed.durable).clone();
            }
        }
        story.kill();
        story.open(a);
        story.open(b);
    }
    assert!(before.flows.iter().any(|f| f.started > 100), "{before:?}");
}

#[test]
fn roles_are_told_by_the_name_in_these_stories() {
    let mut story = Story::new(Vec::new());
    let dlq = story.partition("orders.dlq", Vec::new());
    assert_eq!(story.world.partitions[dlq].role, Role::Dlq);
    assert_eq!(at(1.5), Timestamp(crate::support::generate::EPOCH * 1_000_000 + 1_500_000));
}
