//! `/api/v1/groups`: groups and their lag as JSON. Null is unknown.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::Serialize;

use crate::model::{GroupPhase, GroupProtocol, Timestamp};
use crate::snapshot::{AgeMethod, Confidence, GroupView, LagBoard, LagCluster, LagRow, LagState, Reason, ToldLag};
use crate::text::Locale;
use crate::text::i18n::lag_reason;
use crate::web::App;
use crate::web::api::{Answer, Rfc3339, answer, newest};
use crate::web::error::Problem;
use crate::web::page::{percent_decode, percent_encode};

/// Groups in one answer where nobody says how many, and at most.
const GROUPS: (usize, usize) = (100, 1_000);
/// An answer ends behind the group that reaches so many partitions; the rest is behind `next`.
const ROWS: usize = 20_000;

/// A group. The first members are those of the contract.
#[derive(Serialize)]
struct Group<'a> {
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
    lost_messages: u64,
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
struct Row<'a> {
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
struct Told<'a> {
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
    fn of(t: &'a ToldLag, about: bool) -> Self {
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

/// Groups, and on the first page what lag events alone tell.
#[derive(Serialize)]
struct Groups<'a> {
    groups: Vec<Group<'a>>,
    /// About partitions that are not asked for; filtered like groups, none where a state is asked for.
    told: Vec<Told<'a>>,
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
    fn of(row: &'a LagRow, told: Option<&'a ToldLag>, samples: bool) -> Self {
        let sample = |(seconds_before, committed, end)| Sample { seconds_before, committed, end };
        Self {
            stream: &row.stream,
            partition: row.partition,
            committed: row.committed,
            start: row.start,
            end: row.end,
            lag_messages: row.lag_messages,
            next_unread_age_seconds: row.next_unread_age_seconds,
            method: row.method,
            confidence: row.confidence,
            state: row.state,
            reason: words(&row.reason),
            owner: row.owner.as_ref().map(|o| &*o.0),
            owner_host: row.owner.as_ref().map(|o| &*o.1),
            readable: row.readable,
            age_bounds_seconds: row.age_bounds,
            drain_seconds: row.drain_seconds,
            commits_per_second: row.commit_rate,
            burrow: row.burrow,
            samples: samples.then(|| row.samples.iter().map(sample).collect()),
            last_commit: row.pushed.as_ref().map(|p| LastCommit { position: p.next, at: Rfc3339(p.at) }),
            told: told.map(|t| Told::of(t, false)),
        }
    }
}

impl<'a> Group<'a> {
    fn of(cluster: &'a LagCluster, group: &'a GroupView, partitions: Option<Vec<Row<'a>>>) -> Self {
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
            lost_messages: group.lost_messages,
            protocol: group.protocol,
            phase: group.phase,
            burrow: group.burrow,
            answering: cluster.answering,
            // A group whose positions nobody could ask for has no such time.
            as_of: (group.as_of != Timestamp::default()).then_some(Rfc3339(group.as_of)),
            fault: &group.fault,
            trend: &group.trend,
            partitions,
        }
    }
}

/// Which groups are asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ask {
    text: String,
    cluster: String,
    stream: String,
    state: Option<LagState>,
    limit: usize,
    partitions: bool,
    /// Cluster and group of the last one that was seen.
    after: Option<(String, String)>,
}

impl Ask {
    fn of(query: &[(String, String)]) -> Result<Self, Problem> {
        let mut ask = Self { limit: GROUPS.0, partitions: true, ..Self::default() };
        for (name, value) in query {
            match name.as_str() {
                "find" => ask.text = value.to_lowercase(),
                "cluster" => value.clone_into(&mut ask.cluster),
                "stream" => value.clone_into(&mut ask.stream),
                "state" => {
                    let known = LagState::ALL.into_iter().find(|s| s.name().eq_ignore_ascii_case(value));
                    let names = LagState::ALL.map(LagState::name).join(", ");
                    ask.state = Some(known.ok_or_else(|| Problem::field("state", format!("one of {names}")))?);
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|n| (1..=GROUPS.1).contains(n));
                    ask.limit = limit.ok_or_else(|| Problem::field("limit", format!("1 to {}", GROUPS.1)))?;
                }
                "partitions" => {
                    ask.partitions = match value.as_str() {
                        "true" | "1" => true,
                        "false" | "0" => false,
                        _ => return Err(Problem::field("partitions", "true or false")),
                    }
                }
                "after" => {
                    let pair = value.split_once('/').and_then(|(c, g)| Some((percent_decode(c)?, percent_decode(g)?)));
                    ask.after = Some(pair.ok_or_else(|| Problem::field("after", "take it from next"))?);
                }
                _ => {
                    let allowed = "unknown; allowed are find, cluster, stream, state, partitions, limit, after";
                    return Err(Problem::field(name.as_str(), allowed));
                }
            }
        }
        Ok(ask)
    }

    fn takes(&self, cluster: &LagCluster, group: &GroupView) -> bool {
        (self.cluster.is_empty() || self.cluster == cluster.cluster)
            && self.state.is_none_or(|s| s == group.state)
            && (self.text.is_empty() || group.group.to_lowercase().contains(&self.text))
            && (self.stream.is_empty() || group.rows.iter().any(|r| *r.stream == *self.stream))
    }

    /// The same of a lag event, which has no state.
    fn takes_told(&self, t: &ToldLag) -> bool {
        (self.cluster.is_empty() || self.cluster == t.cluster)
            && self.state.is_none()
            && (self.text.is_empty() || t.group.to_lowercase().contains(&self.text))
            && (self.stream.is_empty() || t.stream == self.stream)
    }

    /// The query of the page behind `group`.
    fn next(&self, cluster: &str, group: &str) -> String {
        let mut out = Vec::new();
        for (name, value) in [("find", &self.text), ("cluster", &self.cluster), ("stream", &self.stream)] {
            if !value.is_empty() {
                out.push(format!("{name}={}", percent_encode(value)));
            }
        }
        out.extend(self.state.map(|s| format!("state={}", s.name())));
        if !self.partitions {
            out.push("partitions=false".to_owned());
        }
        let after = format!("{}/{}", percent_encode(cluster), percent_encode(group));
        out.push(format!("limit={}&after={}", self.limit, percent_encode(&after)));
        out.join("&")
    }

    /// The groups behind `after`, in the order of clusters and names.
    fn entries<'a>(
        &'a self,
        board: &'a LagBoard,
    ) -> Result<impl Iterator<Item = (&'a LagCluster, &'a GroupView)>, Problem> {
        let first = match &self.after {
            None => 0,
            Some((cluster, _)) => {
                let at = board.clusters.iter().position(|c| c.cluster == *cluster);
                at.ok_or_else(|| Problem::field("after", format!("no cluster {cluster:?}")))?
            }
        };
        let behind = move |at: usize, group: &GroupView| {
            at > first || self.after.as_ref().is_none_or(|(_, after)| *group.group > **after)
        };
        let clusters = board.clusters.iter().enumerate().skip(first);
        let all =
            clusters.flat_map(move |(at, c)| c.groups.iter().filter(move |g| behind(at, g)).map(move |g| (&**c, &**g)));
        Ok(all.filter(|(c, g)| self.takes(c, g)))
    }
}

/// `/api/v1/groups`.
pub async fn groups(
    State(app): State<Arc<App>>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Answer {
    let (now, ask) = (newest(&app), Ask::of(&query)?);
    let mut entries = ask.entries(&now.lag)?.peekable();
    let (mut found, mut rows, mut next) = (Vec::new(), 0, None);
    while let Some((cluster, group)) = entries.next() {
        let partitions = ask.partitions.then(|| group.rows.iter().map(|r| Row::of(r, None, false)).collect());
        found.push(Group::of(cluster, group, partitions));
        rows += group.rows.len();
        if found.len() >= ask.limit || ask.partitions && rows >= ROWS {
            next = entries.peek().map(|_| ask.next(&cluster.cluster, &group.group));
            break;
        }
    }
    let mut told = Vec::new();
    if ask.after.is_none() {
        told = now.lag.only_told();
        told.retain(|t| ask.takes_told(t));
    }
    let told = told.into_iter().map(|t| Told::of(t, true)).collect();
    answer(&now, &headers, Groups { groups: found, told }, next)
}

/// `/api/v1/groups/{cluster}/{group}`: with the samples behind each verdict, and what lag events told.
pub async fn group(
    State(app): State<Arc<App>>,
    Path((cluster, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let now = newest(&app);
    let Some(cluster) = now.lag.clusters.iter().find(|c| c.cluster == cluster) else {
        let known: Vec<&str> = now.lag.clusters.iter().map(|c| c.cluster.as_str()).collect();
        return Err(Problem::not_found(format!("no cluster {cluster:?}; known: {}", known.join(", "))));
    };
    let Some(group) = cluster.groups.iter().find(|g| *g.group == *name) else {
        return Err(Problem::not_found(format!("no group {name:?} in cluster {:?}", cluster.cluster)));
    };
    let told = |r: &LagRow| {
        // Whichever cluster the event was read from, it is about the one that it names.
        let all = now.lag.clusters.iter().flat_map(|c| &c.told);
        let about = |t: &&ToldLag| {
            t.cluster == cluster.cluster && t.group == name && t.stream == *r.stream && t.partition == r.partition
        };
        all.filter(about).max_by_key(|t| t.at)
    };
    let rows = group.rows.iter().map(|r| Row::of(r, told(r), true)).collect();
    answer(&now, &headers, Group::of(cluster, group, Some(rows)), None)
}
