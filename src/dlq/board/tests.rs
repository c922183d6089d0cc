//! Surveys of a small cluster, by hand.

use regex::RegexSet;

use super::*;
use crate::model::{Committed, GroupFacts, PartitionFacts, TopicFacts};

fn partition(start: u64, end: u64) -> PartitionFacts {
    PartitionFacts { start: Some(start), stable_end: Some(end), end: Some(end), ..PartitionFacts::default() }
}

fn topic(name: &str, partitions: &[(u64, u64)]) -> TopicFacts {
    let partitions = partitions.iter().map(|(s, e)| partition(*s, *e)).collect();
    TopicFacts { name: name.into(), id: "id-1".into(), partitions, ..TopicFacts::default() }
}

fn group(name: &str, committed: &[(u32, u32, u64)]) -> GroupFacts {
    let committed =
        committed.iter().map(|&(topic, partition, next)| Committed { topic, partition, next, committed_at: None });
    GroupFacts { name: name.into(), committed: Some(committed.collect()), ..GroupFacts::default() }
}

fn survey(second: i64, topics: Vec<TopicFacts>, groups: Vec<GroupFacts>) -> Survey {
    let ended = Timestamp::from_seconds(second);
    Survey { began: ended, ended, answered: true, topics, groups, ..Survey::default() }
}

fn view(board: &Board, name: &str) -> DlqStream {
    (**board.views().0.iter().find(|s| *s.stream == *name).unwrap()).clone()
}

fn letter(partition: u32, position: u64, family: &'static str) -> LetterView {
    LetterView { partition, position, family, error: "E".into(), ..LetterView::default() }
}

#[test]
fn streams_are_found_and_told_how() {
    let rules = Rules {
        exact: ["odd".to_owned()].into(),
        patterns: RegexSet::new(["^morgue"]).unwrap(),
        others: ["live.dlq".to_owned()].into(),
        ..Rules::default()
    };
    let mut board = Board::new("main", rules);
    let names = [
        "odd",
        "morgue.a",
        "orders.dlq",
        "live.dlq",
        "orders",
        "orders-retry-0",
        "a.errors",
        "streamgauge.redriven.x.dlq",
    ];
    let mut topics: Vec<_> = names.iter().map(|n| topic(n, &[(0, 5)])).collect();
    topics.push(TopicFacts { dead_letters: true, ..topic("plain", &[(0, 1)]) });
    board.absorb(&survey(0, topics, vec![]));
    let found: Vec<_> = board.views().0.iter().map(|s| (s.stream.to_string(), s.found_by)).collect();
    let want = [
        ("morgue.a", FoundBy::Config),
        ("odd", FoundBy::Config),
        ("orders.dlq", FoundBy::Name),
        ("plain", FoundBy::TopicConfig),
    ];
    assert_eq!(found, want.map(|(n, f)| (n.to_owned(), f)));
    let (retry, perhaps) = board.beside();
    assert_eq!((retry.len(), perhaps.len()), (1, 1));
    // The headers of its newest record tell.
    let wish = board.wishes(100).into_iter().find(|w| *w.stream == *"a.errors").unwrap();
    assert_eq!((wish.from, wish.count), (4, 1));
    board.read(&wish, vec![letter(0, 4, "connect")], 5);
    assert!(board.wishes(100).iter().all(|w| *w.stream != *"a.errors"));
    board.absorb(&survey(5, vec![topic("a.errors", &[(0, 5)])], vec![]));
    assert_eq!(view(&board, "a.errors").found_by, FoundBy::Headers);
    assert_eq!(board.views().0.len(), 1, "what the cluster no longer has is gone");
}

#[test]
fn five_numbers_with_and_without_a_group() {
    let mut board = Board::new("main", Rules::default());
    let topics = || vec![topic("a.dlq", &[(10, 100), (0, 50)])];
    board.absorb(&survey(0, topics(), vec![]));
    let v = view(&board, "a.dlq");
    assert_eq!((v.retained, v.unhandled, v.redrive_group), (Some(140), Some(140), None));
    assert_eq!(v.oldest_unhandled_age_seconds, None, "nobody has asked yet");

    // Whoever reads it with a console has handled nothing; the board says who it is.
    let strangers = vec![group("x", &[(0, 0, 20)]), group("y", &[(0, 0, 30)])];
    board.absorb(&survey(5, topics(), strangers));
    board.absorb(&survey(10, topics(), vec![group("x", &[(0, 0, 100), (0, 1, 50)])]));
    let v = view(&board, "a.dlq");
    assert_eq!((v.unhandled, v.redrive_group, v.redriven_total, v.readers), (Some(140), None, 0, vec!["x".to_owned()]));

    let ours = vec![group("streamgauge.redrive.a.dlq", &[(0, 0, 40), (0, 1, 50)]), group("x", &[(0, 0, 20)])];
    board.absorb(&survey(15, topics(), ours));
    let v = view(&board, "a.dlq");
    assert_eq!((v.unhandled, v.redrive_group.as_deref()), (Some(60), Some("streamgauge.redrive.a.dlq")));
    let asked = board.questions(10);
    assert_eq!(asked, [(Arc::from("a.dlq"), 0, 40)]);
    board.told(&asked, &[Some(Some(TimedPosition { position: 41, time: Timestamp::from_seconds(3) }))]);
    assert_eq!(view(&board, "a.dlq").oldest_unhandled_age_seconds, Some(12.0));
    assert!(board.questions(10).is_empty(), "asked once per position");

    // The group's positions are not answered: unknown, not 0 and not the old number.
    let unknown = GroupFacts { name: "streamgauge.redrive.a.dlq".into(), ..GroupFacts::default() };
    board.absorb(&survey(20, topics(), vec![unknown]));
    let v = view(&board, "a.dlq");
    assert_eq!((v.unhandled, v.retained), (None, Some(140)));
    assert!(v.fault.contains("not known"), "{}", v.fault);
    board.absorb(&Survey { answered: false, ended: Timestamp::from_seconds(25), ..Survey::default() });
    let v = view(&board, "a.dlq");
    assert!(!v.answering && v.retained == Some(140), "frozen");
}

#[test]
fn letters_settled_one_by_one_are_not_depth() {
    let mut board = Board::new("main", Rules::default());
    let of = |second, markers: u64| {
        let topics = vec![topic("a.dlq", &[(0, 100)]), topic("streamgauge.redriven.a.dlq", &[(0, markers)])];
        survey(second, topics, vec![group("streamgauge.redrive.a.dlq", &[(0, 0, 10)])])
    };
    let mut log = Settled::new("id-1");
    (20..45).for_each(|n| log.mark(0, n, crate::dlq::Fate::Sent));
    let feed = |board: &mut Board, log: &mut Settled, next| {
        assert_eq!(board.marker_wishes().iter().map(|w| (w.from, &*w.of)).collect::<Vec<_>>(), [(next - 1, "a.dlq")]);
        let records = log.take_touched();
        board.marked("a.dlq", records.iter().map(|(k, v)| (k.as_slice(), Some(v.as_slice()))), next);
    };
    board.absorb(&of(0, 1));
    feed(&mut board, &mut log, 1);
    board.absorb(&of(5, 1));
    let v = view(&board, "a.dlq");
    assert_eq!((v.unhandled, v.redriven_total, v.expired), (Some(65), 0, 0), "sent before we watched");
    log.mark(0, 50, crate::dlq::Fate::Sent);
    log.mark(0, 51, crate::dlq::Fate::Passed);
    board.absorb(&of(10, 2));
    feed(&mut board, &mut log, 2);
    board.absorb(&of(15, 2));
    let v = view(&board, "a.dlq");
    assert_eq!((v.unhandled, v.redriven_total), (Some(63), 1), "passed over is handled and not redriven");
}

#[test]
fn a_redrive_counts_once_whoever_counts() {
    let topics = |markers: u64| vec![topic("a.dlq", &[(0, 43)]), topic("streamgauge.redriven.a.dlq", &[(0, markers)])];
    let numbers = |board: &Board| {
        let v = view(board, "a.dlq");
        (v.unhandled, v.redriven_total, v.redrive_group)
    };
    let ops = || group("ops", &[(0, 0, 5)]);
    let ours = || group("streamgauge.redrive.a.dlq", &[(0, 0, 30)]);
    let mut log = Settled::new("id-1");
    (0..30).for_each(|n| log.mark(0, n, crate::dlq::Fate::Sent));
    let records = log.take_touched();
    let mark = |board: &mut Board| {
        board.marked("a.dlq", records.iter().map(|(k, v)| (k.as_slice(), Some(v.as_slice()))), 1);
    };
    // Ours: its position is seen one survey before the markers that moved with it.
    let mut board = Board::new("main", Rules::default());
    board.absorb(&survey(0, topics(0), vec![]));
    board.absorb(&survey(5, topics(1), vec![ours()]));
    mark(&mut board);
    board.absorb(&survey(10, topics(1), vec![ours()]));
    assert_eq!(numbers(&board), (Some(13), 30, Some("streamgauge.redrive.a.dlq".to_owned())));
    // Beside a configured group ours counts too, and what that one moves over later counts no second time.
    let rules = || Rules { redrive_group: "ops".into(), ..Rules::default() };
    let mut beside = Board::new("main", rules());
    beside.absorb(&survey(0, topics(0), vec![ops()]));
    beside.absorb(&survey(5, topics(1), vec![ops(), ours()]));
    mark(&mut beside);
    beside.absorb(&survey(10, topics(1), vec![ops(), ours()]));
    assert_eq!(numbers(&beside), (Some(13), 30, Some("ops".to_owned())));
    beside.absorb(&survey(15, topics(1), vec![group("ops", &[(0, 0, 35)]), ours()]));
    assert_eq!((numbers(&beside).0, numbers(&beside).1), (Some(8), 35));
    // Another group is made to count: where it stands already is no news.
    let mut other = Board::new("main", rules());
    other.restore(board.unstored().into_iter().map(|(n, bytes)| (n.to_string(), bytes)));
    for second in [20, 25] {
        other.absorb(&survey(second, topics(1), vec![group("ops", &[(0, 0, 35)]), ours()]));
        mark(&mut other);
    }
    assert_eq!((numbers(&other).0, numbers(&other).1), (Some(8), 30));
}

#[test]
fn letters_are_looked_at_from_the_newest_on_and_refusals_are_told() {
    let mut board = Board::new("main", Rules { letters: 100, ..Rules::default() });
    board.absorb(&survey(0, vec![topic("a.dlq", &[(0, 1_000), (0, 20)])], vec![]));
    let wishes = board.wishes(10);
    let brief: Vec<_> = wishes.iter().map(|w| (w.partition, w.from, w.count)).collect();
    assert_eq!(brief, [(0, 950, 50), (1, 0, 20)]);
    board.read(&wishes[0], (950..1_000).map(|n| letter(0, n, "spring")).collect(), 1_000);
    assert_eq!(board.wishes(10).len(), 1);
    let v = view(&board, "a.dlq");
    assert_eq!((v.looked_at, v.by_error), (50, vec![("E".to_owned(), 50)]));
    board.refused("a.dlq", "no right to read");
    assert!(board.wishes(10).is_empty() && board.questions(10).is_empty());
    assert!(view(&board, "a.dlq").fault.contains("no right to read"));
    board.absorb(&survey(61, vec![topic("a.dlq", &[(0, 1_000), (0, 20)])], vec![]));
    assert_eq!(board.wishes(10).len(), 1, "asked again after a while");
}

#[test]
fn streams_are_bounded_and_counted() {
    let mut board = Board::new("main", Rules { streams: 2, ..Rules::default() });
    board.absorb(&survey(0, (0..5).map(|n| topic(&format!("{n}.dlq"), &[(0, 1)])).collect(), vec![]));
    let (views, left) = board.views();
    assert_eq!((views.len(), left), (2, DlqLeftOut { streams: 3, ..DlqLeftOut::default() }));
    // Each bound says by itself what it left out.
    let mut names: Vec<String> = (0..BESIDE + 7).map(|n| format!("{n}.errors")).collect();
    names.extend((0..BESIDE + 5).map(|n| format!("{n}-retry")));
    names.extend((0..3).map(|n| format!("new-{n}.dlq")));
    board.absorb(&survey(5, names.iter().map(|n| topic(n, &[(0, 1)])).collect(), vec![]));
    assert_eq!(board.views().1, DlqLeftOut { streams: 1, suggested: 7, retry: 5, counters: 0 });
    assert_eq!((board.beside().0.len(), board.beside().1.len()), (BESIDE, BESIDE));
    board.absorb(&survey(10, vec![], vec![]));
    assert_eq!(board.views().1, DlqLeftOut { counters: 2, ..DlqLeftOut::default() }, "two are remembered already");
}

#[test]
fn a_stream_that_is_not_told_for_once_is_not_made_anew() {
    let mut board = Board::new("main", Rules::default());
    let group = || vec![group("streamgauge.redrive.a.dlq", &[(0, 0, 10)])];
    let seen = |end, told: bool| {
        let here = topic("a.dlq", &[(0, end)]);
        let lost = TopicFacts { name: "a.dlq".into(), ..TopicFacts::default() };
        vec![if told { here } else { lost }]
    };
    board.absorb(&survey(0, seen(500, true), group()));
    board.absorb(&survey(5, seen(510, true), group()));
    board.absorb(&survey(10, seen(0, false), group()));
    let v = view(&board, "a.dlq");
    assert_eq!((v.retained, v.unhandled, v.inflow_total), (Some(510), Some(500), 10), "frozen");
    assert!(v.fault.contains("did not tell"), "{}", v.fault);
    board.absorb(&survey(15, seen(515, true), group()));
    let v = view(&board, "a.dlq");
    assert_eq!((v.retained, v.inflow_total, v.expired, v.fault.as_str()), (Some(515), 15, 0, ""));
    // Another identity behind the gap is another stream all the same.
    board.absorb(&survey(20, seen(0, false), group()));
    let anew = TopicFacts { id: "id-2".into(), ..topic("a.dlq", &[(0, 7)]) };
    board.absorb(&survey(25, vec![anew], vec![]));
    assert_eq!((view(&board, "a.dlq").inflow_total, view(&board, "a.dlq").retained), (22, Some(7)));
}

#[test]
fn markers_that_are_not_told_for_once_are_not_read_again_and_count_once() {
    let mut board = Board::new("main", Rules::default());
    let ours = |markers: Option<u64>, id: &str| {
        let partitions: Vec<_> = markers.map(|end| (0, end)).into_iter().collect();
        TopicFacts { id: id.into(), ..topic("streamgauge.redriven.a.dlq", &partitions) }
    };
    let of = |second, start, ours| survey(second, vec![topic("a.dlq", &[(start, 9_000)]), ours], vec![]);
    let numbers = |board: &Board| (view(board, "a.dlq").unhandled, view(board, "a.dlq").redriven_total);
    let feed = |board: &mut Board, log: &mut Settled, next| {
        let records = log.take_touched();
        board.marked("a.dlq", records.iter().map(|(k, v)| (k.as_slice(), Some(v.as_slice()))), next);
    };
    let mut log = Settled::new("id-1");
    board.absorb(&of(0, 0, ours(Some(0), "m-1")));
    (0..100).for_each(|n| log.mark(0, n, crate::dlq::Fate::Sent));
    board.absorb(&of(5, 0, ours(Some(2), "m-1")));
    feed(&mut board, &mut log, 2);
    board.absorb(&of(10, 0, ours(Some(2), "m-1")));
    assert_eq!(numbers(&board), (Some(8_900), 100));
    // Its letters expire, with the chunk that spoke of them.
    board.absorb(&of(15, 5_000, ours(Some(2), "m-1")));
    board.absorb(&of(20, 5_000, ours(None, "")));
    assert!(board.marker_wishes().is_empty());
    board.absorb(&of(25, 5_000, ours(Some(4), "m-1")));
    assert_eq!(board.marker_wishes()[0].from, 2, "what was read is known");
    log.mark(0, 6_000, crate::dlq::Fate::Sent);
    feed(&mut board, &mut log, 4);
    board.absorb(&of(30, 5_000, ours(Some(4), "m-1")));
    assert_eq!(numbers(&board), (Some(3_999), 101));
    // The markers are gone, and a run has made others: what they say was sent since.
    let mut anew = Settled::new("id-1");
    (7_000..7_003).for_each(|n| anew.mark(0, n, crate::dlq::Fate::Sent));
    board.absorb(&of(35, 5_000, ours(Some(2), "m-2")));
    assert_eq!(board.marker_wishes()[0].from, 0);
    feed(&mut board, &mut anew, 2);
    board.absorb(&of(40, 5_000, ours(Some(2), "m-2")));
    assert_eq!(numbers(&board), (Some(3_997), 104));
}

#[test]
fn what_is_sent_counts_over_a_restart_although_markers_were_buried_meanwhile() {
    let topics =
        |markers| vec![topic("a.dlq", &[(5_000, 9_000)]), topic("streamgauge.redriven.a.dlq", &[(0, markers)])];
    let mut log = Settled::new("id-1");
    let feed = |board: &mut Board, records: &[(Vec<u8>, Vec<u8>)], next| {
        board.marked("a.dlq", records.iter().map(|(k, v)| (k.as_slice(), Some(v.as_slice()))), next);
    };
    (0..100).for_each(|n| log.mark(0, n, crate::dlq::Fate::Sent));
    let first = log.take_touched();
    let mut before = Board::new("main", Rules::default());
    before.absorb(&survey(0, topics(2), vec![]));
    feed(&mut before, &first, 2);
    before.absorb(&survey(5, topics(2), vec![]));
    // While nobody watches, the chunk that has expired is deleted, and three more letters go.
    (6_000..6_003).for_each(|n| log.mark(0, n, crate::dlq::Fate::Sent));
    let left = log.take_touched();
    let mut after = Board::new("main", Rules::default());
    after.restore(before.unstored().into_iter().map(|(n, bytes)| (n.to_string(), bytes)));
    let seen = survey(60, topics(4), vec![]);
    after.absorb(&seen);
    feed(&mut after, &left, 4);
    after.absorb(&seen);
    assert_eq!(view(&after, "a.dlq").redriven_total, 3, "neither swallowed nor counted twice");
}

#[test]
fn a_stream_made_anew_starts_afresh() {
    let mut board = Board::new("main", Rules::default());
    board.absorb(&survey(0, vec![topic("a.dlq", &[(0, 500)])], vec![]));
    let anew = TopicFacts { id: "id-2".into(), ..topic("a.dlq", &[(0, 7)]) };
    board.absorb(&survey(5, vec![anew], vec![]));
    let v = view(&board, "a.dlq");
    assert_eq!((v.retained, v.inflow_total, v.expired), (Some(7), 7, 0));
}

#[test]
fn what_happens_while_nobody_watches_counts_once() {
    let group = |committed| group("streamgauge.redrive.a.dlq", &[(0, 0, committed)]);
    let mut before = Board::new("main", Rules::default());
    before.absorb(&survey(0, vec![topic("a.dlq", &[(0, 100)])], vec![group(10)]));
    before.absorb(&survey(5, vec![topic("a.dlq", &[(0, 110)])], vec![group(10)]));
    let counted = |board: &Board| board.counted().iter().map(|c| (c.inflow, c.expired)).collect::<Vec<_>>();
    let rows = before.unstored();
    assert_eq!((counted(&before), rows.len()), (vec![(10, 0)], 1));
    before.are_stored(rows.clone());
    assert!(before.unstored().is_empty(), "nothing changed since");

    // While nobody watched 40 letters came, a partition with 5 too, and 20 of the old ones expired, of which two
    // had been handled.
    let mut after = Board::new("main", Rules::default());
    assert_eq!(
        after.restore(rows.into_iter().map(|(n, bytes)| (n.to_string(), bytes)).chain([("x".into(), vec![1])])),
        1
    );
    assert_eq!(counted(&after), [(10, 0)], "before the first survey");
    let topics = vec![topic("a.dlq", &[(30, 150), (0, 5)]), topic("streamgauge.redriven.a.dlq", &[(0, 1)])];
    let seen = survey(60, topics, vec![group(10)]);
    after.absorb(&seen);
    assert!(after.waits() && counted(&after) == [(10, 0)], "without the markers two of them would be lost");
    let mut log = Settled::new("id-1");
    [12, 13].into_iter().for_each(|n| log.mark(0, n, crate::dlq::Fate::Sent));
    let records = log.take_touched();
    after.marked("a.dlq", records.iter().map(|(k, v)| (k.as_slice(), Some(v.as_slice()))), 1);
    after.absorb(&seen);
    assert!(!after.waits());
    assert_eq!(counted(&after), [(55, 18)]);
    after.absorb(&seen);
    assert_eq!(counted(&after), [(55, 18)], "once");

    // A stream that goes takes its series along; one that comes back goes on.
    after.absorb(&survey(65, vec![], vec![]));
    assert_eq!(counted(&after), []);
    let mut again = Board::new("main", Rules::default());
    again.restore(after.unstored().into_iter().map(|(n, bytes)| (n.to_string(), bytes)));
    assert_eq!(counted(&again), []);
    again.absorb(&survey(70, vec![TopicFacts { id: "id-2".into(), ..topic("a.dlq", &[(0, 7)]) }], vec![]));
    assert_eq!(counted(&again), [(62, 18)]);
}
