//! A log whose every append time is known, a group whose every commit is known, and a monitor that sees only what a
//! broker would tell it. The truth is read off the log, never off the monitor.

use std::sync::Arc;

use streamgauge::lag::{Board, BoardConfig};
use streamgauge::model::{
    Committed, GroupFacts, GroupPhase, GroupProtocol, MemberFacts, PartitionFacts, Survey, TimeQuestion, TimedPosition,
    Timestamp, TopicFacts,
};
use streamgauge::snapshot::{Confidence, LagCluster, LagRow};

/// What lies at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Data,
    /// End of a transaction: takes a position and has a time, but no reader sees it.
    Marker,
    /// Of an aborted transaction: the same.
    Aborted,
    /// Taken by compaction: not even a time is left.
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    appended: i64,
    /// The record time that the broker tells, milliseconds; producers' clocks may differ.
    stamp: i64,
    kind: Kind,
}

/// One partition and one group on it. Times are milliseconds.
pub struct World {
    pub now: i64,
    log: Vec<Entry>,
    /// Highest stamp up to each position.
    high: Vec<i64>,
    pub start: u64,
    /// First position of an open transaction.
    pub open: Option<u64>,
    pub id: u32,
    pub append_time: bool,
    pub committed: Option<u64>,
    pub phase: GroupPhase,
    pub members: usize,
    pub assigned: bool,
    pub protocol: GroupProtocol,
    /// The cluster answers.
    pub up: bool,
}

impl World {
    pub fn new() -> Self {
        Self {
            now: 1_700_000_000_000,
            log: Vec::new(),
            high: Vec::new(),
            start: 0,
            open: None,
            id: 1,
            append_time: true,
            committed: Some(0),
            phase: GroupPhase::Stable,
            members: 1,
            assigned: true,
            protocol: GroupProtocol::Classic,
            up: true,
        }
    }

    pub fn end(&self) -> u64 {
        self.log.len() as u64
    }

    pub fn reach(&self) -> u64 {
        self.open.unwrap_or(self.end())
    }

    /// Appends one entry now.
    pub fn append(&mut self, kind: Kind, stamp: i64) {
        let high = self.high.last().copied().unwrap_or(i64::MIN).max(stamp);
        self.log.push(Entry { appended: self.now, stamp, kind });
        self.high.push(high);
    }

    /// Lets `seconds` pass with even traffic of `per_second`; `each` runs once per second.
    pub fn run(&mut self, seconds: i64, per_second: f64, mut each: impl FnMut(&mut Self)) {
        for _ in 0..seconds {
            let (from, mut sent) = (self.now, 0.0);
            while sent < per_second {
                // Less than one per second: the fraction is a chance that the position decides.
                if per_second < 1.0 && (from / 1_000) % (1.0 / per_second) as i64 != 0 {
                    break;
                }
                self.now = from + (sent * 1_000.0 / per_second.max(1.0)) as i64;
                self.append(Kind::Data, self.now);
                sent += 1.0;
            }
            self.now = from + 1_000;
            each(self);
        }
    }

    /// The group stands behind the last record appended before `time`.
    pub fn commit_as_of(&mut self, time: i64) {
        self.committed = Some(self.log.partition_point(|e| e.appended < time) as u64);
    }

    /// Everybody left.
    pub fn die(&mut self) {
        (self.members, self.assigned, self.phase) = (0, false, GroupPhase::Empty);
    }

    /// Compaction takes entries; the newest 100 stay, as in the active segment.
    pub fn compact(&mut self, mut takes: impl FnMut(u64) -> bool) {
        for position in 0..self.end().saturating_sub(100) {
            if takes(position) {
                self.log[position as usize].kind = Kind::Gone;
            }
        }
    }

    /// The log is deleted and made again under its name.
    pub fn make_anew(&mut self) {
        (self.log, self.high, self.start, self.open) = (Vec::new(), Vec::new(), 0, None);
        self.id += 1;
    }

    /// The truth: when the next message that the group can read was appended; `None`: there is none.
    pub fn next_unread(&self) -> Option<i64> {
        let from = self.committed?.max(self.start);
        self.first_data(from).map(|p| self.log[p as usize].appended)
    }

    /// The log carries transactions.
    pub fn has_markers(&self) -> bool {
        self.log.iter().any(|e| e.kind == Kind::Marker)
    }

    fn first_data(&self, from: u64) -> Option<u64> {
        (from..self.reach()).find(|p| self.log[*p as usize].kind == Kind::Data)
    }

    fn timed(&self, position: u64) -> TimedPosition {
        TimedPosition { position, time: Timestamp::from_millis(self.log[position as usize].stamp) }
    }

    /// As a broker answers: the first entry, markers too, whose time is not before.
    fn first_not_before(&self, time: i64) -> Option<TimedPosition> {
        let from = self.high.partition_point(|h| *h < time) as u64;
        let fits = |p: &u64| {
            let e = self.log[*p as usize];
            e.stamp >= time && e.kind != Kind::Gone
        };
        (from.max(self.start)..self.reach()).find(fits).map(|p| self.timed(p))
    }

    pub fn at(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    fn survey(&self) -> Survey {
        let at = self.at();
        if !self.up {
            return Survey { began: at, ended: at, faults: vec!["no answer".into()], ..Survey::default() };
        }
        let partition = PartitionFacts {
            start: Some(self.start),
            stable_end: Some(self.reach()),
            end: Some(self.end()),
            at,
            leader: Some(1),
            replicas: 1,
            in_sync: 1,
            ..PartitionFacts::default()
        };
        let member = |i: usize| MemberFacts {
            client_id: "worker".into(),
            host: "/10.0.0.7".into(),
            assigned: if self.assigned && i == 0 { vec![(0, 0)] } else { Vec::new() },
        };
        Survey {
            began: at,
            ended: at,
            answered: true,
            topics: vec![TopicFacts {
                name: "orders".into(),
                id: self.id.to_string(),
                append_time: Some(self.append_time),
                partitions: vec![partition],
                ..TopicFacts::default()
            }],
            groups: vec![GroupFacts {
                name: "billing".into(),
                protocol: self.protocol,
                phase: self.phase,
                members: Some((0..self.members).map(member).collect()),
                committed: Some(
                    self.committed.map(|next| Committed { next, ..Committed::default() }).into_iter().collect(),
                ),
                committed_at: at,
                fault: String::new(),
            }],
            ..Survey::default()
        }
    }
}

/// A monitor as the loop drives it.
pub struct Monitor {
    pub board: Board,
    pub asked: usize,
    pub reads: usize,
}

impl Monitor {
    pub fn new(read_records: bool) -> Self {
        let config = BoardConfig { cluster: "main".into(), kind: "kafka", groups: 10, rows: 10, read_records };
        Self { board: Board::new(config), asked: 0, reads: 0 }
    }

    /// For so many groups and rows.
    #[allow(dead_code, reason = "examples/lag_board.rs uses it")]
    pub fn with_rows(groups: usize, rows: usize) -> Self {
        let config = BoardConfig { cluster: "main".into(), kind: "kafka", groups, rows, read_records: false };
        Self { board: Board::new(config), asked: 0, reads: 0 }
    }

    /// Dies and starts again with what it stored.
    pub fn restarted(mut self, read_records: bool) -> Self {
        let mut again = Self::new(read_records);
        for stored in self.board.changed_indexes(usize::MAX) {
            again.board.restore(stored);
        }
        again
    }

    /// One survey with its questions, as the loop does it.
    pub fn poll(&mut self, world: &World) -> Arc<LagCluster> {
        let now = world.at();
        self.board.absorb(&world.survey());
        for _ in 0..8 {
            let questions = self.board.questions(now, 1_000);
            if questions.is_empty() {
                break;
            }
            self.asked += questions.len();
            let answer = |q: &TimeQuestion| world.first_not_before(q.time.0.div_euclid(1_000));
            let answers: Vec<_> = questions.iter().map(answer).collect();
            self.board.answered(&questions, &answers, now);
        }
        let reads = self.board.reads(now, 10);
        self.reads += reads.len();
        let found: Vec<_> = reads
            .iter()
            .map(|(_, _, from)| Some(world.first_data((*from).max(world.start)).map(|p| world.timed(p))))
            .collect();
        self.board.was_read(&reads, &found, now);
        self.board.view(now)
    }
}

/// What is wrong with a row, seen from the truth. Unknown ages are right; `None` is returned for them too.
pub fn faults(world: &World, row: &LagRow) -> Vec<String> {
    let mut faults = Vec::new();
    let mut wrong = |what: String| faults.push(format!("{what}: {row:?}"));
    let committed = world.committed.expect("a position");
    let anew = committed > world.end();
    let lag = (!anew).then(|| world.end() as i64 - committed as i64);
    if row.state.name() != "RECREATED" && row.lag_messages() != lag {
        wrong(format!("lag is {lag:?}"));
    }
    if row.state.name() == "RECREATED" && (row.lag_messages().is_some() || row.next_unread_age_seconds.get().is_some())
    {
        wrong("numbers of a log that is gone".into());
    }
    let truth = world.next_unread().map(|appended| (world.now - appended) as f64 / 1_000.0);
    match (row.next_unread_age_seconds.get(), truth) {
        (Some(0.0), Some(truth)) => wrong(format!("a false 0, the truth is {truth}")),
        (Some(age), Some(truth)) if (age - truth).abs() > truth.mul_add(0.05, 0.0).max(1.0) + 0.002 => {
            wrong(format!("age {age}, the truth is {truth}"));
        }
        (Some(age), None) if age > 0.0 => wrong(format!("age {age}, but nothing is unread")),
        (Some(age), _) if age < 0.0 => wrong(format!("age {age}")),
        _ => {}
    }
    // Where transactions are, bounds say: if there is something at all. Then nothing better may be said.
    let perhaps = truth.is_none() && world.has_markers() && row.confidence == Confidence::Rough;
    if let Some((least, most)) = row.age_bounds()
        && !perhaps
        && !truth.is_some_and(|t| (least - 1.0..=most + 1.0).contains(&t))
    {
        wrong(format!("the truth {truth:?} lies outside of the bounds"));
    }
    for number in row.reason.numbers {
        if !number.is_finite() {
            wrong(format!("{number}"));
        }
    }
    faults
}
