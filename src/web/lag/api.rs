//! `/api/v1/groups`: groups and their lag as JSON. Null is unknown.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::Serialize;

use super::shape::{Group, Row, Told};
use crate::snapshot::{GroupView, LagBoard, LagCluster, LagState, ToldLag};
use crate::web::App;
use crate::web::api::{Answer, answer, newest};
use crate::web::error::Problem;
use crate::web::page::{percent_decode, percent_encode};

/// Groups in one answer where nobody says how many, and at most.
const GROUPS: (usize, usize) = (100, 1_000);
/// An answer ends behind the group that reaches so many partitions, 2 MB of JSON; the rest is behind `next`.
const ROWS: usize = 5_000;

/// Groups, and on the first page what lag events alone tell.
#[derive(Serialize)]
struct Groups<'a> {
    groups: Vec<Group<'a>>,
    /// About partitions that are not asked for; filtered like groups, none where a state is asked for.
    told: Vec<Told<'a>>,
    /// Groups and rows that `[lag] groups` and `[lag] rows` left out, by cluster; clusters without any are not named.
    dropped: BTreeMap<&'a str, u64>,
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
    let dropped = now.lag.clusters.iter().filter(|c| c.dropped > 0).map(|c| (c.cluster.as_str(), c.dropped)).collect();
    let mut told = Vec::new();
    if ask.after.is_none() {
        told = now.lag.only_told();
        told.retain(|t| ask.takes_told(t));
    }
    let told = told.into_iter().map(|t| Told::of(t, true)).collect();
    answer(&now, &headers, Groups { groups: found, told, dropped }, next)
}

/// `/api/v1/groups/{cluster}/{group}`: with the samples behind each verdict, and what lag events told; of a group that
/// only they know, that alone.
pub async fn group(
    State(app): State<Arc<App>>,
    Path((cluster, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Answer {
    let now = newest(&app);
    // Whichever cluster an event was read from, it is about the one that it names.
    let about = now.lag.told().into_iter().filter(|(about, _)| about.0 == cluster && about.1 == name);
    let mut told: BTreeMap<(&str, u32), &ToldLag> = about.map(|(about, t)| ((about.2, about.3), t)).collect();
    let asked = now.lag.clusters.iter().find(|c| c.cluster == cluster);
    let found = asked.and_then(|c| Some((c, c.groups.iter().find(|g| *g.group == *name)?)));
    let surveyed = found.iter().flat_map(|(_, group)| &group.rows);
    let mut rows: Vec<Row> = surveyed.map(|r| Row::of(r, told.remove(&(&*r.stream, r.partition)), true)).collect();
    rows.extend(told.into_values().map(Row::only_told));
    match (found, asked) {
        (Some((cluster, group)), _) => answer(&now, &headers, Group::of(cluster, group, Some(rows)), None),
        (None, asked) if !rows.is_empty() => {
            let answering = asked.is_some_and(|c| c.answering);
            answer(&now, &headers, Group::only_told(&cluster, &name, answering, rows), None)
        }
        (None, Some(_)) => Err(Problem::not_found(format!("no group {name:?} in cluster {cluster:?}"))),
        (None, None) => {
            let known: Vec<&str> = now.lag.clusters.iter().map(|c| c.cluster.as_str()).collect();
            Err(Problem::not_found(format!("no cluster {cluster:?}; known: {}", known.join(", "))))
        }
    }
}
