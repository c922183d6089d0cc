//! Groups, what a watcher sees of them, and records that are moved.

use super::*;
use crate::broker::{MoveError, Observe, Outgoing};
use crate::model::{GroupPhase, TimeQuestion};

const SOON: Duration = Duration::from_secs(5);

fn outgoing(stream: &str, id: u64) -> Outgoing {
    Outgoing { stream: stream.into(), partition: None, record: record(id) }
}

fn ids(observer: &mut dyn Observe, stream: &str) -> Vec<Vec<u8>> {
    let stretch = observer.records(stream, 0, 0, 1_000, 1 << 20, SOON).unwrap();
    assert!(stretch.at_end);
    stretch.records.into_iter().filter_map(|r| r.key).collect()
}

#[test]
fn a_survey_knows_groups_their_positions_and_where_logs_end() {
    let dir = tempfile::tempdir().unwrap();
    {
        let log = open(dir.path(), LogOptions::default());
        append(&log, "a", (0..10).map(record).collect()).unwrap();
        log.committer().commit("g", "worker", &[("a".into(), 0, 4)]).unwrap();
        let missing = log.committer().commit("g", "worker", &[("nowhere".into(), 0, 4)]);
        assert!(matches!(missing, Err(MoveError::Refused(_))), "{missing:?}");
        let survey = log.observer().survey(SOON);
        let group = &survey.groups[0];
        assert_eq!((&*group.name, group.phase), ("g", GroupPhase::Stable));
        assert_eq!(&*group.members.as_ref().unwrap()[0].client_id, "worker");
    }
    let log = open(dir.path(), LogOptions::default());
    let survey = log.observer().survey(SOON);
    let (topic, group) = (&survey.topics[0], &survey.groups[0]);
    let committed = group.committed.as_ref().unwrap()[0];
    assert_eq!((committed.next, topic.partitions[0].start, topic.partitions[0].end), (4, Some(0), Some(10)));
    assert_eq!((group.phase, &group.members), (GroupPhase::Empty, &Some(vec![])), "a position outlives its consumer");
}

#[test]
fn positions_are_found_by_time_and_records_by_position() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::default());
    for id in 0..50 {
        append(&log, "a", vec![record(id)]).unwrap();
    }
    let mut observer = log.observer();
    let times: Vec<_> = observer.records("a", 0, 0, 50, 1 << 20, SOON).unwrap().records;
    for order in [0..50usize, 20..30, 0..1] {
        for i in order {
            let (time, position) = (times[i].record_time.unwrap(), i as u64);
            let ask = |time| TimeQuestion { stream: "a".into(), partition: 0, time };
            let answers = observer.positions_at(&[ask(time), ask(time.plus(1))], SOON);
            assert_eq!(answers[0].map(|a| (a.position, a.time)), Some((position, time)));
            assert_eq!(answers[1].map(|a| a.position), (i + 1 < 50).then_some(position + 1));
        }
    }
    let first = observer.first_records(&[("a".into(), 0, 7), ("a".into(), 0, 50), ("b".into(), 0, 0)], SOON);
    assert_eq!(first[0].flatten().map(|r| r.position), Some(7));
    assert_eq!((first[1], first[2]), (Some(None), None), "an end is not an unknown");
    let stretch = observer.records("a", 0, 10, 3, 1 << 20, SOON).unwrap();
    assert_eq!((stretch.records.len(), stretch.next, stretch.at_end), (3, 13, false));
    assert_eq!(observer.records("a", 0, 10, 9, 1, SOON).unwrap().records.len(), 1, "a large record still comes");
}

#[test]
fn a_step_is_made_once_whatever_happens_after_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), LogOptions::default());
    append(&log, "dlq", (0..4).map(record).collect()).unwrap();
    let mut mover = log.mover("redrive").unwrap();
    assert_eq!(mover.progress("dlq", SOON).unwrap(), []);
    mover.step("dlq", vec![outgoing("a", 0), outgoing("a", 1)], &[(0, 2)], SOON).unwrap();
    // A crash between the records and the progress, and one before all of the records.
    for (there, ids_after) in [(2, 4), (1, 6)] {
        let out = vec![outgoing("a", ids_after), outgoing("a", ids_after + 1)];
        let step = super::super::mover::begun_for_test(&log, "dlq", out, &[(0, ids_after)]);
        append(&log, "a", (0..there).map(|i| record(ids_after + i)).collect()).unwrap();
        log.shared.groups.store().begin("redrive", &step).unwrap();
        let mut next = log.mover("redrive").unwrap();
        assert!(matches!(mover.progress("dlq", SOON), Err(MoveError::Fenced(_))), "the old one is out");
        assert_eq!(next.progress("dlq", SOON).unwrap(), [(0, ids_after)]);
        assert_eq!(next.progress("dlq", SOON).unwrap(), [(0, ids_after)], "and it stays so");
    }
    let expected: Vec<_> = [0, 1, 4, 5, 6, 7].map(|id| format!("t{id}").into_bytes()).into();
    assert_eq!(ids(&mut *log.observer(), "a"), expected);
}
