//! The verdict on one transaction, from all of its events at once.

use streamgauge::model::{FlowSpec, Outcome, Status};

use super::{Around, Hole, Placed};

/// A transaction without any event for this long leaves a flow that never ends, microseconds.
const QUIET: i64 = 900 * 1_000_000;
/// A transaction that starts this long after reading began in the middle may have begun before, microseconds.
const JOIN_WITHIN: i64 = 900 * 1_000_000;

/// Seconds for which a transaction is remembered that ended `ok`.
const HOUR: i64 = 3_600;

/// What is configured for a flow.
pub struct Rule<'a> {
    /// Declared stages.
    pub stages: &'a [String],
    ends_at: Vec<&'a str>,
    timeout: Option<i64>,
    never_ends: bool,
}

impl<'a> Rule<'a> {
    /// From the configuration, if there is any for this flow.
    pub fn of(name: &str, spec: Option<&'a FlowSpec>) -> Self {
        match spec {
            Some(spec) => Self {
                stages: &spec.stages,
                ends_at: spec.ends_at.iter().map(String::as_str).collect(),
                timeout: spec.timeout.map(|t| t.as_micros() as i64),
                never_ends: spec.ends_at.is_empty() && spec.timeout.is_none(),
            },
            None => Self {
                stages: &[],
                ends_at: if name == "default" { vec!["received"] } else { Vec::new() },
                timeout: None,
                never_ends: true,
            },
        }
    }

    /// How this event would end its transaction.
    fn end(&self, event: &Placed<'_>) -> Option<Outcome> {
        // What lies among the dead letters is dead, whatever the original's payload says.
        if event.dead {
            return Some(Outcome::DeadLettered);
        }
        if event.record.outcome.is_some() {
            return event.record.outcome;
        }
        if !self.ends_at.contains(&event.record.stage.as_str()) {
            return None;
        }
        match event.record.status {
            Status::Ok => Some(Outcome::Ok),
            Status::Failed => Some(Outcome::Failed),
            Status::Compensated => Some(Outcome::Compensated),
            Status::DeadLettered => Some(Outcome::DeadLettered),
            Status::Retried => None,
        }
    }

    fn declared(&self, stage: &str) -> Option<usize> {
        self.stages.iter().position(|s| s == stage)
    }
}

/// Where the two ends of a latency were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clock {
    /// Both in the payload.
    Event,
    /// Both beside the record.
    Record,
    /// One each.
    Mixed,
}

impl Clock {
    /// Name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Record => "record",
            Self::Mixed => "mixed",
        }
    }

    /// Of a latency between two times, or of many latencies together.
    pub fn both(a: Self, b: Self) -> Self {
        if a == b { a } else { Self::Mixed }
    }
}

/// Where a transaction stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Not ended, and its deadline not passed.
    InFlight,
    /// Quiet for long in a flow that never ends.
    OpenEnded,
    /// Past its deadline, and something may be missing.
    Unexplained,
    /// Ended.
    Ended(Outcome),
}

/// A way from stage to stage.
#[derive(Clone, Debug)]
pub struct Hop {
    /// From stage.
    pub from: String,
    /// To stage.
    pub to: String,
    /// Signed microseconds.
    pub micros: i64,
    /// Clock.
    pub clock: Clock,
    /// Cut time of the later stage's event.
    pub cut: i64,
    /// That event is late.
    pub late: bool,
}

/// All that is to be said of one transaction.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Cut time of its first event, and whether that is late.
    pub start: (i64, bool),
    /// Joined in the middle.
    pub joined: bool,
    /// Where it stands.
    pub state: State,
    /// Cut time of its end, and whether the event that ended it is late.
    pub end: Option<(i64, bool)>,
    /// End-to-end latency.
    pub latency: Option<(i64, Clock)>,
    /// Cut time of the recovery, and whether that event is late.
    pub recovered: Option<(i64, bool)>,
    /// Events that came after the end.
    pub after_end: u64,
    /// Hops.
    pub hops: Vec<Hop>,
    /// Cut time of its last event.
    pub last: i64,
    /// Stage at which it waits while in flight.
    pub waiting_at: String,
    /// It timed out, or perhaps what expired unread explains why it did not end.
    pub doubtful: bool,
}

/// When an event happened in the best words that we have, and whose words those are.
fn time(event: &Placed<'_>) -> (i64, Clock) {
    match (event.record.event_time, event.record.record_time) {
        (Some(t), _) => (t.0, Clock::Event),
        (None, Some(t)) => (t.0, Clock::Record),
        (None, None) => (event.cut, Clock::Record),
    }
}

/// The verdict; `events` in order, at least one.
pub fn resolve(events: &[Placed<'_>], rule: &Rule<'_>, around: &Around, watermark: Option<i64>) -> Verdict {
    let first = &events[0];
    let last = events[events.len() - 1].cut;
    let deadline = rule.timeout.map(|t| first.cut + t);
    // A flow that never ends lets go of a quiet transaction: what comes later counts, and is nothing of its life.
    let ended_before = |n: usize| events[..n].iter().any(|e| rule.end(e).is_some());
    let parts = |n: &usize| events[*n].cut - events[*n - 1].cut > QUIET && !ended_before(*n);
    let lived = (1..events.len()).find(|n| rule.never_ends && parts(n)).unwrap_or(events.len());
    let quiet = lived < events.len();
    let last = if quiet { events[lived - 1].cut } else { last };
    let in_time = events.iter().position(|e| rule.end(e).is_some() && deadline.is_none_or(|d| e.cut <= d));
    let passed = |moment: i64| watermark.is_some_and(|w| w > moment);

    let mut state = State::InFlight;
    let mut doubtful = false;
    let mut end = None;
    let mut end_time = None;
    if let Some(i) = in_time {
        state = State::Ended(rule.end(&events[i]).expect("chosen for it"));
        end = Some((events[i].cut, events[i].late));
        end_time = Some(time(&events[i]).0);
    } else if let Some(d) = deadline.filter(|&d| passed(d)) {
        let touched = |begin: fn(&Hole) -> i64| {
            let between = |h: &Hole| begin(h) <= d && h.to >= first.cut;
            around.holes.iter().any(|(seen, holes)| *seen <= d && holes.iter().any(between))
        };
        let missing = touched(|h| h.surely);
        doubtful = !missing && touched(|h| h.from);
        state = if missing { State::Unexplained } else { State::Ended(Outcome::TimedOut) };
        end = (!missing).then_some((d, first.late));
        end_time = Some(d);
    } else if rule.never_ends && passed(last + QUIET) {
        state = State::OpenEnded;
    }

    // The least later end that is ok mends a dead letter, a timeout, or what nobody could explain.
    let mendable = match state {
        State::Ended(Outcome::DeadLettered) => in_time.map(|i| i + 1),
        State::Ended(Outcome::TimedOut) | State::Unexplained => {
            Some(events.partition_point(|e| e.cut <= deadline.expect("it passed")))
        }
        _ => None,
    };
    let mend = mendable.and_then(|from| (from..events.len()).find(|&i| rule.end(&events[i]) == Some(Outcome::Ok)));

    let after = |i: usize| Some(i) != in_time && Some(i) != mend && end_time.is_some_and(|t| time(&events[i]).0 > t);
    let after = |i: usize| !quiet && after(i);
    let mends = |i: usize| mend.is_some_and(|m| i == m || are_copies(&events[i], &events[m]));
    let belongs: Vec<usize> = (0..lived).filter(|&i| !after(i) && !mends(i)).collect();
    let joined = !rule.stages.is_empty()
        && first.record.stage != rule.stages[0]
        && around.middles.iter().any(|m| first.cut <= m + rule.timeout.unwrap_or(0).max(JOIN_WITHIN));

    Verdict {
        start: (first.cut, first.late),
        joined,
        state,
        end,
        latency: in_time.filter(|_| !joined && !quiet).and_then(|i| end_to_end(events, i, &belongs)),
        recovered: mend.map(|i| (events[i].cut, events[i].late)),
        after_end: (0..events.len()).filter(|&i| after(i)).count() as u64,
        hops: if joined { Vec::new() } else { hops(events, &belongs, rule) },
        last,
        waiting_at: waiting_at(&events[..lived], rule),
        doubtful,
    }
}

/// The events of one transaction id, told apart where what came before is long forgotten.
pub fn lives<'e, 'a>(events: &'e [Placed<'a>], rule: &Rule<'_>, around: &Around) -> Vec<&'e [Placed<'a>]> {
    let (mut out, mut begin) = (Vec::new(), 0);
    for n in 1..events.len() {
        let life = resolve(&events[begin..n], rule, around, Some(events[n].cut));
        let kept = match life.state {
            State::InFlight => None,
            State::OpenEnded => Some((life.last, HOUR)),
            State::Ended(Outcome::Ok) => life.end.map(|end| (end.0, HOUR)),
            _ => life.end.map(|end| (end.0, 7 * 24 * HOUR)),
        };
        let second = |micros: i64| micros.div_euclid(1_000_000);
        if kept.is_some_and(|(over, kept)| second(events[n].cut) > second(over) + kept) {
            out.push(&events[begin..n]);
            begin = n;
        }
    }
    out.push(&events[begin..]);
    out
}

/// Two copies of one event that both count, because ten minutes lie between them.
fn are_copies(a: &Placed<'_>, b: &Placed<'_>) -> bool {
    let identity =
        |e: &Placed<'_>| (e.key.cluster.clone(), e.key.stream.clone(), e.record.id.clone(), e.record.redrive);
    !a.record.id.is_empty() && identity(a) == identity(b) && time(a) == time(b)
}

fn end_to_end(events: &[Placed<'_>], end: usize, belongs: &[usize]) -> Option<(i64, Clock)> {
    let (to, to_clock) = time(&events[end]);
    let others = belongs.iter().filter(|&&i| i != end && !are_copies(&events[i], &events[end]));
    if let Some((from, from_clock)) = others.map(|&i| time(&events[i])).min_by_key(|t| t.0) {
        return Some((to - from, Clock::both(from_clock, to_clock)));
    }
    events[end].record.started_at.map(|s| (to - s.0, Clock::both(Clock::Event, to_clock)))
}

fn hops(events: &[Placed<'_>], belongs: &[usize], rule: &Rule<'_>) -> Vec<Hop> {
    // The first event of each stage, in the order of the log.
    let mut log: Vec<&Placed<'_>> = Vec::new();
    for &i in belongs {
        let stage = &events[i].record.stage;
        if events[i].record.status != Status::Retried
            && !stage.is_empty()
            && log.iter().all(|e| e.record.stage != *stage)
        {
            log.push(&events[i]);
        }
    }
    // A declared stage looks back along the declaration, any other along the log.
    let before = |n: usize| match rule.declared(&log[n].record.stage) {
        None => n.checked_sub(1),
        Some(rank) => {
            let earlier = (0..log.len()).filter_map(|m| Some((rule.declared(&log[m].record.stage)?, m)));
            earlier.filter(|(r, _)| *r < rank).max().map(|(_, m)| m)
        }
    };
    let pairs = (0..log.len()).filter_map(|n| Some((log[before(n)?], log[n])));
    pairs
        .map(|(a, b)| {
            let ((from, from_clock), (to, to_clock)) = (time(a), time(b));
            Hop {
                from: a.record.stage.clone(),
                to: b.record.stage.clone(),
                micros: to - from,
                clock: Clock::both(from_clock, to_clock),
                cut: b.cut,
                late: b.late,
            }
        })
        .collect()
}

fn waiting_at(events: &[Placed<'_>], rule: &Rule<'_>) -> String {
    if rule.stages.is_empty() {
        return events[events.len() - 1].record.stage.clone();
    }
    let reached = |e: &Placed<'_>| rule.declared(&e.record.stage).filter(|_| e.record.status != Status::Retried);
    let next = events.iter().filter_map(reached).max().map_or(0, |r| r + 1);
    rule.stages[next.min(rule.stages.len() - 1)].clone()
}
