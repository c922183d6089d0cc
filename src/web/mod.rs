//! The web edge: everything that a browser, a script or Prometheus can ask for.
//!
//! Handlers read the newest [`Snapshot`], [`Durable`] and [`Status`] and render; none of them asks
//! a broker anything. The live streams are written by the fan-out, not by handlers.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use tokio::sync::watch;
use tower::Layer as _;
use tower::util::MapRequestLayer;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use tower_http::trace::{DefaultOnFailure, DefaultOnResponse, TraceLayer};
use tracing::Level;

use crate::broker::{ClusterHealth, DecodeSample, Write};
use crate::model::{Limits, Timestamp, WebLimits};
use crate::run::desk::Asker;
use crate::snapshot::{Durable, Snapshot, TransactionKey, TransactionView};
use crate::store::IdempotencyKeys;
use crate::telemetry::Metrics;

mod api;
mod auth;
mod dlq;
mod error;
mod exposition;
mod fanout;
mod frame;
mod handoff;
mod html;
mod lag;
mod layer;
mod live;
mod metrics;
mod ops;
pub mod page;
mod post;
mod process;
mod serve;
mod shape;
mod sse;
#[cfg(test)]
mod tests;
mod transaction;
mod viewer;

pub use auth::{Auth, AuthError, ListenError, Role, check_listen};
pub use dlq::{DlqActions, InterruptedRun, RedrivePlan, RedriveStep, RedriveTarget, Refusal};
pub use lag::LagMetrics;
pub use serve::{BindError, Server};

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
    /// `http://host:port` under which this server is reached, where that is known: the first page's commands name it.
    pub origin: String,
    /// Link to Jaeger, without trailing slash; empty: none.
    pub jaeger_url: String,
    /// Data directory.
    pub data_dir: PathBuf,
    /// True where payloads may be looked at: pages offer it.
    pub peek: bool,
    /// True where dead letters may be redriven: pages offer it.
    pub redrive: bool,
    /// True where the configuration says that groups are not watched.
    pub lag_off: bool,
    /// True where the configuration says that dead letters are not watched.
    pub letters_off: bool,
    /// True where only patterns of the configuration say which streams hold dead letters.
    pub letters_by_patterns: bool,
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
    /// Self-metrics.
    pub metrics: Metrics,
    /// The wall clock.
    pub now: fn() -> Timestamp,
}

/// What the configuration says about the web edge.
#[derive(Clone, Debug, Default)]
pub struct WebConfig {
    /// `https://host/ops`: the name under which browsers reach us, and the path prefix; empty: none.
    pub public_url: String,
    /// Users; `None`: everybody may do everything.
    pub auth: Option<Arc<Auth>>,
    /// Bounds.
    pub limits: WebLimits,
    /// What pages may make happen; none: they offer nothing.
    pub actions: Actions,
    /// Where one transaction is asked for; none: nowhere.
    pub transactions: Option<Transactions>,
    /// What `/metrics` says of groups.
    pub lag_metrics: LagMetrics,
    /// True where we listen on loopback: then only loopback names and `public_url` are answered. Set by [`Server::bind`].
    pub loopback: bool,
}

/// Where the engine is asked what it knows of one transaction.
pub type Transactions = Asker<TransactionKey, Option<Box<TransactionView>>>;

/// What pages may make happen at a broker.
#[derive(Clone, Default)]
pub struct Actions(pub Option<Arc<dyn dlq::DlqActions>>);

impl Actions {
    /// True where there are any.
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl std::fmt::Debug for Actions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Actions({})", self.is_some())
    }
}

impl WebConfig {
    fn public(&self) -> Option<Uri> {
        self.public_url.parse().ok().filter(|uri: &Uri| uri.authority().is_some())
    }

    /// Host and port of `public_url`.
    fn public_host(&self) -> Option<String> {
        self.public()?.authority().map(ToString::to_string)
    }

    /// Path prefix of `public_url` without trailing slash.
    fn base(&self) -> String {
        self.public().map(|uri| uri.path().trim_end_matches('/').to_owned()).unwrap_or_default()
    }
}

/// What every handler can reach.
struct App {
    context: WebContext,
    config: WebConfig,
    base: String,
    hub: Arc<live::Hub>,
    serve_counters: serve::ServeCounters,
    forms: dlq::Forms,
}

impl App {
    fn new(context: WebContext, config: WebConfig) -> Arc<Self> {
        let base = config.base();
        let hub = live::Hub::start(context.clone(), &base, &config.limits);
        let (serve_counters, forms) = Default::default();
        Arc::new(Self { context, config, base, hub, serve_counters, forms })
    }
}

/// All routes without a socket: for tests and for embedding. Needs a runtime.
pub fn router(context: WebContext, config: WebConfig) -> Router {
    routes(&App::new(context, config))
}

/// The whole route table.
fn routes(app: &Arc<App>) -> Router {
    let routes = Router::new()
        .route("/", get(html::overview))
        .route("/flows/{flow}", get(html::flow))
        .route("/status", get(html::status))
        .route("/consumers", get(html::consumers))
        .route("/consumers/{cluster}/{group}", get(html::group))
        .route("/dlq", get(html::dlq))
        .route("/dlq/audit", get(dlq::audit_page))
        .route("/dlq/{cluster}/{stream}", get(html::dlq_stream))
        .route("/dlq/{cluster}/{stream}/redrive", get(dlq::redrive_form).post(dlq::redrive_act))
        .route("/peek", get(dlq::peek_form).post(dlq::peek_show))
        .route("/assets/{*path}", get(html::asset))
        .route("/live/{*view}", get(html::live))
        .route("/api/v1/snapshot", get(api::snapshot))
        .route("/api/v1/flows", get(api::flows))
        .route("/api/v1/flows/{flow}", get(api::flow))
        .route("/api/v1/flows/{flow}/history", get(api::history))
        .route("/api/v1/streams", get(api::streams))
        .route("/api/v1/sources", get(api::sources))
        .route("/api/v1/groups", get(lag::api::groups))
        .route("/api/v1/groups/{cluster}/{group}", get(lag::api::group))
        .route("/api/v1/dlq", get(dlq::api::dlq))
        .route("/api/v1/audit", get(dlq::audit_json))
        .route("/api/v1/transactions", get(transaction::json))
        .route("/transactions", get(transaction::page).post(post::transactions))
        .route("/livez", get(ops::livez))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(metrics::metrics))
        .fallback(html::not_found)
        .method_not_allowed_fallback(html::method_not_allowed);
    // From the inside out: the last is the first to see a request.
    let router = routes
        .layer(from_fn(layer::own_words))
        .layer(from_fn_with_state(Arc::clone(app), layer::in_a_page))
        .layer(CompressionLayer::new())
        .layer(from_fn(layer::timeout))
        .layer(from_fn_with_state(Arc::clone(app), auth::guard))
        .layer(from_fn_with_state(Arc::clone(app), layer::same_site))
        .layer(CatchPanicLayer::custom(layer::panicked))
        .layer(
            TraceLayer::new_for_http()
                .make_span_with(layer::span)
                .on_response(DefaultOnResponse::new().level(Level::DEBUG))
                .on_failure(DefaultOnFailure::new().level(Level::WARN)),
        )
        .layer(from_fn_with_state(Arc::clone(app), layer::measure))
        .layer(from_fn(layer::headers))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(from_fn(layer::sane_request_id))
        .with_state(Arc::clone(app));
    below(&app.base, router)
}

/// Also serves everything below a path prefix, for proxies that pass it on.
fn below(base: &str, router: Router) -> Router {
    if base.is_empty() {
        return router;
    }
    let prefix = base.to_owned();
    let strip = MapRequestLayer::new(move |mut request: Request| {
        let inner = request.uri().path_and_query().and_then(|whole| whole.as_str().strip_prefix(&prefix));
        let inner = inner.filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
        let inner = inner.map(|rest| if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") });
        if let Some(uri) = inner.and_then(|path| path.parse().ok()) {
            *request.uri_mut() = uri;
        }
        request
    });
    Router::new().fallback_service(strip.layer(router))
}
