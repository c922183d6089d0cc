//! What a broker says about its groups and logs: facts with their age, no verdicts.
//!
//! One survey asks, in this order: groups, their members, their committed positions, and only then
//! where the logs begin and end. So a lag is never negative by race. Partial answers are the normal
//! case: each fact says when it was learned, what could not be learned is `None` with a reason.

use std::sync::Arc;

use super::Timestamp;

/// All that one cluster said in one cycle.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// When the cycle began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// False where the cluster did not answer at all: everything known before stays, with its age.
    pub answered: bool,
    /// Topics; rows of groups name them by index.
    pub topics: Vec<TopicFacts>,
    /// Groups by name.
    pub groups: Vec<GroupFacts>,
    /// Groups that were left out because of a bound.
    pub groups_dropped: u64,
    /// Brokers of the cluster; `None`: not known.
    pub brokers: Option<u32>,
    /// What could not be asked, in words for an operator: missing rights, deadlines.
    pub faults: Vec<String>,
}

/// One topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopicFacts {
    /// Name.
    pub name: Arc<str>,
    /// Identity of this incarnation as the broker writes it; empty where the broker has none.
    pub id: String,
    /// Record times are the broker's own; `None`: not known.
    pub append_time: Option<bool>,
    /// `cleanup.policy` contains `compact`; `None`: not known.
    pub compacted: Option<bool>,
    /// The topic's own configuration says that it takes dead letters.
    pub dead_letters: bool,
    /// Bytes of the largest record that it takes from us, alone in its batch; `None`: not known.
    pub record_bytes: Option<u64>,
    /// Partitions by number.
    pub partitions: Vec<PartitionFacts>,
}

/// One partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionFacts {
    /// First position that the log still has.
    pub start: Option<u64>,
    /// Last stable end: what a reader of committed records can reach.
    pub stable_end: Option<u64>,
    /// End of the log (high watermark): what the broker's own tool subtracts from.
    pub end: Option<u64>,
    /// When these were learned.
    pub at: Timestamp,
    /// Broker that leads; `None`: nobody does.
    pub leader: Option<i32>,
    /// Broker that should lead: the first of its replicas; `None`: not known.
    pub preferred: Option<i32>,
    /// Replicas, and those of them in sync.
    pub replicas: u32,
    /// In-sync replicas.
    pub in_sync: u32,
    /// Why it could not be asked; empty where it could.
    pub fault: String,
}

/// Protocol by which a group shares its partitions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// The broker does not say.
    #[default]
    Unknown,
    /// Rebalanced by its members.
    Classic,
    /// KIP-848: assigned by the broker.
    Consumer,
    /// KIP-932: no positions, records are acknowledged one by one.
    Share,
    /// No members: positions are committed by a consumer that assigns itself.
    Simple,
    /// Consumers of the embedded log.
    Embedded,
}

/// State as the broker says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupPhase {
    /// Not said, or one that we do not know.
    #[default]
    Unknown,
    /// Members have their partitions.
    Stable,
    /// Members are getting their partitions.
    Rebalancing,
    /// No members.
    Empty,
    /// Gone, or about to go.
    Dead,
}

/// One group.
#[derive(Clone, Debug, Default)]
pub struct GroupFacts {
    /// Name.
    pub name: Arc<str>,
    /// Protocol.
    pub protocol: GroupProtocol,
    /// State.
    pub phase: GroupPhase,
    /// Members; `None`: not known.
    pub members: Option<Vec<MemberFacts>>,
    /// Committed positions by topic and partition; `None`: not known.
    pub committed: Option<Vec<Committed>>,
    /// When `committed` was learned.
    pub committed_at: Timestamp,
    /// Why something is not known; empty where all is.
    pub fault: String,
}

/// A committed position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Index into [`Survey::topics`].
    pub topic: u32,
    /// Partition.
    pub partition: u32,
    /// Next record to be read by the group.
    pub next: u64,
    /// When it was committed, where the broker tells (the offsets topic does, the admin API does not).
    pub committed_at: Option<Timestamp>,
}

/// A member of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberFacts {
    /// As the client calls itself.
    pub client_id: Arc<str>,
    /// Where it runs.
    pub host: Arc<str>,
    /// Its partitions: index into [`Survey::topics`], partition.
    pub assigned: Vec<(u32, u32)>,
}

/// Asks for the first record of a partition whose record time is not before `time`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeQuestion {
    /// Stream.
    pub stream: Arc<str>,
    /// Partition.
    pub partition: u32,
    /// Not before.
    pub time: Timestamp,
}

/// One record's position and time: exact, whoever told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimedPosition {
    /// Position.
    pub position: u64,
    /// Its record time.
    pub time: Timestamp,
}

/// A commit as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenCommit {
    /// Group.
    pub group: Arc<str>,
    /// Topic.
    pub topic: Arc<str>,
    /// Partition.
    pub partition: u32,
    /// The next position that the group will read; `None`: the commit is gone.
    pub next: Option<u64>,
    /// When it was committed; for one that is gone, the time of that record where it has one.
    pub at: Option<Timestamp>,
}
