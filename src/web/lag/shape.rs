//! How JSON tells of a group, its partitions and lag events. Null is unknown.

use serde::Serialize;

use crate::model::{GroupPhase, GroupProtocol, Timestamp};
use crate::snapshot::{AgeMethod, Confidence, GroupView, LagCluster, LagRow, LagState, Reason, ToldLag};
use crate::text::Locale;
use crate::text::i18n::lag_reason;
use crate::web::api::Rfc3339;

/// Why nothing is known of what only lag events tell about.
const ONLY_TOLD: &str = "only lag events tell of it: no cluster is asked about it";

/// A group. The first members are those of the contract.
#[derive(Serialize)]
pub struct Group<'a> {
    cluster: &'a str,
    group: &'a str,
    state: LagState,
    reason: String,
    members: Option<u32>,
    lag_messages: Option<i64>,
    next_unread_age_seconds: Option<f64>,
    drain_seconds: Option<f64>,
    unknown_partitions: u32,
    commits_per_second: Option<f64>,
    lost_messages: Option<u64>,
    protocol: GroupProtocol,
    phase: GroupPhase,
    burrow: &'a str,
    answering: bool,
    as_of: Option<Rfc3339>,
    fault: &'a str,
    trend: &'a [Option<f32>],
    #[serde(skip_serializing_if = "Option::is_none")]
    partitions: Option<Vec<Row<'a>>>,
}

/// A group on a partition.
#[derive(Serialize)]
pub struct Row<'a> {
    stream: &'a str,
    partition: u32,
    committed: Option<u64>,
    start: Option<u64>,
    end: Option<u64>,
    lag_messages: Option<i64>,
    next_unread_age_seconds: Option<f64>,
    method: AgeMethod,
    confidence: Confidence,
    state: LagState,
    reason: String,
    owner: Option<&'a str>,
    owner_host: Option<&'a str>,
    readable: Option<u64>,
    age_bounds_seconds: Option<(f64, f64)>,
    drain_seconds: Option<f64>,
    commits_per_second: Option<f64>,
    burrow: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    samples: Option<Vec<Sample>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_commit: Option<LastCommit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    told: Option<Told<'a>>,
}

/// The newest commit as the broker's own log of them says.
#[derive(Serialize)]
struct LastCommit {
    position: u64,
    at: Rfc3339,
}

/// A sample behind a verdict.
#[derive(Serialize)]
struct Sample {
    seconds_before: u32,
    committed: u64,
    end: u64,
}

/// What a lag event said.
#[derive(Serialize)]
pub struct Told<'a> {
    /// Whom it is about, where that is not said around it.
    #[serde(flatten)]
    about: Option<About<'a>>,
    committed: Option<u64>,
    start: Option<u64>,
    end: Option<u64>,
    pending: Option<u64>,
    oldest_pending_seconds: Option<f64>,
    at: Rfc3339,
}

/// Group and partition of a lag event.
#[derive(Serialize)]
struct About<'a> {
    cluster: &'a str,
    group: &'a str,
    stream: &'a str,
    partition: u32,
}

impl<'a> Told<'a> {
    /// `about`: says whom it is about, where that is not said around it.
    pub fn of(t: &'a ToldLag, about: bool) -> Self {
        let whom = About { cluster: &t.cluster, group: &t.group, stream: &t.stream, partition: t.partition };
        Self {
            about: about.then_some(whom),
            committed: t.committed,
            start: t.start,
            end: t.end,
            pending: t.pending,
            oldest_pending_seconds: t.oldest_pending_seconds,
            at: Rfc3339(t.at),
        }
    }
}

/// The sentence of a verdict; its key where we have no sentence for it.
fn words(reason: &Reason) -> String {
    lag_reason(reason.key, &reason.numbers, Locale::En).unwrap_or_else(|| reason.key.to_owned())
}

/// The sentence of a group: with the partition that it is about where it is not about all.
fn group_words(group: &GroupView) -> String {
    let words = words(&group.reason);
    group.place.as_ref().map_or(words.clone(), |(stream, partition)| format!("{stream}/{partition}: {words}"))
}

impl<'a> Row<'a> {
    /// A row with what lag events tell of it, and the samples behind its verdict where wanted.
    pub fn of(row: &'a LagRow, told: Option<&'a ToldLag>, samples: bool) -> Self {
        let sample = |(seconds_before, committed, end)| Sample { seconds_before, committed, end };
        Self {
            stream: &row.stream,
            partition: row.partition,
            committed: row.committed.get(),
            start: row.start.get(),
            end: row.end.get(),
            lag_messages: row.lag_messages(),
            next_unread_age_seconds: row.next_unread_age_seconds.get(),
            method: row.method,
            confidence: row.confidence,
            state: row.state,
            reason: words(&row.reason),
            owner: row.owner.as_ref().map(|o| &*o.0),
            owner_host: row.owner.as_ref().map(|o| &*o.1),
            readable: row.readable.get(),
            age_bounds_seconds: row.age_bounds(),
            drain_seconds: row.drain_seconds.get(),
            commits_per_second: row.commit_rate.get(),
            burrow: row.burrow.name(),
            samples: samples.then(|| row.samples().map(sample).collect()),
            last_commit: row.pushed.as_ref().map(|p| LastCommit { position: p.next, at: Rfc3339(p.at) }),
            told: told.map(|t| Told::of(t, false)),
        }
    }

    /// A partition that only lag events tell of: they stand in no place of what was asked for.
    pub fn only_told(told: &'a ToldLag) -> Self {
        Self {
            stream: &told.stream,
            partition: told.partition,
            committed: None,
            start: None,
            end: None,
            lag_messages: None,
            next_unread_age_seconds: None,
            method: AgeMethod::None,
            confidence: Confidence::None,
            state: LagState::Unknown,
            reason: ONLY_TOLD.to_owned(),
            owner: None,
            owner_host: None,
            readable: None,
            age_bounds_seconds: None,
            drain_seconds: None,
            commits_per_second: None,
            burrow: "",
            samples: None,
            last_commit: None,
            told: Some(Told::of(told, false)),
        }
    }
}

impl<'a> Group<'a> {
    /// A group that is surveyed.
    pub fn of(cluster: &'a LagCluster, group: &'a GroupView, partitions: Option<Vec<Row<'a>>>) -> Self {
        Self {
            cluster: &cluster.cluster,
            group: &group.group,
            state: group.state,
            reason: group_words(group),
            members: group.members,
            lag_messages: group.lag_messages,
            next_unread_age_seconds: group.next_unread_age_seconds,
            drain_seconds: group.drain_seconds,
            unknown_partitions: group.unknown_partitions,
            commits_per_second: group.commit_rate,
            lost_messages: Some(group.lost_messages),
            protocol: group.protocol,
            phase: group.phase,
            burrow: group.burrow.name(),
            answering: cluster.answering,
            // A group whose positions nobody could ask for has no such time.
            as_of: (group.as_of != Timestamp::default()).then_some(Rfc3339(group.as_of)),
            fault: &group.fault,
            trend: &group.trend,
            partitions,
        }
    }

    /// A group that only lag events tell of; `answering`: its cluster does, though not of this one.
    pub fn only_told(cluster: &'a str, group: &'a str, answering: bool, partitions: Vec<Row<'a>>) -> Self {
        Self {
            cluster,
            group,
            state: LagState::Unknown,
            reason: ONLY_TOLD.to_owned(),
            members: None,
            lag_messages: None,
            next_unread_age_seconds: None,
            drain_seconds: None,
            unknown_partitions: partitions.len() as u32,
            commits_per_second: None,
            lost_messages: None,
            protocol: GroupProtocol::Unknown,
            phase: GroupPhase::Unknown,
            burrow: "",
            answering,
            as_of: None,
            fault: "",
            trend: &[],
            partitions: Some(partitions),
        }
    }
}
