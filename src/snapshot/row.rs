//! One group on one partition as pages and scrapes see it, and how a group keeps its rows.

use std::sync::Arc;

use super::course::{CoursePoint, Seen};
use super::lag::{LagState, Reason};
use super::small::{MaybeCount, MaybeReal};
use crate::model::Timestamp;

/// How an age was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AgeMethod {
    /// It was not: the age is `None`.
    #[default]
    None,
    /// Nothing is unread.
    CaughtUp,
    /// The record's own time, known from the index of (position, record time).
    Index,
    /// The record itself was read.
    Record,
    /// Lies between the times of two records around it.
    Bracket,
}

/// How far an age can be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Nothing is known.
    #[default]
    None,
    /// Known to lie within the bounds, which are wider than 1 s and 5 %: the age itself is `None`.
    Rough,
    /// Within 1 s or 5 %.
    Good,
    /// The record's own time.
    Exact,
}

/// Burrow's verdict, in its own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Burrow {
    /// Nobody asked.
    #[default]
    Unsaid,
    /// Never committed.
    NotFound,
    /// All is well.
    Ok,
    /// The lag only grows.
    Warn,
    /// Of a group: one of its partitions is worse than a warning.
    Err,
    /// Commits ended.
    Stop,
    /// Commits go on, the position does not.
    Stall,
    /// It went back.
    Rewind,
}

impl Burrow {
    /// As Burrow writes it; empty where it was not asked.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsaid => "",
            Self::NotFound => "NOTFOUND",
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Err => "ERR",
            Self::Stop => "STOP",
            Self::Stall => "STALL",
            Self::Rewind => "REWIND",
        }
    }
}

/// Rows of a group. Views of one survey after the other share them while nothing changed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LagRows(Arc<[LagRow]>);

impl LagRows {
    /// True where both are the same memory.
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<Vec<LagRow>> for LagRows {
    fn from(rows: Vec<LagRow>) -> Self {
        Self(rows.into())
    }
}

impl FromIterator<LagRow> for LagRows {
    fn from_iter<I: IntoIterator<Item = LagRow>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl std::ops::Deref for LagRows {
    type Target = [LagRow];

    fn deref(&self) -> &[LagRow] {
        &self.0
    }
}

impl<'a> IntoIterator for &'a LagRows {
    type Item = &'a LagRow;
    type IntoIter = std::slice::Iter<'a, LagRow>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// One group on one partition. There may be hundreds of thousands: what may be unknown takes no more than the number.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LagRow {
    /// Stream.
    pub stream: Arc<str>,
    /// Partition.
    pub partition: u32,
    /// Verdict.
    pub state: LagState,
    /// Burrow's verdict.
    pub burrow: Burrow,
    /// How its age was found.
    pub method: AgeMethod,
    /// How far that can be trusted.
    pub confidence: Confidence,
    /// The committed position belongs to an earlier log of the stream's name: no lag follows from it.
    pub recreated: bool,
    /// Committed position; unknown: never committed.
    pub committed: MaybeCount,
    /// First position of the log.
    pub start: MaybeCount,
    /// End of the log.
    pub end: MaybeCount,
    /// Records that the group can still read: `end - max(committed, start)`, without those of an open transaction,
    /// and 0 where reading from the committed position found nothing but markers. At most so many: aborted
    /// and compacted records take positions too.
    pub readable: MaybeCount,
    /// Age of the next unread message, seconds: of the first record still there where some expired (LOST), 0 where
    /// nothing is unread.
    pub next_unread_age_seconds: MaybeReal,
    /// Bounds of that age where only they are known: at least, at most.
    pub bounds: [MaybeReal; 2],
    /// Seconds until nothing is unread, at the net rate of now.
    pub drain_seconds: MaybeReal,
    /// Records committed per second.
    pub commit_rate: MaybeReal,
    /// Why this verdict.
    pub reason: Reason,
    /// Its newest commit as the broker's own log of them says; `None`: that log is not read, or it tells nothing of it.
    pub pushed: Option<Box<PushedCommit>>,
    /// Messages that expired before they were read, since it was first watched. What had expired before is in the reason of LOST only.
    pub lost_messages: u64,
    /// What was seen of it, behind the verdict. None where the reason says all: most rows are OK or IDLE.
    pub seen: Seen,
    /// The member that has it.
    pub owner: Option<MemberName>,
}

impl LagRow {
    /// `end - committed`, as the broker's own tool prints it; `None` where unknown or RECREATED.
    #[must_use]
    pub fn lag_messages(&self) -> Option<i64> {
        let (committed, end) = (self.committed.get()?, self.end.get()?);
        end.checked_sub(committed).filter(|_| !self.recreated).and_then(|n| i64::try_from(n).ok())
    }

    /// Bounds of the age, at least and at most, seconds.
    #[must_use]
    pub fn age_bounds(&self) -> Option<(f64, f64)> {
        self.bounds[0].get().zip(self.bounds[1].get())
    }

    /// The samples behind the verdict: seconds before `as_of`, committed, end; oldest first.
    pub fn samples(&self) -> impl DoubleEndedIterator<Item = CoursePoint> + '_ {
        self.seen.samples(self.committed.get().unwrap_or(0), self.end.get().unwrap_or(0))
    }
}

/// Client id and host of a member.
pub type MemberName = Arc<(Arc<str>, Arc<str>)>;

/// A commit as the broker's own log of them says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PushedCommit {
    /// The next position that the group will read.
    pub next: u64,
    /// When it was committed, by the broker's clock.
    pub at: Timestamp,
    /// Records committed per second of late; `None`: not known yet.
    pub per_second: Option<f64>,
}
