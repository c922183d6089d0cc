//! `/api/v1`: the snapshot as JSON. Null is unknown, durations are seconds, times are RFC 3339.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_128;

use super::App;
use super::error::Problem;
use super::shape::{Clusters, Flow, FlowSummary, Points, Source, Stream};
use crate::model::Timestamp;
use crate::snapshot::{EngineView, FlowView, Snapshot};

/// Points of history in one answer; the rest is behind `next`.
const HISTORY_POINTS: usize = 5_000;
/// Resolutions of the history: seconds and their name.
const STEPS: [(i64, &str); 3] = [(1, "1s"), (10, "10s"), (60, "1m")];
/// What a history shows where nobody says from when, seconds.
const HISTORY_RANGE: i64 = 900;

/// A time as the API writes it: RFC 3339 in UTC, to the millisecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rfc3339(pub Timestamp);

impl Serialize for Rfc3339 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match jiff::Timestamp::from_microsecond(self.0.0) {
            Ok(time) => serializer.collect_str(&format_args!("{time:.3}")),
            Err(_) => serializer.serialize_none(),
        }
    }
}

/// Around every answer.
#[derive(Serialize)]
struct Envelope<T> {
    as_of: Rfc3339,
    revision: u64,
    data: T,
    /// Query of the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// JSON, or what is wrong.
pub(super) type Answer = Result<Response, Problem>;

/// An answer with a tag of its content: who has it already gets a 304.
pub(super) fn answer<T: Serialize>(snapshot: &Snapshot, headers: &HeaderMap, data: T, next: Option<String>) -> Answer {
    let envelope = Envelope { as_of: Rfc3339(snapshot.as_of), revision: snapshot.revision, data, next };
    let body = serde_json::to_vec(&envelope)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let tag = format!("\"{:032x}\"", xxh3_128(&body));
    // A proxy that compressed the body may have made the tag weak.
    let held = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|v| v.to_str().ok());
    let same = held.flat_map(|v| v.split(',')).any(|t| t.trim().trim_start_matches("W/") == tag);
    let mut response = if same { StatusCode::NOT_MODIFIED.into_response() } else { body.into_response() };
    let out = response.headers_mut();
    out.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        out.insert(header::ETAG, tag);
    }
    Ok(response)
}

/// The newest read model.
pub(super) fn newest(app: &App) -> Arc<Snapshot> {
    app.context.snapshot.borrow().clone()
}

fn flow_of<'a>(snapshot: &'a Snapshot, name: &str) -> Result<&'a FlowView, Problem> {
    let found = snapshot.flows.iter().find(|f| f.name == name);
    found.map(|f| &**f).ok_or_else(|| {
        let known: Vec<_> = snapshot.flows.iter().take(20).map(|f| f.name.as_str()).collect();
        if known.is_empty() {
            return Problem::not_found(format!("no flow {name:?}: no event of any flow has been read yet"));
        }
        Problem::not_found(format!("no flow {name:?}; known: {}", known.join(", ")))
    })
}

/// `/api/v1/snapshot`: all of it.
pub async fn snapshot(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer {
    #[derive(Serialize)]
    struct All<'a> {
        flows: Vec<Flow<'a>>,
        streams: Vec<Stream<'a>>,
        sources: Vec<Source<'a>>,
        engine: &'a EngineView,
    }
    let now = newest(&app);
    let data = All {
        // The inputs stand once, under `sources`.
        flows: now.flows.iter().map(|f| Flow::of(f, None)).collect(),
        streams: now.streams.iter().map(Stream::of).collect(),
        sources: now.sources.iter().map(Source::of).collect(),
        engine: &now.engine,
    };
    answer(&now, &headers, data, None)
}

/// `/api/v1/flows`: totals and windows of each.
pub async fn flows(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer {
    let now = newest(&app);
    let flows: Vec<_> = now.flows.iter().map(|f| FlowSummary::of(f)).collect();
    answer(&now, &headers, BTreeMap::from([("flows", flows)]), None)
}

/// `/api/v1/flows/{flow}`.
pub async fn flow(State(app): State<Arc<App>>, Path(name): Path<String>, headers: HeaderMap) -> Answer {
    let now = newest(&app);
    let data = Flow::of(flow_of(&now, &name)?, Some(&now.sources));
    answer(&now, &headers, data, None)
}

/// `/api/v1/streams`.
pub async fn streams(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer {
    let now = newest(&app);
    let streams: Vec<_> = now.streams.iter().map(Stream::of).collect();
    answer(&now, &headers, BTreeMap::from([("streams", streams)]), None)
}

/// `/api/v1/sources`: partitions, and the clusters that they lie in.
pub async fn sources(State(app): State<Arc<App>>, headers: HeaderMap) -> Answer {
    #[derive(Serialize)]
    struct All<'a> {
        clusters: Clusters<'a>,
        sources: Vec<Source<'a>>,
    }
    let (now, status) = (newest(&app), app.context.status.borrow().clone());
    let data = All { clusters: Clusters::of(&status), sources: now.sources.iter().map(Source::of).collect() };
    answer(&now, &headers, data, None)
}

/// `/api/v1/flows/{flow}/history?from&to&step`: chart points with `from <= t < to`.
pub async fn history(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Answer {
    let now = newest(&app);
    let flow = flow_of(&now, &name)?;
    let range = Range::of(&query, now.as_of)?;
    let series = match range.step {
        1 => &flow.history.s1,
        10 => &flow.history.s10,
        _ => &flow.history.m1,
    };
    let mut points = series.range(range.from, range.to);
    let data = Points::of(&flow.name, range.step, range.from, range.to, points.by_ref().take(HISTORY_POINTS));
    let next = points.next().map(|p| format!("from={}&to={}&step={}", p.t, range.to, range.step));
    answer(&now, &headers, data, next)
}

/// What part of a history is asked for, in seconds since the epoch.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    from: i64,
    to: i64,
    step: i64,
}

impl Range {
    fn of(query: &[(String, String)], now: Timestamp) -> Result<Self, Problem> {
        let (mut from, mut to, mut step) = (None, None, None);
        for (name, value) in query {
            match name.as_str() {
                "from" => from = Some(second(name, value)?),
                "to" => to = Some(second(name, value)?),
                "step" => {
                    let known = STEPS.iter().find(|(s, n)| value == n || *value == s.to_string());
                    step = Some(known.ok_or_else(|| Problem::field("step", "one of 1s, 10s, 1m"))?.0);
                }
                _ => return Err(Problem::field(name.as_str(), "unknown; allowed are from, to, step")),
            }
        }
        let to = to.unwrap_or_else(|| now.second() + 1);
        let from = from.unwrap_or(to - HISTORY_RANGE);
        if from >= to {
            return Err(Problem::field("from", "must lie before to"));
        }
        // Without a step: the finest that the whole range was kept in.
        let step = step.unwrap_or(match now.second() - from {
            i64::MIN..=3_600 => 1,
            3_601..=86_400 => 10,
            _ => 60,
        });
        Ok(Self { from, to, step })
    }
}

fn second(name: &str, value: &str) -> Result<i64, Problem> {
    let time = crate::decode::parse_time(value);
    time.map(Timestamp::second).map_err(|e| Problem::field(name, format!("RFC 3339 or seconds since 1970: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(query: &[(&str, &str)]) -> Result<Range, Problem> {
        let pairs: Vec<_> = query.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Range::of(&pairs, Timestamp::from_seconds(1_000_000))
    }

    #[test]
    fn a_history_without_words_is_the_last_quarter_of_an_hour() {
        assert_eq!(range(&[]).unwrap(), Range { from: 999_101, to: 1_000_001, step: 1 });
        assert_eq!(range(&[("from", "990000")]).unwrap(), Range { from: 990_000, to: 1_000_001, step: 10 });
        assert_eq!(range(&[("from", "100"), ("to", "200"), ("step", "1m")]).unwrap().step, 60);
    }

    #[test]
    fn a_wrong_parameter_is_named() {
        for (query, field) in [
            (vec![("step", "5s")], "step"),
            (vec![("from", "yesterday")], "from"),
            (vec![("from", "20"), ("to", "20")], "from"),
            (vec![("form", "1")], "form"),
        ] {
            let problem = range(&query).unwrap_err();
            assert_eq!((problem.status, problem.errors[0].field.as_str()), (StatusCode::BAD_REQUEST, field));
        }
    }

    #[test]
    fn times_are_rfc_3339_to_the_millisecond() {
        let text = serde_json::to_string(&Rfc3339(Timestamp(1_764_000_000_123_456))).unwrap();
        assert_eq!(text, "\"2025-11-24T16:00:00.123Z\"");
    }
}
