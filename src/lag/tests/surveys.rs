//! What surveys add up to: which groups and partitions have a row, what is shared, what others tell.

use super::*;

#[test]
fn rows_come_and_go_with_positions_members_and_partitions() {
    let (mut facts, mut board) = (Facts::new(&[(0, 100), (0, 100), (0, 0)]), board(9, 99));
    facts.group("part", &[], &[(0, 94)]);
    facts.group("new", &[0, 2], &[]);
    facts.group("nothing", &[], &[]);
    facts.group("share", &[], &[]).protocol = GroupProtocol::Share;
    let view = facts.poll(&mut board, 5);
    let names: Vec<_> = view.groups.iter().map(|g| (&*g.group, g.state.name(), g.burrow.name())).collect();
    assert_eq!(
        names,
        [
            ("new", "NEVER_COMMITTED", "NOTFOUND"),
            ("nothing", "NEVER_COMMITTED", "NOTFOUND"),
            ("part", "NEVER_COMMITTED", "ERR"),
            ("share", "UNKNOWN", "NOTFOUND")
        ]
    );
    // What is empty and nobody has is no row; what a member has is one.
    assert_eq!(states(&view.groups[0]), [(0, "NEVER_COMMITTED"), (2, "NEVER_COMMITTED")]);
    let part = &view.groups[2];
    assert_eq!(states(part), [(0, "WARMING"), (1, "NEVER_COMMITTED")]);
    assert_eq!((part.lag_messages, part.unknown_partitions, part.rows[1].lag_messages()), (Some(6), 1, None));
    assert_eq!((part.next_unread_age_seconds, part.rows[0].next_unread_age_seconds.get()), (None, None));

    // The topic grows by a partition; a group is deleted: a complete survey says so twice, an incomplete one never.
    facts.topics[0].2.push((0, 7));
    facts.groups.retain(|g| &*g.name != "nothing");
    facts.faults.push("a broker is silent".into());
    for _ in 0..5 {
        let view = facts.poll(&mut board, 5);
        assert_eq!((view.groups.len(), view.groups[1].state), (4, LagState::Unknown));
        assert_eq!(states(&view.groups[2]), [(0, "STOPPED"), (1, "NEVER_COMMITTED"), (3, "NEVER_COMMITTED")]);
    }
    facts.faults.clear();
    assert_eq!(facts.poll(&mut board, 5).groups.len(), 3);
    // Positions that expire take their rows with them.
    facts.group("part", &[], &[(3, 7)]);
    let view = facts.poll(&mut board, 5);
    assert_eq!(states(&view.groups[1]), [(0, "NEVER_COMMITTED"), (1, "NEVER_COMMITTED"), (3, "OK")]);
}

#[test]
fn all_rewinds_are_seen_and_a_reset_to_latest_is_none() {
    let (mut facts, mut board) = (Facts::new(&[(0, 1_000)]), board(9, 99));
    let mut at = |committed: u64| {
        facts.group("g", &[0], &[(0, committed)]);
        let view = facts.poll(&mut board, 5);
        (view.groups[0].state.name(), view.groups[0].reason.numbers)
    };
    let seen: Vec<_> = [500, 510, 200, 520, 300, 310].into_iter().map(&mut at).collect();
    let names: Vec<_> = seen.iter().map(|s| s.0).collect();
    assert_eq!(names, ["WARMING", "OK", "REWOUND", "OK", "REWOUND", "REWOUND"]);
    assert_eq!(seen[5].1, [520.0, 310.0, 210.0], "the one behind an earlier that recovered");
    assert_eq!(at(1_000).0, "OK");
    assert_eq!(at(1_000), ("OK", [0.0; 3]));
}

#[test]
fn what_does_not_change_is_shared_and_bounds_are_counted() {
    let (mut facts, mut board) = (Facts::new(&[(0, 100), (0, 100)]), board(3, 4));
    for name in ["a", "b", "c", "d"] {
        facts.group(name, &[0, 1], &[(0, 100), (1, 100)]);
    }
    facts.poll(&mut board, 5);
    let before = facts.poll(&mut board, 5);
    assert_eq!((before.groups.len(), before.dropped), (2, 2), "4 rows hold two groups of two");
    facts.group("b", &[0, 1], &[(0, 100), (1, 90)]);
    let after = facts.poll(&mut board, 5);
    let shared = |i: usize| after.groups[i].rows.shared_with(&before.groups[i].rows);
    assert_eq!((shared(0), shared(1)), (true, false));
    assert!(std::mem::size_of::<crate::snapshot::LagRow>() <= 184 && std::mem::size_of::<group::Row>() <= 96);
}

#[test]
fn lag_events_of_others_tell_what_is_not_acknowledged() {
    let (mut facts, mut board) = (Facts::new(&[(0, 100)]), board(9, 99));
    facts.group("g", &[0], &[(0, 90)]);
    let told = |cluster: &str, at| ToldLag {
        cluster: cluster.into(),
        group: "g".into(),
        stream: "orders".into(),
        partition: 0,
        committed: None,
        end: None,
        start: None,
        pending: Some(4),
        oldest_pending_seconds: Some(290.0),
        at,
    };
    board.told(vec![told("other", facts.now())]);
    assert_eq!(facts.poll(&mut board, 20).groups[0].state, LagState::Warming);
    board.told(vec![told("main", facts.now())]);
    let view = facts.poll(&mut board, 20);
    assert_eq!((view.groups[0].state, view.groups[0].reason.numbers), (LagState::AckStalled, [4.0, 310.0, 0.0]));
    assert_eq!(view.told.len(), 1);
    assert_eq!(facts.poll(&mut board, 300).groups[0].state, LagState::Stalled, "an old event says nothing about now");
}

#[test]
fn partitions_that_are_not_well_are_named() {
    let mut board = board(9, 99);
    let part = |leader, in_sync| PartitionFacts { leader, in_sync, replicas: 3, ..PartitionFacts::default() };
    let topic = TopicFacts {
        name: "t".into(),
        partitions: vec![part(Some(1), 3), part(Some(1), 2), part(None, 1), part(None, 0)],
        ..TopicFacts::default()
    };
    board.absorb(&Survey { answered: true, topics: vec![topic], ..Survey::default() });
    let troubles = board.view(Timestamp(0)).troubles.iter().map(|t| (t.partition, t.what)).collect::<Vec<_>>();
    assert_eq!(troubles, [(1, "under_replicated"), (2, "leaderless"), (3, "offline")]);
}

#[test]
fn what_is_not_told_any_more_is_not_known_of_any_partition() {
    let (mut facts, mut board) = (Facts::new(&[(0, 100), (0, 100)]), board(9, 99));
    facts.group("g", &[0, 1], &[(0, 90), (1, 100)]);
    facts.poll(&mut board, 5);
    let told = facts.poll(&mut board, 5);
    assert_eq!((told.groups[0].frozen, told.groups[0].unknown_partitions), (false, 0));
    // Its coordinator is silent: the numbers stay, with their time; of none it is known what is unread now.
    facts.groups[0].committed = None;
    for _ in 0..3 {
        let view = facts.poll(&mut board, 5);
        let group = &view.groups[0];
        assert_eq!((group.frozen, group.unknown_partitions, group.state), (true, 2, LagState::Unknown));
        assert_eq!((group.reason.key, group.lag_messages), ("lag.reason.unknown.group", Some(10)));
        assert_eq!(group.as_of, told.groups[0].as_of);
    }
    // So it is where the whole cluster is.
    board.absorb(&Survey::default());
    let group = Arc::clone(&board.view(facts.now()).groups[0]);
    assert_eq!((group.frozen, group.unknown_partitions, group.reason.key), (true, 2, "lag.reason.unknown.silent"));
    facts.group("g", &[0, 1], &[(0, 90), (1, 100)]);
    let back = facts.poll(&mut board, 5);
    assert_eq!((back.groups[0].frozen, back.groups[0].unknown_partitions), (false, 0));
}

#[test]
fn a_share_group_goes_on_saying_that_it_has_no_positions() {
    let (mut facts, mut board) = (Facts::new(&[(0, 100)]), board(9, 99));
    let group = facts.group("share", &[], &[]);
    (group.protocol, group.committed) = (GroupProtocol::Share, None);
    for survey in 0..3 {
        let reason = facts.poll(&mut board, 5).groups[0].reason.key;
        assert_eq!(reason, "lag.reason.unknown.share", "survey {survey}");
    }
}
