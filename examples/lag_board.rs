//! What the board of lag takes in time and memory: 16,000 partitions, 4,000 groups on 40 of them each, all of them
//! moving: the worst case; then what it stores is taken. No broker is asked.
//!
//! ```sh
//! cargo run --release --example lag_board
//! ```

#[path = "../tests/support/lag/mod.rs"]
#[allow(dead_code, reason = "the simulator has more than is used here")]
mod lag;

use std::time::Instant;

use streamgauge::model::{
    Committed, GroupFacts, GroupProtocol, PartitionFacts, Survey, TimedPosition, Timestamp, TopicFacts,
};

use lag::Monitor;

/// What the process occupies, bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    status.split(' ').nth(1).and_then(|p| p.parse::<usize>().ok()).expect("pages") * 4_096
}

/// Prints what each survey takes, and asserts that all rows are there.
fn main() {
    let survey = |n: u64| {
        let at = Timestamp::from_seconds(1_700_000_000 + 5 * n as i64);
        let part = |_| PartitionFacts {
            start: Some(0),
            end: Some(100_000 + 1_000 * n),
            leader: Some(1),
            at,
            ..PartitionFacts::default()
        };
        let topic = |t: u64| TopicFacts {
            name: format!("topic-{t:04}").into(),
            append_time: Some(true),
            partitions: (0..40).map(part).collect(),
            ..TopicFacts::default()
        };
        let committed = |g: u64| {
            (0..40)
                .map(|i| Committed {
                    topic: (g % 400) as u32,
                    partition: i as u32,
                    next: 50_000 + 999 * n + g % 100,
                    committed_at: None,
                })
                .collect()
        };
        let group = |g: u64| GroupFacts {
            name: format!("group-{g:04}").into(),
            protocol: GroupProtocol::Simple,
            committed: Some(committed(g)),
            committed_at: at,
            ..GroupFacts::default()
        };
        Survey {
            began: at,
            ended: at,
            answered: true,
            topics: (0..400).map(topic).collect(),
            groups: (0..4_000).map(group).collect(),
            ..Survey::default()
        }
    };
    let before = resident();
    let mut monitor = Monitor::with_rows(10_000, 400_000);
    let mut view = None;
    for n in 0..20 {
        let survey = survey(n);
        let now = survey.ended;
        let began = Instant::now();
        monitor.board.absorb(&survey);
        let absorbed = began.elapsed();
        drop(survey);
        let began = Instant::now();
        let mut asked = 0;
        for _ in 0..4 {
            let questions = monitor.board.questions(now, 4_000);
            asked += questions.len();
            // A record every 5 ms since long ago.
            let answer = |t: Timestamp| TimedPosition {
                position: (t.0.max(0) / 5_000).rem_euclid(90_000) as u64,
                time: Timestamp(t.0.max(1_699_990_000_000_000)),
            };
            let answers: Vec<_> = questions.iter().map(|q| Some(answer(q.time))).collect();
            monitor.board.answered(&questions, &answers, now);
        }
        let questions = began.elapsed();
        let began = Instant::now();
        view = Some(monitor.board.view(now));
        let viewed = began.elapsed();
        let rows: usize = view.iter().flat_map(|v| &v.groups).map(|g| g.rows.len()).sum();
        let mib = (resident() - before) >> 20;
        println!("{n}: absorb {absorbed:?}, {asked} questions {questions:?}, view {viewed:?}, {rows} rows, {mib} MiB");
        assert_eq!(rows, 160_000);
    }
    let (mut slices, mut bytes) = (0, 0);
    loop {
        // As the loop does it.
        let changed = monitor.board.changed_indexes(1_000);
        if changed.is_empty() {
            break;
        }
        (slices, bytes) = (slices + 1, bytes + changed.iter().map(|c| c.bytes.len()).sum::<usize>());
    }
    println!("{bytes} bytes to store in {slices} slices: {} MiB", (resident() - before) >> 20);
    drop(view);
    println!("without the view {} MiB", (resident() - before) >> 20);
}
