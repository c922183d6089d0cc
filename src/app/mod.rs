//! The wiring: every store, channel, thread and listener of the process is made here, and nowhere else.
//!
//! ```text
//! open stores -> restore the engine -> bind -> start store, engine, web, readers, demo -> wait -> stop in order
//! ```

mod actions;
mod ask;
mod brokers;
mod interrupted;
mod program;
mod redrive;
mod watchers;

pub use program::Wiring;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::broker::{ClusterHealth, Stop};
use crate::cli::{DemoOptions, Exit};
use crate::config::{Config, pattern};
use crate::decode::Spares;
use crate::demo;
use crate::engine::{Engine, EngineConfig, Restore};
use crate::loops::{self, EngineLoop, Keeper, KeeperState, StatusLoop, Ticker};
use crate::model::{Input, SourceState, StreamName, StreamSpec};
use crate::run::clock::wall;
use crate::run::desk::desk;
use crate::run::supervise::{Stage, Supervisor};
use crate::store::{Ledger, RedbState, StateStore, StoreError};
use crate::telemetry::{self, Metrics};
use crate::web::{Actions, Auth, BindError, LagMetrics, Server, Status, Transactions, WebConfig, WebContext};
use actions::LetterActions;
use brokers::Clusters;
use watchers::{Boards, before, peek_desks};

/// After the first signal the process ends within this, whatever hangs.
const STOP_DEADLINE: Duration = Duration::from_secs(10);
/// Samples of undecodable records on their way to the status page; beyond, they are dropped (and still counted).
const SAMPLE_QUEUE: usize = 256;
/// Lookups of transactions that wait for the engine's next tick.
const LOOKUPS: usize = 16;
/// Ports tried after the wanted one by the demo.
const NEXT_PORTS: u16 = 50;

/// What to run.
pub struct Plan {
    /// The checked configuration.
    pub config: Config,
    /// Traffic of our own, and the next free port when the wanted one is busy.
    pub demo: Option<DemoOptions>,
}

/// Why it does not run. Each has its exit code.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Exit code 3.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Exit code 4 for a damaged store, else 3.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Exit code 2: what the configuration says cannot be done.
    #[error("{0}")]
    Config(String),
    /// Exit code 3: no thread, no signal handler.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

impl StartError {
    /// The exit code of the contract.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Config(_) => Exit::Config,
            Self::Store(StoreError::Damaged { .. } | StoreError::Format { .. }) => Exit::Damaged,
            Self::Bind(_) | Self::Store(_) | Self::System(_) => Exit::Start,
        }
    }
}

/// Serves until it is asked to stop. `Ok(false)`: it stopped, but not cleanly; the reason is in the log.
///
/// # Errors
/// [`StartError`]: it never served.
pub fn serve(plan: Plan, runtime: &Runtime, telemetry: &telemetry::Guard) -> Result<bool, StartError> {
    let Plan { config, demo: demo_plan } = plan;
    let limits = Arc::new(config.limits.clone());
    std::fs::create_dir_all(&config.data_dir)
        .map_err(|e| StoreError::Io { path: config.data_dir.clone(), detail: e.to_string() })?;
    let (mut engine, mut store) = restore(&config)?;
    // What was stored is durable: `/metrics` shows it from the first scrape on, and no series goes missing for a while.
    let stored = engine.checkpoint();
    store.commit(&stored.changes)?;
    let engine_was_fresh = engine.positions().sources.is_empty();
    let ledger = Arc::new(Ledger::open(&config.data_dir.join("ledger.redb"), config.web_limits.idempotency_keys)?);
    let clusters = Clusters::open(&config)?;

    // The channels, each with its bound.
    let (input, engine_input) = sync_channel::<Input>(loops::INPUT_QUEUE);
    let spares = Spares::default();
    let (keeper, keeper_input) = sync_channel(1);
    let (samples, samples_input) = sync_channel(SAMPLE_QUEUE);
    let before = Arc::new(before(&config, &*ledger));
    let (snapshot, snapshots) = watch::channel(Arc::clone(&before));
    let (durable, durables) = watch::channel(stored.durable);
    let (positions, durable_positions) = watch::channel(Arc::new(engine.positions()));
    let (keeper_state, keeper_states) = watch::channel(KeeperState::default());
    let mut base = base_status(&config, demo_plan.is_some());
    let (status, statuses) = watch::channel(Arc::new(base.clone()));
    let (lag, lags) = watch::channel(Arc::clone(&before.lag));
    let (dlq, letters) = watch::channel(Arc::clone(&before.dlq));
    let keeper_busy = Arc::new(AtomicBool::new(false));
    let metrics = Metrics::new(&telemetry.meter());

    let publish = clusters.publish(&config)?;
    let context = WebContext {
        snapshot: snapshots,
        durable: durables,
        status: statuses,
        publish: publish.clone(),
        idempotency: ledger.clone(),
        limits: Arc::clone(&limits),
        metrics: metrics.clone(),
        now: wall,
    };
    let (observed, lagged) = (context.snapshot.clone(), context.snapshot.clone());
    let (peeks, desks) = peek_desks(&config);
    let (asker, lookups) = desk(LOOKUPS);
    let actions = Arc::new(LetterActions {
        config: Arc::new(config.clone()),
        clusters: clusters.clone(),
        peeks,
        lookups: asker,
        audit: ledger.clone(),
        kept: ledger.clone(),
        runtime: runtime.handle().clone(),
        runs: Arc::default(),
    });
    actions.find_interrupted();
    let awake = Arc::new(input.clone());
    let (asker, transactions) = ask::transactions(&awake);
    let reach = (Actions(Some(actions)), asker);
    let server = bind(runtime, &config, context, reach, demo_plan.is_some_and(|d| !d.listen_given))?;
    let address = server.local_addr();
    base.origin = program::origin(&config, address);
    // Only once there is somewhere to show it.
    let traffic = match (demo_plan, &publish) {
        (Some(plan), Some(publish)) => {
            let begin = clusters.demo_begins(engine_was_fresh);
            let rate = f64::from(plan.rate) / demo::TRANSACTIONS_PER_SECOND;
            Some(runtime.block_on(demo::begin(Arc::clone(&publish.write), plan.seed, rate, begin, wall)))
        }
        _ => None,
    };
    let streams = server.live_streams();
    telemetry::metrics::observe(&telemetry.meter(), move || observed.borrow().clone(), streams);

    let mut supervisor = Supervisor::new();
    supervisor.signals(runtime.handle())?;
    let stop_web = Stop::default();
    let stop_read = Stop::default();
    let keeper_loop = Keeper {
        store,
        input: keeper_input,
        busy: Arc::clone(&keeper_busy),
        positions,
        durable,
        state: keeper_state,
        stop: stop_read.clone(),
        metrics: metrics.clone(),
        now: wall,
    };
    // Engine and keeper end when their senders are gone; nobody has to ask them.
    supervisor.thread(
        "store-state",
        Stage::Store,
        || {},
        move || {
            keeper_loop.run();
            Ok(())
        },
    )?;
    let engine_loop = EngineLoop {
        engine,
        input: engine_input,
        spares: spares.clone(),
        snapshot,
        keeper,
        keeper_busy,
        lag: lags,
        dlq: letters,
        lookups,
        transactions,
        metrics,
    };
    supervisor.thread(
        "engine",
        Stage::Engine,
        || {},
        move || {
            engine_loop.run();
            Ok(())
        },
    )?;
    let readers = clusters.start(
        &mut supervisor,
        &config,
        brokers::Channels {
            input: input.clone(),
            spares,
            samples: samples.clone(),
            positions: durable_positions,
            limits,
            stop: stop_read.clone(),
        },
    )?;
    drop(samples);
    let boards = Boards { lag, dlq, snapshots: lagged, audit: ledger.clone(), counts: ledger, stop: stop_read.clone() };
    clusters.watch(&mut supervisor, &config, desks, &boards)?;
    let (asked, ticker) = (stop_read.clone(), Ticker { out: input, now: wall, stop: stop_read.clone() });
    supervisor.thread(
        "ticker",
        Stage::Read,
        move || asked.set(),
        move || {
            ticker.run();
            drop(awake);
            Ok(())
        },
    )?;
    let status_loop = StatusLoop {
        base,
        clusters: readers,
        keeper: keeper_states,
        samples: samples_input,
        samples_per_stream: config.limits.decode_samples,
        out: status,
        stop: stop_read,
    };
    supervisor.thread(
        "status",
        Stage::Read,
        || {},
        move || {
            status_loop.run();
            Ok(())
        },
    )?;
    let (ask_web, asked_web) = watch::channel(false);
    supervisor.task(
        runtime.handle(),
        "http",
        Stage::Edge,
        move || {
            ask_web.send_replace(true);
        },
        async move {
            let mut asked = asked_web;
            server
                .run(async move {
                    let _gone = asked.wait_for(|stop| *stop).await;
                })
                .await;
            Ok(())
        },
    )?;
    if let (Some(traffic), Some(publish)) = (traffic, publish) {
        if let Some(cluster) = config.clusters.iter().find(|c| c.name == publish.cluster)
            && let Some(committer) = clusters.committer(cluster)
        {
            // They commit on streams on which nobody has committed before them.
            let observer = clusters.observer_of(cluster, config.lag.clone(), Arc::new(|_: &str| true))?;
            let workers = demo::Workers::new(observer, committer, &traffic);
            let (stop, asked) = (stop_web.clone(), stop_web.clone());
            supervisor.thread(
                "demo-workers",
                Stage::Edge,
                move || asked.set(),
                move || {
                    workers.run(wall, &stop);
                    Ok(())
                },
            )?;
        }
        let asked = stop_web.clone();
        supervisor.task(runtime.handle(), "demo", Stage::Edge, move || asked.set(), async move {
            let done = demo::run(traffic, publish.write, wall, stop_web).await;
            tracing::info!(?done, "the demo's traffic ended");
            Ok(())
        })?;
    }
    say_listening(&config, address);
    let ended = supervisor.run(STOP_DEADLINE);
    if !ended.is_clean() {
        tracing::error!(reason = %ended.reason, failures = ?ended.failures, stuck = ?ended.stuck, forced = ended.forced, "ended, but not cleanly");
    }
    Ok(ended.is_clean())
}

/// Opens the state and makes an engine of it.
fn restore(config: &Config) -> Result<(Engine, Box<dyn StateStore>), StartError> {
    let path = config.data_dir.join("state.redb");
    let mut store = RedbState::open(&path)?;
    let mut restore = Restore::new(EngineConfig {
        flows: config.flows.clone(),
        clusters: config.streams.iter().map(|s| s.cluster.as_str().into()).collect(),
        limits: config.limits.clone(),
        // Only for a fresh state: the stored seed wins.
        seed: uuid::Uuid::now_v7().as_u64_pair().1,
    });
    store.load(&mut |key, bytes| restore.blob(key, bytes))?;
    let mut engine = restore.finish().map_err(|e| StoreError::Damaged { path, detail: e.to_string() })?;
    engine.restarted(wall());
    for position in engine.positions().sources {
        let key = position.key;
        let wanted = |spec: &StreamSpec| {
            *spec.cluster == *key.cluster
                && match &spec.name {
                    StreamName::Exact(name) => **name == *key.stream,
                    StreamName::Pattern(text) => pattern(text).is_ok_and(|p| p.is_match(&key.stream)),
                }
        };
        // What left the configuration is not waited for.
        if !config.streams.iter().any(wanted) {
            engine.state(&key, &SourceState::Gone, wall());
        }
    }
    Ok((engine, Box::new(store)))
}

fn base_status(config: &Config, demo: bool) -> Status {
    let now = wall();
    Status {
        version: env!("CARGO_PKG_VERSION"),
        boot: format!("{:08x}", uuid::Uuid::now_v7().as_u64_pair().1 as u32),
        started_at: now,
        demo,
        first_steps: config.first_steps,
        restored: true,
        jaeger_url: config.telemetry.jaeger_url.clone(),
        data_dir: config.data_dir.clone(),
        peek: config.dlq.peek,
        // Nothing is known of them yet, but they are there: nobody has caught up before they answered.
        clusters: config.clusters.iter().map(|c| (c.name.clone(), c.kind.name(), ClusterHealth::default())).collect(),
        ..watchers::said(config)
    }
}

/// Binds; a demo without `--listen` takes the next free port when its own is busy and says so.
fn bind(
    runtime: &Runtime,
    config: &Config,
    context: WebContext,
    (actions, transactions): (Actions, Transactions),
    may_move: bool,
) -> Result<Server, StartError> {
    let compat = |name: &str| config.metrics.compat.iter().any(|c| c == name);
    let mut wanted = config.listen;
    let last = wanted.port().saturating_add(if may_move && wanted.port() != 0 { NEXT_PORTS } else { 0 });
    loop {
        let auth = config.auth.users_file.as_deref().map(Auth::from_file).transpose();
        let web = WebConfig {
            public_url: config.public_url.clone(),
            auth: auth.map_err(|e| StartError::Config(e.to_string()))?.map(Arc::new),
            limits: config.web_limits.clone(),
            actions: actions.clone(),
            transactions: Some(transactions.clone()),
            lag_metrics: LagMetrics {
                partitions: config.metrics.partitions,
                kafka_lag_exporter: compat("kafka-lag-exporter"),
                kafka_exporter: compat("kafka_exporter"),
            },
            ..WebConfig::default()
        };
        match runtime.block_on(Server::bind(wanted, context.clone(), web)) {
            Ok(server) => {
                if wanted != config.listen {
                    tracing::warn!(wanted = %config.listen, taken = %server.local_addr(), "the port is busy, took the next free one");
                }
                return Ok(server);
            }
            Err(_) if wanted.port() < last => wanted.set_port(wanted.port() + 1),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The one line of standard output.
#[expect(clippy::print_stdout, reason = "the contract: one line to stdout once it serves")]
fn say_listening(config: &Config, address: SocketAddr) {
    println!("streamgauge listening http://{address}{}", config.base_path());
}
