//! The configuration: one TOML file, a few environment variables, a few flags.
//!
//! * Of a top-level scalar the first of these holds: flag, environment variable (`STREAMGAUGE_LISTEN`,
//!   `STREAMGAUGE_DATA_DIR`, `STREAMGAUGE_PUBLIC_URL`, `STREAMGAUGE_LOG_FORMAT`), file, default.
//! * Any string may contain `${VAR}`, `${VAR:-default}` and `${file:PATH}`; such values are never printed.
//! * Unknown keys are refused. Every problem is reported, not only the first, each with file, line,
//!   key, value and what is allowed.
//! * Relative paths in the file (`users_file`, `${file:PATH}`) start at the folder of the file;
//!   `data_dir` starts at the working directory, as `--data-dir` does.
//!
//! A file without any `[[cluster]]` gets what a start without a file gets: see [`Config::without_file`].

mod cluster;
mod dlq;
mod expand;
mod flow;
mod lag;
mod limits;
mod load;
mod mapping;
mod problem;
mod read;
pub mod redact;
mod sections;
mod stream;
mod summary;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use cluster::{CLUSTERS_MAX, ClusterConfig, ClusterKind};
pub use mapping::field_path;
pub use problem::{ConfigErrors, Place, Problem, nearest};
pub use sections::{AuthConfig, MetricsConfig, PublishConfig, PublishKey, TelemetryConfig, TraceConfig};
pub use stream::pattern;
pub use units::{duration, show_duration};

use crate::model::{DlqSpec, FlowSpec, LagSpec, Limits, StreamSpec, WebLimits};
use crate::telemetry::LogFormat;
use crate::web::is_loopback;
use read::Reader;

/// Looks a variable of the environment up. A parameter, so that tests need no environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Most bytes of a configuration file: a thousand streams are a tenth of it.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Where `serve` listens unless told otherwise.
pub const LISTEN_DEFAULT: &str = "127.0.0.1:8080";
/// Data directory unless told otherwise.
pub const DATA_DIR_DEFAULT: &str = "streamgauge-data";
/// Stream of the embedded log that `POST /transactions` writes to and that is read, without a file.
pub const STREAM_DEFAULT: &str = "transactions";
/// Name of the only cluster, without a file.
pub const CLUSTER_DEFAULT: &str = "main";

/// What the command line says; `None` and `false` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--kafka`: bootstrap servers of a start without a file.
    pub kafka: Option<String>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--insecure-no-auth`.
    pub insecure_no_auth: bool,
}

/// The whole configuration, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The file it came from.
    pub file: Option<PathBuf>,
    /// Address of HTTP; port 0 takes any free one. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// State, ledger and the embedded log lie here. Made at the start where it does not exist.
    /// One process at a time. Default `streamgauge-data` in the working directory.
    pub data_dir: PathBuf,
    /// `https://host/ops`, without final slash: links, and path prefix behind a proxy. Empty: none.
    pub public_url: String,
    /// `text` or `json`. Default `text`.
    pub log_format: LogFormat,
    /// Clusters, names unique.
    pub clusters: Vec<ClusterConfig>,
    /// Streams; each names one of `clusters`.
    pub streams: Vec<StreamSpec>,
    /// Flows, names unique. A flow that is not listed is shown as well, without deadlines.
    pub flows: Vec<FlowSpec>,
    /// Who may look and act.
    pub auth: AuthConfig,
    /// Bounds of decoder and engine, `[history]` included.
    pub limits: Limits,
    /// Bounds of the web edge.
    pub web_limits: WebLimits,
    /// Where our own spans and metrics go, and links to Jaeger.
    pub telemetry: TelemetryConfig,
    /// Reconstructed traces.
    pub trace: TraceConfig,
    /// Where `POST /transactions` goes; `None`: ingest is off.
    pub publish: Option<PublishConfig>,
    /// `/metrics`.
    pub metrics: MetricsConfig,
    /// How groups are watched.
    pub lag: LagSpec,
    /// How dead letters are found, shown and redriven.
    pub dlq: DlqSpec,
    /// True where neither file nor flag names a cluster: the first page shows how to begin.
    pub first_steps: bool,
    /// What holds but may surprise.
    pub warnings: Vec<Problem>,
}

impl Config {
    /// Loads what the flags name: a file, or none.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn load(flags: &Flags, env: Env<'_>) -> Result<Self, ConfigErrors> {
        let Some(path) = &flags.config else { return Self::parse(Path::new(""), "", flags, env) };
        let fail = |what: String| {
            let place = Place::File { path: path.clone(), line: 0, column: 0 };
            ConfigErrors(vec![Problem {
                place,
                key: String::new(),
                value: String::new(),
                what,
                allowed: String::new(),
            }])
        };
        let size = std::fs::metadata(path).map_err(|e| fail(format!("cannot be read: {e}")))?.len();
        if size > FILE_BYTES_MAX {
            return Err(fail(format!("{size} bytes are too many; at most {FILE_BYTES_MAX}")));
        }
        let source = std::fs::read_to_string(path).map_err(|e| fail(format!("cannot be read: {e}")))?;
        Self::parse(path, &source, flags, env)
    }

    /// The configuration of a start without a file. `kafka` `None`: the embedded log, where
    /// `POST /transactions` writes to `transactions` and that stream is read from its beginning.
    /// With servers: one cluster `main`, every stream that is not internal, from now on.
    ///
    /// # Errors
    /// What is wrong with the flags or the environment.
    pub fn without_file(flags: &Flags, env: Env<'_>) -> Result<Self, ConfigErrors> {
        Self::load(&Flags { config: None, ..flags.clone() }, env)
    }

    /// Reads `source` as if it stood in the file `path`. An empty path is a start without a file.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn parse(path: &Path, source: &str, flags: &Flags, env: Env<'_>) -> Result<Self, ConfigErrors> {
        let reader = Reader { path, source, env, problems: Vec::new().into(), warnings: Vec::new().into() };
        let (document, syntax) = DeTable::parse_recoverable(source);
        for error in &syntax {
            let at = error.span().unwrap_or(0..0);
            reader.problems.borrow_mut().push(Problem {
                place: reader.place(at.start),
                key: String::new(),
                value: String::new(),
                what: format!("not TOML: {}", error.message().replace('\n', ", ")),
                allowed: String::new(),
            });
        }
        // What could be saved of a broken document would only add complaints about its ruins.
        let config = if syntax.is_empty() { Some(load::read_all(&reader, document.as_ref(), flags)) } else { None };
        let mut problems = reader.problems.into_inner();
        let (Some(mut config), true) = (config, problems.is_empty()) else {
            problems.sort_by(|a, b| a.place.cmp(&b.place));
            return Err(ConfigErrors(problems));
        };
        config.warnings = reader.warnings.into_inner();
        config.warnings.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(config)
    }

    /// The streams of one cluster.
    #[must_use]
    pub fn streams_of(&self, cluster: &str) -> Vec<StreamSpec> {
        self.streams.iter().filter(|s| s.cluster == cluster).cloned().collect()
    }

    /// The path behind which the pages lie (`/ops`), empty for the root.
    #[must_use]
    pub fn base_path(&self) -> &str {
        let authority = self.public_url.find("://").map_or(0, |at| at + 3);
        self.public_url[authority..].find('/').map_or("", |at| &self.public_url[authority + at..])
    }

    /// Whether it may listen where it is told to: beyond loopback only with users, or when told so.
    ///
    /// # Errors
    /// The problem, with its three ways out.
    pub fn check_exposure(&self) -> Result<(), ConfigErrors> {
        if is_loopback(self.listen.ip()) || self.auth.users_file.is_some() || self.auth.insecure_no_auth {
            return Ok(());
        }
        let place = self.file.clone().map_or(Place::Default, |path| Place::File { path, line: 0, column: 0 });
        Err(ConfigErrors(vec![Problem {
            place,
            key: "listen".into(),
            value: format!("\"{}\"", self.listen),
            what: "everybody who reaches this address could read and post".into(),
            allowed: "an address of loopback, [auth] users_file, or --insecure-no-auth".into(),
        }]))
    }
}
