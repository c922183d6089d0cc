//! The verdict as a function: each rule, each edge, each sentence.

use super::*;

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
        arriving: unread_for - quiet,
        age: Age { bounds: Some((unread_for, unread_for + 1.0)), ..Age::default() },
        ..o()
    };
    let never = |e: Evidence| Evidence { watched: e.unmoved, pause: None, commit_rate: Some(0.0), ..e };
    // We watch for half a minute again, the log is at rest; what was seen before tells over which time it had grown.
    let again = |arriving| Evidence {
        arriving,
        age: Age { bounds: Some((400.0, 401.0)), ..Age::default() },
        ..never(perhaps(31.0, 31.0))
    };
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
        ("the same, and we were restarted", again(95.0), S::Stalled, "stalled"),
        ("aborted records may be all, and we were restarted", again(20.0), S::Unknown, "unknown.aborted"),
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
