//! The read model of groups and their lag. Built by the lag loop once per survey, shared by every page and scrape.

use std::sync::Arc;

use super::row::{Burrow, LagRows};
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
    /// Burrow's verdict beside ours: `OK WARN ERR NOTFOUND`.
    pub burrow: Burrow,
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
    /// It is not told any more, because the cluster or its coordinator is silent: numbers are those of `as_of`,
    /// states are UNKNOWN, and of no partition it is known how much is unread now.
    pub frozen: bool,
    /// Why something is not known.
    pub fault: String,
    /// Partitions by stream and number.
    pub rows: LagRows,
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
