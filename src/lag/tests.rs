//! Tables of cases: the verdict as a function, and what surveys add up to.

use std::sync::Arc;

use super::*;
use crate::model::{
    Committed, GroupFacts, GroupPhase, GroupProtocol, MemberFacts, PartitionFacts, Survey, TimedPosition, Timestamp,
    TopicFacts,
};
use crate::snapshot::{AgeMethod, GroupView, LagCluster, LagState, ToldLag};

/// A member reads 0..1000 with ordinary commits; 100 are unread and 20 s old.
fn ordinary() -> Evidence {
    Evidence {
        answered: true,
        positions: true,
        committed: Some(900),
        start: Some(0),
        stable_end: Some(1_000),
        end: Some(1_000),
        owner: Owner::Somebody,
        polls: 100,
        watched: 1_000.0,
        unmoved: 4.0,
        pause: Some(5.0),
        unread_for: 500.0,
        commit_rate: Some(10.0),
        age: aged(20.0),
        was: LagState::Ok,
        ..Evidence::default()
    }
}

fn aged(seconds: f64) -> Age {
    Age { seconds: Some(seconds), ..Age::default() }
}

fn slope(per_second: f64, certainty: f64) -> Option<Slope> {
    Some(Slope { per_second, certainty, span: 300.0 })
}

#[test]
fn every_rule_and_every_edge() {
    use LagState as S;
    let o = ordinary;
    let idle = || Evidence { committed: Some(1_000), unread_for: 0.0, quiet: 3_600.0, unmoved: 3_600.0, ..o() };
    let first = || Evidence { polls: 1, watched: 0.0, unmoved: 0.0, unread_for: 0.0, pause: None, ..o() };
    let unseen = |watched, age| Evidence {
        polls: 9,
        watched,
        unmoved: watched,
        unread_for: watched,
        pause: None,
        commit_rate: Some(0.0),
        age,
        ..o()
    };
    let stuck = |seconds| Evidence { unmoved: seconds, age: aged(seconds), commit_rate: Some(0.0), ..o() };
    let gone = |owner| Evidence { owner, absent_polls: 2, ..o() };
    let tail =
        |seconds| Evidence { committed: Some(999), unmoved: seconds, unread_for: seconds, age: Age::default(), ..o() };
    // Seconds that all of it is unread, seconds since something arrived; only bounds of an age are known.
    let perhaps = |unread_for, quiet| Evidence {
        transactional: true,
        unseen: true,
        unmoved: unread_for,
        unread_for,
        quiet,
        age: Age { bounds: Some((unread_for, unread_for + 1.0)), ..Age::default() },
        ..o()
    };
    let never = |e: Evidence| Evidence { watched: e.unmoved, pause: None, commit_rate: Some(0.0), ..e };
    let with = |owner, e: Evidence| Evidence { owner, absent_polls: 2, ..e };
    let unknown = |rate| Evidence { age: Age::default(), commit_rate: Some(rate), ..o() };
    let cases: Vec<(&str, Evidence, S, &str)> = vec![
        ("as usual", o(), S::Ok, "ok"),
        ("the cluster is silent", Evidence { answered: false, ..o() }, S::Unknown, "unknown.silent"),
        ("the group's coordinator is silent", Evidence { positions: false, ..o() }, S::Unknown, "unknown.group"),
        ("no leader", Evidence { end: None, stable_end: None, ..o() }, S::Unknown, "unknown.partition"),
        ("no begin", Evidence { start: None, ..o() }, S::Unknown, "unknown.partition"),
        ("assigned, never committed", Evidence { committed: None, ..o() }, S::NeverCommitted, "never.assigned"),
        (
            "partly committed",
            Evidence { committed: None, owner: Owner::NoMembers, ..o() },
            S::NeverCommitted,
            "never.partly",
        ),
        ("stale commit beyond the end", Evidence { committed: Some(1_001), ..o() }, S::Recreated, "recreated"),
        ("stale commit below the new end", Evidence { stale: true, ..o() }, S::Recreated, "recreated.stale"),
        ("below the log's begin", Evidence { start: Some(940), ..o() }, S::Lost, "lost"),
        ("emptied log", Evidence { start: Some(1_000), ..o() }, S::Lost, "lost"),
        ("delivered, not acknowledged", Evidence { pending: Some((3, 40.0)), ..o() }, S::AckStalled, "ack_stalled"),
        ("acknowledged soon", Evidence { pending: Some((3, 20.0)), ..o() }, S::Ok, "ok"),
        ("nothing unread", Evidence { committed: Some(1_000), ..o() }, S::Ok, "caught_up"),
        ("reset to latest", Evidence { committed: Some(1_000), unmoved: 0.0, pause: None, ..o() }, S::Ok, "caught_up"),
        (
            "reset to earliest",
            Evidence { committed: Some(0), rewound_from: Some(900), unmoved: 0.0, ..o() },
            S::Rewound,
            "rewound",
        ),
        ("idle, all read", idle(), S::Idle, "idle"),
        ("idle, all read, dead", Evidence { owner: Owner::NoMembers, absent_polls: 9, ..idle() }, S::Idle, "idle"),
        ("idle, first sight", Evidence { committed: Some(1_000), ..first() }, S::Ok, "caught_up"),
        ("open transaction", Evidence { stable_end: Some(900), ..o() }, S::Ok, "open_transaction"),
        (
            "hanging transaction",
            Evidence { stable_end: Some(900), stable_quiet: 901.0, ..o() },
            S::Lagging,
            "lagging.transaction",
        ),
        ("markers, proved", Evidence { nothing_left: true, ..o() }, S::Ok, "markers"),
        ("one left, new", tail(10.0), S::Ok, "ok"),
        ("one left, cannot be told", tail(40.0), S::Unknown, "unknown.tail"),
        (
            "one left, transactions seen",
            Evidence { transactional: true, unseen: true, ..tail(40.0) },
            S::Ok,
            "marker_tail",
        ),
        (
            "one left, and it was read",
            Evidence { age: Age { method: AgeMethod::Record, ..Age::default() }, ..tail(40.0) },
            S::Stalled,
            "stalled",
        ),
        ("one left, slow committer", Evidence { pause: Some(300.0), ..tail(40.0) }, S::Ok, "ok"),
        ("two left and stuck", Evidence { committed: Some(998), ..stuck(40.0) }, S::Stalled, "stalled"),
        ("first commit, 1 s old", first(), S::Warming, "warming"),
        (
            "first sight, nobody there",
            Evidence { absent_polls: 1, owner: Owner::NoMembers, ..first() },
            S::Warming,
            "warming",
        ),
        ("nobody there", gone(Owner::NoMembers), S::Stopped, "stopped"),
        ("nobody there, commits go on", Evidence { commits_unmanaged: true, ..gone(Owner::NoMembers) }, S::Ok, "ok"),
        (
            "nobody there, commits ended",
            Evidence { commits_unmanaged: true, owner: Owner::NoMembers, ..stuck(31.0) },
            S::Stopped,
            "silent",
        ),
        ("members, none has it", gone(Owner::Nobody), S::Abandoned, "abandoned"),
        ("unmanaged, goes on", Evidence { owner: Owner::Unmanaged, ..o() }, S::Ok, "ok"),
        ("unmanaged, ended", Evidence { owner: Owner::Unmanaged, ..stuck(31.0) }, S::Stopped, "silent"),
        ("a member stands still", stuck(31.0), S::Stalled, "stalled"),
        ("not for long enough", stuck(29.0), S::Ok, "ok"),
        ("slow commits, alive", Evidence { pause: Some(300.0), age: aged(50.0), ..stuck(250.0) }, S::Ok, "ok"),
        (
            "slow commits, dead",
            Evidence { pause: Some(300.0), unread_for: 2_000.0, ..stuck(901.0) },
            S::Stalled,
            "stalled",
        ),
        ("never seen to commit, old backlog", unseen(31.0, aged(4_000.0)), S::Stalled, "stalled"),
        ("never seen to commit, young backlog", unseen(31.0, aged(59.0)), S::Warming, "warming"),
        ("never seen to commit, but late", unseen(29.0, aged(61.0)), S::Lagging, "lagging.steady"),
        (
            "first sight, the broker tells when it committed",
            Evidence { owner: Owner::Unmanaged, unmoved: 4_000.0, age: aged(3_000.0), ..first() },
            S::Stopped,
            "silent",
        ),
        (
            "an old time in a new record",
            Evidence { unmoved: 3_600.0, unread_for: 5.0, age: aged(1e8), pause: None, ..o() },
            S::Lagging,
            "lagging.steady",
        ),
        ("aborted records may be all, young", Evidence { unmoved: 20.0, ..perhaps(20.0, 20.0) }, S::Ok, "ok"),
        ("aborted records may be all", perhaps(40.0, 40.0), S::Unknown, "unknown.aborted"),
        (
            "aborted records may be all, never seen to commit",
            never(perhaps(310.0, 310.0)),
            S::Unknown,
            "unknown.aborted",
        ),
        ("aborted records may be all, first sight", never(perhaps(20.0, 20.0)), S::Warming, "warming"),
        ("more goes on arriving: not all of it is aborted", perhaps(100.0, 5.0), S::Stalled, "stalled"),
        ("a record was seen", Evidence { unseen: false, ..perhaps(40.0, 40.0) }, S::Stalled, "stalled"),
        (
            "aborted records may be all, nobody there",
            with(Owner::NoMembers, perhaps(40.0, 40.0)),
            S::Stopped,
            "stopped",
        ),
        (
            "transactions, behind and moving",
            Evidence { unmoved: 4.0, unread_for: 500.0, ..perhaps(500.0, 0.0) },
            S::Lagging,
            "lagging.steady",
        ),
        ("never seen to commit, for long", unseen(301.0, Age::default()), S::Stalled, "stalled"),
        ("one arrived after an idle hour", Evidence { unmoved: 3_600.0, unread_for: 5.0, ..o() }, S::Ok, "arriving"),
        ("rewound", Evidence { rewound_from: Some(950), ..o() }, S::Rewound, "rewound"),
        ("rewound and dead", Evidence { rewound_from: Some(950), ..gone(Owner::NoMembers) }, S::Stopped, "stopped"),
        ("rewound and stuck", Evidence { rewound_from: Some(950), ..stuck(60.0) }, S::Stalled, "stalled"),
        ("steadily behind", Evidence { age: aged(120.0), ..o() }, S::Lagging, "lagging.steady"),
        (
            "behind and growing",
            Evidence { age: aged(120.0), slope: slope(3.0, 3.5), ..o() },
            S::Lagging,
            "lagging.growing",
        ),
        (
            "behind and draining",
            Evidence { age: aged(120.0), slope: slope(-3.0, -3.5), ..o() },
            S::Lagging,
            "lagging.draining",
        ),
        ("growing for some minutes", Evidence { slope: slope(3.0, 3.5), ..o() }, S::Lagging, "lagging.growing"),
        ("growing, but still of no age", Evidence { slope: slope(3.0, 3.5), age: aged(2.0), ..o() }, S::Ok, "ok"),
        ("up and down", Evidence { slope: slope(3.0, 1.5), ..o() }, S::Ok, "ok"),
        ("hardly better", Evidence { age: aged(40.0), was: S::Lagging, ..o() }, S::Lagging, "lagging.steady"),
        ("better", Evidence { age: aged(29.0), was: S::Lagging, ..o() }, S::Ok, "ok"),
        ("age unknown, seconds behind by its speed", unknown(10.0), S::Ok, "ok"),
        ("age unknown, minutes behind by its speed", unknown(1.0), S::Lagging, "lagging.steady"),
        (
            "only bounds: surely old",
            Evidence { age: Age { bounds: Some((70.0, 200.0)), ..Age::default() }, ..o() },
            S::Lagging,
            "lagging.steady",
        ),
        (
            "only bounds: perhaps old",
            Evidence { age: Age { bounds: Some((5.0, 200.0)), ..Age::default() }, ..o() },
            S::Ok,
            "ok",
        ),
    ];
    for (name, evidence, state, key) in &cases {
        let (found, reason) = verdict(evidence);
        assert_eq!((found, reason.key.strip_prefix("lag.reason.").unwrap()), (*state, *key), "{name}: {reason:?}");
        assert!(reason.numbers.iter().all(|n| n.is_finite()), "{name}: {reason:?}");
        assert!(REASONS.iter().any(|(k, _)| *k == reason.key), "{name}: {} has no sentence", reason.key);
    }
    let said = |state| cases.iter().any(|c| c.2 == state);
    assert!(LagState::ALL.iter().all(|s| said(*s)), "every state has a case");
    let never = ["lag.reason.unknown.share", "lag.reason.never.group"];
    let unsaid = REASONS.iter().filter(|(key, _)| !never.contains(key) && !cases.iter().any(|c| key.ends_with(c.3)));
    assert_eq!(unsaid.count(), 0, "every sentence has a case");
}

/// Name, id, begins and ends.
type Log = (&'static str, &'static str, Vec<(u64, u64)>);

/// A broker as a survey tells it: topics by (name, id, ends), groups as they are.
struct Facts {
    at: i64,
    topics: Vec<Log>,
    groups: Vec<GroupFacts>,
    faults: Vec<String>,
}

impl Facts {
    fn new(ends: &[(u64, u64)]) -> Self {
        Self { at: 0, topics: vec![("orders", "one", ends.to_vec())], groups: Vec::new(), faults: Vec::new() }
    }

    /// A group with one member that has the partitions `assigned`, and positions by partition.
    fn group(&mut self, name: &str, assigned: &[u32], committed: &[(u32, u64)]) -> &mut GroupFacts {
        let member = MemberFacts {
            client_id: "c1".into(),
            host: "/h".into(),
            assigned: assigned.iter().map(|p| (0, *p)).collect(),
        };
        self.groups.retain(|g| &*g.name != name);
        self.groups.push(GroupFacts {
            name: name.into(),
            protocol: GroupProtocol::Classic,
            phase: if assigned.is_empty() { GroupPhase::Empty } else { GroupPhase::Stable },
            members: Some(if assigned.is_empty() { Vec::new() } else { vec![member] }),
            committed: Some(
                committed.iter().map(|(p, n)| Committed { partition: *p, next: *n, ..Committed::default() }).collect(),
            ),
            ..GroupFacts::default()
        });
        self.groups.last_mut().unwrap()
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(1_700_000_000 + self.at)
    }

    /// The survey `seconds` later.
    fn poll(&mut self, board: &mut Board, seconds: i64) -> Arc<LagCluster> {
        self.at += seconds;
        let partition = |(start, end): &(u64, u64)| PartitionFacts {
            start: Some(*start),
            end: Some(*end),
            leader: Some(1),
            replicas: 3,
            in_sync: 3,
            ..PartitionFacts::default()
        };
        let topic = |(name, id, ends): &(&str, &str, Vec<(u64, u64)>)| TopicFacts {
            name: (*name).into(),
            id: (*id).into(),
            append_time: Some(true),
            partitions: ends.iter().map(partition).collect(),
            ..TopicFacts::default()
        };
        board.absorb(&Survey {
            began: self.now(),
            ended: self.now(),
            answered: true,
            topics: self.topics.iter().map(topic).collect(),
            groups: self.groups.clone(),
            faults: self.faults.clone(),
            ..Survey::default()
        });
        board.view(self.now())
    }
}

fn board(groups: usize, rows: usize) -> Board {
    Board::new(BoardConfig { cluster: "main".into(), kind: "kafka", groups, rows, read_records: false })
}

fn states(group: &GroupView) -> Vec<(u32, &'static str)> {
    group.rows.iter().map(|r| (r.partition, r.state.name())).collect()
}

#[test]
fn rows_come_and_go_with_positions_members_and_partitions() {
    let (mut facts, mut board) = (Facts::new(&[(0, 100), (0, 100), (0, 0)]), board(9, 99));
    facts.group("part", &[], &[(0, 94)]);
    facts.group("new", &[0, 2], &[]);
    facts.group("nothing", &[], &[]);
    facts.group("share", &[], &[]).protocol = GroupProtocol::Share;
    let view = facts.poll(&mut board, 5);
    let names: Vec<_> = view.groups.iter().map(|g| (&*g.group, g.state.name(), g.burrow)).collect();
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
    assert_eq!((part.lag_messages, part.unknown_partitions, part.rows[1].lag_messages), (Some(6), 1, None));
    assert_eq!((part.next_unread_age_seconds, part.rows[0].next_unread_age_seconds), (None, None));

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
    assert!(std::mem::size_of::<crate::snapshot::LagRow>() <= 320 && std::mem::size_of::<group::Row>() <= 112);
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

mod stories;

mod properties {
    use proptest::prelude::*;

    use super::super::index::Look;
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        /// Any log, any target, any broker that answers truly: what the index says holds, and it ends.
        #[test]
        fn the_index_never_says_more_than_it_was_told(
            steps in prop::collection::vec(prop_oneof![Just(0_i64), 1..50_i64, 1_000..5_000_000_i64], 1..120),
            holes in prop::collection::vec(any::<bool>(), 120),
            target in 0_usize..120,
            shrink in any::<bool>(),
        ) {
            let mut time = 1_700_000_000_000_i64;
            let log: Vec<Option<i64>> = steps.iter().zip(&holes).map(|(step, hole)| {
                time += step;
                (!hole).then_some(time)
            }).collect();
            let now = Timestamp::from_millis(time + 10_000);
            let (end, target) = (log.len() as u64, (target % log.len()) as u64);
            let look = Look { end, now, ascending: true, markers: false, flowing: false };
            let truth = log[target as usize..].iter().find_map(|t| *t);
            let mut index = TimeIndex::default();
            for _ in 0..200 {
                if shrink {
                    index.shrink(8, &[target], now);
                }
                let next = index.next(target, look);
                let age = age_of(next, now);
                if let (Some(age), Some(truth)) = (age.seconds, truth) {
                    let truth = now.since(Timestamp::from_millis(truth)) as f64 / 1e6;
                    prop_assert!((age - truth).abs() <= (truth * 0.05).max(1.0) + 0.01, "{age} {truth} {next:?}");
                }
                prop_assert!(truth.is_some() || age.seconds.is_none(), "{next:?} about nothing");
                if age.seconds.is_some() {
                    return Ok(());
                }
                let Some(asked) = index.question(target, look) else { return Ok(()) };
                let first = log.iter().enumerate().find_map(|(p, t)| {
                    let time = Timestamp::from_millis((*t)?);
                    (time >= asked).then_some(TimedPosition { position: p as u64, time })
                });
                // The board lets a partition rest then.
                if !index.answered(asked, first, look) {
                    return Ok(());
                }
            }
            prop_assert!(false, "it goes on asking");
        }
    }
}
