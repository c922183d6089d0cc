//! Which code stands behind a kind of cluster. Another broker is another arm here.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use tokio::sync::watch;

use super::StartError;
use super::watchers::{rules, watched};
use crate::broker::embedded::{EmbeddedLog, LogOptions};
use crate::broker::kafka::{
    KafkaCommit, KafkaConfig, KafkaInspect, KafkaObserve, KafkaRead, KafkaTail, KafkaWrite, Watched,
};
use crate::broker::{ClusterHealth, Commit, DecodeSample, Inspect, Observe, Read, ReadContext, Stop, Tail, Write};
use crate::config::{ClusterConfig, ClusterKind, Config};
use crate::decode::Spares;
use crate::demo::Begin;
use crate::dlq::Rules;
use crate::model::{Input, LagSpec, Limits, Positions};
use crate::run::clock::wall;
use crate::run::supervise::{Stage, Supervisor};
use crate::web::Publish;

/// The channels of every reader.
pub(super) struct Channels {
    pub input: SyncSender<Input>,
    pub spares: Spares,
    pub samples: SyncSender<DecodeSample>,
    pub positions: watch::Receiver<Arc<Positions>>,
    pub limits: Arc<Limits>,
    pub stop: Stop,
}

/// Health of the clusters as the status page wants it: name, kind, newest.
pub(super) type Healths = Vec<(String, &'static str, watch::Receiver<ClusterHealth>)>;

/// The clusters of one process. Clones share them.
#[derive(Clone)]
pub(super) struct Clusters {
    /// One log for all embedded clusters: there is one data directory.
    log: Option<EmbeddedLog>,
}

impl Clusters {
    /// Opens what has to be open before anything runs.
    pub(super) fn open(config: &Config) -> Result<Self, StartError> {
        let embedded = config.clusters.iter().any(|c| c.kind == ClusterKind::Embedded);
        let log = embedded
            .then(|| EmbeddedLog::open(&config.data_dir.join("log"), LogOptions::default(), wall))
            .transpose()?;
        Ok(Self { log })
    }

    /// How the demo's traffic begins: with history where there is none, else where the log ends.
    /// A Kafka is not asked: a fresh state means that it was not read by us before.
    pub(super) fn demo_begins(&self, fresh: bool) -> Begin {
        match &self.log {
            Some(log) => log.last_append().map_or(Begin::Backfill, |log_end| Begin::Resume { log_end }),
            None if fresh => Begin::Backfill,
            None => Begin::Live,
        }
    }

    /// Where posted events go.
    pub(super) fn publish(&self, config: &Config) -> Result<Option<Publish>, StartError> {
        let Some(wanted) = &config.publish else { return Ok(None) };
        let cluster = config
            .clusters
            .iter()
            .find(|c| c.name == wanted.cluster)
            .ok_or_else(|| StartError::Config(format!("[publish] names no cluster: {}", wanted.cluster)))?;
        let write: Arc<dyn Write> = match (cluster.kind, &self.log) {
            (ClusterKind::Embedded, Some(log)) => log.writer(),
            (ClusterKind::Embedded, None) => return Err(StartError::Config("the embedded log is not open".into())),
            (ClusterKind::Kafka, _) => Arc::new(KafkaWrite::new(kafka(cluster)).map_err(StartError::Config)?),
        };
        Ok(Some(Publish { write, cluster: wanted.cluster.clone(), stream: wanted.stream.clone() }))
    }

    /// Watches the groups of a cluster.
    ///
    /// # Errors
    /// [`StartError::Config`]: a pattern or a property that cannot work.
    pub(super) fn observer(&self, config: &Config, cluster: &ClusterConfig) -> Result<Box<dyn Observe>, StartError> {
        let streams = config.streams_of(&cluster.name);
        let nothing = || Rules { conventions: false, ..Rules::default() };
        let letters = if config.dlq.enabled { rules(config, cluster)? } else { nothing() };
        let watched = watched(&letters, &streams, config.metrics.all_topics());
        self.observer_of(cluster, config.lag.clone(), watched)
    }

    /// Watches the groups of a cluster that `spec` includes, and the topics that are `watched` although none of them has
    /// committed there.
    ///
    /// # Errors
    /// As [`Self::observer`].
    pub(super) fn observer_of(
        &self,
        cluster: &ClusterConfig,
        spec: LagSpec,
        watched: Watched,
    ) -> Result<Box<dyn Observe>, StartError> {
        match (cluster.kind, &self.log) {
            (ClusterKind::Embedded, Some(log)) => Ok(log.observer()),
            (ClusterKind::Embedded, None) => Err(StartError::Config("the embedded log is not open".into())),
            (ClusterKind::Kafka, _) => {
                let made = KafkaObserve::new(kafka(cluster), spec, watched, wall);
                Ok(Box::new(made.map_err(StartError::Config)?))
            }
        }
    }

    /// Commits for the demo's consumers.
    pub(super) fn committer(&self, cluster: &ClusterConfig) -> Option<Box<dyn Commit>> {
        match cluster.kind {
            ClusterKind::Embedded => self.log.as_ref().map(EmbeddedLog::committer),
            ClusterKind::Kafka => Some(Box::new(KafkaCommit::new(kafka(cluster)))),
        }
    }

    /// The embedded log, where there is one.
    pub(super) fn log(&self) -> Option<&EmbeddedLog> {
        self.log.as_ref()
    }

    /// Starts one reader per cluster.
    pub(super) fn start(
        &self,
        supervisor: &mut Supervisor,
        config: &Config,
        channels: Channels,
    ) -> Result<Healths, StartError> {
        let mut healths = Vec::new();
        for cluster in &config.clusters {
            let (health, newest) = watch::channel(ClusterHealth::default());
            healths.push((cluster.name.clone(), cluster.kind.name(), newest));
            let reader: Box<dyn Read> = match (cluster.kind, &self.log) {
                (ClusterKind::Embedded, Some(log)) => log.reader(),
                (ClusterKind::Embedded, None) => continue,
                (ClusterKind::Kafka, _) => Box::new(KafkaRead::new(kafka(cluster))),
            };
            let context = ReadContext {
                cluster: cluster.name.as_str().into(),
                streams: config.streams_of(&cluster.name),
                limits: Arc::clone(&channels.limits),
                positions: channels.positions.clone(),
                out: channels.input.clone(),
                spares: channels.spares.clone(),
                samples: channels.samples.clone(),
                health,
                stop: channels.stop.clone(),
                now: wall,
            };
            let asked = channels.stop.clone();
            let name = format!("read-{}", cluster.name);
            supervisor.thread(
                &name,
                Stage::Read,
                move || asked.set(),
                move || reader.run(context).map_err(|e| e.to_string()),
            )?;
        }
        Ok(healths)
    }
}

/// Reads the broker's own log of commits; `None`: this kind has none.
pub(super) fn tail(cluster: &ClusterConfig) -> Option<Result<Box<dyn Tail>, String>> {
    match cluster.kind {
        ClusterKind::Embedded => None,
        ClusterKind::Kafka => Some(KafkaTail::new(kafka(cluster)).map(|tail| Box::new(tail) as Box<dyn Tail>)),
    }
}

/// The Kafka client's view of a cluster.
pub(super) fn kafka(cluster: &ClusterConfig) -> KafkaConfig {
    KafkaConfig {
        bootstrap_servers: cluster.bootstrap_servers.clone(),
        properties: cluster.properties.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
    }
}

/// Looks at one cluster for `doctor` and `sample`, without starting anything else.
///
/// # Errors
/// In words for an operator.
pub(super) fn inspector(config: &Config, cluster: &ClusterConfig) -> Result<Box<dyn Inspect>, String> {
    match cluster.kind {
        ClusterKind::Kafka => Ok(Box::new(KafkaInspect::new(cluster.name.as_str(), kafka(cluster)))),
        ClusterKind::Embedded => EmbeddedLog::open(&config.data_dir.join("log"), LogOptions::default(), wall)
            .map(|log| log.inspector())
            .map_err(|e| e.to_string()),
    }
}
