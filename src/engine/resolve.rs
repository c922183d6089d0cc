//! What a set of events says about its transaction: a pure function, the same in any order of reading.

use serde::{Deserialize, Serialize};

use crate::model::{Outcome, Status};

use super::rules::{NO_STAGE, QUIET, Rules, StageId};

/// One event of a transaction. Times in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Cut time: which second it belongs to, and what is first.
    pub cut: i64,
    /// Event time, else record time, else cut time.
    pub time: i64,
    /// When the producer says that the transaction began.
    pub started: Option<i64>,
    /// Position in its partition.
    pub position: u64,
    /// Low half of the id's hash.
    pub print: u32,
    /// Which partition.
    pub source: u16,
    /// Which stage.
    pub stage: StageId,
    /// Status at the stage.
    pub status: Status,
    /// Outcome that the event carries; dead-lettered for everything in a dead letter stream.
    pub outcome: Option<Outcome>,
    /// True where `time` is the producer's.
    pub event_clock: bool,
    /// True where the cut lies further back than the history: totals only, no windows.
    pub late: bool,
}

impl Fact {
    /// True for a copy of the same event: one that counts anew after ten minutes is no other event of its transaction.
    fn repeats(&self, of: &Self) -> bool {
        self.print != 0 && (self.print, self.stage, self.time) == (of.print, of.stage, of.time)
    }
}

/// Whose clock measured a latency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Clock {
    /// Both ends by producers.
    Event = 0,
    /// Both ends by the log.
    Record = 1,
    /// One of each.
    Mixed = 2,
}

impl Clock {
    /// All, in the order of their numbers.
    pub const NAMES: [&str; 3] = ["event", "record", "mixed"];

    fn of(a: bool, b: bool) -> Self {
        match (a, b) {
            (true, true) => Self::Event,
            (false, false) => Self::Record,
            _ => Self::Mixed,
        }
    }
}

/// A point in cut time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Cut time.
    pub cut: i64,
    /// Too old for the windows.
    pub late: bool,
}

impl Moment {
    fn of(event: &Fact) -> Self {
        Self { cut: event.cut, late: event.late }
    }
}

/// A latency in microseconds, signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Whose clock.
    pub clock: Clock,
    /// How long.
    pub micros: i64,
}

/// One hop that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopMade {
    /// From stage.
    pub from: StageId,
    /// To stage.
    pub to: StageId,
    /// When it arrived.
    pub at: Moment,
    /// How long it took.
    pub sample: Sample,
}

/// How a transaction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// `None`: past its deadline, but a hole in the log may have held the end (`unexplained`).
    pub outcome: Option<Outcome>,
    /// Which second it belongs to.
    pub at: Moment,
    /// The end's time, which `after_end` is measured against.
    pub time: i64,
    /// End-to-end latency.
    pub latency: Option<Sample>,
}

/// What cannot be read from the events themselves. Kept with the transaction, so that what was added can be taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The watermark has passed the deadline.
    pub passed: bool,
    /// A hole lies between start and deadline.
    pub hole: bool,
    /// Reading began in the middle of this transaction: no latency.
    pub joined: bool,
}

/// Where a transaction stands for the books.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Started and not ended.
    InFlight,
    /// Ended, after a recovery `ok`.
    Ended(Outcome),
    /// Past its deadline across a hole.
    Unexplained,
}

/// All that a transaction contributes to the numbers of its flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// First event.
    pub start: Moment,
    /// Cut time of the last event of its life.
    pub last_cut: i64,
    /// Its flow can never end, and it was quiet for long before it did.
    pub quiet: bool,
    /// Reading began in the middle of it.
    pub joined: bool,
    /// The first end.
    pub end: Option<End>,
    /// A later `ok` after a dead letter or a timeout.
    pub recovery: Option<Moment>,
    /// Events later than the end.
    pub after_end: u32,
    /// Where it waits while it is in flight.
    pub waiting: StageId,
    /// Hops made.
    pub hops: Vec<HopMade>,
    reached: Vec<u16>,
}

impl Default for Resolution {
    fn default() -> Self {
        let start = Moment { cut: 0, late: false };
        let (end, recovery) = (None, None);
        let (hops, reached) = (Vec::new(), Vec::new());
        Self {
            start,
            last_cut: 0,
            quiet: false,
            joined: false,
            end,
            recovery,
            after_end: 0,
            waiting: NO_STAGE,
            hops,
            reached,
        }
    }
}

impl Resolution {
    /// Where it stands for the books.
    #[must_use]
    pub fn fate(&self) -> Fate {
        match (&self.end, &self.recovery) {
            (None, _) => Fate::InFlight,
            (Some(_), Some(_)) => Fate::Ended(Outcome::Ok),
            (Some(end), None) => end.outcome.map_or(Fate::Unexplained, Fate::Ended),
        }
    }

    /// Resolves `events`, which are in the order of their order keys and not empty.
    pub fn resolve(&mut self, events: &[Fact], rules: &Rules, context: Context) {
        let deadline = rules.timeout.map(|t| events[0].cut.saturating_add(t));
        let in_time = |e: &Fact| deadline.is_none_or(|d| e.cut <= d);
        let ending = events.iter().position(|e| rules.end(e).is_some()).filter(|i| in_time(&events[*i]));
        self.start = Moment::of(&events[0]);
        // What comes after a long quiet does not belong to it any more, whenever it is read; only an outcome does.
        let lived = life(events, rules);
        self.quiet = lived < events.len();
        self.last_cut = events[lived - 1].cut;
        self.joined = context.joined;
        self.recovery = None;
        self.after_end = 0;
        self.waiting = NO_STAGE;
        self.end = match (ending, deadline) {
            (Some(i), _) => Some(End {
                outcome: rules.end(&events[i]),
                at: Moment::of(&events[i]),
                time: events[i].time,
                latency: None,
            }),
            (None, Some(cut)) if context.passed => Some(End {
                outcome: (!context.hole).then_some(Outcome::TimedOut),
                at: Moment { cut, late: false },
                time: cut,
                latency: None,
            }),
            _ => None,
        };
        let Some(end) = self.end else {
            self.reach(&events[..lived], rules, |_| true);
            self.waiting = waiting_at(&events[..lived], rules);
            return;
        };
        let recoverable = matches!(end.outcome, None | Some(Outcome::DeadLettered | Outcome::TimedOut));
        let recovery = (recoverable)
            .then(|| {
                let from = ending.map_or(0, |i| i + 1);
                events[from..].iter().position(|e| rules.end(e) == Some(Outcome::Ok)).map(|i| from + i)
            })
            .flatten();
        self.recovery = recovery.map(|i| Moment::of(&events[i]));
        if self.quiet {
            self.reach(&events[..lived], rules, |_| true);
            return;
        }
        let belongs = |i: usize| Some(i) == ending || Some(i) == recovery || events[i].time <= end.time;
        self.after_end = (0..events.len()).filter(|i| !belongs(*i)).count() as u32;
        if let (Some(i), false) = (ending, context.joined) {
            let other = |j: &usize| !events[*j].repeats(&events[i]) && Some(*j) != recovery && belongs(*j);
            let others = (0..events.len()).filter(|j| *j != i).filter(other);
            let first = others.min_by_key(|j| events[*j].time);
            let begin = match first {
                Some(j) => Some((events[j].time, events[j].event_clock)),
                None => events[i].started.map(|t| (t, true)),
            };
            if let (Some((from, clock)), Some(end)) = (begin, &mut self.end) {
                let micros = events[i].time.saturating_sub(from);
                end.latency = Some(Sample { clock: Clock::of(clock, events[i].event_clock), micros });
            }
        }
        self.reach(events, rules, |i| Some(i) != recovery && belongs(i));
    }

    /// The hops between the stages that were reached: to a declared stage from the declared one before it that was
    /// reached, to any other from the stage before it in the log.
    fn reach(&mut self, events: &[Fact], rules: &Rules, belongs: impl Fn(usize) -> bool) {
        self.hops.clear();
        self.reached.clear();
        if self.joined {
            return;
        }
        let mut seen = [0u64; 4];
        let mut previous: Option<&Fact> = None;
        for (i, event) in events.iter().enumerate() {
            let (word, bit) = (usize::from(event.stage >> 6), 1 << (event.stage & 63));
            if event.status == Status::Retried || seen[word] & bit != 0 || !belongs(i) {
                continue;
            }
            seen[word] |= bit;
            if rules.rank(event.stage).is_some() {
                self.reached.push(i as u16);
            } else {
                self.hops.extend(previous.map(|p| hop(p, event)));
            }
            previous = Some(event);
        }
        let rank = |i: u16| rules.rank(events[usize::from(i)].stage);
        if !self.reached.is_sorted_by_key(|i| rank(*i)) {
            self.reached.sort_by_key(|i| rank(*i));
        }
        let pairs = self.reached.windows(2).map(|w| hop(&events[usize::from(w[0])], &events[usize::from(w[1])]));
        self.hops.extend(pairs);
    }
}

fn hop(from: &Fact, to: &Fact) -> HopMade {
    let micros = to.time.saturating_sub(from.time);
    let sample = Sample { clock: Clock::of(from.event_clock, to.event_clock), micros };
    HopMade { from: from.stage, to: to.stage, at: Moment::of(to), sample }
}

/// How many events a transaction has before it is quiet for long, in a flow whose transactions only leave by that.
fn life(events: &[Fact], rules: &Rules) -> usize {
    if rules.can_end {
        return events.len();
    }
    for (i, pair) in events.windows(2).enumerate() {
        if rules.end(&pair[0]).is_some() {
            break;
        }
        if pair[1].cut.saturating_sub(pair[0].cut) > QUIET {
            return i + 1;
        }
    }
    events.len()
}

/// The declared stage after the furthest that was reached (the last one, where it was reached and did not end the
/// transaction); without declared stages the last one seen.
fn waiting_at(events: &[Fact], rules: &Rules) -> StageId {
    let Some(last) = rules.order.len().checked_sub(1) else {
        return events[events.len() - 1].stage;
    };
    let reached = events.iter().filter(|e| e.status != Status::Retried).filter_map(|e| rules.rank(e.stage)).max();
    rules.order[reached.map_or(0, |r| usize::from(r) + 1).min(last)]
}

#[cfg(test)]
#[path = "tests/resolve.rs"]
mod tests;
