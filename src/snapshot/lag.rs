//! The read model of groups and their lag. Built by the lag loop once per survey, shared by every page and scrape.

use std::sync::Arc;

use super::course::LagSamples;
use crate::model::{GroupPhase, GroupProtocol, Timestamp, TopicFacts};

/// Groups of all clusters.
#[derive(Clone, Debug, Default)]
pub struct LagBoard {
    /// Clusters in configured order.
    pub clusters: Vec<Arc<LagCluster>>,
}

/// Groups of one cluster.
#[derive(Clone, Debug, Default)]
pub struct LagCluster {
    /// Cluster by name.
    pub cluster: String,
    /// `kafka` or `embedded`.
    pub kind: &'static str,
    /// End of the newest survey that was answered; `None`: never.
    pub as_of: Option<Timestamp>,
    /// False while the cluster does not answer: all values are frozen at `as_of`, states are UNKNOWN.
    pub answering: bool,
    /// How long the newest survey took, seconds.
    pub cycle_seconds: Option<f64>,
    /// What could not be asked: missing rights, deadlines.
    pub faults: Vec<String>,
    /// Groups by name.
    pub groups: Vec<Arc<GroupView>>,
    /// Messages lost to retention by group, as they are stored: what `/metrics` may show, because it never falls.
    pub lost: Arc<[(Arc<str>, u64)]>,
    /// Partitions that are not well: without leader, offline, under-replicated.
    pub troubles: Vec<PartitionTrouble>,
    /// Groups and rows left out because of a bound.
    pub dropped: u64,
    /// Topics and their logs, as the survey found them: for `/metrics` under the names of other exporters.
    pub topics: Arc<Vec<TopicFacts>>,
    /// Brokers; `None`: not known.
    pub brokers: Option<u32>,
    /// The broker's own log of commits; `None`: it is not to be read.
    pub push: Option<PushView>,
    /// Lag events received (streams of role `lag`), newest per group, stream and partition.
    pub told: Vec<ToldLag>,
}

/// Verdict about a group or one of its partitions. The order is that of severity, least first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs, reason = "docs/SEMANTICS.md explains each")]
pub enum LagState {
    Ok,
    Idle,
    Warming,
    #[default]
    Unknown,
    NeverCommitted,
    Lagging,
    Rewound,
    Recreated,
    Abandoned,
    Stopped,
    AckStalled,
    Stalled,
    Lost,
}

impl LagState {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Idle,
        Self::Warming,
        Self::Unknown,
        Self::NeverCommitted,
        Self::Lagging,
        Self::Rewound,
        Self::Recreated,
        Self::Abandoned,
        Self::Stopped,
        Self::AckStalled,
        Self::Stalled,
        Self::Lost,
    ];

    /// As the contract writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Idle => "IDLE",
            Self::Warming => "WARMING",
            Self::Unknown => "UNKNOWN",
            Self::NeverCommitted => "NEVER_COMMITTED",
            Self::Lagging => "LAGGING",
            Self::Rewound => "REWOUND",
            Self::Recreated => "RECREATED",
            Self::Abandoned => "ABANDONED",
            Self::Stopped => "STOPPED",
            Self::AckStalled => "ACK_STALLED",
            Self::Stalled => "STALLED",
            Self::Lost => "LOST",
        }
    }
}

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

/// Why a state was given: words are made where they are shown. `key` is the key of the sentence in the
/// tables of `text::i18n`, `numbers` fill its `{0}` `{1}` `{2}`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reason {
    /// Key of the sentence, such as `lag.reason.stalled`.
    pub key: &'static str,
    /// Positions, counts or seconds, in the order of the sentence.
    pub numbers: [f64; 3],
}

/// One group.
#[derive(Clone, Debug, Default)]
pub struct GroupView {
    /// Name.
    pub group: Arc<str>,
    /// Protocol.
    pub protocol: GroupProtocol,
    /// State as the broker says it.
    pub phase: GroupPhase,
    /// Members; `None`: not known.
    pub members: Option<u32>,
    /// The worst of its partitions.
    pub state: LagState,
    /// Why, of that partition: of several in that state the one with the most unread.
    pub reason: Reason,
    /// That partition; `None`: the reason is that of all.
    pub place: Option<(Arc<str>, u32)>,
    /// Burrow's verdict beside ours: `OK WARN ERR STOP STALL REWIND NOTFOUND`.
    pub burrow: &'static str,
    /// Sum over partitions whose lag is known; `None`: of none, or nothing is unread there while others are unknown.
    pub lag_messages: Option<i64>,
    /// Partitions of which it is not known how much is unread.
    pub unknown_partitions: u32,
    /// The oldest over its partitions; `None` where one with unread records has no known age, or
    /// nothing is unread where that is known while other partitions are unknown.
    pub next_unread_age_seconds: Option<f64>,
    /// The longest over its partitions; `None`: not draining, or not known of one of them.
    pub drain_seconds: Option<f64>,
    /// Records committed per second over the last minute.
    pub commit_rate: Option<f64>,
    /// Messages lost to retention before they were read, since the group was first watched.
    pub lost_messages: u64,
    /// Lag at the newest surveys, oldest first: the trend. `None`: not known then.
    pub trend: Vec<Option<f32>>,
    /// When its positions were learned.
    pub as_of: Timestamp,
    /// Why something is not known.
    pub fault: String,
    /// Partitions by stream and number.
    pub rows: LagRows,
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

/// One group on one partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LagRow {
    /// Stream.
    pub stream: Arc<str>,
    /// Partition.
    pub partition: u32,
    /// Committed position; `None`: never committed.
    pub committed: Option<u64>,
    /// First position of the log.
    pub start: Option<u64>,
    /// End of the log.
    pub end: Option<u64>,
    /// `end - committed`, as the broker's own tool prints it; `None` where unknown or RECREATED.
    pub lag_messages: Option<i64>,
    /// Records that the group can still read: `end - max(committed, start)`, without those of an open transaction,
    /// and 0 where reading from the committed position found nothing but markers. At most so many: aborted
    /// and compacted records take positions too.
    pub readable: Option<u64>,
    /// Age of the next unread message, seconds: of the first record still there where some expired (LOST), 0 where
    /// nothing is unread, `None` where it is not known.
    pub next_unread_age_seconds: Option<f64>,
    /// Bounds of that age where only they are known.
    pub age_bounds: Option<(f64, f64)>,
    /// How it was found.
    pub method: AgeMethod,
    /// How far it can be trusted.
    pub confidence: Confidence,
    /// Seconds until nothing is unread, at the net rate of now.
    pub drain_seconds: Option<f64>,
    /// Records committed per second.
    pub commit_rate: Option<f64>,
    /// Verdict.
    pub state: LagState,
    /// Why.
    pub reason: Reason,
    /// Burrow's verdict.
    pub burrow: &'static str,
    /// Its newest commit as the broker's own log of them says; `None`: that log is not read, or it tells nothing of it.
    pub pushed: Option<Box<PushedCommit>>,
    /// Messages that expired before they were read, since it was first watched. What had expired before is in the reason of LOST only.
    pub lost_messages: u64,
    /// The samples behind the verdict. None where the reason says all: most rows are OK or IDLE.
    pub samples: LagSamples,
    /// The member that has it.
    pub owner: Option<MemberName>,
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

/// Whether the broker's own log of commits is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PushState {
    /// Not yet.
    #[default]
    Starting,
    /// It is.
    Reading,
    /// The right to read it is missing: groups are asked for, as without it.
    NoRight,
    /// It does not answer.
    Silent,
}

/// How the reading of that log goes, since the process began.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PushView {
    /// State.
    pub state: PushState,
    /// Why it is not read; empty where it is.
    pub words: String,
    /// Commits seen.
    pub commits: u64,
    /// The newest of them.
    pub newest: Option<Timestamp>,
    /// Records of a kind that we do not know.
    pub unknown: u64,
    /// Records that are not understood.
    pub faults: u64,
    /// Commits left out because of a bound.
    pub dropped: u64,
    /// Positions on which the log and the survey went on disagreeing; the survey is believed.
    pub disagreements: u64,
    /// The newest of these, in words.
    pub disagreed: String,
}

/// A partition that is not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionTrouble {
    /// Stream.
    pub stream: Arc<str>,
    /// Partition.
    pub partition: u32,
    /// `leaderless`, `offline` or `under_replicated`.
    pub what: &'static str,
    /// Replicas in sync, of how many.
    pub replicas: (u32, u32),
}

/// A lag event that somebody else sent (a stream of role `lag`).
#[derive(Clone, Debug, PartialEq)]
pub struct ToldLag {
    /// Cluster, as the event says.
    pub cluster: String,
    /// Group.
    pub group: String,
    /// Stream.
    pub stream: String,
    /// Partition.
    pub partition: u32,
    /// Committed position.
    pub committed: Option<u64>,
    /// End of the log.
    pub end: Option<u64>,
    /// First position of the log.
    pub start: Option<u64>,
    /// Delivered and not acknowledged.
    pub pending: Option<u64>,
    /// Age of the oldest pending one, seconds.
    pub oldest_pending_seconds: Option<f64>,
    /// When it was so.
    pub at: Timestamp,
}
