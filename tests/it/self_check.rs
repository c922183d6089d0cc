//! The check itself: the oracle against numbers worked out by hand, and proof that a comparison can fail.

use std::sync::Arc;

use streamgauge::model::{Began, Outcome, Status};
use streamgauge::snapshot::{FlowView, Snapshot};

use crate::support::compare;
use crate::support::generate::{self, Traits};
use crate::support::oracle::exact::{bucket, edge, percentile};
use crate::support::oracle::{Oracle, cut};
use crate::support::record::{Partition, Record, Seen, Workload};
use crate::support::story::{Story, at, ending, event, flow};

fn opinion(
    flows: &[streamgauge::model::FlowSpec],
    streams: &[(&str, Vec<Record>)],
    now: f64,
) -> crate::support::oracle::FlowExpected {
    let mut story = Story::new(flows.to_vec());
    for (stream, records) in streams {
        story.partition(stream, records.clone());
    }
    let seen: Vec<Seen> = story.world.partitions.iter().map(Partition::read_whole).collect();
    Oracle::new(flows, &seen, 3_600).at(&|_| Some(at(now))).flows["checkout"].clone()
}

#[test]
fn oracle_knows_ends_deadlines_and_recoveries() {
    let flows = [flow("checkout", &[], &["shipped"], Some(60))];
    let story =
        |end: f64| vec![("orders", vec![event(1_000.0, "t", "placed")]), ("x", vec![event(end, "t", "shipped")])];
    let second = |t: f64| at(t).second();

    let in_time = opinion(&flows, &story(1_060.0), 2_000.0);
    assert_eq!((in_time.totals.outcomes.as_array(), in_time.totals.recovered), ([1, 0, 0, 0, 0], 0));
    let too_late = opinion(&flows, &story(1_061.0), 2_000.0);
    assert_eq!((too_late.totals.outcomes.as_array(), too_late.totals.recovered), ([1, 0, 0, 0, 0], 1));
    assert_eq!(too_late.seconds[&second(1_060.0)].ended, [0, 0, 0, 0, 1]);
    assert_eq!(too_late.seconds[&second(1_061.0)].recovered, 1);
    let open = opinion(&flows, &[("orders", vec![event(1_000.0, "t", "placed")])], 1_060.0);
    assert_eq!((open.totals.in_flight, open.totals.ended), (1, 0));
    let failed_first = opinion(
        &flows,
        &[("x", vec![ending(10.0, "t", "b", Outcome::Ok), ending(12.0, "t", "c", Outcome::Failed)])],
        100.0,
    );
    assert_eq!((failed_first.totals.outcomes.as_array(), failed_first.totals.after_end), ([1, 0, 0, 0, 0], 1));
}

#[test]
fn oracle_knows_hops_copies_and_dead_letters() {
    let flows = [flow("checkout", &["a", "b", "c"], &["c"], None)];
    let chain = vec![
        event(5.0, "t", "c"),
        event(0.0, "t", "a"),
        Record { status: Status::Retried, ..event(1.0, "t", "b") },
        event(2.0, "t", "b"),
    ];
    let streams: Vec<_> = chain.into_iter().map(|r| ("orders", vec![r])).collect();
    let found = opinion(&flows, &streams, 100.0);
    let hops: Vec<_> = found.hops.iter().map(|((a, b), s)| (a.as_str(), b.as_str(), s[0].micros)).collect();
    assert_eq!(hops, [("a", "b", 2_000_000), ("b", "c", 3_000_000)]);
    assert_eq!(found.latencies[0].micros, 5_000_000);

    let copy = |t: f64| Record { id: "e".into(), ..event(t, "t", "a") };
    let copies =
        opinion(&flows, &[("x", vec![copy(960.0)]), ("x", vec![copy(0.0)]), ("x", vec![copy(480.0)])], 2_000.0);
    assert_eq!((copies.totals.events, copies.totals.duplicates), (2, 1));

    let dead = opinion(&flows, &[("orders", vec![copy(0.0)]), ("orders.dlq", vec![copy(1.0)])], 2_000.0);
    assert_eq!((dead.totals.events, dead.totals.duplicates, dead.totals.outcomes.dead_lettered), (2, 0, 1));
}

#[test]
fn oracle_cuts_by_the_upper_quartile() {
    let mut records: Vec<Record> = (0..9).map(|n| event(f64::from(n), "t", "a")).collect();
    records[4].record_time = Some(at(10_000.0)); // a clock that is hours ahead
    records[7].record_time = Some(at(-300.0)); // and one that is behind
    records[8].record_time = None;
    let mut story = Story::new(Vec::new());
    let i = story.partition("orders", records);
    story.world.partitions[i].append_time = false;
    let cuts = cut::cuts(&story.world.partitions[i].read_whole(), 3_600);
    let seconds: Vec<f64> = cuts.iter().map(|c| c.at.map_or(f64::NAN, |t| (t - at(0.0).0) as f64 / 1e6)).collect();
    // The quartile of n times is the one at 3(n-1)/4: the outlier alone lies ahead.
    assert_eq!(seconds, [0.0, 1.0, 2.0, 3.0, 10_000.0, 5.0, 6.0, 5.0, 5.0]);
    assert_eq!(cuts[8].frontier, Some(at(5.0).0));
}

#[test]
fn exact_percentiles_and_buckets_are_right_where_one_can_see_it() {
    let ten: Vec<i64> = (1..=10).collect();
    assert_eq!([0.5, 0.95, 0.99].map(|q| percentile(&ten, q)), [Some(5), Some(10), Some(10)]);
    assert_eq!(percentile(&[], 0.5), None);
    // 2^(i/32) < v <= 2^((i+1)/32)
    assert_eq!([bucket(1.0), bucket(1.000_001), bucket(2.0), bucket(0.5), bucket(1e-6)], [-1, 0, 31, -33, -638]);
    assert!((edge(32) - 2.0).abs() < 1e-15 && (edge(-64) - 0.25).abs() < 1e-15);
}

/// A world that an engine has read whole and calls exact, with windows that hold something.
fn read_world() -> (Story, Arc<Snapshot>) {
    let traits = Traits { undecodable: true, ..Traits::steady(300, 120) };
    let rich = |w: &Workload| w.flows.len() >= 3 && w.flows.iter().any(|f| f.name == "checkout");
    let worlds = (1..1_000).map(|seed| generate::sized(seed, traits.clone())).filter(rich);
    let exact = |(_, snapshot): &(Story, Arc<Snapshot>)| snapshot.flows.iter().all(|f| f.inexact.is_none());
    let timed = |(_, snapshot): &(Story, Arc<Snapshot>)| {
        let mut latencies = snapshot.flows.iter().flat_map(|f| f.windows[4].latency_seconds.values());
        latencies.any(|l| l.p50 > Some(0.0))
    };
    worlds.map(read).find(|world| exact(world) && timed(world)).expect("one in a few")
}

fn read(world: Workload) -> (Story, Arc<Snapshot>) {
    let mut story = Story::new(world.flows.clone());
    for p in &world.partitions {
        let i = story.partition_at(p.key.clone(), p.records.clone());
        story.world.partitions[i].append_time = p.append_time;
        story.open(i);
    }
    (0..world.partitions.len()).for_each(|i| story.read(i, usize::MAX));
    let snapshot = story.confirm(world.ends.plus(5_000_000));
    (story, snapshot)
}

#[test]
fn a_wrong_number_is_found() {
    type Wrong = (&'static str, fn(&mut FlowView) -> bool);
    let wrongs: [Wrong; 13] = [
        ("events", |f| {
            f.totals.events += 1;
            true
        }),
        ("started", |f| {
            f.totals.started -= 1;
            true
        }),
        ("an outcome", |f| {
            f.totals.outcomes.ok -= 1;
            f.totals.outcomes.failed += 1;
            true
        }),
        ("after_end", |f| {
            f.totals.after_end += 1;
            true
        }),
        ("duplicates", |f| {
            f.totals.duplicates += 1;
            true
        }),
        ("a window's outcome", |f| {
            f.windows[2].outcomes.timed_out += 1;
            true
        }),
        ("a window's recovery", |f| {
            f.windows[4].recovered += 1;
            true
        }),
        ("a rate", |f| {
            f.windows[3].tps = Some(1e6);
            true
        }),
        ("that a window is younger than its length", |f| {
            f.windows[4].complete ^= true;
            true
        }),
        ("a percentile", |f| {
            let latency = f.windows[4].latency_seconds.values_mut().find(|l| l.p50 > Some(0.0));
            latency.map(|l| l.p50 = l.p50.map(|v| v * 1.03)).is_some()
        }),
        ("a hop", |f| f.hops.iter_mut().find(|h| h.windows[4].count > 0).map(|h| h.windows[4].count += 1).is_some()),
        ("a stage", |f| {
            f.stages[0].waiting += 1;
            true
        }),
        ("a point", |f| {
            let to = f.watermark.expect("read").second();
            // The newest: one-second points of long ago are not compared.
            let Some(i) = f.history.s1.chunks.iter().rposition(|c| c.iter().any(|p| p.t < to && p.events > 0)) else {
                return false;
            };
            let mut chunk = (*f.history.s1.chunks[i]).clone();
            chunk.iter_mut().filter(|p| p.t < to && p.events > 0).for_each(|p| p.events += 1);
            f.history.s1.chunks[i] = Arc::new(chunk);
            true
        }),
    ];
    let (story, snapshot) = read_world();
    let expected = story.expected(&snapshot);
    let none: Vec<String> = Vec::new();
    assert_eq!(compare::snapshot(&snapshot, &expected), none);
    for (what, wrong) in wrongs {
        let mut changed = (*snapshot).clone();
        let done = changed.flows.iter_mut().any(|flow| {
            let mut view = (**flow).clone();
            let done = wrong(&mut view);
            if done {
                *flow = Arc::new(view);
            }
            done
        });
        assert!(done, "{what}: nothing to change in this world");
        assert_ne!(compare::snapshot(&changed, &expected), none, "{what} was not missed");
    }
}

#[test]
fn a_lost_record_and_a_record_too_many_are_found() {
    let (story, snapshot) = read_world();
    let whole = story.seen();
    assert_eq!(compare::snapshot(&snapshot, &story.expected(&snapshot)), Vec::<String>::new());
    let watermark = |name: &str| snapshot.flows.iter().find(|f| f.name == name).and_then(|f| f.watermark);
    let mut tried = 0;
    for i in 0..whole.len() {
        for n in (0..whole[i].records.len()).step_by(7) {
            let mut less = whole.clone();
            less[i].records.remove(n);
            let expected = Oracle::new(&story.world.flows, &less, 3_600).at(&watermark);
            assert!(
                !compare::snapshot(&snapshot, &expected).is_empty(),
                "record {n} of {:?} was not missed",
                whole[i].key
            );
            tried += 1;
        }
    }
    assert!(tried > 50, "only {tried} records tried");
}

#[test]
fn generated_worlds_hold_every_trouble_that_there_is_a_number_for() {
    let mut sum = std::collections::BTreeMap::<&str, u64>::new();
    for seed in 1..=200 {
        let (_, world) = generate::workload(seed);
        let middle = |p: &Partition| match p.latest {
            false => p.read_whole(),
            true => Seen { began: Began::Middle(world.begins), ..p.read_whole() },
        };
        let seen: Vec<Seen> = world.partitions.iter().map(middle).collect();
        let far = world.ends.plus(7_200_000_000);
        let expected = Oracle::new(&world.flows, &seen, 3_600).at(&|_| Some(far));
        for flow in expected.flows.values() {
            assert!(flow.balanced(), "seed {seed}: {:?}", flow.totals);
            let t = &flow.totals;
            let hops = flow.hops.values().flatten();
            for (name, n) in [
                ("ok", t.outcomes.ok),
                ("failed", t.outcomes.failed),
                ("compensated", t.outcomes.compensated),
                ("dead_lettered", t.outcomes.dead_lettered),
                ("timed_out", t.outcomes.timed_out),
                ("recovered", t.recovered),
                ("joined", t.joined),
                ("open_ended", t.open_ended),
                ("after_end", t.after_end),
                ("unexplained", t.unexplained),
                ("in_flight", t.in_flight),
                ("duplicates", t.duplicates),
                ("late", t.late),
                ("negative hops", hops.filter(|h| h.micros < 0).count() as u64),
            ] {
                *sum.entry(name).or_default() += n;
            }
        }
    }
    assert!(sum.values().all(|n| *n >= 20), "{sum:?}");
    println!("{sum:?}");
}
