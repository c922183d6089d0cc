//! The verdict about one group on one partition: a pure function of what is known, every answer with its reason.
//!
//! Detection is by time: a group is stalled when nothing was committed for longer than it takes *this* group, not
//! after so many commits. Rules stand in the order in which they are asked; the first that holds decides.

use super::age::Age;
use super::trend::Slope;
use crate::snapshot::{AgeMethod, LagState, Reason};

/// Least seconds without a commit before anything is said about it: above the pauses of rebalances and of the
/// usual commit interval of 5 s.
const PATIENCE_LEAST: f64 = 30.0;
/// So many of its own usual pauses between commits may pass.
const PATIENCE_PAUSES: f64 = 3.0;
/// Seconds for a group whose commits were never seen: the longest pause that clients allow by default.
pub const PATIENCE_UNKNOWN: f64 = 300.0;
/// From this age on a group lags, seconds, and until it is half as old again.
const LAGS: f64 = 60.0;
/// A lag that grows is worth a word from this age on, seconds.
const GROWS: f64 = 10.0;
/// Certainty from which a direction is believed, in standard deviations; and until which it stays believed.
const CERTAIN: (f64, f64) = (2.0, 1.0);
/// A log that got nothing for so long is idle, seconds.
const IDLE: f64 = 60.0;
/// Longest time that a broker lets a transaction stay open by default, seconds.
const TRANSACTION: f64 = 900.0;
/// What arrived within so many seconds may all be of one transaction, which may have been aborted.
const AT_ONCE: f64 = 60.0;
/// Surveys that must agree that nobody is there: a rebalance may look like it once.
const AGREE: u32 = 2;

/// Keys of all reasons, and the English sentence with what its numbers are.
pub const REASONS: &[(&str, &str)] = &[
    ("lag.reason.ok", "reads as fast as it is written; {0} unread"),
    ("lag.reason.caught_up", "nothing is unread"),
    ("lag.reason.arriving", "{0} just arrived"),
    ("lag.reason.markers", "nothing is unread: the last {0} positions are transaction markers or were aborted"),
    ("lag.reason.marker_tail", "the last position is most likely a transaction marker; allow read_records to be sure"),
    ("lag.reason.open_transaction", "nothing can be read: {0} records belong to an open transaction"),
    ("lag.reason.idle", "nothing is unread, nothing arrived for {0} s"),
    ("lag.reason.warming", "watched for {0} s: too short to judge {1} unread"),
    ("lag.reason.unknown.silent", "the cluster does not answer"),
    ("lag.reason.unknown.group", "the group's positions could not be learned"),
    ("lag.reason.unknown.partition", "begin and end of the log could not be learned"),
    ("lag.reason.unknown.share", "a share group has no positions"),
    (
        "lag.reason.unknown.aborted",
        "{0} positions are left, nothing committed for {1} s: messages, or markers and aborted records; allow read_records",
    ),
    ("lag.reason.unknown.tail", "one position is left, a message or a transaction marker; allow read_records"),
    ("lag.reason.never.assigned", "a member has it and never committed; {0} can be read"),
    ("lag.reason.never.partly", "never committed here, though elsewhere in the stream; {0} can be read"),
    ("lag.reason.never.group", "the group never committed anything"),
    ("lag.reason.lagging.growing", "{0} unread, growing by {1} per second; the next waits for {2} s"),
    ("lag.reason.lagging.steady", "{0} unread, as many as before; the next waits for {2} s"),
    ("lag.reason.lagging.draining", "{0} unread, shrinking by {1} per second; the next waits for {2} s"),
    ("lag.reason.lagging.transaction", "a transaction has been open for {1} s; {0} records wait behind it"),
    ("lag.reason.rewound", "went back to {1} from {0}; {2} are read again"),
    ("lag.reason.recreated", "committed {0}, but the log ends at {1}: it was made anew or cut off"),
    (
        "lag.reason.recreated.stale",
        "committed {0} in an earlier log of this name; {1} are in this one, how many were read is not known",
    ),
    ("lag.reason.abandoned", "no member has it; {0} unread, nothing committed for {1} s"),
    ("lag.reason.stopped", "the group has no members; {0} unread, nothing committed for {1} s"),
    ("lag.reason.silent", "nobody commits; {0} unread, nothing committed for {1} s"),
    ("lag.reason.ack_stalled", "{0} delivered and not acknowledged, the oldest for {1} s"),
    ("lag.reason.stalled", "a member has it, but nothing was committed for {1} s; {0} unread, stands at {2}"),
    ("lag.reason.lost", "{0} expired before they were read; {1} can still be read"),
];

/// Who reads a partition for a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Owner {
    /// Not known at the moment.
    #[default]
    Unknown,
    /// The group has no coordinator to ask: its consumers assign themselves.
    Unmanaged,
    /// The group has no members.
    NoMembers,
    /// It has members, but none of them has this partition.
    Nobody,
    /// A member.
    Somebody,
}

/// All that a verdict rests on. Seconds, unless said otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Evidence {
    /// The cluster answered the newest survey.
    pub answered: bool,
    /// The group's positions are those of the newest survey.
    pub positions: bool,
    /// Committed position; `None`: never committed.
    pub committed: Option<u64>,
    /// First position of the log.
    pub start: Option<u64>,
    /// Behind the last record that a reader of committed records can reach.
    pub stable_end: Option<u64>,
    /// End of the log.
    pub end: Option<u64>,
    /// The committed position is that of an earlier log of the same name, or beyond this one's end.
    pub stale: bool,
    /// Who reads.
    pub owner: Owner,
    /// Surveys that agree that nobody reads (`NoMembers`, `Nobody`).
    pub absent_polls: u32,
    /// Commits were seen while nobody was a member: consumers that assign themselves.
    pub commits_unmanaged: bool,
    /// Surveys that saw this row.
    pub polls: u32,
    /// Since the first of them.
    pub watched: f64,
    /// Since a commit was seen last, or since the first sight.
    pub unmoved: f64,
    /// Usual pause between commits; `None`: fewer than two were seen.
    pub pause: Option<f64>,
    /// Since something is unread, without a break; 0 where nothing is.
    pub unread_for: f64,
    /// Since the log got something.
    pub quiet: f64,
    /// Since the end for readers of committed records moved.
    pub stable_quiet: f64,
    /// The position before a rewind that was not regained.
    pub rewound_from: Option<u64>,
    /// Reading from the committed position reached the end without a record.
    pub nothing_left: bool,
    /// The topic carries transactions.
    pub transactional: bool,
    /// No record was seen at or behind the committed position of such a topic: all that is left may be markers and
    /// aborted records.
    pub unseen: bool,
    /// What is left went on arriving for at least so long; 0: perhaps it came at once.
    pub arriving: f64,
    /// Age of the next unread message.
    pub age: Age,
    /// Direction of the lag.
    pub slope: Option<Slope>,
    /// Records committed per second.
    pub commit_rate: Option<f64>,
    /// Delivered and not acknowledged: how many, and how long the oldest.
    pub pending: Option<(u64, f64)>,
    /// The verdict before: what is left only slowly is known by it.
    pub was: LagState,
}

/// How long this group may go without a commit, seconds.
#[must_use]
pub fn patience(pause: Option<f64>) -> f64 {
    pause.map_or(PATIENCE_UNKNOWN, |p| (p * PATIENCE_PAUSES).max(PATIENCE_LEAST))
}

/// The verdict.
#[must_use]
pub fn verdict(e: &Evidence) -> (LagState, Reason) {
    use LagState as S;
    let say = |state, key, numbers: [f64; 3]| (state, Reason { key, numbers });
    let none = [0.0; 3];
    if !e.answered {
        return say(S::Unknown, "lag.reason.unknown.silent", none);
    }
    if !e.positions {
        return say(S::Unknown, "lag.reason.unknown.group", none);
    }
    let (Some(start), Some(end)) = (e.start, e.end) else {
        return say(S::Unknown, "lag.reason.unknown.partition", none);
    };
    let Some(committed) = e.committed else {
        let assigned = e.owner == Owner::Somebody;
        let key = if assigned { "lag.reason.never.assigned" } else { "lag.reason.never.partly" };
        return say(S::NeverCommitted, key, [end.saturating_sub(start) as f64, 0.0, 0.0]);
    };
    if e.stale || committed > end {
        let left = end.saturating_sub(start) as f64;
        return if committed > end {
            say(S::Recreated, "lag.reason.recreated", [committed as f64, end as f64, 0.0])
        } else {
            say(S::Recreated, "lag.reason.recreated.stale", [committed as f64, left, 0.0])
        };
    }
    if committed < start {
        let left = end.saturating_sub(start) as f64;
        return say(S::Lost, "lag.reason.lost", [(start - committed) as f64, left, 0.0]);
    }
    if let Some((pending, oldest)) = e.pending
        && pending > 0
        && oldest >= patience(e.pause)
    {
        return say(S::AckStalled, "lag.reason.ack_stalled", [pending as f64, oldest, 0.0]);
    }
    let stable = e.stable_end.unwrap_or(end).min(end);
    if committed == end || committed >= stable || e.nothing_left {
        return caught_up(e, committed, stable, end);
    }
    waiting(e, committed, stable)
}

/// Nothing can be read from the committed position on.
fn caught_up(e: &Evidence, committed: u64, stable: u64, end: u64) -> (LagState, Reason) {
    let say = |state, key, a: f64, b: f64| (state, Reason { key, numbers: [a, b, 0.0] });
    if stable < end {
        let open = (end - stable) as f64;
        return if e.stable_quiet >= TRANSACTION {
            say(LagState::Lagging, "lag.reason.lagging.transaction", open, e.stable_quiet)
        } else {
            say(LagState::Ok, "lag.reason.open_transaction", open, 0.0)
        };
    }
    if e.quiet >= IDLE {
        return say(LagState::Idle, "lag.reason.idle", e.quiet, 0.0);
    }
    if committed < end {
        return say(LagState::Ok, "lag.reason.markers", (end - committed) as f64, 0.0);
    }
    say(LagState::Ok, "lag.reason.caught_up", 0.0, 0.0)
}

/// Something is unread.
fn waiting(e: &Evidence, committed: u64, stable: u64) -> (LagState, Reason) {
    use LagState as S;
    let say = |state, key, numbers: [f64; 3]| (state, Reason { key, numbers });
    let unread = (stable - committed) as f64;
    // Nobody can be slow who had nothing to do. What was unread at first sight has waited for as long as it is old.
    let aged = e.age.at_least().filter(|_| e.unread_for >= e.watched).unwrap_or(0.0);
    let stuck = e.unmoved.min(e.unread_for.max(aged));
    let patience = patience(e.pause);
    let waited = e.age.at_least().unwrap_or(stuck).max(stuck);
    let overdue = stuck >= patience || (e.pause.is_none() && stuck >= PATIENCE_LEAST && waited >= PATIENCE_UNKNOWN);

    // A transaction's marker takes a position too: with one left, and no right to read, both look the same.
    // Where it was read, it is a record. Of aborted records there may be any number, but they come at once: where more
    // goes on arriving, or the group moves in its usual rhythm, there is something to read.
    let seen = e.age.method == AgeMethod::Record || (e.transactional && !e.unseen);
    let last = stable - committed == 1 && !seen;
    let aborted = e.transactional && e.unseen && e.arriving <= AT_ONCE && (e.pause.is_none() || e.unmoved >= patience);
    if last && stuck >= PATIENCE_LEAST && (overdue || e.transactional) {
        return if e.transactional {
            say(S::Ok, "lag.reason.marker_tail", none())
        } else {
            say(S::Unknown, "lag.reason.unknown.tail", none())
        };
    }
    let gone = e.absent_polls >= AGREE && !e.commits_unmanaged;
    match e.owner {
        Owner::NoMembers if gone => return say(S::Stopped, "lag.reason.stopped", [unread, e.unmoved, 0.0]),
        Owner::Nobody if gone => return say(S::Abandoned, "lag.reason.abandoned", [unread, e.unmoved, 0.0]),
        _ if aborted && overdue => {
            return say(S::Unknown, "lag.reason.unknown.aborted", [unread, e.unmoved, 0.0]);
        }
        Owner::Somebody if overdue => {
            return say(S::Stalled, "lag.reason.stalled", [unread, e.unmoved, committed as f64]);
        }
        _ if overdue => return say(S::Stopped, "lag.reason.silent", [unread, e.unmoved, 0.0]),
        _ => {}
    }
    if let Some(from) = e.rewound_from.filter(|from| *from > committed) {
        let again = (from - committed) as f64;
        return say(S::Rewound, "lag.reason.rewound", [from as f64, committed as f64, again]);
    }
    // What waits for so long lags, whether or not its reader was ever seen to move.
    let late = e.age.at_least().is_some_and(|least| least >= LAGS) && !last && !aborted;
    let never_seen = e.unmoved >= e.watched && e.unread_for >= e.watched;
    if e.polls < AGREE || (never_seen && !late) {
        return say(S::Warming, "lag.reason.warming", [e.watched, unread, 0.0]);
    }
    let was = e.was == S::Lagging;
    let old = match (e.age.at_least(), e.age.at_most()) {
        _ if last || aborted => false,
        (Some(_), Some(most)) => late || (was && most >= LAGS / 2.0),
        // Its own speed says how far behind it is, roughly: good enough for a verdict, not for a number.
        _ => stuck >= LAGS || e.commit_rate.is_some_and(|r| r > 0.0 && unread / r >= LAGS),
    };
    let slope = e.slope.unwrap_or_default();
    let certain = if was { CERTAIN.1 } else { CERTAIN.0 };
    let material = e.age.at_most().map_or(unread >= e.commit_rate.unwrap_or(0.0) * GROWS, |a| a >= GROWS);
    let grows = !last && !aborted && slope.certainty >= certain && slope.per_second > 0.0;
    if old || (grows && material) {
        let key = if grows {
            "lag.reason.lagging.growing"
        } else if slope.certainty <= -certain && slope.per_second < 0.0 {
            "lag.reason.lagging.draining"
        } else {
            "lag.reason.lagging.steady"
        };
        return say(S::Lagging, key, [unread, slope.per_second.abs(), e.age.seconds.unwrap_or(waited)]);
    }
    let arriving = e.unread_for < PATIENCE_LEAST && e.unmoved > e.unread_for;
    say(S::Ok, if arriving { "lag.reason.arriving" } else { "lag.reason.ok" }, [unread, 0.0, 0.0])
}

const fn none() -> [f64; 3] {
    [0.0; 3]
}
