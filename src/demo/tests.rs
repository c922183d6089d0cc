//! The script says the same for the same seed, what it says is true to its shares, and all of it decodes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

use super::incident::{Incident, Schedule};
use super::plan::Name;
use super::*;
use crate::broker::{self, Boxed, WriteError};
use crate::decode::{BatchBuilder, Decoder, Record};
use crate::model::{Kind, Limits, Outcome, Status};

const RATE: f64 = 1.0;
const T0: Timestamp = Timestamp(1_795_000_000_250_000);

fn at(seconds: f64) -> Timestamp {
    T0.plus((seconds * MICROS_PER_SECOND as f64) as i64)
}

fn emissions(seed: u64, seconds: f64, live: bool) -> Vec<Emission> {
    let mut out = Vec::new();
    Script::new(seed, RATE, T0, live.then_some(T0)).until(at(seconds), &mut out);
    out
}

fn words(emissions: &[Emission]) -> Vec<String> {
    emissions.iter().map(|e| format!("{e:?}")).collect()
}

#[test]
fn the_same_seed_says_the_same_however_often_it_is_asked() {
    let whole = words(&emissions(7, 120.0, true));
    let mut script = Script::new(7, RATE, T0, Some(T0));
    let mut parts = Vec::new();
    for step in 1..=2_400 {
        script.until(at(f64::from(step) * 0.05), &mut parts);
    }
    assert_eq!(words(&parts), whole);
    assert!(parts.windows(2).all(|w| w[0].at <= w[1].at));
    assert_ne!(words(&emissions(8, 120.0, true)), whole);
}

#[test]
fn shares_and_rates_are_those_of_a_shop() {
    let all = emissions(1, 900.0, false);
    let of = |flow: Flow| all.iter().filter(move |e| e.name.flow == flow);
    let started: BTreeSet<Name> = of(Flow::Checkout).map(|e| e.name).collect();
    let per_second = started.len() as f64 / 900.0;
    assert!((20.0..25.0).contains(&per_second), "{per_second} checkouts per second");
    assert!((100_000..150_000).contains(&all.len()), "{} records", all.len());
    let share = |pick: &dyn Fn(&Emission) -> bool| {
        let picked: BTreeSet<Name> = of(Flow::Checkout).filter(|e| pick(e)).map(|e| e.name).collect();
        picked.len() as f64 / started.len() as f64
    };
    let bounds = [
        ("shipped", share(&|e| e.stage.name == "order.shipped" && e.status == Status::Ok), 0.93, 0.97),
        ("failed", share(&|e| e.outcome == Some(Outcome::Failed)), 0.02, 0.045),
        ("compensated", share(&|e| e.outcome == Some(Outcome::Compensated)), 0.008, 0.018),
        ("dead", share(&|e| e.status == Status::DeadLettered), 0.0015, 0.005),
        ("retried", share(&|e| e.status == Status::Retried), 0.03, 0.08),
    ];
    for (what, share, low, high) in bounds {
        assert!((low..high).contains(&share), "{what}: {share}");
    }
    let events: BTreeSet<_> = all.iter().map(|e| (e.name, e.number, e.stage.stream)).collect();
    let twice = 1.0 - events.len() as f64 / all.len() as f64;
    assert!((0.003..0.007).contains(&twice), "duplicates {twice}");
    let late = all.iter().filter(|e| e.at.since(e.event_time) > MICROS_PER_SECOND).count() as f64 / all.len() as f64;
    assert!((0.008..0.02).contains(&late), "late {late}");
}

#[test]
fn incidents_come_in_turn_and_show() {
    let schedule = Schedule { live_since: Some(T0) };
    let on = |seconds| schedule.at(at(seconds)).map(|(incident, _)| incident);
    assert_eq!([on(-100.0), on(44.0), on(106.0), on(400.0)], [None; 4]);
    let turns = [on(46.0), on(181.0), on(316.0), on(451.0)];
    let slow = Some(Incident::SlowPayments);
    assert_eq!(turns, [slow, Some(Incident::StalledShipping), Some(Incident::DeadLetters), slow]);

    let all = emissions(3, 420.0, true);
    let count = |from: f64, to: f64, pick: &dyn Fn(&Emission) -> bool| {
        all.iter().filter(|e| e.event_time >= at(from) && e.event_time < at(to) && pick(e)).count()
    };
    let shipped = |e: &Emission| e.stage.name == "order.shipped";
    assert_eq!(count(181.0, 219.5, &shipped), 0, "shipping stands still");
    assert!(count(220.0, 242.0, &shipped) > 1_000, "and drains");
    let dead = |e: &Emission| e.status == Status::DeadLettered;
    let (calm, filling) = (count(240.0, 300.0, &dead), count(320.0, 380.0, &dead));
    assert!(calm < 15 && filling > 200, "dead letters {calm} then {filling}");
    let placed: BTreeMap<Name, Timestamp> =
        all.iter().filter(|e| e.stage.name == "order.placed").map(|e| (e.name, e.event_time)).collect();
    let median = |from: f64, to: f64| {
        let paid = all.iter().filter(|e| e.stage.name == "payment.authorized" && e.status == Status::Ok);
        let hops = paid.filter_map(|e| placed.get(&e.name).map(|p| (*p, e.event_time.since(*p))));
        let mut hops: Vec<i64> = hops.filter(|(p, _)| *p >= at(from) && *p < at(to)).map(|(_, hop)| hop).collect();
        hops.sort_unstable();
        hops[hops.len() / 2]
    };
    assert!(median(50.0, 100.0) > 7 * median(0.0, 40.0), "payments slow down");
}

#[test]
fn after_a_restart_transactions_in_flight_go_on_and_no_name_is_used_twice() {
    let mut first = Vec::new();
    Script::new(5, RATE, T0, Some(T0)).until(at(40.0), &mut first);
    for pause in [0.2, 3.0, 100.0] {
        let mut second = Vec::new();
        Script::resume(5, RATE, at(40.0), at(40.0 + pause)).until(at(44.0 + pause), &mut second);
        let key = |e: &Emission| (e.name, e.number, e.stage.stream);
        let before: BTreeSet<_> = first.iter().map(key).collect();
        let names: BTreeSet<Name> = first.iter().map(|e| e.name).collect();
        // Only the last appends before the stop are repeated: they may not have been acknowledged.
        let again = second.iter().filter(|e| before.contains(&key(e)) && e.at < at(41.0 + pause)).count();
        assert!(again < 100, "{again} events repeated after {pause} s");
        let continued = second.iter().filter(|e| names.contains(&e.name) && !before.contains(&key(e)));
        let continued = continued.map(|e| e.name).collect::<BTreeSet<_>>().len();
        assert!((20..120).contains(&continued), "{continued} go on after {pause} s");
        let mut starts = BTreeMap::new();
        for e in second.iter().filter(|e| !names.contains(&e.name) && e.stage.name == "order.placed") {
            let other = starts.insert(e.name, e.event_time);
            assert!(other.is_none_or(|time| time == e.event_time), "{} stands for two transactions", e.name.id());
            assert!(e.at >= at(40.0 + pause));
        }
        let per_second = starts.len() as f64 / 4.0;
        assert!((15.0..30.0).contains(&per_second), "{per_second} per second after {pause} s");
    }
}

#[test]
fn every_record_is_an_event_with_a_trace() {
    let decoder = Decoder::new(&Format::Auto, &Limits::default(), "shop");
    for emission in emissions(2, 60.0, true) {
        let made = event::record(&emission, None);
        let json: serde_json::Value = serde_json::from_slice(made.payload.as_ref().unwrap()).unwrap();
        assert_eq!(json["stage"], emission.stage.name);
        let headers: Vec<_> = made.headers.iter().map(|(n, v)| (n.as_bytes(), Some(v.as_slice()))).collect();
        let (key, payload) = (made.key.as_deref(), made.payload.as_deref());
        let mut out = BatchBuilder::new();
        decoder.decode(&Record { key, payload, headers: &headers, ..Record::default() }, &mut out).unwrap();
        let event = out.events()[0];
        assert_eq!((event.kind, event.status, event.outcome), (Kind::Event, emission.status, emission.outcome));
        assert_eq!(event.event_time, Some(emission.event_time));
        assert_eq!(event.error.of(out.text()), emission.error.unwrap_or_default());
        let (flow, transaction) = (emission.name.flow.name(), emission.name.id());
        assert_eq!((event.flow.of(out.text()), event.transaction.of(out.text())), (flow, &*transaction));
        assert_eq!(event.trace.unwrap().trace_id, crate::decode::trace_id(flow, &transaction));
    }
}

#[test]
fn a_letter_that_comes_back_is_paid_and_shipped() {
    let name = Name { flow: Flow::Checkout, second: T0.second(), number: 3 };
    assert_eq!(Name::parse(name.id().as_bytes()), Some(name));
    assert_eq!([&b"rf-1-2"[..], b"co-1", b"co-1-2-3", b"x"].map(Name::parse), [None; 4]);
    let mut script = Script::new(5, 0.0, T0, Some(T0));
    script.redriven(name, T0);
    let mut out = Vec::new();
    script.until(at(60.0), &mut out);
    out.retain(|e| e.name == name);
    out.dedup_by_key(|e| e.number);
    let stages: Vec<_> = out.iter().map(|e| (e.stage.name, e.status)).collect();
    let ok = |stage: &plan::Stage| (stage.name, Status::Ok);
    assert_eq!(stages, CHECKOUT[1..].iter().map(ok).collect::<Vec<_>>());
}

#[test]
fn flows_and_streams_fit_each_other() {
    for flow in flows() {
        assert_eq!(flow.ends_at, [flow.stages.last().unwrap().clone()]);
        assert_eq!(flow.stage_deadlines.len(), flow.stages.len() - 1);
    }
    let streams = streams("main");
    assert_eq!(streams.iter().filter(|s| s.role == Role::Dlq).count(), 1);
    assert!(streams.iter().all(|s| s.start == Start::Earliest && s.cluster == "main"));
}

static CLOCK: AtomicI64 = AtomicI64::new(T0.0);

/// A clock that moves by 2 s at each look.
fn clock() -> Timestamp {
    Timestamp(CLOCK.fetch_add(2_000_000, Ordering::Relaxed))
}

/// A log that keeps everything, refuses now and then, and stops the demo in the end.
struct Shelf {
    kept: Mutex<Vec<(String, NewRecord)>>,
    calls: AtomicI64,
    stop: Stop,
}

impl broker::Write for Shelf {
    fn append<'a>(
        &'a self,
        stream: &'a str,
        records: Vec<NewRecord>,
    ) -> Boxed<'a, Result<Vec<broker::Appended>, WriteError>> {
        Box::pin(async move {
            let call = self.calls.fetch_add(1, Ordering::Relaxed);
            if records.first().is_some_and(|r| r.record_time.is_none()) && call % 3 == 0 {
                return Err(WriteError::Unavailable("simulated".into()));
            }
            let mut kept = self.kept.lock().unwrap();
            kept.extend(records.into_iter().map(|record| (stream.to_owned(), record)));
            if kept.iter().filter(|(_, r)| r.record_time.is_none()).count() > 200 {
                self.stop.set();
            }
            Ok(Vec::new())
        })
    }
}

#[test]
fn history_comes_first_and_a_log_that_refuses_is_asked_again() {
    let stop = Stop::default();
    let shelf = Arc::new(Shelf { kept: Mutex::default(), calls: AtomicI64::new(0), stop: stop.clone() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let done = runtime.block_on(async {
        let write = Arc::clone(&shelf) as Arc<dyn Write>;
        let traffic = begin(Arc::clone(&write), 4, 0.2, Begin::Backfill, clock).await;
        run(traffic, write, clock, stop).await
    });
    let kept = shelf.kept.lock().unwrap();
    assert_eq!((done.history + done.live, done.dropped), (kept.len() as u64, 0));
    assert!(done.history > 15_000 && done.live > 200, "{done:?}");
    for stream in STREAMS {
        let times = kept.iter().filter(|(s, _)| s == stream).filter_map(|(_, r)| r.record_time);
        let times: Vec<_> = times.collect();
        assert!(times.is_sorted() && times.iter().all(|t| *t < T0 && T0.since(*t) <= HISTORY));
    }
}
