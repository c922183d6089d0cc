//! `/api/v1/dlq`: streams of dead letters as JSON. Null is unknown.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use serde::Serialize;

use super::{DlqActions, InterruptedRun};
use crate::snapshot::{DlqLeftOut, DlqStream, DlqWindow, FoundBy, LetterView, RedriveView};
use crate::web::App;
use crate::web::api::{Answer, Rfc3339, answer, newest};
use crate::web::error::Problem;

/// A stream. The first members are those of the contract.
#[derive(Serialize)]
struct Stream<'a> {
    cluster: &'a str,
    stream: &'a str,
    retained: Option<u64>,
    unhandled: Option<u64>,
    redrive_group: Option<&'a str>,
    readers: &'a [String],
    inflow_per_minute: Option<f64>,
    oldest_unhandled_age_seconds: Option<f64>,
    expired: u64,
    inflow_total: u64,
    redriven_total: u64,
    found_by: FoundBy,
    answering: bool,
    as_of: Option<Rfc3339>,
    fault: &'a str,
    windows: BTreeMap<&'static str, &'a DlqWindow>,
    looked_at: u64,
    by_error: Vec<Share<'a>>,
    by_source: Vec<Share<'a>>,
    by_group: Vec<Share<'a>>,
    newest: Vec<Letter<'a>>,
    /// The newest redrive that this process began, dry or not.
    redrive: Option<RedriveView>,
    /// A redrive that the end of an earlier process interrupted: its page can resume or dismiss it.
    interrupted: Option<Interrupted>,
}

/// A redrive that was interrupted.
#[derive(Serialize)]
struct Interrupted {
    run: String,
    by: Option<String>,
    can_resume: bool,
}

impl From<InterruptedRun> for Interrupted {
    fn from(run: InterruptedRun) -> Self {
        Self { can_resume: run.can_resume(), by: Some(run.by).filter(|by| !by.is_empty()), run: run.run }
    }
}

/// All of the answer.
#[derive(Serialize)]
struct All<'a> {
    streams: Vec<Stream<'a>>,
    /// What bounds left out, by cluster; clusters without any are not named.
    left_out: BTreeMap<&'a str, DlqLeftOut>,
}

/// So many letters of one kind.
#[derive(Serialize)]
struct Share<'a> {
    name: &'a str,
    letters: u64,
}

/// A letter as its headers describe it.
#[derive(Serialize)]
struct Letter<'a> {
    partition: u32,
    position: u64,
    time: Option<Rfc3339>,
    family: &'a str,
    error: &'a str,
    message: &'a str,
    source: Option<Source<'a>>,
    group: &'a str,
    flow: Option<&'a str>,
    transaction_id: Option<&'a str>,
    redriven: u32,
    trace_id: Option<&'a str>,
}

/// Where a letter failed.
#[derive(Serialize)]
struct Source<'a> {
    stream: &'a str,
    partition: Option<u32>,
    position: Option<u64>,
}

fn shares(list: &[(String, u64)]) -> Vec<Share<'_>> {
    list.iter().map(|(name, letters)| Share { name, letters: *letters }).collect()
}

impl<'a> Letter<'a> {
    fn of(letter: &'a LetterView) -> Self {
        let source = letter.source.as_ref();
        let transaction = letter.transaction.as_ref();
        Self {
            partition: letter.partition,
            position: letter.position,
            time: letter.time.map(Rfc3339),
            family: letter.family,
            error: &letter.error,
            message: &letter.message,
            source: source.map(|(stream, partition, position)| Source {
                stream,
                partition: *partition,
                position: *position,
            }),
            group: &letter.group,
            flow: transaction.map(|t| t.0.as_str()),
            transaction_id: transaction.map(|t| t.1.as_str()),
            redriven: letter.redriven,
            trace_id: Some(letter.trace_id.as_str()).filter(|id| !id.is_empty()),
        }
    }
}

impl<'a> Stream<'a> {
    fn of(stream: &'a DlqStream, actions: Option<&dyn DlqActions>) -> Self {
        let name = (&*stream.cluster, &*stream.stream);
        let newest = actions.and_then(|a| a.progress(name.0, name.1));
        let interrupted = actions.and_then(|a| a.interrupted(name.0, name.1));
        Self {
            cluster: &stream.cluster,
            stream: &stream.stream,
            retained: stream.retained,
            unhandled: stream.unhandled,
            redrive_group: stream.redrive_group.as_deref(),
            readers: &stream.readers,
            inflow_per_minute: stream.inflow_per_minute,
            oldest_unhandled_age_seconds: stream.oldest_unhandled_age_seconds,
            expired: stream.expired,
            inflow_total: stream.inflow_total,
            redriven_total: stream.redriven_total,
            found_by: stream.found_by,
            answering: stream.answering,
            as_of: stream.as_of.map(Rfc3339),
            fault: &stream.fault,
            windows: stream.windows.iter().map(|w| (w.name, w)).collect(),
            looked_at: stream.looked_at,
            by_error: shares(&stream.by_error),
            by_source: shares(&stream.by_source),
            by_group: shares(&stream.by_group),
            newest: stream.newest.iter().map(Letter::of).collect(),
            redrive: newest.map(|(_, run)| RedriveView::clone(&run)),
            interrupted: interrupted.map(Interrupted::from),
        }
    }
}

/// `/api/v1/dlq?cluster=&stream=`: all streams, or those of these names.
pub async fn dlq(
    State(app): State<Arc<App>>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Answer {
    let (mut cluster, mut stream) = (None, None);
    for (name, value) in &query {
        match name.as_str() {
            "cluster" => cluster = Some(value),
            "stream" => stream = Some(value),
            _ => return Err(Problem::field(name.as_str(), "unknown; allowed are cluster, stream")),
        }
    }
    let now = newest(&app);
    let actions = app.config.actions.0.as_deref();
    let streams: Vec<_> = now
        .dlq
        .streams
        .iter()
        .filter(|s| cluster.is_none_or(|c| *c == s.cluster) && stream.is_none_or(|n| **n == *s.stream))
        .map(|s| Stream::of(s, actions))
        .collect();
    let left_out = now.dlq.left_out.iter().filter(|(_, of)| **of != DlqLeftOut::default());
    let left_out = left_out.map(|(cluster, of)| (cluster.as_str(), *of)).collect();
    answer(&now, &headers, All { streams, left_out }, None)
}
