//! Stories that take several surveys: those in which Burrow is known to err (research of its rules), and those in which
//! a log or a position is made anew. Each has a name; each says what is said at its end, beside Burrow.

use super::*;

/// Surveys five seconds apart: (committed, end) of a group with a member; what is said after the last, beside Burrow.
fn told(positions: impl IntoIterator<Item = (u64, u64)>) -> (&'static str, &'static str) {
    let (mut facts, mut board) = (Facts::new(&[(0, 0)]), board(9, 99));
    let mut last = ("", "");
    for (committed, end) in positions {
        facts.topics[0].2[0].1 = end;
        facts.group("g", &[0], &[(0, committed)]);
        let row = facts.poll(&mut board, 5).groups[0].rows[0].clone();
        last = (row.state.name(), row.burrow.name());
    }
    last
}

/// Committed and end, survey by survey.
type Positions = Vec<(u64, u64)>;

#[test]
fn where_burrow_errs() {
    let n = |n: u64| 0..n;
    // 100 a survey are read, 150 arrive.
    let grows = |i: u64| (1_000 + 100 * i, 1_050 + 150 * i);
    let cases: [(&str, Positions, &str, &str); 6] = [
        ("lag grows with every commit", n(40).map(grows).collect(), "LAGGING", "WARN"),
        ("first commit ever", vec![(5, 10)], "WARMING", "STALL"),
        ("commits, then dead", n(60).map(|i| (1_000 + 100 * i.min(20), 1_050 + 100 * i)).collect(), "STALLED", "WARN"),
        ("idle, all read", n(40).map(|_| (1_000, 1_000)).collect(), "IDLE", "OK"),
        (
            "rewound, regained, and rewound again",
            vec![(500, 600), (510, 600), (200, 600), (520, 600), (300, 600), (310, 600)],
            "REWOUND",
            "OK",
        ),
        ("reset to latest", vec![(500, 600), (500, 600), (600, 600)], "OK", "OK"),
    ];
    for (name, positions, ours, burrows) in cases {
        assert_eq!(told(positions), (ours, burrows), "{name}");
    }
}

#[test]
fn a_commit_of_an_earlier_log_stays_one_over_a_restart() {
    let (mut facts, mut first) = (Facts::new(&[(0, 1_000)]), board(9, 99));
    for name in ["stays", "moves", "later"] {
        facts.group(name, &[], &[(0, 80)]);
    }
    facts.poll(&mut first, 5);
    facts.topics[0] = ("orders", "two", vec![(0, 20)]);
    let view = facts.poll(&mut first, 5);
    let keys = |view: &LagCluster| view.groups.iter().map(|g| (g.state.name(), g.reason.key)).collect::<Vec<_>>();
    assert_eq!(keys(&view), [("RECREATED", "lag.reason.recreated"); 3]);
    facts.group("moves", &[], &[(0, 15)]);
    let view = facts.poll(&mut first, 5);
    assert_eq!(view.groups[1].lag_messages, Some(5), "a new commit belongs to the log of now");

    // The monitor starts again once the new log has grown beyond the old commits.
    let mut second = board(9, 99);
    first.changed_indexes(9).into_iter().for_each(|stored| second.restore(stored));
    assert!(first.changed_indexes(9).is_empty(), "nothing changed since");
    facts.topics[0].2[0].1 = 500;
    facts.group("later", &[], &[(0, 90)]);
    let view = facts.poll(&mut second, 600);
    let stays = &view.groups[2];
    assert_eq!((&*stays.group, stays.reason.key, stays.lag_messages), ("stays", "lag.reason.recreated.stale", None));
    assert_eq!(stays.reason.numbers, [80.0, 500.0, 0.0]);
    let lags: Vec<_> = view.groups[..2].iter().map(|g| g.lag_messages).collect();
    assert_eq!(lags, [Some(410), Some(485)], "what was committed since is of this log");
    // What the second learned is what a third one knows.
    facts.group("stays", &[], &[(0, 100)]);
    facts.poll(&mut second, 5);
    let mut third = board(9, 99);
    second.changed_indexes(9).into_iter().for_each(|stored| third.restore(stored));
    facts.group("stays", &[], &[(0, 80)]);
    assert_eq!(facts.poll(&mut third, 5).groups[2].lag_messages, Some(420), "forgotten once it moved");
}

#[test]
fn who_committed_long_ago_is_known_to_have_stopped_at_once() {
    let (mut facts, mut board) = (Facts::new(&[(0, 1_000)]), board(9, 99));
    let group = facts.group("g", &[], &[(0, 400)]);
    group.protocol = GroupProtocol::Simple;
    let said = Timestamp::from_seconds(1_700_000_000 - 4_000);
    group.committed.as_mut().unwrap()[0].committed_at = Some(said);
    let view = facts.poll(&mut board, 0);
    assert_eq!(view.groups[0].state, LagState::Warming, "how long something waits is not known yet");
    let record = TimedPosition { position: 400, time: said };
    board.learn("orders", 0, record, facts.now());
    facts.groups[0].committed_at = Timestamp::from_seconds(1_700_000_005);
    let view = facts.poll(&mut board, 5);
    assert_eq!((view.groups[0].state, view.groups[0].reason.numbers[1]), (LagState::Stopped, 4_005.0));
}

#[test]
fn a_group_says_the_reason_of_its_worst_partition_and_names_it() {
    let (mut facts, mut board) = (Facts::new(&[(0, 100), (0, 9_000), (0, 9_000)]), board(9, 99));
    facts.group("g", &[], &[(0, 29), (1, 611), (2, 611)]);
    let mut view = facts.poll(&mut board, 5);
    for _ in 0..100 {
        view = facts.poll(&mut board, 5);
    }
    let group = &view.groups[0];
    assert_eq!((group.state, group.reason.numbers[0]), (LagState::Stopped, 8_389.0));
    assert_eq!(group.place.as_ref().map(|(stream, partition)| (&**stream, *partition)), Some(("orders", 1)));

    let (mut facts, mut board) = (Facts::new(&[(0, 100), (0, 100)]), super::board(9, 99));
    facts.group("same", &[], &[(0, 100), (1, 100)]);
    assert_eq!(facts.poll(&mut board, 5).groups[0].place, None, "what is so of all is said of all");
}

#[test]
fn nothing_unread_where_it_is_known_says_nothing_of_what_is_not() {
    let (mut facts, mut board) = (Facts::new(&[(0, 100), (0, 500), (0, 15), (0, 0)]), board(9, 99));
    facts.group("a zero beside unknown", &[], &[(0, 100)]);
    facts.group("least", &[], &[(0, 90)]);
    facts.group("known to be empty", &[0, 3], &[(0, 100), (1, 500), (2, 15)]);
    let view = facts.poll(&mut board, 5);
    let sums = |name: &str| {
        let group = view.groups.iter().find(|g| &*g.group == name).unwrap();
        (group.lag_messages, group.unknown_partitions, group.next_unread_age_seconds, group.drain_seconds)
    };
    assert_eq!(sums("a zero beside unknown"), (None, 2, None, None));
    assert_eq!((sums("least").0, sums("least").1), (Some(10), 2), "the least that it can be, and of how many not");
    assert_eq!(sums("known to be empty"), (Some(0), 0, Some(0.0), None));
}
