//! Runs against a log in memory that can refuse, forget to answer, and outlive the run.

mod ended;
mod left;
mod once;
mod told;

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
    /// Streams that the next surveys name and say nothing of, and how many surveys.
    untold: BTreeMap<String, u32>,
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
        let mut world = self.world();
        if world.gone {
            return Survey { faults: vec!["nobody listens".into()], ..Survey::default() };
        }
        let untold: HashSet<String> = world.untold.keys().cloned().collect();
        world.untold.values_mut().for_each(|surveys| *surveys -= 1);
        world.untold.retain(|_, surveys| *surveys > 0);
        let topic = |(name, partitions): (&String, &Vec<Vec<RawRecord>>)| {
            let facts = partitions.iter().map(|p| {
                let end = Some(p.last().map_or(0, |r| r.at.2 + 1));
                PartitionFacts { start: Some(0), stable_end: end, end, ..PartitionFacts::default() }
            });
            if untold.contains(name) {
                return TopicFacts { name: name.as_str().into(), ..TopicFacts::default() };
            }
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
    fn ended_ok(&mut self, transactions: &[(String, String)]) -> Vec<Fared> {
        let fared = |(_, id): &(String, String)| if self.0.contains(id) { Fared::EndedOk } else { Fared::NotOk };
        transactions.iter().map(fared).collect()
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
