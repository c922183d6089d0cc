//! `/livez` and `/readyz`: what a supervisor asks. A cluster that is down never makes us unready.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::api::Rfc3339;
use super::{App, Status};
use crate::snapshot::{Snapshot, SourceView};

/// The process works, whatever it watches.
pub async fn livez() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], r#"{"status":"ok"}"#).into_response()
}

#[derive(Serialize)]
struct Ready<'a> {
    status: &'static str,
    caught_up: bool,
    as_of: Rfc3339,
    checkpoint_at: Option<Rfc3339>,
    #[serde(skip_serializing_if = "str::is_empty")]
    checkpoint_error: &'a str,
    clusters: Vec<Cluster<'a>>,
    sources: Vec<Source<'a>>,
}

#[derive(Serialize)]
struct Cluster<'a> {
    cluster: &'a str,
    kind: &'static str,
    up: Option<bool>,
    detail: &'a str,
}

#[derive(Serialize)]
struct Source<'a> {
    cluster: &'a str,
    stream: &'a str,
    partition: u32,
    state: &'static str,
    /// Records that we have not read; null while the end is unknown.
    behind: Option<u64>,
}

/// State restored and serving. With `?caught_up`: also every source read to its end.
pub async fn readyz(State(app): State<Arc<App>>, Query(query): Query<Vec<(String, String)>>) -> Response {
    let (status, snapshot) = (app.context.status.borrow().clone(), app.context.snapshot.borrow().clone());
    let caught_up = status.restored && caught_up(&status, &snapshot);
    let wants_all = query.iter().any(|(name, value)| name == "caught_up" && !matches!(value.as_str(), "0" | "false"));
    let ready = if wants_all { caught_up } else { status.restored };
    let clusters = status.clusters.iter().map(|(cluster, kind, health)| Cluster {
        cluster,
        kind,
        up: health.up,
        detail: &health.detail,
    });
    let sources = snapshot.sources.iter().map(|s| Source {
        cluster: &s.key.cluster,
        stream: &s.key.stream,
        partition: s.key.partition,
        state: s.state,
        behind: behind(s),
    });
    let body = Ready {
        status: match (status.restored, ready) {
            (false, _) => "restoring",
            (true, false) => "catching_up",
            (true, true) => "ready",
        },
        caught_up,
        as_of: Rfc3339(snapshot.as_of),
        checkpoint_at: status.checkpoint_at.map(Rfc3339),
        checkpoint_error: &status.checkpoint_error,
        clusters: clusters.collect(),
        sources: sources.collect(),
    };
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(body)).into_response()
}

fn behind(source: &SourceView) -> Option<u64> {
    source.end.map(|end| end.saturating_sub(source.next))
}

/// Every cluster answered what streams it has, each of them has sources, and none of these has unread records.
fn caught_up(status: &Status, snapshot: &Snapshot) -> bool {
    let of = |cluster: &str, stream: &str| {
        snapshot.sources.iter().any(|s| &*s.key.cluster == cluster && &*s.key.stream == stream)
    };
    let found = status.clusters.iter().all(|(cluster, _, health)| {
        let known = health.up == Some(true) && health.cluster_id.is_some();
        known && health.streams.iter().all(|stream| of(cluster, stream))
    });
    found
        && snapshot
            .sources
            .iter()
            .filter(|s| s.state != "gone")
            .all(|s| s.state != "unreachable" && behind(s) == Some(0))
}
