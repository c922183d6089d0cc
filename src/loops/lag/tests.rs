//! The loop against a cluster in memory: it publishes, freezes, remembers and stops.

use std::collections::VecDeque;

use super::*;
use crate::broker::{RawRecord, Stretch};
use crate::model::{
    Committed, Format, GroupFacts, GroupPhase, PartitionFacts, Role, Start, StreamName, TimeQuestion, TimedPosition,
    TopicFacts,
};
use crate::run::clock::wall;
use crate::snapshot::LagState;

/// One topic with 100 records, one per second until a minute ago; a dead group at 40. Answers as it is told.
struct Cluster {
    answers: VecDeque<bool>,
    began: Timestamp,
    asked: Arc<Mutex<usize>>,
}

fn time_of(began: Timestamp, position: u64) -> Timestamp {
    Timestamp((began.0 / 1_000) * 1_000).plus((position as i64 - 160) * 1_000_000)
}

impl Observe for Cluster {
    fn survey(&mut self, _: Duration) -> Survey {
        let now = wall();
        let answered = if self.answers.len() > 1 { self.answers.pop_front() } else { self.answers.front().copied() };
        if answered != Some(true) {
            return Survey { began: now, ended: now, faults: vec!["silent".into()], ..Survey::default() };
        }
        let log =
            PartitionFacts { start: Some(0), end: Some(100), at: now, leader: Some(1), ..PartitionFacts::default() };
        let topic = |name: &str, end| TopicFacts {
            name: name.into(),
            append_time: Some(true),
            partitions: vec![PartitionFacts { end: Some(end), ..log.clone() }],
            ..TopicFacts::default()
        };
        let group = |name: &str| GroupFacts {
            name: name.into(),
            phase: GroupPhase::Empty,
            members: Some(Vec::new()),
            committed: Some(vec![Committed { next: 40, ..Committed::default() }]),
            committed_at: now,
            ..GroupFacts::default()
        };
        Survey {
            began: now,
            ended: now,
            answered: true,
            topics: vec![topic("orders", 100), topic("lag", 1)],
            groups: vec![group("billing"), group("console-consumer-7")],
            ..Survey::default()
        }
    }

    fn positions_at(&mut self, questions: &[TimeQuestion], _: Duration) -> Vec<Option<TimedPosition>> {
        *self.asked.lock().unwrap() += questions.len();
        let first = |t: Timestamp| {
            let position = (0..100).find(|p| time_of(self.began, *p) >= t)?;
            Some(TimedPosition { position, time: time_of(self.began, position) })
        };
        questions.iter().map(|q| first(q.time)).collect()
    }

    fn first_records(&mut self, at: &[(Arc<str>, u32, u64)], _: Duration) -> Vec<Option<Option<TimedPosition>>> {
        at.iter().map(|_| None).collect()
    }

    fn records(&mut self, _: &str, _: u32, _: u64, _: usize, _: usize, _: Duration) -> Result<Stretch, String> {
        let payload = br#"{"type":"lag","cluster":"redis","group":"g","stream":"s","pending":3}"#.to_vec();
        let record = RawRecord { payload: Some(payload), ..RawRecord::default() };
        Ok(Stretch { records: vec![record], next: 1, at_end: true })
    }
}

/// Runs the loop until the view of its cluster is as wanted.
fn until(
    answers: &[bool],
    times: Option<Arc<Mutex<TimesFile>>>,
    began: Timestamp,
    wanted: impl Fn(&LagCluster) -> bool,
) -> (Arc<LagCluster>, usize) {
    let asked = Arc::new(Mutex::new(0));
    let (out, seen) = watch::channel(Arc::new(LagLoop::empty(&[("other".into(), "kafka"), ("main".into(), "kafka")])));
    let stop = Stop::default();
    let lag_loop = LagLoop {
        letters: None,
        counts: None,
        commits: None,
        push: None,
        snapshots: watch::channel(Arc::default()).1,
        cluster: "main".into(),
        kind: "kafka",
        observe: Box::new(Cluster { answers: answers.iter().copied().collect(), began, asked: Arc::clone(&asked) }),
        spec: LagSpec {
            interval: Duration::from_millis(20),
            exclude: vec!["^console-consumer".into()],
            ..LagSpec::default()
        },
        streams: vec![StreamSpec {
            cluster: "main".into(),
            name: StreamName::Exact("lag".into()),
            role: Role::Lag,
            start: Start::Latest,
            format: Format::Auto,
        }],
        times,
        slot: 1,
        out,
        now: wall,
        stop: stop.clone(),
    };
    let thread = std::thread::spawn(move || lag_loop.run());
    let began = Instant::now();
    let found = loop {
        let board = Arc::clone(&seen.borrow());
        assert_eq!((board.clusters.len(), board.clusters[0].as_of), (2, None));
        if wanted(&board.clusters[1]) {
            break Arc::clone(&board.clusters[1]);
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", board.clusters[1]);
        std::thread::sleep(Duration::from_millis(5));
    };
    stop.set();
    thread.join().unwrap();
    let asked = *asked.lock().unwrap();
    (found, asked)
}

#[test]
fn it_finds_the_age_says_what_it_saw_and_remembers_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = || Some(Arc::new(Mutex::new(TimesFile::open(&dir.path().join("lag.redb")).unwrap())));
    let began = wall();
    let known = |c: &LagCluster| {
        c.groups.first().is_some_and(|g| g.state == LagState::Stopped && g.next_unread_age_seconds.is_some())
    };
    let (seen, asked) = until(&[true], file(), began, known);
    assert_eq!(seen.groups.iter().map(|g| &*g.group).collect::<Vec<_>>(), ["billing"]);
    let row = &seen.groups[0].rows[0];
    let (age, truth) = (row.next_unread_age_seconds.get().unwrap(), wall().since(time_of(began, 40)) as f64 / 1e6);
    assert!((age - truth).abs() < 6.0, "{age} is not {truth}: {row:?}");
    assert_eq!((row.lag_messages(), row.readable.get(), seen.told.len()), (Some(60), Some(60), 1));
    assert_eq!((seen.told[0].pending, seen.told[0].cluster.as_str()), (Some(3), "redis"));
    assert!(asked > 0);

    let (_, asked) = until(&[true], file(), began, known);
    assert_eq!(asked, 0, "after a restart nothing has to be asked again");
}

#[test]
fn a_cluster_that_falls_silent_keeps_its_values() {
    let silent = |c: &LagCluster| !c.answering && c.as_of.is_some();
    let (seen, _) = until(&[true, true, true, false], None, wall(), silent);
    let group = &seen.groups[0];
    assert_eq!((group.state, group.reason.key), (LagState::Unknown, "lag.reason.unknown.silent"));
    assert_eq!((group.lag_messages, group.rows[0].state), (Some(60), LagState::Unknown));
    assert_eq!(seen.faults, ["silent"]);
}
