//! The small sections: `[auth]`, `[telemetry]`, `[trace]`, `[publish]`, `[metrics]`, and those of later versions.

use std::path::{Path, PathBuf};

use super::cluster::ClusterConfig;
use super::read::Table;
use super::stream::{STREAM_FORM, is_stream, read_cluster_name};
use super::units::url;
use crate::model::{StreamName, StreamSpec};
use crate::web::Auth;

/// `[auth]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// File of users, one `name:argon2hash:role` a line; relative to the configuration file's folder.
    pub users_file: Option<PathBuf>,
    /// `--insecure-no-auth`: listen beyond loopback without users.
    pub insecure_no_auth: bool,
}

/// `[telemetry]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TelemetryConfig {
    /// Where OTLP (gRPC, cleartext) goes; `None`: the `OTEL_EXPORTER_OTLP_*` variables decide, without them it is off.
    pub otlp_endpoint: Option<String>,
    /// Base of links to Jaeger, without final slash; empty: no links.
    pub jaeger_url: String,
}

/// `[trace]`: which reconstructed traces of transactions are exported.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceConfig {
    /// Share of ordinary transactions; failed, stuck and exemplary ones are always kept.
    pub keep_ratio: f64,
    /// Cap of exported spans per second; what exceeds it is counted.
    pub max_spans_per_second: u64,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self { keep_ratio: 0.01, max_spans_per_second: 500 }
    }
}

/// `[publish]`: where `POST /transactions` goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishConfig {
    /// Cluster by name.
    pub cluster: String,
    /// Stream.
    pub stream: String,
    /// What the record's key is.
    pub key: PublishKey,
}

/// What the key of a published record is: it decides the partition, and with it the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PublishKey {
    /// The transaction id: all events of a transaction stay in order.
    #[default]
    TransactionId,
}

/// `[metrics]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Whether `/metrics` has a sample per partition.
    pub partitions: bool,
    /// Other exporters whose names are offered as well.
    pub compat: Vec<String>,
}

impl MetricsConfig {
    /// Whether the ends of all topics are wanted: kafka_exporter has them, also of topics that no group reads.
    #[must_use]
    pub fn all_topics(&self) -> bool {
        self.compat.iter().any(|c| c == "kafka_exporter")
    }
}

impl Default for MetricsConfig {
    fn default() -> Self {
        Self { partitions: true, compat: Vec::new() }
    }
}

/// Exporters whose metric names can be offered as well.
const COMPAT: [&str; 2] = ["kafka-lag-exporter", "kafka_exporter"];
/// What `users_file` holds, for messages.
const USERS_FORM: &str = "a file with a line name:argon2hash:role for each user; role = read, act or admin";
/// Why `https` is refused for OTLP.
const OTLP_FORM: &str = "http://HOST:PORT of an OTLP gRPC receiver (a collector beside us speaks TLS for us)";

pub(super) fn read_auth(table: &Table<'_>) -> AuthConfig {
    let users_file = table.text("users_file").map(|text| {
        let path = table.reader.path.parent().unwrap_or(Path::new("")).join(&text.text);
        if let Err(e) = Auth::from_file(&path) {
            table.refuse("users_file", e.to_string(), USERS_FORM);
        }
        path
    });
    table.finish();
    AuthConfig { users_file, insecure_no_auth: false }
}

pub(super) fn read_telemetry(table: &Table<'_>) -> TelemetryConfig {
    let not_empty = |t: &str| if t.is_empty() { Some(None) } else { url(t, &["http"]).map(Some) };
    let otlp_endpoint = table.parsed("otlp_endpoint", not_empty, "not an endpoint", OTLP_FORM).flatten();
    let jaeger = |t: &str| if t.is_empty() { Some(String::new()) } else { url(t, &["http", "https"]) };
    let jaeger_url = table.parsed("jaeger_url", jaeger, "not a URL", "http://HOST[:PORT][/PATH] or https://...");
    table.finish();
    TelemetryConfig { otlp_endpoint, jaeger_url: jaeger_url.unwrap_or_default() }
}

pub(super) fn read_trace(table: &Table<'_>) -> TraceConfig {
    let default = TraceConfig::default();
    let config = TraceConfig {
        keep_ratio: table.ratio("keep_ratio").unwrap_or(default.keep_ratio),
        max_spans_per_second: table
            .number("max_spans_per_second", 0, 1_000_000)
            .unwrap_or(default.max_spans_per_second),
    };
    if table.exists() {
        table.warn("", "this version does not act on [trace]: no trace of a transaction is exported");
    }
    table.finish();
    config
}

pub(super) fn read_publish(
    table: &Table<'_>,
    clusters: &[ClusterConfig],
    streams: &[StreamSpec],
) -> Option<PublishConfig> {
    if !table.exists() {
        return None;
    }
    let cluster = read_cluster_name(table, clusters).map(|c| c.name.clone());
    let stream = table.required("stream", STREAM_FORM).map(|t| t.text);
    if let Some(stream) = stream.as_deref().filter(|s| !is_stream(s)) {
        table.refuse("stream", format!("not the name of a stream ({} bytes)", stream.len()), STREAM_FORM);
    }
    let key = table.choice("key", &[("transaction_id", PublishKey::TransactionId)]).unwrap_or_default();
    table.finish();
    let publish = PublishConfig { cluster: cluster?, stream: stream?, key };
    if !streams.iter().any(|s| s.cluster == publish.cluster && covers(&s.name, &publish.stream)) {
        table.warn("stream", "no [[stream]] reads it: what is posted will not be seen here");
    }
    Some(publish)
}

/// True where a `[[stream]]` reads this stream.
pub(super) fn covers(name: &StreamName, stream: &str) -> bool {
    match name {
        StreamName::Exact(exact) => exact == stream,
        StreamName::Pattern(p) => super::stream::pattern(p).is_ok_and(|r| r.is_match(stream)),
    }
}

pub(super) fn read_metrics(table: &Table<'_>) -> MetricsConfig {
    let compat = table.texts("compat").unwrap_or_default();
    for text in &compat {
        if !COMPAT.contains(&text.text.as_str()) {
            table.reader.refuse(&text.key, &text.at, "unknown exporter", COMPAT.join(" "));
        }
    }
    let config = MetricsConfig {
        partitions: table.flag("partitions").unwrap_or(true),
        compat: compat.into_iter().map(|t| t.text).collect(),
    };
    if !config.partitions && !config.compat.is_empty() {
        table.warn("compat", "with partitions = false the public dashboards of these exporters stay empty: they list groups and topics by the samples of partitions");
    }
    table.finish();
    config
}

/// Keys of `[[channel]]` and `[[rule]]`. Of those only the names are checked yet.
const LATER: [(&str, &str); 2] = [
    ("channel", "name kind url locale allow secret headers rate fallback"),
    (
        "rule",
        "name enabled metric match above below in above_ratio below_ratio baseline burn quantile clear_at for window \
         min_count by keep_firing no_data repeat labels summary runbook_url severity channels",
    ),
];

/// Sections that the contract names and a later version acts on: accepted, with a warning.
pub(super) fn read_later(root: &Table<'_>) {
    for (key, names) in LATER {
        let tables = root.tables(key);
        if !tables.is_empty() {
            root.warn(key, format!("this version does not act on [[{key}]]: no alert is sent"));
        }
        for table in tables {
            table.accept(names);
            table.finish();
        }
    }
}
