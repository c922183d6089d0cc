//! Who watches groups and dead letters: a thread per cluster, with one connection for both.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::StartError;
use super::brokers::{Clusters, tail};
use crate::broker::{GroupNames, Stop};
use crate::config::{ClusterConfig, Config, pattern};
use crate::dlq::{self, Board, Mask, NameClass, Rules};
use crate::loops::{Commits, CommitsLoop, DlqKeeper, LagLoop, PeekAnswer, Reader, dlq_rules};
use crate::model::{LagSpec, Role, StreamName, StreamSpec};
use crate::run::clock::wall;
use crate::run::desk::{Asker, Desk, desk};
use crate::run::supervise::{Stage, Supervisor};
use crate::snapshot::{DlqBoard, LagBoard, PeekQuestion, Snapshot};
use crate::store::{AuditLog, KeepStore, TimesFile};
use crate::web::Status;

/// Peeks that wait per cluster: people, not programs.
const PEEKS: usize = 16;

/// Where the watchers write, and what they read.
pub(super) struct Boards {
    pub lag: watch::Sender<Arc<LagBoard>>,
    pub dlq: watch::Sender<Arc<DlqBoard>>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub audit: Arc<dyn AuditLog>,
    pub counts: Arc<dyn KeepStore>,
    pub stop: Stop,
}

/// Peeks of a cluster, by its name.
pub(super) type Peeks = Vec<(String, Asker<PeekQuestion, PeekAnswer>)>;
/// The other side of [`Peeks`], in the order of clusters.
pub(super) type PeekDesks = Vec<Desk<PeekQuestion, PeekAnswer>>;

/// A desk for the peeks of each cluster.
pub(super) fn peek_desks(config: &Config) -> (Peeks, PeekDesks) {
    let made = config.clusters.iter().map(|cluster| {
        let (asker, questions) = desk(PEEKS);
        ((cluster.name.clone(), asker), questions)
    });
    made.unzip()
}

/// What is shown before the first survey: the clusters, and their counters as they were stored.
pub(super) fn before(config: &Config, counts: &dyn KeepStore) -> Snapshot {
    let kinds: Vec<_> = config.clusters.iter().map(|c| (c.name.clone(), c.kind.name())).collect();
    let names = kinds.iter().map(|(name, _)| name.as_str());
    let lag = if config.lag.enabled { LagLoop::stored(&kinds, counts) } else { LagLoop::empty(&kinds) };
    let dlq = if config.dlq.enabled { DlqKeeper::stored(names, counts) } else { DlqBoard::default() };
    Snapshot { lag: Arc::new(lag), dlq: Arc::new(dlq), ..Snapshot::default() }
}

/// What pages say of the configuration of the watchers.
pub(super) fn said(config: &Config) -> Status {
    Status {
        redrive: config.dlq.enabled,
        lag_off: !config.lag.enabled,
        letters_off: !config.dlq.enabled,
        letters_by_patterns: !config.dlq.patterns.is_empty(),
        ..Status::default()
    }
}

impl Clusters {
    /// Starts one watcher per cluster, for groups, dead letters or both; each takes the desk of its place.
    pub(super) fn watch(
        &self,
        supervisor: &mut Supervisor,
        config: &Config,
        desks: PeekDesks,
        boards: &Boards,
    ) -> Result<(), StartError> {
        // Where letters are not watched, whoever wants to look at one is told that nobody answers here.
        if !config.lag.enabled {
            return if config.dlq.enabled { self.watch_letters(supervisor, config, desks, boards) } else { Ok(()) };
        }
        let times = times(&config.data_dir.join("times.redb"));
        for (slot, (cluster, questions)) in config.clusters.iter().zip(desks).enumerate() {
            let keeper = config.dlq.enabled.then(|| letters(config, cluster, questions, boards));
            let watcher = LagLoop {
                cluster: cluster.name.clone(),
                kind: cluster.kind.name(),
                observe: self.observer(config, cluster)?,
                spec: config.lag.clone(),
                streams: config.streams_of(&cluster.name),
                times: times.clone(),
                commits: commits(supervisor, config, cluster, &boards.stop)?,
                push: None,
                counts: Some(Arc::clone(&boards.counts)),
                letters: keeper.transpose()?,
                snapshots: boards.snapshots.clone(),
                slot,
                out: boards.lag.clone(),
                now: wall,
                stop: boards.stop.clone(),
            };
            start(supervisor, &cluster.name, &boards.stop, move || watcher.run())?;
        }
        Ok(())
    }

    /// The same for dead letters alone: of the groups only those are asked for whose positions say what is handled.
    fn watch_letters(
        &self,
        supervisor: &mut Supervisor,
        config: &Config,
        desks: PeekDesks,
        boards: &Boards,
    ) -> Result<(), StartError> {
        let (interval, deadline) = (config.lag.interval, config.lag.deadline);
        let spec = LagSpec { interval, deadline, ..GroupNames::of_letters(&config.dlq.redrive_group) };
        for (cluster, questions) in config.clusters.iter().zip(desks) {
            let streams = config.streams_of(&cluster.name);
            let letters_only = watched(&rules(config, cluster)?, &streams, false);
            let observe = self.observer_of(cluster, spec.clone(), letters_only)?;
            let keeper = letters(config, cluster, questions, boards)?;
            let (spec, stop) = (spec.clone(), boards.stop.clone());
            start(supervisor, &cluster.name, &boards.stop, move || keeper.run(observe, &spec, &stop))?;
        }
        Ok(())
    }
}

/// Starts the thread that watches a cluster.
fn start(
    supervisor: &mut Supervisor,
    cluster: &str,
    stop: &Stop,
    run: impl FnOnce() + Send + 'static,
) -> Result<(), StartError> {
    let asked = stop.clone();
    let ask = move || asked.set();
    supervisor.thread(&format!("watch-{cluster}"), Stage::Read, ask, move || {
        run();
        Ok(())
    })?;
    Ok(())
}

/// Starts the reader of the broker's own log of commits, where it is wanted and there is one.
fn commits(
    supervisor: &mut Supervisor,
    config: &Config,
    cluster: &ClusterConfig,
    stop: &Stop,
) -> Result<Option<Commits>, StartError> {
    let Some(tail) = tail(cluster).filter(|_| config.lag.offsets_topic) else { return Ok(None) };
    let out = Commits::default();
    let reader = CommitsLoop {
        cluster: cluster.name.clone(),
        tail: tail.map_err(StartError::Config)?,
        rows: config.lag.rows,
        out: out.clone(),
        stop: stop.clone(),
    };
    let asked = stop.clone();
    supervisor.thread(
        &format!("commits-{}", cluster.name),
        Stage::Read,
        move || asked.set(),
        move || {
            reader.run();
            Ok(())
        },
    )?;
    Ok(Some(out))
}

/// Which streams of a cluster hold dead letters.
pub(super) fn rules(config: &Config, cluster: &ClusterConfig) -> Result<Rules, StartError> {
    dlq_rules(&config.dlq, &config.streams_of(&cluster.name)).map_err(|e| StartError::Config(format!("[dlq]: {e}")))
}

/// Streams that are surveyed although no group has committed on them: dead letters, what redrives remember, and lag
/// events; all of them where the names of an exporter that has all are offered.
pub(super) fn watched(rules: &Rules, streams: &[StreamSpec], all: bool) -> Arc<dyn Fn(&str) -> bool + Send + Sync> {
    let rules = rules.clone();
    let (mut told, mut patterns) = (HashSet::new(), Vec::new());
    for spec in streams.iter().filter(|s| s.role == Role::Lag) {
        match &spec.name {
            StreamName::Exact(name) => drop(told.insert(name.clone())),
            // The configuration was refused if it does not compile.
            StreamName::Pattern(text) => patterns.extend(pattern(text)),
        }
    }
    Arc::new(move |name| {
        all || rules.exact.contains(name)
            || told.contains(name)
            || patterns.iter().any(|p| p.is_match(name))
            || rules.patterns.is_match(name)
            || name.starts_with(dlq::OWN_PREFIX)
            || (rules.conventions
                && !rules.others.contains(name)
                && matches!(dlq::name_class(name), NameClass::Sure | NameClass::Perhaps))
    })
}

/// What is hidden wherever a letter is shown or sent on.
fn mask(config: &Config) -> Result<Mask, StartError> {
    Mask::new(&config.dlq.mask).map_err(|e| StartError::Config(format!("[dlq] mask: {e}")))
}

/// Reads the letters of a cluster.
pub(super) fn reader(config: &Config, cluster: &ClusterConfig) -> Result<Reader, StartError> {
    Ok(Reader::new(&config.streams_of(&cluster.name), Arc::new(config.limits.clone()), mask(config)?))
}

fn letters(
    config: &Config,
    cluster: &ClusterConfig,
    peeks: Desk<PeekQuestion, PeekAnswer>,
    boards: &Boards,
) -> Result<DlqKeeper, StartError> {
    Ok(DlqKeeper {
        cluster: cluster.name.as_str().into(),
        board: Board::new(cluster.name.as_str(), rules(config, cluster)?),
        reader: reader(config, cluster)?,
        peek: config.dlq.peek,
        mask: mask(config)?,
        interrupted: Vec::new(),
        stands: boards.lag.subscribe(),
        peeks,
        audit: Arc::clone(&boards.audit),
        counts: Some(Arc::clone(&boards.counts)),
        out: boards.dlq.clone(),
        now: wall,
    })
}

/// The cache of record times. Without it ages are learned anew after a start.
fn times(path: &Path) -> Option<Arc<Mutex<TimesFile>>> {
    let opened = TimesFile::open(path).inspect_err(|error| tracing::warn!(%error, "no cache of record times"));
    opened.ok().map(|file| Arc::new(Mutex::new(file)))
}
