//! The web edge: everything that a browser, a script or Prometheus can ask for.
//!
//! Handlers read the newest [`Snapshot`], [`Durable`] and [`Status`] and render; none of them asks
//! a broker anything. The live streams are written by the fan-out, not by handlers.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use crate::broker::{ClusterHealth, DecodeSample, Write};
use crate::model::{Limits, Timestamp};
use crate::snapshot::{Durable, Snapshot};
use crate::store::IdempotencyKeys;

pub mod page;

/// State of the process for pages and readiness; newest wins.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// Version of the build.
    pub version: &'static str,
    /// Random id of this process: part of SSE ids.
    pub boot: String,
    /// When the process started.
    pub started_at: Timestamp,
    /// True for the demo: a badge on every page.
    pub demo: bool,
    /// True for `serve` without any stream configured: the first page shows how to begin.
    pub first_steps: bool,
    /// True once the stored state was restored.
    pub restored: bool,
    /// When the newest durable checkpoint was committed.
    pub checkpoint_at: Option<Timestamp>,
    /// Why checkpoints fail at the moment; empty when they do not.
    pub checkpoint_error: String,
    /// Clusters: name, kind, health.
    pub clusters: Vec<(String, &'static str, ClusterHealth)>,
    /// Newest samples of undecodable records, at most `limits.decode_samples` per stream.
    pub samples: Vec<DecodeSample>,
    /// Link to Jaeger, without trailing slash; empty: none.
    pub jaeger_url: String,
    /// Data directory.
    pub data_dir: PathBuf,
}

/// Where `POST /transactions` goes.
#[derive(Clone)]
pub struct Publish {
    /// The writer.
    pub write: Arc<dyn Write>,
    /// Cluster by name.
    pub cluster: String,
    /// Stream.
    pub stream: String,
}

/// All that the web edge is given.
#[derive(Clone)]
pub struct WebContext {
    /// Live read model.
    pub snapshot: watch::Receiver<Arc<Snapshot>>,
    /// Counters of the last durable checkpoint.
    pub durable: watch::Receiver<Arc<Durable>>,
    /// State of the process.
    pub status: watch::Receiver<Arc<Status>>,
    /// Where posted events go; `None` where ingest is off.
    pub publish: Option<Publish>,
    /// Idempotency keys.
    pub idempotency: Arc<dyn IdempotencyKeys>,
    /// Bounds.
    pub limits: Arc<Limits>,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}
