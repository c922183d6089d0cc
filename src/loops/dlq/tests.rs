//! The keeper against a cluster by hand.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::*;
use crate::broker::{RawRecord, Stretch};
use crate::dlq::Rules;
use crate::loops::letters::rules;
use crate::model::{
    DlqSpec, Format, LagSpec, PartitionFacts, Role, Start, StreamName, StreamSpec, TimeQuestion, TimedPosition,
    TopicFacts,
};
use crate::run::desk::desk;
use crate::snapshot::{GroupView, LagCluster, LagRow};
use crate::store::StoreError;

/// A cluster: records by stream, one partition each.
#[derive(Default)]
pub(crate) struct Fake {
    pub(crate) streams: BTreeMap<String, Vec<RawRecord>>,
    pub(crate) refuse: bool,
}

impl Fake {
    fn survey_now(&self, second: i64) -> Survey {
        let topic = |(name, records): (&String, &Vec<RawRecord>)| {
            let end = Some(records.len() as u64);
            let facts = PartitionFacts { start: Some(0), stable_end: end, end, ..PartitionFacts::default() };
            TopicFacts { name: name.as_str().into(), id: "id".into(), partitions: vec![facts], ..TopicFacts::default() }
        };
        let ended = Timestamp::from_seconds(second);
        Survey { ended, answered: true, topics: self.streams.iter().map(topic).collect(), ..Survey::default() }
    }
}

impl Observe for Fake {
    fn survey(&mut self, _: Duration) -> Survey {
        self.survey_now(0)
    }

    fn positions_at(&mut self, asked: &[TimeQuestion], _: Duration) -> Vec<Option<TimedPosition>> {
        vec![None; asked.len()]
    }

    fn first_records(&mut self, at: &[(Arc<str>, u32, u64)], _: Duration) -> Vec<Option<Option<TimedPosition>>> {
        let one = |(stream, _, position): &(Arc<str>, u32, u64)| {
            let record = self.streams.get(&**stream)?.get(usize::try_from(*position).ok()?);
            Some(record.and_then(|r| Some(TimedPosition { position: *position, time: r.record_time? })))
        };
        at.iter().map(|at| if self.refuse { None } else { one(at) }).collect()
    }

    fn records(
        &mut self,
        stream: &str,
        _: u32,
        from: u64,
        count: usize,
        _: usize,
        _: Duration,
    ) -> Result<Stretch, String> {
        if self.refuse {
            return Err("no right to read".into());
        }
        let all = self.streams.get(stream).ok_or("no such stream")?;
        let records: Vec<_> = all.iter().skip(usize::try_from(from).unwrap()).take(count).cloned().collect();
        let next = from + records.len() as u64;
        Ok(Stretch { records, next, at_end: next >= all.len() as u64 })
    }
}

#[derive(Default)]
struct Notes(Mutex<Vec<AuditEntry>>);

impl AuditLog for Notes {
    fn note(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.0.lock().unwrap().push(entry.clone());
        Ok(())
    }

    fn lines(&self, _: Option<u64>, count: usize) -> Result<Vec<(u64, AuditEntry)>, StoreError> {
        Ok((0..)
            .zip(self.0.lock().unwrap().iter().cloned())
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .take(count)
            .collect())
    }
}

fn record(stream: &str, position: u64) -> RawRecord {
    let payload = format!(
        r#"{{"id":"e{position}","transaction_id":"t{position}","flow":"shop","stage":"paid","password":"hunter2"}}"#
    );
    RawRecord {
        at: (stream.into(), 0, position),
        key: Some(b"k".to_vec()),
        payload: Some(payload.into_bytes()),
        headers: vec![
            (b"__connect.errors.topic".to_vec(), Some(b"orders".to_vec())),
            (b"__connect.errors.exception.class.name".to_vec(), Some(b"java.io.IOException".to_vec())),
            (b"authorization".to_vec(), Some(b"hunter2".to_vec())),
            (
                b"__connect.errors.exception.message".to_vec(),
                Some(b"cannot log in: user=ann&password=hunter2".to_vec()),
            ),
        ],
        record_time: Some(Timestamp::from_seconds(100)),
    }
}

#[test]
fn dead_letters_are_watched_where_groups_are_not() {
    let (keeper, mut boards, ..) = keeper(false);
    let mut fake = Fake::default();
    fake.streams.insert("orders.dlq".into(), (0..3).map(|n| record("orders.dlq", n)).collect());
    let stop = Stop::default();
    let spec = LagSpec { interval: Duration::from_millis(1), ..LagSpec::default() };
    let (stop_it, until) = (stop.clone(), Instant::now() + Duration::from_secs(60));
    let thread = std::thread::spawn(move || keeper.run(Box::new(fake), &spec, &stop_it));
    let seen = loop {
        let board = Arc::clone(&boards.borrow_and_update());
        if let Some(stream) = board.streams.first().filter(|s| s.looked_at == 3) {
            break Arc::clone(stream);
        }
        assert!(Instant::now() < until, "{board:?}");
        std::thread::yield_now();
    };
    stop.set();
    thread.join().unwrap();
    assert_eq!((seen.retained, seen.unhandled, seen.by_source[0].0.as_str()), (Some(3), Some(3), "orders"));
}

fn keeper(
    peek: bool,
) -> (DlqKeeper, watch::Receiver<Arc<DlqBoard>>, Arc<Notes>, crate::run::desk::Asker<PeekQuestion, PeekAnswer>) {
    let (out, boards) = watch::channel(Arc::default());
    let (asker, peeks) = desk(4);
    let notes = Arc::new(Notes::default());
    let keeper = DlqKeeper {
        cluster: "main".into(),
        board: Board::new("main", Rules::default()),
        reader: Reader::new(&[], Arc::default(), Mask::new(&[]).unwrap()),
        peek,
        mask: Mask::new(&[]).unwrap(),
        stands: watch::channel(Arc::default()).1,
        peeks,
        audit: notes.clone(),
        counts: None,
        interrupted: Vec::new(),
        out,
        now: || Timestamp::from_seconds(7),
    };
    (keeper, boards, notes, asker)
}

#[test]
fn a_survey_becomes_a_board_with_breakdown_and_age() {
    let (mut keeper, boards, ..) = keeper(false);
    let mut fake = Fake::default();
    fake.streams.insert("orders.dlq".into(), (0..1_200).map(|n| record("orders.dlq", n)).collect());
    let survey = fake.survey_now(160);
    keeper.absorb(&survey, &mut fake, &Stop::default());
    let board = boards.borrow().clone();
    let stream = &board.streams[0];
    assert_eq!((stream.retained, stream.unhandled, stream.looked_at), (Some(1_200), Some(1_200), 1_200));
    assert_eq!(stream.oldest_unhandled_age_seconds, Some(60.0));
    assert_eq!(stream.by_error, [("java.io.IOException".to_owned(), 1_200)]);
    assert_eq!(stream.by_source, [("orders".to_owned(), 1_200)]);
    let newest = &stream.newest[0];
    assert_eq!((newest.position, newest.transaction.clone()), (1_199, Some(("shop".into(), "t1199".into()))));
    assert_eq!(newest.trace_id.len(), 32);
    assert_eq!(newest.message, "cannot log in: user=ann&password=***", "shown to whoever may read");
}

#[test]
fn without_the_right_to_read_the_numbers_stay_and_the_rest_says_why() {
    let (mut keeper, boards, ..) = keeper(false);
    let mut fake = Fake { refuse: true, ..Fake::default() };
    fake.streams.insert("orders.dlq".into(), vec![record("orders.dlq", 0)]);
    let survey = fake.survey_now(160);
    keeper.absorb(&survey, &mut fake, &Stop::default());
    let stream = boards.borrow().streams[0].clone();
    assert_eq!((stream.unhandled, stream.oldest_unhandled_age_seconds, stream.looked_at), (Some(1), None, 0));
    assert!(stream.fault.contains("not looked at: no right to read"), "{}", stream.fault);
}

#[test]
fn a_peek_is_off_by_default_masked_and_audited() {
    let mut fake = Fake::default();
    fake.streams.insert("orders.dlq".into(), (0..9).map(|n| record("orders.dlq", n)).collect());
    let question = PeekQuestion {
        stream: "orders.dlq".into(),
        position: 3,
        count: 2,
        user: "ann".into(),
        ..PeekQuestion::default()
    };
    let (mut off, _boards, notes, _asker) = keeper(false);
    let survey = fake.survey_now(1);
    off.absorb(&survey, &mut fake, &Stop::default());
    assert!(off.look(&question, &mut fake, READ_DEADLINE).unwrap_err().contains("[dlq] peek"));
    assert_eq!(notes.newest(9).unwrap(), []);

    let (mut on, _boards, _, asker) = keeper(true);
    on.absorb(&survey, &mut fake, &Stop::default());
    let elsewhere = PeekQuestion { stream: "orders".into(), ..question.clone() };
    assert!(on.look(&elsewhere, &mut fake, READ_DEADLINE).unwrap_err().contains("not a stream of dead letters"));
    let absent = PeekQuestion { partition: 7, ..question.clone() };
    assert_eq!(
        on.look(&absent, &mut fake, READ_DEADLINE).unwrap_err(),
        "orders.dlq has no partition 7, as far as the cluster has told"
    );
    // Of a live stream the one record at which a group stands.
    fake.streams.insert("orders".into(), (0..9).map(|n| record("orders", n)).collect());
    let (committed, start) = (Some(3).into(), Some(0).into());
    let row = LagRow { stream: "orders".into(), partition: 0, committed, start, ..LagRow::default() };
    let group = GroupView { rows: vec![row].into(), ..GroupView::default() };
    let lag = LagCluster { cluster: "main".into(), groups: vec![Arc::new(group)], ..LagCluster::default() };
    on.stands = watch::channel(Arc::new(LagBoard { clusters: vec![Arc::new(lag)] })).1;
    let stuck = on.look(&elsewhere, &mut fake, READ_DEADLINE).unwrap();
    assert_eq!(stuck.letters.iter().map(|l| l.letter.position).collect::<Vec<_>>(), [3], "one, whatever was asked for");
    let beside = PeekQuestion { position: 4, ..elsewhere };
    assert!(on.look(&beside, &mut fake, READ_DEADLINE).unwrap_err().contains("no group stands"));
    let notes = Arc::new(Notes::default());
    on.audit = notes.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asking = std::thread::spawn(move || runtime.block_on(asker.ask(question, Duration::from_secs(20))));
    let until = Instant::now() + Duration::from_secs(20);
    while !asking.is_finished() && Instant::now() < until {
        on.attend(&mut fake, Instant::now() + Duration::from_millis(20), &Stop::default());
    }
    let peeked = asking.join().unwrap().unwrap().unwrap();
    assert_eq!((peeked.letters.len(), peeked.next, peeked.at_end), (2, 5, false));
    let shown = format!("{peeked:?}");
    assert!(!shown.contains("hunter2") && shown.contains("t3"), "{shown}");
    let noted = notes.newest(9).unwrap();
    assert_eq!((noted.len(), noted[0].user.as_str(), noted[0].at), (1, "ann", Timestamp::from_seconds(7)));
    assert!(noted[0].detail.contains("orders.dlq partition 0 from 3"), "{}", noted[0].detail);
}

#[test]
fn rules_come_from_the_configuration() {
    let stream = |name: StreamName, role| StreamSpec {
        cluster: "main".into(),
        name,
        role,
        start: Start::Latest,
        format: Format::Auto,
    };
    let streams = [
        stream(StreamName::Exact("morgue".into()), Role::Dlq),
        stream(StreamName::Pattern("^grave".into()), Role::Dlq),
        stream(StreamName::Exact("live.dlq".into()), Role::Events),
    ];
    let rules = rules(&DlqSpec { patterns: vec!["tomb$".into()], ..DlqSpec::default() }, &streams).unwrap();
    assert!(rules.exact.contains("morgue") && rules.others.contains("live.dlq") && !rules.conventions);
    assert!(rules.patterns.is_match("graveyard") && rules.patterns.is_match("a.tomb") && !rules.patterns.is_match("x"));
}
