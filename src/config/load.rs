//! From a parsed document, the flags and the environment to a [`Config`].

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeTable;

use super::problem::{Place, Problem};
use super::read::{Reader, Table, Text};
use super::{
    CLUSTER_DEFAULT, ClusterConfig, Config, DATA_DIR_DEFAULT, Flags, PublishConfig, PublishKey, STREAM_DEFAULT,
    cluster, dlq, flow, lag, limits, sections, stream, units,
};
use crate::model::{Format, Limits, Role, Start, StreamName, StreamSpec, WebLimits};
use crate::telemetry::LogFormat;

/// Reads a document without syntax errors. The order matters: streams are checked against clusters,
/// flows against limits, `[publish]` against both.
pub(super) fn read_all(reader: &Reader<'_>, document: &DeTable<'_>, flags: &Flags) -> Config {
    let root = Table::root(reader, document);
    let data_dir_flag = flags.data_dir.as_ref().map(|dir| dir.display().to_string());
    let listen = Top::read(&root, "listen", "STREAMGAUGE_LISTEN", flags.listen.clone().map(|v| ("--listen", v)));
    let data = Top::read(&root, "data_dir", "STREAMGAUGE_DATA_DIR", data_dir_flag.map(|v| ("--data-dir", v)));
    let public_url = Top::read(&root, "public_url", "STREAMGAUGE_PUBLIC_URL", None);
    let log_format = Top::read(&root, "log_format", "STREAMGAUGE_LOG_FORMAT", None);
    let listen = listen.parse(units::listen, "not an address", units::LISTEN_FORM);
    let data_dir = data.parse(data_dir, "not a directory", "a directory, or a path where one can be made");
    let public_url = public_url.parse(public, "not a URL", "http://HOST[:PORT][/PATH] or https://...");
    let log_format = log_format.parse(LogFormat::from_word, "unknown word", "text json");

    let (mut limits, mut web_limits) = (Limits::default(), WebLimits::default());
    limits::read_limits(&root.table("limits"), &mut limits, &mut web_limits);
    limits::read_history(&root.table("history"), &mut limits);
    let mut clusters = cluster::read_clusters(&root);
    let mut streams = stream::read_streams(&root, &clusters);
    let flows = flow::read_flows(&root, &limits);
    let mut publish = sections::read_publish(&root.table("publish"), &clusters, &streams);
    let mut auth = sections::read_auth(&root.table("auth"));
    auth.insecure_no_auth = flags.insecure_no_auth;
    let telemetry = sections::read_telemetry(&root.table("telemetry"));
    let trace = sections::read_trace(&root.table("trace"));
    let metrics = sections::read_metrics(&root.table("metrics"));
    let lag = lag::read_lag(&root.table("lag"));
    let dlq = dlq::read_dlq(&root.table("dlq"));
    sections::read_later(&root);
    root.finish();

    let first_steps = clusters.is_empty() && flags.kafka.is_none();
    if let Some(servers) = &flags.kafka {
        check_kafka_flag(reader, servers, flags.config.is_some());
        (clusters, streams, publish) =
            (vec![ClusterConfig::kafka(CLUSTER_DEFAULT, servers)], vec![every_stream()], None);
    } else if first_steps {
        clusters = vec![ClusterConfig::embedded(CLUSTER_DEFAULT)];
        streams = vec![embedded_stream()];
        publish = Some(PublishConfig {
            cluster: CLUSTER_DEFAULT.into(),
            stream: STREAM_DEFAULT.into(),
            key: PublishKey::TransactionId,
        });
    }
    for cluster in &clusters {
        if !streams.iter().any(|s| s.cluster == cluster.name) {
            root.warn("cluster", format!("no [[stream]] is read from cluster \"{}\"", cluster.name));
        }
    }
    Config {
        file: flags.config.clone(),
        listen: listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8080))),
        data_dir: data_dir.unwrap_or_else(|| DATA_DIR_DEFAULT.into()),
        public_url: public_url.unwrap_or_default(),
        log_format: log_format.unwrap_or_default(),
        clusters,
        streams,
        flows,
        auth,
        limits,
        web_limits,
        telemetry,
        trace,
        publish,
        metrics,
        lag,
        dlq,
        first_steps,
        warnings: Vec::new(),
    }
}

/// The stream of a start without file and flag: all that was ever posted.
fn embedded_stream() -> StreamSpec {
    StreamSpec {
        cluster: CLUSTER_DEFAULT.into(),
        name: StreamName::Exact(STREAM_DEFAULT.into()),
        role: Role::Events,
        start: Start::Earliest,
        format: Format::Auto,
    }
}

/// The streams of `--kafka`: all, also those made later; internal ones are never matched by a pattern.
fn every_stream() -> StreamSpec {
    StreamSpec { name: StreamName::Pattern(".*".into()), start: Start::Latest, ..embedded_stream() }
}

fn check_kafka_flag(reader: &Reader<'_>, servers: &str, with_file: bool) {
    let problem = |what: &str, allowed: &str| {
        let (place, value) = (Place::Flag("--kafka"), servers.to_owned());
        let (what, allowed) = (what.to_owned(), allowed.to_owned());
        reader.problems.borrow_mut().push(Problem { place, key: String::new(), value, what, allowed });
    };
    if !units::is_servers(servers) {
        problem(&format!("\"{servers}\" is not an address"), units::SERVERS_FORM);
    }
    if with_file {
        problem("is for a start without a file", "[[cluster]] in the file of --config");
    }
}

fn data_dir(text: &str) -> Option<PathBuf> {
    let path = PathBuf::from(text);
    let usable = path.metadata().map_or(!text.is_empty(), |meta| meta.is_dir());
    usable.then_some(path)
}

fn public(text: &str) -> Option<String> {
    if text.is_empty() { Some(String::new()) } else { units::url(text, &["http", "https"]) }
}

/// A scalar that a flag or a variable of the environment may say as well.
struct Top<'r, 'a> {
    root: &'r Table<'a>,
    file: Option<Text>,
    above: Option<(Place, String)>,
}

impl<'r, 'a> Top<'r, 'a> {
    fn read(
        root: &'r Table<'a>,
        key: &'static str,
        variable: &'static str,
        flag: Option<(&'static str, String)>,
    ) -> Self {
        // Set and empty is how compose files say "not set".
        let env = || (root.reader.env)(variable).filter(|v| !v.is_empty()).map(|v| (Place::Environment(variable), v));
        let above = flag.map(|(name, value)| (Place::Flag(name), value)).or_else(env);
        Self { root, file: root.text(key), above }
    }

    /// The value that holds. One of the file that does not is checked all the same.
    fn parse<T>(self, parse: impl Fn(&str) -> Option<T>, what: &str, allowed: &str) -> Option<T> {
        let reader = self.root.reader;
        let file = self.file.and_then(|text| {
            let value = parse(&text.text);
            if value.is_none() {
                reader.refuse(&text.key, &text.at, what, allowed);
            }
            value
        });
        let Some((place, text)) = self.above else { return file };
        let value = parse(&text);
        if value.is_none() {
            let (what, allowed) = (format!("\"{text}\" is {what}"), allowed.to_owned());
            let problem = Problem { place, key: String::new(), value: String::new(), what, allowed };
            reader.problems.borrow_mut().push(problem);
        }
        value
    }
}
