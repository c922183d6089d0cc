//! What the command line runs: `serve`, `demo`, and looking into clusters.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::{Plan, StartError, brokers, redrive, serve};
use crate::broker::kafka::KafkaWrite;
use crate::broker::{Inspect, WriteError};
use crate::cli::{Brokers, DemoOptions, Exit, Program, RedriveParts};
use crate::config::{ClusterConfig, ClusterKind, Config, PublishConfig, PublishKey, STREAM_DEFAULT};
use crate::demo;
use crate::model::{Format, Role, Start, StreamName, StreamSpec};
use crate::telemetry::{self, Settings};

/// HTTP, timers and the exporter need no more; reading and counting have threads of their own.
const RUNTIME_THREADS: usize = 2;
/// Partitions of the demo's topics: more than one, so that order across partitions is real.
const DEMO_PARTITIONS: u32 = 3;
/// How long the demo waits for a Kafka that has just been started.
const KAFKA_PATIENCE: Duration = Duration::from_secs(30);

/// The real program.
pub struct Wiring;

impl Brokers for Wiring {
    fn inspect(&self, config: &Config, cluster: &ClusterConfig) -> Result<Box<dyn Inspect>, String> {
        brokers::inspector(config, cluster)
    }

    fn redrive(
        &self,
        config: &Config,
        cluster: &ClusterConfig,
        stream: &str,
        dry_run: bool,
    ) -> Result<RedriveParts, String> {
        redrive::parts(config, cluster, None, stream, dry_run)
    }

    fn check(&self, cluster: &ClusterConfig) -> Result<(), String> {
        match cluster.kind {
            ClusterKind::Kafka => brokers::kafka(cluster).check(),
            ClusterKind::Embedded => Ok(()),
        }
    }
}

impl Program for Wiring {
    fn serve(&self, config: Config) -> Exit {
        run(config, None)
    }

    fn demo(&self, mut config: Config, options: DemoOptions) -> Exit {
        let Some(cluster) = config.clusters.first().cloned() else { return Exit::Config };
        config.streams = demo::streams(&cluster.name);
        // A POST to the demo must not mix with the script's own traffic.
        config.streams.push(StreamSpec {
            cluster: cluster.name.clone(),
            name: StreamName::Exact(STREAM_DEFAULT.into()),
            role: Role::Events,
            start: Start::Earliest,
            format: Format::Auto,
        });
        config.flows = demo::flows();
        config.publish = Some(PublishConfig {
            cluster: cluster.name,
            stream: STREAM_DEFAULT.into(),
            key: PublishKey::TransactionId,
        });
        config.first_steps = false;
        run(config, Some(options))
    }
}

/// Sets up what every way of running needs, runs, and flushes telemetry on every way out.
fn run(config: Config, demo: Option<DemoOptions>) -> Exit {
    let env = |name: &str| std::env::var(name).ok();
    let settings = Settings {
        log_format: config.log_format,
        otlp_endpoint: config.telemetry.otlp_endpoint.clone(),
        instance: uuid::Uuid::now_v7().to_string(),
    };
    let telemetry = match telemetry::init(&settings, &env) {
        Ok(guard) => guard,
        Err(error) => return complain(&error, Exit::Config),
    };
    let runtime = match Builder::new_multi_thread().worker_threads(RUNTIME_THREADS).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&error, Exit::Start),
    };
    let result = if demo.is_some() { prepare_kafka(&config, &runtime) } else { Ok(()) }
        .and_then(|()| serve(Plan { config, demo }, &runtime, &telemetry));
    // What still runs on the runtime has been asked to stop; it is not waited for.
    runtime.shutdown_background();
    match result {
        Ok(true) => Exit::Clean,
        Ok(false) => Exit::Failed,
        Err(error) => complain(&error, error.exit()),
    }
}

/// The demo's topics, where it runs through Kafka.
fn prepare_kafka(config: &Config, runtime: &Runtime) -> Result<(), StartError> {
    let Some(cluster) = config.clusters.first().filter(|c| c.kind == ClusterKind::Kafka) else { return Ok(()) };
    let write = KafkaWrite::new(brokers::kafka(cluster)).map_err(StartError::Config)?;
    let made = runtime.block_on(async {
        let all = async {
            for stream in &config.streams {
                if let StreamName::Exact(name) = &stream.name {
                    write.ensure_stream(name, DEMO_PARTITIONS).await?;
                }
            }
            Ok::<(), WriteError>(())
        };
        tokio::time::timeout(KAFKA_PATIENCE, all).await
    });
    match made {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(StartError::Config(format!("cluster \"{}\": {error}", cluster.name))),
        Err(_) => {
            Err(StartError::Config(format!("cluster \"{}\" did not answer within {KAFKA_PATIENCE:?}", cluster.name)))
        }
    }
}

#[expect(clippy::print_stderr, reason = "the log may not be set up, and the exit code needs its words")]
fn complain(error: &dyn std::fmt::Display, exit: Exit) -> Exit {
    eprintln!("streamgauge: {error}");
    if matches!(exit, Exit::Damaged) {
        eprintln!(
            "streamgauge: nothing was changed; move this file away to begin without it, and keep it: docs/OPERATIONS.md, \"Data directory\", says what is lost"
        );
    }
    exit
}

/// Scheme, host and port under which people reach us: those of `public_url`, else where we listen.
pub(super) fn origin(config: &Config, listening: SocketAddr) -> String {
    match config.public_url.as_str() {
        "" if listening.ip().is_unspecified() => format!("http://127.0.0.1:{}", listening.port()),
        "" => format!("http://{listening}"),
        url => url.strip_suffix(config.base_path()).unwrap_or(url).trim_end_matches('/').to_owned(),
    }
}

/// The one line of standard output.
#[expect(clippy::print_stdout, reason = "the contract: one line to stdout once it serves")]
pub(super) fn say_listening(config: &Config, address: SocketAddr) {
    println!("streamgauge listening http://{address}{}", config.base_path());
}
