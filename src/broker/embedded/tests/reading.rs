//! Reading: starts, restarts, generations, gaps, confirmations.

use std::collections::BTreeMap;

use super::*;
use crate::broker::embedded::partition::View;
use crate::model::{Began, Kind, SourceState};

#[test]
fn nothing_is_read_before_its_position_is_durable() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::default());
    append(&log, "orders", (0..3).map(record).collect()).unwrap();
    let reading = Reading::start(&log, exact("orders", Start::Earliest), Positions::default());
    let Input::Open(open) = reading.next() else { panic!("an open comes first") };
    assert_eq!((open.next, open.log_start, open.began, open.append_time), (0, 0, Began::Beginning, true));
    assert!(matches!(reading.next(), Input::Announced(_)), "all that was there is open");
    // Several rounds of the reader's loop pass, and nothing comes.
    assert!(reading.input.recv_timeout(Duration::from_millis(60)).is_err());
    reading.store(&open);
    let Input::Batch(batch) = reading.next() else { panic!("then the records") };
    assert_eq!((batch.from, batch.to, batch.events.len()), (0, 3, 3));
    assert_eq!(batch.events[2].transaction.of(&batch.text), "t2");
    assert!(batch.events.iter().all(|e| e.kind == Kind::Event && e.record_time.is_some()));
    let Input::Tail(tail) = reading.next() else { panic!("then the end is confirmed") };
    assert_eq!((tail.next, tail.end), (3, 3));
    assert!(tail.at > batch.events[2].record_time.unwrap());
    assert!(matches!(reading.next(), Input::State(_, SourceState::AtEnd, _)));
    // Live: without waiting for a confirmation that was due anyway.
    append(&log, "orders", vec![record(3)]).unwrap();
    assert_eq!(reading.ids(1), ["e3"]);
}

#[test]
fn what_was_opened_together_is_read_together() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::default());
    append(&log, "a", vec![record(1)]).unwrap();
    append(&log, "b", vec![]).unwrap();
    let both = vec![spec(StreamName::Pattern(".".into()), Start::Earliest)];
    let reading = Reading::start(&log, both, Positions::default());
    let (Input::Open(first), Input::Open(second)) = (reading.next(), reading.next()) else { panic!("two opens") };
    assert!(matches!(reading.next(), Input::Announced(_)), "only once both are open");
    reading.store(&first);
    assert!(reading.input.recv_timeout(Duration::from_millis(60)).is_err(), "b is not durable yet: a waits");
    reading.store(&second);
    assert_eq!(reading.ids(1), ["e1"]);
}

#[test]
fn an_end_is_confirmed_no_later_than_records_that_are_on_their_way() {
    let mut view = View::default();
    let t = |seconds| Timestamp::from_seconds(seconds);
    assert_eq!(view.settled(t(1_000)), Some(t(1_000)));
    view.writing = Some(t(999));
    assert_eq!(view.settled(t(1_000)), Some(t(999).plus(-1)));
    // History that was appended just now goes on; some seconds later it is complete.
    (view.writing, view.backdated) = (None, Some((t(1_000), Some(t(100)))));
    assert_eq!((view.settled(t(1_000)), view.settled(t(1_003))), (Some(t(100)), Some(t(1_003))));
    // A stream made just now may get a history.
    view.backdated = Some((t(1_000), None));
    assert_eq!((view.settled(t(1_000)), view.settled(t(1_003))), (None, Some(t(1_003))));
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::default());
    let settled = || log.shared.stream("a").unwrap().partitions[0].view().settled(now());
    append(&log, "a", vec![]).unwrap();
    assert_eq!(settled(), None);
    append(&log, "a", vec![NewRecord { record_time: Some(t(7)), ..record(1) }]).unwrap();
    assert_eq!(settled(), Some(t(7)));
    append(&log, "a", vec![]).unwrap();
    assert!(settled() > Some(t(1_000)), "an append of nothing ends the history");
}

#[test]
fn starts_are_resolved_once_and_later_streams_are_read_from_their_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::default());
    append(&log, "a.old", (0..10).map(record).collect()).unwrap();
    let middle = now();
    append(&log, "a.old", (10..20).map(record).collect()).unwrap();
    let any = |start| vec![spec(StreamName::Pattern("^a\\.".into()), start)];
    {
        let reading = Reading::start(&log, any(Start::At(middle)), Positions::default());
        assert_eq!(reading.ids(10)[0], "e10");
    }
    {
        let reading = Reading::start(&log, any(Start::Latest), Positions::default());
        let opened = reading.find(|i| if let Input::Open(o) = i { Some(o.clone()) } else { None });
        assert_eq!(opened.next, 20);
        assert!(matches!(opened.began, Began::Middle(_)));
        append(&log, "a.new", vec![record(50)]).unwrap();
        append(&log, "b.other", vec![record(60)]).unwrap();
        append(&log, "a.old", vec![record(51)]).unwrap();
        let mut ids = reading.ids(2);
        ids.sort();
        assert_eq!(ids, ["e50", "e51"]);
        assert_eq!(reading.health.borrow().up, Some(true));
    }
}

#[test]
fn a_stored_position_is_continued_and_a_stream_made_anew_is_a_new_generation() {
    let dir = tempfile::tempdir().unwrap();
    let stored = {
        let log = open(dir.path(), LogOptions::default());
        append(&log, "orders", (0..5).map(record).collect()).unwrap();
        let reading = Reading::start(&log, exact("orders", Start::Earliest), Positions::default());
        reading.batches(5);
        let mut stored = Positions::clone(&reading.positions.borrow());
        stored.sources[0].next = 4;
        stored
    };
    {
        let log = open(dir.path(), LogOptions::default());
        let reading = Reading::start(&log, exact("orders", Start::Latest), stored.clone());
        assert_eq!(reading.ids(1), ["e4"]);
    }
    std::fs::remove_dir_all(dir.path().join("orders")).unwrap();
    let log = open(dir.path(), LogOptions::default());
    append(&log, "orders", vec![record(77)]).unwrap();
    let reading = Reading::start(&log, exact("orders", Start::Latest), stored);
    let gone =
        reading.find(|i| if let Input::State(key, SourceState::Gone, _) = i { Some(key.generation) } else { None });
    assert_eq!(gone, 0);
    let opened = reading.find(|i| if let Input::Open(o) = i { Some(o.clone()) } else { None });
    assert_eq!((opened.source.generation, opened.next), (1, 0));
    assert_eq!(reading.ids(1), ["e77"]);
}

#[test]
fn a_log_that_ends_before_our_position_was_cut_there_and_is_read_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::default());
    append(&log, "orders", (0..5).map(record).collect()).unwrap();
    let mut stored = {
        let reading = Reading::start(&log, exact("orders", Start::Earliest), Positions::default());
        reading.batches(5);
        Positions::clone(&reading.positions.borrow())
    };
    stored.sources[0].next = 9;
    let reading = Reading::start(&log, exact("orders", Start::Earliest), stored);
    let cut = reading.find(|i| if let Input::Cut(cut) = i { Some((cut.next, cut.known)) } else { None });
    assert_eq!(cut, (5, true));
    let tail = reading.find(|i| if let Input::Tail(tail) = i { Some((tail.next, tail.end)) } else { None });
    assert_eq!(tail, (5, 5));
    append(&log, "orders", vec![record(77)]).unwrap();
    assert_eq!(reading.ids(1), ["e77"]);
}

#[test]
fn what_expired_unread_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 2_000, retain_bytes: 6_000, ..LogOptions::default() };
    let log = open(dir.path(), options.clone());
    for i in 0..100 {
        append(&log, "orders", vec![record(i)]).unwrap();
    }
    let reading = Reading::start(&log, exact("orders", Start::Earliest), Positions::default());
    let opened = reading.find(|i| if let Input::Open(o) = i { Some(o.clone()) } else { None });
    assert!(opened.next > 0 && opened.next == opened.log_start, "it begins at what is still there");
    let first = reading.batches(100 - opened.next as usize)[0].from;
    assert_eq!(first, opened.next);
    let mut stored = Positions::clone(&reading.positions.borrow());
    drop(reading);
    stored.sources[0].next = 1;
    drop(log);
    let log = open(dir.path(), options);
    let reading = Reading::start(&log, exact("orders", Start::Earliest), stored);
    let gap = reading.find(|i| if let Input::Gap(_, from, to, _) = i { Some((*from, *to)) } else { None });
    assert_eq!(gap, (1, opened.log_start));
    assert_eq!(reading.batches(100 - gap.1 as usize)[0].from, gap.1);
}

#[test]
fn keys_choose_partitions_and_every_partition_is_dense() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions { partitions: 4, ..LogOptions::default() });
    let appended = append(&log, "orders", (0..1_000).map(record).collect()).unwrap();
    let again = append(&log, "orders", (0..1_000).map(record).collect()).unwrap();
    let mut next = BTreeMap::<u32, u64>::new();
    for (i, at) in appended.iter().chain(&again).enumerate() {
        assert_eq!(at.partition, appended[i % 1_000].partition, "the same key, the same partition");
        let next = next.entry(at.partition).or_default();
        assert_eq!(at.position, *next);
        *next += 1;
    }
    assert!(next.len() == 4 && next.values().all(|n| *n > 300), "{next:?}");
    let reading = Reading::start(&log, exact("orders", Start::Earliest), Positions::default());
    let mut ends = BTreeMap::<u32, u64>::new();
    for batch in reading.batches(2_000) {
        let end = ends.entry(batch.source.partition).or_default();
        assert_eq!((batch.from, batch.to - batch.from), (*end, batch.events.len() as u64));
        *end = batch.to;
    }
    assert_eq!(ends, next);
}

#[test]
fn what_is_no_event_is_sampled_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::default());
    let bad = NewRecord { payload: Some(b"{\"transaction_id\": 7, \xff".to_vec()), ..NewRecord::default() };
    let headers = (0..12).map(|i| (format!("h{i}"), vec![i])).collect();
    let rich = NewRecord { headers, ..record(2) };
    append(&log, "orders", vec![record(0), bad, rich, NewRecord::default()]).unwrap();
    let reading = Reading::start(&log, exact("orders", Start::Earliest), Positions::default());
    let batch = &reading.batches(4)[0];
    let kinds: Vec<Kind> = batch.events.iter().map(|e| e.kind).collect();
    assert!(matches!(kinds[..], [Kind::Event, Kind::Undecodable(_), Kind::Event, Kind::Tombstone]), "{kinds:?}");
    let sample = reading.samples.recv_timeout(PATIENCE).unwrap();
    assert_eq!((sample.position, &*sample.stream), (1, "orders"));
    let raw = log.inspector().sample("orders", 2, PATIENCE).unwrap();
    assert_eq!((raw[0].headers.len(), raw[1].payload.is_none()), (12, true));
    assert!(log.inspector().sample("nope", 2, PATIENCE).unwrap_err().contains("orders"));
    let doctor = log.inspector().doctor(&exact("orders", Start::Earliest), PATIENCE);
    assert!(doctor.iter().any(|f| f.detail.contains("4 records")), "{doctor:?}");
}

#[test]
fn a_pattern_that_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::default());
    let mut reading =
        Reading::start(&log, vec![spec(StreamName::Pattern("(".into()), Start::Latest)], Positions::default());
    let ended = reading.thread.take().unwrap().join().unwrap();
    assert!(ended.unwrap_err().to_string().contains("\"(\""));
}
