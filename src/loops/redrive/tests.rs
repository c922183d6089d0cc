//! Runs against a log in memory that can refuse, forget to answer, and outlive the run.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use super::*;
use crate::broker::{RawRecord, Stretch};
use crate::dlq::{Mask, Selection, Skip, own_group};
use crate::model::{Committed, GroupFacts, PartitionFacts, Survey, TimeQuestion, TimedPosition, TopicFacts};

/// One cluster: what is durable. Partitions of a stream by number.
#[derive(Default)]
struct World {
    streams: BTreeMap<String, Vec<Vec<RawRecord>>>,
    progress: BTreeMap<(String, u32), u64>,
    steps: u32,
    /// What happens to the step of this number: refused, or made without an answer.
    faults: BTreeMap<u32, Fault>,
    /// Bytes of the largest payload, and whether the survey says so (with 600 bytes for all around it).
    most: Option<(usize, bool)>,
    /// The cluster is not there: it answers no survey.
    gone: bool,
}

#[derive(Clone, Copy)]
enum Fault {
    NotMade,
    MadeUnanswered,
    Fenced,
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<World>>);

impl Log {
    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    fn copies(&self, stream: &str) -> Vec<RawRecord> {
        self.world().streams.get(stream).into_iter().flatten().flatten().cloned().collect()
    }
}

impl Observe for Log {
    fn survey(&mut self, _: Duration) -> Survey {
        let world = self.world();
        if world.gone {
            return Survey { faults: vec!["nobody listens".into()], ..Survey::default() };
        }
        let topic = |(name, partitions): (&String, &Vec<Vec<RawRecord>>)| {
            let facts = partitions.iter().map(|p| {
                let end = Some(p.last().map_or(0, |r| r.at.2 + 1));
                PartitionFacts { start: Some(0), stable_end: end, end, ..PartitionFacts::default() }
            });
            TopicFacts {
                name: name.as_str().into(),
                id: "id".into(),
                partitions: facts.collect(),
                record_bytes: world.most.filter(|(_, told)| *told).map(|(most, _)| most as u64 + 600),
                ..TopicFacts::default()
            }
        };
        let topics: Vec<_> = world.streams.iter().map(topic).collect();
        let committed = world.progress.iter().map(|((stream, partition), next)| {
            let topic = topics.iter().position(|t| *t.name == **stream).unwrap();
            Committed { topic: u32::try_from(topic).unwrap(), partition: *partition, next: *next, committed_at: None }
        });
        let group = GroupFacts {
            name: own_group("orders.dlq").into(),
            committed: Some(committed.collect()),
            ..GroupFacts::default()
        };
        Survey { answered: true, topics, groups: vec![group], ..Survey::default() }
    }

    fn positions_at(&mut self, _: &[TimeQuestion], _: Duration) -> Vec<Option<TimedPosition>> {
        Vec::new()
    }

    fn first_records(&mut self, _: &[(Arc<str>, u32, u64)], _: Duration) -> Vec<Option<Option<TimedPosition>>> {
        Vec::new()
    }

    fn records(
        &mut self,
        stream: &str,
        partition: u32,
        from: u64,
        count: usize,
        _: usize,
        _: Duration,
    ) -> Result<Stretch, String> {
        let world = self.world();
        let all = &world.streams.get(stream).ok_or("no such stream")?[partition as usize];
        let records: Vec<_> = all.iter().filter(|r| r.at.2 >= from).take(count).cloned().collect();
        let end = all.last().map_or(0, |r| r.at.2 + 1);
        let next = records.last().map_or(end, |r| r.at.2 + 1);
        Ok(Stretch { records, next, at_end: next == end })
    }
}

impl Move for Log {
    fn progress(&mut self, stream: &str, _: Duration) -> Result<Vec<(u32, u64)>, MoveError> {
        Ok(self.world().progress.iter().filter(|((s, _), _)| s == stream).map(|((_, p), n)| (*p, *n)).collect())
    }

    fn step(
        &mut self,
        stream: &str,
        out: Vec<Outgoing>,
        progress: &[(u32, u64)],
        _: Duration,
    ) -> Result<(), MoveError> {
        let mut world = self.world();
        world.steps += 1;
        let steps = world.steps;
        let fault = world.faults.remove(&steps);
        match fault {
            Some(Fault::NotMade) => return Err(MoveError::Unavailable("refused".into())),
            Some(Fault::Fenced) => return Err(MoveError::Fenced("another".into())),
            _ => {}
        }
        let large = |(_, of): &(usize, &Outgoing)| {
            let bytes = of.record.payload.as_ref().map_or(0, Vec::len);
            world.most.is_some_and(|(most, _)| bytes > most)
        };
        let too_large: Vec<usize> = out.iter().enumerate().filter(large).map(|(place, _)| place).collect();
        if !too_large.is_empty() {
            return Err(MoveError::TooLarge(too_large));
        }
        for Outgoing { stream, partition, record } in out {
            let partitions = world.streams.get_mut(&stream).expect("a stream that is there");
            let n = partition.unwrap_or(0);
            let log = &mut partitions[n as usize];
            let headers = record.headers.into_iter().map(|(k, v)| (k.into_bytes(), Some(v))).collect();
            let at = (stream, n, log.last().map_or(0, |r| r.at.2 + 1));
            log.push(RawRecord { at, key: record.key, payload: record.payload, headers, record_time: None });
        }
        for (partition, next) in progress {
            let old = world.progress.insert((stream.to_owned(), *partition), *next);
            assert!(old.unwrap_or(0) <= *next, "the position never goes back");
        }
        if matches!(fault, Some(Fault::MadeUnanswered)) {
            Err(MoveError::Unavailable("no answer".into()))
        } else {
            Ok(())
        }
    }
}

struct Ends(HashSet<String>);

impl Ended for Ends {
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Option<bool>> {
        transactions.iter().map(|(_, id)| Some(self.0.contains(id))).collect()
    }

    fn source(&self) -> String {
        "a list".into()
    }
}

const TIMEOUT: &str = "java.net.SocketTimeoutException";
const DATA: &str = "org.example.BadData";

/// `count` letters on two partitions, every third with bad data, with holes between them.
fn world(count: u64) -> Log {
    let log = Log::default();
    let mut letters = vec![Vec::new(), Vec::new()];
    for n in 0..count {
        let partition = u32::try_from(n % 2).unwrap();
        let error = if n % 3 == 0 { DATA } else { TIMEOUT };
        let payload = format!(r#"{{"id":"e{n}","transaction_id":"t{n}","stage":"paid"}}"#);
        letters[partition as usize].push(RawRecord {
            at: ("orders.dlq".into(), partition, n + n / 10),
            key: Some(n.to_string().into_bytes()),
            payload: Some(payload.into_bytes()),
            headers: vec![
                (b"kafka_dlt-original-topic".to_vec(), Some(b"orders".to_vec())),
                (b"kafka_dlt-exception-fqcn".to_vec(), Some(error.as_bytes().to_vec())),
                (b"kafka_dlt-exception-message".to_vec(), Some(b"no login: password=hunter2".to_vec())),
                (b"x-redrive-count".to_vec(), Some((n % 5).to_string().into_bytes())),
            ],
            record_time: Some(Timestamp::from_seconds(i64::try_from(n).unwrap())),
        });
    }
    let mut world = log.world();
    world.streams.insert("orders.dlq".into(), letters);
    world.streams.insert("orders".into(), vec![Vec::new()]);
    drop(world);
    log
}

fn options() -> RedriveOptions {
    RedriveOptions {
        cluster: "main".into(),
        stream: "orders.dlq".into(),
        rate: 1_000_000,
        max_redrives: 9,
        by: "ann".into(),
        ..RedriveOptions::default()
    }
}

fn run_with(
    log: &Log,
    options: RedriveOptions,
    ended: &[&str],
    reins: Reins,
) -> Result<Arc<RedriveView>, RedriveError> {
    loop_of(log, options, ended, reins).run()
}

fn loop_of(log: &Log, options: RedriveOptions, ended: &[&str], reins: Reins) -> RedriveLoop {
    let made = log.clone();
    RedriveLoop {
        run: "r1".into(),
        options,
        observe: Box::new(log.clone()),
        mover: Some(Box::new(log.clone())),
        ended: Box::new(Ends(ended.iter().map(|e| (*e).to_owned()).collect())),
        reader: Reader::new(&[], Arc::default(), Mask::new(&[]).unwrap()),
        rules: Rules::default(),
        prepare: Box::new(move |stream| {
            made.world().streams.entry(stream.to_owned()).or_insert_with(|| vec![Vec::new()]);
            Ok(())
        }),
        audit: None,
        reins,
        out: watch::channel(Arc::default()).0,
        now: || Timestamp::from_seconds(1_000),
    }
}

fn run(log: &Log, options: RedriveOptions, ended: &[&str]) -> Arc<RedriveView> {
    run_with(log, options, ended, Reins::default()).unwrap()
}

fn ids(records: &[RawRecord]) -> Vec<u64> {
    let id = |r: &RawRecord| String::from_utf8(r.key.clone().unwrap()).unwrap().parse().unwrap();
    let mut ids: Vec<u64> = records.iter().map(id).collect();
    ids.sort_unstable();
    ids
}

fn skipped(view: &RedriveView, why: Skip) -> u64 {
    view.skipped.get(why.name()).copied().unwrap_or(0)
}

#[test]
fn a_dry_run_counts_and_changes_nothing() {
    let log = world(100);
    let view = run(&log, RedriveOptions { dry_run: true, max_redrives: 4, ..options() }, &["t1", "t2"]);
    // Every fifth is at the cap; t1 and t2 ended well.
    assert_eq!(view.sent, BTreeMap::from([("orders".to_owned(), 78)]));
    assert_eq!((skipped(&view, Skip::LoopCap), skipped(&view, Skip::EndedOk)), (20, 2));
    assert_eq!((view.state, view.looked_at, view.unknown_transactions), ("done", 100, 0));
    assert_eq!((log.copies("orders").len(), log.world().steps), (0, 0));
    assert!(view.notes.iter().any(|n| n == "a list"), "{:?}", view.notes);
}

#[test]
fn all_go_back_once_whatever_the_log_answers() {
    for fault in [Fault::NotMade, Fault::MadeUnanswered] {
        let log = world(3_000);
        log.world().faults = [(1, fault), (2, fault), (4, fault), (7, fault)].into();
        let view = run(&log, options(), &[]);
        assert_eq!(ids(&log.copies("orders")), (0..3_000).collect::<Vec<_>>());
        assert_eq!(view.sent["orders"], 3_000, "a step without an answer is counted by what the log says: {view:?}");
        assert_eq!(view.skipped.len(), 0, "what this run sent is not \"before\" to it");
        let again = run(&log, options(), &[]);
        assert_eq!((again.sent.len(), again.looked_at), (0, 0), "the group stands at the end");
        assert_eq!(log.copies("orders").len(), 3_000);
    }
}

#[test]
fn a_copy_keeps_key_payload_and_id_and_says_where_it_was() {
    let log = world(1);
    run(&log, options(), &[]);
    let copy = log.copies("orders").remove(0);
    assert_eq!(copy.payload.as_deref(), Some(br#"{"id":"e0","transaction_id":"t0","stage":"paid"}"#.as_slice()));
    let header = |name: &str| {
        let found = copy.headers.iter().find(|(n, _)| n == name.as_bytes()).and_then(|(_, v)| v.clone());
        found.map(|v| String::from_utf8(v).unwrap()).unwrap_or_default()
    };
    assert_eq!(
        (header("x-redrive-count"), header("x-redrive-by"), header("x-redrive-error")),
        ("1".into(), "ann".into(), DATA.into())
    );
    assert!(crate::decode::traceparent(header("traceparent").as_bytes()).is_some(), "{}", header("traceparent"));
    assert_eq!(header("kafka_dlt-original-topic"), "");
    assert_eq!(header("x-redrive-message"), "no login: password=***");
}

#[test]
fn selections_leave_gaps_that_the_next_run_fills() {
    let log = world(600);
    let by_class = |class: &str| RedriveOptions {
        selection: Selection { errors: vec![class.into()], ..Selection::default() },
        ..options()
    };
    let first = run(&log, by_class("SocketTimeoutException"), &[]);
    assert_eq!((first.sent["orders"], skipped(&first, Skip::NotSelected)), (400, 200));
    assert_eq!(run(&log, by_class("SocketTimeoutException"), &[]).sent.len(), 0, "a second run sends none again");
    let at = |p: u32| log.world().progress[&("orders.dlq".to_owned(), p)];
    assert_eq!((at(0), at(1)), (0, 3), "the position stays at the first letter that waits");
    let rest = run(&log, options(), &[]);
    assert_eq!((rest.sent["orders"], skipped(&rest, Skip::Settled)), (200, 399));
    assert_eq!(ids(&log.copies("orders")), (0..600).collect::<Vec<_>>());
}

#[test]
fn what_ended_well_is_passed_over_and_can_still_be_sent() {
    let log = world(20);
    let view = run(&log, options(), &["t3", "t4"]);
    assert_eq!((view.sent["orders"], skipped(&view, Skip::EndedOk)), (18, 2));
    assert_eq!(run(&log, options(), &[]).looked_at, 0, "nothing waits");
    let forced = run(&log, RedriveOptions { include_ended_ok: true, ..options() }, &[]);
    assert_eq!((forced.sent["orders"], skipped(&forced, Skip::Settled)), (2, 18));
    assert_eq!(ids(&log.copies("orders")), (0..20).collect::<Vec<_>>());
}

#[test]
fn the_cap_holds_and_the_letter_stays_in_sight() {
    let log = world(10);
    let view = run(&log, RedriveOptions { max_redrives: 4, most: Some(3), ..options() }, &[]);
    assert_eq!(view.sent["orders"], 3);
    let rest = run(&log, RedriveOptions { max_redrives: 4, ..options() }, &[]);
    assert_eq!((rest.sent["orders"], skipped(&rest, Skip::LoopCap)), (5, 2));
    let at = |p: u32| log.world().progress[&("orders.dlq".to_owned(), p)];
    assert_eq!((at(0), at(1)), (4, 9), "both capped letters wait");
}

#[test]
fn a_run_ends_when_cancelled_or_fenced_and_says_what_it_did() {
    let log = world(2_000);
    let reins = Reins::default();
    reins.cancel();
    assert!(matches!(run_with(&log, options(), &[], reins), Err(RedriveError::Cancelled)));
    log.world().faults.insert(4, Fault::Fenced);
    let error = run_with(&log, options(), &[], Reins::default()).unwrap_err();
    assert!(matches!(error, RedriveError::Moved(MoveError::Fenced(_))), "{error}");
    run(&log, options(), &[]);
    assert_eq!(ids(&log.copies("orders")), (0..2_000).collect::<Vec<_>>());
    let lines = log.copies("streamgauge.redriven.orders.dlq");
    let audit = lines.iter().filter(|r| r.key.as_ref().unwrap().starts_with(b"v1|audit|r1|")).count();
    assert!(audit >= 3, "begin and end are in the log too: {audit}");
}

#[test]
fn a_pause_holds_until_told() {
    let log = world(2_000);
    let reins = Reins::default();
    reins.pause();
    let (held, running) = (reins.clone(), log.clone());
    let thread = std::thread::spawn(move || run_with(&running, options(), &[], held).map(|v| v.state));
    let until = Instant::now() + Duration::from_secs(20);
    while log.world().steps == 0 && Instant::now() < until {
        std::thread::yield_now(); // its first line of audit
    }
    assert_eq!((log.copies("orders").len(), thread.is_finished()), (0, false));
    reins.go_on();
    assert_eq!(thread.join().unwrap().unwrap(), "done");
    assert_eq!(log.copies("orders").len(), 2_000);
}

#[test]
fn a_letter_that_its_target_never_takes_stays_named_and_the_others_go() {
    for told in [true, false] {
        let log = world(10);
        for n in [2, 3] {
            let mut world = log.world();
            let letter = &mut world.streams.get_mut("orders.dlq").unwrap()[n % 2][n / 2];
            letter.payload = Some(vec![b' '; 50_000]);
        }
        log.world().most = Some((10_000, told));
        if told {
            let dry = run(&log, RedriveOptions { dry_run: true, ..options() }, &[]);
            assert_eq!((dry.sent["orders"], skipped(&dry, Skip::TooLarge)), (8, 2), "a dry run promises no more");
        }
        let view = run(&log, options(), &[]);
        assert_eq!((view.sent["orders"], skipped(&view, Skip::TooLarge)), (8, 2), "{view:?}");
        assert_eq!(ids(&log.copies("orders")), [0, 1, 4, 5, 6, 7, 8, 9]);
        let note = view.notes.iter().find(|n| n.contains("too large")).unwrap();
        assert!(note.starts_with("2 too large for its target: 0:2 (50") && note.contains(", 1:3 (50"), "{note}");
        assert_eq!(note.contains("which takes 10600"), told, "{note}");
        let at = |p: u32| log.world().progress[&("orders.dlq".to_owned(), p)];
        assert_eq!((at(0), at(1)), (2, 3), "both wait");
        let again = run(&log, options(), &[]);
        assert_eq!((again.sent.len(), skipped(&again, Skip::TooLarge)), (0, 2));
    }
}

#[test]
fn only_what_is_there_and_holds_dead_letters_is_redriven() {
    let log = world(4);
    let refused = |options| match run_with(&log, options, &[], Reins::default()) {
        Err(RedriveError::Impossible(words)) => words,
        other => panic!("{other:?}"),
    };
    let live = RedriveOptions { stream: "orders".into(), to: Some("other".into()), ..options() };
    let words = refused(live.clone());
    assert!(words.contains("not known to hold dead letters") && words.contains("--any-stream"), "{words}");
    assert_eq!(log.copies("orders").len(), 0);
    let forced = run_with(&log, RedriveOptions { any_stream: true, ..live }, &[], Reins::default());
    assert!(forced.is_ok(), "{forced:?}");
    let offsets = vec![crate::dlq::OffsetRange { partition: 99, from: 0, to: 5 }];
    let words = refused(RedriveOptions { selection: Selection { offsets, ..Selection::default() }, ..options() });
    assert!(words.contains("no partition 99") && words.contains("2 partitions"), "{words}");
}

struct Silent;

impl Ended for Silent {
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Option<bool>> {
        vec![None; transactions.len()]
    }

    fn source(&self) -> String {
        "nobody knows".into()
    }

    fn fault(&self) -> Option<String> {
        Some("nobody can be asked".into())
    }
}

#[test]
fn what_nobody_can_be_asked_about_is_not_sent_silently() {
    let log = world(6);
    let mut view = watch::channel(Arc::<RedriveView>::default()).1;
    let mut silent = |options: RedriveOptions| {
        let mut run = loop_of(&log, options, &[], Reins::default());
        run.ended = Box::new(Silent);
        view = run.out.subscribe();
        (run.run(), Arc::clone(&view.borrow()))
    };
    let (dry, _) = silent(RedriveOptions { dry_run: true, ..options() });
    let dry = dry.unwrap();
    assert_eq!((dry.sent["orders"], dry.unknown_transactions), (6, 6));
    assert!(dry.notes.iter().any(|n| n == "nobody knows"), "{:?}", dry.notes);
    let (refused, _) = silent(options());
    let words = refused.unwrap_err().to_string();
    assert!(words.contains("nobody can be asked") && words.contains("--include-unknown"), "{words}");
    assert_eq!(log.copies("orders").len(), 0, "nothing was sent");
    let (sent, _) = silent(RedriveOptions { include_unknown: true, ..options() });
    assert_eq!(sent.unwrap().sent["orders"], 6);
}

#[test]
fn a_cluster_that_is_not_there_is_given_up_soon_in_its_words() {
    let log = world(1);
    log.world().gone = true;
    let mut run = loop_of(&log, RedriveOptions { dry_run: true, ..options() }, &[], Reins::default());
    let began = Instant::now();
    let error = run.attempts(&mut RedriveView::default(), began + Duration::from_millis(700)).unwrap_err();
    let words = error.to_string();
    assert!(words.contains("nobody listens") && !words.contains("acknowledged"), "{words}");
    assert!(began.elapsed() < Duration::from_secs(15), "two attempts and no more: {:?}", began.elapsed());
}

#[test]
fn names_that_are_left_out_are_counted() {
    let names = |count: usize| (0..count).map(|n| n.to_string()).collect::<Vec<_>>();
    assert_eq!((listed(&names(2), 2), listed(&names(2), 11)), ("0, 1".into(), "0, 1 and 9 more".into()));
}
