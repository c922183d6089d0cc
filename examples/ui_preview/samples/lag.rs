//! Made-up boards of groups and of dead letters: every state with its reason, many groups, hostile names.

use std::sync::Arc;

use super::super::sg::model::{GroupPhase, GroupProtocol, Timestamp};
use super::super::sg::snapshot::{
    AgeMethod, Burrow, Confidence, DlqBoard, DlqStream, DlqWindow, FoundBy, GroupView, LagBoard, LagCluster, LagRow,
    LagState, LetterView, PartitionTrouble, Reason, ToldLag, WINDOWS,
};

/// One group of a made-up board.
struct Made {
    name: &'static str,
    state: LagState,
    key: &'static str,
    numbers: [f64; 3],
    lag: Option<i64>,
    age: Option<f64>,
    bounds: Option<(f64, f64)>,
    trend: fn(f32) -> Option<f32>,
}

const fn made(
    name: &'static str,
    state: LagState,
    key: &'static str,
    numbers: [f64; 3],
    lag: Option<i64>,
    age: Option<f64>,
) -> Made {
    Made { name, state, key, numbers, lag, age, bounds: None, trend: |x| Some(40.0 + 12.0 * (x * 9.0).sin()) }
}

/// Every state, as an operator may meet it.
fn every() -> Vec<Made> {
    use LagState as S;
    vec![
        Made {
            trend: |x| Some(300.0 + 11_903.0 * x * x),
            ..made(
                "payments-authorizer",
                S::Stalled,
                "lag.reason.stalled",
                [11_903.0, 41.0, 41_002_455.0],
                Some(11_903),
                Some(41.2),
            )
        },
        Made {
            trend: |x| Some(2e6 * x),
            ..made(
                "analytics-loader",
                S::Lost,
                "lag.reason.lost",
                [48_120.0, 2_004_311.0, 0.0],
                Some(2_052_431),
                Some(86_400.0),
            )
        },
        made("share-workers", S::AckStalled, "lag.reason.ack_stalled", [212.0, 95.0, 0.0], Some(212), Some(95.0)),
        made("mailer", S::Stopped, "lag.reason.stopped", [804.0, 310.0, 0.0], Some(804), Some(312.0)),
        Made {
            trend: |x| Some(900.0 + 5_000.0 * x),
            ..made(
                "search-indexer",
                S::Lagging,
                "lag.reason.lagging.growing",
                [5_912.0, 31.4, 74.0],
                Some(5_912),
                Some(74.0),
            )
        },
        Made {
            trend: |x| Some(90_000.0 * (1.0 - x)),
            bounds: Some((130.0, 410.0)),
            ..made("backfill", S::Rewound, "lag.reason.rewound", [91_000.0, 1_000.0, 90_000.0], Some(9_400), None)
        },
        Made {
            trend: |x| (x < 0.7).then_some(20.0),
            ..made("invoices", S::Recreated, "lag.reason.recreated", [5_000.0, 600.0, 0.0], None, None)
        },
        made("old-report", S::Abandoned, "lag.reason.abandoned", [77.0, 1_209_600.0, 0.0], Some(77), Some(1_209_700.0)),
        made("new-consumer", S::NeverCommitted, "lag.reason.never.assigned", [1_200.0, 0.0, 0.0], None, None),
        made("acl-hidden", S::Unknown, "lag.reason.unknown.group", [0.0; 3], None, None),
        made("just-seen", S::Warming, "lag.reason.warming", [12.0, 31.0, 0.0], Some(31), None),
        made("night-batch", S::Idle, "lag.reason.idle", [7_300.0, 0.0, 0.0], Some(0), Some(0.0)),
        made("order-projection", S::Ok, "lag.reason.ok", [18.0, 0.0, 0.0], Some(18), Some(0.4)),
        made("fraud-check", S::Ok, "lag.reason.caught_up", [0.0; 3], Some(0), Some(0.0)),
    ]
}

fn row(m: &Made, stream: &str, partition: u32, now: Timestamp) -> LagRow {
    let bad = partition == 0;
    let lag = if bad { m.lag } else { m.lag.map(|_| 0) };
    let end = 41_014_358 + u64::from(partition) * 7_919 + now.0.unsigned_abs() / 1_000_000 % 100_000;
    let committed = lag.map(|n| end - n.unsigned_abs());
    let known = m.state != LagState::Unknown;
    let unread = lag.is_some_and(|n| n > 0);
    LagRow {
        stream: stream.into(),
        partition,
        committed: committed.filter(|_| known && m.state != LagState::NeverCommitted).into(),
        start: known.then_some(38_000_000).into(),
        end: known.then_some(end).into(),
        readable: lag.map(i64::unsigned_abs).into(),
        next_unread_age_seconds: if bad { m.age } else { lag.map(|_| 0.0) }.into(),
        bounds: [m.bounds.filter(|_| bad).map(|b| b.0).into(), m.bounds.filter(|_| bad).map(|b| b.1).into()],
        method: match (unread && bad, m.age, m.bounds) {
            (false, ..) if lag.is_some() => AgeMethod::CaughtUp,
            (true, Some(_), _) => AgeMethod::Index,
            (true, None, Some(_)) => AgeMethod::Bracket,
            _ => AgeMethod::None,
        },
        confidence: match (m.age, m.bounds) {
            (Some(a), _) if a > 60.0 => Confidence::Good,
            (Some(_), _) => Confidence::Exact,
            (None, Some(_)) => Confidence::Rough,
            _ => Confidence::None,
        },
        drain_seconds: (m.state == LagState::Rewound && bad).then_some(94.0).into(),
        commit_rate: known.then_some(if m.state >= LagState::Stopped { 0.0 } else { 31.4 }).into(),
        state: if bad { m.state } else { LagState::Ok },
        reason: Reason { key: if bad { m.key } else { "lag.reason.caught_up" }, numbers: m.numbers },
        burrow: burrow(m.state, bad),
        seen: (0..6)
            .map(|i| (50 - i * 10, end - 12_000 + u64::from(i) * 20, end - 600 + u64::from(i) * 120))
            .collect::<Vec<_>>()
            .into(),
        owner: (m.state != LagState::Stopped && m.state != LagState::Abandoned && known).then(|| {
            Arc::new((format!("{}-{}", m.name, partition % 3).into(), format!("/10.4.{}.17", partition % 3).into()))
        }),
        ..LagRow::default()
    }
}

const fn burrow(state: LagState, bad: bool) -> Burrow {
    match state {
        _ if !bad => Burrow::Ok,
        LagState::Stalled => Burrow::Stall,
        LagState::Stopped | LagState::Abandoned => Burrow::Stop,
        LagState::Rewound => Burrow::Rewind,
        LagState::Lagging | LagState::Lost => Burrow::Warn,
        LagState::Unknown | LagState::NeverCommitted => Burrow::NotFound,
        _ => Burrow::Ok,
    }
}

fn group(m: &Made, name: &str, stream: &str, partitions: u32, now: Timestamp) -> Arc<GroupView> {
    let rows: Vec<LagRow> = (0..partitions).map(|p| row(m, stream, p, now)).collect();
    Arc::new(GroupView {
        group: name.into(),
        protocol: if m.state == LagState::AckStalled { GroupProtocol::Share } else { GroupProtocol::Classic },
        phase: if m.state == LagState::Stopped { GroupPhase::Empty } else { GroupPhase::Stable },
        members: if m.state == LagState::Unknown {
            None
        } else {
            Some(if m.state == LagState::Stopped { 0 } else { 3 })
        },
        state: m.state,
        reason: Reason { key: m.key, numbers: m.numbers },
        burrow: burrow(m.state, true),
        lag_messages: m.lag,
        unknown_partitions: if m.lag.is_none() { partitions } else { 0 },
        next_unread_age_seconds: m.age,
        drain_seconds: (m.state == LagState::Rewound).then_some(94.0),
        commit_rate: rows.iter().filter_map(|r| r.commit_rate.get()).reduce(|a, b| a + b),
        lost_messages: if m.state == LagState::Lost { 48_120 } else { 0 },
        trend: (0..60_u8).map(|i| (m.trend)(f32::from(i) / 59.0)).collect(),
        as_of: now.plus(-1_200_000),
        rows: rows.into(),
        ..GroupView::default()
    })
}

/// When the newest survey was: boards stand still for five seconds.
pub fn survey(now: Timestamp) -> Timestamp {
    Timestamp(now.0 / 5_000_000 * 5_000_000)
}

/// What group number `n` of many has not read: no two alike, and another order after each survey.
fn unread(n: usize, survey: Timestamp) -> i64 {
    (n as i64 * 7_919 + survey.second() / 5 * 131) % 50_000
}

/// The board of a scenario.
pub fn board(name: &str, now: Timestamp) -> LagBoard {
    let survey = survey(now);
    let cluster = |cluster: &str, kind, groups| LagCluster {
        cluster: cluster.to_owned(),
        kind,
        as_of: Some(survey.plus(-300_000)),
        answering: true,
        cycle_seconds: Some(0.42),
        groups,
        ..LagCluster::default()
    };
    let every = every();
    let of = |made: &[Made]| made.iter().map(|m| group(m, m.name, "payments", 6, survey)).collect::<Vec<_>>();
    let calm: Vec<Made> = every.iter().filter(|m| m.state <= LagState::Idle).map(|m| Made { ..*m }).collect();
    let clusters = match name {
        "empty" | "first" => Vec::new(),
        "opening" => vec![LagCluster {
            as_of: None,
            answering: false,
            cycle_seconds: None,
            ..cluster("main", "kafka", Vec::new())
        }],
        "one" => vec![cluster("main", "kafka", Vec::new())],
        "calm" => vec![cluster("main", "kafka", of(&calm))],
        "many" => {
            let groups = (0..500_usize).map(|n| {
                // Most are well: one in a hundred is not.
                let m = if n % 9 == 0 { &every[n / 9 % every.len()] } else { &every[12 + n % 2] };
                let m = &Made { lag: m.lag.map(|l| if l > 0 { l + unread(n, survey) } else { l }), ..*m };
                let stream = ["orders", "payments", "refunds", "parcels"][n % 4];
                group(m, &format!("team-{:02}.{}-{n:03}", n % 17, m.name), stream, 3, survey)
            });
            let mut groups: Vec<_> = groups.collect();
            groups.sort_by(|a, b| a.group.cmp(&b.group));
            vec![cluster("main", "kafka", groups)]
        }
        "unreachable" => {
            let frozen = every.iter().map(|m| {
                let gone = Made { state: LagState::Unknown, key: "lag.reason.unknown.silent", ..*m };
                group(&gone, m.name, "payments", 6, survey)
            });
            let faults = vec!["127.0.0.1:9092/1: Connection refused (after 3 attempts)".to_owned()];
            let as_of = Some(survey.plus(-372_000_000));
            let main = LagCluster { answering: false, as_of, faults, ..cluster("main", "kafka", frozen.collect()) };
            vec![main, cluster("local", "embedded", of(&calm))]
        }
        _ => {
            let mut groups = of(&every);
            if name == "hostile" {
                for (n, evil) in
                    ["</table><script>alert(1)</script>", "\"onload=x", &"long-".repeat(40)].iter().enumerate()
                {
                    groups.push(group(&every[n], evil, "<b>&\"'", 2, survey));
                }
            }
            groups.sort_by(|a, b| a.group.cmp(&b.group));
            let trouble = |stream: &str, partition, what, replicas| PartitionTrouble {
                stream: stream.into(),
                partition,
                what,
                replicas,
            };
            let main = LagCluster {
                faults: vec!["topic ledger: not authorized to describe (TOPIC_AUTHORIZATION_FAILED)".to_owned()],
                troubles: vec![
                    trouble("payments", 2, "leaderless", (0, 3)),
                    trouble("orders", 0, "under_replicated", (2, 3)),
                    trouble("orders", 5, "under_replicated", (1, 3)),
                ],
                told: vec![
                    ToldLag {
                        cluster: "main".to_owned(),
                        group: "payments-authorizer".to_owned(),
                        stream: "payments".to_owned(),
                        partition: 0,
                        committed: Some(41_002_400),
                        end: Some(41_014_300),
                        start: None,
                        pending: Some(64),
                        oldest_pending_seconds: Some(39.5),
                        at: survey.plus(-7_000_000),
                    },
                    ToldLag {
                        cluster: "redis-eu".to_owned(),
                        group: "mail-workers".to_owned(),
                        stream: "mails".to_owned(),
                        partition: 0,
                        committed: Some(88_120),
                        end: Some(88_431),
                        start: None,
                        pending: Some(12),
                        oldest_pending_seconds: Some(73.0),
                        at: survey.plus(-21_000_000),
                    },
                ],
                ..cluster("main", "kafka", groups)
            };
            vec![main, cluster("local", "embedded", of(&calm[..1]))]
        }
    };
    LagBoard { clusters: clusters.into_iter().map(Arc::new).collect() }
}

/// The dead letters of a scenario.
pub fn letters(name: &str, now: Timestamp) -> DlqBoard {
    let survey = survey(now);
    let windows = |depth: u64| {
        let window = |(i, (name, _)): (usize, &(&'static str, i64))| DlqWindow {
            name,
            complete: i < 4,
            first: Some(depth.saturating_sub(12 * i as u64)),
            last: Some(depth),
            max: Some(depth + 3),
            inflow: Some(12 * i as u64),
            redriven: Some(0),
            expired: (i > 0).then_some(0),
        };
        WINDOWS.iter().enumerate().map(window).collect()
    };
    let letter = |n: u64| LetterView {
        partition: (n % 3) as u32,
        position: 90_400 + n,
        time: Some(survey.plus(-(n as i64) * 4_000_000)),
        family: ["spring", "connect", "streams"][n as usize % 3],
        error: ["java.net.SocketTimeoutException", "org.postgresql.util.PSQLException"][n as usize % 2].to_owned(),
        message: "Read timed out after 5000 ms while calling http://bank-gateway/authorize".to_owned(),
        source: Some(("payments".to_owned(), Some(2), Some(41_002_455 + n))),
        group: "payments-authorizer".to_owned(),
        transaction: (n % 4 != 3).then(|| ("checkout".to_owned(), format!("tx-{}", 48_113 + n))),
        redriven: u32::from(n == 2) * 2,
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
    };
    let arriving = DlqStream {
        cluster: "main".to_owned(),
        stream: "payments.dlq".into(),
        found_by: FoundBy::Name,
        as_of: Some(survey.plus(-300_000)),
        answering: true,
        retained: Some(1_204),
        unhandled: Some(412),
        redrive_group: Some("streamgauge-redrive.payments.dlq".to_owned()),
        inflow_per_minute: Some(24.0),
        oldest_unhandled_age_seconds: Some(2_912.0),
        expired: 0,
        inflow_total: 1_300,
        redriven_total: 792,
        windows: windows(412),
        trend: (0..60_u8).map(|i| Some(f32::from(i).powi(2) / 9.0 + 20.0)).collect(),
        by_error: vec![
            ("java.net.SocketTimeoutException".to_owned(), 790),
            ("org.postgresql.util.PSQLException".to_owned(), 388),
            ("com.fasterxml.jackson.databind.exc.InvalidFormatException".to_owned(), 26),
        ],
        by_source: vec![("payments".to_owned(), 1_150), ("refunds".to_owned(), 54)],
        by_group: vec![("payments-authorizer".to_owned(), 1_204)],
        looked_at: 1_204,
        newest: (0..12).map(letter).collect(),
        ..DlqStream::default()
    };
    let quiet = DlqStream {
        cluster: "main".to_owned(),
        stream: "orders-dlt".into(),
        found_by: FoundBy::Config,
        as_of: Some(survey.plus(-300_000)),
        answering: true,
        retained: Some(38),
        unhandled: Some(38),
        inflow_per_minute: Some(0.0),
        oldest_unhandled_age_seconds: Some(400_000.0),
        expired: 12,
        windows: windows(38),
        trend: vec![Some(38.0); 60],
        fault: "the right to read is missing: no breakdown".to_owned(),
        ..DlqStream::default()
    };
    let clear = DlqStream {
        stream: "dlq.parcels".into(),
        retained: Some(0),
        unhandled: Some(0),
        expired: 0,
        oldest_unhandled_age_seconds: None,
        fault: String::new(),
        trend: vec![Some(0.0); 60],
        windows: windows(0),
        ..quiet.clone()
    };
    let streams = match name {
        "empty" | "first" | "opening" | "one" => Vec::new(),
        "calm" => vec![clear],
        "unreachable" => {
            vec![DlqStream { answering: false, as_of: Some(survey.plus(-372_000_000)), ..arriving }, clear]
        }
        "hostile" => vec![DlqStream { stream: "</td><script>x".into(), ..arriving }, quiet],
        _ => vec![arriving, quiet, clear],
    };
    DlqBoard {
        streams: streams.into_iter().map(Arc::new).collect(),
        suggested: if name == "incident" { vec![("main".to_owned(), "customer-errors".into())] } else { Vec::new() },
        ..DlqBoard::default()
    }
}
