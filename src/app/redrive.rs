//! What a redrive needs, by kind of cluster.

use std::sync::Arc;

use super::brokers::kafka;
use crate::broker::Move;
use crate::broker::embedded::{EmbeddedLog, LogOptions};
use crate::broker::kafka::{KafkaMove, KafkaObserve, KafkaWrite};
use crate::cli::RedriveParts;
use crate::config::{ClusterConfig, ClusterKind, Config};
use crate::dlq::own_group;
use crate::model::LagSpec;
use crate::run::clock::wall;

/// Who reads, who moves (nobody in a dry run), who makes the stream of markers. `log`: the embedded log, where this
/// process has it open already.
///
/// # Errors
/// In words for an operator.
pub(super) fn parts(
    config: &Config,
    cluster: &ClusterConfig,
    log: Option<&EmbeddedLog>,
    stream: &str,
    dry_run: bool,
) -> Result<RedriveParts, String> {
    let group = own_group(stream);
    match cluster.kind {
        ClusterKind::Kafka => {
            // Every stream may be a target, and every group may read one: none is left out here.
            let spec = LagSpec { deadline: config.lag.deadline, ..LagSpec::default() };
            let observe = KafkaObserve::new(kafka(cluster), spec, Arc::new(|_: &str| true), wall)?;
            let mover = (!dry_run).then(|| KafkaMove::new(kafka(cluster), group)).transpose()?;
            let write = KafkaWrite::new(kafka(cluster))?;
            Ok(RedriveParts {
                observe: Box::new(observe),
                mover: mover.map(|m| Box::new(m) as Box<dyn Move>),
                prepare: Box::new(move |marker| write.ensure_compacted(marker).map_err(|e| e.to_string())),
            })
        }
        ClusterKind::Embedded => {
            let log = match log {
                Some(log) => log.clone(),
                None => EmbeddedLog::open(&config.data_dir.join("log"), LogOptions::default(), wall)
                    .map_err(|e| format!("{e}; while a server runs, redrive from its page"))?,
            };
            let mover = (!dry_run).then(|| log.mover(&group)).transpose()?;
            let observe = log.observer();
            let write = log.writer();
            Ok(RedriveParts {
                observe,
                mover,
                prepare: Box::new(move |marker| {
                    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                    // An append of nothing makes the stream.
                    let made = runtime.map_err(|e| e.to_string())?.block_on(write.append(marker, Vec::new()));
                    made.map(drop).map_err(|e| e.to_string())
                }),
            })
        }
    }
}
